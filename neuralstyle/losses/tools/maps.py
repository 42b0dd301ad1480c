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


def as_pair(x: Any, target: Any, loss: str, *, joint: bool, same_positions: bool) -> tuple[Any, Any]:
    """Return what a loss is called with, and its target or None, see ``as_maps``.

    Args:
        x: features of one layer; for a joint loss, a dict of them.
        target: those of the target, or None.
        loss: name of the loss for messages.
        joint: whether the loss takes several layers at once.
        same_positions: whether each position is compared with the one at the same place.

    Raises:
        TypeError: no such tensor, or no dict of them.
        ValueError: a tensor of another shape; or other layers, channels or positions, or a batch that is neither one
            nor of the same number.

    """
    maps = as_maps(x, loss, joint=joint)
    if target is None:
        return maps, None
    features = as_maps(target, loss, joint=joint)
    ours, others = (maps, features) if joint else ({"": maps}, {"": features})
    if ours.keys() != others.keys():
        raise ValueError(f"{loss} takes the same layers of both, received {sorted(ours)} and {sorted(others)}")
    for layer, own in ours.items():
        other = others[layer]
        what = f"{loss} compares {tuple(own.shape)} with {tuple(other.shape)}, (B, C, h, w); give both "
        if own.shape[1] != other.shape[1]:
            raise ValueError(f"{what}the same number of channels, as one layer of one encoder has")
        if same_positions and own.shape[2:] != other.shape[2:]:
            raise ValueError(f"{what}the same height and width, as it compares position by position")
        if len(own) != len(other) and 1 not in (len(own), len(other)):
            raise ValueError(f"{what}as many pictures, or one for all of the other's")
    return maps, features
