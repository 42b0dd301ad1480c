"""Builds winograd.c with the package where there is a C compiler, and records what was built in ``_built.json``.

The package works without the compiled library, only slower. Environment variables that count:

- CC: the compiler, with options if need be ("gcc -m64", "clang").
- CFLAGS, LDFLAGS: more options, after our own.
- NEURALSTYLE_PURE=1: compile nothing, and build the wheel of pure Python that runs everywhere.
- NEURALSTYLE_REQUIRE_KERNEL=1: a library that cannot be compiled is an error.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KERNELS = Path("neuralstyle/encoders/kernels")
SOURCES = (
    KERNELS / "winograd.c",
    KERNELS / "winograd_kernel.h",
    KERNELS / "maps_kernel.h",
)  # the first includes the others
LIBRARY = KERNELS / "winograd.bin"  # not .so, which Python would take for one of its modules
FACTS = Path("neuralstyle/_built.json")
FLAGS = ("-O3", "-fno-math-errno", "-fPIC", "-shared")  # no -march: the functions are chosen at run time
COMPILERS = ("gcc", "clang", "cc")


class CompileHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        facts = {"version": self.metadata.version, "commit": commit(root, self.metadata.version)}
        if self.target_name == "wheel":
            problem = build(root)
            if problem and os.environ.get("NEURALSTYLE_REQUIRE_KERNEL", "0") not in ("", "0"):
                raise RuntimeError(f"{SOURCES[0]} is not compiled: {problem}")
            if problem:
                self.app.display_warning(f"{SOURCES[0]} is not compiled: {problem}")
                facts["problem"] = problem
            else:
                facts["compiler"] = shlex.join(compiler())
                build_data["artifacts"].append(str(LIBRARY))
                build_data["pure_python"] = False
                # The library knows nothing of Python, so one wheel serves every version.
                build_data["tag"] = f"py3-none-{target().replace('-', '_').replace('.', '_')}"
        (root / FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        build_data["artifacts"].append(str(FACTS))


def commit(root: Path, version: str) -> str | None:
    """The commit that is built: that of the repository, or in a source distribution the recorded one."""
    try:
        if (root / ".git").exists():
            asked = ["git", "-C", str(root), "rev-parse", "HEAD"]
            return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        facts = json.loads((root / FACTS).read_text(encoding="utf-8"))
        return facts["commit"] if facts["version"] == version else None
    except (OSError, ValueError, KeyError, subprocess.CalledProcessError):
        return None


def target() -> str:
    """The platform of the wheel, such as "linux-x86_64"; cross builds set _PYTHON_HOST_PLATFORM, as for any package."""
    # One file holds one processor's code, also for a Python that serves two. Such a Python tells of a macOS that was
    # never there for arm64, whose first is 11.0, and pip installs no wheel of an older one.
    name = sysconfig.get_platform().replace("universal2", platform.machine())
    return re.sub(r"^macosx-10\.\d+-arm64$", "macosx-11.0-arm64", name)


def compiler() -> list[str]:
    """The compiler that CC names, with its options, or the first one that there is."""
    given = shlex.split(os.environ.get("CC", ""))
    return given or [next((name for name in COMPILERS if shutil.which(name)), COMPILERS[0])]


def build(root: Path) -> str:
    """Compile the library. Returns what prevents it, else "".

    A library that is there is replaced only once there is a new one. If it is of another version, the package finds
    that out by itself and does not use it.
    """
    if os.environ.get("NEURALSTYLE_PURE", "0") not in ("", "0"):
        return "NEURALSTYLE_PURE is set"
    missing = [str(source) for source in SOURCES if not (root / source).is_file()]
    if missing:
        return f"{' and '.join(missing)} is missing"
    system, _, machine = target().partition("-")
    if system not in ("linux", "macosx") or not machine.endswith(("x86_64", "aarch64", "arm64")):
        return f"it needs Linux or macOS on x86-64 or arm64, and this is {target()}"
    command = compiler()
    if shutil.which(command[0]) is None:
        return f"it needs a C compiler, and there is no {command[0]}; install gcc or clang, or name yours in CC"
    library = root / LIBRARY
    new = library.with_suffix(f".{os.getpid()}")
    more = [word for name in ("CFLAGS", "LDFLAGS") for word in shlex.split(os.environ.get(name, ""))]
    # On macOS the library must load where the wheel's tag says, and not only where it was built.
    oldest = {"MACOSX_DEPLOYMENT_TARGET": machine.partition("-")[0]} if system == "macosx" else {}
    try:
        done = subprocess.run(
            [*command, *FLAGS, "-o", str(new), str(root / SOURCES[0]), *more],
            capture_output=True,
            text=True,
            env=os.environ | oldest,
        )
        if done.returncode:
            return done.stderr or f"{command[0]} failed with status {done.returncode}"
        new.replace(library)
    finally:
        new.unlink(missing_ok=True)
    return ""
