"""Forecast of the time that work still takes, from the steps that it has made: of paintings, folders, films, trainings.

Importing this file does not import torch.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Sequence
from statistics import fmean, median
from typing import Any

OVERHEAD = 2000.0
"""Work that an evaluation takes beside that of its pixels, until it is measured: so much as 45 x 45 pixels of VGG-19.

Measured on one and on two CPU cores: compact19 takes 6 to 9 times as long at 384 pixels as at 96, not 16 times.
"""

TARGETS = 1.0
"""Evaluations that the targets of a stage take, until they are measured."""

RECENT, LONGEST = 15, 300
"""Steps that count: the last third, at least 15 and at most 100. A machine may become slower or faster."""


FEW = 3
"""Up to so many steps all count, the longest too."""

COUNTED = "{desc}{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
"""The format of a bar that counts pictures or steps."""


class Pace:
    """Seconds of a step, as the mean of the recent ones.

    The first steps do not count once there are others, as they include what is done once; nor does the longest of the
    recent ones, in which the machine may have slept.

    Args:
        starts: how many first steps include what is done once.

    """

    def __init__(self, starts: int = 1) -> None:
        self._starts = starts
        self.firsts: list[float] = []
        self._later: deque[float] = deque(maxlen=LONGEST)

    def add(self, seconds: float) -> None:
        """Count a step."""
        (self._later if self.is_warm else self.firsts).append(seconds)

    @property
    def is_warm(self) -> bool:
        """Whether the first steps are made."""
        return len(self.firsts) == self._starts

    @property
    def later(self) -> float | None:
        """Seconds of a step that is not one of the first, or None before there was one."""
        if not self._later:
            return None
        recent = sorted(list(self._later)[-max(RECENT, len(self._later) // 3) :])
        return fmean(recent[:-1] if len(recent) > FEW else recent)

    @property
    def seconds(self) -> float | None:
        """The same, or of the first steps as long as there are no others."""
        return self.later if self._later or not self.firsts else fmean(self.firsts)

    def left(self, steps: float) -> float | None:
        """Return the seconds that so many steps take, or None if nothing is known yet."""
        return 0.0 if not steps else None if self.seconds is None else steps * self.seconds


class Costs:
    """Seconds of an evaluation by its kind, such as an encoder, and its work, as far as they have been measured."""

    def __init__(self) -> None:
        self._points: dict[Hashable, dict[float, float]] = {}

    def __contains__(self, kind: Hashable) -> bool:
        return kind in self._points

    def copy(self) -> Costs:
        """Return a copy, which does not change."""
        copied = Costs()
        copied._points = {kind: dict(points) for kind, points in list(self._points.items())}
        return copied

    def add(self, kind: Hashable, work: float, seconds: float) -> None:
        """Note what an evaluation takes."""
        points = self._points.pop(kind, {})
        points.pop(work, None)
        self._points[kind] = {**dict(list(points.items())[-RECENT:]), work: seconds}

    def seconds(self, kind: Hashable, work: float) -> float | None:
        """Return the seconds of an evaluation, scaled from the nearest work of its kind, or else of the last kind."""
        if not self._points:
            return None
        last = next(reversed(self._points.values()))
        points = self._points.get(kind, last)
        nearest = min(points, key=lambda known: abs(math.log(known / work)))
        overhead = _overhead(points if len(points) > 1 else last)
        return points[nearest] * (work + overhead) / (nearest + overhead)


class Forecast:
    """Forecast of the time left of evaluations at several stages.

    An evaluation takes time in proportion to its work and an overhead. What a stage takes is measured from its second
    evaluation on. A stage that has not begun is scaled from another of the same kind; else, where an earlier run has
    met both kinds, as they were to each other; else as their works are.

    Args:
        works: the work of an evaluation of each stage, in pixels of VGG-19.
        counts: the number of evaluations of each stage.
        kinds: for each stage what has a cost of its own, such as its encoder; without it all are of one kind.
        memory: what earlier runs have measured; this run adds to it.

    """

    def __init__(
        self,
        works: Sequence[float],
        counts: Sequence[int],
        kinds: Sequence[Hashable] = (),
        memory: Costs | None = None,
    ) -> None:
        self._works, self._counts, self._kinds = works, counts, kinds or [None] * len(works)
        self._memory = Costs() if memory is None else memory
        self._before, self._own = self._memory.copy(), Costs()
        self._paces = [Pace() for _ in works]
        self._last = 0

    def add(self, stage: int, seconds: float) -> None:
        """Count an evaluation of a stage."""
        pace = self._paces[stage]
        pace.add(seconds)
        if pace.later is not None:
            self._last = stage
            for costs in (self._own, self._memory):
                costs.add(self._kinds[stage], self._works[stage], pace.later)

    def left(self, stage: int, done: int) -> float | None:
        """Return the seconds left after ``done`` evaluations of a stage, or None if nothing is known yet."""
        targets, total = self._targets(), 0.0
        for number in range(stage, len(self._works)):
            made = done if number == stage else 0
            seconds = self._seconds(number)
            if seconds is None:
                return None
            total += (self._counts[number] - made + (0 if made else targets)) * seconds
        return total

    def _seconds(self, stage: int) -> float | None:
        """Return the seconds of an evaluation of a stage, but the first."""
        if self._paces[stage].later is not None:
            return self._paces[stage].later
        kind, work = self._kinds[stage], self._works[stage]
        found = self._own.seconds(kind, work)
        if kind in self._before and kind not in self._own:
            then = self._before.seconds(kind, work)
            seen, now = (self._kinds[self._last], self._works[self._last]), self._paces[self._last].later
            if now is None:
                found = then
            elif seen[0] in self._before and then is not None:
                found = then * now / (self._before.seconds(*seen) or now)
        return None if found is None else min([found, *self._paces[stage].firsts])

    def _targets(self) -> float:
        """Return the evaluations that the targets of a stage take; those of the first include a start."""
        paces = [pace for pace in self._paces if pace.later][1:]
        return median([max(pace.firsts[0] / pace.later - 1, 0.0) for pace in paces if pace.later] or [TARGETS])


def show_left(bar: Any, left: float | None, form: str = COUNTED) -> None:
    """Show a time left on a bar of tqdm, in place of its own, which takes all steps for alike."""
    bar.bar_format = form.replace("{remaining}", "?" if left is None else bar.format_interval(left))


def _overhead(points: dict[float, float]) -> float:
    """Return the overhead as work, from the last two works that were measured."""
    if len(points) < 2:
        return OVERHEAD
    (work, seconds), (last_work, last_seconds) = list(points.items())[-2:]
    slope = (last_seconds - seconds) / (last_work - work)
    if slope <= 0:
        return OVERHEAD
    measured = min(max(last_seconds / slope - last_work, 0.0), 10 * max(points))
    return (measured + OVERHEAD) / 2  # two works are a small sample on a busy machine
