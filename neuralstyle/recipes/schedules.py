"""The schedules that paint through the compact encoder, and all schedules by name.

This is the only file that knows how the compact encoder is used.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

from neuralstyle import losses as all_losses
from neuralstyle._errors import number, unknown
from neuralstyle.encoders.base import Encoder, encoder_name
from neuralstyle.encoders.vgg import COMPACT, vgg_layers
from neuralstyle.losses import Loss, LossSum, Term
from neuralstyle.losses.base import as_sum, weights_in_use
from neuralstyle.optimizers.adam import Adam
from neuralstyle.parameters import Parameterization, Smoothed
from neuralstyle.recipes.default import DEFAULT_NETWORK
from neuralstyle.schedule import (
    FULL_SIZE,
    Schedule,
    Stage,
    coarse_to_fine,
    evaluations,
    single_scale,
    times_default,
)

COMPACT_COST = 0.16
"""Time of an evaluation through the compact encoder relative to VGG-19, measured on two CPU cores (docs/compact.md)."""

SMOOTHED, SMOOTHEST = Smoothed(sharp=True), Smoothed()
"""What the stages through the compact encoder change, so that they paint no weave: up to ``preview``, and in the rest
of ``draft``, which otherwise would bring one up, and whose fine detail VGG-19 paints."""

FINE_STEPS = Adam()
"""Optimiser of the stages after those of ``preview``, up to 1024 pixels. Their result is the average of the steps.

L-BFGS is nearer to the painting after a few evaluations, so it paints previews. But from there it goes on to a faint
weave of dots in flat places, which these losses reward whatever the layers, the pooling and the network. Adam's steps
change the weave from one to the next, so that it goes from their average, and strokes and edges stay.
"""

COARSE_ITERATIONS, HALF_ITERATIONS = 24, 20
"""Evaluations through the compact encoder at the smallest size and up to a quarter of the size, and at half of it."""

PREVIEW_ITERATIONS, DRAFT_ITERATIONS = 10, 60
"""Evaluations through the compact encoder at the size of the picture, by the end of ``preview`` and of ``draft``."""

STANDARD_ITERATIONS, FINE_ITERATIONS = 30, 180
"""Evaluations through the encoder of the call at the size of the picture, by the end of ``standard`` and ``fine``."""

PRINT_ITERATIONS = 3
"""The same by the end of ``standard`` where the picture is larger than 1024 pixels."""

GRAIN_SHARE = Fraction(3, 5)
"""Share of the evaluations of ``coarse_to_fine`` above 1024 pixels by the end of ``draft``: only grain is left."""

DEEPEST_OF_GRAIN = "relu3_1"
"""Deepest layer at which grain is compared, see ``grain_losses``."""

GRAIN_COST, COMPACT_GRAIN_COST = 0.7, 0.1
"""Time of an evaluation up to that layer through VGG-19 and the compact encoder, relative to VGG-19 up to relu4_2."""


def compact_stage(
    size: int, iterations: int, encoder: Encoder | str = COMPACT, parameters: Parameterization | None = SMOOTHED
) -> Stage:
    """Return a stage through the compact encoder, with its cost.

    Args:
        size: longest side of the picture in pixels.
        iterations: number of evaluations.
        encoder: "compact19", or a compact encoder.
        parameters: what the optimiser changes. Smoothed pixels cannot hold the weave of two pixels that the encoder's
            gradient asks for; None: the pixels.

    Raises:
        ValueError: as for ``Stage``.

    Example:
        ```python
        from neuralstyle import Stage
        from neuralstyle.recipes import compact_stage

        assert compact_stage(96, 10, parameters=None) == Stage(96, 10, "compact19", cost=0.16)
        ```
    """
    return Stage(size, iterations, encoder, cost=COMPACT_COST, parameters=parameters)


def preview(size: int, iterations: int | None = None, *, compact: Encoder | str | None = COMPACT) -> list[Stage]:
    """Paint a preview in a few seconds, through the compact encoder, at the sizes of ``coarse_to_fine``.

    Up to 1024 pixels ``preview``, ``draft``, ``standard`` and ``fine`` are one sequence: each begins with all stages of
    the one before. So a picture can be looked at after each, and painted on.

    Args:
        size: longest side of the result in pixels.
        iterations: evaluations at the final size; None: 10, with 20 at half the size and 24 at a quarter and below,
            and at the smallest. Another number changes all in proportion. Above 1024 pixels fewer, as in
            ``coarse_to_fine``.
        compact: the compact encoder; None: the encoder of the call.

    Raises:
        ValueError: ``size`` or ``iterations`` is not a number in its range.

    Example:
        ```python
        from neuralstyle.recipes import preview

        assert [(stage.size, stage.iterations) for stage in preview(512)] == [(128, 24), (256, 20), (512, 10)]
        ```

    """
    small, large, factor = _split(size, iterations, PREVIEW_ITERATIONS)
    share = Fraction(PREVIEW_ITERATIONS, DRAFT_ITERATIONS)
    grain = large if iterations else times_default(large, share)
    return [*_through(compact, _begin(small, factor)), *_grain(compact, grain)]


def draft(size: int, iterations: int | None = None, *, compact: Encoder | str | None = COMPACT) -> list[Stage]:
    """Paint on from ``preview`` through the compact encoder alone, for fast experiments.

    Args:
        size: longest side of the result in pixels.
        iterations: evaluations at the final size; None: 60, or above 1024 pixels three fifths of those of
            ``coarse_to_fine``. Another number changes all in proportion.
        compact: the compact encoder; None: ``coarse_to_fine`` through the encoder of the call, with a third of the
            evaluations by default.

    Raises:
        ValueError: ``size`` or ``iterations`` is not a number in its range.

    Example:
        ```python
        from neuralstyle import samples, stylize
        from neuralstyle.recipes import draft, preview

        image = stylize(samples.photo(), samples.painting("swirl"), size=64, schedule="draft")
        assert draft(256)[: len(preview(256))] == preview(256)
        ```

    """
    if compact is None:
        stages = coarse_to_fine(size, iterations)
        return stages if iterations is not None else times_default(stages, Fraction(1, 3))
    small, large, factor = _split(size, iterations, DRAFT_ITERATIONS)
    grain = large if iterations else times_default(large, GRAIN_SHARE)
    return [*_through(compact, _draft(small, factor)), *_grain(compact, grain)]


def standard(size: int, iterations: int | None = None, *, compact: Encoder | str | None = COMPACT) -> list[Stage]:
    """Paint on from ``draft`` through the encoder of the call, VGG-19.

    An evaluation through "compact19" takes about a sixth of the time through VGG-19 (``COMPACT_COST``). "compact19"
    paints at every size of ``coarse_to_fine``, then VGG-19 at the last one. "compact19" paints smoothed pixels
    (``Smoothed``), so its weave does not come up; VGG-19 paints the finest detail. Above 1024 pixels only fine grain is
    left to paint: VGG-19 paints at the last size up to 1024, and then only a little at the end. Both go only as far as
    relu3_1 there (``grain_losses``).

    Args:
        size: longest side of the result in pixels.
        iterations: evaluations through VGG-19 at the final size; None: 30, or 3 above 1024 pixels. Another number
            changes all up to 1024 pixels in proportion; but if the result is larger, they have at least their default.
        compact: the compact encoder; None: ``coarse_to_fine`` through the encoder of the call.

    Raises:
        ValueError: ``size`` or ``iterations`` is not a number in its range.

    Example:
        ```python
        from neuralstyle import Adam, Stage
        from neuralstyle.recipes import draft, standard

        assert standard(256) == [*draft(256), Stage(256, 30, optimizer=Adam(), result="average")]
        assert (standard(2048)[-1].size, standard(2048)[-1].iterations) == (2048, 3)
        ```

    """
    if compact is None:
        return coarse_to_fine(size, iterations)
    small, large, factor = _split(size, iterations, STANDARD_ITERATIONS)
    rough = [*_through(compact, _draft(small, factor)), _averaged(small[-1], math.ceil(STANDARD_ITERATIONS * factor))]
    if not large:
        return rough
    grain = _grain(compact, times_default(coarse_to_fine(size)[len(small) :], GRAIN_SHARE))
    last = Stage(size, evaluations(iterations, PRINT_ITERATIONS), losses=grain_losses, cost=GRAIN_COST)
    return [*rough, *grain, last]


def fine(size: int, iterations: int | None = None, *, compact: Encoder | str | None = COMPACT) -> list[Stage]:
    """Paint on from ``standard`` through the encoder of the call, VGG-19, for the best quality.

    Args:
        size: longest side of the result in pixels.
        iterations: evaluations through VGG-19 at the final size; None: 180, or above 1024 pixels those of
            ``coarse_to_fine``, 10 to 60. Another number changes the others as in ``standard``.
        compact: the compact encoder; None: ``coarse_to_fine`` through the encoder of the call, with three times the
            evaluations by default.

    Raises:
        ValueError: ``size`` or ``iterations`` is not a number in its range.

    Example:
        ```python
        from neuralstyle.recipes import fine, standard

        assert fine(256)[:-1] == standard(256)
        assert fine(256)[-1].iterations == 150
        ```

    """
    if compact is None:
        stages = coarse_to_fine(size, iterations)
        return stages if iterations is not None else times_default(stages, 3)
    small, large, factor = _split(size, iterations, FINE_ITERATIONS)
    if large:
        total = large[-1].iterations
        begun = standard(size, min(total, PRINT_ITERATIONS), compact=compact)
        return [*begun, Stage(size, total - PRINT_ITERATIONS)] if total > PRINT_ITERATIONS else begun
    rough = _through(compact, _draft(small, factor))
    total, first = (math.ceil(count * factor) for count in (FINE_ITERATIONS, STANDARD_ITERATIONS))
    return [*rough, *(_averaged(size, count) for count in (first, total - first) if count)]


def grain_losses(losses: Loss | LossSum) -> LossSum:
    """Return losses at their layers up to relu3_1, for stages that paint only grain.

    Deeper layers take three tenths of the time of an evaluation up to relu4_2, and need wider borders of tiles. Above
    1024 pixels they see less than a stroke, which smaller sizes have painted.

    Args:
        losses: the losses of a call. Weights of the layers that stay do not change. Losses stay as they are if one of
            them needs deeper layers: all of its own are deeper, it takes all at once, or it is no loss of this package,
            and nobody knows what it is without some of its layers.

    Example:
        ```python
        from neuralstyle import ContentLoss, GramStyleLoss
        from neuralstyle.recipes import grain_losses

        losses = grain_losses(ContentLoss(("relu2_1", "relu4_2"), (0.45, 0.55)) + 2 * GramStyleLoss())
        assert [term.loss.layers for term in losses] == [("relu2_1",), ("relu1_1", "relu2_1", "relu3_1")]
        assert grain_losses(ContentLoss("relu4_2")).terms[0].loss == ContentLoss("relu4_2")
        ```
    """
    losses = as_sum(losses)
    names = list(vgg_layers(DEFAULT_NETWORK))
    deep = set(names[names.index(DEEPEST_OF_GRAIN) + 1 :])

    def cut(loss: Any) -> Loss | None:
        weights = weights_in_use(loss)
        shallow = {layer: weight for layer, weight in weights.items() if layer not in deep}
        if len(shallow) == len(weights):
            return loss  # type: ignore[no-any-return]
        if loss.joint or not shallow or getattr(all_losses, type(loss).__name__, None) is not type(loss):
            return None
        return replace(loss, layers=tuple(shallow), layer_weights=tuple(shallow.values()))  # type: ignore[no-any-return]

    found = [(cut(term.loss), term.weight) for term in losses]
    terms = [Term(loss, weight) for loss, weight in found if loss is not None]
    return LossSum(tuple(terms)) if len(terms) == len(losses) else losses


def with_detail(stages: Sequence[Stage], detail: float) -> list[Stage]:
    """Return stages with fewer evaluations at the last size, which leave the broad strokes of smaller sizes.

    Args:
        stages: the stages of a schedule.
        detail: factor of the evaluations at the last size, above 0 and at most 1; each stage keeps one at least.

    Raises:
        ValueError: a factor outside its range.

    Example:
        ```python
        from neuralstyle import samples, stylize
        from neuralstyle.recipes import standard, with_detail

        stages = with_detail(standard(96), 0.2)
        image = stylize(samples.photo(), samples.painting("swirl"), size=96, schedule=stages)
        ```
    """
    detail = number("detail", detail, above=0, most=1)
    last = stages[-1].size
    return [
        replace(stage, iterations=math.ceil(detail * stage.iterations)) if stage.size == last else stage
        for stage in stages
    ]


def _split(size: int, iterations: int | None, default: int) -> tuple[list[int], list[Stage], Fraction]:
    """The sizes up to ``FULL_SIZE``, the stages above, and the factor of the evaluations at the former."""
    factor = Fraction(evaluations(iterations, default), default)
    stages = coarse_to_fine(size, iterations)
    small = [stage.size for stage in stages if stage.size <= FULL_SIZE]
    return small, stages[len(small) :], max(factor, Fraction(1)) if size > FULL_SIZE else factor


def _begin(sizes: Sequence[int], factor: Fraction) -> list[Stage]:
    """The stages with which every schedule begins: those of ``preview``."""
    counts = [*[COARSE_ITERATIONS] * len(sizes), HALF_ITERATIONS, PREVIEW_ITERATIONS][-len(sizes) :]
    counts[0] = COARSE_ITERATIONS
    return times_default([Stage(*each) for each in zip(sizes, counts, strict=True)], factor)


def _draft(sizes: Sequence[int], factor: Fraction) -> list[Stage]:
    """The stages of ``draft``: one more than those of ``preview``, if the evaluations are not too few for it."""
    begun = _begin(sizes, factor)
    count = math.ceil(DRAFT_ITERATIONS * factor) - begun[-1].iterations
    if count < 1:
        return begun
    return [*begun, _averaged(sizes[-1], count, SMOOTHEST)]


def _averaged(size: int, iterations: int, parameters: Parameterization | None = None) -> Stage:
    """A stage after those of ``preview``."""
    return Stage(size, iterations, parameters=parameters, optimizer=FINE_STEPS, result="average")


def _through(compact: Encoder | str | None, stages: Sequence[Stage]) -> list[Stage]:
    """The stages through the compact encoder, if there is one."""
    if compact is None:
        return list(stages)
    return [
        replace(
            compact_stage(each.size, each.iterations, compact, each.parameters or SMOOTHED),
            optimizer=each.optimizer,
            result=each.result,
        )
        for each in stages
    ]


def _grain(compact: Encoder | str | None, stages: Sequence[Stage]) -> list[Stage]:
    """The stages above 1024 pixels through the compact encoder, if there is one."""
    if compact is None:
        return list(stages)
    return [replace(each, losses=grain_losses, cost=COMPACT_GRAIN_COST) for each in _through(compact, stages)]


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


def named_schedule(name: str, losses: LossSum, encoder: Encoder | str | None) -> tuple[Schedule, str | None]:
    """Return the schedule of this name, without the compact encoder where that cannot stand in, and then the reason.

    Args:
        name: a name of ``SCHEDULES``.
        losses: the losses of the call.
        encoder: the encoder of the call, or None.

    Raises:
        ValueError: an unknown name.
    """
    if name not in SCHEDULES:
        raise unknown("schedule", name, SCHEDULES)
    function, reason = SCHEDULES[name], why_without_compact(losses, encoder)
    if reason is None or "compact" not in inspect.signature(function).parameters:
        return function, None
    return partial(function, compact=None), reason  # type: ignore[call-arg]
