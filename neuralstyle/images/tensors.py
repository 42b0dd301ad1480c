"""Checks of tensors that hold pictures: dense, with data, of real floating numbers."""

from __future__ import annotations

import torch
from torch import Tensor

HALF = (torch.float16, torch.bfloat16)
"""Types in which the CPU cannot resize, clamp or round."""

FLOATS = (*HALF, torch.float32, torch.float64)
"""The floating types that a picture may have."""


def check_dense(image: object, name: str) -> Tensor:
    """Check that a value is a dense tensor with data, and return it.

    Raises:
        TypeError: ``image`` is not a tensor, or a sparse, nested or meta one.

    """
    if not isinstance(image, Tensor):
        raise TypeError(f"{name} is a tensor, received {type(image).__name__}")
    if image.is_nested:
        raise TypeError(f"{name} is a nested tensor; give the pictures one by one")
    if image.layout is not torch.strided:
        raise TypeError(f"{name} has the layout {image.layout}; convert it with .to_dense()")
    if image.is_meta:
        raise TypeError(f"{name} is on the meta device and holds no values; compute it on a real device")
    return image


def check_floating(image: object, name: str) -> Tensor:
    """Check that a value is a dense tensor of one of ``FLOATS``, and return it.

    Raises:
        TypeError: ``image`` is not such a tensor.

    """
    tensor = check_dense(image, name)
    if tensor.dtype not in FLOATS:
        hint = "give its real part" if tensor.is_complex() else "convert it to torch.float32 with values in [0, 1]"
        raise TypeError(f"{name} holds {tensor.dtype}; {hint}")
    return tensor
