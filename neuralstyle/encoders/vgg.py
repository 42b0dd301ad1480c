"""The networks that ``FeatureExtractor`` knows, as data: the VGG family and narrow students of it; no weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from neuralstyle._errors import is_word, unknown
from neuralstyle._words import Padding, Pooling
from neuralstyle.encoders.base import Layer


@dataclass(frozen=True)
class Network:
    """A network of 3x3 convolutions, each with a ReLU; a 2x2 pooling of stride 2 ends each block of them.

    Args:
        name: name of the network.
        depths: the number of convolutions in each block.
        widths: the output channels of each block's convolutions.
        batch_norm: whether a batch normalisation follows each convolution.
        sources: names of its trained weights; the first is the default. Those called "distilled" are the file of the
            package that has the network's name.
        pooling: pooling in its training.
        padding: border of the picture in its training.
        normalized: whether the weights of these sources have mean activations of 1 already, and no raw version.
        pins_colors: whether a style loss on its features alone keeps the colours of the style. If not, the recipes add
            terms on the pixels.

    """

    name: str
    depths: tuple[int, ...]
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    batch_norm: bool = False
    sources: tuple[str, ...] = ("torchvision",)
    pooling: Pooling = "max"
    padding: Padding = "zeros"
    normalized: bool = False
    pins_colors: bool = True


COMPACT = "compact19"
"""Name of the compact encoder, a narrow student of VGG-19 trained by ``benchmarks/distill``."""

_VGG = (
    Network("vgg11", (1, 1, 2, 2, 2)),
    Network("vgg13", (2, 2, 2, 2, 2)),
    Network("vgg16", (2, 2, 3, 3, 3)),
    Network("vgg19", (2, 2, 4, 4, 4), sources=("simonyan", "torchvision")),
)
_STUDENTS = (
    Network(
        COMPACT,
        depths=(1, 2, 2, 2, 1),
        widths=(16, 32, 128, 256, 256),
        sources=("distilled",),
        pooling="l2",
        padding="replicate",
        normalized=True,
        pins_colors=False,
    ),
)


def _with_batch_norm(plain: Network) -> Network:
    return replace(plain, name=f"{plain.name}_bn", batch_norm=True, sources=("torchvision",))


NETWORKS: Mapping[str, Network] = {
    network.name: network
    for network in (*(each for plain in _VGG for each in (plain, _with_batch_norm(plain))), *_STUDENTS)
}
"""Every network by name: configurations A, B, D and E of VGG, each also with batch normalisation, and the student.

Paper: Simonyan and Zisserman, arXiv 1409.1556.
"""


def find_network(name: str) -> Network:
    """Return the network of this name.

    Raises:
        ValueError: an unknown network; the closest match is suggested.

    """
    if not is_word(name, NETWORKS):
        raise unknown("network", name, NETWORKS)
    return NETWORKS[name]


def convolution_blocks(network: str) -> list[list[str]]:
    """Return the names of a network's convolutions, block by block: [["conv1_1", "conv1_2"], ...].

    Raises:
        ValueError: an unknown network; the closest match is suggested.

    """
    depths = enumerate(find_network(network).depths, start=1)
    return [[f"conv{block}_{index}" for index in range(1, depth + 1)] for block, depth in depths]


def vgg_layers(network: str = "vgg19") -> dict[str, Layer]:
    """Return every layer of a network by name, in order: "image", "conv1_1", ..., "pool5". Loads no weights.

    Raises:
        ValueError: an unknown network; the closest match is suggested.

    """
    layers = [Layer("image", "image", 3, 1, 0)]
    stride, reach = 1, 0
    blocks = zip(convolution_blocks(network), find_network(network).widths, strict=True)
    for block, (names, channels) in enumerate(blocks, start=1):
        for name in names:
            reach += stride
            layers.append(Layer(name, "conv", channels, stride, reach))
            layers.append(Layer(name.replace("conv", "relu"), "relu", channels, stride, reach))
        stride *= 2
        layers.append(Layer(f"pool{block}", "pool", channels, stride, reach))
    return {layer.name: layer for layer in layers}
