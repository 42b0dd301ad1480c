"""A natural scale for errors: what they would be for a result without features."""

from __future__ import annotations

from torch import Tensor


def relative(error: Tensor, scale: Tensor) -> Tensor:
    """Errors (B,) as shares of a scale (B,) or (1,), averaged over the batch."""
    return (error / scale.clamp(min=1e-12)).mean()
