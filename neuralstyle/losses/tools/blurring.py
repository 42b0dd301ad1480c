"""Blurring maps by a Gaussian."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor


def blur(maps: Tensor, deviation: float) -> Tensor:
    """Blur by a Gaussian of this standard deviation in positions, borders repeated: (B, C, h, w) -> (B, C, h, w).

    Rows and columns are multiplied by matrices, which are kept: for maps of a hundred positions a side that is faster
    than to convolve them.
    """
    down, across = (_gaussian(length, deviation, maps.dtype, maps.device) for length in maps.shape[2:])
    return down @ maps @ across.mT


@lru_cache(32)
@torch.inference_mode(mode=False)  # torch refuses gradients from tensors of inference mode
def _gaussian(length: int, deviation: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The matrix that blurs a row, each of whose ends is repeated: (length, length)."""
    radius = math.ceil(3 * deviation)
    places = torch.arange(length, dtype=torch.float64, device="cpu")[:, None]
    distance = places - torch.arange(-radius, length + radius, dtype=torch.float64, device="cpu")
    weights = torch.exp(-0.5 * (distance / deviation).square()) * (distance.abs() <= radius)
    weights /= weights.sum(1, keepdim=True)
    matrix = weights[:, radius : radius + length].clone()
    matrix[:, 0] += weights[:, :radius].sum(1)
    matrix[:, -1] += weights[:, radius + length :].sum(1)
    return matrix.to(device, dtype)
