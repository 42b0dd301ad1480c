"""Errors as shares of a scale, such as the error of a result without features."""

from __future__ import annotations

from torch import Tensor

MIN_SCALE = 1e-12


def relative(error: Tensor, scale: Tensor) -> Tensor:
    """Return errors (B,) as shares of a scale (B,) or (1,), averaged over the batch."""
    return (error / scale.clamp(min=MIN_SCALE)).mean()
