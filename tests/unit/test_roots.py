"""What two covariances have in common, and its gradient: against roots of matrices, by both ways."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from neuralstyle.losses.tools import roots

WAYS = (roots.by_eigenvalues, roots.by_iteration)


def covariances(channels: int, rank: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two covariances of few features, raised as the loss does it, so their eigenvalues span five decades."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(2):
        features = torch.randn(1, channels, rank, generator=generator, dtype=torch.float64).relu()
        matrix = features @ features.transpose(1, 2) / rank
        found.append(matrix + 1e-5 * torch.diagonal(matrix, dim1=1, dim2=2).mean() * torch.eye(channels))
    return found[0], found[1]


def root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.sqrt()[:, None]) @ vectors.transpose(1, 2)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("channels", "rank"), [(3, 40), (16, 200), (64, 20), (128, 400)])
def test_it_is_the_trace_of_the_root(way: Callable[..., tuple[Tensor, Tensor]], channels: int, rank: int) -> None:
    first, second = covariances(channels, rank)
    value, transport = way(first, second)
    expected = torch.diagonal(root(root(second) @ first @ root(second)), dim1=1, dim2=2).sum(1)
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=0)
    # Transport turns the first covariance into the second.
    torch.testing.assert_close(transport @ first @ transport, second, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_the_gradient_is_that_of_small_changes(
    way: Callable[..., tuple[Tensor, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roots, "by_eigenvalues", way)
    first, second = covariances(5, 30)

    def of_factors(a: Tensor, b: Tensor) -> Tensor:  # factors, so that small changes leave the matrices symmetric
        return roots.overlap(a @ a.transpose(1, 2), b @ b.transpose(1, 2))

    factors = [torch.linalg.cholesky(each).requires_grad_() for each in (first, second)]
    assert torch.autograd.gradcheck(of_factors, factors)
    assert torch.autograd.gradcheck(lambda a: of_factors(a, factors[1].detach()), factors[:1])


def test_equal_covariances_have_all_in_common() -> None:
    first, _ = covariances(32, 8)
    for way in WAYS:
        value, transport = way(first, first)
        torch.testing.assert_close(value, torch.diagonal(first, dim1=1, dim2=2).sum(1), rtol=1e-5, atol=0)
        torch.testing.assert_close(transport @ first, first, rtol=1e-3, atol=1e-4)


def test_a_matrix_that_rounding_made_negative_has_a_root_nearby() -> None:
    first, second = covariances(16, 4)
    negative = second - 2e-5 * torch.diagonal(second, dim1=1, dim2=2).mean() * torch.eye(16)
    assert torch.linalg.eigvalsh(negative).min() < 0
    value, transport = roots.by_eigenvalues(first, negative)
    assert transport.isfinite().all()
    torch.testing.assert_close(value, roots.by_eigenvalues(first, second)[0], rtol=0.02, atol=0)
