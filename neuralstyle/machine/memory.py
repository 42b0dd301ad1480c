"""The free memory of a device, and the return of freed memory to the system."""

from __future__ import annotations

import ctypes
import math
import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuralstyle.machine.control_groups import GROUPS, group_places

if TYPE_CHECKING:
    import torch

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
LARGE_BLOCK_BYTES = 8 * 2**20  # blocks of at least this size are returned as soon as they are freed

FREE_MEMORY_SHARE = 0.5
"""Share of the free memory that tiles, or the pairs of L-BFGS, may take; the rest is for all else."""

_CGROUP_FILES = (  # of versions 2 and 1 of Linux's control groups: folder, limit, usage
    ("/sys/fs/cgroup", "memory.max", "memory.current"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
)


def free_memory(device: torch.device) -> int:
    """Return the free bytes of an accelerator, or of the machine within its container's limit."""
    if device.type == "cuda":
        import torch

        # Memory that torch has reserved and does not use is free too.
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    import psutil

    free = int(psutil.virtual_memory().available)
    return int(max(0, min([free, *(_bytes_left(*files) for files in _limit_files())])))


@cache
def _limit_files() -> list[tuple[str, str]]:
    """The files of this process; cached at the first use, not on import."""
    return _cgroup_files(GROUPS)


def _cgroup_files(groups: str) -> list[tuple[str, str]]:
    """The files with limit and usage of a process's control groups and their parents, from its list of groups."""
    places = group_places("memory", groups)
    return [
        (f"{root}{place}/{limit}", f"{root}{place}/{usage}") for root, limit, usage in _CGROUP_FILES for place in places
    ]


def _bytes_left(limit: str, usage: str) -> float:
    """The bytes between usage and limit; infinite without a limit."""
    try:
        left = int(Path(limit).read_text()) - int(Path(usage).read_text())
    except (OSError, ValueError):  # there is no such limit, or it is "max"
        return math.inf
    return left + _reclaimable(Path(usage).with_name("memory.stat"))


def _reclaimable(statistics: Path) -> int:
    """Bytes that count as used but only cache files; the system frees them when needed."""
    try:
        values = dict(line.split() for line in statistics.read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(values.get("total_inactive_file", values.get("inactive_file", 0)))


def trim_heap() -> None:
    """Return freed CPU memory to the system, unless environment variables configure malloc.

    glibc keeps freed blocks in its heap, where holes between blocks of many sizes add up to 40% of a tile's memory.
    Only unused memory is returned; the process allocates as before.
    """
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def return_large_blocks() -> None:
    """Make glibc return large blocks to the system as soon as they are freed, in the whole process.

    For programs such as the command line, not for libraries, since it changes the allocator of the whole process. By
    default glibc keeps blocks of up to 32 MiB in its heap. Does nothing if environment variables configure malloc, or
    without glibc.
    """
    library = _glibc()
    if library is not None:
        library.mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, 2 * LARGE_BLOCK_BYTES)  # glibc's ratio of the two thresholds


@cache
def _glibc() -> Any:
    """glibc, if this process uses it and no environment variable configures its malloc; else None."""
    configured = any(name.startswith("MALLOC_") for name in os.environ)
    if configured or "malloc" in os.environ.get("GLIBC_TUNABLES", "") or not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    has_both = hasattr(library, "mallopt") and hasattr(library, "malloc_trim")  # musl has neither
    return library if has_both else None
