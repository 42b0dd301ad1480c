"""Mean and covariance of features, from sums that add up over positions."""

from __future__ import annotations

import torch
from torch import Tensor

from neuralstyle.losses.gram import weighted_gram


def moment_sums(x: Tensor, weight: Tensor) -> Tensor:
    """Return weighted sums over positions of f f^T and, as last row, of f: (B, C, N), (B, 1, N) -> (B, C + 1, C)."""
    return torch.cat([weighted_gram(x, weight), weight @ x.transpose(1, 2)], 1)


def mean_and_covariance(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (B, C) and covariance (B, C, C) from mean moments (B, C + 1, C)."""
    mean = moments[:, -1]
    return mean, moments[:, :-1] - mean[:, :, None] * mean[:, None, :]
