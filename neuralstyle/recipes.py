"""Recipes: complete settings for ``stylize``, as data that can be looked at and changed."""

from __future__ import annotations

from numbers import Real
from typing import TypedDict

from neuralstyle._errors import unknown
from neuralstyle.color.control import Color
from neuralstyle.encoders import FeatureExtractor
from neuralstyle.encoders.base import Encoder
from neuralstyle.encoders.default import DEFAULT_PADDING as DEFAULT_PADDING
from neuralstyle.encoders.default import DEFAULT_POOLING as DEFAULT_POOLING
from neuralstyle.encoders.default import default_encoder as default_encoder
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
from neuralstyle.losses.base import Reference, weights_in_use
from neuralstyle.schedule import Schedule, single_scale

_SHARES = (0.05, 0.2, 0.15, 0.55, 0.05)  # of the five layers at which statistics are compared by default
_GRAM = GramStyleLoss(layer_weights=_SHARES, normalization="relative")
_MEAN_STD = MeanStdLoss(layer_weights=_SHARES)

DEFAULT_LOSSES = ContentLoss("relu2_1") + 30 * _GRAM + 2 * TotalVariationLoss()
"""What ``stylize`` minimises unless told otherwise: found by measurement and by eye, on photographs and paintings of
many kinds.

The style's layers do not count alike: relu4_1, where a position sees a whole stroke, has more than half of the
weight. With equal shares the picture comes as near to the style, but by fine texture over the photograph rather than
by strokes; with nearly all of the weight on relu4_1 it takes two or three times as long. The content is held at
relu2_1: that keeps edges, light and dark, and leaves the deep layers to the style, where relu4_2 contends with it.
"""

TEXTURE_LOSSES = _GRAM + 0.2 * TotalVariationLoss()
"""What ``synthesize_texture`` minimises unless told otherwise; the total variation clears the noise it starts from."""

# For each unit of the recipe's Gram matrices. Covariances pull from afar; what they leave, such as a patch of blue in a
# drawing, the kernel sees. In three channels so few frequencies tell colours apart.
_PIXELS: dict[Reference, LossSum] = {
    reference: 1 / 3 * CovarianceLoss("image", reference=reference)
    + 1 / 6 * MMDLoss("image", bandwidth=0.3, frequencies=16, reference=reference)
    for reference in ("style", "content")
}
_LIGHTLY = 0.1  # of that, under color="luminance"

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
"""Every style loss by its name, at the weight at which it changes the content about as much as the default one.

Those that compare statistics at five layers count them as the default does. Measured by ``benchmarks/losses.py
--weights`` on two pairs; see "Which loss?" in the documentation.
"""

STRENGTH_RANGE = 2.0
"""Powers of ten by which ``strength`` changes the balance of style and content to either side."""


def compact_serves(losses: LossSum, encoder: Encoder | str | None) -> bool:
    """Whether the compact encoder can stand in for VGG-19: nobody asks for another, and it has the losses' layers."""
    layers = vgg_layers(COMPACT)
    return encoder is None and all(layer in layers for term in losses for layer in weights_in_use(term.loss))


def with_pixels(losses: LossSum, color: Color = "style") -> LossSum:
    """The losses for a stage through the compact encoder: the distribution of pixels beside the recipe's Gram.

    Narrow features do not pin colours: without these a drawing in grey keeps the photograph's blue sky. Pixels are
    compared with those whose colours the result is to have: the style's, or under colour control the content's; lightly
    where these come afterwards, since then it is only by light and dark that the picture keeps near them.
    """
    pixels = _PIXELS["style" if color == "style" else "content"] * (_LIGHTLY if color == "luminance" else 1)
    beside = [each for term in losses if term.loss == _GRAM for each in pixels * term.weight]
    return LossSum((*losses, *beside))


def with_style_loss(losses: LossSum, name: str) -> LossSum:
    """A sum of losses with another style loss in the place of its own, which keeps as much of the content.

    Args:
        losses: such as ``DEFAULT_LOSSES``; each of its style losses gives place, and its weight, to the other one.
        name: of ``STYLE_LOSSES``.

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
    for term in losses:
        terms += STYLE_LOSSES[name] * term.weight if term.loss.reference == "style" else [term]
    return LossSum(tuple(terms))


def at_strength(strength: float) -> tuple[float, float]:
    r"""Factors of the content's and of the style's weight for one dial, $10^{1 - 2s}$ and $10^{2s - 1}$.

    Raises:
        ValueError: a strength outside [0, 1].
    """
    if isinstance(strength, bool) or not isinstance(strength, Real) or not 0 <= strength <= 1:
        raise ValueError(
            f"strength is a number from 0 (nearly the content) to 1 (nearly all style), received {strength!r}"
        )
    # Half on each side, so that regularisers keep their say against both together.
    power = STRENGTH_RANGE * (float(strength) - 0.5)
    return 10**-power, 10**power


class Recipe(TypedDict):
    """Keyword arguments of ``stylize``."""

    losses: LossSum
    encoder: FeatureExtractor
    init: str
    schedule: Schedule


def gatys(*, alpha: float = 1.0, beta: float = 1e5) -> Recipe:
    r"""The paper to the letter, as keyword arguments of ``stylize``.

    $$
    L = \alpha \frac{1}{2} \sum_{ij} (F_{ij} - P_{ij})^2 + \beta \sum_l \frac{1}{5}
    \frac{1}{4 N_l^2 M_l^2} \sum_{ij} (G^l_{ij} - A^l_{ij})^2
    $$

    on VGG-19 with normalised activations and average pooling, from white noise, at a single scale. The content loss
    is a sum over positions, so the balance of both depends on the picture's size, as in the paper.

    Args:
        alpha: weight of the content.
        beta: weight of the style. The paper shows alpha / beta from 1e-5 (the default) to 1e-2 and names 1e-3 and
            1e-4 for its larger pictures; with its formulas to the letter those leave hardly any style.

    Example:
        ```python
        from neuralstyle import gatys, samples, stylize

        stylize(samples.photo(), samples.painting("swirl"), **gatys(beta=1e6), size=64, iterations=2)
        ```

    Paper: Gatys, Ecker and Bethge, arXiv 1508.06576. Departures: layers are taken after their ReLU, average pooling
    is rescaled by 2, and pixels stay in their range.
    """
    return {
        "losses": alpha * ContentLoss("relu4_2", reduction="sum") + beta * GramStyleLoss(),
        "encoder": FeatureExtractor("vgg19", pooling="average"),
        "init": "noise",
        "schedule": single_scale,
    }
