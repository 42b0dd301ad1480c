"""The search for what is nearest: for every position of one map the best one of another, in bounded memory."""

from __future__ import annotations

import torch
from torch import Tensor

NORM_FLOOR = 1e-4  # of a feature vector, so that its direction has a derivative at zero
PAIRS_AT_ONCE = 1 << 22


def direction(x: Tensor) -> Tensor:
    """Feature vectors (B, C, N) at length 1; those much shorter than the floor stay near zero."""
    return x / (x.square().sum(1, keepdim=True) + NORM_FLOOR**2).sqrt()


def cosine_distance(x: Tensor, y: Tensor) -> Tensor:
    """1 - cos between directions at the same positions: (B, C, N) twice -> (B, N); exactly 0 where they are equal."""
    return 0.5 * (x - y).square().sum(1)


def nearest(x: Tensor, keys: Tensor, y: Tensor) -> Tensor:
    """For each position of x (B, C, N) that of y whose key has the largest scalar product with it: (B, C, N).

    Some positions at a time, so that memory does not grow with N M. Which one it is has no derivative: zero, wherever
    there is one.

    Args:
        x: what is looked for.
        keys: (B or 1, C, M), what it is compared with.
        y: (B or 1, C, M), what is taken.

    """
    with torch.no_grad():
        rows = max(1, PAIRS_AT_ONCE // (x.shape[0] * keys.shape[2]))
        index = torch.cat([(part.transpose(1, 2) @ keys).argmax(2) for part in torch.split(x, rows, 2)], 1)
    return y.expand(index.shape[0], -1, -1).gather(2, index[:, None].expand(-1, y.shape[1], -1))
