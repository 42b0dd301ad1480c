from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import Noise, Spy
from PIL import Image
from torch import Tensor

from neuralstyle import (
    ContentLoss,
    FeatureExtractor,
    GramStyleLoss,
    Objective,
    Style,
    load_image,
)
from neuralstyle.images import to_pil
from neuralstyle.images.masks import load_mask
from neuralstyle.objective.regions import Region, by_region, position_weights
from neuralstyle.styles import EDGES, at_scale

SHALLOW = ("relu1_1", "relu2_1")
STYLE = GramStyleLoss(SHALLOW, normalization="relative")


def block(height: int, width: int, rows: slice, columns: slice) -> Tensor:
    """White in a rectangle, black around it."""
    mask = torch.zeros(height, width, dtype=torch.float64)
    mask[rows, columns] = 1
    return mask


# Style


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -1}, "weight of a style .* received -1"),
        ({"weight": math.nan}, "weight of a style .* received nan"),
        ({"scale": 0}, "scale of a style .* received 0"),
        ({"softness": -0.1}, "softness of a region .*0 to 1, received -0.1"),
        ({"softness": math.nan}, "received nan"),
        ({"softness": 8}, "received 8"),
        ({"edges": "stric"}, "unknown edges 'stric': did you mean 'strict'.* known are blended, strict"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Style("picture.png", **options)


@pytest.mark.parametrize(
    ("options", "size", "longest"),
    [
        ({}, 50, 50),
        ({"scale": 0.7}, 50, 35),
        ({"scale": 1.5}, 50, 75),
        ({"scale": 4}, 50, 96),  # no more than it has
        ({"scale": 4, "enlarge": True}, 50, 200),
        ({"scale": 0.1}, 50, 32),  # the short side keeps 16
        ({"enlarge": True}, 96, 96),
    ],
)
def test_at_scale_is_a_multiple_of_the_result_within_the_pixels_there_are(
    noise: Noise, options: dict[str, Any], size: int, longest: int
) -> None:
    style = Style(noise(1, 3, 48, 96), 0.3, mask=noise(1, 48, 96), softness=0.2, **options)
    scaled = at_scale(style, size)
    assert load_image(scaled.image).shape == (1, 3, round(longest / 2), longest)
    same = ("weight", "scale", "mask", "region", "softness", "edges", "enlarge")
    assert all(getattr(scaled, name) is getattr(style, name) for name in same)


# Masks


def test_masks_may_be_whatever_a_picture_may_and_flat_or_bool_too(noise: Noise, tmp_path: Path) -> None:
    grey = (noise(20, 30) * 255).round() / 255
    pixels = (grey * 255).to(torch.uint8).numpy()
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    for mask in (
        grey,
        grey[None],
        grey[None, None],
        grey.numpy(),
        pixels,
        tmp_path / "mask.png",
        to_pil(grey.expand(3, -1, -1)),
    ):
        torch.testing.assert_close(load_mask(mask), grey[None, None], atol=1e-6, rtol=0)
    for mask in (grey > 0.5, (grey > 0.5)[None], (grey > 0.5).numpy()):
        assert torch.equal(load_mask(mask), (grey > 0.5).float()[None, None])  # type: ignore[arg-type]
    assert load_mask(None) is None


def test_transparent_parts_of_a_mask_count_as_black(noise: Noise, tmp_path: Path) -> None:
    grey, opacity = (noise(2, 20, 30) * 255).round() / 255
    expected = (grey * opacity)[None, None]
    levels = torch.stack([grey, grey, grey, opacity])
    pixels = (levels * 255).to(torch.uint8).permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    Image.fromarray(pixels).convert("LA").save(tmp_path / "grey.png")
    for mask in (levels, pixels, Image.fromarray(pixels), tmp_path / "mask.png", tmp_path / "grey.png"):
        torch.testing.assert_close(load_mask(mask), expected, atol=1e-6, rtol=0)


# From pixels to positions


def test_blended_is_the_mean_over_the_cell_and_strict_the_least_that_is_seen(noise: Noise) -> None:
    pixels = 0.5 + 0.5 * noise(1, 1, 21, 27, dtype=torch.float64)
    stride, reach = 4, 3
    blended, strict = (position_weights(pixels, stride, reach, edges, step=stride) for edges in EDGES)
    assert blended.shape == strict.shape == (1, 1, 6, 7)
    for i in range(6):
        for j in range(7):
            top, left = i * stride, j * stride
            cell = pixels[0, 0, top : top + stride, left : left + stride]
            rows = slice(max(top - reach, 0), top + stride + reach)
            columns = slice(max(left - reach, 0), left + stride + reach)
            assert blended[0, 0, i, j] == pytest.approx(cell.sum().item() / stride**2)
            share = cell.numel() / stride**2
            assert strict[0, 0, i, j] == pytest.approx(share * pixels[0, 0, rows, columns].min().item())


@pytest.mark.parametrize("level", [1.0, 0.3])
def test_strict_edges_of_everywhere_leave_everything(level: float) -> None:
    everywhere = torch.full((1, 1, 32, 48), level)
    assert torch.equal(position_weights(everywhere, 8, 22, "strict", step=8), torch.full((1, 1, 4, 6), level))


def test_strict_edges_leave_out_the_rim_of_a_soft_region() -> None:
    ramp = torch.linspace(0, 1, 100).expand(1, 1, 16, 100)
    weights = position_weights(ramp, 1, 0, "strict", step=1)[0, 0, 0]
    assert torch.equal(weights, ramp[0, 0, 0] * (ramp[0, 0, 0] >= 0.5))
    assert not position_weights(0 * ramp, 2, 5, "strict", step=2).any()


@pytest.mark.parametrize("layer", ["image", "relu1_2", "relu2_1", "relu3_1"])
def test_positions_within_strict_edges_see_the_region_alone_and_all_others_do_not(
    encoder64: FeatureExtractor, noise: Noise, layer: str
) -> None:
    region = block(60, 64, slice(0, 46), slice(16, 61))
    picture, other = noise(2, 1, 3, 60, 64, dtype=torch.float64)
    outside = torch.where(region.bool(), picture, other)
    place = encoder64.layers[layer]
    weights = position_weights(region[None, None], place.stride, place.reach, "strict", step=place.stride)[0, 0]
    before, after = (encoder64(image, [layer])[layer][0] for image in (picture, outside))
    touched = (before != after).any(0)
    assert torch.equal(weights > 0, ~touched)
    assert 0 < weights.sum() < weights.numel()


# Soft edges


def soft(mask: Tensor, softness: float, size: tuple[int, int]) -> Tensor:
    region = Region(mask[None, None], softness, "blended")
    return region.pixels(size, torch.empty(0, dtype=torch.float64))[0, 0]


@pytest.mark.parametrize("size", [(100, 200), (200, 400), (400, 200)])
def test_softness_is_the_width_of_the_edge_on_the_result(size: tuple[int, int]) -> None:
    edge = soft(block(*size, slice(None), slice(size[1] // 2, None)), 0.2, size)
    assert torch.equal(edge[0], edge[-1])
    width = ((edge[0] > 0.0228) & (edge[0] < 0.9772)).sum() / max(size)
    assert width == pytest.approx(0.2, abs=2 / max(size))
    assert (edge[0].diff() >= -1e-12).all()
    assert edge[0][0] == 0
    assert edge[0][-1] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("softness", [0.001, 0.05, 1.0])
def test_soft_regions_that_made_up_the_picture_still_do(noise: Noise, softness: float) -> None:
    mask = noise(20, 30, dtype=torch.float64)
    total = soft(mask, softness, (33, 47)) + soft(1 - mask, softness, (33, 47))
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-12)


def test_no_softness_leaves_a_region_as_drawn() -> None:
    mask = block(20, 30, slice(3, 9), slice(4, 20))
    assert torch.equal(soft(mask, 0, (20, 30)), mask)
    assert not torch.allclose(soft(mask, 0.1, (20, 30)), mask, atol=0.1)


# In the objective


def value(encoder: FeatureExtractor, losses: Any, image: Tensor, *styles: Style, tile: int | None = None) -> Any:
    return Objective(encoder, losses, styles=styles).evaluate(image, tile)


def test_strict_edges_move_no_pixel_outside_and_blended_ones_do(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, style = noise(2, 1, 3, 32, 48, dtype=torch.float64)
    region = block(32, 48, slice(None), slice(0, 30))
    moved = {
        edges: value(encoder64, STYLE, image, Style(style, region=region, edges=edges)).gradient.abs().amax((0, 1, 2))
        for edges in EDGES
    }
    assert moved["strict"][:30].all()
    assert not moved["strict"][30:].any()
    reach = max(encoder64.layers[layer].reach for layer in SHALLOW)
    assert moved["blended"][30 : 30 + reach].all()
    assert not moved["blended"][30 + reach :].any()


@pytest.mark.parametrize("edges", EDGES)
@pytest.mark.parametrize("softness", [0, 0.3])
@pytest.mark.parametrize("tile", [None, 16])
def test_a_black_region_moves_nothing(
    encoder64: FeatureExtractor, noise: Noise, edges: Any, softness: float, tile: int | None
) -> None:
    image, style = noise(2, 1, 3, 32, 48, dtype=torch.float64)
    black = Style(style, region=torch.zeros(32, 48), edges=edges, softness=softness)
    evaluation = value(encoder64, STYLE, image, black, tile=tile)
    assert evaluation.loss == 0
    assert torch.equal(evaluation.gradient, torch.zeros_like(image))


def test_a_region_too_narrow_for_a_layer_is_left_alone_by_it(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, style = noise(2, 1, 3, 48, 48, dtype=torch.float64)
    narrow = Style(style, region=block(48, 48, slice(None), slice(8, 16)), edges="strict")
    deep, both = GramStyleLoss("relu3_1"), GramStyleLoss(("relu1_1", "relu3_1"), layer_weights=(1, 1))
    evaluation = value(encoder64, deep, image, narrow)
    assert evaluation.loss == 0
    assert torch.equal(evaluation.gradient, torch.zeros_like(image))
    shallow = value(encoder64, GramStyleLoss("relu1_1"), image, narrow)
    assert shallow.loss > 0
    together = value(encoder64, both, image, narrow)
    assert together.loss == pytest.approx(shallow.loss)
    torch.testing.assert_close(together.gradient, shallow.gradient)


def test_a_mask_too_narrow_for_a_layer_leaves_that_layer_out(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, style = noise(2, 1, 3, 48, 48, dtype=torch.float64)
    narrow = Style(style, mask=block(48, 48, slice(None), slice(8, 16)), edges="strict")
    both = GramStyleLoss(("relu1_1", "relu3_1"), layer_weights=(1, 1))
    expected = value(encoder64, GramStyleLoss("relu1_1"), image, narrow)
    assert expected.loss > 0
    assert value(encoder64, both, image, narrow).loss == pytest.approx(expected.loss)
    with pytest.raises(ValueError, match="too narrow for any position to see it alone"):
        value(encoder64, GramStyleLoss("relu3_1"), image, narrow)


@pytest.mark.parametrize("edges", EDGES)
def test_tiles_give_the_same(encoder64: FeatureExtractor, noise: Noise, edges: Any) -> None:
    image, first, second = noise(3, 1, 3, 40, 56, dtype=torch.float64)
    region = noise(40, 56, seed=1, dtype=torch.float64) * 0.2 + 0.8 * block(40, 56, slice(5, 30), slice(10, 50))
    styles = [Style(first, region=region, softness=0.1, edges=edges), Style(second, region=1 - region, edges=edges)]
    whole, tiled = (value(encoder64, STYLE, image, *styles, tile=tile) for tile in (None, 16))
    assert tiled.loss == pytest.approx(whole.loss, rel=1e-12)
    torch.testing.assert_close(tiled.gradient, whole.gradient, rtol=1e-9, atol=1e-15)


def test_many_overlapping_regions_add_up_and_pixels_in_none_are_left_alone(
    encoder64: FeatureExtractor, noise: Noise
) -> None:
    image, *pictures = noise(6, 1, 3, 24, 40, dtype=torch.float64)
    regions = [block(24, 40, slice(None), slice(4 * i, 4 * i + 9)) for i in range(5)]
    styles = [Style(picture, region=region) for picture, region in zip(pictures, regions, strict=True)]
    loss = GramStyleLoss("image")
    alone = [value(encoder64, loss, image, style) for style in styles]
    together = value(encoder64, loss, image, *styles)
    assert together.loss == pytest.approx(sum(each.loss for each in alone))
    torch.testing.assert_close(together.gradient, sum(each.gradient for each in alone))
    assert not together.gradient[..., 25:].any()


def test_equal_regions_need_equal_edges() -> None:
    region, picture = torch.eye(20), torch.zeros(3, 20, 20)
    groups = by_region(
        [
            Style(picture, region=region, softness=0.1),
            Style(picture, edges="strict"),
            Style(picture),
            Style(picture, region=region.clone(), softness=0.1),
            Style(picture, region=1 - region),
        ]
    )
    assert [len(members) for _, members in groups] == [2, 2, 1]
    with pytest.raises(ValueError, match=r"same softness and edges, received 0.1, 'blended' and 0.0, 'strict'"):
        by_region([Style(picture, region=region, softness=0.1), Style(picture, region=region, edges="strict")])


# Layers


def test_layers_of_weight_zero_are_not_computed(encoder: FeatureExtractor, noise: Noise) -> None:
    image, content, style = noise(3, 1, 3, 32, 32)
    spy = Spy(encoder)
    losses = ContentLoss(("relu2_2", "relu5_2"), layer_weights=(1, 0)) + GramStyleLoss(
        ("relu1_1", "relu4_1"), layer_weights=(3, 0)
    )
    evaluation = Objective(spy, losses, content=content, styles=[style]).evaluate(image)
    assert spy.asked == {"relu1_1", "relu2_2"}
    plain = ContentLoss("relu2_2", layer_weights=(1,)) + 3 * GramStyleLoss("relu1_1")
    expected = Objective(encoder, plain, content=content, styles=[style]).evaluate(image)
    assert evaluation.terms == pytest.approx(expected.terms)
    torch.testing.assert_close(evaluation.gradient, expected.gradient)


def test_layers_that_all_weigh_zero_make_a_loss_of_zero(encoder: FeatureExtractor, noise: Noise) -> None:
    image, content, style = noise(3, 1, 3, 32, 32)
    spy = Spy(encoder)
    losses = ContentLoss("relu1_1") + GramStyleLoss(("relu1_1", "relu4_1"), layer_weights=(0, 0))
    evaluation = Objective(spy, losses, content=content, styles=[style]).evaluate(image)
    assert evaluation.terms["GramStyleLoss"] == 0
    assert spy.asked == {"relu1_1"}


@pytest.mark.parametrize("share", [0, 0.3, 1])
def test_two_content_layers_are_blended_by_their_weights(
    encoder64: FeatureExtractor, noise: Noise, share: float
) -> None:
    image, content = noise(2, 1, 3, 32, 32, dtype=torch.float64)
    blend = ContentLoss(("relu1_2", "relu2_2"), layer_weights=(share, 1 - share))
    first, second, both = (
        Objective(encoder64, loss, content=content).evaluate(image)
        for loss in (ContentLoss("relu1_2"), ContentLoss("relu2_2"), blend)
    )
    assert both.loss == pytest.approx(share * first.loss + (1 - share) * second.loss)
    torch.testing.assert_close(both.gradient, share * first.gradient + (1 - share) * second.gradient)


def test_numpy_and_torch_regions_are_one_region(noise: Noise) -> None:
    region = (noise(20, 30) > 0.5).numpy()
    picture = torch.zeros(3, 20, 30)
    same = [region, torch.from_numpy(region), Image.fromarray((region * 255).astype(np.uint8))]
    assert len(by_region([Style(picture, region=each) for each in same])) == 1
