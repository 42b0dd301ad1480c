"""The layers of VGG-19 (Simonyan and Zisserman, arXiv 1409.1556, configuration E): names and geometry, no weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

WIDTHS = {1: (64, 64), 2: (128, 128), 3: (256,) * 4, 4: (512,) * 4, 5: (512,) * 4}
"""Output channels of each convolution, by block; a 2x2 pooling of stride 2 ends each block."""


@dataclass(frozen=True)
class Layer:
    """Where a layer lies in its network.

    ``stride`` is the distance in input pixels between two neighbouring positions. ``reach`` is how many pixels
    beyond its own ``stride x stride`` cell a position sees on each side, so its receptive field is
    ``stride + 2 * reach`` wide (156 pixels for relu5_1).
    """

    name: str
    kind: Literal["image", "conv", "relu", "pool"]
    channels: int
    stride: int
    reach: int


def vgg19_layers() -> dict[str, Layer]:
    """Every layer of VGG-19 by name, in order: "image", "conv1_1", "relu1_1", ..., "pool5"."""
    layers = [Layer("image", "image", 3, 1, 0)]
    stride, reach = 1, 0
    for block, widths in WIDTHS.items():
        for index, channels in enumerate(widths, start=1):
            reach += stride
            layers.append(Layer(f"conv{block}_{index}", "conv", channels, stride, reach))
            layers.append(Layer(f"relu{block}_{index}", "relu", channels, stride, reach))
        stride *= 2
        layers.append(Layer(f"pool{block}", "pool", widths[-1], stride, reach))
    return {layer.name: layer for layer in layers}
