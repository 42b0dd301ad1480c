"""The two ways to keep the pairs of L-BFGS."""

from __future__ import annotations

import torch

from neuralstyle.optimizers.pairs import ListedPairs, StackedPairs

SHAPE = (1, 1, 6, 5)


def test_both_ways_give_the_same_product() -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(30, 30, dtype=torch.float64, generator=generator)
    hessian = root @ root.T + 10 * torch.eye(30, dtype=torch.float64)
    stacked, listed = StackedPairs(7, torch.zeros(SHAPE, dtype=torch.float64)), ListedPairs(7, "device")
    for number in range(25):
        if number == 12:
            stacked.clear()
            listed.clear()
            assert not stacked
            assert not listed
        s, vector = torch.randn(2, *SHAPE, dtype=torch.float64, generator=generator)
        y = (hessian @ s.flatten()).view(SHAPE)
        for pairs in (stacked, listed):
            pairs.append(s, y, float((s * y).sum()))
        found, right = stacked.inverse_hessian(vector), listed.inverse_hessian(vector)
        assert (found - right).norm() < 1e-12 * right.norm()
        for mine, other in zip(stacked.listed(), listed.listed(), strict=True):
            assert torch.equal(mine[0], other[0])
            assert torch.equal(mine[1], other[1])
            assert mine[2] == other[2]


def test_the_product_satisfies_the_secant_equation() -> None:
    """H maps the newest change of the gradient to that of the picture."""
    generator = torch.Generator().manual_seed(1)
    pairs = StackedPairs(3, torch.zeros(SHAPE, dtype=torch.float64))
    for _ in range(5):
        s = torch.randn(SHAPE, dtype=torch.float64, generator=generator)
        y = s * (1 + torch.rand(SHAPE, dtype=torch.float64, generator=generator))
        pairs.append(s, y, float((s * y).sum()))
    assert torch.allclose(pairs.inverse_hessian(y), s)
