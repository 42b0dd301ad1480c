"""The fast convolution against the direct one in float64: values, gradients, switches, threads."""

from __future__ import annotations

import copy
import ctypes
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralstyle import FeatureExtractor
from neuralstyle.encoders.kernels import library, winograd
from neuralstyle.encoders.kernels.library import BORDERS, Fusion
from neuralstyle.encoders.kernels.padding import pad
from neuralstyle.encoders.kernels.pooling import l2_pool
from neuralstyle.encoders.kernels.quantized import QuantizedConvolution, QuantizedWeight
from neuralstyle.encoders.kernels.winograd import convolve

ROOT = Path(__file__).parents[2]
COMPACT_SHAPES = [(32, 32), (32, 128)]  # of the compact encoder
VGG_SHAPES = [(64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512)]
FUSIONS = {None: Fusion.RELU, "max": Fusion.RELU_MAX, "l2": Fusion.RELU_L2}
SIZES = [(1, 1), (2, 3), (4, 4), (5, 9), (16, 17), (33, 50)]

built = pytest.mark.skipif(not library.is_built(), reason="winograd.c was not compiled or needs another processor")


def _layer(channels: int, columns: int) -> nn.Conv2d:
    return nn.Conv2d(channels, columns, 3, padding=1).requires_grad_(False)


def _picture(*shape: int) -> Tensor:
    return torch.randn(shape).relu().contiguous(memory_format=torch.channels_last).requires_grad_()


def _error(actual: Tensor, exact: Tensor) -> float:
    return float((actual.detach().double() - exact.detach()).norm() / exact.detach().norm())


@built
@pytest.mark.parametrize(("channels", "columns"), [*COMPACT_SHAPES, *VGG_SHAPES])
@pytest.mark.parametrize("size", [(23, 40), (19, 45)])  # smaller ones torch convolves by another method
def test_rounding_is_within_three_times_that_of_the_direct_convolution(
    channels: int, columns: int, size: tuple[int, int]
) -> None:
    layer, x = _layer(channels, columns), _picture(1, channels, *size)
    assert winograd.suits(x, layer)
    gradient = torch.randn(1, columns, *size)
    layer64, x64 = copy.deepcopy(layer).double(), x.detach().double().requires_grad_()
    results = {}
    for name, y, source in (
        ("exact", layer64(x64), x64),
        ("direct", layer(x), x),
        ("fast", convolve(x, layer), x),
    ):
        results[name] = y, torch.autograd.grad(y, source, gradient.to(y))[0]
    for exact, direct, fast in zip(results["exact"], results["direct"], results["fast"], strict=True):
        assert _error(fast, exact) <= 3 * _error(direct, exact)


@built
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(("channels", "columns"), [(32, 32), (96, 64), (64, 64), (128, 64), (64, 192)])
def test_any_size_and_batch(size: tuple[int, int], relu: bool, channels: int, columns: int) -> None:
    layer, x = _layer(channels, columns), _picture(3, channels, *size)
    y = convolve(x, layer, Fusion.RELU if relu else Fusion.NONE)
    gradient = torch.randn_like(y)
    layer64, x64 = copy.deepcopy(layer).double(), x.detach().double().requires_grad_()
    exact = layer64(x64)
    if relu:  # by the sign of the result, as rounding may turn that of a value near zero
        exact = exact * (y.detach() > 0)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert _error(y, exact) < 1e-5
    back = torch.autograd.grad(y, x, gradient)[0]
    assert _error(back, torch.autograd.grad(exact, x64, gradient.double())[0]) < 1e-5
    if relu:
        again = convolve(x, layer, Fusion.RELU, kept=False)
        assert torch.equal(again, y)
        assert torch.equal(torch.autograd.grad(again, x, gradient)[0], back)


@built
@pytest.mark.parametrize("size", [(2, 2), (3, 5), (4, 4), (7, 9), (16, 18), (33, 50)])
@pytest.mark.parametrize(("channels", "columns"), [(32, 64), (64, 64), (64, 128)])
def test_with_pooling(size: tuple[int, int], channels: int, columns: int) -> None:
    layer, x = _layer(channels, columns), _picture(3, channels, *size)
    y, map_ = convolve(x, layer, Fusion.RELU_MAX), convolve(x, layer)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(y, F.max_pool2d(map_, 2).relu())
    gradient = torch.randn_like(y)
    back, direct = (torch.autograd.grad(z, x, gradient)[0] for z in (y, F.max_pool2d(map_, 2).relu()))
    assert torch.equal(back, direct)


@built
@pytest.mark.parametrize("size", [(2, 2), (3, 5), (4, 4), (7, 9), (16, 18), (33, 50)])
@pytest.mark.parametrize(("channels", "columns"), [(32, 64), (64, 64), (64, 128)])
def test_with_l2_pooling(size: tuple[int, int], channels: int, columns: int) -> None:
    layer, x = _layer(channels, columns), _picture(3, channels, *size)
    y, apart = convolve(x, layer, Fusion.RELU_L2), l2_pool(convolve(x, layer, Fusion.RELU))
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y, apart, rtol=1e-6, atol=1e-12)
    gradient = torch.randn_like(y)
    back, expected = (torch.autograd.grad(z, x, gradient)[0] for z in (y, apart))
    assert _error(back, expected.double()) < 2e-6  # each path's rounding


@built
def test_with_l2_pooling_against_float64() -> None:
    layer, x = _layer(64, 64), _picture(2, 64, 23, 30)
    y, direct = convolve(x, layer, Fusion.RELU_L2), l2_pool(layer(x).relu())
    layer64, x64 = copy.deepcopy(layer).double(), x.detach().double().requires_grad_()
    exact = l2_pool(layer64(x64).relu())
    assert _error(y, exact) <= 3 * _error(direct, exact)
    gradient = torch.randn_like(y)
    back, exact_back = (torch.autograd.grad(z, s, gradient.to(z))[0] for z, s in ((y, x), (exact, x64)))
    assert _error(back, exact_back) < 1e-5
    x = x.detach()
    x[0, 3, 1, 1] = torch.nan
    assert convolve(x, layer, Fusion.RELU_L2)[0, :, 0, 0].isnan().all()


@built
@pytest.mark.parametrize("padding", BORDERS)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 6), (17, 20), (33, 49)])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("columns", [16, 32, 40, 64])
def test_the_features_of_a_picture_and_their_gradient(
    size: tuple[int, int], columns: int, relu: bool, padding: str
) -> None:
    layer, x = _layer(3, columns), _picture(3, 3, *size)
    assert winograd.suits_picture(x, layer)
    y = winograd.convolve_picture(x, layer, padding, relu=relu)
    if min(size) == 1 or padding == "zeros":
        around = x if padding == "zeros" else pad(x, padding)
    else:
        around = F.pad(x, (1, 1, 1, 1), mode=padding)
    direct = F.conv2d(around, layer.weight, layer.bias, padding=1 if padding == "zeros" else 0)
    direct = direct * (y.detach() > 0) if relu else direct  # as rounding may turn the sign of a value near zero
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert _error(y, direct.double()) < 1e-6
    gradient = torch.randn_like(y)
    back, expected = (torch.autograd.grad(z, x, gradient)[0] for z in (y, direct))
    assert _error(back, expected.double()) < 1e-6


@built
@pytest.mark.parametrize("columns", [16, 40])
def test_a_first_convolution_without_bias(columns: int) -> None:
    layer, x = torch.nn.Conv2d(3, columns, 3, padding=1, bias=False).requires_grad_(False), _picture(2, 3, 9, 20)
    y = winograd.convolve_picture(x, layer, "zeros")
    assert _error(y, layer(x).double()) < 1e-6


@built
@pytest.mark.parametrize(
    ("options", "shape", "dtype"),
    [
        ({"fusion": Fusion.RELU_MAX}, (1, 64, 8, 8), torch.uint8),
        ({"fusion": Fusion.RELU, "kept": False}, (1, 64, 16, 16), torch.uint8),
        ({"fusion": Fusion.RELU}, (1, 64, 16, 16), torch.float32),
    ],
)
def test_what_is_kept_for_the_gradient(options: dict[str, Any], shape: tuple[int, ...], dtype: torch.dtype) -> None:
    layer, x = _layer(64, 64), _picture(1, 64, 16, 16)
    kept: list[tuple[torch.Size, torch.dtype]] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append((tensor.shape, tensor.dtype))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        convolve(x, layer, **options)
    assert kept == [(torch.Size(shape), dtype)]


def _quantized(channels: int, columns: int) -> QuantizedConvolution:
    codes = torch.randint(256, (columns, channels, 3, 3), dtype=torch.uint8)
    return QuantizedConvolution(
        QuantizedWeight(codes, 0.1 * torch.randn(256)),
        torch.randn(columns),
        torch.rand(columns) + 0.5,
        torch.rand(channels) + 0.5,
    )


@built
@pytest.mark.parametrize("pool", [None, "max", "l2"])
@pytest.mark.parametrize(("channels", "columns"), [(32, 32), (64, 64), (64, 192), (128, 64)])
def test_codes_give_the_same_bits_as_the_weights_that_they_stand_for(
    channels: int, columns: int, pool: str | None
) -> None:
    quantized, x = _quantized(channels, columns), _picture(2, channels, 17, 22)
    plain = quantized.dequantized()
    factors = quantized.outputs[:, None, None, None] * quantized.inputs[None, :, None, None]
    assert torch.equal(plain.weight, quantized.table[quantized.codes.long()] * factors)
    assert winograd.suits(x, quantized)
    results = []
    for layer in (quantized, plain):
        y = convolve(x, layer, FUSIONS[pool], kept=False)
        results.append((y, torch.autograd.grad(y.square().sum(), x)[0], layer(x)))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@built
def test_the_networks_weights_stay_codes_where_they_are_used_as_such() -> None:
    encoder, image = FeatureExtractor(layers=["relu3_1"]), torch.rand(1, 3, 64, 56)
    kinds = {name: type(module) for name, module in encoder.convolutions.items()}
    assert kinds.pop("conv1_1") is nn.Conv2d
    assert set(kinds.values()) == {QuantizedConvolution}
    moved = copy.deepcopy(encoder).double()
    direct = FeatureExtractor(layers=["relu3_1"], convolution="direct")
    for other in (moved, direct):
        assert {type(module) for module in other.convolutions.values()} == {nn.Conv2d}
    for name, module in encoder.convolutions.items():
        assert torch.equal(module.weight, direct.convolutions[name].weight)
        assert torch.equal(module.weight.double(), moved.convolutions[name].weight)
    (features,) = encoder(image, ["relu3_1"]).values()
    (exact,) = moved(image.double(), ["relu3_1"]).values()
    assert _error(features, exact) < 1e-5
    assert not winograd.suits(torch.rand(1, 64, 32, 32, dtype=torch.float64), encoder.convolutions["conv1_2"])


@built
def test_maximum_pooling_lets_nan_through() -> None:
    layer, x = _layer(64, 64), _picture(1, 64, 16, 16).detach()
    x[0, 3, 1, 1] = torch.nan
    assert convolve(x, layer, Fusion.RELU_MAX)[0, :, 0, 0].isnan().all()


@built
@pytest.mark.parametrize("block", [1, 5, 6, 7, 1000])
def test_blocks_of_any_size_give_the_same_bits(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = _layer(64, 128), _picture(2, 64, 30, 41)
    results = []
    for size in (winograd.TILES_PER_BLOCK, block):  # at the most
        monkeypatch.setattr(winograd, "TILES_PER_BLOCK", size)
        y = convolve(x, layer, Fusion.RELU)
        results.append((y, torch.autograd.grad(y.square().sum(), x)[0]))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_blocks_are_shared_out_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    for tiles in (1, 3, 4, 47, 191, 192, 193, 5000):
        block, shares = winograd._rounds(tiles, 128, 128)
        assert shares == 1
        assert 1 <= block <= winograd.TILES_PER_BLOCK
        rounds = -(-tiles // (winograd.TILES_PER_BLOCK * 4))
        assert -(-tiles // block) <= 4 * rounds


@built
@pytest.mark.parametrize(("channels", "columns"), [(64, 256), (96, 160)])
@pytest.mark.parametrize("threads", [2, 3])
def test_shares_of_the_columns_give_the_same_bits(
    channels: int, columns: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, x = _layer(channels, columns), _picture(1, channels, 13, 10)
    results = []
    for count in (threads, 1000):  # with so many threads there are too few columns for each
        monkeypatch.setattr(torch, "get_num_threads", lambda count=count: count)
        assert winograd._rounds(12, channels, columns)[1] == (count if count < 1000 else 1)
        y = convolve(x, layer, Fusion.RELU)
        results.append((y, torch.autograd.grad(y.square().sum(), x)[0]))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@built
def test_not_a_number_goes_through() -> None:
    layer, x = _layer(64, 64), _picture(1, 64, 12, 12).detach()
    x[0, 3, 1, 1] = torch.nan
    y = convolve(x, layer, Fusion.RELU)
    assert y[0, :, :2, :2].isnan().all()
    assert not y[0, :, 8:, 8:].isnan().any()


@built
def test_second_derivatives() -> None:
    layer, x = _layer(64, 64), _picture(1, 64, 5, 7)
    twice = {}
    for pool, kept in ((None, True), (None, False), ("max", False), ("l2", False)):
        for name in ("fast", "direct"):
            y = convolve(x, layer, FUSIONS[pool], kept=kept) if name == "fast" else layer(x).relu()
            y = {None: y, "max": F.max_pool2d(y, 2), "l2": l2_pool(y)}[pool] if name == "direct" else y
            (first,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
            twice[name] = torch.autograd.grad(first.square().sum(), x)[0]
        torch.testing.assert_close(twice["fast"], twice["direct"], rtol=1e-3, atol=1e-3)
    layer, x = _layer(3, 64), _picture(1, 3, 5, 7)
    for padding in BORDERS:
        for name in ("fast", "direct"):
            fast = name == "fast"
            convolved = winograd.padded_convolution(x, layer.weight, layer.bias, padding)
            y = winograd.convolve_picture(x, layer, padding, relu=True) if fast else convolved.relu()
            (first,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
            twice[name] = torch.autograd.grad(first.square().sum(), x)[0]
        torch.testing.assert_close(twice["fast"], twice["direct"], rtol=1e-3, atol=1e-3)


@built
def test_any_memory_layout() -> None:
    layer, x = _layer(64, 64), _picture(1, 64, 16, 20)
    y = convolve(x, layer, Fusion.RELU)
    other = convolve(x.detach().contiguous(), layer, Fusion.RELU)
    assert torch.equal(y, other)
    expanded = torch.autograd.grad(y.sum(), x, retain_graph=True)[0]
    assert torch.equal(expanded, torch.autograd.grad(y, x, torch.ones_like(y))[0])
    layer.weight = nn.Parameter(layer.weight.contiguous(memory_format=torch.channels_last), requires_grad=False)
    assert torch.equal(convolve(x, layer, Fusion.RELU), y)


@built
def test_what_does_not_suit() -> None:
    x = _picture(1, 64, 32, 32)
    assert winograd.suits(x, _layer(64, 64))
    for layer in (
        nn.Conv2d(64, 64, 3, padding=1),  # its weight wants a gradient
        nn.Conv2d(64, 64, 3).requires_grad_(False),
        nn.Conv2d(64, 64, 1, padding=1).requires_grad_(False),
        nn.Conv2d(64, 64, 3, padding=1, stride=2).requires_grad_(False),
        nn.Conv2d(64, 64, 3, padding=1, groups=2).requires_grad_(False),
        nn.Conv2d(64, 64, 3, padding=1, padding_mode="reflect").requires_grad_(False),
        nn.Conv2d(64, 64, 3, padding=1, bias=False).requires_grad_(False),
        _layer(64, 48),
        _layer(64, 64).double(),
    ):
        assert not winograd.suits(x, layer), layer
    assert not winograd.suits(x[:, :16], _layer(16, 64))
    assert not winograd.suits(x.double(), _layer(64, 64).double())
    assert not winograd.suits(x.to("meta"), _layer(64, 64))
    with torch.autocast("cpu", torch.bfloat16):
        assert not winograd.suits(x, _layer(64, 64))


def test_rule() -> None:
    assert winograd.pays(_picture(1, 64, 32, 32))
    assert winograd.pays(_picture(1, 512, 8, 16))
    assert winograd.pays(_picture(1, 32, 24, 24))
    assert not winograd.pays(_picture(1, 64, 16, 17))
    assert not winograd.pays(_picture(1, 512, 4, 64))


@built
def test_threads_at_once() -> None:
    layer = _layer(64, 128)
    pictures = [torch.randn(1, 64, 40 + 4 * index, 36) for index in range(4)]

    def run(x: Tensor) -> Tensor:
        x = x.clone().requires_grad_()
        y = convolve(x, layer, Fusion.RELU)
        return torch.autograd.grad(y.square().sum(), x)[0]

    alone = [run(x) for x in pictures]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(4):
            assert all(torch.equal(a, b) for a, b in zip(pool.map(run, pictures), alone, strict=True))


def test_without_a_compiled_library_convolutions_are_direct(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.rand(1, 3, 64, 56)
    expected = FeatureExtractor(convolution="direct")(image, ["relu3_1"])["relu3_1"]
    monkeypatch.setattr(library, "library", lambda: None)
    for convolution in ("auto", "winograd"):
        assert torch.equal(FeatureExtractor(convolution=convolution)(image, ["relu3_1"])["relu3_1"], expected)


def _value_and_gradient(encoder: FeatureExtractor, image: Tensor, layers: list[str]) -> tuple[list[Tensor], Tensor]:
    image = image.clone().requires_grad_()
    features = list(encoder(image, layers).values())
    gradient = torch.autograd.grad([f.square().mean() for f in features], image)[0]
    return [f.detach() for f in features], gradient


@pytest.fixture(scope="module")
def encoders() -> dict[str, FeatureExtractor]:
    return {name: FeatureExtractor(pooling="l2", convolution=name) for name in ("auto", "direct", "winograd")}  # type: ignore[arg-type]


def test_results_repeat_to_the_bit(encoders: dict[str, FeatureExtractor]) -> None:
    image = torch.rand(1, 3, 64, 56)
    features, gradient = _value_and_gradient(encoders["auto"], image, ["relu2_2", "relu4_1"])
    for encoder in (encoders["auto"], pickle.loads(pickle.dumps(encoders["auto"]))):
        again, gradient_again = _value_and_gradient(encoder, image, ["relu2_2", "relu4_1"])
        assert all(torch.equal(a, b) for a, b in zip(features, again, strict=True))
        assert torch.equal(gradient, gradient_again)


@pytest.mark.parametrize("taps", [["conv2_2", "relu2_2"], ["relu2_2"], ["conv2_2", "relu3_1"], ["relu2_2", "conv3_1"]])
def test_taps_before_and_after_the_relu(taps: list[str], encoders: dict[str, FeatureExtractor]) -> None:
    image = torch.rand(1, 3, 64, 54)
    fast, direct = encoders["winograd"](image, taps), encoders["direct"](image, taps)
    for name in taps:
        torch.testing.assert_close(fast[name], direct[name], rtol=1e-4, atol=1e-4)
        assert bool((fast[name] < 0).any()) == name.startswith("conv")


def test_option_is_shown_and_checked() -> None:
    assert "convolution='direct'" in repr(FeatureExtractor(convolution="direct"))
    with pytest.raises(ValueError, match=r"winogradd.*winograd"):
        FeatureExtractor(convolution="winogradd")  # type: ignore[arg-type]


@built
@pytest.mark.parametrize("name", library.CONSTANTS)
def test_a_library_that_states_another_fact_is_not_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    functions = library.library()
    assert library.has_constants(functions)
    assert functions.constant(name.encode()) == library.CONSTANTS[name]
    monkeypatch.setattr(library, "CONSTANTS", {**library.CONSTANTS, name: library.CONSTANTS[name] + 1})
    assert library.library.__wrapped__() is None


@built
def test_a_fact_that_a_library_does_not_know_is_not_a_number() -> None:
    assert math.isnan(library.library().constant(b"no such fact"))


def test_no_library_and_what_is_none_are_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for path in (tmp_path / "missing.bin", Path(ctypes.__file__)):
        monkeypatch.setattr(library, "LIBRARY", path)
        assert library.library.__wrapped__() is None
