"""The student: VGG-19's shape with fewer and narrower convolutions, in operations that can be differentiated twice."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuralstyle.encoders.padding import pad
from neuralstyle.encoders.pooling import defined_l2_pool
from neuralstyle.encoders.weights import IMAGENET_MEAN, IMAGENET_STD

WIDTHS = (16, 64, 128, 192, 192)
"""Output channels of each block's convolutions."""

DEPTHS = (1, 2, 2, 2, 1)
"""How many convolutions each block has; 2x2 pooling is between the blocks."""

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")
"""Layers at which student and teacher are compared: all that the default losses look at."""

FLOOR = 1e-3  # under the root of L2 pooling, whose second derivative has no bound otherwise; a mean activation is 1


class Student(nn.Module):
    """A narrow VGG network with L2 pooling, the picture's border replicated; mean activations are about 1."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.convolutions = nn.ModuleDict()
        self.blocks: list[list[str]] = []
        before = 3
        for block, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True), start=1):
            self.blocks.append([f"conv{block}_{index}" for index in range(1, depth + 1)])
            for name in self.blocks[-1]:
                convolution = nn.Conv2d(before, width, 3, padding=0 if before == 3 else 1, device="meta")
                weight = (2 / (9 * before)) ** 0.5 * torch.randn(width, before, 3, 3, generator=generator)
                convolution.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
                convolution.bias = nn.Parameter(torch.zeros(width))
                self.convolutions[name] = convolution
                before = width
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
        stored: dict[str, Tensor] = {}
        index = 0
        for block in self.blocks:
            for name in block:
                for part in ("weight", "bias"):
                    value = getattr(self.convolutions[name], part).detach()
                    stored[f"features.{index}.{part}"] = value.half().contiguous()
                index += 2
            index += 1
        return stored
