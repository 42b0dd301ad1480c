"""3x3 convolution on the CPU with a quarter of the multiplications: Winograd's F(4x4, 3x3), in tensor operations."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralstyle.encoders.winograd_block import OUTPUTS, PACKED_TILES, Block, kernel_points, workspace

TILES = 128
"""Tiles of a block: few enough for the cache, enough for the matrix products (measured)."""

KEPT = 256 * 256
"""Transformed weights are four times as large. Those of more kernels than this are not kept but made in each call:
a twelfth of its time in a picture of 512 pixels, against 340 MiB for VGG-19 up to relu5_1."""


class Kernels:
    """The weights of each convolution as ``convolve`` wants them, made at first use and again when they change.

    Copies and pickles start empty: nothing in here is not also in the network.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, bool], tuple[Tensor, int, Tensor]] = {}

    def __reduce__(self) -> tuple[type[Kernels], tuple[()]]:
        return Kernels, ()

    def get(self, name: str, weight: Tensor, *, turned: bool) -> Tensor | None:
        """The products' packed operand for the layer or, turned round, for its gradient; None: not to be kept."""
        if weight.dtype != torch.float32 or weight.shape[0] * weight.shape[1] > KEPT or not _can_pack():
            return None
        known = self._known.get((name, turned))
        # The source is kept beside it, so that no other weight can come to lie at its address.
        if known is not None and known[0].data_ptr() == weight.data_ptr() and known[1] == weight._version:
            return known[2]
        packed = _pack(weight.detach(), turned)
        self._known[name, turned] = weight.detach(), weight._version, packed
        return packed


def suits(x: Tensor, convolution: nn.Conv2d) -> bool:
    """Whether ``convolve`` can take the place of a convolution here: on the CPU, 3x3 padded by 1, frozen."""
    weight, bias = convolution.weight, convolution.bias
    return (
        x.device.type == weight.device.type == "cpu"
        and x.dtype == weight.dtype
        and x.dtype in (torch.float32, torch.float64)
        and x.numel() > 0
        and convolution.kernel_size == (3, 3)
        and convolution.padding == (1, 1)
        and convolution.padding_mode == "zeros"
        and convolution.stride == convolution.dilation == (1, 1)
        and convolution.groups == 1
        and bias is not None
        and not (weight.requires_grad or bias.requires_grad)
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


def pays(x: Tensor, columns: int) -> bool:
    """Whether ``convolve`` is the faster, at comparable rounding; by shape alone, so that results repeat to the bit.

    Measured with oneDNN on x86; elsewhere the direct convolution stays. Narrow layers lose more in the transforms than
    they gain in the products, small maps lie in large part outside of their tiles, and the smallest ones torch
    convolves directly by another method, whose rounding is lower.
    """
    channels, height, width = x.shape[1:]
    kept = channels * columns <= KEPT
    return (
        x.dtype == torch.float32
        and min(channels, columns) >= 64
        and min(height, width) >= 2 * OUTPUTS
        and channels * height * width >= 2**15
        and (kept or height * width >= 400)
        and _can_pack()
    )


def convolve(x: Tensor, convolution: nn.Conv2d, name: str, kernels: Kernels, *, relu: bool) -> Tensor:
    r"""A convolution that ``suits``, and the ReLU after it if asked for.

    With $d_c$ a 6x6 tile of input channel c and $U_{kc} = G g_{kc} G^\top$ the transformed kernels, a 4x4 tile of
    output k is

    $$
    Y_k = A^\top \Bigl[ \sum_c U_{kc} \odot (B^\top d_c B) \Bigr] A
    $$

    with 36 multiplications instead of 144, as 36 matrix products over the channels. The gradient of the input goes
    the same way with the tiles turned round; of the forward pass it needs the ReLU's output and nothing else. Rounding
    is about twice that of the direct convolution: the same precision, other bits.

    Shapes: (B, C, H, W) -> (B, K, H, W) in channels_last.

    Paper: Lavin and Gray, arXiv 1509.09308. Departure: other points of interpolation (see ``winograd_block``).

    """
    result: Tensor = _Convolution.apply(  # type: ignore[no-untyped-call]
        x, convolution.weight, convolution.bias, name, kernels, relu
    )
    return result


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, name: str, kernels: Kernels, relu: bool) -> Tensor:
        result = _run(x, weight, kernels.get(name, weight, turned=False), bias=bias, relu=relu)
        ctx.name, ctx.kernels = name, kernels
        ctx.save_for_backward(weight, *([result] if relu else []))
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weight, *results = ctx.saved_tensors
        result = results[0] if results else None
        if torch.is_grad_enabled():  # somebody wants to differentiate once more
            masked = gradient if result is None else gradient * (result > 0)
            back = F.conv_transpose2d(masked, weight, padding=1)
        else:
            packed = ctx.kernels.get(ctx.name, weight, turned=True)
            back = _run(gradient, weight, packed, mask=result, turned=True)
        return back, None, None, None, None, None


def _run(
    x: Tensor,
    weight: Tensor,
    packed: Tensor | None,
    *,
    bias: Tensor | None = None,
    relu: bool = False,
    mask: Tensor | None = None,
    turned: bool = False,
) -> Tensor:
    """Convolve (x where mask > 0) with the kernels, turned round or not, block by block; plus bias; ReLU."""
    batch, channels, height, width = x.shape
    columns = weight.shape[1 if turned else 0]
    operand = packed if packed is not None else _dense(weight, turned)
    result = torch.empty((batch, columns, height, width), dtype=x.dtype, memory_format=torch.channels_last)
    inputs, outputs = x.permute(0, 2, 3, 1), result.permute(0, 2, 3, 1)
    masks = None if mask is None else mask.permute(0, 2, 3, 1)
    blocks: dict[tuple[int, int], Block] = {}
    for rows, cols in _cuts(height, width):
        shape = _tiles(rows.stop - rows.start), _tiles(cols.stop - cols.start)
        if shape not in blocks:
            blocks[shape] = Block(*shape, channels, columns, operand, x.dtype, turned)
        block = blocks[shape]
        above, left = max(rows.start - 1, 0), max(cols.start - 1, 0)
        seen = slice(above, min(rows.stop + 1, height)), slice(left, min(cols.stop + 1, width))
        corner = above - rows.start + 1, left - cols.start + 1
        for index in range(batch):
            block.fill(inputs[index][seen], None if masks is None else masks[index][seen], corner)
            block.compute()
            block.empty(outputs[index][rows, cols], bias, relu)
    return result


def _tiles(length: int) -> int:
    return -(-length // OUTPUTS)


def _cuts(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of blocks of about equal size, each of at most so many tiles."""
    across = _parts(_tiles(width), TILES)
    down = _parts(_tiles(height), max(1, TILES // across[0]))
    top = 0
    for row in down:
        left, bottom = 0, min(top + row * OUTPUTS, height)
        for column in across:
            right = min(left + column * OUTPUTS, width)
            yield slice(top, bottom), slice(left, right)
            left = right
        top = bottom


def _parts(total: int, most: int) -> list[int]:
    """A total in the fewest parts of at most so much, as equal as can be, the largest first."""
    count = -(-total // most)
    return [total // count + (index < total % count) for index in range(count)]


def _pack(weight: Tensor, turned: bool) -> Tensor:
    """All products as one grouped 1x1 convolution, its operand in oneDNN's own layout."""
    points = torch.tensor(kernel_points(), dtype=torch.float64)
    taps = (weight.transpose(0, 1) if turned else weight).flatten(2).double()
    count, columns, channels = len(points), *taps.shape[:2]
    values = weight.new_empty(count, columns, channels)
    for value, point in zip(values, points, strict=True):
        value.copy_(taps @ point)
    operand: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
        values.view(count * columns, channels, 1, 1),
        [0, 0],
        [1, 1],
        [1, 1],
        count,
        [1, count * channels, 1, PACKED_TILES],
    )
    return operand


def _dense(weight: Tensor, turned: bool) -> Tensor:
    """The operands of the products, (36, C, K), or (36, K, C) turned round; the next call writes over them."""
    columns, channels = weight.shape[:2]
    points = torch.tensor(kernel_points(), dtype=weight.dtype)
    count = len(points)
    (memory,) = workspace("kernels", weight.dtype, count * columns * channels)
    values = memory[: columns * count * channels].view(columns, count, channels)
    taps = weight.permute(0, 2, 3, 1).reshape(columns, 9, channels)
    torch.bmm(points.expand(columns, count, 9), taps, out=values)
    return values.permute(1, 0, 2) if turned else values.permute(1, 2, 0)


@cache
def _can_pack() -> bool:
    """Whether torch has oneDNN's grouped 1x1 convolution with packed weights: a quarter faster than ``bmm`` on x86."""
    if platform.machine().lower() not in ("x86_64", "amd64") or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    weight = torch.arange(64, dtype=torch.float32).view(2 * 8, 4, 1, 1)
    x = torch.ones(1, 8, 1, 2).to(memory_format=torch.channels_last)
    try:
        packed = torch.ops.mkldnn._reorder_convolution_weight(weight, [0, 0], [1, 1], [1, 1], 2, [1, 8, 1, 2])
        y = torch.ops.mkldnn._convolution_pointwise(x, packed, None, [0, 0], [1, 1], [1, 1], 2, "none", [], "")
    except (AttributeError, RuntimeError):
        return False
    return torch.equal(y[0, :, 0, 0], weight.sum((1, 2, 3)))
