"""The VGG networks (Simonyan and Zisserman, arXiv 1409.1556, configurations A, B, D and E) and a narrow one: geometry.

No weights are here.
"""

from __future__ import annotations

from collections.abc import Mapping

from neuralstyle._errors import unknown
from neuralstyle.encoders.base import Layer

COMPACT = "compact19"
"""A narrow student of VGG-19, by ``benchmarks/distill``."""

VGG_WIDTHS = (64, 128, 256, 512, 512)
COMPACT_WIDTHS = (16, 32, 128, 256, 256)
"""Output channels of each block's convolutions; a 2x2 pooling of stride 2 ends a block."""

DEPTHS: Mapping[str, tuple[int, ...]] = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
    COMPACT: (1, 2, 2, 2, 1),
}
"""How many convolutions each block has."""

VGG_NETWORKS = tuple(f"{name}{suffix}" for name in DEPTHS if name != COMPACT for suffix in ("", "_bn"))
"""Those with "_bn" have a batch normalisation after each convolution, and the same layers."""

NETWORKS = (*VGG_NETWORKS, COMPACT)


def convolution_blocks(network: str) -> list[list[str]]:
    """The names of a network's convolutions, block by block: [["conv1_1", "conv1_2"], ...].

    Raises:
        ValueError: an unknown network; the near one is suggested.

    """
    if network not in NETWORKS:
        raise unknown("network", network, NETWORKS)
    depths = enumerate(DEPTHS[network.removesuffix("_bn")], start=1)
    return [[f"conv{block}_{index}" for index in range(1, depth + 1)] for block, depth in depths]


def vgg_layers(network: str = "vgg19") -> dict[str, Layer]:
    """Every layer of a network by name, in order: "image", "conv1_1", "relu1_1", ..., "pool5". Loads no weights.

    Raises:
        ValueError: an unknown network; the near one is suggested.

    """
    layers = [Layer("image", "image", 3, 1, 0)]
    stride, reach = 1, 0
    widths = COMPACT_WIDTHS if network == COMPACT else VGG_WIDTHS
    for block, (names, channels) in enumerate(zip(convolution_blocks(network), widths, strict=True), start=1):
        for name in names:
            reach += stride
            layers.append(Layer(name, "conv", channels, stride, reach))
            layers.append(Layer(name.replace("conv", "relu"), "relu", channels, stride, reach))
        stride *= 2
        layers.append(Layer(f"pool{block}", "pool", channels, stride, reach))
    return {layer.name: layer for layer in layers}
