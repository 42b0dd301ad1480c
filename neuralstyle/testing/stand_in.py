"""An untrained encoder with the layers that a loss names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralstyle.encoders import Layer
from neuralstyle.encoders.vgg import vgg_layers


class StandIn:
    """Random filters under the names of any layers, in double precision.

    Args:
        names: names of the layers; "image" is the picture itself.
        channels: number of channels of each layer.
        by_vgg: give layers with names of VGG-19's layers their strides, so that maps of several layers fit together.
            All other layers have a stride of 2.

    """

    def __init__(self, names: Sequence[str], channels: Mapping[str, int], *, by_vgg: bool = False) -> None:
        known = vgg_layers("vgg19") if by_vgg else {}
        self._filters: dict[str, Tensor] = {}
        self.layers: dict[str, Layer] = {}
        for seed, name in enumerate(names):
            if name == "image":
                self.layers[name] = Layer(name, "image", 3, 1, 0)
                continue
            stride = known[name].stride if name in known else 2
            generator = torch.Generator().manual_seed(seed)
            self._filters[name] = torch.randn(channels[name], 3, 3, 3, generator=generator, dtype=torch.float64)
            self.layers[name] = Layer(name, "conv", channels[name], stride, stride)

    @property
    def stride(self) -> int:
        """The deepest stride."""
        return math.lcm(*(layer.stride for layer in self.layers.values()))

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Return features (B, C, H // stride, W // stride) of a picture (B, 3, H, W)."""
        return {name: self._see(image, name) for name in layers}

    def _see(self, image: Tensor, name: str) -> Tensor:
        if name == "image":
            return image
        cells = F.avg_pool2d(image, self.layers[name].stride)
        return F.conv2d(F.pad(cells, (1, 1, 1, 1), mode="replicate"), self._filters[name]).abs()
