"""Forecast of the time that a run still takes, from the evaluations that it has made."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

OVERHEAD = 6000.0
"""Work that an evaluation takes beside that of its pixels, until it is measured: so much as 77 x 77 pixels of VGG-19.

Measured on two CPU cores: compact19 takes 0.16 s at 160 pixels and 0.35 s at 320, four times as many.
"""

RECENT = 15
"""Evaluations of a stage that count: a machine may become slower or faster."""


class Forecast:
    """Forecast of the time left.

    An evaluation takes time in proportion to its work and an overhead. The overhead is measured as soon as two stages
    of different work are; before that it is a guess. The first evaluation of a stage does not count, as it includes
    what is done once for the stage, such as its targets.

    Args:
        works: the work of an evaluation of each stage, in any unit in which ``OVERHEAD`` is right.
        counts: the number of evaluations of each stage.

    """

    def __init__(self, works: Sequence[float], counts: Sequence[int]) -> None:
        self._works, self._counts = works, counts
        self._seconds: list[list[float]] = [[] for _ in works]
        self._first: list[float | None] = [None for _ in works]

    def add(self, stage: int, seconds: float) -> None:
        """Count an evaluation of a stage."""
        if self._first[stage] is None:
            self._first[stage] = seconds
        else:
            self._seconds[stage].append(seconds)

    def left(self, stage: int, done: int) -> float | None:
        """Return the seconds left after ``done`` evaluations of a stage, or None if nothing is known yet."""
        known = [number for number, seconds in enumerate(self._seconds) if seconds]
        if not known:
            return None
        rate, overhead = self._fit(known)

        def seconds(number: int) -> float:
            return self._median(number) if number in known else rate * (self._works[number] + overhead)

        later = range(stage + 1, len(self._works))
        # One evaluation more in each later stage, for its targets.
        return (self._counts[stage] - done) * seconds(stage) + sum((self._counts[n] + 1) * seconds(n) for n in later)

    def _fit(self, known: Sequence[int]) -> tuple[float, float]:
        """Return the seconds per work of the last measured stage, and the overhead as work."""
        last = known[-1]
        work, seconds = self._works[last], self._median(last)
        overhead = OVERHEAD
        others = [number for number in known if self._works[number] != work]
        if others:
            other_work, other_seconds = self._works[others[-1]], self._median(others[-1])
            slope = (seconds - other_seconds) / (work - other_work)
            measured = min(max(seconds / slope - work, 0.0), 10 * max(self._works)) if slope > 0 else overhead
            overhead = (measured + OVERHEAD) / 2  # two stages are a small sample on a busy machine
        return seconds / (work + overhead), overhead

    def _median(self, stage: int) -> float:
        return median(self._seconds[stage][-RECENT:])
