"""VGG-19 whole, on pictures that are larger than what one of its positions sees."""

from __future__ import annotations

import copy

import pytest
import torch
from doubles import Noise
from torch import Tensor

from neuralstyle import FeatureExtractor, load_image, samples
from neuralstyle.encoders.kernels import library
from neuralstyle.testing import check_encoder

RELUS = [f"relu{block}_{i}" for block, depth in enumerate((2, 2, 4, 4, 4), 1) for i in range(1, depth + 1)]


@pytest.fixture(scope="module")
def direct() -> FeatureExtractor:
    """The raw network, each position computed from what it sees alone; by Winograd's way others' rounding is in it."""
    return FeatureExtractor(normalize=False, convolution="direct")


@pytest.mark.parametrize("name", ["image", "relu1_2", "pool1", "pool2", "relu3_1", "relu4_1", "pool4", "relu5_1"])
def test_one_position_sees_its_cell_and_reach_and_nothing_else(
    direct: FeatureExtractor, noise: Noise, name: str
) -> None:
    layer = direct.layers[name]
    row, column = -(-layer.reach // layer.stride) + 1, -(-layer.reach // layer.stride) + 2
    side = 2 * layer.reach + 6 * layer.stride
    image = noise(1, 3, side, side + 3).requires_grad_()
    features = direct(image, [name])[name]
    direction = noise(features.shape[1], seed=1) - 0.5
    (gradient,) = torch.autograd.grad(features[0, :, row, column] @ direction, image)
    for index, axis in ((row, 3), (column, 2)):
        seen = gradient.abs().sum((0, 1, axis)).nonzero().flatten()
        assert seen[0] == index * layer.stride - layer.reach > 0
        assert seen[-1] == (index + 1) * layer.stride + layer.reach - 1 < side - 1


def test_mean_activation_is_near_1_only_when_normalised(
    encoder: FeatureExtractor, raw_encoder: FeatureExtractor
) -> None:
    image = load_image(samples.photo(), 256)
    with torch.no_grad():
        normalised = {name: float(f.mean()) for name, f in encoder(image, RELUS).items()}
        raw = {name: float(f.mean()) for name, f in raw_encoder(image, RELUS).items()}
    assert all(0.5 < mean < 2 for mean in normalised.values()), normalised
    assert all(mean > 5 for name, mean in raw.items() if name != "relu5_4"), raw


def value_and_gradient(encoder: FeatureExtractor, image: Tensor, layers: list[str]) -> tuple[list[Tensor], Tensor]:
    image = image.clone().requires_grad_()
    features = list(encoder(image, layers).values())
    gradient = torch.autograd.grad([f.square().mean() for f in features], image)[0]
    return [f.detach() for f in features], gradient


def error(actual: Tensor, exact: Tensor) -> float:
    return float((actual.detach().double() - exact.detach()).norm() / exact.detach().norm())


@pytest.mark.skipif(not library.is_built(), reason="winograd.c was not compiled or needs another processor")
def test_rounding_of_the_fast_network_is_within_three_times_that_of_the_direct_one() -> None:
    encoders = {name: FeatureExtractor(pooling="l2", convolution=name) for name in ("auto", "direct", "winograd")}  # type: ignore[arg-type]
    layers = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1"]
    image = torch.rand(1, 3, 112, 120)
    exact = value_and_gradient(copy.deepcopy(encoders["direct"]).double(), image.double(), layers)
    errors = {}
    for name, encoder in encoders.items():
        features, gradient = value_and_gradient(encoder, image, layers)
        errors[name] = [error(a, b) for a, b in zip(features, exact[0], strict=True)], error(gradient, exact[1])
    for name in ("auto", "winograd"):
        for fast, direct in zip(errors[name][0], errors["direct"][0], strict=True):
            assert fast <= 3 * direct
        # A value near zero that rounding turns opens or closes its ReLU, so the gradients differ by more.
        assert errors[name][1] < 1e-3
    assert errors["auto"][0] != errors["direct"][0]


def test_the_compact_encoder_keeps_the_rules_of_encoders() -> None:
    check_encoder(FeatureExtractor("compact19"))
