"""Sums over positions of features and of their products, with gradients in few passes, and what follows from them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def weighted_gram(x: Tensor, weight: Tensor) -> Tensor:
    """The weighted sum over positions of f f^T: (B, C, N), (B, 1, N) -> (B, C, C)."""
    if _is_uniform(weight):
        gram: Tensor = _Products.apply(x)  # type: ignore[no-untyped-call]
        return gram * weight[:, :, :1]
    weighted: Tensor = _Products.apply(x * weight.sqrt())  # type: ignore[no-untyped-call]
    return weighted


def moment_sums(x: Tensor, weight: Tensor) -> Tensor:
    """The weighted sums of f f^T and, as last row, of f: (B, C, N), (B, 1, N) -> (B, C + 1, C)."""
    if _is_uniform(weight):
        moments: Tensor = _Moments.apply(x)  # type: ignore[no-untyped-call]
        return moments * weight[:, :, :1]
    return torch.cat([weighted_gram(x, weight), weight @ x.transpose(1, 2)], 1)


def mean_and_covariance(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (B, C) and covariance (B, C, C) from mean moments (B, C + 1, C)."""
    mean = moments[:, -1]
    return mean, moments[:, :-1] - mean[:, :, None] * mean[:, None, :]


class _Products(torch.autograd.Function):
    """The matrix x x^T, with half the work of autograd in its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x @ x.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        x: Tensor = ctx.saved_tensors[0]
        symmetric = _symmetric(gradient)
        return symmetric @ x if _is_planar(x) else (x.transpose(1, 2) @ symmetric).transpose(1, 2)


class _Moments(torch.autograd.Function):
    """The same with the sums over positions, whose gradient is added in the same pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.cat([x @ x.transpose(1, 2), x.sum(2)[:, None]], 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        x: Tensor = ctx.saved_tensors[0]
        symmetric, of_sums = _symmetric(gradient[:, :-1]), gradient[:, -1:]
        if _is_planar(x):
            return torch.baddbmm(of_sums.transpose(1, 2), symmetric, x)
        return torch.baddbmm(of_sums, x.transpose(1, 2), symmetric).transpose(1, 2)


def _symmetric(gradient: Tensor) -> Tensor:
    """Both factors are x, so one product with this serves for two."""
    return gradient + gradient.transpose(1, 2)


def _is_uniform(weight: Tensor) -> bool:
    """Whether there is one weight for all positions, and a position."""
    return bool(weight.shape[2]) and weight.stride(2) == 0


def _is_planar(x: Tensor) -> bool:
    """Whether a channel's positions lie side by side in memory; a gradient keeps the order of the features."""
    return x.stride(2) == 1
