"""Pictures whose size is no multiple of the deepest stride: a cell that the border cuts counts by its area."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from doubles import Cells, Crossed, Means, Noise, painting
from torch import Tensor

from neuralstyle import ContentLoss, FeatureExtractor, GramStyleLoss, Loss, Objective, Style
from neuralstyle.encoders.base import Layer
from neuralstyle.losses import MeanStdLoss, RelaxedEMDLoss
from neuralstyle.losses.gram import STYLE_LAYERS
from neuralstyle.objective.borders import cells, continued, coverage
from neuralstyle.objective.regions import position_weights
from neuralstyle.objective.tiling import tiles

DEEP = GramStyleLoss("relu4_1", normalization="relative")


def picture(noise: Noise, height: int, width: int, seed: int = 0) -> Tensor:
    return noise(1, 3, height, width, seed=seed, dtype=torch.float64)


# Parts


@pytest.mark.parametrize(("height", "width", "step"), [(21, 27, 8), (17, 16, 16), (3, 5, 16), (7, 9, 1)])
def test_a_picture_is_continued_by_its_mirror_image(noise: Noise, height: int, width: int, step: int) -> None:
    image = picture(noise, height, width)
    expected = np.pad(image.numpy(), ((0, 0), (0, 0), (0, -height % step), (0, -width % step)), mode="symmetric")
    assert np.array_equal(continued(image, step).numpy(), expected)


def test_a_picture_that_lacks_one_row_is_continued_by_a_step_more(noise: Noise) -> None:
    image = picture(noise, 23, 15)
    expected = np.pad(image.numpy(), ((0, 0), (0, 0), (0, 9), (0, 9)), mode="symmetric")
    assert np.array_equal(continued(image, 8).numpy(), expected)


def test_a_picture_of_whole_cells_is_itself(noise: Noise) -> None:
    image = picture(noise, 32, 48)
    assert continued(image, 16) is image
    assert coverage((32, 48), 16, image) is None


@pytest.mark.parametrize("stride", [1, 2, 3, 8, 16])
def test_coverage_adds_up_to_the_area(stride: int) -> None:
    shares = coverage((37, 50), stride, torch.empty(0, dtype=torch.float64))
    expected = torch.ones(1, 1, 37, 50).double()
    expected = F.pad(expected, (0, -50 % stride, 0, -37 % stride)).unfold(2, stride, stride).unfold(3, stride, stride)
    if stride == 1:
        assert shares is None
    else:
        assert shares is not None
        torch.testing.assert_close(shares, expected.mean((4, 5)))
        assert shares.sum() * stride**2 == pytest.approx(37 * 50)


@pytest.mark.parametrize("edges", ["blended", "strict"])
def test_a_region_of_everything_weighs_a_cut_cell_by_its_area(edges: Any) -> None:
    everywhere = torch.ones(1, 1, 21, 27).double()
    expected = coverage((21, 27), 8, everywhere)
    torch.testing.assert_close(position_weights(everywhere, 8, 5, edges, step=16), expected)


@pytest.mark.parametrize("side", range(33, 49))
def test_tiles_cover_each_cell_once(side: int) -> None:
    for stride in (1, 2, 8, 16):
        counted = torch.zeros(cells(side, stride), cells(50, stride))
        for tile in tiles(side, 50, 16, 16, 0):
            counted[tile.core(stride)] += 1
            # The mirror image that completes the last cell is that of the picture only if the view has its rows.
            assert tile.rows.view_stop - tile.rows.view_start >= 16
        assert counted.eq(1).all()


# What an objective makes of them


def test_statistics_weigh_positions_by_what_the_picture_covers(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, style = picture(noise, 21, 27), picture(noise, 30, 19, 1)

    def mean(picture: Tensor) -> np.ndarray:
        height, width = picture.shape[2:]
        whole = np.pad(picture.numpy(), ((0, 0), (0, 0), (0, -height % 8), (0, -width % 8)), mode="symmetric")
        features = encoder64(torch.from_numpy(whole), ["relu4_1"])["relu4_1"].numpy()[0]
        rows, columns = (np.minimum(1, side / 8 - np.arange(-(-side // 8))) for side in (height, width))
        weights = rows[:, None] * columns
        return (features * weights).sum((1, 2)) / weights.sum()

    expected = ((mean(image) - mean(style)) ** 2).mean()
    evaluation = Objective(encoder64, Means(("relu4_1",)), styles=[style]).evaluate(image)
    assert evaluation.loss == pytest.approx(expected, rel=1e-9)


def test_statistics_of_the_pixels_are_those_of_the_true_picture(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, style = picture(noise, 21, 27), picture(noise, 30, 19, 1)
    pixels = MeanStdLoss("image")
    both = Objective(encoder64, pixels + DEEP, styles=[style]).evaluate(image)
    assert both.terms["MeanStdLoss"] == pytest.approx(float(pixels(image, style)), rel=1e-9)


def test_content_of_itself_costs_nothing_beside_a_deeper_loss(encoder64: FeatureExtractor, noise: Noise) -> None:
    content, style = picture(noise, 21, 27), picture(noise, 30, 19, 1)
    evaluation = Objective(encoder64, ContentLoss("relu1_2") + DEEP, content=content, styles=[style]).evaluate(content)
    assert evaluation.terms["ContentLoss"] == 0


@pytest.mark.parametrize("tile", [None, 16])
def test_losses_on_whole_maps_see_the_cells_that_the_picture_covers(
    encoder64: FeatureExtractor, noise: Noise, tile: int | None
) -> None:
    seen: dict[Any, Tensor] = {}

    @dataclass(frozen=True)
    class Seen(Loss):
        layers: Any
        reference: Any = "style"

        def forward(self, x: Any, target: Any) -> Tensor:
            seen[self.layers] = x.detach().view(1, -1) if self.layers == ("image",) else x.detach()
            return x.square().mean()  # type: ignore[no-any-return]

    class SeenTogether(Seen):
        joint = True

        def forward(self, x: Any, target: Any) -> Tensor:
            seen[self.layers] = {name: maps.detach() for name, maps in x.items()}
            return sum(maps.square().mean() for maps in x.values())  # type: ignore[return-value]

    image, other = picture(noise, 21, 35), picture(noise, 30, 19, 1)
    losses = Seen("image") + Seen("relu2_1") + Seen("relu3_1") + SeenTogether(("relu1_1", "relu3_1")) + DEEP
    Objective(encoder64, losses, styles=[other]).evaluate(image, tile)
    expected = encoder64(continued(image, 8), ["relu1_1", "relu2_1", "relu3_1"])
    torch.testing.assert_close(seen["image",], image.reshape(1, -1))
    torch.testing.assert_close(seen["relu2_1",], expected["relu2_1"][..., :11, :18])
    torch.testing.assert_close(seen["relu3_1",], expected["relu3_1"][..., :6, :9])
    # Whole factors lie between the maps of several layers, as a loss that pools one of them needs.
    together = seen["relu1_1", "relu3_1"]
    torch.testing.assert_close(together["relu1_1"], expected["relu1_1"][..., :24, :36])
    torch.testing.assert_close(together["relu3_1"], expected["relu3_1"][..., :6, :9])


@pytest.mark.parametrize("size", [(20, 26), (21, 26), (21, 27), (33, 31)])
def test_a_joint_loss_may_pool_one_map_to_the_size_of_another(
    encoder64: FeatureExtractor, noise: Noise, size: tuple[int, int]
) -> None:
    image, content = picture(noise, *size), picture(noise, *size, 1)
    objective = Objective(encoder64, Crossed() + DEEP, content=content, styles=[content])
    whole, tiled = objective.evaluate(image), objective.evaluate(image, tile=16)
    torch.testing.assert_close(tiled.gradient, whole.gradient, rtol=1e-10, atol=1e-16)


@pytest.mark.parametrize("side", [93, 95, 97, 98])
@pytest.mark.parametrize("network", ["compact19", "vgg19"])
def test_the_last_row_has_about_the_gradient_of_the_others(photo: Tensor, network: str, side: int) -> None:
    image = F.interpolate(photo, size=(side, 64), mode="bilinear", antialias=True)
    encoder = FeatureExtractor(network)
    layers = [layer for layer in STYLE_LAYERS if layer in encoder.layers]
    loss = GramStyleLoss(layers, normalization="relative")
    gradient = Objective(encoder, loss, styles=[painting("swirl", 96)]).evaluate(image).gradient
    assert gradient is not None
    rows = gradient.square().sum((0, 1, 3)).sqrt()
    assert 0.5 < rows[-1] / rows.median() < 1.6


# Encoders of users


class Strips:
    """An encoder of two layers whose strides do not divide each other: means over cells of 4 and of 6 pixels."""

    layers: Mapping[str, Layer] = {f"mean{side}": Layer(f"mean{side}", "module", 3, side, 0) for side in (4, 6)}

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        return {name: F.avg_pool2d(image, int(name[-1])).square() for name in layers}


@pytest.mark.parametrize("tile", [12, 24, 36])
@pytest.mark.parametrize("size", [(37, 50), (25, 35), (16, 48)])
def test_tiles_are_exact_with_strides_that_do_not_divide_each_other(
    noise: Noise, size: tuple[int, int], tile: int
) -> None:
    image, style = picture(noise, *size), picture(noise, 31, 20, 1)
    losses = GramStyleLoss(("mean4", "mean6")) + ContentLoss("mean4") + RelaxedEMDLoss("mean6")
    objective = Objective(Strips(), losses, content=style[..., :1, :1].expand_as(image), styles=[style])
    whole, tiled = objective.evaluate(image), objective.evaluate(image, tile=tile)
    assert tiled.loss == pytest.approx(whole.loss, rel=1e-12)
    torch.testing.assert_close(tiled.gradient, whole.gradient, rtol=1e-10, atol=1e-16)


def test_a_last_tile_of_one_row_has_the_rows_to_complete_its_cell(noise: Noise) -> None:
    image, style = picture(noise, 33, 34), picture(noise, 31, 20, 1)
    region = torch.linspace(0, 1, 34).expand(1, 33, 34).double()
    objective = Objective(Cells(), GramStyleLoss("relu1_1"), styles=[Style(style, region=region)])
    whole, tiled = objective.evaluate(image), objective.evaluate(image, tile=4)
    torch.testing.assert_close(tiled.gradient, whole.gradient, rtol=1e-10, atol=1e-16)
