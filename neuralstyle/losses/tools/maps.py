"""Feature maps as somebody gives them to a loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from neuralstyle._errors import brief

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def as_maps(maps: Any, loss: str, *, joint: bool = False) -> Any:
    """Return what a loss is called with as it is computed: features (B, C, h, w), in a dict for a joint loss.

    Vectors (B, C) become maps of one position.

    Raises:
        TypeError: no such tensor, or no dict of them.
        ValueError: a tensor of another shape.

    """
    if joint and not isinstance(maps, Mapping):
        raise TypeError(f"{loss} takes features by layer, a dict, received {brief(maps)}")
    given = dict(maps) if joint else {"": maps}
    for layer, tensor in given.items():
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.dtype not in _FLOATS:
            what = f"{tensor.layout} of {tensor.dtype}" if isinstance(tensor, Tensor) else brief(tensor)
            raise TypeError(f"{loss} takes features, a dense floating tensor, received {what}")
        if tensor.ndim not in (2, 4) or not tensor.numel():
            raise ValueError(
                f"{loss} takes features (B, C, h, w), with positions, or vectors (B, C), received {tuple(tensor.shape)}"
            )
        given[layer] = tensor if tensor.ndim == 4 else tensor[:, :, None, None]
    return given if joint else given[""]
