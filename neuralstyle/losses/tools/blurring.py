"""Blurring maps by a Gaussian, and shrinking them, by products with matrices that are kept.

For maps of a hundred positions a side that is faster than to convolve them.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor


def blur(maps: Tensor, deviation: float) -> Tensor:
    """Blur by a Gaussian of this standard deviation in positions, borders repeated: (B, C, h, w) -> (B, C, h, w)."""
    down, across = (_gaussian(side, deviation, maps.dtype, maps.device) for side in maps.shape[2:])
    return down @ maps.contiguous() @ across.mT  # the order in memory would change the last bits


def shrink(maps: Tensor, most: int) -> Tensor:
    """Average maps (B, C, H, W) over cells of one size, of which the longest side has so many at most."""
    longest = max(maps.shape[2:])
    if longest <= most:
        return maps
    height, width = (max(1, round(side * most / longest)) for side in maps.shape[2:])
    down = _averages(height, maps.shape[2], maps.dtype, maps.device)
    across = _averages(width, maps.shape[3], maps.dtype, maps.device)
    return down @ maps.contiguous() @ across.mT


# Never tensors of inference mode, from which torch refuses gradients later. As many are kept as no program needs at
# once, since a recorded graph reads them where they are.


@lru_cache(256)
@torch.inference_mode(mode=False)
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
    return matrix.to(dtype).to(device)


@lru_cache(256)
@torch.inference_mode(mode=False)
def _averages(cells: int, length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The matrix that averages a row over cells, a position on their border in shares: (cells, length)."""
    begins = torch.arange(cells, dtype=torch.float64, device="cpu")[:, None] * length / cells
    places = torch.arange(length, dtype=torch.float64, device="cpu")
    shares = torch.minimum(places + 1, begins + length / cells) - torch.maximum(places, begins)
    return (shares.clamp(min=0) * cells / length).to(dtype).to(device)
