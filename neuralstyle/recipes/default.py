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
    GhostLoss,
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

_SHARES = (0.15, 0.3, 0.25, 0.25, 0.05)  # of the five layers at which most losses compare statistics by default
_GRAM = GramStyleLoss(layer_weights=_SHARES, normalization="relative")
_MEAN_STD = MeanStdLoss(layer_weights=_SHARES)
_WASSERSTEIN = WassersteinLoss(
    ("relu1_1", "relu2_1", "relu3_1"), layer_weights=(0.5, 0.25, 0.25), normalization="channels"
)

DEFAULT_STYLE_LOSS = "wasserstein"
"""Name in ``STYLE_LOSSES`` of the loss by which ``DEFAULT_LOSSES`` compares style."""

DEFAULT_LOSSES = (
    ContentLoss(("relu2_1", "relu4_2"), layer_weights=(0.45, 0.55))
    + 13 * _WASSERSTEIN
    + 20 * TotalVariationLoss()
    + 30 * GhostLoss()
)
"""Default losses of ``stylize``, chosen by measurement and by eye on photographs and paintings of many kinds.

Style is optimal transport between the Gaussians of shallow features. Its distance grows with the square of a
difference in features, where that of Gram matrices grows with the fourth power, so faint things count too: flat colour
stays clean, and contrast is the painting's. Deeper layers, where a position sees a whole object, leave the painting's
objects as ghosts in the empty places of the photograph; strokes of all sizes come from shallow layers at every size of
``coarse_to_fine``. Of the ghosts that shallow layers still bring, ``GhostLoss`` leaves less than half. The content is
compared at relu4_2, which keeps faces and thin things but leaves colours to the style, and at relu2_1, which keeps
edges, light and dark.
"""

TEXTURE_LOSSES = 1.5 * _GRAM + 0.3 * TotalVariationLoss()
"""Default losses of ``synthesize_texture``; the total variation removes the noise of the start."""

_GRAM_WEIGHT = 2.6

STYLE_LOSSES: dict[str, Loss | LossSum] = {
    "wasserstein": _WASSERSTEIN,
    "gram": _GRAM_WEIGHT * _GRAM,
    "gram-mean-std": 1.8 * _GRAM + 1.8 * _MEAN_STD,
    "mean-std": 8 * _MEAN_STD,
    "covariance": 0.85 * CovarianceLoss(layer_weights=_SHARES),
    "mmd": 25 * MMDLoss(layer_weights=_SHARES),
    "sliced-wasserstein": 10 * SlicedWassersteinLoss(layer_weights=_SHARES),
    "histogram": 4.9 * HistogramLoss(),
    # These match directions or patches, which leaves colour and contrast free: means and deviations pin them.
    "mrf": 0.16 * MRFLoss() + 0.8 * MeanStdLoss(),
    "nearest-neighbor": 0.52 * NearestNeighborLoss() + 1.4 * MeanStdLoss(),
    "relaxed-emd": 1.1 * RelaxedEMDLoss() + 1.1 * MeanStdLoss(),
    "contextual": 0.55 * ContextualLoss() + 0.92 * MeanStdLoss(),
    "long-range": 1.3 * LongRangeLoss(),
}
"""Style losses by name, each at the weight at which it changes the content about as much as the default one.

Measured by ``benchmarks/losses.py --weights`` on two pairs, and on one of them beside this default; see "Which loss?"
in the documentation.
"""

STRENGTH_RANGE = 2.5
"""Powers of ten by which ``strength`` changes the ratio of style to content, up or down."""

DEFAULT_NETWORK = "vgg19"

# Weights per unit of a style loss: a third and a sixth of that of Gram matrices, beside which they were chosen. The
# covariance acts at any distance; MMD sees what it misses, such as a patch of blue in a drawing. Three channels need
# few frequencies.
_PIXEL_TERMS: dict[Reference, LossSum] = {
    reference: _GRAM_WEIGHT / 3 * CovarianceLoss("image", reference=reference)
    + _GRAM_WEIGHT / 6 * MMDLoss("image", bandwidth=0.3, frequencies=16, reference=reference)
    for reference in ("style", "content")
}

_FIRST_BLOCK = ("image", "conv1_1", "relu1_1", "conv1_2", "relu1_2")

LUMINANCE_PIXEL_WEIGHT = 0.1
"""Factor of the pixel terms with ``color="luminance"``: chroma is replaced afterwards, so only lightness counts."""


def with_pixel_terms(losses: LossSum, color: Color = "style") -> LossSum:
    r"""Add terms that pin the colours of the pixels, for an encoder whose features leave them free.

    Without these terms a grey drawing, painted by Gram matrices through the compact encoder, keeps the photograph's
    blue sky. They are a ``CovarianceLoss`` and an ``MMDLoss`` on the pixels, with the weights

    $$ w_\text{cov} = \frac{u_G}{3} \sum_k \frac{\lambda_k}{u_k}, \qquad w_\text{MMD} = \frac{w_\text{cov}}{2} $$

    where k runs over the terms that compare with the style and leave colours free: not at "image" alone, and no
    ``WassersteinLoss`` with a layer of the first block, as in ``DEFAULT_LOSSES``. $\lambda_k$ is the weight of the
    term, $u_k$ the weight of its kind of loss in ``STYLE_LOSSES``, or 1 for a kind that is not there, and $u_G$ that of
    "gram".

    Args:
        losses: the losses of a stage.
        color: whose colours the result has, as in ``stylize``. "style" compares the pixels with the style's, all others
            with the content's; "luminance" with a tenth of the weight.

    Returns:
        The sum followed by the two terms, or the sum itself if no term leaves the style's colours free.

    Example:
        ```python
        from neuralstyle import DEFAULT_LOSSES, with_style_loss
        from neuralstyle.recipes import with_pixel_terms

        losses = with_style_loss(DEFAULT_LOSSES, "gram")
        print(with_pixel_terms(losses).names[4:])  # ('CovarianceLoss', 'MMDLoss')
        ```
    """
    style_terms = [term for term in losses if term.loss.reference == "style"]
    units = sum(t.weight / _unit(t.loss) for t in style_terms if not _pins_colors(t.loss))
    if not units:
        return losses
    pixel_terms = _PIXEL_TERMS["style" if color == "style" else "content"]
    return losses + pixel_terms * (LUMINANCE_PIXEL_WEIGHT if color == "luminance" else 1) * units


def _pins_colors(loss: Loss) -> bool:
    """Whether a style loss leaves no other colours than the style's, through whatever encoder."""
    layers = set(weights_in_use(loss))
    return layers == {"image"} or (isinstance(loss, WassersteinLoss) and not layers.isdisjoint(_FIRST_BLOCK))


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

        losses = with_style_loss(DEFAULT_LOSSES, "gram")
        stylize(samples.photo(), samples.painting("swirl"), losses=losses, size=64, iterations=2)
        ```
    """
    if name not in STYLE_LOSSES:
        raise unknown("style loss", name, STYLE_LOSSES)
    terms: list[Term] = []
    for term in as_sum(losses):
        is_style = term.loss.reference == "style"
        terms += STYLE_LOSSES[name] * (term.weight / _unit(term.loss)) if is_style else [term]
    return LossSum(tuple(terms))


def strength_factors(strength: float) -> tuple[float, float]:
    r"""Return the factors of content and style losses for a strength s: $10^{1.25 - 2.5s}$ and $10^{2.5s - 1.25}$.

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
