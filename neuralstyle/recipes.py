"""Recipes: complete settings for ``stylize``, as keyword arguments that can be looked at and changed."""

from __future__ import annotations

from typing import TypedDict

from neuralstyle.encoders import FeatureExtractor
from neuralstyle.losses import ContentLoss, GramStyleLoss, LossSum
from neuralstyle.schedule import Schedule, single_scale


class Recipe(TypedDict):
    """Keyword arguments of ``stylize``."""

    losses: LossSum
    encoder: FeatureExtractor
    init: str
    schedule: Schedule


def gatys(*, alpha: float = 1.0, beta: float = 1e3) -> Recipe:
    r"""The paper to the letter, as keyword arguments of ``stylize``.

    .. math:: L = \alpha \frac{1}{2} \sum_{ij} (F_{ij} - P_{ij})^2 + \beta \sum_l \frac{1}{5}
              \frac{1}{4 N_l^2 M_l^2} \sum_{ij} (G^l_{ij} - A^l_{ij})^2

    on VGG-19 with normalised activations and average pooling, from white noise, at a single scale. The content loss
    is a sum over positions, so the balance of both depends on the picture's size, as in the paper.

    Args:
        alpha: weight of the content.
        beta: weight of the style. The paper shows alpha / beta from 1e-5 to 1e-2 and names 1e-3 and 1e-4.

    Example:
        ```python
        from neuralstyle import gatys, samples, stylize

        stylize(samples.photo(), samples.painting("swirl"), **gatys(beta=1e4), size=64, iterations=2)
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
