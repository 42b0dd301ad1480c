"""Pooling: what it is, and its derivatives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from neuralstyle import FeatureExtractor
from neuralstyle.encoders.kernels.pooling import l2_pool, relu_max_pool

SIZES = pytest.mark.parametrize("size", [(2, 2), (5, 4), (4, 7)])


@SIZES
def test_max_pooling_with_the_relu_and_its_derivatives(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    expected = F.max_pool2d(x.relu(), 2)
    assert torch.equal(relu_max_pool(x), expected)
    weight = torch.rand_like(expected)
    torch.testing.assert_close(*(torch.autograd.grad((y * weight).sum(), x)[0] for y in (relu_max_pool(x), expected)))
    assert torch.autograd.gradcheck(relu_max_pool, x)
    assert torch.autograd.gradgradcheck(relu_max_pool, x)


@pytest.mark.parametrize("wanted", [["relu2_1"], ["conv1_2", "relu2_1"], ["relu1_2", "relu2_1"], ["pool1", "pool2"]])
def test_layers_beside_the_pooling_are_what_they_are_alone(encoder64: FeatureExtractor, wanted: list[str]) -> None:
    encoder, image = encoder64, torch.rand(1, 3, 18, 20, dtype=torch.float64)
    together = encoder(image, [*wanted, "conv1_2", "relu1_2"])
    for name in wanted:
        assert torch.equal(encoder(image, wanted)[name], together[name])
    assert torch.equal(together["relu1_2"], together["conv1_2"].relu())
    assert torch.equal(encoder(image, ["pool1"])["pool1"], F.max_pool2d(together["relu1_2"], 2))


def test_the_map_that_is_pooled_is_not_kept() -> None:
    x = torch.randn(1, 8, 32, 32, requires_grad=True)
    kept: list[torch.Size] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.shape)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        relu_max_pool(x)
    assert set(kept) == {torch.Size((1, 8, 16, 16))}


@SIZES
def test_l2_pooling_and_its_derivatives(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    expected = 0.78 * (4 * F.avg_pool2d(x.square(), 2)).sqrt()
    torch.testing.assert_close(l2_pool(x), expected)
    assert torch.autograd.gradcheck(l2_pool, x)
    assert torch.autograd.gradgradcheck(l2_pool, x)
    zero = torch.zeros(1, 1, 4, 4, requires_grad=True)
    assert not torch.autograd.grad(l2_pool(zero).sum(), zero)[0].any()
