"""Blends of styles, and styles in regions of their own, painted."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from doubles import painting
from torch import Tensor

from neuralstyle import (
    ContentLoss,
    FeatureExtractor,
    GramStyleLoss,
    LossSum,
    Objective,
    Style,
    load_image,
    samples,
    stylize,
)
from neuralstyle.schedule import single_scale
from neuralstyle.styles import at_scale

STYLE = GramStyleLoss(("relu1_1", "relu2_1"), normalization="relative")


def painted(encoder: FeatureExtractor, styles: Any, iterations: int = 8, size: int = 48) -> Tensor:
    losses: LossSum = 0.02 * ContentLoss("relu2_2") + STYLE
    options: dict[str, Any] = {"losses": losses, "iterations": iterations, "encoder": encoder, "device": "cpu"}
    picture = stylize(samples.photo(), styles, size=size, schedule=single_scale, progress=False, **options)
    return load_image(picture)


def distance(encoder: FeatureExtractor, picture: Tensor, style: Any, region: Tensor | None = None) -> float:
    """The style distance of a picture, or of what lies inside a region of it."""
    style = Style(at_scale(Style(style), max(picture.shape[2:])).image, region=region, edges="strict")
    share = 1.0 if region is None else float(region.mean())
    return Objective(encoder, STYLE, styles=[style]).evaluate(picture, with_gradient=False).loss / share


def test_blends_lie_between_their_styles(encoder: FeatureExtractor) -> None:
    first, second = (painting(name) for name in ("embers", "swirl"))

    def blend(a: float, b: float) -> Tensor:
        return painted(encoder, [Style(first, weight=a), Style(second, weight=b)])

    one, half, other = blend(1, 0), blend(0.5, 0.5), blend(0, 1)
    torch.testing.assert_close(one, painted(encoder, first), rtol=0, atol=1e-6)
    to_first, to_second = ([distance(encoder, p, s) for p in (one, half, other)] for s in (first, second))
    assert to_first == sorted(to_first)
    assert to_second == sorted(to_second, reverse=True)
    assert to_first[0] < 0.7 * to_first[1] < 0.7 * 0.9 * to_first[2]
    assert to_second[2] < 0.7 * to_second[1] < 0.7 * 0.9 * to_second[0]


@pytest.mark.parametrize("options", [{}, {"edges": "strict"}, {"softness": 0.05}], ids=["blended", "strict", "soft"])
def test_each_region_takes_its_own_style_and_swapped_ones_swap(
    encoder: FeatureExtractor, options: dict[str, Any]
) -> None:
    first, second = (painting(name) for name in ("embers", "swirl"))
    height, width = painted(encoder, first, iterations=1).shape[2:]
    left = (torch.arange(width) < width // 2).float().expand(height, width)
    for region, rest in ((left, 1 - left), (1 - left, left)):
        guided = [Style(first, region=region, **options), Style(second, region=rest, **options)]
        picture = painted(encoder, guided)
        assert distance(encoder, picture, first, region) < 0.5 * distance(encoder, picture, second, region)
        assert distance(encoder, picture, second, rest) < 0.5 * distance(encoder, picture, first, rest)
