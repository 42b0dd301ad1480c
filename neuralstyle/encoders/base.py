"""What an encoder is: named layers, each with its place on the picture, and a call that gives their features."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from neuralstyle._errors import unknown

WHOLE_PICTURE = 1 << 24
"""The reach of a layer whose every position may depend on the whole picture: in pixels, and beyond any picture."""


@dataclass(frozen=True)
class Layer:
    """Where a layer lies in its network.

    ``stride`` is the distance in input pixels between two neighbouring positions. ``reach`` is how many pixels
    beyond its own ``stride x stride`` cell a position sees on each side, so its receptive field is at most
    ``stride + 2 * reach`` wide (156 pixels for VGG-19's relu5_1). Behind an operation on the whole picture
    (attention, global pooling, instance normalisation) it is ``WHOLE_PICTURE``.
    """

    name: str
    kind: Literal["image", "conv", "relu", "pool", "module"]
    channels: int
    stride: int
    reach: int

    @property
    def is_global(self) -> bool:
        """Whether a position may depend on the whole picture, so that a piece of it tells too little."""
        return self.reach >= WHOLE_PICTURE


class Encoder(Protocol):
    """What the objective needs of a network; ``FeatureExtractor`` is one."""

    @property
    def layers(self) -> Mapping[str, Layer]:
        """Every layer by name: its channels, stride and reach."""

    def check_layers(self, names: Iterable[str]) -> tuple[str, ...]:
        """The names, each once; ValueError for one that the network does not have."""

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Features of (B, 3, H, W) in [0, 1] by layer name, (B, C, H // stride, W // stride)."""


class Walker(Encoder, Protocol):
    """An encoder that shows each layer's features once they are computed, as ``FeatureExtractor`` does."""

    def walk(self, image: Tensor, layers: Iterable[str], visit: Callable[[str, Tensor], Tensor]) -> None:
        """Call ``visit`` with a layer's name and features, and go on with what it returns."""


def on_encoder(encoder: Encoder, image: Tensor) -> Tensor:
    """The picture on the encoder's device and of its dtype, if the encoder is a module."""
    first = next(encoder.parameters(), None) if isinstance(encoder, torch.nn.Module) else None
    return image if first is None else image.to(first)


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
