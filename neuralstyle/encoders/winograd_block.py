"""The transforms of Winograd's F(4x4, 3x3) over a block of tiles: few additions over memory that stays in the cache.

Four outputs of a convolution with three taps are a product of polynomials, which its values at six points determine.
The points here are 0, +-A, +-B and infinity. They halve the rounding error of the usual 0, +-1, +-2, infinity, and they
are closed under p -> 1/p: a kernel turned round needs no weights of its own, only the tiles turned round.
"""

from __future__ import annotations

import math
import threading

import torch
from torch import Tensor

A, B = math.sqrt(0.5), math.sqrt(2.0)
OUTPUTS, POINTS = 4, 6  # of a tile, on each side
PACKED_TILES = 64
"""The fewest tiles of a packed product: below, oneDNN wants the operand in another layout and would rewrite it."""

_local = threading.local()


def kernel_points() -> list[list[float]]:
    """The values of a 3x3 kernel at the 6 x 6 points as a (36, 9) matrix."""
    rows = [[1.0, 0.0, 0.0]]
    for p, scale in ((A, A), (-A, A), (B, B), (-B, B)):
        others = [q for q in (0.0, A, -A, B, -B) if q != p]
        # The scale saves a multiplication in ``_to_outputs``.
        rows.append([scale * p**tap / math.prod(p - q for q in others) for tap in range(3)])
    rows.append([0.0, 0.0, 1.0])
    return [[x * y for x in row for y in column] for row in rows for column in rows]


class Block:
    """A rectangle of tiles on its way through the transforms, in memory that the thread keeps for the next one.

    Args:
        down: tiles from top to bottom.
        across: tiles from left to right.
        channels: of the input.
        columns: channels of the output.
        operand: the transformed kernels: dense, (36, channels, columns), or packed for a grouped 1x1 convolution.
        dtype: of the numbers.
        turned: whether to convolve with the kernels turned round.

    """

    def __init__(
        self, down: int, across: int, channels: int, columns: int, operand: Tensor, dtype: torch.dtype, turned: bool
    ) -> None:
        count = down * across
        height, width = OUTPUTS * down + 2, OUTPUTS * across + 2
        self._operand, self._turned, self._packed = operand, turned, operand.is_mkldnn
        slots = max(count, PACKED_TILES) if self._packed else count
        # Each stage reads one of two regions and writes the other; the third is for intermediate sums.
        one, two, sums = workspace(
            "block",
            dtype,
            max(height * width * channels, 36 * slots * channels, 24 * count * columns),
            max(6 * down * width * channels, 36 * count * columns),
            max(2 * down * width * channels, 12 * count * channels, 24 * count * columns),
        )
        self._wide: tuple[int, ...]
        self._padded = _view(one, height, width, channels)
        self._result = _view(two, OUTPUTS * down, OUTPUTS * across, columns)
        rows = _view(two, POINTS, down, width, channels)
        # The tiles' rows, and then the columns of these, overlap.
        row_tiles = self._padded.as_strided(rows.shape, (width * channels, OUTPUTS * width * channels, channels, 1))
        shape = (POINTS, POINTS, down, across, channels)
        strides = (channels, down * width * channels, width * channels, OUTPUTS * channels, 1)
        column_tiles = rows.as_strided(shape, strides)
        # In memory the tiles come before the points for a grouped convolution, and after them for batched products.
        if self._packed:
            values = _view(one, down, across, POINTS, POINTS, channels).permute(3, 2, 0, 1, 4)
            # Slots that no tile fills hold whatever was there; their products are not looked at.
            self._factors = _view(one, 1, 1, slots, 36 * channels).permute(0, 3, 1, 2)
            self._wide = (count, POINTS * columns)
            high = _view(one, OUTPUTS, down, across, POINTS, columns).permute(3, 0, 1, 2, 4)
        else:
            values = _view(one, POINTS, POINTS, down, across, channels).transpose(0, 1)
            self._factors = _view(one, 36, count, channels)
            self._products = _view(two, 36, count, columns)
            self._wide = (POINTS * count * columns,)
            high = _view(one, OUTPUTS, POINTS, down, across, columns).transpose(0, 1)
        self._high = _view(one, OUTPUTS, *self._wide)
        self._high_sums = _view(sums, 2, 2, *self._wide)
        outputs = self._result.view(down, OUTPUTS, across, OUTPUTS, columns).permute(3, 1, 0, 2, 4)
        # Views are made once and serve all blocks of one shape.
        self._inward = (
            _inward(row_tiles, rows, _view(sums, 2, down, width, channels), turned),
            _inward(column_tiles, values, _view(sums, 2, POINTS, down, across, channels), turned),
        )
        self._outward = _outward(high, outputs, _view(sums, 2, 2, OUTPUTS, down, across, columns), turned)

    def fill(self, source: Tensor, mask: Tensor | None, corner: tuple[int, int]) -> None:
        """Take (H, W, C) in at a corner, zero where the mask is not positive, with zeros around it."""
        top, left = corner
        bottom, right = top + source.shape[0], left + source.shape[1]
        inside = self._padded[top:bottom, left:right]
        if mask is None:
            inside.copy_(source)
        else:
            torch.ops.aten.threshold_backward.grad_input(source, mask, 0, grad_input=inside)
        for edge in (self._padded[:top], self._padded[bottom:], self._padded[:, :left], self._padded[:, right:]):
            if edge.numel() > 0:
                edge.zero_()

    def compute(self) -> None:
        """The convolution of what was taken in."""
        for views in self._inward:
            _to_points(*views)
        if self._packed:
            # As in torch's compiled code: no other operation takes an operand in oneDNN's own layout.
            made = torch.ops.mkldnn._convolution_pointwise(
                self._factors, self._operand, None, [0, 0], [1, 1], [1, 1], 36, "none", [], ""
            )
            products = made.permute(0, 2, 3, 1).reshape(-1, POINTS, self._wide[1])[: self._wide[0]].transpose(0, 1)
        else:
            products = torch.bmm(self._factors, self._operand, out=self._products).view(POINTS, *self._wide)
        _to_outputs(*_outward(products, self._high, self._high_sums, self._turned))
        _to_outputs(*self._outward)

    def empty(self, target: Tensor, bias: Tensor | None, relu: bool) -> None:
        """Give (H, W, K) out, plus the bias, after the ReLU if asked for."""
        result = self._result[: target.shape[0], : target.shape[1]]
        if bias is None:
            target.copy_(result)
        elif relu:
            torch.clamp_min(result.add_(bias), 0, out=target)
        else:
            torch.add(result, bias, out=target)


def _inward(x: Tensor, t: Tensor, sums: Tensor, turned: bool) -> tuple[Tensor, ...]:
    """The arguments of ``_to_points`` for six inputs, six outputs and two sums; turned round, 5 - i stands for i."""
    near, far, even, odd = (x[3:5], x[1:3], sums[0], sums[1]) if turned else (x[1:3], x[3:5], sums[1], sums[0])
    first, last = (t[5], t[0]) if turned else (t[0], t[5])
    return near, far, x[:2], x[2], x[3], x[4:], sums, sums[0], sums[1], even, odd, first, t[1], t[2], t[3], t[4], last


def _to_points(
    near: Tensor,
    far: Tensor,
    start: Tensor,
    x2: Tensor,
    x3: Tensor,
    end: Tensor,
    sums: Tensor,
    sum0: Tensor,
    sum1: Tensor,
    even: Tensor,
    odd: Tensor,
    t0: Tensor,
    t1: Tensor,
    t2: Tensor,
    t3: Tensor,
    t4: Tensor,
    t5: Tensor,
) -> None:
    """B^T along one axis: six neighbours to values at the six points."""
    torch.sub(far, near, alpha=2, out=sums)
    torch.add(even, odd, alpha=A, out=t1)
    torch.sub(even, odd, alpha=A, out=t2)
    torch.sub(far, near, alpha=0.5, out=sums)
    torch.add(even, odd, alpha=B, out=t3)
    torch.sub(even, odd, alpha=B, out=t4)
    torch.add(start, end, out=sums)
    torch.sub(sum0, x2, alpha=2.5, out=t0)
    torch.sub(sum1, x3, alpha=2.5, out=t5)


def _outward(m: Tensor, y: Tensor, sums: Tensor, turned: bool) -> tuple[Tensor, ...]:
    """The arguments of ``_to_outputs`` for six products, four outputs and two pairs of sums."""
    outputs = (y[3], y[2], y[1], y[0]) if turned else (y[0], y[1], y[2], y[3])
    even, odd = sums[0], sums[1]
    return m[1:5:2], m[2:5:2], m[0], m[5], even, odd, even[0], even[1], odd[0], odd[1], *outputs


def _to_outputs(
    plus: Tensor,
    minus: Tensor,
    m0: Tensor,
    m5: Tensor,
    even: Tensor,
    odd: Tensor,
    even_a: Tensor,
    even_b: Tensor,
    odd_a: Tensor,
    odd_b: Tensor,
    y0: Tensor,
    y1: Tensor,
    y2: Tensor,
    y3: Tensor,
) -> None:
    """A^T along one axis: products at the six points to four outputs."""
    torch.add(plus, minus, out=even)
    torch.sub(plus, minus, out=odd)
    torch.add(odd_a, odd_b, out=y1)
    torch.add(m5, odd_a, alpha=0.5, out=odd_a)
    torch.add(odd_a, odd_b, alpha=2, out=y3)
    torch.add(m0, even_a, alpha=B, out=odd_a)
    torch.add(odd_a, even_b, alpha=A, out=y0)
    torch.add(even_a, even_b, alpha=2, out=even_a)
    torch.mul(even_a, A, out=y2)


def _view(memory: Tensor, *shape: int) -> Tensor:
    return memory[: math.prod(shape)].view(shape)


def workspace(purpose: str, dtype: torch.dtype, *sizes: int) -> list[Tensor]:
    """Flat uninitialised memory of at least these sizes, the same in each call of a thread."""
    kept: dict[tuple[str, torch.dtype, int], Tensor] = _local.__dict__.setdefault("memory", {})
    regions = []
    for index, size in enumerate(sizes):
        memory = kept.get((purpose, dtype, index))
        if memory is None or memory.numel() < size:
            # An inference tensor could not be written to outside of inference mode.
            with torch.inference_mode(False):
                memory = kept[purpose, dtype, index] = torch.empty(size, dtype=dtype)
        regions.append(memory)
    return regions
