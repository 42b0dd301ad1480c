"""The feed-forward network of Johnson et al.: a picture in, the picture in one style out, in a single pass."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Margins(NamedTuple):
    """Reflection padding in rows and columns, on the grid that a convolution sees."""

    left: int
    right: int
    top: int
    bottom: int


class Moments(NamedTuple):
    """Mean and variance of each channel over the positions of a whole map, (B, C, 1, 1) each."""

    mean: Tensor
    variance: Tensor


class Stage(nn.Module):
    """Upsampling if any, reflection padding and a convolution; then, but for the last, instance norm and ReLU.

    Its parts can be called one by one, which is what tiling needs: the norm looks at the whole map.
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
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride)
        self.norm = nn.InstanceNorm2d(outputs, affine=True) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """A whole map, (B, C, h, w)."""
        pad = self.kernel // 2
        x = self.convolve(self.enlarge(x), Margins(pad, pad, pad, pad))
        return self.activate(x if self.norm is None else self.norm(x))

    def enlarge(self, x: Tensor) -> Tensor:
        """Each position repeated, where the stage upsamples."""
        return F.interpolate(x, scale_factor=self.upsample, mode="nearest") if self.upsample > 1 else x

    def convolve(self, x: Tensor, margins: Margins) -> Tensor:
        """Padding and convolution."""
        padded = F.pad(x, margins, mode="reflect") if any(margins) else x
        result: Tensor = self.convolution(padded)
        return result

    def normalize(self, x: Tensor, moments: Moments) -> Tensor:
        """The instance norm with moments that are known: those of the map of which x is a piece."""
        assert self.norm is not None
        scale = self.norm.weight.view(1, -1, 1, 1) * (moments.variance + self.norm.eps).rsqrt()
        return self.activate((x - moments.mean) * scale + self.norm.bias.view(1, -1, 1, 1))

    def activate(self, x: Tensor) -> Tensor:
        """The ReLU, where the stage has one."""
        return F.relu(x) if self.relu else x


class Residual(nn.Module):
    """A block that adds to its input what two stages make of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Stage(channels, channels, 3)
        self.second = Stage(channels, channels, 3, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """A whole map, (B, C, h, w)."""
        change: Tensor = self.second(self.first(x))
        return x + change


class TransformerNet(nn.Module):
    """The image transformation network of Johnson et al., with instance norm and resize-convolutions.

    A 9x9 convolution to ``width`` channels; two 3x3 ones of stride 2 to twice and four times as many; residual blocks
    of two 3x3 ones; two upsampling ones back; a 9x9 one to RGB. All are padded by reflection, all but the last have an
    affine instance norm, and all but the last and the second of each block a ReLU.

    Called with (B, 3, H, W), RGB in [0, 1], at least 16 pixels a side, it gives (B, 3, H, W). In training mode values
    may leave [0, 1], so that the loss can bring them back; in evaluation mode (``eval()``) they are clipped.

    Args:
        width: channels of the first stage. 32 is the paper's, of 1.7 million parameters; they grow with its square.
        blocks: how many residual blocks.

    Raises:
        ValueError: a width or number of blocks that is no positive whole number.

    Example:
        ```python
        import torch
        from neuralstyle import TransformerNet

        network = TransformerNet(width=8).eval()
        assert network(torch.rand(1, 3, 30, 41)).shape == (1, 3, 30, 41)
        ```

    Papers: Johnson, Alahi and Fei-Fei, arXiv 1603.08155, in the form of PyTorch's fast_neural_style: instance norm
    (Ulyanov et al., arXiv 1607.08022), reflection padding at every convolution, nearest-neighbour upsampling (Odena et
    al., Distill 2016), no final tanh. Departures: values are in [0, 1] instead of 0 to 255, and a side that is no
    multiple of 4 is not rounded up to one.

    """

    def __init__(self, width: int = 32, blocks: int = 5) -> None:
        super().__init__()
        for name, value in (("width", width), ("blocks", blocks)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is a whole number of at least 1, received {value!r}")
        self.width, self.blocks = width, blocks
        narrow, deep = 2 * width, 4 * width
        self.down = nn.Sequential(
            Stage(3, width, 9), Stage(width, narrow, 3, stride=2), Stage(narrow, deep, 3, stride=2)
        )
        self.residuals = nn.Sequential(*[Residual(deep) for _ in range(blocks)])
        self.up = nn.Sequential(
            Stage(deep, narrow, 3, upsample=2),
            Stage(narrow, width, 3, upsample=2),
            Stage(width, 3, 9, norm=False, relu=False),
        )

    def forward(self, image: Tensor) -> Tensor:
        """The picture in the style, of the same shape."""
        x: Tensor = self.up(self.residuals(self.down(image)))
        x = x[..., : image.shape[2], : image.shape[3]]
        return x if self.training else x.clamp(0, 1)

    def parts(self) -> tuple[list[Stage], list[Residual], list[Stage]]:
        """The stages down to the narrow middle, its blocks, and the stages up again."""
        down, up = ([stage for stage in part if isinstance(stage, Stage)] for part in (self.down, self.up))
        return down, [block for block in self.residuals if isinstance(block, Residual)], up

    def extra_repr(self) -> str:
        """The options, for ``repr``."""
        return f"width={self.width}, blocks={self.blocks}"


def seeded_network(width: int, blocks: int, seed: int) -> TransformerNet:
    """A network with initial weights drawn from a seed, which leaves torch's own generators as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = TransformerNet(width, blocks)
        # Middle grey, from where either end of the range is as near.
        bias = network.parts()[2][-1].convolution.bias
        assert bias is not None
        nn.init.constant_(bias, 0.5)
    return network
