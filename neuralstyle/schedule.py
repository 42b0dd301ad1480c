"""Schedules: at which sizes, and for how long at each, a picture is painted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

DEFAULT_ITERATIONS = 60
"""Evaluations at the finest scale of ``coarse_to_fine``."""


@dataclass(frozen=True)
class Scale:
    """One stage: the longest side of the picture in pixels, and how often loss and gradient are evaluated there."""

    size: int
    iterations: int


Schedule: TypeAlias = Callable[[int, "int | None"], "list[Scale]"]
"""(longest side of the result in pixels, iterations at the finest scale or None) -> stages, the finest last."""


def coarse_to_fine(size: int, iterations: int | None = None, *, smallest: int = 96) -> list[Scale]:
    """Halve the size down to ``smallest``, with twice as many iterations at each coarser scale.

    VGG-19's deepest style layer sees 156 pixels, so large strokes have to be laid while the picture is small. A
    coarser scale has a quarter of the pixels, so twice the iterations take half the time: all coarser scales together
    take no longer than the finest.

    Args:
        size: longest side of the result in pixels.
        iterations: at the finest scale; None: 60.
        smallest: no coarser scale is smaller than this, in pixels.

    Raises:
        ValueError: fewer than 1 iteration.

    Example:
        ```python
        from neuralstyle import coarse_to_fine

        print(coarse_to_fine(512))
        ```

    After Gatys et al. 2017, arXiv 1611.07865, section 6; the paper of 2015 paints at a single scale.

    """
    count = _iterations(iterations, DEFAULT_ITERATIONS)
    scales = [Scale(size, count)]
    while scales[0].size // 2 >= smallest:
        scales.insert(0, Scale(scales[0].size // 2, scales[0].iterations * 2))
    return scales


def single_scale(size: int, iterations: int | None = None) -> list[Scale]:
    """The whole work at the final size, as in the paper; 300 iterations unless told otherwise.

    Raises:
        ValueError: fewer than 1 iteration.

    Example:
        ```python
        from neuralstyle import single_scale

        assert [scale.size for scale in single_scale(512)] == [512]
        ```

    """
    return [Scale(size, _iterations(iterations, 300))]


def _iterations(received: int | None, default: int) -> int:
    if received is None:
        return default
    if isinstance(received, bool) or not isinstance(received, int) or received < 1:
        raise ValueError(f"iterations is a whole number of at least 1, received {received!r}")
    return received
