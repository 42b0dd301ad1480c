"""Pooling operations that save less memory for the backward pass than torch's own."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralstyle.encoders.base import is_plain_cpu
from neuralstyle.encoders.kernels.library import FLOOR, SCALE, is_built, library


def relu_max_pool(x: Tensor) -> Tensor:
    """The ReLU, then 2x2 max pooling: (B, C, H, W) -> (B, C, H // 2, W // 2).

    The maximum of ReLUs is the ReLU of the maximum. So the ReLU is computed after pooling, for a quarter of the
    numbers, and the pre-pooling map is not saved for the backward pass.
    """
    if is_plain_cpu(x):
        result: Tensor = _ReluMaxPool.apply(x)  # type: ignore[no-untyped-call]
        return result
    return F.max_pool2d(x, 2).relu()


def l2_pool(x: Tensor) -> Tensor:
    """0.78 times the root of the sum of squares in each 2x2 cell: (B, C, H, W) -> (B, C, H // 2, W // 2)."""
    if is_plain_cpu(x):
        result: Tensor = _L2Pool.apply(x)  # type: ignore[no-untyped-call]
        return result
    return defined_l2_pool(x)


def defined_l2_pool(x: Tensor, floor: float = FLOOR) -> Tensor:
    """``l2_pool`` in torch operations that autograd can differentiate any number of times.

    Args:
        x: (B, C, H, W).
        floor: added under the root.

    """
    # In 16 bits, squares would be rounded again or overflow.
    wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    return (SCALE * (4 * F.avg_pool2d(wide.square(), 2) + floor).sqrt()).to(x.dtype)


class _ReluMaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        result, indices = F.max_pool2d(x, 2, return_indices=True)
        result.relu_()
        ctx.save_for_backward(result, indices.int())
        ctx.shape = x.shape
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        result, indices = ctx.saved_tensors
        gradient = torch.ops.aten.threshold_backward(gradient, result, 0)
        # Only the shape of the pre-pooling map is used, and memory that is never touched costs nothing.
        like = torch.empty(ctx.shape, dtype=gradient.dtype, memory_format=torch.channels_last)
        back: Tensor = torch.ops.aten.max_pool2d_with_indices_backward(
            gradient, like, [2, 2], [2, 2], [0, 0], [1, 1], False, indices.long()
        )
        return back


class _L2Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        if _is_compiled(x):
            x = x.contiguous(memory_format=torch.channels_last)
            result = _empty(x, height // 2, width // 2)
            library().pool(x.data_ptr(), result.data_ptr(), batch, height, width, channels)
        else:
            first, *others = _corners(x)
            total = first.square()
            for corner in others:
                total.addcmul_(corner, corner)
            result = total.add_(FLOOR).sqrt_().mul_(SCALE)
        ctx.save_for_backward(x, result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        x, result = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted
            again: Tensor = torch.autograd.grad(defined_l2_pool(x), x, gradient, create_graph=True)[0]
            return again
        batch, channels, height, width = x.shape
        if _is_compiled(x):
            back, given = _empty(x, height, width), gradient.contiguous(memory_format=torch.channels_last)
            addresses = (t.data_ptr() for t in (x, result, given, back))
            library().spread(*addresses, batch, height, width, channels)
            return back
        share = gradient.div(result).mul_(SCALE**2)
        back = torch.empty_like(x)
        for corner, target in zip(_corners(x), _corners(back), strict=True):
            torch.mul(corner, share, out=target)
        back[:, :, height // 2 * 2 :].zero_()
        back[:, :, :, width // 2 * 2 :].zero_()
        return back


def _is_compiled(x: Tensor) -> bool:
    """Whether the compiled functions take a map."""
    return x.dtype == torch.float32 and x.shape[2] > 1 and x.numel() > 0 and is_built()


def _empty(x: Tensor, height: int, width: int) -> Tensor:
    """An uninitialised map in channels_last."""
    return x.new_empty((len(x), height, width, x.shape[1])).permute(0, 3, 1, 2)


def _corners(x: Tensor) -> list[Tensor]:
    """The four positions of all cells, each as (B, C, H // 2, W // 2)."""
    cells = x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]
    return [cells[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1)]
