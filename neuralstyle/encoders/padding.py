"""What surrounds a picture."""

from __future__ import annotations

import torch
from torch import Tensor


def pad(x: Tensor, mode: str) -> Tensor:
    """A picture with one pixel more on each side, "replicate" or "reflect": (B, C, H, W) -> (B, C, H + 2, W + 2).

    As ``torch.nn.functional.pad``, whose gradient repeats to the bit on the CPU alone, and which torch 2.13 fails to
    compile for channels_last.
    """
    for dimension in (3, 2):
        size = x.shape[dimension]
        step = 1 if mode == "reflect" and size > 1 else 0
        x = torch.cat([x.narrow(dimension, step, 1), x, x.narrow(dimension, size - 1 - step, 1)], dimension)
    return x
