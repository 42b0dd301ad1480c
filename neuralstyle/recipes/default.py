"""The default losses, and every style loss at its weight, as data that you can print and change."""

from __future__ import annotations

from numbers import Real

from neuralstyle._errors import brief, unknown
from neuralstyle._words import Color
from neuralstyle.encoders.base import Encoder
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

_SHARES = (0.15, 0.3, 0.25, 0.25, 0.05)  # of the five layers at which statistics are compared by default
_GRAM = GramStyleLoss(layer_weights=_SHARES, normalization="relative")
_MEAN_STD = MeanStdLoss(layer_weights=_SHARES)

DEFAULT_LOSSES = ContentLoss(("relu2_1", "relu4_2"), layer_weights=(0.4, 0.6)) + 30 * _GRAM + 2 * TotalVariationLoss()
"""Default losses of ``stylize``, chosen by measurement and by eye on photographs and paintings of many kinds.

relu4_1, where a position sees a whole object, has a quarter of the style's weight. With half of it, the painting's
objects stand as ghosts in the empty places of the photograph; strokes of all sizes come from shallow layers at every
size of ``coarse_to_fine``. The content is compared at relu4_2, which keeps faces, thin things and contrast but leaves
colours to the style, and at relu2_1, which keeps edges, light and dark.
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
