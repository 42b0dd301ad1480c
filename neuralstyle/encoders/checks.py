"""What every encoder asks of a picture and of the names of layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from neuralstyle._errors import unknown
from neuralstyle.encoders.layer import Layer


def check_names(names: Iterable[str], layers: Mapping[str, Layer], network: str) -> tuple[str, ...]:
    """The names as a tuple, each once.

    Raises:
        ValueError: a layer that the network does not have; the near one is suggested.

    """
    wanted = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
    for name in wanted:
        if name not in layers:
            raise unknown(f"layer of {network}", name, layers)
    return wanted


def check_image(image: Tensor, dtype: torch.dtype, layers: Iterable[Layer]) -> None:
    """A picture that a network of this type can be shown, large enough for a position of each layer.

    Raises:
        ValueError: what is wrong with it.

    """
    if image.ndim != 4 or image.shape[1] != 3 or not image.is_floating_point():
        raise ValueError(
            f"an image is a floating (B, 3, H, W) tensor in [0, 1], received {image.dtype} {tuple(image.shape)}"
        )
    if image.dtype != dtype:
        raise ValueError(f"the image is {image.dtype} and the network {dtype}; convert one of them")
    for layer in layers:
        if min(image.shape[2:]) < layer.stride:
            raise ValueError(
                f"a picture of {image.shape[3]} x {image.shape[2]} pixels is too small for layer {layer.name!r}, which "
                f"needs {layer.stride} on each side; use a larger picture or a shallower layer"
            )


def is_plain_cpu(x: Tensor) -> bool:
    """Whether operations on a tensor run on the CPU as they are written: not in autocast, and not being compiled."""
    return x.device.type == "cpu" and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()
