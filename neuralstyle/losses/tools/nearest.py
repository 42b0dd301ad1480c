"""Nearest neighbours: for every position of one map the most similar one of another, in bounded memory."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_FEATURE_NORM = 1e-4  # so that the direction of a feature vector has a derivative at zero
PAIRS_PER_CHUNK = 1 << 22


def direction(x: Tensor) -> Tensor:
    """Scale feature vectors (B, C, N) to length 1; those much shorter than ``MIN_FEATURE_NORM`` stay near zero."""
    return x / (x.square().sum(1, keepdim=True) + MIN_FEATURE_NORM**2).sqrt()


def cosine_distance(x: Tensor, y: Tensor) -> Tensor:
    """Return 1 - cos between directions at equal positions: (B, C, N) twice -> (B, N); exactly 0 for equal ones."""
    return 0.5 * (x - y).square().sum(1)


def nearest(x: Tensor, keys: Tensor, y: Tensor) -> Tensor:
    """Return, for each position of x (B, C, N), the position of y whose key has the largest scalar product with it.

    The search runs in chunks, so memory does not grow with N M. The choice of a position has no gradient; the returned
    features have.

    Args:
        x: the features to search for.
        keys: (B or 1, C, M), the features to compare with.
        y: (B or 1, C, M), the features to return.

    """
    with torch.no_grad():
        rows = max(1, PAIRS_PER_CHUNK // (x.shape[0] * keys.shape[2]))
        index = torch.cat([(part.transpose(1, 2) @ keys).argmax(2) for part in torch.split(x, rows, 2)], 1)
    return y.expand(index.shape[0], -1, -1).gather(2, index[:, None].expand(-1, y.shape[1], -1))
