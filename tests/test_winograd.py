"""The fast convolution against the direct one in float64: values, gradients, switches, caches, threads."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from neuralstyle import FeatureExtractor
from neuralstyle.encoders import winograd
from neuralstyle.encoders.winograd import Kernels, convolve

VGG_SHAPES = [(64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512)]
SIZES = [(1, 1), (2, 3), (4, 4), (5, 9), (16, 17), (33, 50)]


def _layer(channels: int, columns: int, dtype: torch.dtype = torch.float32) -> nn.Conv2d:
    return nn.Conv2d(channels, columns, 3, padding=1, dtype=dtype).requires_grad_(False)


def _picture(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, dtype=dtype).relu().contiguous(memory_format=torch.channels_last).requires_grad_()


def _error(actual: Tensor, exact: Tensor) -> float:
    return float((actual.detach().double() - exact.detach()).norm() / exact.detach().norm())


@pytest.mark.parametrize(("channels", "columns"), VGG_SHAPES)
@pytest.mark.parametrize("size", [(23, 24), (19, 45)])
def test_rounding_is_within_three_times_that_of_the_direct_convolution(
    channels: int, columns: int, size: tuple[int, int]
) -> None:
    layer, x = _layer(channels, columns), _picture(1, channels, *size)
    assert winograd.pays(x, columns) == winograd._can_pack()
    gradient = torch.randn(1, columns, *size)
    layer64, x64 = copy.deepcopy(layer).double(), x.detach().double().requires_grad_()
    results = {}
    for name, y, source in (
        ("exact", layer64(x64), x64),
        ("direct", layer(x), x),
        ("fast", convolve(x, layer, "layer", Kernels(), relu=False), x),
    ):
        results[name] = y, torch.autograd.grad(y, source, gradient.to(y))[0]
    for exact, direct, fast in zip(results["exact"], results["direct"], results["fast"], strict=True):
        assert _error(fast, exact) <= 3 * _error(direct, exact)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-14)])
def test_any_size_and_batch(size: tuple[int, int], relu: bool, dtype: torch.dtype, bound: float) -> None:
    layer, x = _layer(5, 7, dtype), _picture(3, 5, *size, dtype=dtype)
    y = convolve(x, layer, "layer", Kernels(), relu=relu)
    gradient = torch.randn_like(y)
    layer64, x64 = copy.deepcopy(layer).double(), x.detach().double().requires_grad_()
    exact = layer64(x64)
    if relu:  # by the sign of the result, as rounding may turn that of a value near zero
        exact = exact * (y.detach() > 0)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert _error(y, exact) < bound
    back = torch.autograd.grad(y, x, gradient)[0]
    assert _error(back, torch.autograd.grad(exact, x64, gradient.double())[0]) < bound


def test_several_blocks_give_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = _layer(6, 8, torch.float64), _picture(2, 6, 30, 41, dtype=torch.float64)
    whole = convolve(x, layer, "layer", Kernels(), relu=True)
    for tiles in (1, 3, 20):
        monkeypatch.setattr(winograd, "TILES", tiles)
        torch.testing.assert_close(convolve(x, layer, "layer", Kernels(), relu=True), whole, rtol=1e-12, atol=1e-12)


def test_first_and_second_derivatives() -> None:
    layer, x = _layer(2, 3, torch.float64), torch.randn(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    for relu in (False, True):

        def function(x: Tensor, relu: bool = relu) -> Tensor:
            return convolve(x, layer, "layer", Kernels(), relu=relu)

        assert torch.autograd.gradcheck(function, x)
        assert torch.autograd.gradgradcheck(function, x)


def test_any_memory_layout() -> None:
    layer, x = _layer(64, 64), _picture(1, 64, 16, 20)
    y = convolve(x, layer, "layer", Kernels(), relu=True)
    other = convolve(x.detach().contiguous(), layer, "layer", Kernels(), relu=True)
    assert torch.equal(y, other)
    expanded = torch.autograd.grad(y.sum(), x, retain_graph=True)[0]
    assert torch.equal(expanded, torch.autograd.grad(y, x, torch.ones_like(y))[0])


@pytest.mark.parametrize("kept", [0, winograd.KEPT])
def test_changed_weights_are_noticed(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "KEPT", kept)
    kernels, layer, x = Kernels(), _layer(64, 64), _picture(1, 64, 16, 16)

    def agrees() -> bool:
        y = convolve(x.to(layer.weight.dtype), layer, "layer", kernels, relu=False)
        return torch.allclose(y, layer(x.to(layer.weight.dtype)), atol=1e-4)

    assert agrees()
    layer.weight.mul_(2)
    assert agrees()
    layer.weight = nn.Parameter(torch.randn_like(layer.weight), requires_grad=False)
    assert agrees()
    layer.double()
    assert agrees()
    layer.float().load_state_dict({"weight": -layer.weight, "bias": layer.bias})
    assert agrees()


def test_kept_weights_are_made_once() -> None:
    kernels, layer = Kernels(), _layer(64, 64)
    first = kernels.get("layer", layer.weight, turned=False)
    assert kernels.get("layer", layer.weight, turned=False) is first
    assert (first is not None) == winograd._can_pack()


def test_without_packed_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = _layer(64, 64), _picture(1, 64, 26, 28)
    y = convolve(x, layer, "layer", Kernels(), relu=True)
    monkeypatch.setattr(winograd, "_can_pack", lambda: False)
    torch.testing.assert_close(convolve(x, layer, "layer", Kernels(), relu=True), y, rtol=1e-4, atol=1e-5)
    assert not winograd.pays(x, 64)


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
        _layer(64, 64, torch.float64),
    ):
        assert not winograd.suits(x, layer), layer
    assert not winograd.suits(x.to("meta"), _layer(64, 64))
    with torch.autocast("cpu", torch.bfloat16):
        assert not winograd.suits(x, _layer(64, 64))


def test_rule() -> None:
    can = winograd._can_pack()
    assert winograd.pays(_picture(1, 64, 32, 32), 64) == can
    assert winograd.pays(_picture(1, 512, 20, 21), 512) == can
    assert not winograd.pays(_picture(1, 512, 16, 21), 512)
    assert not winograd.pays(_picture(1, 64, 16, 21), 64)
    assert not winograd.pays(_picture(1, 512, 4, 64), 512)
    assert not winograd.pays(_picture(1, 64, 32, 32, dtype=torch.float64), 64)
    assert not winograd.pays(_picture(1, 32, 64, 64), 64)


def test_threads_at_once() -> None:
    layer = _layer(64, 96)
    pictures = [torch.randn(1, 64, 40 + 4 * index, 36) for index in range(4)]
    kernels = Kernels()

    def run(x: Tensor) -> Tensor:
        x = x.clone().requires_grad_()
        y = convolve(x, layer, "layer", kernels, relu=True)
        return torch.autograd.grad(y.square().sum(), x)[0]

    alone = [run(x) for x in pictures]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(4):
            assert all(torch.equal(a, b) for a, b in zip(pool.map(run, pictures), alone, strict=True))


def test_inference_mode_leaves_memory_that_training_can_use() -> None:
    layer, x = _layer(16, 16, torch.float64), _picture(1, 16, 48, 48, dtype=torch.float64)

    def fresh() -> Tensor:
        with torch.inference_mode():
            return convolve(x.detach(), layer, "layer", Kernels(), relu=True)

    with ThreadPoolExecutor(1) as pool:  # a thread without memory of its own yet
        expected = pool.submit(fresh).result()
        assert torch.equal(pool.submit(convolve, x, layer, "layer", Kernels(), relu=True).result(), expected)


def _value_and_gradient(encoder: FeatureExtractor, image: Tensor, layers: list[str]) -> tuple[list[Tensor], Tensor]:
    image = image.clone().requires_grad_()
    features = list(encoder(image, layers).values())
    gradient = torch.autograd.grad([f.square().mean() for f in features], image)[0]
    return [f.detach() for f in features], gradient


@pytest.fixture(scope="module")
def encoders() -> dict[str, FeatureExtractor]:
    return {name: FeatureExtractor(pooling="l2", convolution=name) for name in ("auto", "direct", "winograd")}  # type: ignore[arg-type]


def test_whole_network(encoders: dict[str, FeatureExtractor]) -> None:
    layers = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1"]
    image = torch.rand(1, 3, 112, 120)
    exact = _value_and_gradient(copy.deepcopy(encoders["direct"]).double(), image.double(), layers)
    errors = {}
    for name, encoder in encoders.items():
        features, gradient = _value_and_gradient(encoder, image, layers)
        errors[name] = [_error(a, b) for a, b in zip(features, exact[0], strict=True)], _error(gradient, exact[1])
    for name in ("auto", "winograd"):
        for fast, direct in zip(errors[name][0], errors["direct"][0], strict=True):
            assert fast <= 3 * direct
        # A value near zero that rounding turns opens or closes its ReLU, so the gradients differ by more.
        assert errors[name][1] < 1e-3
    assert (errors["auto"][0] != errors["direct"][0]) == winograd._can_pack()


def test_results_repeat_to_the_bit(encoders: dict[str, FeatureExtractor]) -> None:
    image = torch.rand(1, 3, 64, 72)
    features, gradient = _value_and_gradient(encoders["auto"], image, ["relu2_2", "relu4_1"])
    for encoder in (encoders["auto"], pickle.loads(pickle.dumps(encoders["auto"]))):
        again, gradient_again = _value_and_gradient(encoder, image, ["relu2_2", "relu4_1"])
        assert all(torch.equal(a, b) for a, b in zip(features, again, strict=True))
        assert torch.equal(gradient, gradient_again)


@pytest.mark.parametrize("taps", [["conv2_2", "relu2_2"], ["relu2_2"], ["conv2_2", "relu3_1"], ["relu2_2", "conv3_1"]])
def test_taps_before_and_after_the_relu(taps: list[str], encoders: dict[str, FeatureExtractor]) -> None:
    image = torch.rand(1, 3, 64, 70)
    fast, direct = encoders["winograd"](image, taps), encoders["direct"](image, taps)
    for name in taps:
        torch.testing.assert_close(fast[name], direct[name], rtol=1e-4, atol=1e-4)
        assert bool((fast[name] < 0).any()) == name.startswith("conv")


def test_option_is_shown_and_checked() -> None:
    assert "convolution='direct'" in repr(FeatureExtractor(convolution="direct"))
    with pytest.raises(ValueError, match=r"winogradd.*winograd"):
        FeatureExtractor(convolution="winogradd")  # type: ignore[arg-type]
