"""The picture of a sheet: which cell goes where, and what stands beside and above."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from PIL import Image

from neuralstyle.images.grid import Tile, arrange, draw, thumbnail
from neuralstyle.machine.surroundings import plain_torch
from neuralstyle.many.axes import Axis, picture_of


@plain_torch()
def lay_out(axes: Sequence[Axis], pictures: Sequence[Image.Image], side: int) -> Image.Image:
    """Draw the picture of a sheet.

    Args:
        axes: what varies, the rows first. The last axis with several values runs across, all others down.
        pictures: those of the cells so far, row by row.
        side: longest side of the cells' pictures in pixels.

    Raises:
        ValueError: it would have too many pixels.
        OSError: a photograph or painting cannot be read.

    """
    count = 1
    for axis in axes:
        count *= len(axis)
    cells = [Tile(picture) for picture in pictures]
    blank = pictures[0].size if pictures else (side, side)  # no cell is larger
    cells += [Tile(title="not painted", blank=blank)] * (count - len(cells))
    varied = [axis for axis in axes if len(axis) > 1]
    fixed = [axis for axis in axes if len(axis) == 1 and axis.is_pictures]
    if not any(axis.is_pictures for axis in varied) and len(varied) < 2:
        sources = [_header(axis, 0, side) for axis in fixed]
        labels = varied[0].labels if varied else ("result",)
        return draw(arrange([*sources, *map(_titled, cells, labels)]), side)
    # Photographs and paintings beside and above, also a single one where there is room for it.
    rows = [axis for axis in axes if len(axis) > 1 or axis.is_pictures]
    columns = rows.pop() if rows[-1].is_pictures and len(rows) == 2 else varied[-1]
    rows = [axis for axis in varied if axis is not columns] or [axis for axis in fixed if axis is not columns]
    beside = list(itertools.product(*(range(len(axis)) for axis in rows)))
    across = len(columns)
    table = [[Tile(), *(_header(columns, k, side) for k in range(across))]]
    for number, places in enumerate(beside):
        head = _header(rows[0], places[0], side) if len(rows) == 1 else Tile(title=_words(rows, places))
        table.append([head, *cells[number * across : (number + 1) * across]])
    named = [axis for axis in fixed if axis is not columns and axis not in rows]
    return draw(table, side, heading=", ".join(axis.labels[0] for axis in named))


def _header(axis: Axis, place: int, side: int) -> Tile:
    """What stands beside a row or above a column."""
    if not axis.is_pictures:
        return Tile(title=axis.labels[place])
    return Tile(thumbnail(picture_of(axis.values[place]), side), axis.labels[place])


def _titled(cell: Tile, title: str) -> Tile:
    return Tile(cell.picture, title if cell.picture is not None else f"{title}: {cell.title}", cell.blank)


def _words(axes: Sequence[Axis], places: Sequence[int]) -> str:
    return ", ".join(axis.labels[place] for axis, place in zip(axes, places, strict=True))
