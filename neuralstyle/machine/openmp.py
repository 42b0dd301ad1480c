"""The OpenMP runtimes of this process."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_RUNTIME = re.compile(r"(lib)?(g|i)?omp(5|5md)?(-\w+)?\.(so|dylib|dll)[.\d]*|vcomp\d+\.dll", re.IGNORECASE)


def openmp_runtimes() -> list[str] | None:
    """Return the files of the OpenMP runtimes that the process has loaded; None where the system does not say.

    One is as it should be. The threads of several do not know each other, and compete for the processor.
    """
    import psutil

    process: Any = psutil.Process()
    if not hasattr(process, "memory_maps"):  # on macOS
        return None
    files = {Path(area.path).resolve() for area in process.memory_maps() if area.path}
    return sorted(str(file) for file in files if _RUNTIME.fullmatch(file.name))
