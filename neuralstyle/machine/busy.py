"""Whether other programs need the cores, and then threads that do not spin while they wait for each other.

At the end of each parallel section the threads of torch's OpenMP runtime wait for the last one in a loop. That is fast
on a quiet machine. On a busy one they take the cores that the last one needs. The runtime reads how long they may do so
(GOMP_SPINCOUNT) when it is loaded, so the program decides before it imports torch, from two readings of /proc/stat:
one at its start, and one after it has read its command line. It never waits for a longer interval.

Only the program does that, not the library, which leaves the environment to its host. Importing this file imports
neither torch nor numpy.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Collection, Mapping, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

from neuralstyle.machine.control_groups import cpu_quota

SPIN_COUNT = 1000
"""Turns on a busy machine: far less than a millisecond; the runtime's own choice is hundreds of times it."""

VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
"""What says how threads wait, the first before the second. If the user has set one, it stays alone."""

OTHERS_LIMIT = 1 / 3
"""Cores that other programs may use on a quiet machine."""

SHORTEST_TICKS = 5
"""Between two readings, in the system's units of time (10 ms); what is shorter allows no judgement."""

_IDLE, _STATES = slice(3, 5), slice(0, 8)  # in a line of /proc/stat; what follows is counted in the first two already


class Reading(NamedTuple):
    """What the CPUs have done until a moment, in seconds: those that this process may use, added up."""

    clock: float
    idle: float
    all_states: float
    own: float
    """Time of this process and of its children."""


class Load(NamedTuple):
    """What other programs use, in cores, and the most by which rounding is likely to have raised it."""

    others: float
    rounding: float


_start: Reading | None = None
_load: Load | None = None
_reason = ""


def begin() -> None:
    """Take the first reading; without it ``settle`` does nothing."""
    global _start
    _start = take_reading(usable_cpus())


def settle(environment: MutableMapping[str, str] = os.environ) -> None:
    """Before torch is imported, set GOMP_SPINCOUNT if the cores are needed by others and the user has not chosen."""
    global _load, _reason
    if _start is None or "torch" in sys.modules or any(name in environment for name in VARIABLES):
        return
    cpus = usable_cpus()
    _load = load_between(_start, take_reading(cpus), len(cpus))
    _reason = reason_to_sleep(_load, len(cpus), threads_of(environment, cpus), cpu_quota())
    if _reason:
        environment["GOMP_SPINCOUNT"] = str(SPIN_COUNT)


def waiting(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Tell whether threads spin while they wait, and why: ``{"spin": ..., "why": ...}``; None where it is unknown."""
    chosen = next((name for name in VARIABLES if environment.get(name)), None)
    if chosen is not None:
        why = f"{chosen}={environment[chosen]}"
        return {"spin": _spins(environment[chosen]), "why": f"{why}, {_reason}" if _reason else f"{why} was set"}
    if not sys.platform.startswith("linux"):
        return {"spin": None, "why": "the OpenMP runtime decides"}
    known = "" if _load is None else f"; {_others(_load, len(usable_cpus()))}"
    return {"spin": True, "why": f"the default{known}"}


def reason_to_sleep(load: Load | None, cpus: int, threads: int, quota: float) -> str:
    """Say why threads should not spin; "" if they may.

    Args:
        load: what other programs use, if that is known.
        cpus: CPUs that this process may use.
        threads: threads that will compute.
        quota: cores' time that this process may use.

    """
    if threads > 1 and quota < threads:
        return f"since this process may use {quota:.3g} cores for {threads} threads"
    if load is None or load.others <= max(OTHERS_LIMIT, load.rounding) or cpus - load.others >= threads:
        return ""
    return f"since {_others(load, cpus)}" if threads > 1 else ""


def load_between(before: Reading, after: Reading | None, cpus: int) -> Load | None:
    """Return what other programs used between two readings; None if they are too close, or tell nothing."""
    if after is None:
        return None
    clock, idle, all_states, own = (late - early for early, late in zip(before, after, strict=True))
    # A sandbox may show a /proc/stat in which no time passes.
    if clock < SHORTEST_TICKS * _tick() or all_states < cpus * clock / 2:
        return None
    # Idle time is exact to the tick of each CPU; the other states are often only sampled.
    others = (cpus * clock - idle - own) / clock
    return Load(max(0.0, others), math.sqrt(cpus) * _tick() / clock)


def take_reading(cpus: Collection[int], statistics: str = "/proc/stat") -> Reading | None:
    """Read what these CPUs have done so far; None where the system does not say."""
    if not cpus:
        return None
    try:
        lines = [line.split() for line in Path(statistics).read_text().splitlines() if line.startswith("cpu")]
        found = {words[0]: [int(word) for word in words[1:]] for words in lines}
        states = [found[f"cpu{cpu}"] for cpu in cpus]
    except (OSError, ValueError, KeyError):
        return None
    idle = sum(sum(state[_IDLE]) for state in states)
    children = sum(os.times()[2:4])
    return Reading(
        time.monotonic(),
        idle * _tick(),
        sum(sum(state[_STATES]) for state in states) * _tick(),
        time.process_time() + children,
    )


def usable_cpus() -> set[int]:
    """The CPUs that this process may use; none elsewhere than on Linux."""
    return os.sched_getaffinity(0) if sys.platform.startswith("linux") else set()


def threads_of(environment: Mapping[str, str], cpus: Collection[int], system: str = "/sys/devices/system/cpu") -> int:
    """The threads with which torch will compute: those that OMP_NUM_THREADS asks for, or one a physical core."""
    asked = environment.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return len({_core_of(cpu, system) for cpu in cpus})


def _core_of(cpu: int, system: str) -> str:
    """The CPUs of the physical core that a CPU belongs to, in words."""
    try:
        return Path(system, f"cpu{cpu}", "topology", "thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _others(load: Load, cpus: int) -> str:
    return f"other programs use {load.others:.1f} of {cpus} cores"


def _spins(value: str) -> bool | None:
    """Whether threads spin with such a value of one of the variables."""
    words = {"passive": False, "active": True, "infinite": True, "infinity": True}
    value = value.strip().lower()
    return int(value) > SPIN_COUNT if value.isdecimal() else words.get(value)


def _tick() -> float:
    """Seconds of a unit of /proc/stat."""
    return 1 / os.sysconf("SC_CLK_TCK")
