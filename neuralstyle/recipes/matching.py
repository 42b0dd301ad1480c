"""Published methods that match patches or features one by one: Li and Wand, STROTSS, NNST."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from torch import Tensor

from neuralstyle.encoders import FeatureExtractor
from neuralstyle.images import resize_image
from neuralstyle.losses import (
    ContentLoss,
    CovarianceLoss,
    HypercolumnLoss,
    LossSum,
    MRFLoss,
    NearestNeighborLoss,
    RelaxedEMDLoss,
    SelfSimilarityLoss,
    Term,
    TotalVariationLoss,
)
from neuralstyle.losses.base import weights_in_use
from neuralstyle.recipes.recipe import Recipe, scales
from neuralstyle.schedule import Stage

_GRID = "relu3_1"  # a position for every 4 x 4 pixels
_POSITIONS = 4096  # of hypercolumns: all of a picture up to 256 pixels

_STROTSS_LAYERS = (
    *("image", "relu1_1", "relu1_2", "relu2_1", "relu2_2"),
    *("relu3_1", "relu3_2", "relu3_3", "relu4_3", "relu5_3"),
)
_STROTSS_SMALLEST = 64
_STROTSS_ALPHA = 16.0  # weight of the content at this size
_STROTSS_POINTS = 2048  # of each picture; more, and the same ones, where the released code draws 1024 at each step

_NNST_CHANNELS = {
    **{"relu1_1": 64, "relu1_2": 64, "relu2_1": 128, "relu2_2": 128},
    **{"relu3_1": 256, "relu3_2": 256, "relu3_3": 256, "relu4_1": 512, "relu4_2": 512, "relu4_3": 512},
}


def li_wand(*, content: float = 1.0, style: float = 3.0, tv: float = 2.0) -> Recipe:
    r"""Markov random fields, 2016: every patch of features is like some patch of the painting.

    $$
    L = \lambda_c L_\text{content} + \lambda_s \sum_{l \in \{3, 4\}} \frac{1}{2}
    \frac{\operatorname{mean}_p |\Psi_p - \Psi^S_{n(p)}|^2}{\operatorname{mean}_q |\Psi^S_q|^2} + \lambda_t L_\text{TV}
    $$

    with the content at relu4_2 and patches of 3 x 3 positions at relu3_1 and relu4_1 of VGG-19 with max pooling, each
    compared with the most similar one by normalised cross-correlation. It begins with the content and paints at a
    quarter, at half and at the full size, with 100 evaluations of L-BFGS at each.

    Args:
        content: $\lambda_c$.
        style: $\lambda_s$.
        tv: $\lambda_t$.

    Example:
        ```python
        from neuralstyle import samples, stylize
        from neuralstyle.recipes import li_wand

        stylize(samples.photo(), samples.painting("swirl"), **li_wand(), size=64, iterations=2)
        ```

    Paper: Li and Wand, arXiv 1601.04589. Departures: the weights, which belong to sums over raw activations there, and
    here to means relative to the style's own patches; a patch at every position, where the released code takes every
    second one, of at most 4096 of the style's; no rotated and scaled copies of the painting; pixels stay in [0, 1].
    """
    return {
        "losses": content * ContentLoss("relu4_2") + style * MRFLoss() + tv * TotalVariationLoss(),
        "encoder": FeatureExtractor("vgg19", padding="replicate"),
        "init": "content",
        "schedule": partial(scales, levels=3, default=100),
    }


def strotss(*, content: float = 1.0, style: float = 1.0) -> Recipe:
    r"""STROTSS, 2019: relaxed optimal transport for the style, self-similarity for the content, both of hypercolumns.

    $$
    L = \lambda_c \alpha L_\text{self-similarity} + \lambda_s \left(L_\text{relaxed EMD} + L_\text{moments}
    + \frac{1}{\max(\alpha, 1)} L_\text{palette}\right), \qquad \alpha = \frac{16 \cdot 64}{\text{size}}
    $$

    The hypercolumns join the pixels and nine layers up to relu5_3 at single points. The palette is the relaxed earth
    mover's distance of the colours. It begins at 64 pixels or a little above, with the finest detail of the content on
    its mean colour, and doubles the size, with 200 evaluations at each.

    Args:
        content: $\lambda_c$.
        style: $\lambda_s$.

    Example:
        ```python
        from neuralstyle import samples, stylize
        from neuralstyle.recipes import strotss

        stylize(samples.photo(), samples.painting("swirl"), **strotss(), size=64, iterations=2)
        ```

    Paper: Kolkin, Salavon and Shakhnarovich, arXiv 1904.12785. Departures: L-BFGS on the pixels instead of RMSprop on a
    Laplacian pyramid; 200 evaluations, where the released code makes 250; 2048 points (1024 for self-similarity), the
    same at each step, instead of 1024 drawn anew; moments are compared by squares relative to the style's instead of
    absolute values, and the palette in RGB; the start has the content's mean colour instead of the style's, and no
    detail of the content is added at the next sizes; the sum is not divided by its weights; VGG-19 in the place of
    VGG-16, whose weights are not in the package, with L2 pooling.
    """
    joined = partial(HypercolumnLoss, _STROTSS_LAYERS, grid="image", reading="point")
    losses = (
        content * joined(SelfSimilarityLoss(samples=None), samples=1024)
        + style * joined(RelaxedEMDLoss(samples=None), samples=_STROTSS_POINTS)
        + style * joined(CovarianceLoss(), samples=_STROTSS_POINTS)
        + style * RelaxedEMDLoss("image", metric="euclidean", samples=_POSITIONS)
    )
    return {
        "losses": losses,
        "encoder": FeatureExtractor("vgg19", pooling="l2", padding="replicate"),
        "init": _detail,
        "schedule": _strotss_scales,
    }


def _detail(content: Tensor) -> Tensor:
    """The mean colour of a picture of 64 pixels with its finest detail."""
    small = resize_image(content, _STROTSS_SMALLEST)
    height, width = small.shape[2:]
    coarse = resize_image(resize_image(small, (-(-height // 2), -(-width // 2))), (height, width))
    return (small.mean((2, 3), keepdim=True) + small - coarse).clamp(0, 1)


def _strotss_scales(size: int, iterations: int | None = None) -> list[Stage]:
    stages = scales(size, iterations, smallest=_STROTSS_SMALLEST, default=200)
    return [replace(stage, losses=partial(_strotss_losses, size=stage.size)) for stage in stages]


def _strotss_losses(losses: LossSum, size: int) -> LossSum:
    """The losses at a size: the content's alpha is halved with each doubling, and the palette's weight grows."""
    alpha = _STROTSS_ALPHA * min(1.0, _STROTSS_SMALLEST / size)

    def factor(term: Term) -> float:
        if term.loss.reference == "content":
            return alpha
        return 1 / max(alpha, 1.0) if set(weights_in_use(term.loss)) == {"image"} else 1.0

    return LossSum(tuple(replace(term, weight=term.weight * factor(term)) for term in losses))


def nnst(*, content: float = 0.5, style: float = 1.0, palette: float = 0.1) -> Recipe:
    r"""NNST, 2022: every hypercolumn is like the nearest one of the painting; at last, every layer by itself.

    $$
    L = \lambda_c L_\text{content}
    + \lambda_s \operatorname{mean}_p \min_q \left(1 - \cos(h_p - \bar h^S, h^S_q - \bar h^S)\right)
    + \lambda_p L_\text{palette}
    $$

    The hypercolumns join the ten layers up to relu4_3, each divided by its number of channels, at a quarter of the
    picture's size. It begins with the content at 64 pixels and doubles the size, with 200 evaluations at each, and as
    many at the last with the layers apart.

    Args:
        content: $\lambda_c$, of the content at relu4_1.
        style: $\lambda_s$.
        palette: $\lambda_p$, of the mean and covariance of the colours, see ``CovarianceLoss``; 0 leaves them free.

    Example:
        ```python
        from neuralstyle import samples, stylize
        from neuralstyle.recipes import nnst

        stylize(samples.photo(), samples.painting("swirl"), **nnst(), size=64, iterations=2)
        ```

    Paper: Kolkin, Kucera, Paris, Sykora, Shechtman and Shakhnarovich, arXiv 2203.13215, by optimisation. Departures:
    neighbours are searched for at each evaluation, those of the result among 4096 positions (1024 with the layers
    apart), instead of once for each size, those of a blend of content and result; so there is a content loss, without
    which the photograph would be lost; no rotated copies of the painting; L-BFGS on the pixels instead of Adam on a
    Laplacian pyramid; the palette in the place of the colour step after the optimisation, which gives the photograph's
    hues the painting's mean and covariance; VGG-19 in the place of VGG-16, whose weights are not in the package, with
    L2 pooling.
    """
    weights = tuple(1 / channels for channels in _NNST_CHANNELS.values())
    matched = NearestNeighborLoss(samples=None, centered=True)
    columns = HypercolumnLoss(tuple(_NNST_CHANNELS), matched, _GRID, weights, samples=_POSITIONS)
    return {
        "losses": content * ContentLoss("relu4_1") + style * columns + palette * CovarianceLoss("image"),
        "encoder": FeatureExtractor("vgg19", pooling="l2", padding="replicate"),
        "init": "content",
        "schedule": _nnst_scales,
    }


def _nnst_scales(size: int, iterations: int | None = None) -> list[Stage]:
    stages = scales(size, iterations, smallest=64, default=200)
    return [*stages, replace(stages[-1], losses=_apart)]


def _apart(losses: LossSum) -> LossSum:
    """The losses with every hypercolumn taken apart: each layer by itself, with a weight of 1."""

    def change(term: Term) -> Term:
        joined = term.loss
        if not isinstance(joined, HypercolumnLoss) or not isinstance(joined.loss, NearestNeighborLoss):
            return term
        alone = replace(joined.loss, layers=joined.layers, layer_weights=(1.0,) * len(joined.layers), samples=1024)
        return replace(term, loss=alone)

    return LossSum(tuple(map(change, losses)))
