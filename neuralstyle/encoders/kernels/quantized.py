"""Convolutions whose weights stay quantized to 8 bits, as in the installed file: a quarter of the memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralstyle.encoders.base import is_plain_cpu
from neuralstyle.encoders.kernels import library

ROWS_PER_CHUNK = 64  # output channels that are dequantized at once


@dataclass(frozen=True, eq=False)
class QuantizedWeight:
    """A weight (K, C, 3, 3) as 8-bit codes into a table of 256 values: ``weight = table[codes]``."""

    codes: Tensor
    table: Tensor

    def dequantized(self) -> Tensor:
        """Return the weight in floating point, in channels_last."""
        weight = torch.empty(self.codes.shape, dtype=self.table.dtype, memory_format=torch.channels_last)
        # In chunks, as indices take 4 bytes each.
        chunks = (torch.split(values.permute(0, 2, 3, 1), ROWS_PER_CHUNK) for values in (weight, self.codes))
        for values, codes in zip(*chunks, strict=True):
            torch.index_select(self.table, 0, codes.flatten().int(), out=values.view(-1))
        return weight


def frozen_convolution(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """Return a 3x3 convolution with zero padding of 1 and these weights, without gradient."""
    # The meta device draws no random weights, which would be replaced.
    module = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, device="meta")
    module.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
    module.bias = nn.Parameter(bias)
    return module.requires_grad_(False)


class QuantizedConvolution(nn.Module):
    r"""A frozen 3x3 convolution with zero padding of 1 whose weight is quantized, and dequantized for each use.

    With factors $o_k$ of the outputs and $i_c$ of the inputs,

    $$
    W_{kc} = \text{table}[\text{codes}_{kc}]\, o_k i_c
    $$

    bit by bit the weight of ``dequantized()``.

    Args:
        weight: (K, C, 3, 3), quantized.
        bias: (K,).
        outputs: (K,), the factor of each output channel.
        inputs: (C,), the factor of each input channel.

    """

    table: Tensor
    outputs: Tensor
    inputs: Tensor

    def __init__(self, weight: QuantizedWeight, bias: Tensor, outputs: Tensor, inputs: Tensor) -> None:
        super().__init__()
        self.codes = nn.Parameter(weight.codes.contiguous(memory_format=torch.channels_last), requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        for name, values in (("table", weight.table), ("outputs", outputs), ("inputs", inputs)):
            self.register_buffer(name, values)

    @property
    def weight(self) -> Tensor:
        """The weight, (K, C, 3, 3), dequantized at each access."""
        if not (is_plain_cpu(self.table) and library.is_built()):
            return self.table[self.codes.long()] * (self.outputs.view(-1, 1, 1, 1) * self.inputs.view(1, -1, 1, 1))
        weight = torch.empty_like(self.codes, dtype=self.table.dtype)
        tensors = (self.codes, self.table, self.outputs, self.inputs, weight)
        library.library().dequantize(*(t.data_ptr() for t in tensors), *self.codes.shape[:2])
        return weight

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, K, H, W)."""
        return F.conv2d(x, self.weight, self.bias, padding=1)

    def dequantized(self) -> nn.Conv2d:
        """Return the same convolution with an ordinary weight."""
        return frozen_convolution(self.weight, self.bias)

    def extra_repr(self) -> str:
        """Channels, for ``repr``."""
        return f"{self.codes.shape[1]}, {self.codes.shape[0]}"
