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
    that the picture's end cuts belongs to the last interval.
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
    """A rectangle of a picture. The cores of all tiles cover the picture once; their views overlap by the halo."""

    rows: Span
    columns: Span

    def view(self, stride: int = 1) -> tuple[slice, slice]:
        """Rows and columns of the view, on the whole picture's grid at a layer of this stride."""
        return self.rows.view(stride), self.columns.view(stride)

    def core(self, stride: int = 1, whole: int | None = None) -> tuple[slice, slice]:
        """Rows and columns of the core, on the whole picture's grid at a layer of this stride."""
        return self.rows.core(stride, whole), self.columns.core(stride, whole)

    def core_in_view(self, stride: int = 1, whole: int | None = None) -> tuple[slice, slice]:
        """Rows and columns of the core, in the view's features at a layer of this stride."""
        return self.rows.core_in_view(stride, whole), self.columns.core_in_view(stride, whole)


def tiles(height: int, width: int, tile: int | None, stride: int, reach: int, *, at_least: int = 1) -> list[Tile]:
    """Return the tiles of a picture, row by row; one tile, the whole picture, if ``tile`` is None.

    Args:
        height: height of the picture in pixels.
        width: width of the picture in pixels.
        tile: longest side of a core in pixels. Views are made equally large if the tile has three halos or more: cores
            with a neighbour on either side are then smaller, by about a halo.
        stride: the deepest stride of the layers in use.
        reach: how many pixels beyond its cell the farthest-seeing layer sees.
        at_least: least number of tiles, one for each process; there are fewer if the picture is too small.

    Raises:
        ValueError: a tile that is not a whole number, or is smaller than the stride.

    """
    if tile is not None and (not is_whole(tile) or tile < stride):
        raise ValueError(
            f'tile is None, "auto" or a number of pixels, at least {stride} for these layers, received {brief(tile)}'
        )
    halo = _halo(reach, stride)
    rows, columns = (_lay(side, tile, stride, halo) for side in (height, width))
    if len(rows) * len(columns) < at_least:
        rows, columns = _split(height, width, at_least, stride, halo)
    return [Tile(row, column) for row in rows for column in columns]


def largest_tile(height: int, width: int, stride: int, reach: int, pixels: float) -> int | None:
    """Return the largest tile whose views have at most ``pixels`` pixels each; None if the picture has no more.

    Raises:
        ValueError: even the smallest tile, of one stride, has a larger view.

    """
    if height * width <= pixels:
        return None
    halo = _halo(reach, stride)
    for tile in range(_up(max(height, width), stride) - stride, 0, -stride):
        rows, columns = (_lay(side, tile, stride, halo) for side in (height, width))
        if _largest(rows) * _largest(columns) <= pixels:
            return tile
    smallest = min(stride + 2 * halo, height) * min(stride + 2 * halo, width)
    raise ValueError(f"a tile of {stride} pixels shows the network {smallest} pixels, more than {int(pixels)}")


def _split(height: int, width: int, at_least: int, stride: int, halo: int) -> tuple[list[Span], list[Span]]:
    """The rows and columns of at least ``at_least`` tiles with the least work for the busiest of as many processes."""
    found: list[tuple[int, int, list[Span], list[Span]]] = []
    for count in range(1, at_least + 1):
        rows = _cut(height, count, stride, halo)
        columns = _cut(width, -(-at_least // len(rows)), stride, halo)
        number = len(rows) * len(columns)
        work = -(-number // at_least) * _largest(rows) * _largest(columns)
        found.append((-min(number, at_least), work, rows, columns))
    return min(found, key=lambda plan: plan[:2])[2:]


def _lay(side: int, tile: int | None, stride: int, halo: int) -> list[Span]:
    """The spans of one side, with views as equal as possible."""
    longest = side if tile is None else tile // stride * stride
    count = -(-side // longest)
    if count <= 2 or longest < 3 * halo:  # equal views would make small cores too small
        return _spans(side, _step(side, count, stride), halo)
    count = -(-(side - 2 * halo) // (longest - halo))
    middle = _step(side - 2 * halo, count, stride)
    # The first and last have a halo on one side only, so their cores may be longer by a halo.
    starts = [0, middle + halo]
    while side - starts[-1] > middle + halo:
        starts.append(starts[-1] + middle)
    return [
        Span(start, stop, max(start - halo, 0), min(stop + halo, side))
        for start, stop in zip(starts, [*starts[1:], side], strict=True)
    ]


def _step(side: int, count: int, stride: int) -> int:
    """The length of ``count`` spans of one side, or a few fewer: whole strides, as equal as possible."""
    return _up(-(-side // count), stride)


def _cut(side: int, count: int, stride: int, halo: int) -> list[Span]:
    """At least ``count`` spans, or as many as there are strides."""
    step = _step(side, count, stride)
    return _spans(side, step if -(-side // step) >= count else max(step - stride, stride), halo)


def _spans(side: int, step: int, halo: int) -> list[Span]:
    return [
        Span(start, min(start + step, side), max(start - halo, 0), min(start + step + halo, side))
        for start in range(0, side, step)
    ]


def _halo(reach: int, stride: int) -> int:
    """Whole strides that hold the reach, and the rows whose mirror image completes a cut cell."""
    return _up(max(reach, stride - 1), stride)


def _largest(spans: list[Span]) -> int:
    return max(span.view_stop - span.view_start for span in spans)


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
