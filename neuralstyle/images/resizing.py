"""Resizing, by an antialiased bicubic filter; at once, or the rows strip by strip and the columns at the end."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralstyle.images.sizes import fit_size, is_integer

HALF = (torch.float16, torch.bfloat16)
"""Types in which the CPU cannot do all that is needed here."""

FLOATS = (*HALF, torch.float32, torch.float64)
"""The types that a picture may have."""


def resize_image(image: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Resize a picture with an antialiased bicubic filter.

    Args:
        image: (B,C,H,W), floating, in [0,1].
        size: The longest side in pixels, keeping the aspect to within a pixel, or the exact (height, width).

    Returns:
        (B,C,height,width), same dtype and device, clamped to [0,1] since the filter overshoots; `image` itself
            if it has that size already.

    Raises:
        ValueError: `image` is not a floating (B,C,H,W) tensor, or `size` is not made of positive integers.

    Examples:
        >>> resize_image(torch.rand(1, 3, 60, 80), 40).shape
        torch.Size([1, 3, 30, 40])

    """
    if image.ndim != 4 or image.dtype not in FLOATS:
        raise ValueError(f"image must be a floating (B,C,H,W) tensor, got {tuple(image.shape)} of {image.dtype}")
    sides = size if isinstance(size, tuple) else (size, size)
    if len(sides) != 2 or not all(is_integer(side) and side > 0 for side in sides):
        raise ValueError(f"size must be a positive integer or a pair (height, width) of them, got {size!r}")
    shape = size if isinstance(size, tuple) else fit_size(image.shape[-2], image.shape[-1], size)
    if shape == image.shape[-2:]:
        return image
    working = image.float() if image.dtype in HALF else image
    return _filtered(working, shape).clamp_(0, 1).to(image.dtype)


def resize_columns(image: Tensor, columns: int) -> Tensor:
    """Change the width of some rows of a picture; not clamped, since `resize_rows` follows."""
    return _filtered(image, (image.shape[-2], columns))


def resize_rows(image: Tensor, rows: int) -> Tensor:
    """Change the height of a picture; not clamped."""
    return _filtered(image, (rows, image.shape[-1]))


def _filtered(image: Tensor, shape: tuple[int, int]) -> Tensor:
    return F.interpolate(image, shape, mode="bicubic", antialias=True)
