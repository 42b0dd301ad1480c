"""Feature maps as somebody gives them to a loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from neuralstyle._errors import brief

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_maps(maps: Any, loss: str, *, joint: bool = False) -> None:
    """Check what a loss is called with: dense floating features (B, C, h, w), in a dict for a joint loss.

    Raises:
        TypeError: no such tensor, or no dict of them.
        ValueError: a tensor of another shape.

    """
    if joint and not isinstance(maps, Mapping):
        raise TypeError(f"{loss} takes features by layer, a dict, received {brief(maps)}")
    for tensor in maps.values() if joint else [maps]:
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.dtype not in _FLOATS:
            what = f"{tensor.layout} of {tensor.dtype}" if isinstance(tensor, Tensor) else brief(tensor)
            raise TypeError(f"{loss} takes features, a dense floating tensor, received {what}")
        if tensor.ndim != 4 or not tensor.numel():
            raise ValueError(f"{loss} takes features (B, C, h, w), with positions, received {tuple(tensor.shape)}")
