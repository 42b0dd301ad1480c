"""Coarser numbers for the network's convolutions: how far the results may move, and what stays exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from neuralstyle import (
    LBFGS,
    ContentLoss,
    FeatureExtractor,
    GramStyleLoss,
    Loss,
    LossSum,
    ModuleExtractor,
    Objective,
    PointwiseLoss,
    StatisticLoss,
    Style,
    TotalVariationLoss,
    load_image,
    samples,
    stylize,
)
from neuralstyle.encoders.default import default_encoder
from neuralstyle.encoders.precision import InPrecision, Precision, arithmetic
from neuralstyle.objective import auto_tile
from neuralstyle.optimizers.minimize import minimize
from neuralstyle.recipes import STYLE_LOSSES

LAYERS = ("relu1_1", "relu2_1", "relu3_1")
GRAM = GramStyleLoss(LAYERS)
LOSSES = ContentLoss("relu3_1") + 15 * GramStyleLoss(LAYERS, normalization="relative") + 10 * TotalVariationLoss()


@pytest.fixture(scope="module")
def encoder() -> FeatureExtractor:
    return FeatureExtractor(pooling="l2", padding="replicate")


@pytest.fixture(scope="module")
def painting() -> Tensor:
    return load_image(samples.painting("swirl", 96))


def _cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.cosine_similarity(a.flatten(), b.flatten(), 0))


# Results


@pytest.mark.parametrize("loss", [ContentLoss("relu4_2"), GRAM, LOSSES], ids=("content", "gram", "sum"))
def test_value_and_gradient_in_bfloat16(
    loss: Loss | LossSum, encoder: FeatureExtractor, photo: Tensor, painting: Tensor, noise: Callable[..., Tensor]
) -> None:
    image = (photo + 0.2 * noise(*photo.shape)).clamp(0, 1)
    exact, coarse = (
        Objective(InPrecision(encoder, precision), loss, content=photo, styles=[painting]).evaluate(image)
        for precision in ("float32", "bfloat16")
    )
    assert coarse.loss == pytest.approx(exact.loss, rel=5e-3)
    assert coarse.loss != exact.loss
    assert coarse.gradient.dtype == torch.float32
    assert _cosine(coarse.gradient, exact.gradient) > 0.998
    assert float(coarse.gradient.norm() / exact.gradient.norm()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("normalization", ["paper", "relative"])
def test_statistics_of_rounded_features_are_exact(
    normalization: Any, encoder: FeatureExtractor, painting: Tensor
) -> None:
    style = painting[:, :, :64, :64]
    image = (style + 0.01 * torch.randn(style.shape)).clamp(0, 1)
    loss = GramStyleLoss(LAYERS, normalization=normalization)
    with torch.autocast("cpu", torch.bfloat16):
        features, targets = encoder(image, LAYERS), encoder(style, LAYERS)
    assert {maps.dtype for maps in features.values()} == {torch.bfloat16}
    expected = sum(float(loss.forward(features[name].double(), targets[name].double())) / 3 for name in LAYERS)
    evaluation = Objective(InPrecision(encoder, "bfloat16"), loss, styles=[style]).evaluate(image)
    # Of Gram matrices in bfloat16 it would be off by a tenth and more.
    assert evaluation.loss == pytest.approx(expected, rel=1e-4)


def test_losses_see_features_in_float32(encoder: FeatureExtractor, photo: Tensor) -> None:
    seen: list[torch.dtype] = []

    class Statistic(StatisticLoss):
        layers = ("relu1_1", "conv2_1", "pool1")
        reference = "content"

        def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
            seen.extend((x.dtype, weight.dtype))
            return (x * weight).sum(2)

        def distance(self, actual: Tensor, target: Tensor) -> Tensor:
            seen.extend((actual.dtype, target.dtype))
            assert not torch.is_autocast_enabled("cpu")
            return (actual - target).square().mean()

    class Pointwise(PointwiseLoss):
        layers = ("image", "relu2_1")
        reference = "content"

        def error(self, x: Tensor, target: Tensor) -> Tensor:
            seen.extend((x.dtype, target.dtype))
            return (x - target).square().mean(1, keepdim=True)

    class Whole(Loss):
        layers = ("relu2_1",)
        reference = "content"

        def forward(self, x: Tensor, target: Tensor) -> Tensor:
            seen.extend((x.dtype, target.dtype))
            return (x - target).square().mean()

    objective = Objective(InPrecision(encoder, "bfloat16"), Statistic() + Pointwise() + Whole(), content=photo)
    assert objective.evaluate(photo).loss == 0  # the targets are computed as the picture is
    objective.evaluate(photo, tile=48)
    assert set(seen) == {torch.float32}
    assert len(seen) > 20


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_every_style_loss(name: str, encoder: FeatureExtractor, photo: Tensor, painting: Tensor) -> None:
    content, style = photo[:, :, :32, :40], painting[:, :, 20:60, :32]
    exact, coarse = (
        Objective(InPrecision(encoder, precision), STYLE_LOSSES[name], content=content, styles=[style]).evaluate(
            content
        )
        for precision in (None, "bfloat16")
    )
    assert coarse.loss == pytest.approx(exact.loss, rel=0.02)
    assert _cosine(coarse.gradient, exact.gradient) > 0.95


def test_tiles_and_masks(encoder: FeatureExtractor, photo: Tensor, painting: Tensor) -> None:
    height, width = photo.shape[2:]
    half = (torch.arange(width) < width // 2).float().expand(1, height, width)
    styles = [Style(painting, mask=half.new_ones(1, 16, 16), region=half), Style(painting.flip(1), region=1 - half)]
    losses = ContentLoss("relu3_1") + GRAM + TotalVariationLoss()
    exact = Objective(encoder, losses, content=photo, styles=styles).evaluate(photo.flip(3))
    for tile in (None, 48):
        rounding = InPrecision(encoder, "bfloat16")
        coarse = Objective(rounding, losses, content=photo, styles=styles, tile=tile).evaluate(photo.flip(3), tile)
        assert coarse.loss == pytest.approx(exact.loss, rel=5e-3)
        assert _cosine(coarse.gradient, exact.gradient) > 0.998


def test_the_tile_that_fits_is_measured_in_the_precision(
    encoder: FeatureExtractor, photo: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []
    measured = auto_tile.peak_memory

    def note(device: torch.device, work: Callable[[], object]) -> int:
        found.append(measured(device, work))
        return found[-1]

    monkeypatch.setattr(auto_tile, "peak_memory", note)
    direct = FeatureExtractor(pooling="average", convolution="direct", layers=LAYERS)
    for precision in (None, "bfloat16"):
        Objective(InPrecision(direct, precision), ContentLoss("relu3_1"), content=photo).evaluate(photo, "auto")
    assert found[1] < 0.85 * found[0]


def test_a_run_ends_at_the_same_loss(encoder: FeatureExtractor, photo: Tensor, painting: Tensor) -> None:
    exact = Objective(encoder, LOSSES, content=photo, styles=[painting])
    ends = []
    for precision in (None, "bfloat16"):
        objective = Objective(InPrecision(encoder, precision), LOSSES, content=photo, styles=[painting])

        def evaluate(x: Tensor, objective: Objective = objective) -> tuple[float, Tensor]:
            evaluation = objective.evaluate(x)
            return evaluation.loss, evaluation.gradient

        found = minimize(LBFGS(), photo, evaluate, 25)
        assert found.image.dtype == torch.float32
        ends.append(exact.evaluate(found.image).loss)
    assert ends[1] == pytest.approx(ends[0], rel=0.02)
    assert ends[0] < 0.5 * exact.evaluate(photo).loss


def test_networks_of_ones_own() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))
    encoder, image, style = ModuleExtractor(network), torch.rand(1, 3, 24, 32), torch.rand(1, 3, 24, 24)
    exact, coarse = (
        Objective(InPrecision(encoder, precision), GramStyleLoss("3"), styles=[style]).evaluate(image)
        for precision in (None, "bfloat16")
    )
    assert coarse.loss == pytest.approx(exact.loss, rel=0.02)
    assert coarse.loss != exact.loss


def test_stylize_in_bfloat16(photo: Tensor, painting: Tensor) -> None:
    options: dict[str, Any] = {"losses": LOSSES, "size": 48, "iterations": 3, "progress": False}
    exact, coarse = (
        np.asarray(stylize(photo, painting, encoder=encoder, **options)).astype(int)
        for encoder in (default_encoder(), default_encoder(precision="bfloat16"))
    )
    assert 0 < abs(exact - coarse).mean() < 2


# Settings


def test_what_there_is_not(encoder: FeatureExtractor, photo: Tensor) -> None:
    with pytest.raises(ValueError, match=r"bfloat61.*did you mean 'bfloat16'"):
        InPrecision(encoder, "bfloat61")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"'tf32' is an arithmetic of CUDA devices.*'cpu'"):
        Objective(InPrecision(encoder, "tf32"), TotalVariationLoss())
    with pytest.raises(ValueError, match="'tf32'"):
        InPrecision(encoder, "tf32")(photo, ["relu1_1"])
    double = FeatureExtractor(layers=("relu1_1",)).double()
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    for precision in precisions:
        with pytest.raises(ValueError, match="float64"):
            Objective(InPrecision(double, precision), GramStyleLoss("relu1_1"), styles=[photo])


def test_an_encoder_in_a_precision_is_one_like_the_encoder_inside(photo: Tensor) -> None:
    inside = FeatureExtractor(layers=("relu1_2",))
    for precision in ("float32", "bfloat16"):
        encoder = InPrecision(inside, precision)  # type: ignore[arg-type]
        assert encoder.layers is inside.layers
        features = encoder(photo, ["relu1_2", "image"])
        assert list(features) == ["relu1_2", "image"]
        assert features["relu1_2"].dtype == torch.float32
        assert torch.equal(features["relu1_2"], inside(photo, ["relu1_2"])["relu1_2"]) == (precision == "float32")
        assert torch.equal(features["image"], photo)
        assert repr(precision) in repr(encoder)
        assert repr(inside.pooling) in encoder.extra_repr()
    moved = InPrecision(FeatureExtractor(layers=("relu1_1",))).double()
    assert moved.encoder.mean.dtype == torch.float64  # type: ignore[union-attr]
    assert {parameter.dtype for parameter in moved.parameters()} == {torch.float64}


def test_an_encoder_in_a_precision_pins_colours_where_the_one_inside_does(encoder: FeatureExtractor) -> None:
    class Narrow:
        layers = encoder.layers
        pins_colors = False

        def __call__(self, image: Tensor, layers: Any) -> dict[str, Tensor]:
            return encoder(image, layers)

    assert not InPrecision(Narrow(), "bfloat16").pins_colors
    assert InPrecision(ModuleExtractor(nn.Conv2d(3, 4, 3, padding=1))).pins_colors


def test_the_default_encoder_in_a_precision() -> None:
    plain, coarse = default_encoder("compact19"), default_encoder("compact19", precision="bfloat16")
    assert isinstance(plain, FeatureExtractor)
    assert isinstance(coarse, InPrecision)
    assert (coarse.precision, coarse.compiled) == ("bfloat16", False)
    assert repr(coarse.encoder) == repr(plain)
    with pytest.raises(ValueError, match="bfloat61"):
        default_encoder("compact19", precision="bfloat61")  # type: ignore[call-overload]


newer = pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="needs the settings of torch 2.9")


def _older() -> list[Any]:
    return [torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32]


def _set_older(products: str, convolutions: bool) -> None:
    torch.set_float32_matmul_precision(products)
    torch.backends.cudnn.allow_tf32 = convolutions


def _newer() -> list[Any]:
    return [torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision]


def _set_newer(products: str, convolutions: str) -> None:
    torch.backends.cuda.matmul.fp32_precision = products
    torch.backends.cudnn.conv.fp32_precision = convolutions


@pytest.mark.parametrize(
    ("read", "write", "before", "exact", "coarse"),
    [
        (_older, _set_older, ["highest", True], ["highest", False], ["highest", True]),
        (_older, _set_older, ["medium", False], ["highest", False], ["highest", True]),
        pytest.param(_newer, _set_newer, ["tf32", "ieee"], ["ieee", "ieee"], ["ieee", "tf32"], marks=newer),
    ],
    ids=("torch's own", "older words", "newer words"),
)
def test_torchs_settings_hold_for_the_run_and_are_put_back(
    read: Callable[[], list[Any]], write: Callable[..., None], before: list[Any], exact: list[Any], coarse: list[Any]
) -> None:
    usual = read()
    write(*before)
    try:
        for value, expected in ((None, before), ("float32", exact), ("tf32", coarse), ("bfloat16", coarse)):
            with arithmetic(value):  # type: ignore[arg-type]
                assert read() == expected
            assert read() == before
            with pytest.raises(KeyError), arithmetic(value):  # type: ignore[arg-type]
                raise KeyError
            assert read() == before
    finally:
        write(*usual)


def test_an_evaluation_is_within_the_settings(encoder: FeatureExtractor, photo: Tensor) -> None:
    seen: list[bool] = []

    class Watched(GramStyleLoss):
        def distance(self, actual: Tensor, target: Tensor) -> Tensor:
            actual.register_hook(lambda gradient: seen.append(torch.backends.cudnn.allow_tf32))
            seen.append(torch.backends.cudnn.allow_tf32)
            return super().distance(actual, target)

    for precision, expected in (("float32", False), ("bfloat16", True)):
        seen.clear()
        Objective(InPrecision(encoder, precision), Watched("relu1_1"), styles=[photo]).evaluate(photo)  # type: ignore[arg-type]
        assert set(seen) == {expected}
        assert len(seen) >= 2  # forward and backward
    assert torch.backends.cudnn.allow_tf32


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", [None, "float32", "tf32", "bfloat16"])
def test_on_cuda(precision: Any, encoder: FeatureExtractor, photo: Tensor, painting: Tensor) -> None:
    expected = Objective(encoder, LOSSES, content=photo, styles=[painting]).evaluate(photo.flip(3))
    there = FeatureExtractor(pooling="l2", padding="replicate").cuda()
    objective = Objective(InPrecision(there, precision), LOSSES, content=photo, styles=[painting])
    found = objective.evaluate(photo.flip(3).cuda())
    assert found.loss == pytest.approx(expected.loss, rel=1e-4 if precision == "float32" else 5e-3)
    assert _cosine(found.gradient.cpu(), expected.gradient) > 0.998
