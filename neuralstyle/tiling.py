"""Tile geometry: which rectangles of a picture to look at, in whole numbers and without tensors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """A stretch of pixels along one side: the core counts, the view around it is what the network is shown.

    All but the picture's own end are multiples of the deepest stride, so every layer's grid falls on them.
    """

    start: int
    stop: int
    view_start: int
    view_stop: int

    def view(self, stride: int = 1) -> slice:
        """The view, on the whole picture's grid at a layer of this stride."""
        return slice(self.view_start // stride, self.view_stop // stride)

    def core(self, stride: int = 1) -> slice:
        """The core, on the whole picture's grid at a layer of this stride."""
        return slice(self.start // stride, self.stop // stride)

    def core_in_view(self, stride: int = 1) -> slice:
        """The core, counted from the view's first position at a layer of this stride."""
        origin = self.view_start // stride
        return slice(self.start // stride - origin, self.stop // stride - origin)


@dataclass(frozen=True)
class Tile:
    """A rectangle of a picture: the cores of all tiles cover the picture once, their views overlap by the halo."""

    rows: Span
    columns: Span

    def view(self, stride: int = 1) -> tuple[slice, slice]:
        """Rows and columns that the network is shown, on the whole picture's grid at a layer of this stride."""
        return self.rows.view(stride), self.columns.view(stride)

    def core(self, stride: int = 1) -> tuple[slice, slice]:
        """Rows and columns that count, on the whole picture's grid at a layer of this stride."""
        return self.rows.core(stride), self.columns.core(stride)

    def core_in_view(self, stride: int = 1) -> tuple[slice, slice]:
        """Rows and columns that count, in the view's own features at a layer of this stride."""
        return self.rows.core_in_view(stride), self.columns.core_in_view(stride)


def tiles(height: int, width: int, tile: int | None, stride: int, reach: int) -> list[Tile]:
    """The tiles of a picture, row by row; one that is the whole picture where ``tile`` is None.

    Args:
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        tile: longest side of a core in pixels; tiles are made of even sizes, so they may be smaller.
        stride: the deepest stride of the layers in use.
        reach: how many pixels beyond its cell the farthest-seeing layer sees.

    Raises:
        ValueError: a tile that is no whole number or smaller than the stride.

    """
    if tile is not None and (isinstance(tile, bool) or not isinstance(tile, int) or tile < stride):
        raise ValueError(f"tile is a number of pixels, at least {stride} for these layers, received {tile!r}")
    halo = _up(reach, stride)
    rows, columns = (_spans(side, tile, stride, halo) for side in (height, width))
    return [Tile(row, column) for row in rows for column in columns]


def _spans(side: int, tile: int | None, stride: int, halo: int) -> list[Span]:
    count = 1 if tile is None else _up(side, tile // stride * stride) // (tile // stride * stride)
    step = _up(-(-side // count), stride)
    return [
        Span(start, min(start + step, side), max(start - halo, 0), min(start + step + halo, side))
        for start in range(0, side, step)
    ]


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
