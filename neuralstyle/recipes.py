"""Recipes: the default losses of ``stylize`` and its schedules, as data that you can print and change.

This is the only file that knows how the compact encoder is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from numbers import Real
from typing import TypedDict

from neuralstyle._errors import brief, unknown
from neuralstyle._words import Color
from neuralstyle.encoders import FeatureExtractor
from neuralstyle.encoders.base import Encoder, encoder_name
from neuralstyle.encoders.vgg import COMPACT, vgg_layers
from neuralstyle.losses import (
    ContentLoss,
    ContextualLoss,
    CovarianceLoss,
    GramStyleLoss,
    HistogramLoss,
    LongRangeLoss,
    Loss,
    LossSum,
    MeanStdLoss,
    MMDLoss,
    MRFLoss,
    NearestNeighborLoss,
    RelaxedEMDLoss,
    SlicedWassersteinLoss,
    Term,
    TotalVariationLoss,
    WassersteinLoss,
)
from neuralstyle.losses.base import Reference, as_sum, weights_in_use
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

_SHARES = (0.05, 0.2, 0.15, 0.55, 0.05)  # of the five layers at which statistics are compared by default
_GRAM = GramStyleLoss(layer_weights=_SHARES, normalization="relative")
_MEAN_STD = MeanStdLoss(layer_weights=_SHARES)

DEFAULT_LOSSES = ContentLoss("relu2_1") + 30 * _GRAM + 2 * TotalVariationLoss()
"""Default losses of ``stylize``, chosen by measurement and by eye on photographs and paintings of many kinds.

relu4_1, where a position sees a whole stroke, has 0.55 of the style's weight. With equal shares the style loss falls as
far, but by fine texture over the photograph instead of strokes; with nearly all of the weight on relu4_1 painting takes
two or three times as long. The content is compared at relu2_1, which keeps edges, light and dark; at relu4_2 it would
compete with the style.
"""

TEXTURE_LOSSES = _GRAM + 0.2 * TotalVariationLoss()
"""Default losses of ``synthesize_texture``; the total variation removes the noise of the start."""

STYLE_LOSSES: dict[str, Loss | LossSum] = {
    "gram": _GRAM,
    "gram-mean-std": 0.7 * _GRAM + 0.7 * _MEAN_STD,
    "mean-std": 3.5 * _MEAN_STD,
    "covariance": 0.4 * CovarianceLoss(layer_weights=_SHARES),
    "wasserstein": 0.5 * WassersteinLoss(layer_weights=_SHARES),
    "mmd": 6 * MMDLoss(layer_weights=_SHARES),
    "sliced-wasserstein": 4 * SlicedWassersteinLoss(layer_weights=_SHARES),
    "histogram": 1.5 * HistogramLoss(),
    # These match directions or patches, which leaves colour and contrast free: means and deviations pin them.
    "mrf": 0.08 * MRFLoss() + 0.4 * MeanStdLoss(),
    "nearest-neighbor": 0.25 * NearestNeighborLoss() + 0.75 * MeanStdLoss(),
    "relaxed-emd": 0.5 * RelaxedEMDLoss() + 0.5 * MeanStdLoss(),
    "contextual": 0.3 * ContextualLoss() + 0.5 * MeanStdLoss(),
    "long-range": 0.6 * LongRangeLoss(),
}
"""Style losses by name, each at the weight at which it changes the content about as much as the default one.

Losses that compare statistics at five layers have the default's layer weights. Measured by ``benchmarks/losses.py
--weights`` on two pairs; see "Which loss?" in the documentation.
"""

STRENGTH_RANGE = 2.0
"""Powers of ten by which ``strength`` changes the ratio of style to content, up or down."""

DEFAULT_NETWORK = "vgg19"

# Weights per unit of a style loss. The covariance acts at any distance; MMD sees what it misses, such as a patch of
# blue in a drawing. Three channels need few frequencies.
_PIXEL_TERMS: dict[Reference, LossSum] = {
    reference: 1 / 3 * CovarianceLoss("image", reference=reference)
    + 1 / 6 * MMDLoss("image", bandwidth=0.3, frequencies=16, reference=reference)
    for reference in ("style", "content")
}

LUMINANCE_PIXEL_WEIGHT = 0.1
"""Factor of the pixel terms with ``color="luminance"``: chroma is replaced afterwards, so only lightness counts."""


def with_pixel_terms(losses: LossSum, color: Color = "style") -> LossSum:
    r"""Add terms that pin the colours of the pixels, for an encoder whose features leave them free.

    Without these terms a grey drawing, painted through the compact encoder, keeps the photograph's blue sky. They are
    a ``CovarianceLoss`` and an ``MMDLoss`` on the pixels, with the weights

    $$ w_\text{cov} = \frac{1}{3} \sum_k \frac{\lambda_k}{u_k}, \qquad w_\text{MMD} = \frac{w_\text{cov}}{2} $$

    where k runs over the terms that compare with the style at layers other than "image" alone. $\lambda_k$ is the
    weight of the term, $u_k$ the weight of its kind of loss in ``STYLE_LOSSES``, or 1 for a kind that is not there.

    Args:
        losses: the losses of a stage.
        color: whose colours the result has, as in ``stylize``. "style" compares the pixels with the style's, all others
            with the content's; "luminance" with a tenth of the weight.

    Returns:
        The sum followed by the two terms, or the sum itself if no term compares with the style.

    Example:
        ```python
        from neuralstyle import DEFAULT_LOSSES
        from neuralstyle.recipes import with_pixel_terms

        print(with_pixel_terms(DEFAULT_LOSSES).names[3:])  # ('CovarianceLoss', 'MMDLoss')
        ```
    """
    style_terms = [term for term in losses if term.loss.reference == "style"]
    units = sum(t.weight / _unit(t.loss) for t in style_terms if set(weights_in_use(t.loss)) != {"image"})
    if not units:
        return losses
    pixel_terms = _PIXEL_TERMS["style" if color == "style" else "content"]
    return losses + pixel_terms * (LUMINANCE_PIXEL_WEIGHT if color == "luminance" else 1) * units


def _unit(loss: Loss) -> float:
    """Return the weight of a kind of loss in ``STYLE_LOSSES``, or 1 if it is not there."""
    first: dict[type, float] = {}
    for entry in STYLE_LOSSES.values():
        term = next(iter(as_sum(entry)))
        first.setdefault(type(term.loss), term.weight)
    return next((first[kind] for kind in type(loss).__mro__ if kind in first), 1.0)


def losses_through(encoder: Encoder, losses: LossSum, color: Color = "style") -> LossSum:
    """Return the losses of a stage through an encoder: with pixel terms if the encoder has ``pins_colors = False``."""
    return losses if getattr(encoder, "pins_colors", True) else with_pixel_terms(losses, color)


COMPACT_COST = 0.14
"""Time of an evaluation through the compact encoder relative to VGG-19, measured on two CPU cores (docs/compact.md)."""

LAST_ITERATIONS = 30
"""Evaluations of ``standard`` through VGG-19 at the end, up to ``FULL_SIZE``."""

PREVIEW_ITERATIONS = (25, 20, 8)
"""Evaluations of ``preview`` at a quarter of the size and below, at half the size, and at the full size."""


def compact_stage(size: int, iterations: int, encoder: Encoder | str = COMPACT) -> Stage:
    """Return a stage through the compact encoder, with its cost.

    Args:
        size: longest side of the picture in pixels.
        iterations: number of evaluations.
        encoder: "compact19", or a compact encoder.

    Raises:
        ValueError: as for ``Stage``.

    Example:
        ```python
        from neuralstyle import Stage
        from neuralstyle.recipes import compact_stage

        assert compact_stage(96, 10) == Stage(96, 10, "compact19", cost=0.14)
        ```
    """
    return Stage(size, iterations, encoder, cost=COMPACT_COST)


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
    return _through(compact, stages)


def standard(size: int, iterations: int | None = None, *, compact: Encoder | str | None = COMPACT) -> list[Stage]:
    """Paint from coarse to fine through the compact encoder, then through the encoder of the call.

    An evaluation through "compact19" takes about a seventh of the time through VGG-19 (``COMPACT_COST``). "compact19"
    paints at every size of ``coarse_to_fine`` up to 1024 pixels, then VGG-19 at the last of these. Above, only fine
    grain is left to paint, and VGG-19 paints alone.

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


def _through(compact: Encoder | str | None, stages: Sequence[Stage]) -> list[Stage]:
    return list(stages) if compact is None else [compact_stage(each.size, each.iterations, compact) for each in stages]


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


def with_style_loss(losses: LossSum, name: str) -> LossSum:
    """Replace the style losses of a sum by another, at the weight that changes the content about as much.

    Args:
        losses: such as ``DEFAULT_LOSSES``; the new loss takes the place and weight of each style loss.
        name: the new loss, a name of ``STYLE_LOSSES``.

    Raises:
        ValueError: an unknown name.

    Example:
        ```python
        from neuralstyle import DEFAULT_LOSSES, samples, stylize, with_style_loss

        losses = with_style_loss(DEFAULT_LOSSES, "wasserstein")
        stylize(samples.photo(), samples.painting("swirl"), losses=losses, size=64, iterations=2)
        ```
    """
    if name not in STYLE_LOSSES:
        raise unknown("style loss", name, STYLE_LOSSES)
    terms: list[Term] = []
    for term in as_sum(losses):
        terms += STYLE_LOSSES[name] * term.weight if term.loss.reference == "style" else [term]
    return LossSum(tuple(terms))


def strength_factors(strength: float) -> tuple[float, float]:
    r"""Return the factors of content and style losses for a strength s: $10^{1 - 2s}$ and $10^{2s - 1}$.

    Raises:
        ValueError: a strength outside [0, 1].
    """
    if isinstance(strength, bool) or not isinstance(strength, Real) or not 0 <= strength <= 1:
        raise ValueError(
            f"strength is a number from 0 (nearly the content) to 1 (nearly all style), received {brief(strength)}"
        )
    # Half for each, so that regularisers keep their weight relative to both together.
    power = STRENGTH_RANGE * (float(strength) - 0.5)
    return 10**-power, 10**power


class Recipe(TypedDict):
    """Keyword arguments of ``stylize``."""

    losses: LossSum
    encoder: FeatureExtractor
    init: str
    schedule: Schedule


def gatys(*, alpha: float = 1.0, beta: float = 1e5) -> Recipe:
    r"""The paper's settings, as keyword arguments of ``stylize``.

    $$
    L = \alpha \frac{1}{2} \sum_{ij} (F_{ij} - P_{ij})^2 + \beta \sum_l \frac{1}{5}
    \frac{1}{4 N_l^2 M_l^2} \sum_{ij} (G^l_{ij} - A^l_{ij})^2
    $$

    on VGG-19 with normalised activations and average pooling, from white noise, at a single scale. The content loss
    is a sum over positions, so the balance depends on the picture's size, as in the paper.

    Args:
        alpha: weight of the content.
        beta: weight of the style. The paper shows alpha / beta from 1e-5 (the default) to 1e-2, and names 1e-3 and
            1e-4 for its larger pictures; with its exact formulas those leave hardly any style.

    Example:
        ```python
        from neuralstyle import gatys, samples, stylize

        stylize(samples.photo(), samples.painting("swirl"), **gatys(beta=1e6), size=64, iterations=2)
        ```

    Paper: Gatys, Ecker and Bethge, arXiv 1508.06576. Departures: layers are taken after their ReLU, average pooling
    is multiplied by 2, and pixels stay in [0, 1].
    """
    return {
        "losses": alpha * ContentLoss("relu4_2", reduction="sum") + beta * GramStyleLoss(),
        "encoder": FeatureExtractor("vgg19", pooling="average"),
        "init": "noise",
        "schedule": single_scale,
    }
