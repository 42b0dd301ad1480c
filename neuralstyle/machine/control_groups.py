"""The control groups of Linux that a process is in, where containers keep their limits."""

from __future__ import annotations

import math
from pathlib import Path

GROUPS = "/proc/self/cgroup"


def group_places(controller: str, groups: str = GROUPS) -> list[str]:
    """Return the places of a process's groups and of their parents, below the root of a controller.

    Args:
        controller: such as "memory" or "cpu"; the groups of version 2 have all of them.
        groups: the file with the process's list of groups.

    """
    try:
        lines = [line.split(":", 2) for line in Path(groups).read_text().splitlines()]
    except OSError:
        lines = []
    # Version 2 names no controllers. In a container the path may be the host's, which does not exist.
    own = [path for _, controllers, path in lines if not controllers or controller in controllers.split(",")]
    return list(dict.fromkeys(str(place) for path in ["/", *own] for place in (Path(path), *Path(path).parents)))


def cpu_quota(root: str = "/sys/fs/cgroup", groups: str = GROUPS) -> float:
    """Return how many cores' time the process's groups may use; infinite without a limit."""
    places = group_places("cpu", groups)
    ours = [_quota(f"{root}{place}/cpu.max") for place in places]  # version 2: both numbers in one file
    older = [_quota(*(f"{root}/cpu{place}/cpu.cfs_{name}_us" for name in ("quota", "period"))) for place in places]
    return min(ours + older)


def _quota(*files: str) -> float:
    try:
        words = " ".join(Path(file).read_text() for file in files).split()
        quota, period = int(words[0]), int(words[1])
    except (OSError, ValueError, IndexError):  # there is no such limit, or it is "max"
        return math.inf
    return quota / period if quota > 0 and period > 0 else math.inf  # -1 is no limit
