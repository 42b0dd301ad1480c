"""Compile winograd.c by every compiler there is, warnings being errors, and check it with and without sanitizers.

    python release/check_kernel.py

With a cross compiler for arm64 and qemu, the library of arm64 is checked too, under emulation. Compilers and emulators
that are not installed are left out, and named. Needs no Python package.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [str(ROOT / "neuralstyle/encoders/kernels/winograd.c"), str(ROOT / "release/check_winograd.c")]
STRICT = ["-Wall", "-Wextra", "-Werror", "-fno-math-errno"]
SANITIZED = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

CHECKS: list[tuple[str, list[str], list[str]]] = [
    ("gcc", ["gcc", "-O3"], []),
    ("clang", ["clang", "-O3"], []),
    ("gcc with sanitizers", ["gcc", *SANITIZED], []),
    ("arm64, emulated", ["aarch64-linux-gnu-gcc", "-O3", "-static"], ["qemu-aarch64-static"]),
]


def main() -> int:
    failed = []
    with tempfile.TemporaryDirectory() as work:
        for name, compiler, emulator in CHECKS:
            needed = [compiler[0], *emulator[:1]]
            missing = [program for program in needed if shutil.which(program) is None]
            if missing:
                print(f"== {name}: left out, {' and '.join(missing)} is not installed", flush=True)
            elif not passes(name, compiler, emulator, Path(work)):
                failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all as it should be")
    return 1 if failed else 0


def passes(name: str, compiler: list[str], emulator: list[str], folder: Path) -> bool:
    """Compile the check and the kernel into one program, and run it."""
    program = folder / "check"
    print(f"== {name}", flush=True)
    built = subprocess.run([*compiler, *STRICT, *SOURCES, "-o", str(program), "-lm", "-lpthread"])
    return built.returncode == 0 and subprocess.run([*emulator, str(program)]).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
