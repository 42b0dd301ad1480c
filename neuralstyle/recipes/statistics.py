"""Published methods that compare statistics of features: those of Gatys, Johnson, Risser, Crowson and Heitz."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from neuralstyle.encoders import FeatureExtractor
from neuralstyle.losses import (
    ContentLoss,
    GramStyleLoss,
    HistogramLoss,
    SlicedWassersteinLoss,
    TotalVariationLoss,
    WassersteinLoss,
)
from neuralstyle.optimizers import Adam
from neuralstyle.recipes.recipe import Recipe, scales
from neuralstyle.schedule import single_scale

_JOHNSON_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
_JOHNSON_CHANNELS = (64, 128, 256, 512)
_JOHNSON_TV = 0.5e-6 * 255**2  # the released code adds the gradient of half the sum, on pixels from 0 to 255

_CROWSON_WEIGHTS = (256, 64, 16, 4, 1)

_BLOCKS = ((1, 2), (2, 2), (3, 4), (4, 4))  # of VGG-19: number and convolutions
_HEITZ_LAYERS = tuple(f"relu{block}_{index}" for block, depth in _BLOCKS for index in range(1, depth + 1))


def gatys(*, alpha: float = 1.0, beta: float = 1e5) -> Recipe:
    r"""The settings of the first paper, 2015, as keyword arguments of ``stylize``.

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


def johnson(*, content: float = 1.0, style: float = 5.0, content_layer: str = "relu3_3") -> Recipe:
    r"""Perceptual losses, 2016: Gram matrices divided by the channels too, and a shallower content; by optimisation.

    $$
    L = \lambda_c \frac{1}{C M} \sum (F - P)^2
    + \lambda_s \sum_l \frac{1}{C_l^2} \sum_{ij} \left(\frac{G^l_{ij}}{C_l M_l} - \frac{A^l_{ij}}{C_l M'_l}\right)^2
    + 10^{-6} \cdot \frac{255^2}{2} \sum |\nabla x|^2
    $$

    with the content at relu3_3 and the style at relu1_2, relu2_2, relu3_3 and relu4_3 of the raw network, max pooling,
    500 evaluations of L-BFGS from faint noise at a single scale: the numbers of the released ``slow_neural_style``.
    ``train`` minimises such losses with a network, as the paper does.

    Args:
        content: $\lambda_c$.
        style: $\lambda_s$.
        content_layer: "relu3_3"; other programs after the paper take "relu2_2", which keeps more of the photograph.

    Example:
        ```python
        from neuralstyle import samples, stylize
        from neuralstyle.recipes import johnson

        stylize(samples.photo(), samples.painting("swirl"), **johnson(), size=64, iterations=2)
        ```

    Paper: Johnson, Alahi and Fei-Fei, arXiv 1603.08155. Departures: VGG-19 in the place of VGG-16, whose weights are
    not in the package (``encoder=FeatureExtractor("vgg16", normalize=False)`` downloads torchvision's, on whose smaller
    activations the weights mean something else); pixels stay in [0, 1].
    """
    weights = tuple(1 / channels**2 for channels in _JOHNSON_CHANNELS)
    return {
        "losses": 2 * content * ContentLoss(content_layer)
        + 4 * style * GramStyleLoss(_JOHNSON_LAYERS, layer_weights=weights)
        + _JOHNSON_TV * TotalVariationLoss(reduction="sum"),
        "encoder": FeatureExtractor("vgg19", normalize=False),
        "init": _faint_noise,
        "schedule": partial(scales, levels=1, default=500),
    }


def _faint_noise(content: Tensor) -> Tensor:
    """Normal noise of one 255th around middle grey; the same every time."""
    drawn = torch.randn(content.shape, generator=torch.Generator("cpu").manual_seed(0), dtype=torch.float32)
    return 0.5 + drawn / 255


def risser(*, content: float = 1.0, gram: float = 10.0, histogram: float = 10.0, tv: float = 2.0) -> Recipe:
    r"""Gram matrices and histograms, 2017: histograms keep the brightness and contrast that Gram matrices leave free.

    $$
    L = \lambda_c L_\text{content} + \lambda_g \sum_{l=1}^{4} \frac{1}{4} L^l_\text{Gram}
    + \lambda_h \sum_{l \in \{1, 4\}} \frac{1}{2} L^l_\text{histogram} + \lambda_t L_\text{TV}
    $$

    with the content at relu4_1, Gram matrices at relu1_1 to relu4_1, histograms at relu1_1 and relu4_1, on VGG-19,
    from coarse to fine over three sizes with 100 evaluations of L-BFGS at each.

    Args:
        content: $\lambda_c$.
        gram: $\lambda_g$.
        histogram: $\lambda_h$.
        tv: $\lambda_t$.

    Example:
        ```python
        from neuralstyle import samples, stylize
        from neuralstyle.recipes import risser

        stylize(samples.photo(), samples.painting("swirl"), **risser(), size=64, iterations=2)
        ```

    Paper: Risser, Wilmot and Barnes, arXiv 1701.08893. Departures: the layers of the histograms are the paper's, those
    of the other losses, the number of sizes and that of evaluations are this package's. The paper sets the weights
    during the optimisation, by the magnitudes of the gradients; here they are fixed, and Gram and histogram losses are
    relative to the style's own energy, so that one set serves all styles. Histograms are matched exactly. Normalised
    activations, L2 pooling, a start at the content, and pixels in [0, 1].
    """
    layers = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
    return {
        "losses": content * ContentLoss("relu4_1")
        + gram * GramStyleLoss(layers, normalization="relative")
        + histogram * HistogramLoss(("relu1_1", "relu4_1"))
        + tv * TotalVariationLoss(),
        "encoder": FeatureExtractor("vgg19", pooling="l2", padding="replicate"),
        "init": "content",
        "schedule": partial(scales, levels=3, default=100),
    }


def crowson(*, content: float = 0.015, tv: float = 2.0) -> Recipe:
    r"""style-transfer-pytorch, 2020: optimal transport between Gaussians, by Adam, with averaged pictures.

    $$
    L = \lambda_c \frac{1}{C M} \sum (F - P)^2 + \sum_l \frac{w_l}{\sum_k w_k} \frac{1}{C_l}
    W_2^2\left(\mathcal{N}(\mu_l, \Sigma_l), \mathcal{N}(\mu^S_l, \Sigma^S_l)\right) + \lambda_t L_\text{TV}
    $$

    with the content at relu4_2 and $w$ = 256, 64, 16, 4, 1 at relu1_1 to relu5_1 of VGG-19 with max pooling and
    repeated borders. It begins with the content at 128 pixels and grows by $\sqrt{2}$, with 500 evaluations at each
    size and twice as many at the first. Adam has a learning rate of 0.02, and the result, also of each size for the
    next, is the running average of the steps' pictures with a decay of 0.99.

    Args:
        content: $\lambda_c$.
        tv: $\lambda_t$.

    Example:
        ```python
        from neuralstyle import samples, stylize
        from neuralstyle.recipes import crowson

        stylize(samples.photo(), samples.painting("swirl"), **crowson(), size=64, iterations=2)
        ```

    Program: Katherine Crowson, style-transfer-pytorch. Papers: Vacher, Davila, Kohn and Coen-Cagli, arXiv 2006.03698;
    Mroueh, arXiv 1905.12828 (the loss). Departures: the package's weights with normalised activations instead of
    torchvision's; exact roots of matrices instead of twelve Newton-Schulz steps, and another small summand on their
    diagonals; total variation without the diagonal neighbours, equal on smooth pictures; Adam starts anew at each size.
    """
    weights = tuple(weight / sum(_CROWSON_WEIGHTS) for weight in _CROWSON_WEIGHTS)
    return {
        "losses": 2 * content * ContentLoss("relu4_2")
        + WassersteinLoss(layer_weights=weights, normalization="channels")
        + tv * TotalVariationLoss(),
        "encoder": FeatureExtractor("vgg19", padding="replicate"),
        "init": "content",
        "schedule": partial(scales, smallest=128, factor=math.sqrt(2), default=500, first=2),
        "optimizer": Adam(lr=0.02, betas=(0.9, 0.99)),
        "result": "average",
    }


def heitz(*, content: float = 0.2, style: float = 1.0) -> Recipe:
    r"""Sliced Wasserstein distances, 2021: whole distributions of features, compared along random directions.

    $$
    L = \lambda_c L_\text{content} + \lambda_s \sum_l \frac{\frac{1}{C_l} \sum_k \int (Q_{lk} - Q^S_{lk})^2}
    {\frac{1}{C_l} \sum_k \int (Q^S_{lk})^2}
    $$

    over the twelve convolutions of the first four blocks of VGG-19, with as many directions as channels, average
    pooling, and 500 evaluations of L-BFGS at a single scale.

    Args:
        content: $\lambda_c$, of the content at relu4_2. The paper is on textures and has none.
        style: $\lambda_s$.

    Example:
        ```python
        from neuralstyle import samples, stylize
        from neuralstyle.recipes import heitz

        stylize(samples.photo(), samples.painting("swirl"), **heitz(), size=64, iterations=2)
        ```

    Paper: Heitz, Vanhoey, Chambon and Belcour, arXiv 2006.07229. Departures: the content, and a start at it; 500
    evaluations, where the released code makes up to 64 times 64; the directions stay the same; each layer is divided by
    the style's own energy, and activations are normalised, so that layers count alike; pictures of different sizes are
    compared by their exact quantiles; only the first convolution reflects the border; average pooling is multiplied by
    2; pixels stay in [0, 1].
    """
    return {
        "losses": content * ContentLoss("relu4_2")
        + style * SlicedWassersteinLoss(_HEITZ_LAYERS, layer_weights=(1.0,) * len(_HEITZ_LAYERS)),
        "encoder": FeatureExtractor("vgg19", pooling="average", padding="reflect"),
        "init": "content",
        "schedule": partial(scales, levels=1, default=500),
    }
