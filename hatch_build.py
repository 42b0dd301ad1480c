"""Builds winograd.c with the package where there is a C compiler; the package works without it, only slower."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KERNELS = Path("neuralstyle/encoders/kernels")
SOURCES = (KERNELS / "winograd.c", KERNELS / "winograd_kernel.h")  # the first includes the second
LIBRARY = KERNELS / "winograd.bin"  # not .so, which Python would take for one of its modules
FLAGS = ("-O3", "-fno-math-errno", "-fPIC", "-shared", "-fopenmp")


class CompileHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        problem = build(Path(self.root))
        if problem:
            self.app.display_warning(f"{SOURCES[0]} is not compiled: {problem}")
            return
        build_data["artifacts"].append(str(LIBRARY))
        build_data["pure_python"] = False
        # The library knows nothing of Python, so one wheel serves every version.
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def build(root: Path) -> str:
    """Compile the library. Returns what prevents it, else "".

    A library that is there is replaced only once there is a new one. If it is of another version, the package finds
    that out by itself and does not use it.
    """
    missing = [str(source) for source in SOURCES if not (root / source).is_file()]
    if missing:
        return f"{' and '.join(missing)} is missing"
    compiler, *options = shlex.split(os.environ.get("CC", "")) or ["gcc"]
    if sys.platform != "linux" or platform.machine() != "x86_64" or shutil.which(compiler) is None:
        return f"that needs gcc, on Linux on x86-64; {compiler} on {sys.platform} on {platform.machine()} is not enough"
    library = root / LIBRARY
    new = library.with_suffix(f".{os.getpid()}")
    try:
        command = [compiler, *options, *FLAGS, "-o", str(new), str(root / SOURCES[0])]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return done.stderr or f"{compiler} failed with status {done.returncode}"
        new.replace(library)
    finally:
        new.unlink(missing_ok=True)
    return ""
