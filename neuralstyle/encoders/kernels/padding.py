"""Padding a picture by one pixel, and its gradient; padding by the other end of a picture that repeats."""

from __future__ import annotations

import torch
from torch import Tensor


def pad(x: Tensor, mode: str) -> Tensor:
    """Pad a picture by one pixel on each side, "replicate" or "reflect": (B, C, H, W) -> (B, C, H + 2, W + 2).

    The result equals that of ``torch.nn.functional.pad``, whose gradient is deterministic on the CPU only, and which
    torch 2.13 cannot compile for channels_last.
    """
    for dimension in (3, 2):
        first, last = _repeated_pixels(x.shape[dimension], mode)
        x = torch.cat([x.narrow(dimension, first, 1), x, x.narrow(dimension, last, 1)], dimension)
    return x


def fold(gradient: Tensor, mode: str) -> Tensor:
    """Return the gradient of a picture from that of the padded one: (B, C, H + 2, W + 2) -> (B, C, H, W)."""
    for dimension in (2, 3):
        size = gradient.shape[dimension] - 2
        border = torch.cat([gradient.narrow(dimension, 0, 1), gradient.narrow(dimension, size + 1, 1)], dimension)
        places = torch.tensor(_repeated_pixels(size, mode), dtype=torch.int64, device=gradient.device)
        gradient = gradient.narrow(dimension, 1, size).index_add(dimension, places, border)
    return gradient


def _repeated_pixels(size: int, mode: str) -> tuple[int, int]:
    """Indices of the pixels that the two borders of a side repeat."""
    step = 1 if mode == "reflect" and size > 1 else 0
    return step, size - 1 - step


def pad_circular(x: Tensor, width: int) -> Tensor:
    """Pad each side by pixels of the other end: (B, C, H, W) -> (B, C, H + 2 * width, W + 2 * width)."""
    for dimension in (3, 2):
        size = x.shape[dimension]
        copies = -(-width // size)
        around = x if copies == 1 else torch.cat([x] * copies, dimension)
        last, first = around.narrow(dimension, copies * size - width, width), around.narrow(dimension, 0, width)
        x = torch.cat([last, x, first], dimension)
    return x
