"""Curves of style over structure: one number says where a picture lies, a curve says which method is better."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from neuralstyle._errors import brief, number


@dataclass(frozen=True)
class Curve:
    """The style distance of a method over the structure that it keeps, as one of its settings changes.

    Each method can trade one for the other, so two methods are compared at equal structure.

    Args:
        points: (structure, style) of each result, in any order; they are sorted by structure.

    Raises:
        ValueError: fewer than two points, or a value that is not a number.

    Example:
        ```python
        from neuralstyle.metrics import Curve

        curve = Curve([(0.9, 0.4), (0.5, 0.1)])
        assert abs(curve.style_at(0.7) - 0.25) < 1e-9  # on the line between the two
        assert curve.style_at(0.95) is None  # it was not measured there
        ```

    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if not isinstance(self.points, Iterable) or isinstance(self.points, (str, Mapping)):
            raise TypeError(f"points of a curve are pairs (structure, style), received {brief(self.points)}")
        found = []
        for point in self.points:
            if not isinstance(point, (tuple, list)) or len(point) != 2:
                raise ValueError(f"a point of a curve is (structure, style), received {brief(point)}")
            found.append((number("the structure of a point", point[0]), number("the style of a point", point[1])))
        if len(found) < 2:
            raise ValueError(f"a curve has two points at least, received {len(found)}")
        object.__setattr__(self, "points", tuple(sorted(found)))

    @classmethod
    def of(cls, rows: Iterable[Any]) -> Curve:
        """Return the curve of scores, or of rows with "structure" and "style", such as those of a sweep.

        Raises:
            ValueError: a row without these numbers, or fewer than two.

        """
        found = [row if isinstance(row, Mapping) else vars(row) for row in rows]
        if not all({"structure", "style"} <= set(row) for row in found):
            raise ValueError("a row of a curve has 'structure' and 'style'; measure the pictures first")
        return cls(tuple((row["structure"], row["style"]) for row in found))

    def style_at(self, structure: float) -> float | None:
        """Return the style distance at a structure, on the line between neighbours; None beyond the ends."""
        for (low, left), (high, right) in pairwise(self.points):
            if low <= structure <= high:
                return left if high == low else left + (right - left) * (structure - low) / (high - low)
        return None
