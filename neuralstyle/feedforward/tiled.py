"""A feed-forward network applied to a picture of any size in tiles, with the exact result.

An instance norm needs the moments of its whole input. So each norm takes one pass over the tiles to add them up, and
the layers after it another pass. Between passes the feature maps of the narrow middle, with a sixteenth of the
picture's positions, are stored in temporary files. The wide maps at either end are computed again in every pass, which
makes the work 1.5 times as large.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from neuralstyle._errors import brief, whole_number
from neuralstyle._stopping import stopping
from neuralstyle.feedforward.network import Margins, Moments, Stage, TransformerNet
from neuralstyle.files.schema import shown
from neuralstyle.images import MIN_SIDE
from neuralstyle.images.tensors import check_floating
from neuralstyle.machine.surroundings import plain_torch

Size: TypeAlias = tuple[int, int]
Read: TypeAlias = "Callable[[Box], Tensor]"
"""Returns a copy of a rectangle of a feature map, ``(B, C, h, w)``."""

MIN_TILE_SIDE = 32  # pixels
MIN_MAP_TILE_SIDE = 8  # positions of a feature map
DOWNSAMPLING = 4  # pixels of the picture for one position of the narrow middle, along a side


class Interval(NamedTuple):
    """Positions along a side, from ``start`` up to but not including ``stop``."""

    start: int
    stop: int


class Box(NamedTuple):
    """A rectangle of a feature map."""

    rows: Interval
    columns: Interval

    def of(self, maps: Tensor) -> Tensor:
        """Return a view of the rectangle in ``(B, C, h, w)``."""
        return maps[:, :, slice(*self.rows), slice(*self.columns)]


class Source(NamedTuple):
    """The input of a stage along one side, for an interval of its output."""

    interval: Interval  # of the input
    window: Interval  # of that interval, upsampled
    before: int  # positions added by reflection at the start
    after: int  # positions added by reflection at the end


@plain_torch()
def run_model(model: Callable[[Tensor], Tensor], image: Tensor, tile: int | None = None) -> Tensor:
    """Paint a picture with a network, without gradients; the result is on the picture's device.

    Args:
        model: a ``TransformerNet``, or another function of a picture, such as an ``OnnxModel``.
        image: ``(B, 3, H, W)`` in [0, 1].
        tile: side of the tiles in pixels, for pictures of more than ``tile * tile`` pixels; None paints the picture
            whole. Functions other than a ``TransformerNet`` always see the whole picture.

    Raises:
        TypeError: the picture is not a dense floating tensor.
        ValueError: the picture has another shape or is too small, a tile of less than 32 pixels, or the model returns
            another shape, or NaN or infinite values.
        OSError: the temporary folder has no room for the feature maps of a picture in tiles.

    Example:
        ```python
        import torch
        from neuralstyle.feedforward import TransformerNet, run_model

        network, image = TransformerNet(width=4), torch.rand(1, 3, 96, 64)
        assert torch.allclose(run_model(network, image), run_model(network, image, tile=48), atol=1e-4)
        ```

    """
    _check(image, tile)
    if not callable(model):
        raise TypeError(f"a model is a network, its file or a function of an image, received {brief(model)}")
    if not isinstance(model, TransformerNet):
        with torch.no_grad():
            return _checked(model(image), image)
    training, first = model.training, next(model.parameters())
    model.eval()
    try:
        with torch.no_grad():
            moved = image.to(first).contiguous()  # in another order convolutions differ by rounding
            whole = tile is None or image.shape[2] * image.shape[3] <= tile * tile
            painted = model(moved) if whole or tile is None else run_tiled(model, moved, tile)
            return _checked(painted, image).to(image)
    finally:
        model.train(training)


def _checked(painted: Any, image: Tensor) -> Tensor:
    """Return what a model has made of a picture, if it is one of the same size."""
    if not isinstance(painted, Tensor) or painted.shape != image.shape:
        raise ValueError(
            f"the model returns {shown(painted)} for a picture of shape {tuple(image.shape)}; a model for pictures "
            "returns one of the same size"
        )
    if not painted.isfinite().all():
        raise ValueError(
            "the model paints NaN or infinite values: its weights are too large, or its training has diverged"
        )
    return painted


def _check(image: Tensor, tile: int | None) -> None:
    check_floating(image, "the image")
    if image.ndim != 4 or image.shape[1] != 3 or not image.shape[0] or min(image.shape[2:]) < MIN_SIDE:
        rule = f"an image to paint has shape (B, 3, H, W), with {MIN_SIDE} pixels or more on a side"
        raise ValueError(f"{rule}, received {tuple(image.shape)}")
    if tile is not None:
        whole_number("tile", tile, MIN_TILE_SIDE, hint=" pixels")


@torch.no_grad()
def run_tiled(network: TransformerNet, image: Tensor, tile: int) -> Tensor:
    """Compute the network's output in evaluation mode tile by tile, without gradients: the same to rounding.

    Apart from the picture and the result, memory depends on the tile and not on the picture. The temporary files take
    3 x 4 x ``width`` / 16 floats per pixel (96 bytes for a width of 32).

    Args:
        network: the network.
        image: ``(B, 3, H, W)`` in [0, 1], on the network's device and of its dtype.
        tile: side of the tiles in pixels, at least 32.

    Raises:
        ValueError: the tile is too small.
        OSError: the temporary folder does not have enough space.

    """
    small = whole_number("tile", tile, MIN_TILE_SIDE, hint=" pixels") // DOWNSAMPLING
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
        _rewrite(x, narrow, small, lambda piece, box: down[-1].normalize(piece, moments[-1]))
        for block in blocks:
            inner = _moments_of([block.first], narrow, x.read, small, keep=y)[0]
            outer = _moments_of([block.second], narrow, _normalized(y, block.first, inner), small, keep=z)[0]
            change = _normalized(z, block.second, outer)
            _rewrite(x, narrow, small, lambda piece, box, change=change: piece + change(box))  # type: ignore[misc]
        moments = _moments_of(up[:-1], narrow, x.read, small)
        for box in _boxes(sizes[0], tile):
            box.of(result).copy_(_piece(up, moments, narrow, x.read, box).clamp(0, 1))
    return result


class _File:
    """Feature maps in a file, mapped only for a read or a write, so that they take no memory."""

    def __init__(self, path: Path, shape: tuple[int, ...], like: Tensor) -> None:
        self.path, self.shape, self.device = path, shape, like.device
        self.dtype = torch.empty(0, dtype=like.dtype).numpy().dtype
        size = int(np.prod(shape)) * self.dtype.itemsize
        with path.open("wb") as file:
            file.truncate(size)
            # A full disk is an error here; later, a write to the mapped file would kill the process.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)

    def read(self, box: Box) -> Tensor:
        """Return a copy of a rectangle."""
        stored = np.memmap(self.path, self.dtype, "r", shape=self.shape)
        return torch.from_numpy(np.array(stored[:, :, slice(*box.rows), slice(*box.columns)])).to(self.device)

    def write(self, box: Box, piece: Tensor) -> None:
        """Replace a rectangle."""
        stored = np.memmap(self.path, self.dtype, "r+", shape=self.shape)
        stored[:, :, slice(*box.rows), slice(*box.columns)] = piece.cpu().numpy()


def _moments_of(stages: Sequence[Stage], size: Size, read: Read, tile: int, keep: _File | None = None) -> list[Moments]:
    """Compute the moments of each stage's convolution, with one pass over the tiles for each.

    Args:
        stages: the stages, one after the other.
        size: (height, width) of the input of the first stage.
        read: returns a rectangle of that input.
        tile: side of the tiles of the input.
        keep: a file for the last stage's convolution.

    """
    found: list[Moments] = []
    side = size[0]
    sizes = [size]
    for count, stage in enumerate(stages, start=1):
        sizes.append(_output_size(stage, sizes[-1]))
        total = _RunningMoments()
        for box in _boxes(sizes[-1], max(tile * sizes[-1][0] // side, MIN_MAP_TILE_SIDE)):
            piece = _piece(stages[:count], found, size, read, box)
            total.add(piece)
            if keep is not None and count == len(stages):
                keep.write(box, piece)
        found.append(total.moments(piece))
    return found


def _piece(stages: Sequence[Stage], moments: Sequence[Moments], size: Size, read: Read, box: Box) -> Tensor:
    """Compute a rectangle of the last stage's convolution; the stages before it are normalised by ``moments``."""
    sizes = [size]
    for stage in stages[:-1]:
        sizes.append(_output_size(stage, sizes[-1]))
    sources: list[tuple[Source, Source]] = []
    for stage, (height, width) in zip(reversed(stages), reversed(sizes), strict=True):
        rows, columns = _source(stage, box.rows, height), _source(stage, box.columns, width)
        sources.append((rows, columns))
        box = Box(rows.interval, columns.interval)
    x = read(box)
    for index, (stage, (rows, columns)) in enumerate(zip(stages, reversed(sources), strict=True)):
        x = Box(rows.window, columns.window).of(stage.enlarge(x))
        x = stage.convolve(x, Margins(columns.before, columns.after, rows.before, rows.after))
        if index < len(stages) - 1:
            x = stage.normalize(x, moments[index])
    return x


def _source(stage: Stage, output: Interval, side: int) -> Source:
    """Find the part of an input of ``side`` positions that a stage reads for an interval of its output."""
    grid, pad = side * stage.upsample, stage.kernel // 2
    start, stop = output.start * stage.stride - pad, (output.stop - 1) * stage.stride + pad + 1
    inside = Interval(max(start, 0), min(stop, grid))
    interval = Interval(inside.start // stage.upsample, -(-inside.stop // stage.upsample))
    origin = interval.start * stage.upsample
    window = Interval(inside.start - origin, inside.stop - origin)
    return Source(interval, window, inside.start - start, stop - inside.stop)


def _output_size(stage: Stage, size: Size) -> Size:
    height, width = (-(-side * stage.upsample // stage.stride) for side in size)
    return height, width


def _boxes(size: Size, tile: int) -> Iterator[Box]:
    """Yield rectangles of at most ``tile`` a side that cover a map once."""
    for top in range(0, size[0], tile):
        for left in range(0, size[1], tile):
            stopping.check()
            yield Box(Interval(top, min(top + tile, size[0])), Interval(left, min(left + tile, size[1])))


def _normalized(file: _File, stage: Stage, moments: Moments) -> Read:
    return lambda box: stage.normalize(file.read(box), moments)


def _rewrite(file: _File, size: Size, tile: int, change: Callable[[Tensor, Box], Tensor]) -> None:
    """Replace each rectangle of the maps in a file by ``change(piece, box)``."""
    for box in _boxes(size, tile):
        file.write(box, change(file.read(box), box))


class _RunningMoments:
    """Mean and variance of each channel over pieces of a map, added up in double precision."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Tensor | float = 0.0
        self.squares: Tensor | float = 0.0

    def add(self, piece: Tensor) -> None:
        """Add the positions of a piece by the formula of Chan, Golub and LeVeque."""
        variance, mean = (m.cpu().double() for m in torch.var_mean(piece, (2, 3), correction=0, keepdim=True))
        new = piece.shape[2] * piece.shape[3]
        difference = mean - self.mean
        self.count += new
        self.mean = self.mean + difference * (new / self.count)
        self.squares = self.squares + new * (variance + difference.square() * (1 - new / self.count))

    def moments(self, like: Tensor) -> Moments:
        """Return the moments of all positions so far."""
        assert isinstance(self.mean, Tensor)
        assert isinstance(self.squares, Tensor)
        return Moments(self.mean.to(like), (self.squares / self.count).to(like))
