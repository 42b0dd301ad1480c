"""Tile geometry: the rectangles of a picture to evaluate, in whole numbers and without tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from neuralstyle._errors import brief, is_whole
from neuralstyle.objective.borders import cells

TileSize: TypeAlias = int | Literal["auto"] | None
"""Longest side of a tile in pixels; "auto": as large as the free memory allows; None: the whole picture at once."""


@dataclass(frozen=True)
class Span:
    """An interval of pixels along one side: the core, and the view around it that the network sees.

    All ends except the picture's own are multiples of the deepest stride, so they lie on every layer's grid. The cell
    that the picture's end cuts belongs to the last interval. In a picture that repeats, views go on beyond both ends.
    """

    start: int
    stop: int
    view_start: int
    view_stop: int

    def view(self, stride: int = 1) -> slice:
        """The view, on the whole picture's grid at a layer of this stride."""
        return slice(self.view_start // stride, cells(self.view_stop, stride))

    def core(self, stride: int = 1, whole: int | None = None) -> slice:
        """The core, on the whole picture's grid at a layer of this stride; ``whole`` as in ``cells``."""
        return slice(self.start // stride, cells(self.stop, stride, whole))

    def core_in_view(self, stride: int = 1, whole: int | None = None) -> slice:
        """The core, counted from the view's first position at a layer of this stride; ``whole`` as in ``cells``."""
        core, origin = self.core(stride, whole), self.view_start // stride
        return slice(core.start - origin, core.stop - origin)


@dataclass(frozen=True)
class Tile:
    """A rectangle of a picture. The cores of all tiles cover the picture once; their views overlap by the halo.

    A tile that is ``circular`` is a whole picture that repeats, without a halo: the encoder itself sees its other end.
    """

    rows: Span
    columns: Span
    circular: bool = False

    def view(self, stride: int = 1) -> tuple[slice, slice]:
        """Rows and columns of the view, on the whole picture's grid at a layer of this stride."""
        return self.rows.view(stride), self.columns.view(stride)

    def core(self, stride: int = 1, whole: int | None = None) -> tuple[slice, slice]:
        """Rows and columns of the core, on the whole picture's grid at a layer of this stride."""
        return self.rows.core(stride, whole), self.columns.core(stride, whole)

    def core_in_view(self, stride: int = 1, whole: int | None = None) -> tuple[slice, slice]:
        """Rows and columns of the core, in the view's features at a layer of this stride."""
        return self.rows.core_in_view(stride, whole), self.columns.core_in_view(stride, whole)


def tiles(
    height: int, width: int, tile: int | None, stride: int, reach: int, *, at_least: int = 1, wraps: bool = False
) -> list[Tile]:
    """Return the tiles of a picture, row by row; one tile, the whole picture, if ``tile`` is None.

    Args:
        height: height of the picture in pixels.
        width: width of the picture in pixels.
        tile: longest side of a core in pixels. Views are made equally large if the tile has three halos or more: cores
            with a neighbour on either side are then smaller, by about a halo.
        stride: the deepest stride of the layers in use.
        reach: how many pixels beyond its cell the farthest-seeing layer sees.
        at_least: least number of tiles, one for each process; there are fewer if the picture is too small.
        wraps: whether the picture repeats, so that every view has its halo on either side.

    Raises:
        ValueError: a tile that is not a whole number, or is smaller than the stride.

    """
    if tile is not None and (not is_whole(tile) or tile < stride):
        raise ValueError(
            f'tile is None, "auto" or a number of pixels, at least {stride} for these layers, received {brief(tile)}'
        )
    down, across = (_Side(side, stride, reach, wraps) for side in (height, width))
    rows, columns = down.lay(tile), across.lay(tile)
    if len(rows) * len(columns) < at_least:
        rows, columns = _split(down, across, at_least)
    return [Tile(row, column) for row in rows for column in columns]


def largest_tile(height: int, width: int, stride: int, reach: int, pixels: float, *, wraps: bool = False) -> int | None:
    """Return the largest tile whose views have at most ``pixels`` pixels each; None if the whole has no more.

    Raises:
        ValueError: even the smallest tile, of one stride, has a larger view.

    """
    down, across = (_Side(side, stride, reach, wraps) for side in (height, width))
    if _largest(down.lay(None)) * _largest(across.lay(None)) <= pixels:
        return None
    smallest = 0
    for tile in range(_up(max(height, width), stride) - stride, 0, -stride):
        smallest = _largest(down.lay(tile)) * _largest(across.lay(tile))
        if smallest <= pixels:
            return tile
    raise ValueError(
        f"a tile of {stride} pixels shows the network {smallest or height * width} pixels, more than {int(pixels)}"
    )


@dataclass(frozen=True)
class _Side:
    """One side of a picture, and how it is cut.

    Attributes:
        size: its pixels.
        stride: the deepest stride.
        reach: how many pixels beyond its cell the farthest-seeing layer sees.
        wraps: whether the picture repeats.

    """

    size: int
    stride: int
    reach: int
    wraps: bool

    @property
    def halo(self) -> int:
        """Whole strides that hold the reach, and at an end the rows whose mirror image completes a cut cell."""
        return _up(self.reach if self.wraps else max(self.reach, self.stride - 1), self.stride)

    def lay(self, tile: int | None) -> list[Span]:
        """The spans, with views as equal as possible."""
        halo, stride = self.halo, self.stride
        longest = self.size if tile is None else tile // stride * stride
        count = -(-self.size // longest)
        if self.wraps:  # every view has both its halos; with a smaller core it is as large as another picture's
            shorter = longest - halo if count > 1 and longest >= 3 * halo else longest
            return self.spans(self.step(-(-self.size // shorter)))
        if count <= 2 or longest < 3 * halo:  # equal views would make small cores too small
            return self.spans(self.step(count))
        count = -(-(self.size - 2 * halo) // (longest - halo))
        middle = _up(-(-(self.size - 2 * halo) // count), stride)
        # The first and last have a halo on one side only, so their cores may be longer by a halo.
        starts = [0, middle + halo]
        while self.size - starts[-1] > middle + halo:
            starts.append(starts[-1] + middle)
        return [self.span(start, stop) for start, stop in zip(starts, [*starts[1:], self.size], strict=True)]

    def cut(self, count: int) -> list[Span]:
        """At least ``count`` spans, or as many as there are strides."""
        step = self.step(count)
        return self.spans(step if -(-self.size // step) >= count else max(step - self.stride, self.stride))

    def step(self, count: int) -> int:
        """The length of ``count`` spans, or a few fewer: whole strides, as equal as possible."""
        return _up(-(-self.size // count), self.stride)

    def spans(self, step: int) -> list[Span]:
        """Spans of this length, the last perhaps shorter."""
        return [self.span(start, min(start + step, self.size)) for start in range(0, self.size, step)]

    def span(self, start: int, stop: int) -> Span:
        """A core with its view."""
        if self.wraps:
            return Span(start, stop, start - self.halo, _up(stop, self.stride) + self.halo)
        return Span(start, stop, max(start - self.halo, 0), min(stop + self.halo, self.size))


def _split(down: _Side, across: _Side, at_least: int) -> tuple[list[Span], list[Span]]:
    """The rows and columns of at least ``at_least`` tiles with the least work for the busiest of as many processes."""
    found: list[tuple[int, int, list[Span], list[Span]]] = []
    for count in range(1, at_least + 1):
        rows = down.cut(count)
        columns = across.cut(-(-at_least // len(rows)))
        number = len(rows) * len(columns)
        work = -(-number // at_least) * _largest(rows) * _largest(columns)
        found.append((-min(number, at_least), work, rows, columns))
    return min(found, key=lambda plan: plan[:2])[2:]


def _largest(spans: list[Span]) -> int:
    return max(span.view_stop - span.view_start for span in spans)


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
