"""Roots of matrices: what two covariances have in common."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

LEAST_SHARE = 1e-14  # of the largest eigenvalue: what rounding has made less, or negative, counts as so much
STEPS = 36  # of the iteration; each multiplies the root of a small eigenvalue by 1.5: 1e-12 of the largest is reached


def overlap(first: Tensor, second: Tensor) -> Tensor:
    r"""Return $\operatorname{tr}\,(\Sigma_2^{1/2} \Sigma_1 \Sigma_2^{1/2})^{1/2}$, (B, C, C) twice -> (B,).

    Its gradient is half the optimal transport between the Gaussians,
    $\frac{1}{2} \Sigma_2^{1/2} (\Sigma_2^{1/2} \Sigma_1 \Sigma_2^{1/2})^{-1/2} \Sigma_2^{1/2}$, and the same with both
    in each other's place. On CUDA it is computed by an iteration, for which the processor does not have to wait;
    elsewhere from eigenvalues.

    Args:
        first: symmetric positive matrices, in double precision.
        second: the others.

    """
    result: Tensor = _Overlap.apply(first, second)  # type: ignore[no-untyped-call]
    return result


class _Overlap(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor) -> Tensor:
        compute = by_iteration if first.is_cuda else by_eigenvalues
        value, to_second = compute(first, second)
        # The way back, which only a target with a gradient needs.
        to_first = compute(second, first)[1] if ctx.needs_input_grad[1] else None
        ctx.save_for_backward(first, second, to_second, to_first)
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        first, second, *transports = ctx.saved_tensors
        found: list[Tensor | None] = [None, None]
        for index, pair in enumerate(((first, second), (second, first))):
            if ctx.needs_input_grad[index]:
                # For a gradient of this gradient, by steps that autograd records.
                transport = by_iteration(*pair)[1] if torch.is_grad_enabled() else transports[index]
                found[index] = gradient[:, None, None] / 2 * transport
        return found[0], found[1]


def by_eigenvalues(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return the overlap, and the transport from the first to the second (B, C, C).

    For any L with $L L^\top = \Sigma_2$ the matrix $L^\top \Sigma_1 L$ has the eigenvalues of the root's argument.
    """
    factor = _factor(second)
    values, vectors = torch.linalg.eigh(factor.transpose(1, 2) @ first @ factor)
    roots = torch.maximum(values, LEAST_SHARE * values[:, -1:]).sqrt()
    axes = factor @ vectors
    return roots.sum(1), (axes / roots[:, None]) @ axes.transpose(1, 2)


def by_iteration(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return the same by the coupled iteration of Newton and Schulz.

    It finds $M^{1/2}$ and $M^{-1/2}$ for $M = \Sigma_1 \Sigma_2$, whose eigenvalues are those of the root's argument.
    """
    product = first @ second
    scale = torch.linalg.matrix_norm(product)[:, None, None].clamp(min=torch.finfo(product.dtype).tiny)
    root = product / scale
    inverse = torch.eye(product.shape[1], dtype=product.dtype, device=product.device).expand_as(product)
    three_halves = 1.5 * inverse
    for _ in range(STEPS):
        step = torch.baddbmm(three_halves, inverse, root, alpha=-0.5)
        root, inverse = root @ step, step @ inverse
    value = torch.diagonal(root, dim1=1, dim2=2).sum(1) * scale.sqrt().flatten()
    transport = second @ inverse / scale.sqrt()
    return value, (transport + transport.transpose(1, 2)) / 2


def _factor(matrices: Tensor) -> Tensor:
    """L with L L^T equal to the given matrices, or to the nearest positive ones where rounding made them negative."""
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(matrices)
    if failed.any():
        values, vectors = torch.linalg.eigh(matrices)
        factor = vectors * values.clamp(min=0).sqrt()[:, None]
    return factor
