"""Schedules: at which sizes, and for how long at each, a picture is painted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeAlias

from neuralstyle._errors import unknown
from neuralstyle.encoders.base import Encoder
from neuralstyle.encoders.vgg import COMPACT

DEFAULT_ITERATIONS = 60
"""Evaluations at each scale of ``coarse_to_fine``, up to ``FULL_SIZE``."""

LAST_ITERATIONS = 30
"""Evaluations through VGG-19 by which ``standard`` ends, up to ``FULL_SIZE``."""

FULL_SIZE = 1024
"""Longest side in pixels above which a scale has fewer evaluations the more pixels it has."""

FEWEST_ITERATIONS = 10
"""Evaluations by default at the finest scale, however large."""


@dataclass(frozen=True)
class Scale:
    """One stage: the longest side of the picture in pixels, and how often loss and gradient are evaluated there.

    ``encoder``: what the picture is looked at through there, a ``FeatureExtractor`` or a network's name; None: the
    encoder of the call.

    Example:
        ```python
        from neuralstyle import FeatureExtractor, Scale, samples, stylize

        rough = FeatureExtractor("vgg19", pooling="average")
        image = stylize(
            samples.photo(),
            samples.painting("swirl"),
            size=64,
            schedule=lambda size, iterations: [Scale(size // 2, 4, rough), Scale(size, 2)],
        )
        ```
    """

    size: int
    iterations: int
    encoder: Encoder | str | None = None


Schedule: TypeAlias = Callable[[int, "int | None"], "list[Scale]"]
"""(longest side of the result in pixels, iterations at the finest scale or None) -> stages, the finest last."""


def coarse_to_fine(size: int, iterations: int | None = None, *, smallest: int = 96) -> list[Scale]:
    r"""Halve the size down to ``smallest``, with as many iterations at each coarser scale up to 1024 pixels.

    VGG-19's deepest style layer sees 156 pixels, so large strokes have to be laid while the picture is small. A
    coarser scale has a quarter of the pixels: all of them together take a third of the finest's time.

    Above 1024 pixels there is only fine grain left to paint. A scale of s pixels has by default

    $$
    n(s) = \max\left(10,\; 60 \, (1024 / s)^2\right)
    $$

    iterations, the work of 1024 pixels until the floor of 10 is reached. All scales to 4096 pixels take less than 4
    times as long as all to 1024, in pixels times iterations; beyond, the time grows with the pixels.

    Args:
        size: longest side of the result in pixels.
        iterations: at the finest scale; None: 60, or n(size) above 1024 pixels. Where the result is larger than 1024
            pixels, the coarser scales have this number or n(s), whichever is more, down to the first of at most 1024
            pixels, so the large strokes are laid as in a smaller result even where the finest scale has few; from
            there on all have the same.
        smallest: no coarser scale is smaller than this, in pixels.

    Raises:
        ValueError: fewer than 1 iteration.

    Example:
        ```python
        from neuralstyle import coarse_to_fine

        print(coarse_to_fine(512))
        print(coarse_to_fine(4096))
        ```

    After Gatys et al. 2017, arXiv 1611.07865, section 6; the paper of 2015 paints at a single scale.

    """
    count = _iterations(iterations, _default_iterations(size))
    scales = [Scale(size, count)]
    while (coarser := scales[0].size // 2) >= smallest:
        scales.insert(0, Scale(coarser, max(count, _default_iterations(coarser)) if size > FULL_SIZE else count))
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


def standard(size: int, iterations: int | None = None) -> list[Scale]:
    """Most of the way through the compact encoder, from coarse to fine, and the last strokes through VGG-19.

    An evaluation through "compact19" takes about an eighth of the time of one through VGG-19. Up to 1024 pixels it
    paints at every scale of ``coarse_to_fine``, and VGG-19 at the finest; above, where only fine grain is left to
    paint, VGG-19 has every scale to itself.

    Args:
        size: longest side of the result in pixels.
        iterations: through VGG-19 at the finest scale, after twice as many through the compact encoder at every
            scale; None: 30, or above 1024 pixels as ``coarse_to_fine``. Where the result is larger than 1024 pixels,
            the scales up to there have at least their default.

    Raises:
        ValueError: fewer than 1 iteration.

    Example:
        ```python
        from neuralstyle import Scale
        from neuralstyle.schedule import standard

        assert standard(256) == [Scale(128, 60, "compact19"), Scale(256, 60, "compact19"), Scale(256, 30)]
        ```

    """
    scales = coarse_to_fine(size, iterations)
    small = [scale for scale in scales if scale.size <= FULL_SIZE]
    last = LAST_ITERATIONS if iterations is None else iterations
    if size > FULL_SIZE:
        last = max(last, LAST_ITERATIONS)
    rough = [Scale(scale.size, 2 * last, COMPACT) for scale in small]
    return [*rough, Scale(small[-1].size, last), *scales[len(small) :]]


def draft(size: int, iterations: int | None = None) -> list[Scale]:
    """``coarse_to_fine`` through the compact encoder alone: soon there, to try things out.

    Raises:
        ValueError: fewer than 1 iteration.

    Example:
        ```python
        from neuralstyle import samples, stylize

        image = stylize(samples.photo(), samples.painting("swirl"), size=64, schedule="draft")
        ```

    """
    return [replace(scale, encoder=COMPACT) for scale in coarse_to_fine(size, iterations)]


def fine(size: int, iterations: int | None = None) -> list[Scale]:
    """``coarse_to_fine`` with three times the iterations at every scale: what is left to be won, slowly.

    With a number of iterations it is ``coarse_to_fine`` itself.

    Raises:
        ValueError: fewer than 1 iteration.

    Example:
        ```python
        from neuralstyle.schedule import fine

        assert [scale.iterations for scale in fine(256)] == [180, 180]
        ```

    """
    return _of_default(size, iterations, Fraction(3))


def _short(size: int, iterations: int | None = None) -> list[Scale]:
    """``coarse_to_fine`` with a third of the iterations, or so many."""
    return _of_default(size, iterations, Fraction(1, 3))


SCHEDULES: dict[str, Schedule] = {
    "draft": draft,
    "standard": standard,
    "fine": fine,
    "single": single_scale,
}
"""Schedules by name, as ``stylize`` and the command line take them."""

WITHOUT_COMPACT: dict[str, Schedule] = {**SCHEDULES, "draft": _short, "standard": coarse_to_fine}
"""The same where the compact encoder cannot stand in for the network of the call."""


def find_schedule(schedule: Schedule | str, *, compact: bool = True) -> Schedule:
    """A schedule, or the one of this name, with or without the compact encoder.

    Raises:
        ValueError: an unknown name; the near one is suggested.

    """
    if not isinstance(schedule, str):
        return schedule
    if schedule not in SCHEDULES:
        raise unknown("schedule", schedule, SCHEDULES)
    return (SCHEDULES if compact else WITHOUT_COMPACT)[schedule]


def _of_default(size: int, iterations: int | None, factor: Fraction) -> list[Scale]:
    scales = coarse_to_fine(size, iterations)
    if iterations is not None:
        return scales
    return [replace(scale, iterations=math.ceil(factor * scale.iterations)) for scale in scales]


def _default_iterations(size: int) -> int:
    if size <= FULL_SIZE:
        return DEFAULT_ITERATIONS
    return max(FEWEST_ITERATIONS, round(DEFAULT_ITERATIONS * (FULL_SIZE / size) ** 2))


def _iterations(received: int | None, default: int) -> int:
    if received is None:
        return default
    if isinstance(received, bool) or not isinstance(received, int) or received < 1:
        raise ValueError(f"iterations is a whole number of at least 1, received {received!r}")
    return received
