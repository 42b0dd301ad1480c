"""Builds winograd.c with the package where there is a C compiler; the package works without it, only slower."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("neuralstyle/encoders/kernels/winograd.c")
LIBRARY = SOURCE.with_name("winograd.bin")  # not .so, which Python would take for one of its modules
FLAGS = ("-O3", "-fno-math-errno", "-fPIC", "-shared", "-fopenmp")


class CompileHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        source, library = Path(self.root) / SOURCE, Path(self.root) / LIBRARY
        library.unlink(missing_ok=True)
        compiler = shutil.which(os.environ.get("CC", "gcc"))
        if sys.platform != "linux" or platform.machine() != "x86_64" or compiler is None:
            self.app.display_warning(f"{SOURCE} is not compiled: that needs gcc, on Linux on x86-64")
            return
        done = subprocess.run([compiler, *FLAGS, "-o", str(library), str(source)], capture_output=True, text=True)
        if done.returncode:
            self.app.display_warning(f"{SOURCE} is not compiled: {done.stderr}")
            return
        build_data["artifacts"].append(str(LIBRARY))
        build_data["pure_python"] = False
        # The library knows nothing of Python, so one wheel serves every version.
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
