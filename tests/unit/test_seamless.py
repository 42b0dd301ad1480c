"""Pictures that repeat: the encoder, the losses, the sizes and the pixels see the other end beyond a border."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from doubles import Means, Noise, Spread
from PIL import Image
from torch import Tensor, nn

from neuralstyle import (
    ContentLoss,
    FeatureExtractor,
    ModuleExtractor,
    Objective,
    Stage,
    Style,
    TotalVariationLoss,
    cli,
    default_encoder,
    plan,
    stylize,
    synthesize_texture,
)
from neuralstyle.encoders import InPrecision
from neuralstyle.encoders.kernels.padding import pad_circular
from neuralstyle.images import resize_image, to_pil
from neuralstyle.images.periodic import periodic_part
from neuralstyle.losses import MRFLoss
from neuralstyle.objective.features import FeatureSource
from neuralstyle.objective.tiling import tiles
from neuralstyle.objective.wrapping import add_wrapped, cut_wrapped
from neuralstyle.parameters import Smoothed

SHIFT = (16, 32)


def rolled(image: Tensor) -> Tensor:
    return torch.roll(image, SHIFT, (2, 3))


def circular(encoder: FeatureExtractor, image: Tensor, deepest: str) -> dict[str, Tensor]:
    """The features of a network whose convolutions all pad by the other end, written down anew."""
    x = (image - encoder.mean) / encoder.std
    found = {}
    for name, layer in encoder.layers.items():
        if layer.kind == "conv":
            convolution: Any = encoder.convolutions[name]
            x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="circular"), convolution.weight, convolution.bias)
        elif layer.kind == "relu":
            x = x.relu()
        elif layer.kind == "pool":
            x = F.max_pool2d(x, 2)
        found[name] = x
        if name == deepest:
            break
    return found


@pytest.mark.parametrize(("network", "layer"), [("vgg19", "relu3_1"), ("compact19", "relu3_1")])
@pytest.mark.parametrize("convolution", ["direct", "winograd", "auto"])
def test_features_are_those_of_circular_padding(noise: Noise, network: str, layer: str, convolution: Any) -> None:
    encoder = FeatureExtractor(network, layers=[layer], pooling="max", convolution=convolution)
    image, content = noise(1, 3, 32, 48), noise(1, 3, 32, 48).flip(3)
    losses = ContentLoss(layer) + Means(layers=("relu2_1",), reference="content")
    found = Objective(encoder, losses, content=content, seamless=True).evaluate(image)
    one, other = (circular(encoder, each, layer) for each in (image, content))
    expected = {
        "ContentLoss": (one[layer] - other[layer]).square().mean() / 2,
        "Means": (one["relu2_1"].mean((2, 3)) - other["relu2_1"].mean((2, 3))).square().mean(),
    }
    for name, value in found.terms.items():
        assert value == pytest.approx(float(expected[name]), rel=1e-4)


@pytest.mark.parametrize("network", ["vgg19", "compact19"])
@pytest.mark.parametrize("size", [(32, 48), (29, 43)])
def test_tiles_equal_the_whole(noise: Noise, network: str, size: tuple[int, int]) -> None:
    losses = ContentLoss("relu2_1") + 10 * Means(layers=("relu1_1", "relu3_1")) + TotalVariationLoss()
    encoder = FeatureExtractor(network, layers=["relu3_1"])
    objective = Objective(
        encoder, losses, content=noise(1, 3, *size).flip(3), styles=[noise(1, 3, 40, 40)], seamless=True
    )
    image = noise(1, 3, *size)
    whole = objective.evaluate(image)
    for tile in (None, 16):
        leaf = image.clone().requires_grad_()
        objective(leaf, tile=tile).backward()
        assert leaf.grad is not None
        assert whole.gradient is not None
        assert _apart(leaf.grad, whole.gradient) <= 1e-4
    for tile in (8, 24, "auto"):
        found = objective.evaluate(image, tile=tile)
        assert found.loss == pytest.approx(whole.loss, rel=1e-5)
        assert found.gradient is not None
        assert whole.gradient is not None
        assert _apart(found.gradient, whole.gradient) <= 1e-4


def _apart(gradient: Tensor, other: Tensor) -> float:
    """Relative difference, by the norm: where a number before a ReLU is zero to rounding, its gradient may pass or not."""
    return float((gradient - other).norm() / other.norm())


class Outside:
    """A FeatureExtractor as an encoder of somebody else's, which knows nothing of pictures that repeat."""

    def __init__(self, encoder: FeatureExtractor) -> None:
        self.encoder, self.layers = encoder, encoder.layers

    def __call__(self, image: Tensor, layers: Any) -> dict[str, Tensor]:
        return self.encoder(image, layers)


@pytest.mark.parametrize("network", ["vgg19", "compact19"])
@pytest.mark.parametrize("pooling", ["max", "l2", "average"])
@pytest.mark.parametrize("convolution", ["direct", "winograd"])
def test_an_encoder_that_pads_itself_equals_one_that_is_shown_more(
    noise: Noise, network: str, pooling: Any, convolution: Any
) -> None:
    losses = ContentLoss("relu2_1") + 10 * Means(layers=("relu1_1", "relu3_1")) + TotalVariationLoss()
    options: dict[str, Any] = {"pooling": pooling, "padding": "replicate", "convolution": convolution}
    extractor = FeatureExtractor(network, layers=["relu3_1"], **options)
    image, content, style = noise(1, 3, 32, 48), noise(1, 3, 32, 48).flip(3), noise(1, 3, 40, 40)
    one, other = (
        Objective(encoder, losses, content=content, styles=[style], seamless=True).evaluate(image)
        for encoder in (extractor, Outside(extractor))
    )
    assert one.loss == pytest.approx(other.loss, rel=1e-5)
    assert one.gradient is not None
    assert other.gradient is not None
    # Where two positions of a cell are equal to rounding, the gradient of max pooling goes to either.
    far = 1e-2 if pooling == "max" and convolution == "winograd" else 3e-3
    assert _apart(other.gradient, one.gradient) <= far


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precisions_pad_circularly(noise: Noise, precision: Any) -> None:
    losses = Means(layers=("relu1_1", "relu2_1"))
    encoder = InPrecision(FeatureExtractor(layers=["relu2_1"]), precision)
    image, style = noise(1, 3, 32, 48), noise(1, 3, 40, 40)
    objective = Objective(encoder, losses, styles=[style], seamless=True)
    whole, tiled = objective.evaluate(image), objective.evaluate(image, tile=16)
    assert whole.loss == pytest.approx(tiled.loss, rel=1e-5 if precision == "float32" else 2e-2)


def test_compiled_networks_are_shown_more(noise: Noise) -> None:
    compiled = InPrecision(FeatureExtractor(layers=["relu2_1"]), compile=True)
    assert not FeatureSource(compiled, ["relu2_1"]).takes_circular(32, 32)
    plain = FeatureSource(compiled.encoder, ["relu2_1"])
    assert plain.takes_circular(32, 32)
    assert not plain.takes_circular(32, 33)


@pytest.mark.parametrize("width", [1, 2, 5])
def test_circular_padding(noise: Noise, width: int) -> None:
    x = noise(1, 2, 2, 3)
    index = [torch.arange(-width, size + width) % size for size in (2, 3)]
    assert torch.equal(pad_circular(x, width), x[:, :, index[0]][:, :, :, index[1]])


def test_nothing_depends_on_where_the_border_is(noise: Noise) -> None:
    """A picture moved around the torus has the value and the moved gradient; without ``seamless`` it has not."""
    encoder = FeatureExtractor(layers=["relu3_1"])
    losses = ContentLoss("relu2_1") + 10 * Means(layers=("relu1_1", "relu3_1")) + TotalVariationLoss()
    image, content, style = noise(1, 3, 48, 64), noise(1, 3, 48, 64).flip(3), noise(1, 3, 40, 40)
    region = torch.zeros(1, 1, 48, 64)
    region[..., :20, 50:] = 1

    def moved(seamless: bool, edges: Any) -> float:
        found = []
        for move in (lambda x: x, rolled):
            styles = [Style(style, region=move(region), softness=0.1, edges=edges)]
            objective = Objective(encoder, losses, content=move(content), styles=styles, seamless=seamless)
            found.append(objective.evaluate(move(image)))
        first, second = found
        assert first.gradient is not None
        assert second.gradient is not None
        assert abs(first.loss - second.loss) <= 1e-5 * first.loss or not seamless
        return float((rolled(first.gradient) - second.gradient).abs().max() / first.gradient.abs().max())

    for edges in ("blended", "strict"):
        assert moved(True, edges) < 1e-4
    assert moved(False, "blended") > 1e-2


def test_total_variation_counts_the_step_across_the_border() -> None:
    ramp = torch.linspace(0, 1, 32).expand(1, 3, 32, 32)
    encoder = FeatureExtractor(layers=["relu1_1"])
    loss = TotalVariationLoss(power=1, reduction="sum")
    plain, seamless = (Objective(encoder, loss, seamless=each).evaluate(ramp).loss for each in (False, True))
    assert seamless - plain == pytest.approx(3 * 32, rel=1e-4)


def test_second_derivatives_pass(noise: Noise) -> None:
    image = noise(1, 1, 4, 5).double().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: cut_wrapped(x, (slice(-3, 7), slice(-6, 8))).square(), image)


@pytest.mark.parametrize("place", [(-5, 13), (0, 8), (-20, 30), (3, 5), (6, 20)])
def test_cutting_and_adding_are_transposed(noise: Noise, place: tuple[int, int]) -> None:
    maps = noise(1, 2, 8, 9)
    where = slice(*place), slice(-4, 11)
    cut = cut_wrapped(maps, where)
    index = [torch.arange(span.start, span.stop) % size for span, size in zip(where, (8, 9), strict=True)]
    assert torch.equal(cut, maps[:, :, index[0]][:, :, :, index[1]])
    other, total = noise(*cut.shape), torch.zeros_like(maps)
    add_wrapped(total, where, other)
    assert float((total * maps).sum()) == pytest.approx(float((other * cut).sum()), rel=1e-4)


def test_the_whole_is_not_copied(noise: Noise) -> None:
    maps = noise(1, 2, 8, 9)
    assert cut_wrapped(maps, (slice(0, 8), slice(0, 9))) is maps


@pytest.mark.parametrize("size", [(48, 64), (37, 50)])
@pytest.mark.parametrize("tile", [None, 16, 32])
def test_every_view_has_whole_cells_and_its_halo(size: tuple[int, int], tile: int | None) -> None:
    found = tiles(*size, tile, 8, 11, wraps=True)
    for each in found:
        for span, side in zip((each.rows, each.columns), size, strict=True):
            assert span.start - span.view_start >= 11
            assert span.view_stop - span.stop >= 11
            assert (span.view_stop - span.view_start) % 8 == span.view_start % 8 == 0
            assert 0 <= span.start < span.stop <= side
    assert sum((t.rows.stop - t.rows.start) * (t.columns.stop - t.columns.start) for t in found) == size[0] * size[1]


@pytest.mark.parametrize("shape", [(32, 40), (20, 24), (15, 60)])
def test_resizing_sees_the_other_end(noise: Noise, shape: tuple[int, int]) -> None:
    image = noise(1, 3, 24, 30)
    plane = F.interpolate(image.repeat(1, 1, 3, 3), [3 * side for side in shape], mode="bicubic", antialias=True)
    middle = plane[:, :, shape[0] : 2 * shape[0], shape[1] : 2 * shape[1]].clamp(0, 1)
    assert (resize_image(image, shape, wraps=True) - middle).abs().max() < 1e-5


@pytest.mark.parametrize("passes", [1, 2])
def test_smoothing_wraps_and_is_its_own_transpose(noise: Noise, passes: int) -> None:
    smooth = Smoothed(passes, wraps=True)
    x, y = noise(1, 3, 12, 16).double(), noise(1, 3, 12, 16).double()
    assert torch.allclose(torch.roll(smooth.picture(x), (5, 3), (2, 3)), smooth.picture(torch.roll(x, (5, 3), (2, 3))))
    assert float((smooth.picture(x) * y).sum()) == pytest.approx(float((x * smooth.gradient(y)).sum()))


def test_stages_of_a_seamless_plan(photo: Tensor) -> None:
    stages = [Stage(32, 1, parameters=Smoothed()), Stage(48, 1)]
    made = plan(photo, photo, size=48, seamless=True, schedule=stages, losses=ContentLoss("relu1_1"))
    assert [stage.seamless for stage in made.stages] == [True, True]
    assert made.stages[0].parameters == Smoothed(wraps=True)
    assert made.settings() != plan(photo, photo, size=48, schedule=stages, losses=ContentLoss("relu1_1")).settings()
    assert made.estimate().bytes > 0


def test_periodic_part_has_no_jump_and_keeps_the_details(photo: Tensor) -> None:
    image = 0.5 * photo + 0.4 * torch.linspace(0, 1, photo.shape[3])
    part = periodic_part(image)

    def jump(x: Tensor) -> Tensor:
        return (x[..., 0] - x[..., -1]).abs().mean()

    inner = (part[..., 1:] - part[..., :-1]).abs().mean()
    assert jump(image) > 5 * inner > inner > 0.5 * jump(part)
    assert (part.mean((2, 3)) - image.mean((2, 3))).abs().max() < 1e-3
    laplacian = torch.tensor([[0, 1.0, 0], [1, -4, 1], [0, 1, 0]]).view(1, 1, 3, 3).repeat(3, 1, 1, 1)
    details = [F.conv2d(each, laplacian, groups=3) for each in (image, part)]
    assert (details[0] - details[1])[..., 1:-1, 1:-1].abs().max() < 1e-4
    again = periodic_part(torch.full((1, 3, 16, 17), 0.3))
    assert (again - 0.3).abs().max() < 1e-6


@pytest.mark.parametrize("command", ["texture", "stylize"])
def test_commands(photo: Tensor, tmp_path: Path, command: str) -> None:
    to_pil(photo).save(tmp_path / "photo.png")
    pictures = [f"{tmp_path}/photo.png"] * (2 if command == "stylize" else 1)
    quick = ["--size", "48", "--iterations", "1", "--schedule", "single", "--network", "compact19", "--quiet"]
    assert cli.main([command, *pictures, "-o", f"{tmp_path}/out.png", *quick, "--seamless"]) == 0
    paint: Any = stylize if command == "stylize" else synthesize_texture
    options: dict[str, Any] = {"size": 48, "iterations": 1, "schedule": "single", "progress": False}
    expected = paint(*pictures, encoder=default_encoder("compact19"), seamless=True, **options)
    with Image.open(tmp_path / "out.png") as saved:
        assert np.array_equal(np.asarray(saved), np.asarray(expected))


def test_layers_that_see_the_whole_picture_are_refused() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.InstanceNorm2d(4))
    encoder = ModuleExtractor(network)
    with pytest.raises(ValueError, match="a seamless picture cannot be compared at layer '1'"):
        Objective(encoder, Means(layers=("1",)), styles=[torch.rand(1, 3, 32, 32)], seamless=True)


@pytest.mark.parametrize("loss", [Spread(), MRFLoss("relu2_1")])
def test_losses_on_whole_maps_see_the_core(noise: Noise, loss: Any) -> None:
    image, style = noise(1, 3, 32, 48), noise(1, 3, 40, 40)
    objective = Objective(FeatureExtractor(layers=["relu2_1"]), loss, styles=[style], seamless=True)
    whole, tiled = objective.evaluate(image), objective.evaluate(image, tile=16)
    assert whole.loss == pytest.approx(tiled.loss, rel=1e-5)
    assert whole.gradient is not None
    assert whole.gradient.shape == image.shape
