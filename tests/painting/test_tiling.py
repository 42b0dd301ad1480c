from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
import torch
from doubles import Noise, thin, with_reach
from torch import Tensor

import neuralstyle
from neuralstyle import (
    ContentLoss,
    Evaluation,
    FeatureExtractor,
    GramStyleLoss,
    Loss,
    Objective,
    PointwiseLoss,
    StatisticLoss,
    Style,
    TotalVariationLoss,
)
from neuralstyle.losses import (
    ContextualLoss,
    CovarianceLoss,
    GhostLoss,
    HistogramLoss,
    LaplacianLoss,
    LongRangeLoss,
    MeanStdLoss,
    MMDLoss,
    MRFLoss,
    NearestNeighborLoss,
    RangeLoss,
    RelaxedEMDLoss,
    SelfSimilarityLoss,
    SlicedWassersteinLoss,
    WassersteinLoss,
)
from neuralstyle.objective.tiling import largest_tile, tiles

POOLINGS = ("max", "average", "l2")


# Geometry: whole numbers only

GEOMETRIES = [
    (height, width, tile, stride, reach)
    for (height, width), tile, (stride, reach) in product(
        [(16, 16), (64, 64), (205, 181), (181, 205), (48, 401), (17, 1000), (257, 16)],
        [None, 16, 17, 50, 64, 200, 4096],
        [(1, 0), (1, 1), (2, 4), (4, 10), (8, 38), (16, 70)],
    )
]


@pytest.mark.parametrize("stride", [1, 2, 4, 8, 16])
def test_cores_cover_every_position_once(stride: int) -> None:
    for height, width, tile, deepest, reach in GEOMETRIES:
        if stride > deepest:
            continue
        seen = torch.zeros(height // stride, width // stride, dtype=torch.int)
        for part in tiles(height, width, tile, deepest, reach):
            seen[part.core(stride)] += 1
        assert (seen == 1).all(), (height, width, tile, deepest, reach)


def test_cores_are_even_no_larger_than_asked_for_and_no_more_than_needed() -> None:
    for height, width, tile, stride, reach in GEOMETRIES:
        plan = tiles(height, width, tile, stride, reach)
        halo = math.ceil(reach / stride) * stride
        for side, spans in ((height, {part.rows for part in plan}), (width, {part.columns for part in plan})):
            lengths = [span.stop - span.start for span in sorted(spans, key=lambda span: span.start)]
            largest = side if tile is None else tile // stride * stride
            count = math.ceil(side / largest)
            assert max(lengths) <= largest
            if count > 2 and largest >= 3 * halo:  # those at the ends have a margin on one side only
                count = math.ceil((side - 2 * halo) / (largest - halo))
                lengths = [lengths[0] - halo, *lengths[1:-1], lengths[-1] - halo]
                side -= 2 * halo
            assert len(lengths) <= count
            assert max(lengths) <= side / count + stride
            assert len(set(lengths[:-1])) <= 1
            assert lengths[-1] <= lengths[0]


@pytest.mark.parametrize("side", [1000, 1408, 2000, 4000, 10000])
def test_views_do_not_grow_with_the_picture(side: int) -> None:
    views = [part.rows.view_stop - part.rows.view_start for part in tiles(side, side, 512, 16, 74)]
    assert max(views) <= 512 + 80


@pytest.mark.parametrize("tile", [None, 208, 5000])
def test_tile_as_large_as_the_picture_is_the_picture(tile: int | None) -> None:
    (only,) = tiles(205, 181, tile, 16, 70)
    assert only.core() == only.view() == (slice(0, 205), slice(0, 181))


def test_views_are_the_core_and_a_halo_of_at_least_the_reach_within_the_picture() -> None:
    for height, width, tile, stride, reach in GEOMETRIES:
        for part in tiles(height, width, tile, stride, reach):
            for span, side in ((part.rows, height), (part.columns, width)):
                assert 0 <= span.view_start <= span.start < span.stop <= span.view_stop <= side
                assert span.view_start == 0 or reach <= span.start - span.view_start < reach + stride
                assert span.view_stop == side or reach <= span.view_stop - span.stop < reach + stride
                for edge in (span.start, span.stop, span.view_start, span.view_stop):
                    assert edge % stride == 0 or edge == side


@pytest.mark.parametrize("stride", [1, 2, 4, 8, 16])
def test_core_lies_in_its_view_as_in_the_picture(stride: int) -> None:
    for height, width, tile, deepest, reach in GEOMETRIES:
        if stride > deepest:
            continue
        positions = torch.arange((height // stride) * (width // stride)).view(height // stride, width // stride)
        for part in tiles(height, width, tile, deepest, reach):
            assert torch.equal(positions[part.view(stride)][part.core_in_view(stride)], positions[part.core(stride)])


@pytest.mark.parametrize("tile", [15, 0, -64, 64.0, "64", True])
def test_tile_that_is_no_number_of_pixels_or_smaller_than_the_stride_is_refused(tile: Any) -> None:
    with pytest.raises(ValueError, match=f"at least 16 .*received {tile!r}"):
        tiles(205, 181, tile, 16, 70)


@pytest.mark.parametrize("at_least", [2, 3, 7, 20])
def test_there_are_as_many_tiles_as_processes_where_the_picture_is_large_enough(at_least: int) -> None:
    for height, width, tile, stride, reach in GEOMETRIES:
        plan = tiles(height, width, tile, stride, reach, at_least=at_least)
        assert len(plan) >= min(at_least, math.ceil(height / stride) * math.ceil(width / stride))
        seen = torch.zeros(height, width, dtype=torch.int)
        for part in plan:
            seen[part.core()] += 1
        assert (seen == 1).all()
        alone = tiles(height, width, tile, stride, reach)
        assert plan == alone or len(alone) < at_least


def test_a_square_for_four_is_quartered() -> None:
    plan = tiles(512, 512, None, 16, 70, at_least=4)
    assert [part.core() for part in plan] == [
        (slice(y, y + 256), slice(x, x + 256)) for y in (0, 256) for x in (0, 256)
    ]


def view_sizes(height: int, width: int, tile: int | None, stride: int, reach: int) -> list[int]:
    views = [part.view() for part in tiles(height, width, tile, stride, reach)]
    return [(rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in views]


@pytest.mark.parametrize("pixels", [9_000, 20_000, 36_000])
def test_largest_tile_is_the_largest_whose_views_are_small_enough(pixels: int) -> None:
    found: list[int | None] = []
    for height, width, _, stride, reach in {(*g[:2], 0, *g[3:]) for g in GEOMETRIES}:
        try:
            found.append(tile := largest_tile(height, width, stride, reach, pixels))
        except ValueError:
            assert max(view_sizes(height, width, stride, stride, reach)) > pixels
            continue
        assert (tile is None) == (height * width <= pixels)
        if tile is not None:
            assert tile % stride == 0
            assert max(view_sizes(height, width, tile, stride, reach)) <= pixels
            larger = range(tile + stride, max(height, width), stride)
            assert all(max(view_sizes(height, width, other, stride, reach)) > pixels for other in larger)
    assert len(set(found)) > 3


def test_no_tile_is_small_enough() -> None:
    with pytest.raises(ValueError, match="16 pixels shows the network 30976 pixels, more than 30000"):
        largest_tile(400, 500, 16, 70, 30000)
    assert largest_tile(400, 500, 16, 70, 30976) == 16


# Exactness: a picture in tiles has the gradient of the whole


class Ordered(Loss):
    """A general loss that sees whole maps and minds where things are."""

    layers = ("relu2_1", "relu3_1")
    reference = "style"

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        ramp = torch.linspace(0, 1, x.shape[3], dtype=x.dtype)
        return ((x * ramp).std((2, 3)) - target.std((2, 3))).square().mean()


class Paired(Loss):
    """Two layers of different strides at once."""

    layers = ("relu1_1", "relu3_1")
    reference = None
    joint = True

    def forward(self, x: dict[str, Tensor], target: None) -> Tensor:
        return (x["relu3_1"].mean((2, 3))[:, :4] * x["relu1_1"].std((2, 3))[:, :4]).mean()


# The rest of the package's, at layers of several strides, with samples so small that they are drawn.
OTHERS: tuple[Loss, ...] = (
    ContextualLoss(("relu2_1", "relu3_2"), samples=90),
    CovarianceLoss(("relu1_1", "relu4_1")),
    HistogramLoss(),
    GhostLoss(busy=1),
    LaplacianLoss(pool=5),
    LaplacianLoss(pool=3, smooth=True),
    LongRangeLoss(("relu1_1", "relu3_1"), shifts=(3, 9)),
    MMDLoss(("relu1_1", "relu4_1"), frequencies=20),
    MRFLoss(("relu2_1", "relu3_1"), samples=100),
    MeanStdLoss(("relu1_1", "relu4_1")),
    NearestNeighborLoss(("relu2_1", "relu3_1"), samples=100),
    RangeLoss("relu2_1"),
    RelaxedEMDLoss(("relu2_1", "relu3_1"), samples=100),
    SelfSimilarityLoss(("relu2_1", "relu3_1"), samples=60),
    SlicedWassersteinLoss(("relu1_1", "relu3_1")),
    WassersteinLoss(("relu1_1", "relu4_1")),
)


def losses_to(deepest: str) -> Any:
    layers = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    layers = layers[: layers.index(deepest) + 1]
    return (
        ContentLoss("relu4_2")
        + 10 * GramStyleLoss(layers)
        + TotalVariationLoss()
        + 0.1 * TotalVariationLoss("relu3_1", power=1.5)
        + Ordered()
        + 0.1 * Paired()
    )


def error(actual: Evaluation, expected: Evaluation) -> float:
    """The relative error of the gradient, the values having been compared."""
    assert actual.terms == pytest.approx(expected.terms, rel=1e-10)
    assert actual.gradient is not None
    assert expected.gradient is not None
    return float((actual.gradient - expected.gradient).norm() / expected.gradient.norm())


def double(noise: Noise, height: int, width: int, seed: int) -> Tensor:
    return noise(1, 3, height, width, seed=seed, dtype=torch.float64)


@pytest.mark.parametrize("pooling", ["average", "l2"])  # the default is in the next
def test_tiles_of_the_network_give_the_gradient_of_the_whole(noise: Noise, pooling: Any) -> None:
    encoder = FeatureExtractor(pooling=pooling).double()
    image, content = (double(noise, 24, 261, seed) for seed in (0, 1))
    pictures: dict[str, Any] = {"content": content, "styles": [double(noise, 40, 56, 2)]}
    objective = Objective(encoder, losses_to("relu4_1"), **pictures)
    assert error(objective.evaluate(image, tile=64), objective.evaluate(image)) < 1e-10


@pytest.fixture(scope="module")
def deep(encoder64: FeatureExtractor, noise: Noise) -> tuple[Objective, Tensor, Evaluation]:
    """The default layers on a strip so long that no tile of 64 pixels sees the whole, and its untiled evaluation."""
    image, content, style = (double(noise, 33, width, seed) for seed, width in enumerate((401, 401, 64)))
    objective = Objective(encoder64, losses_to("relu5_1"), content=content, styles=[style])
    return objective, image, objective.evaluate(image)


def test_tiles_are_exact_with_a_halo_of_the_reach(deep: tuple[Objective, Tensor, Evaluation]) -> None:
    objective, image, whole = deep
    assert error(objective.evaluate(image, tile=64), whole) < 1e-10


def test_the_last_tile_is_shown_to_the_network_once(noise: Noise, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = FeatureExtractor()
    image = noise(1, 3, 32, 200)
    objective = Objective(encoder, GramStyleLoss(("relu1_1", "relu2_1")), styles=[noise(1, 3, 32, 32)])
    shown: list[int] = []
    walk = encoder.walk
    monkeypatch.setattr(encoder, "walk", lambda view, *rest: (shown.append(view.shape[3]), walk(view, *rest)))
    seen: list[tuple[int, int]] = []
    objective.evaluate(image, tile=64, on_tile=lambda *counts: seen.append(counts))
    assert seen == [(number, 8) for number in range(1, 9)]
    assert len(shown) == 7
    shown.clear()
    objective.evaluate(image, tile=64, with_gradient=False)
    assert len(shown) == 4


def test_a_reach_one_stride_smaller_is_refused(noise: Noise) -> None:
    image, style = (double(noise, 33, width, seed) for seed, width in enumerate((401, 64)))
    whole = Objective(thin(), GramStyleLoss("relu5_1"), styles=[style]).evaluate(image).gradient
    assert whole is not None

    def tiled(missing: int) -> Tensor | None:
        encoder = with_reach(thin(), lambda reach: max(reach - missing, 0))
        return Objective(encoder, GramStyleLoss("relu5_1"), styles=[style]).evaluate(image, tile=64).gradient

    exact = tiled(0)
    assert exact is not None
    assert float((exact - whole).norm() / whole.norm()) < 1e-10
    with pytest.raises(ValueError, match=r"'relu5_1' of spy states a reach of 54 pixels, .* tiles would not be exact"):
        tiled(16)


@pytest.fixture(
    scope="module", params=[*((p, "zeros") for p in POOLINGS), ("max", "reflect"), ("l2", "replicate")], ids="-".join
)
def guided(request: pytest.FixtureRequest, noise: Noise) -> tuple[Objective, Tensor, Evaluation]:
    """Two regions with a masked style each, on a thin network, and its untiled evaluation."""
    encoder = thin(*request.param)
    image, content = (double(noise, 205, 181, seed) for seed in (0, 1))
    style = double(noise, 97, 130, 2)
    region = (torch.arange(181) < 77).expand(1, 205, 181).double()
    styles = [
        Style(style, region=region, mask=noise(1, 97, 130, seed=3)),
        Style(style.square(), region=0.7 * (1 - region)),
    ]
    losses = ContentLoss("relu4_2") + GramStyleLoss() + TotalVariationLoss() + Paired()
    objective = Objective(encoder, losses, content=content, styles=styles)
    return objective, image, objective.evaluate(image)


@pytest.mark.parametrize("tile", [50, 191, 4096])
def test_regions_in_tiles_give_the_gradient_of_the_whole(
    guided: tuple[Objective, Tensor, Evaluation], tile: int
) -> None:
    objective, image, whole = guided
    assert error(objective.evaluate(image, tile=tile), whole) < 1e-10


def test_every_loss_of_the_package_is_in_these_tests() -> None:
    tested = {type(term.loss) for term in losses_to("relu5_1")} | set(map(type, OTHERS))
    package = {each for each in vars(neuralstyle).values() if isinstance(each, type) and issubclass(each, Loss)}
    assert package - tested <= {Loss, PointwiseLoss, StatisticLoss}


@pytest.mark.parametrize(("pooling", "height", "width"), [("max", 97, 263), ("average", 17, 40), ("l2", 205, 181)])
def test_every_loss_in_tiles_has_the_gradient_of_the_whole(noise: Noise, pooling: Any, height: int, width: int) -> None:
    image, content, previous = (double(noise, height, width, seed) for seed in range(3))
    styles = [double(noise, 131, 77, 3), Style(double(noise, 64, 90, 4), weight=0.3)]
    losses = losses_to("relu5_1") + ContentLoss("relu3_1", reference="previous")
    objective = Objective(thin(pooling, "zeros"), losses, content=content, styles=styles, previous=previous)
    whole = objective.evaluate(image)
    for tile in (64, 100):
        assert error(objective.evaluate(image, tile=tile), whole) < 1e-10


@pytest.mark.parametrize("loss", OTHERS, ids=lambda loss: type(loss).__name__)
def test_another_loss_in_tiles_has_the_gradient_of_the_whole(noise: Noise, loss: Loss) -> None:
    image, content, style = (double(noise, height, 71, seed) for seed, height in enumerate((97, 97, 64)))
    objective = Objective(thin("l2", "replicate"), loss, content=content, styles=[style])
    whole = objective.evaluate(image)
    assert whole.loss > 1e-4
    for tile in (32, 40):
        assert error(objective.evaluate(image, tile=tile), whole) < 1e-9


@pytest.mark.parametrize(
    "loss",
    [loss for loss in OTHERS if isinstance(loss, (StatisticLoss, PointwiseLoss))],
    ids=lambda loss: type(loss).__name__,
)
def test_another_loss_in_tiles_and_a_region_has_the_gradient_of_the_whole(noise: Noise, loss: Loss) -> None:
    image, content, style = (double(noise, height, 71, seed) for seed, height in enumerate((97, 97, 64)))
    region = (torch.arange(71) < 30).expand(1, 97, 71).double()
    styles = [Style(style, region=region), Style(style.square(), region=1 - region)]
    objective = Objective(thin("l2", "replicate"), loss, content=content, styles=styles)
    assert error(objective.evaluate(image, tile=32), objective.evaluate(image)) < 1e-9


@pytest.mark.parametrize("layer", ["image", "pool1", "relu2_1"])
def test_halo_has_room_for_the_neighbours_that_a_loss_looks_at(
    encoder64: FeatureExtractor, noise: Noise, layer: str
) -> None:
    image = double(noise, 21, 58, 0)
    objective = Objective(encoder64, TotalVariationLoss(layer))
    assert error(objective.evaluate(image, tile=10), objective.evaluate(image)) < 1e-10


def test_targets_in_tiles_are_those_of_the_whole(noise: Noise) -> None:
    encoder = thin("max", "zeros")
    image, content, style = (double(noise, 205, 181, seed) for seed in range(3))
    losses = ContentLoss("relu4_2") + GramStyleLoss()
    styles = [Style(style, mask=noise(1, 205, 181, seed=3))]
    whole, tiled = (Objective(encoder, losses, content=content, styles=styles, tile=tile) for tile in (None, 64))
    assert error(tiled.evaluate(image), whole.evaluate(image)) < 1e-10


def test_tile_smaller_than_the_deepest_stride_is_refused(encoder: FeatureExtractor, noise: Noise) -> None:
    image = noise(1, 3, 40, 48)
    objective = Objective(encoder, GramStyleLoss("relu4_1"), styles=[image])
    assert objective.evaluate(image, tile=8, with_gradient=False).loss == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="at least 8 for these layers, received 7"):
        objective.evaluate(image, tile=7)
