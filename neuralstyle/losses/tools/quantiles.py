"""Distributions of numbers, compared quantile by quantile."""

from __future__ import annotations

import torch
from torch import Tensor


def squared_transport(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared 2-Wasserstein distance of the numbers in each row: (..., N), (..., M) -> (...).

    It is exact for any N and M: the integral over all quantiles of the squared difference of two step functions.
    """
    x, y = (values.sort(dim=-1, stable=True).values for values in (x, y))
    n, m = x.shape[-1], y.shape[-1]
    if n == m:
        return (x - y).square().mean(-1)
    # Quantiles in units of 1 / (n m), where the steps of both are whole numbers.
    ends = [torch.arange(1, count + 1, dtype=torch.int64, device=x.device) * unit for count, unit in ((n, m), (m, n))]
    # Equal steps stay, with a width of 0: removing them would make the host wait for an accelerator.
    steps = torch.cat(ends).sort().values
    widths = torch.diff(steps, prepend=steps.new_zeros(1)).to(x.dtype) / (n * m)
    i, j = ((steps - 1) // unit for unit in (m, n))
    return ((x[..., i] - y[..., j]).square() * widths).sum(-1)
