"""The student: VGG-19's shape with fewer and narrower convolutions, in operations that can be differentiated twice."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuralstyle.encoders.kernels.padding import pad
from neuralstyle.encoders.kernels.pooling import defined_l2_pool
from neuralstyle.encoders.vgg import COMPACT, convolution_blocks, vgg_layers
from neuralstyle.encoders.weights.records import IMAGENET_MEAN, IMAGENET_STD, state_keys

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")
"""Layers at which student and teacher are compared: most of what the package's losses look at by default."""

FLOOR = 1e-3  # under the root of L2 pooling, whose second derivative has no bound otherwise; a mean activation is 1


class Student(nn.Module):
    """A narrow VGG network with L2 pooling, the picture's border replicated; mean activations are about 1."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.convolutions = nn.ModuleDict()
        self.blocks = convolution_blocks(COMPACT)
        before = 3
        for layer in vgg_layers(COMPACT).values():
            if layer.kind != "conv":
                continue
            convolution = nn.Conv2d(before, layer.channels, 3, padding=0 if before == 3 else 1, device="meta")
            weight = (2 / (9 * before)) ** 0.5 * torch.randn(layer.channels, before, 3, 3, generator=generator)
            convolution.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
            convolution.bias = nn.Parameter(torch.zeros(layer.channels))
            self.convolutions[layer.name] = convolution
            before = layer.channels
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Features at ``TAPS``."""
        features: dict[str, Tensor] = {}
        self._walk(image, features)
        return features

    def settle(self, image: Tensor) -> None:
        """Rescale the weights, layer by layer, so that activations on this picture are 1 in the mean."""
        with torch.no_grad():
            for name, convolution in self.convolutions.items():
                features: dict[str, Tensor] = {}
                self._walk(image, features, all_of_them=True)
                convolution.weight.div_(features[name.replace("conv", "relu")].mean())

    def _walk(self, image: Tensor, features: dict[str, Tensor], *, all_of_them: bool = False) -> None:
        x = pad((image - self.mean) / self.std, "replicate").contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            for name in block:
                x = self.convolutions[name](x).relu()
                tap = name.replace("conv", "relu")
                if all_of_them or tap in TAPS:
                    features[tap] = x
            if block is not self.blocks[-1]:
                x = defined_l2_pool(x, FLOOR)

    def weights(self) -> dict[str, Tensor]:
        """The weights by torchvision's names, in half precision."""
        return {
            f"{key}.{part}": getattr(self.convolutions[name], part).detach().half().contiguous().cpu()
            for name, key, _ in state_keys(COMPACT)
            for part in ("weight", "bias")
        }
