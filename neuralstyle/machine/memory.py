"""How much memory a device has free, and the return of freed memory to the system."""

from __future__ import annotations

import ctypes
import math
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import torch

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
MMAP_THRESHOLD_BYTES = 8 * 2**20

_FILES = (  # of versions 2 and 1 of Linux's control groups: where they are, their limit, their use
    ("/sys/fs/cgroup", "memory.max", "memory.current"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
)


@cache
def _limits(groups: str = "/proc/self/cgroup") -> list[tuple[str, str]]:
    """The files with limit and use of this process's control groups, and of all those around them."""
    try:
        lines = [line.split(":", 2) for line in Path(groups).read_text().splitlines()]
    except OSError:
        lines = []
    # Version 2 has no controllers in its line; in a container the path may be that outside, and does not exist.
    paths = ["/", *(path for _, controllers, path in lines if controllers in ("", "memory"))]
    places = dict.fromkeys(str(place) for path in paths for place in (Path(path), *Path(path).parents))
    return [(f"{root}{place}/{limit}", f"{root}{place}/{use}") for root, limit, use in _FILES for place in places]


def free_memory(device: torch.device) -> int:
    """Bytes that a device has free: of an accelerator, or of the machine within its container's limit."""
    if device.type == "cuda":
        # What torch has reserved and does not use is free as well.
        reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + reserve
    import psutil

    free = int(psutil.virtual_memory().available)
    return int(max(0, min([free, *(_left(*files) for files in _limits())])))


def _left(limit: str, use: str) -> float:
    try:
        left = int(Path(limit).read_text()) - int(Path(use).read_text())
    except (OSError, ValueError):  # there is no such limit, or it is "max"
        return math.inf
    return left + _reclaimable(Path(use).with_name("memory.stat"))


def _reclaimable(statistics: Path) -> int:
    """Bytes that count as used but hold files that have been read, and go when they are needed."""
    try:
        values = dict(line.split() for line in statistics.read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(values.get("total_inactive_file", values.get("inactive_file", 0)))


def trim_heap() -> None:
    """Return the CPU's freed memory to the system; from now on glibc returns large blocks as they are freed.

    glibc by itself comes to keep blocks of up to 32 MiB in its heap, where the holes between blocks of many sizes add
    up to 40% of what a tile takes. The setting holds for the process. Nothing is done if the environment sets malloc's
    options.
    """
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@cache
def _glibc() -> Any:
    """The C library, set to return large blocks; None where it cannot be, or where the environment sets malloc."""
    told = any(name.startswith("MALLOC_") for name in os.environ) or "malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if told or not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    if not (hasattr(library, "mallopt") and hasattr(library, "malloc_trim")):  # musl has neither
        return None
    library.mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)
    library.mallopt(_M_TRIM_THRESHOLD, 2 * MMAP_THRESHOLD_BYTES)  # in the proportion that glibc has
    return library
