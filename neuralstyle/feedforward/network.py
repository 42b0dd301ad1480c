"""The feed-forward network of Johnson et al., which paints a picture in one style in a single pass."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralstyle._errors import whole_number
from neuralstyle.feedforward.options import DEFAULT_BLOCKS, DEFAULT_WIDTH
from neuralstyle.machine.surroundings import plain_torch

MOST_CHANNELS, MOST_BLOCKS = 2**12, 2**10
"""Most channels of the first stage and residual blocks: far more than any memory holds."""


class Margins(NamedTuple):
    """Reflection padding of the input of a convolution, in positions at each border."""

    left: int
    right: int
    top: int
    bottom: int


class Moments(NamedTuple):
    """Mean and variance of each channel over all positions of a feature map, ``(B, C, 1, 1)`` each."""

    mean: Tensor
    variance: Tensor


class Stage(nn.Module):
    """A convolution with reflection padding, after nearest-neighbour upsampling and before instance norm and ReLU.

    Upsampling, norm and ReLU are optional. The steps can also be called one by one: tiling needs this, because the norm
    depends on the whole feature map.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        kernel: side of the kernel, odd.
        stride: stride of the convolution.
        upsample: factor by which both sides of the input are enlarged.
        norm: whether there is an instance norm.
        relu: whether there is a ReLU.

    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        upsample: int = 1,
        norm: bool = True,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.upsample, self.relu = kernel, stride, upsample, relu
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride, dtype=torch.float32)
        self.norm = nn.InstanceNorm2d(outputs, affine=True, dtype=torch.float32) if norm else None

    def initialize(self, generator: torch.Generator) -> None:
        """Draw the initial weights, with torch's distributions for convolutions."""
        weight, bias = self.convolution.weight, self.convolution.bias
        assert bias is not None
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
        bound = 1 / math.sqrt(weight[0].numel())
        nn.init.uniform_(bias, -bound, bound, generator=generator)
        if self.norm is not None:
            self.norm.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Apply the stage to a whole feature map, ``(B, C, h, w)``."""
        pad = self.kernel // 2
        x = self.convolve(self.enlarge(x), Margins(pad, pad, pad, pad))
        return self.activate(x if self.norm is None else self.norm(x))

    def enlarge(self, x: Tensor) -> Tensor:
        """Repeat each position, if the stage upsamples."""
        return F.interpolate(x, scale_factor=self.upsample, mode="nearest") if self.upsample > 1 else x

    def convolve(self, x: Tensor, margins: Margins) -> Tensor:
        """Pad and convolve."""
        padded = F.pad(x, margins, mode="reflect") if any(margins) else x
        result: Tensor = self.convolution(padded)
        return result

    def normalize(self, x: Tensor, moments: Moments) -> Tensor:
        """Apply instance norm and ReLU to a piece of a feature map, given the moments of the whole map."""
        assert self.norm is not None
        scale = self.norm.weight.view(1, -1, 1, 1) * (moments.variance + self.norm.eps).rsqrt()
        return self.activate((x - moments.mean) * scale + self.norm.bias.view(1, -1, 1, 1))

    def activate(self, x: Tensor) -> Tensor:
        """Apply the ReLU, if the stage has one."""
        return F.relu(x) if self.relu else x


class Residual(nn.Module):
    """A residual block: the input plus the output of two stages."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Stage(channels, channels, 3)
        self.second = Stage(channels, channels, 3, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to a whole feature map, ``(B, C, h, w)``."""
        change: Tensor = self.second(self.first(x))
        return x + change


class TransformerNet(nn.Module):
    """The image transformation network of Johnson et al., with instance norm and resize-convolutions.

    Its layers are a 9x9 convolution to ``width`` channels; two 3x3 convolutions of stride 2 to two and four times as
    many; residual blocks of two 3x3 convolutions; two upsampling 3x3 convolutions back to ``width`` channels; and a 9x9
    convolution to RGB. All pad by reflection. All but the last have an affine instance norm. All but the last and the
    second of each block have a ReLU.

    The input is an RGB picture ``(B, 3, H, W)`` in [0, 1] of at least 16 pixels per side; the output has the same
    shape. In training mode it may leave [0, 1], so that the loss has a gradient there; in evaluation mode (``eval()``)
    it is clipped.

    Args:
        width: channels of the first stage. The paper's 32 gives 1.7 million parameters; they grow with its square.
        blocks: number of residual blocks.
        seed: seed of the initial weights, without a change to torch's generators; None draws from torch's generator.

    Raises:
        ValueError: ``width`` or ``blocks`` is not a positive whole number.

    Example:
        ```python
        import torch
        from neuralstyle.feedforward import TransformerNet

        network = TransformerNet(width=8).eval()
        assert network(torch.rand(1, 3, 30, 41)).shape == (1, 3, 30, 41)
        ```

    Papers: Johnson, Alahi and Fei-Fei, arXiv 1603.08155, in the form of PyTorch's fast_neural_style: instance norm
    (Ulyanov et al., arXiv 1607.08022), reflection padding at every convolution, nearest-neighbour upsampling (Odena et
    al., Distill 2016), no final tanh. Departures: values are in [0, 1] instead of 0 to 255; the output of an untrained
    network is around middle grey; a side that is not a multiple of 4 is not rounded up to one.

    """

    @plain_torch()
    def __init__(self, width: int = DEFAULT_WIDTH, blocks: int = DEFAULT_BLOCKS, *, seed: int | None = None) -> None:
        super().__init__()
        self.width = whole_number("width", width, 1, MOST_CHANNELS)
        self.blocks = whole_number("blocks", blocks, 1, MOST_BLOCKS)
        if seed is not None:
            seed = whole_number("seed", seed, -(2**63), 2**64 - 1, hint=", or None")
        narrow, deep = 2 * width, 4 * width
        with torch.device("meta"):  # where modules draw no random weights
            self.down = nn.Sequential(
                Stage(3, width, 9), Stage(width, narrow, 3, stride=2), Stage(narrow, deep, 3, stride=2)
            )
            self.residuals = nn.Sequential(*[Residual(deep) for _ in range(blocks)])
            self.up = nn.Sequential(
                Stage(deep, narrow, 3, upsample=2),
                Stage(narrow, width, 3, upsample=2),
                Stage(width, 3, 9, norm=False, relu=False),
            )
        self.to_empty(device="cpu")
        generator = torch.default_generator if seed is None else torch.Generator("cpu").manual_seed(seed)
        for stage in self.modules():
            if isinstance(stage, Stage):
                stage.initialize(generator)
        # Middle grey is equally far from both ends of the range.
        bias = self.parts()[2][-1].convolution.bias
        assert bias is not None
        nn.init.constant_(bias, 0.5)

    def forward(self, image: Tensor) -> Tensor:
        """Paint a picture."""
        x: Tensor = self.up(self.residuals(self.down(image)))
        x = x[..., : image.shape[2], : image.shape[3]]
        return x if self.training else x.clamp(0, 1)

    def parts(self) -> tuple[list[Stage], list[Residual], list[Stage]]:
        """Return the downsampling stages, the residual blocks and the upsampling stages."""
        down, up = ([stage for stage in stages if isinstance(stage, Stage)] for stages in (self.down, self.up))
        return down, [block for block in self.residuals if isinstance(block, Residual)], up

    def extra_repr(self) -> str:
        """Return the options, for ``repr``."""
        return f"width={self.width}, blocks={self.blocks}"
