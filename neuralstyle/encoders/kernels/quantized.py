"""Convolutions whose weights stay 8-bit codes, a quarter of the memory, as the installed file has them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralstyle.encoders.base import is_plain_cpu
from neuralstyle.encoders.kernels import library


@dataclass(frozen=True, eq=False)
class Codes:
    """Weights (K, C, 3, 3) as codes into a table of 256 values: ``weight = table[codes]``."""

    codes: Tensor
    table: Tensor

    def decoded(self) -> Tensor:
        """The weights themselves, in channels_last, in which they are used."""
        weight = torch.empty(self.codes.shape, dtype=self.table.dtype, memory_format=torch.channels_last)
        # Piece by piece, so that there is no second copy for a moment.
        pieces = (torch.split(values.permute(0, 2, 3, 1), 64) for values in (weight, self.codes))
        for piece, code in zip(*pieces, strict=True):
            torch.index_select(self.table, 0, code.flatten().int(), out=piece.view(-1))
        return weight


def frozen_convolution(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """A 3x3 convolution padded by 1 with these weights, which want no gradient."""
    # On the meta device nothing is drawn at random only to be replaced.
    module = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, device="meta")
    module.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
    module.bias = nn.Parameter(bias)
    return module.requires_grad_(False)


class CodedConvolution(nn.Module):
    r"""A frozen 3x3 convolution padded by 1 whose weights are codes, and are decoded anew each time.

    With factors $o_k$ of the outputs and $i_c$ of the inputs, $W_{kc} = \text{table}[\text{codes}_{kc}]\, o_k i_c$,
    to the bit what ``decoded()`` has.
    """

    table: Tensor
    outputs: Tensor
    inputs: Tensor

    def __init__(self, codes: Codes, bias: Tensor, outputs: Tensor, inputs: Tensor) -> None:
        super().__init__()
        self.codes = nn.Parameter(codes.codes.contiguous(memory_format=torch.channels_last), requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        for name, values in (("table", codes.table), ("outputs", outputs), ("inputs", inputs)):
            self.register_buffer(name, values)

    @property
    def weight(self) -> Tensor:
        """The weights, (K, C, 3, 3): made anew at each look."""
        if not (is_plain_cpu(self.table) and library.is_built()):
            return self.table[self.codes.long()] * (self.outputs.view(-1, 1, 1, 1) * self.inputs.view(1, -1, 1, 1))
        weight = torch.empty_like(self.codes, dtype=self.table.dtype)
        tensors = (self.codes, self.table, self.outputs, self.inputs, weight)
        library.library().decode(*(t.data_ptr() for t in tensors), *self.codes.shape[:2])
        return weight

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, K, H, W)."""
        return F.conv2d(x, self.weight, self.bias, padding=1)

    def decoded(self) -> nn.Conv2d:
        """The same convolution with its weights as they are."""
        return frozen_convolution(self.weight, self.bias)

    def extra_repr(self) -> str:
        """Channels, for ``repr``."""
        return f"{self.codes.shape[1]}, {self.codes.shape[0]}"
