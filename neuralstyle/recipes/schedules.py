"""The schedules that paint through the compact encoder, and all schedules by name.

This is the only file that knows how the compact encoder is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from neuralstyle.encoders.base import Encoder, encoder_name
from neuralstyle.encoders.vgg import COMPACT, vgg_layers
from neuralstyle.losses import LossSum
from neuralstyle.losses.base import weights_in_use
from neuralstyle.parameters import Parameterization, Smoothed
from neuralstyle.recipes.default import DEFAULT_NETWORK
from neuralstyle.schedule import (
    FULL_SIZE,
    Schedule,
    Stage,
    coarse_to_fine,
    evaluations,
    fine,
    single_scale,
    times_default,
)

COMPACT_COST = 0.14
"""Time of an evaluation through the compact encoder relative to VGG-19, measured on two CPU cores (docs/compact.md)."""

SMOOTHED = Smoothed()
"""What the stages through the compact encoder change, so that they paint no weave."""

LAST_ITERATIONS = 30
"""Evaluations of ``standard`` through VGG-19 at the end, up to ``FULL_SIZE``."""

PREVIEW_ITERATIONS = (25, 20, 8)
"""Evaluations of ``preview`` at a quarter of the size and below, at half the size, and at the full size."""


def compact_stage(
    size: int, iterations: int, encoder: Encoder | str = COMPACT, parameters: Parameterization | None = SMOOTHED
) -> Stage:
    """Return a stage through the compact encoder, with its cost.

    Args:
        size: longest side of the picture in pixels.
        iterations: number of evaluations.
        encoder: "compact19", or a compact encoder.
        parameters: what the optimiser changes. Smoothed pixels cannot hold the weave of two pixels that the encoder's
            gradient asks for; None: the pixels, for a sharp picture where no other stage follows.

    Raises:
        ValueError: as for ``Stage``.

    Example:
        ```python
        from neuralstyle import Stage
        from neuralstyle.recipes import compact_stage

        assert compact_stage(96, 10, parameters=None) == Stage(96, 10, "compact19", cost=0.14)
        ```
    """
    return Stage(size, iterations, encoder, cost=COMPACT_COST, parameters=parameters)


def preview(size: int, iterations: int | None = None, *, compact: Encoder | str | None = COMPACT) -> list[Stage]:
    """Paint a preview in a few seconds, through the compact encoder, at the sizes of ``coarse_to_fine``.

    Args:
        size: longest side of the result in pixels.
        iterations: evaluations at the final size; None: 8, with 20 at half the size and 25 at a quarter and below.
            Another number changes all in proportion.
        compact: the compact encoder; None: the encoder of the call.

    Raises:
        ValueError: ``size`` or ``iterations`` is not a number in its range.

    Example:
        ```python
        from neuralstyle.recipes import preview

        assert [(stage.size, stage.iterations) for stage in preview(512)] == [(128, 25), (256, 20), (512, 8)]
        ```

    """
    *coarse, half, last = PREVIEW_ITERATIONS
    factor = Fraction(evaluations(iterations, last), last)
    sizes = [stage.size for stage in coarse_to_fine(size)]
    counts = [*coarse * len(sizes), half, last][-len(sizes) :]
    return times_default(_through(compact, [Stage(*each) for each in zip(sizes, counts, strict=True)]), factor)


def draft(size: int, iterations: int | None = None, *, compact: Encoder | str | None = COMPACT) -> list[Stage]:
    """Paint ``coarse_to_fine`` through the compact encoder alone, for fast experiments.

    All sizes but the last are smoothed, as in ``standard``.

    Args:
        size: longest side of the result in pixels.
        iterations: evaluations at the final size, as in ``coarse_to_fine``.
        compact: the compact encoder; None: the encoder of the call, with a third of the evaluations by default.

    Raises:
        ValueError: ``size`` or ``iterations`` is not a number in its range.

    Example:
        ```python
        from neuralstyle import samples, stylize

        image = stylize(samples.photo(), samples.painting("swirl"), size=64, schedule="draft")
        ```

    """
    stages = coarse_to_fine(size, iterations)
    if compact is None and iterations is None:
        return times_default(stages, Fraction(1, 3))
    return _through(compact, stages, smoothed=len(stages) - 1)


def standard(size: int, iterations: int | None = None, *, compact: Encoder | str | None = COMPACT) -> list[Stage]:
    """Paint from coarse to fine through the compact encoder, then through the encoder of the call.

    An evaluation through "compact19" takes about a seventh of the time through VGG-19 (``COMPACT_COST``). "compact19"
    paints at every size of ``coarse_to_fine`` up to 1024 pixels, then VGG-19 at the last of these. Above, only fine
    grain is left to paint, and VGG-19 paints alone. "compact19" paints smoothed pixels (``Smoothed``), so its weave
    does not come up; VGG-19 paints the finest detail.

    Args:
        size: longest side of the result in pixels.
        iterations: evaluations through VGG-19 at the final size; None: 30, or above 1024 pixels as in
            ``coarse_to_fine``. The compact encoder makes twice as many at each size. If the result is larger than
            1024 pixels, sizes up to 1024 have at least their default.
        compact: the compact encoder; None: ``coarse_to_fine`` through the encoder of the call.

    Raises:
        ValueError: ``size`` or ``iterations`` is not a number in its range.

    Example:
        ```python
        from neuralstyle import Stage
        from neuralstyle.recipes import compact_stage, standard

        assert standard(256) == [compact_stage(128, 60), compact_stage(256, 60), Stage(256, 30)]
        ```

    """
    stages = coarse_to_fine(size, iterations)
    if compact is None:
        return stages
    small = [stage for stage in stages if stage.size <= FULL_SIZE]
    last = LAST_ITERATIONS if iterations is None else iterations
    if size > FULL_SIZE:
        last = max(last, LAST_ITERATIONS)
    rough = [compact_stage(stage.size, 2 * last, compact) for stage in small]
    return [*rough, Stage(small[-1].size, last), *stages[len(small) :]]


def _through(compact: Encoder | str | None, stages: Sequence[Stage], smoothed: int = 0) -> list[Stage]:
    """Return the stages through the compact encoder if there is one, the first so many of them smoothed."""
    if compact is None:
        return list(stages)
    return [
        compact_stage(stage.size, stage.iterations, compact, SMOOTHED if number < smoothed else None)
        for number, stage in enumerate(stages)
    ]


SCHEDULES: dict[str, Schedule] = {
    "preview": preview,
    "draft": draft,
    "standard": standard,
    "fine": fine,
    "single": single_scale,
}
"""Schedules by name, as ``stylize`` and the command line take them."""


def why_without_compact(losses: LossSum, encoder: Encoder | str | None) -> str | None:
    """Return in one line why a named schedule leaves the compact encoder out, or None if it does not.

    The reason is an encoder in the call, or a loss at a layer that the compact encoder lacks.
    """
    if encoder is not None:
        return f"painting through {encoder_name(encoder)} alone, the encoder that was given"
    layers = vgg_layers(COMPACT)
    for loss in (term.loss for term in losses):
        for layer in weights_in_use(loss):
            if layer not in layers:
                named = f"{COMPACT} has no layer {layer!r}, which {type(loss).__name__} names"
                return f"{named}; painting through {DEFAULT_NETWORK} alone"
    return None
