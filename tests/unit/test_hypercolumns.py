"""Hypercolumns: several layers joined on one grid, to which any loss of one layer applies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from neuralstyle import FeatureExtractor, Objective, Style
from neuralstyle.losses import (
    ContentLoss,
    CovarianceLoss,
    HypercolumnLoss,
    MeanStdLoss,
    NearestNeighborLoss,
    RelaxedEMDLoss,
    SelfSimilarityLoss,
)
from neuralstyle.testing import check_loss

Noise = Callable[..., Tensor]
LAYERS = ("relu1_1", "relu2_1", "relu3_1")
LOSSES = [
    HypercolumnLoss(LAYERS, grid="relu2_1"),
    HypercolumnLoss(LAYERS, SelfSimilarityLoss(), grid="relu3_1", samples=5),
    HypercolumnLoss(("image", *LAYERS), NearestNeighborLoss(), layer_weights=(1, 2, 3, 4)),
    HypercolumnLoss(LAYERS, CovarianceLoss(), grid="relu2_1"),
    HypercolumnLoss(LAYERS, ContentLoss(), grid="relu2_1"),
    HypercolumnLoss(("image", *LAYERS), MeanStdLoss(), samples=20, reading="point"),
]


def maps(noise: Noise, height: int, width: int, seed: int = 0) -> dict[str, Tensor]:
    """Features of three layers, each with half the positions of the one before on each side."""
    return {
        layer: noise(1, 2 + number, height >> number, width >> number, seed=10 * seed + number, dtype=torch.float64)
        for number, layer in enumerate(LAYERS)
    }


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss.loss).__name__)
def test_the_rules_of_losses_are_kept(loss: HypercolumnLoss) -> None:
    check_loss(loss)
    assert loss.reference == loss.loss.reference
    assert eval(repr(loss)) == loss


def test_finer_layers_are_averaged_and_coarser_ones_interpolated(noise: Noise) -> None:
    x, y = maps(noise, 8, 12), maps(noise, 8, 12, seed=1)

    def columns(features: dict[str, Tensor]) -> Tensor:
        first, second, third = features.values()
        fine = first.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
        coarse = F.interpolate(third, scale_factor=2.0, mode="bilinear")
        return torch.cat([0.5 * fine, 1.0 * second, 2.0 * coarse], 1)

    loss = HypercolumnLoss(LAYERS, ContentLoss(), grid="relu2_1", layer_weights=(0.5, 1, 2))
    expected = 0.5 * (columns(x) - columns(y)).square().mean()
    torch.testing.assert_close(loss(x, y), expected)


def test_no_more_than_the_samples_are_compared_and_the_same_ones_of_result_and_content(noise: Noise) -> None:
    x = maps(noise, 8, 8)
    seen: list[Tensor] = []

    class Seeing(ContentLoss):
        def forward(self, x: Tensor, target: Tensor) -> Tensor:
            seen.extend((x, target))
            return super().forward(x, target)

    HypercolumnLoss(LAYERS, Seeing(), samples=10)(x, x)
    assert [tuple(each.shape) for each in seen] == [(1, 9, 1, 10)] * 2
    assert torch.equal(*seen)


@pytest.mark.parametrize("grid", ["relu1_1", "relu2_1", "relu3_1"])
def test_points_are_interpolated_in_every_layer(noise: Noise, grid: str) -> None:
    x, y = maps(noise, 8, 12), maps(noise, 8, 12, seed=1)
    height, width = x[grid].shape[2:]
    lines = [(torch.arange(n, dtype=torch.float64) + 0.5) * 2 / n - 1 for n in (height, width)]
    points = torch.stack(torch.meshgrid(*lines, indexing="ij")[::-1], -1)[None]

    def columns(features: dict[str, Tensor]) -> Tensor:
        read = [F.grid_sample(each, points, padding_mode="border", align_corners=False) for each in features.values()]
        return torch.cat([read[0], 3 * read[1], read[2]], 1)

    expected = 0.5 * (columns(x) - columns(y)).square().mean()
    loss = HypercolumnLoss(LAYERS, ContentLoss(), grid, layer_weights=(1, 3, 1), reading="point")
    torch.testing.assert_close(loss(x, y), expected)
    # As many samples as positions are all of them, and of fewer each is one of them.
    torch.testing.assert_close(replace(loss, samples=height * width)(x, y), expected)
    seen: list[Tensor] = []

    class Seeing(ContentLoss):
        def forward(self, x: Tensor, target: Tensor) -> Tensor:
            seen.append(x)
            return super().forward(x, target)

    replace(loss, loss=Seeing(), samples=3)(x, y)
    assert seen[0].shape == (1, 9, 1, 3)
    distances = torch.cdist(seen[0][0, :, 0].T, columns(x).flatten(2)[0].T)
    assert (distances.amin(1) < 1e-6).all()


def test_points_are_differentiable_twice(noise: Noise) -> None:
    style = maps(noise, 4, 4, seed=1)

    def value(*features: Tensor) -> Tensor:
        loss = HypercolumnLoss(LAYERS, ContentLoss(), samples=5, reading="point")
        return loss.forward(dict(zip(LAYERS, features, strict=True)), style)

    x = [each.requires_grad_() for each in maps(noise, 4, 4).values()]
    assert torch.autograd.gradcheck(value, x)
    assert torch.autograd.gradgradcheck(value, x)


def test_a_hypercolumn_is_one_place(noise: Noise) -> None:
    """Layers may each match the style, at places that do not belong together: hypercolumns then differ."""
    x = maps(noise, 16, 16)
    torn = {layer: each.flip(3) if layer == "relu1_1" else each for layer, each in x.items()}
    assert all(RelaxedEMDLoss()(torn[layer], x[layer]) < 1e-6 for layer in LAYERS)
    loss = HypercolumnLoss(LAYERS, grid="relu2_1")
    assert loss(x, x) < 1e-6 < 1e-3 < loss(torn, x)


def test_tiles_are_exact_and_masks_refused(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, style = noise(1, 3, 40, 56, dtype=torch.float64), noise(1, 3, 32, 32, seed=1, dtype=torch.float64)
    loss = HypercolumnLoss(("image", "relu1_1", "relu2_1"), grid="relu2_1")
    whole, tiled = (Objective(encoder64, loss, styles=[style]).evaluate(image, tile) for tile in (None, 16))
    torch.testing.assert_close(tiled.gradient, whole.gradient, rtol=1e-8, atol=1e-14)
    with pytest.raises(ValueError, match=r"HypercolumnLoss.*mask"):
        Objective(encoder64, loss, styles=[Style(style, mask=torch.ones(32, 32))])


def test_wrong_options_are_refused() -> None:
    with pytest.raises(TypeError, match=r"applies another loss, such as RelaxedEMDLoss\(\)"):
        HypercolumnLoss(LAYERS, RelaxedEMDLoss)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="received HypercolumnLoss, which is joint"):
        HypercolumnLoss(LAYERS, HypercolumnLoss(LAYERS))
    with pytest.raises(ValueError, match="unknown grid of HypercolumnLoss 'relu9_1'"):
        HypercolumnLoss(LAYERS, grid="relu9_1")
    with pytest.raises(ValueError, match="samples of HypercolumnLoss is a whole number of at least 1"):
        HypercolumnLoss(LAYERS, samples=0)
    with pytest.raises(ValueError, match="unknown reading of HypercolumnLoss 'points'"):
        HypercolumnLoss(LAYERS, reading="points")  # type: ignore[arg-type]
