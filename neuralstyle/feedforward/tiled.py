"""A feed-forward network over a picture of any size, in tiles, exactly.

An instance norm needs the moments of its whole input, so each is a pass over the tiles that adds them up, and what
follows is another. Between passes the maps of the narrow middle, a sixteenth of the picture's positions, are kept in
a temporary file; the wide maps at either end are computed anew for every pass, which makes half again the work.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from neuralstyle.feedforward.network import Margins, Moments, Stage, TransformerNet

Size: TypeAlias = tuple[int, int]
Read: TypeAlias = "Callable[[Box], Tensor]"


class Span(NamedTuple):
    """Some positions along a side: start, and stop which is not of them."""

    start: int
    stop: int


class Box(NamedTuple):
    """A rectangle of a map."""

    rows: Span
    columns: Span

    def of(self, maps: Tensor) -> Tensor:
        """A view of the rectangle in (B, C, h, w)."""
        return maps[:, :, slice(*self.rows), slice(*self.columns)]


class Source(NamedTuple):
    """What a stage reads along a side to give a span of its output."""

    span: Span  # of its input
    window: Span  # of that, upsampled
    before: int  # reflected at the border, in front and behind
    after: int


def run_model(model: Callable[[Tensor], Tensor], image: Tensor, tile: int | None = None) -> Tensor:
    """A network's picture of a picture, without gradients, back on the picture's device.

    Args:
        model: a ``TransformerNet``, or another function of a picture, such as an ``OnnxModel``.
        image: (B, 3, H, W) in [0, 1].
        tile: side in pixels of the tiles in which larger pictures are painted; None: whole. Functions other than a
            ``TransformerNet`` see the whole picture.

    Raises:
        ValueError: a tile of less than 32 pixels.
        OSError: the temporary folder has no room for the narrow maps of a picture in tiles.

    Example:
        ```python
        import torch
        from neuralstyle import TransformerNet, run_model

        network, image = TransformerNet(width=4), torch.rand(1, 3, 96, 64)
        assert torch.allclose(run_model(network, image), run_model(network, image, tile=48), atol=1e-4)
        ```

    """
    if not isinstance(model, TransformerNet):
        with torch.no_grad():
            return model(image)
    training, first = model.training, next(model.parameters())
    model.eval()
    try:
        with torch.no_grad():
            inside = image.to(first)
            whole = tile is None or image.shape[2] * image.shape[3] <= tile * tile
            return (model(inside) if whole or tile is None else run_tiled(model, inside, tile)).to(image)
    finally:
        model.train(training)


@torch.no_grad()
def run_tiled(network: TransformerNet, image: Tensor, tile: int) -> Tensor:
    """The network's output in evaluation mode, computed tile by tile without gradients: the same to rounding.

    Beside the picture and the result, memory is set by the tile and not by the picture. The temporary file takes
    3 x 4 x ``width`` / 16 floats a pixel (96 bytes for a width of 32).

    Args:
        network: the network.
        image: (B, 3, H, W) in [0, 1], on the network's device and of its dtype.
        tile: side of the tiles, in pixels, at least 32.

    Raises:
        ValueError: a tile that is too small.
        OSError: the temporary folder has not enough room.

    """
    if isinstance(tile, bool) or not isinstance(tile, int) or tile < 32:
        raise ValueError(f"tile is a number of pixels, at least 32, received {tile!r}")
    down, blocks, up = network.parts()
    sizes = [(image.shape[2], image.shape[3])]
    for stage in down:
        sizes.append(_output_size(stage, sizes[-1]))
    narrow = sizes[-1]
    shape = (image.shape[0], 4 * network.width, *narrow)
    result = torch.empty_like(image)
    with tempfile.TemporaryDirectory(prefix="neuralstyle-", ignore_cleanup_errors=True) as folder:
        x, y, z = (_File(Path(folder) / name, shape, image) for name in "xyz")

        moments = _moments_of(down, sizes[0], lambda box: box.of(image), tile, keep=x)
        _rewrite(x, narrow, tile // 4, lambda piece, box: down[-1].normalize(piece, moments[-1]))
        for block in blocks:
            inner = _moments_of([block.first], narrow, x.read, tile // 4, keep=y)[0]
            outer = _moments_of([block.second], narrow, _normalized(y, block.first, inner), tile // 4, keep=z)[0]
            change = _normalized(z, block.second, outer)
            _rewrite(x, narrow, tile // 4, lambda piece, box, change=change: piece + change(box))  # type: ignore[misc]
        moments = _moments_of(up[:-1], narrow, x.read, tile // 4)
        for box in _boxes(sizes[0], tile):
            box.of(result).copy_(_piece(up, moments, narrow, x.read, box).clamp(0, 1))
    return result


class _File:
    """Feature maps in a file, mapped only while they are read or written, so that they count as no memory."""

    def __init__(self, path: Path, shape: tuple[int, ...], like: Tensor) -> None:
        self.path, self.shape, self.device = path, shape, like.device
        self.dtype = torch.empty(0, dtype=like.dtype).numpy().dtype
        size = int(np.prod(shape)) * self.dtype.itemsize
        with path.open("wb") as file:
            file.truncate(size)
            # A disk that is full must say so here: later, writing to a mapped file would kill the process.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)

    def read(self, box: Box) -> Tensor:
        """A copy of a rectangle."""
        stored = np.memmap(self.path, self.dtype, "r", shape=self.shape)
        return torch.from_numpy(np.array(stored[:, :, slice(*box.rows), slice(*box.columns)])).to(self.device)

    def write(self, box: Box, piece: Tensor) -> None:
        """Replace a rectangle."""
        stored = np.memmap(self.path, self.dtype, "r+", shape=self.shape)
        stored[:, :, slice(*box.rows), slice(*box.columns)] = piece.cpu().numpy()


def _moments_of(stages: Sequence[Stage], size: Size, read: Read, tile: int, keep: _File | None = None) -> list[Moments]:
    """The moments of what each stage's norm sees, one pass over the tiles each; the last stage's maps can be kept."""
    found: list[Moments] = []
    side = size[0]
    sizes = [size]
    for count, stage in enumerate(stages, start=1):
        sizes.append(_output_size(stage, sizes[-1]))
        total = _Total()
        for box in _boxes(sizes[-1], max(tile * sizes[-1][0] // side, 8)):
            piece = _piece(stages[:count], found, size, read, box)
            total.add(piece)
            if keep is not None and count == len(stages):
                keep.write(box, piece)
        found.append(total.moments(piece))
    return found


def _piece(stages: Sequence[Stage], moments: Sequence[Moments], size: Size, read: Read, box: Box) -> Tensor:
    """A rectangle of the last stage's convolution; the stages before it are normalised with their moments."""
    sizes = [size]
    for stage in stages[:-1]:
        sizes.append(_output_size(stage, sizes[-1]))
    sources: list[tuple[Source, Source]] = []
    for stage, (height, width) in zip(reversed(stages), reversed(sizes), strict=True):
        rows, columns = _source(stage, box.rows, height), _source(stage, box.columns, width)
        sources.append((rows, columns))
        box = Box(rows.span, columns.span)
    x = read(box)
    for index, (stage, (rows, columns)) in enumerate(zip(stages, reversed(sources), strict=True)):
        x = Box(rows.window, columns.window).of(stage.enlarge(x))
        x = stage.convolve(x, Margins(columns.before, columns.after, rows.before, rows.after))
        if index < len(stages) - 1:
            x = stage.normalize(x, moments[index])
    return x


def _source(stage: Stage, span: Span, side: int) -> Source:
    """What a stage reads of an input of ``side`` positions for a span of its output."""
    grid, pad = side * stage.upsample, stage.kernel // 2
    start, stop = span.start * stage.stride - pad, (span.stop - 1) * stage.stride + pad + 1
    seen = Span(max(start, 0), min(stop, grid))
    below = Span(seen.start // stage.upsample, -(-seen.stop // stage.upsample))
    origin = below.start * stage.upsample
    return Source(below, Span(seen.start - origin, seen.stop - origin), seen.start - start, stop - seen.stop)


def _output_size(stage: Stage, size: Size) -> Size:
    height, width = (-(-side * stage.upsample // stage.stride) for side in size)
    return height, width


def _boxes(size: Size, tile: int) -> Iterator[Box]:
    """Rectangles of at most ``tile`` a side that cover a map once."""
    for top in range(0, size[0], tile):
        for left in range(0, size[1], tile):
            yield Box(Span(top, min(top + tile, size[0])), Span(left, min(left + tile, size[1])))


def _normalized(file: _File, stage: Stage, moments: Moments) -> Read:
    return lambda box: stage.normalize(file.read(box), moments)


def _rewrite(file: _File, size: Size, tile: int, change: Callable[[Tensor, Box], Tensor]) -> None:
    """Replace kept maps by a function of themselves and the place, position by position."""
    for box in _boxes(size, tile):
        file.write(box, change(file.read(box), box))


class _Total:
    """Mean and variance over pieces, merged in double precision."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Tensor | float = 0.0
        self.squares: Tensor | float = 0.0

    def add(self, piece: Tensor) -> None:
        """Add the positions of a piece, by the formula of Chan, Golub and LeVeque."""
        variance, mean = (m.cpu().double() for m in torch.var_mean(piece, (2, 3), correction=0, keepdim=True))
        new = piece.shape[2] * piece.shape[3]
        difference = mean - self.mean
        self.count += new
        self.mean = self.mean + difference * (new / self.count)
        self.squares = self.squares + new * (variance + difference.square() * (1 - new / self.count))

    def moments(self, like: Tensor) -> Moments:
        """Those of all the positions so far."""
        assert isinstance(self.mean, Tensor)
        assert isinstance(self.squares, Tensor)
        return Moments(self.mean.to(like), (self.squares / self.count).to(like))
