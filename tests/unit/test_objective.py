from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from doubles import Crossed, Means, Noise, Spread
from torch import Tensor

from neuralstyle import (
    ContentLoss,
    FeatureExtractor,
    GramStyleLoss,
    Loss,
    Objective,
    PointwiseLoss,
    StatisticLoss,
    Style,
    TotalVariationLoss,
)
from neuralstyle.encoders.base import WHOLE_PICTURE, Layer
from neuralstyle.losses import GhostLoss
from neuralstyle.machine.peak_memory import peak_memory
from neuralstyle.objective import auto_tile, readings
from neuralstyle.objective.tiling import tiles

GRAM = GramStyleLoss(("relu1_1", "relu2_1"))
LOSSES = ContentLoss("relu2_2") + 3 * GRAM + 0.5 * TotalVariationLoss()


class Robust(PointwiseLoss):
    layers = ("relu2_1",)
    reference = "content"

    def error(self, x: Tensor, target: Tensor) -> Tensor:
        return ((x - target).square() + 1e-3).sqrt().mean(1, keepdim=True)


class Mixing(Loss):
    """A general loss whose ``forward`` mixes the pictures of a batch."""

    layers = ("relu2_1",)
    reference = "style"

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return (x.std() - target.std()).square()


MIXING = Mixing()


def pictures(noise: Noise, count: int = 3, height: int = 20, width: int = 26) -> Tensor:
    return noise(count, 1, 3, height, width, dtype=torch.float64)


def left_half(height: int, width: int) -> Tensor:
    return (torch.arange(width) < width // 2).expand(1, height, width).double()


def close(actual: Any, expected: Any) -> None:
    """Equal evaluations, but for rounding."""
    assert actual.loss == pytest.approx(expected.loss, rel=1e-12)
    torch.testing.assert_close(actual.gradient, expected.gradient, rtol=1e-9, atol=1e-15)


# Value and gradient


def test_value_is_the_sum_of_weighted_terms(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, content, style = pictures(noise)
    evaluation = Objective(encoder64, LOSSES, content=content, styles=[style]).evaluate(image)
    assert list(evaluation.terms) == ["ContentLoss", "GramStyleLoss", "TotalVariationLoss"]
    assert evaluation.loss == pytest.approx(sum(evaluation.terms.values()))
    gradient = torch.zeros_like(image)
    for name, term in zip(LOSSES.names, LOSSES, strict=True):
        alone = Objective(encoder64, term.loss, content=content, styles=[style]).evaluate(image)
        assert evaluation.terms[name] == pytest.approx(term.weight * alone.loss)
        gradient += term.weight * alone.gradient
    torch.testing.assert_close(evaluation.gradient, gradient)


@pytest.mark.parametrize(
    "losses",
    [LOSSES, Spread(), Robust(), Means(), Crossed(), 2 * Spread() + Robust() + Crossed() + LOSSES],
    ids=["built in", "general", "pointwise", "statistic", "joint", "together"],
)
def test_gradient_is_the_derivative_of_the_value(encoder64: FeatureExtractor, noise: Noise, losses: Any) -> None:
    image, content, style = pictures(noise)
    objective = Objective(encoder64, losses, content=content, styles=[style])
    evaluation = objective.evaluate(image)
    step = 1e-6 * noise(*image.shape, seed=1, dtype=torch.float64)
    difference = objective.evaluate(image + step).loss - objective.evaluate(image - step).loss
    assert difference == pytest.approx(2 * float((evaluation.gradient * step).sum()), rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "reference"), [(Spread(), "style"), (Robust(), "content"), (Means(), "style")], ids=lambda v: str(v)[:9]
)
def test_custom_loss_is_what_its_forward_says_at_each_layer(
    encoder64: FeatureExtractor, noise: Noise, loss: Any, reference: str
) -> None:
    image, content, style = pictures(noise)
    x = encoder64(image, loss.layers)
    target = encoder64({"content": content, "style": style}[reference], loss.layers)
    expected = sum(float(loss.forward(x[layer], target[layer])) for layer in loss.layers) / len(loss.layers)
    objective = Objective(encoder64, loss, content=content, styles=[style])
    assert objective.evaluate(image).loss == pytest.approx(expected)


def test_joint_loss_gets_all_its_layers_at_once(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, content, _ = pictures(noise)
    loss = Crossed()
    expected = loss.forward(encoder64(image, loss.layers), encoder64(content, loss.layers))
    objective = Objective(encoder64, 3 * loss, content=content)
    assert objective.evaluate(image).terms == {"Crossed": pytest.approx(3 * float(expected))}
    assert objective.evaluate(content).loss == 0


@pytest.mark.parametrize("tile", [None, 8])
def test_joint_loss_may_leave_a_layer_unused(encoder64: FeatureExtractor, noise: Noise, tile: int | None) -> None:
    class First(Crossed):
        def forward(self, x: dict[str, Tensor], target: dict[str, Tensor]) -> Tensor:
            return (x["relu1_1"] - target["relu1_1"]).square().mean()

    image, content, _ = pictures(noise)
    expected = Objective(encoder64, 2 * ContentLoss("relu1_1"), content=content).evaluate(image)
    close(Objective(encoder64, First(), content=content).evaluate(image, tile), expected)


def test_terms_are_linear_in_their_weights(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, content, style = pictures(noise)

    def evaluate(losses: Any) -> Any:
        return Objective(encoder64, losses, content=content, styles=[style]).evaluate(image)

    once, doubled, cancelled = evaluate(LOSSES), evaluate(2 * LOSSES), evaluate(LOSSES + -1 * LOSSES)
    assert doubled.loss == pytest.approx(2 * once.loss)
    torch.testing.assert_close(doubled.gradient, 2 * once.gradient)
    assert abs(cancelled.loss) < 1e-12 * once.loss
    assert cancelled.gradient.abs().max() < 1e-12 * once.gradient.abs().max()
    assert evaluate(LOSSES + 0 * Spread()).terms["Spread"] == 0


@pytest.mark.parametrize("tile", [None, 8])
def test_gradient_can_be_left_out(encoder64: FeatureExtractor, noise: Noise, tile: int | None) -> None:
    image, content, style = pictures(noise)
    objective = Objective(encoder64, LOSSES + Spread(), content=content, styles=[style])
    without, full = objective.evaluate(image, tile, with_gradient=False), objective.evaluate(image, tile)
    assert without.gradient is None
    assert full.gradient is not None
    assert without.terms == full.terms


@pytest.mark.parametrize("requires_grad", [False, True])
def test_evaluating_leaves_the_picture_and_grad_mode_alone(
    encoder64: FeatureExtractor, noise: Noise, requires_grad: bool
) -> None:
    image, content, style = pictures(noise)
    image = image.clone().requires_grad_(requires_grad)
    before = image.detach().clone()
    objective = Objective(encoder64, LOSSES, content=content, styles=[style])
    with torch.no_grad():
        inside = objective.evaluate(image)
        assert not torch.is_grad_enabled()
    close(inside, objective.evaluate(image))
    assert not inside.gradient.requires_grad
    assert image.requires_grad == requires_grad
    assert image.grad is None
    assert torch.equal(image, before)


def test_targets_are_taken_once(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, content, style = pictures(noise).clone()
    losses = ContentLoss("image") + LOSSES
    objective = Objective(encoder64, losses, content=content, styles=[style])
    before = objective.evaluate(image)
    content.zero_()
    style.zero_()
    close(objective.evaluate(image), before)


@pytest.mark.parametrize("tile", [None, 8])
@pytest.mark.parametrize(
    "loss", [ContentLoss("relu2_1"), ContentLoss("relu2_1", reduction="sum"), GRAM, Crossed(), MIXING]
)
def test_batch_is_the_mean_of_its_pictures(
    encoder64: FeatureExtractor, noise: Noise, tile: int | None, loss: Any
) -> None:
    first, second, content, style, other = pictures(noise, 5)
    styles = [Style(style, region=left_half(20, 26)), other] if loss is not MIXING else [style]
    objective = Objective(encoder64, loss, content=content, styles=styles)
    together = objective.evaluate(torch.cat([first, second]), tile)
    singles = [objective.evaluate(image) for image in (first, second)]
    assert together.loss == pytest.approx(sum(single.loss for single in singles) / 2)
    torch.testing.assert_close(together.gradient, torch.cat([single.gradient for single in singles]) / 2)


# Several styles


def test_styles_are_blended_by_their_shares(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, first, second = pictures(noise)

    def evaluate(*styles: Any) -> Any:
        return Objective(encoder64, GRAM + Spread(), styles=styles).evaluate(image)

    a, b = evaluate(first), evaluate(Style(second, weight=5))
    close(evaluate(Style(first, weight=1), Style(second, weight=0)), a)
    close(evaluate(Style(first, weight=0), Style(second, weight=0.1)), b)
    blend = evaluate(Style(first, weight=3), Style(second, weight=1))
    assert blend.loss == pytest.approx(0.75 * a.loss + 0.25 * b.loss)
    torch.testing.assert_close(blend.gradient, 0.75 * a.gradient + 0.25 * b.gradient)


def test_styles_may_differ_in_size(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, style, _ = pictures(noise)
    twice = style.tile(1, 1, 2, 1)
    expected = Objective(encoder64, GramStyleLoss("image"), styles=[style]).evaluate(image)
    close(Objective(encoder64, GramStyleLoss("image"), styles=[style, twice]).evaluate(image), expected)


@pytest.mark.parametrize("region", [None, torch.ones(1, 20, 26)], ids=["everywhere", "in a region of their own"])
def test_styles_whose_weights_are_all_zero_are_refused(
    encoder64: FeatureExtractor, noise: Noise, region: Tensor | None
) -> None:
    _, first, second = pictures(noise)
    others = [] if region is None else [Style(first)]
    with pytest.raises(ValueError, match="weight"):
        Objective(encoder64, GRAM, styles=[*others, Style(second, weight=0, region=region)])


# Regions and masks


@pytest.mark.parametrize("layer", ["image", "relu1_1", "relu2_1"])
def test_region_moves_no_pixel_beyond_the_reach(encoder64: FeatureExtractor, noise: Noise, layer: str) -> None:
    image, style = pictures(noise, 2, 24, 48)
    objective = Objective(encoder64, GramStyleLoss(layer), styles=[Style(style, region=left_half(24, 48))])
    moved = objective.evaluate(image).gradient.abs().amax((0, 1, 2))
    last = 23 + encoder64.layers[layer].reach
    assert moved[: last + 1].all()
    assert not moved[last + 1 :].any()


@pytest.mark.parametrize("tile", [None, 8])
def test_empty_region_weighs_nothing(encoder64: FeatureExtractor, noise: Noise, tile: int | None) -> None:
    image, style, other = pictures(noise)
    black = torch.zeros(1, 20, 26)
    evaluation = Objective(encoder64, GRAM, styles=[Style(style, region=black)]).evaluate(image, tile)
    assert evaluation.loss == 0
    assert not evaluation.gradient.any()
    with_other = Objective(encoder64, GRAM, styles=[Style(style, region=black), other]).evaluate(image, tile)
    close(with_other, Objective(encoder64, GRAM, styles=[other]).evaluate(image))


@pytest.mark.parametrize("loss", [GramStyleLoss("image"), Means(("image",))], ids=["gram", "means"])
def test_region_equals_its_crop(encoder64: FeatureExtractor, noise: Noise, loss: StatisticLoss) -> None:
    image, style, _ = pictures(noise)
    place = (..., slice(2, 18), slice(7, 24))
    region = torch.zeros(1, 1, 20, 26)
    region[place] = 1
    share = 16 * 17 / (20 * 26)
    whole = Objective(encoder64, share * loss, styles=[style]).evaluate(image[place])
    masked = Objective(encoder64, loss, styles=[Style(style, region=region)]).evaluate(image)
    assert masked.loss == pytest.approx(whole.loss, rel=1e-6)
    torch.testing.assert_close(masked.gradient[place], whole.gradient, rtol=1e-6, atol=0)
    masked.gradient[place] = 0
    assert not masked.gradient.any()


def test_region_and_mask_weigh_each_position_by_the_mean_over_its_cell(
    encoder64: FeatureExtractor, noise: Noise
) -> None:
    image, style = pictures(noise, 2, 21, 27)
    region, mask = noise(2, 1, 21, 27, seed=1, dtype=torch.float64)

    def mean(picture: Tensor, weight: Tensor) -> np.ndarray:
        inside = np.pad(weight.numpy()[0], ((0, 1), (0, 1)))  # nothing counts outside the picture
        cells = sum(inside[i::2, j::2] for i in (0, 1) for j in (0, 1)) / 4
        whole = torch.from_numpy(np.pad(picture.numpy(), ((0, 0), (0, 0), (0, 3), (0, 3)), mode="symmetric"))
        features = encoder64(whole, ["relu2_1"])["relu2_1"].numpy()[0, :, :11, :14]
        return (features * cells).sum((1, 2)) / cells.sum()

    expected = float(region.mean()) * ((mean(image, region) - mean(style, mask)) ** 2).mean()
    objective = Objective(encoder64, Means(), styles=[Style(style, region=region, mask=mask)])
    assert objective.evaluate(image).loss == pytest.approx(expected)


def test_mask_equals_its_crop_of_the_style(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, style, _ = pictures(noise)
    mask = torch.zeros(1, 1, 20, 26)
    mask[..., 2:18, 7:24] = 1
    masked = Objective(encoder64, GramStyleLoss("image"), styles=[Style(style, mask=mask)]).evaluate(image)
    cropped = Objective(encoder64, GramStyleLoss("image"), styles=[style[..., 2:18, 7:24]]).evaluate(image)
    close(masked, cropped)


@pytest.mark.parametrize("level", [1.0, 0.25])
def test_grey_all_over_is_the_same_as_no_mask(encoder64: FeatureExtractor, noise: Noise, level: float) -> None:
    image, style, _ = pictures(noise)
    plain = Objective(encoder64, GRAM, styles=[style]).evaluate(image)
    grey = torch.full((1, 20, 26), level)
    close(Objective(encoder64, GRAM, styles=[Style(style, mask=grey)]).evaluate(image), plain)
    close(Objective(encoder64, level * GRAM, styles=[style]).evaluate(image), _in_region(encoder64, style, grey, image))


def _in_region(encoder: FeatureExtractor, style: Tensor, region: Tensor, image: Tensor) -> Any:
    return Objective(encoder, GRAM, styles=[Style(style, region=region)]).evaluate(image)


def test_regions_are_guided_apart_and_equal_ones_are_blended(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, first, second = pictures(noise)
    left = left_half(20, 26)
    a, b = (_in_region(encoder64, style, left, image) for style in (first, second))
    c = _in_region(encoder64, second, 1 - left, image)

    apart = Objective(encoder64, GRAM, styles=[Style(first, region=left), Style(second, region=1 - left)])
    assert apart.evaluate(image).loss == pytest.approx(a.loss + c.loss)
    torch.testing.assert_close(apart.evaluate(image).gradient, a.gradient + c.gradient)

    blend = Objective(encoder64, GRAM, styles=[Style(first, region=left), Style(second, region=left.clone())])
    assert blend.evaluate(image).loss == pytest.approx((a.loss + b.loss) / 2)


class Tinted(PointwiseLoss):
    """Each pixel against the style's mean colour."""

    layers = ("image",)
    reference = "style"

    def __init__(self, reduction: Any) -> None:
        self.reduction = reduction

    def error(self, x: Tensor, target: Tensor) -> Tensor:
        return (x - target.mean((2, 3), keepdim=True)).square().mean(1, keepdim=True)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_regions_that_make_up_the_picture_weigh_as_much_as_none(
    encoder64: FeatureExtractor, noise: Noise, reduction: Any
) -> None:
    image, style, _ = pictures(noise)
    region = noise(1, 1, 20, 26, seed=1, dtype=torch.float64)
    parts = [Style(style, region=region), Style(style, region=1 - region)]
    split = Objective(encoder64, Tinted(reduction), styles=parts).evaluate(image)
    whole = Objective(encoder64, Tinted(reduction), styles=[style]).evaluate(image)
    close(split, whole)


def test_regions_and_masks_are_stretched_to_their_pictures(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, style = pictures(noise, 2, 32, 32)
    small, loss = left_half(16, 16), GramStyleLoss("image")
    guided = Objective(encoder64, loss, styles=[Style(style, region=small)]).evaluate(image)
    assert guided.gradient[..., :15].all()
    assert not guided.gradient[..., 20:].any()
    masked = Objective(encoder64, loss, styles=[Style(style, mask=small)]).evaluate(image)
    blotted = style.clone()
    blotted[..., 20:] = 0
    close(Objective(encoder64, loss, styles=[Style(blotted, mask=small)]).evaluate(image), masked)
    assert Objective(encoder64, loss, styles=[blotted]).evaluate(image).loss != pytest.approx(masked.loss, rel=0.1)


# In tiles: who watches, what is kept, and which tile


@pytest.mark.parametrize(("tile", "with_gradient", "total"), [(None, True, 1), (8, True, 24), (8, False, 12)])
def test_on_tile_counts_the_tiles_seen(
    encoder64: FeatureExtractor, noise: Noise, tile: int | None, with_gradient: bool, total: int
) -> None:
    image, content, style = pictures(noise)
    objective = Objective(encoder64, LOSSES, content=content, styles=[style])
    seen: list[tuple[int, int]] = []
    objective.evaluate(image, tile, with_gradient=with_gradient, on_tile=lambda *counts: seen.append(counts))
    assert seen == [(done, total) for done in range(1, total + 1)]


@pytest.mark.parametrize("tile", [None, 14])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 0), (torch.float32, 1e-6), (torch.float16, 1e-2), (torch.bfloat16, 3e-2)]
)
def test_maps_may_be_kept_in_fewer_bits(
    encoder64: FeatureExtractor, noise: Noise, tile: int | None, dtype: torch.dtype, tolerance: float
) -> None:
    image, content, style = pictures(noise)
    losses = ContentLoss("relu2_2") + Robust() + 3 * Crossed() + Spread()

    def evaluate(**options: Any) -> Any:
        objective = Objective(encoder64, losses, content=content, styles=[style], tile=tile, **options)
        return objective.evaluate(image, tile)

    exact, kept = evaluate(), evaluate(map_dtype=dtype, map_device="cpu")
    assert kept.gradient.dtype == torch.float64
    error = float((kept.gradient - exact.gradient).norm() / exact.gradient.norm())
    assert error <= tolerance
    assert (error > 0) == (tolerance > 0)  # the option is not ignored


def test_the_picture_itself_is_kept_as_it_is(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, content, _style = pictures(noise)
    losses = GhostLoss(empty=1, busy=2) + ContentLoss("image")
    exact, kept = (
        Objective(encoder64, losses, content=content, tile=14, map_dtype=dtype).evaluate(image, 14)
        for dtype in (None, torch.bfloat16)
    )
    assert kept.loss == exact.loss > 0


def test_gradients_of_a_map_in_half_precision_do_not_underflow(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, content, _style = pictures(noise)
    exact = Objective(encoder64, 1e-9 * Crossed(), content=content).evaluate(image, 8).gradient
    kept = Objective(encoder64, 1e-9 * Crossed(), content=content, map_dtype=torch.float16).evaluate(image, 8).gradient
    assert float((kept - exact).norm()) < 0.03 * float(exact.norm())


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The free memory that is found, in bytes; may be changed."""
    found = [2**40]
    monkeypatch.setattr(auto_tile, "free_memory", lambda device: found[0])
    return found


def test_automatic_tile_is_the_whole_where_it_fits_and_stays_what_it_was(
    encoder64: FeatureExtractor, noise: Noise, memory: list[int]
) -> None:
    image, content, style = pictures(noise)
    objective = Objective(encoder64, LOSSES, content=content, styles=[style], tile="auto")
    seen: list[int] = []
    automatic = objective.evaluate(image, "auto", on_tile=lambda done, total: seen.append(total))
    assert torch.equal(automatic.gradient, objective.evaluate(image).gradient)
    memory[0] = 0
    objective.evaluate(image, "auto", on_tile=lambda done, total: seen.append(total))
    assert seen == [1, 1]


def test_automatic_tile_is_the_largest_that_half_of_the_free_memory_holds(
    encoder64: FeatureExtractor, noise: Noise, memory: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stride, reach = encoder64.layers["relu2_1"].stride, encoder64.layers["relu2_1"].reach

    def pixels(tile: int | None) -> int:
        views = [part.view() for part in tiles(48, 64, tile, stride, reach)]
        return max((rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in views)

    image, style, _ = pictures(noise, 3, 48, 64)
    objective = Objective(encoder64, GRAM, styles=[style])
    expected = objective.evaluate(image, with_gradient=False).loss
    # A pixel takes 1000 bytes: so small a picture is measured whole. Beside its tiles there is its gradient.
    monkeypatch.setattr(auto_tile, "peak_memory", lambda device, work: 1000 * pixels(None))
    chosen: list[int] = []
    for wanted in (16, 32):
        enough = 2 * (1000 * pixels(wanted) + image.nbytes)
        for memory[0] in (enough, enough - 2):
            fits = [tile for tile in range(stride, 64, stride) if 2 * (1000 * pixels(tile) + image.nbytes) <= memory[0]]
            seen: list[int] = []
            anew = Objective(encoder64, GRAM, styles=[style])
            found = anew.evaluate(image, "auto", with_gradient=False, on_tile=lambda done, _: seen.append(done))  # noqa: B023
            assert found.loss == pytest.approx(expected, rel=1e-12)
            assert len(seen) == len(tiles(48, 64, max(fits), stride, reach))
            chosen.append(len(seen))
    assert len(set(chosen)) == 4


def test_automatic_tile_that_does_not_fit_says_how_much_it_takes(
    encoder64: FeatureExtractor, noise: Noise, memory: list[int]
) -> None:
    image, content, style = pictures(noise)
    memory[0] = 2**17
    objective = Objective(encoder64, LOSSES, content=content, styles=[style])
    with pytest.raises(MemoryError, match=r"no tile fits the memory of cpu: .* MiB hold .* bytes a pixel"):
        objective.evaluate(image, "auto")


class Blurred:
    """A network whose one layer depends on the whole picture."""

    layers: ClassVar = {"attention1": Layer("attention1", "module", 3, 1, WHOLE_PICTURE)}

    def __call__(self, image: Tensor, layers: Any) -> dict[str, Tensor]:
        return {"attention1": image * image.mean((2, 3), keepdim=True)}


def test_tiles_are_refused_where_a_layer_depends_on_the_whole_picture(noise: Noise, memory: list[int]) -> None:
    image, style, _ = pictures(noise)
    loss = GramStyleLoss("attention1")
    objective = Objective(Blurred(), loss, styles=[style])
    whole = objective.evaluate(image)
    assert torch.equal(objective.evaluate(image, "auto").gradient, whole.gradient)
    with pytest.raises(ValueError, match=r"'attention1'.* whole picture .*leave tile out"):
        objective.evaluate(image, 8)
    with pytest.raises(ValueError, match="attention1"):
        Objective(Blurred(), loss, styles=[style], tile=8)


def test_nothing_is_inside_a_region_where_every_position_sees_the_whole_picture(noise: Noise) -> None:
    image, style, _ = pictures(noise)
    loss = GramStyleLoss("attention1")
    half = torch.ones(32, 32)
    half[16:] = 0
    for masks in ({"region": half}, {"mask": half}):
        Objective(Blurred(), loss, styles=[Style(style, **masks)]).evaluate(image)
        with pytest.raises(ValueError, match=r"'strict'.*'attention1'.*edges='blended'"):
            Objective(Blurred(), loss, styles=[Style(style, edges="strict", **masks)])


# What is refused


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        (ContentLoss("relu1_1"), "ContentLoss compares with the content, and no content was given"),
        (ContentLoss(reference="previous") + GRAM, "no previous was given"),
        (TotalVariationLoss() + GRAM, "GramStyleLoss compares with the style, and no style was given"),
        (
            type("Stale", (Spread,), {"reference": "stile"})(),
            "reference is 'stile'; known are 'content', 'style', 'previous' and None",
        ),
        (TotalVariationLoss("relu9_1"), "unknown layer of vgg19 'relu9_1'"),
        (TotalVariationLoss() * 1 + TotalVariationLoss("conv_1"), "unknown layer of vgg19 'conv_1'"),
        (sum([]), "received 0"),
        ([TotalVariationLoss()], "a loss or a sum of losses"),
        (None, "received None"),
    ],
)
def test_losses_that_cannot_be_computed_are_refused(encoder: FeatureExtractor, losses: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Objective(encoder, losses)


@pytest.mark.parametrize(
    ("attributes", "missing"), [({"layers": ("image",)}, "reference"), ({"reference": None}, "layers")]
)
def test_loss_without_layers_or_reference_is_refused(
    encoder: FeatureExtractor, attributes: dict[str, Any], missing: str
) -> None:
    partial = type("Partial", (Loss,), {"forward": lambda self, x, target: x.mean(), **attributes})
    with pytest.raises(ValueError, match=f"Partial.*{missing}"):
        Objective(encoder, partial())


def test_picture_of_another_size_than_the_content_is_refused(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, content, _ = pictures(noise)
    objective = Objective(encoder64, ContentLoss("relu1_1"), content=content[..., :-1])
    with pytest.raises(ValueError, match=r"image is \(20, 26\), the content \(20, 25\)"):
        objective.evaluate(image)


def test_previous_of_another_size_than_the_content_is_refused(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, content, previous = pictures(noise)
    losses = ContentLoss("relu1_1") + ContentLoss("relu1_1", reference="previous")
    with pytest.raises(ValueError, match="size"):
        Objective(encoder64, losses, content=content, previous=previous[..., :-1]).evaluate(image)


def test_picture_without_a_batch_is_refused(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, style, _ = pictures(noise)
    objective = Objective(encoder64, GRAM, styles=[style])
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\)"):
        objective.evaluate(image[0])


def test_whole_map_loss_is_refused_in_a_region_or_under_a_mask(encoder: FeatureExtractor, noise: Noise) -> None:
    _, style, _ = pictures(noise)
    half = left_half(20, 26)
    with pytest.raises(ValueError, match=r"Spread .*region.* StatisticLoss"):
        Objective(encoder, GRAM + Spread(), styles=[Style(style, region=half)])
    with pytest.raises(ValueError, match=r"Spread .*mask.* StatisticLoss"):
        Objective(encoder, GRAM + Spread(), styles=[Style(style, mask=half)])


def test_black_mask_is_refused(encoder: FeatureExtractor, noise: Noise) -> None:
    _, style, _ = pictures(noise)
    with pytest.raises(ValueError, match="mask of a style is black"):
        Objective(encoder, GRAM, styles=[Style(style, mask=torch.zeros(1, 20, 26))])


class Doubtful(Loss):
    layers = ("image",)
    reference = "content"

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return self.function((x - target).square().sum())


@pytest.mark.parametrize("tile", [None, 8])
@pytest.mark.parametrize(
    ("function", "message"),
    [(lambda d: d / d, "term Doubtful is nan"), (lambda d: -d.log(), "Doubtful is inf"), (torch.sqrt, "gradient of")],
    ids=["nan", "infinite", "gradient"],
)
def test_values_that_are_not_finite_are_named(
    encoder64: FeatureExtractor, noise: Noise, function: Any, message: str, tile: int | None
) -> None:
    _, content, style = pictures(noise)
    objective = Objective(encoder64, GRAM + Doubtful(function), content=content, styles=[style])
    with pytest.raises(FloatingPointError, match=message):
        objective.evaluate(content, tile)


@pytest.mark.parametrize("tile", [None, 32])
def test_statistics_in_bands_of_rows_are_those_of_all_rows(
    encoder64: FeatureExtractor, noise: Noise, tile: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, content, style = pictures(noise)
    styles = [Style(style, region=left_half(20, 26)), Style(content)]
    losses = LOSSES + Means(("image", "relu1_1")) + Spread()
    objective = Objective(encoder64, losses, content=content, styles=styles[1:])
    regional = Objective(encoder64, GRAM, styles=styles)
    found = []
    for numbers in (2**30, 300):
        monkeypatch.setitem(readings.ELEMENTS_PER_BAND, "cpu", numbers)
        found.append([each.evaluate(content.flip(3), tile) for each in (objective, regional)])
    for whole, bands in zip(*found, strict=True):
        close(bands, whole)


class Halved(FeatureExtractor):
    """A network whose user has changed what comes out."""

    def forward(self, image: Tensor, layers: Any) -> dict[str, Tensor]:
        return {name: 0.5 * maps for name, maps in super().forward(image, layers).items()}


@pytest.mark.parametrize("tile", [None, 16])
def test_a_forward_pass_of_ones_own_is_the_one_that_counts(noise: Noise, tile: int | None) -> None:
    _, content, style = pictures(noise)
    losses = ContentLoss("relu2_1") + GramStyleLoss("relu1_1")
    found = []
    for kind, weights in ((FeatureExtractor, (0.25, 0.0625)), (Halved, (1, 1))):
        content_loss, style_loss = (weight * term.loss for weight, term in zip(weights, losses, strict=True))
        objective = Objective(kind().double(), content_loss + style_loss, content=content, styles=[style])
        found.append(objective.evaluate(content.flip(3), tile))
    close(*found)


def test_statistics_take_no_more_memory_for_their_gradient_than_a_band_of_rows(
    encoder64: FeatureExtractor, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = noise(1, 3, 64, 60, dtype=torch.float64)
    objective = Objective(encoder64, GramStyleLoss("relu1_1") + Means(("relu1_1",)), styles=[image])
    peaks = []
    for numbers in (2**30, 64 * 60 * 5):
        monkeypatch.setitem(readings.ELEMENTS_PER_BAND, "cpu", numbers)
        peaks.append(peak_memory(torch.device("cpu"), lambda: objective.evaluate(image)))
    assert peaks[1] < peaks[0] - 0.9 * 64 * 64 * 60 * 8  # as much as the features take
