"""Grids: pictures beside each other with labels, as one picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw
from torch import Tensor

from neuralstyle._errors import brief, whole_number
from neuralstyle.images.labels import line_height, width_of, wrap, write
from neuralstyle.images.reading import Picture, load_fitted, load_image
from neuralstyle.images.sizes import MIN_SIDE
from neuralstyle.images.writing import to_pil
from neuralstyle.machine.surroundings import plain_torch

MOST_PIXELS = 2**28
"""Pixels that a grid may have, 256 megapixels."""

_PAPER, _INK, _EMPTY = (255, 255, 255), (30, 30, 30), (236, 236, 236)
_GRID_ASPECT = 1.5
_TITLE_WIDTH = 0.8  # most of a cell's side that a label without a picture is wide
_SMALLEST_TEXT, _LARGEST_TEXT = 11, 40  # pixels


@dataclass(frozen=True)
class Tile:
    """A place of a sheet.

    Attributes:
        picture: the picture, or None.
        title: the text below it, or in its place.
        blank: the (width, height) of the place of a picture that is not there, or None.

    """

    picture: Image.Image | None = None
    title: str = ""
    blank: tuple[int, int] | None = None


@plain_torch()
def grid(
    images: Picture | Iterable[Picture],
    titles: str | Sequence[str] | None = None,
    *,
    columns: int | None = None,
    side: int | None = None,
) -> Image.Image:
    """Draw pictures beside each other, each above its title, as one picture.

    Args:
        images: pictures as ``load_image`` takes them, such as paths and tensors; a tensor (B, 3, H, W) is B pictures.
        titles: a title for each picture; None: no titles.
        columns: pictures in a row; None: as many as make the grid about 3 : 2.
        side: longest side of each picture in pixels, at least 16; None: that of the largest one, and at most 512.

    Raises:
        ValueError: no pictures, another number of titles, or a grid of more than 256 megapixels.
        TypeError: titles that are not texts.

    Example:
        ```python
        import torch
        from neuralstyle import samples
        from neuralstyle.images import grid

        sheet = grid([samples.photo(), torch.rand(3, 64, 64)], ["photograph", "noise"], side=128)
        sheet.save  # a PIL image
        ```

    """
    pictures = _listed(images)
    names = _titles(titles, len(pictures))
    loaded = [load_image(picture) for picture in pictures]
    longest = min(512, max(max(picture.shape[2:]) for picture in loaded)) if side is None else side
    whole_number("side", longest, MIN_SIDE, hint=" pixels")
    tiles = [Tile(thumbnail(picture, longest), name) for picture, name in zip(loaded, names, strict=True)]
    return draw(arrange(tiles, columns), longest)


def arrange(tiles: Sequence[Tile], columns: int | None = None) -> list[Sequence[Tile]]:
    """Break a list of tiles into rows of ``columns`` each; None: as many as make it about 3 : 2."""
    across = _columns(tiles) if columns is None else whole_number("columns", columns, 1)
    return [tiles[start : start + across] for start in range(0, len(tiles), across)]


@plain_torch()
def thumbnail(picture: Picture, side: int) -> Image.Image:
    """Load a picture at a longest side in pixels, however narrow it is."""

    def fit(height: int, width: int) -> tuple[int, int]:
        scale = side / max(height, width)
        return max(1, round(scale * height)), max(1, round(scale * width))

    return to_pil(load_fitted(picture, fit))


def draw(rows: Sequence[Sequence[Tile]], side: int, heading: str = "") -> Image.Image:
    """Draw rows of tiles as one picture; a column is as wide and a row as high as its largest tile.

    Args:
        rows: the tiles of each row, from the left.
        side: longest side of the pictures in pixels, which sets the size of the text.
        heading: a line of text above all.

    Raises:
        ValueError: it would have more than 256 megapixels.

    """
    size = min(_LARGEST_TEXT, max(_SMALLEST_TEXT, side // 18))
    gap = max(6, side // 24)
    widths = [_width([row[k] for row in rows if k < len(row)], side, size) for k in range(max(map(len, rows)))]
    heights = [max((_sides(tile)[1] for tile in row), default=0) for row in rows]
    labels = [[wrap(tile.title, size, width) for tile, width in zip(row, widths, strict=False)] for row in rows]
    depths = [
        max((len(lines) for lines, tile in zip(texts, row, strict=True) if height == 0 or _has_label(tile)), default=0)
        * line_height(size)
        for texts, row, height in zip(labels, rows, heights, strict=True)
    ]
    width = sum(widths) + gap * (len(widths) + 1)
    head = wrap(heading, size, width - 2 * gap)
    top = gap + (len(head) * line_height(size) + gap if head else 0)
    height = top + sum(heights) + sum(depths) + gap * len(rows) + (gap // 2) * sum(map(bool, depths))
    _check_pixels(width, height)
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    write(pen, head, width / 2, gap, size, _INK)
    for row, texts, tall, deep in zip(rows, labels, heights, depths, strict=True):
        left = gap
        for tile, lines, wide in zip(row, texts, widths, strict=False):
            _place(sheet, pen, tile, lines, (left, top, wide, tall), (size, gap // 2))
            left += wide + gap
        top += tall + deep + gap + (gap // 2 if deep else 0)
    return sheet


def _place(
    sheet: Image.Image,
    pen: ImageDraw.ImageDraw,
    tile: Tile,
    lines: list[str],
    box: tuple[int, int, int, int],
    measures: tuple[int, int],
) -> None:
    """Draw a tile into its box, (left, top, width, height of the pictures of its row)."""
    (left, top, wide, tall), (size, gap) = box, measures
    middle = left + wide / 2
    width, height = _sides(tile)
    at = (round(middle - width / 2), top + tall - height)  # just above the label
    if tile.picture is not None:
        sheet.paste(tile.picture, at, tile.picture if tile.picture.mode == "RGBA" else None)
    elif tile.blank is not None:
        pen.rectangle((*at, at[0] + width - 1, at[1] + height - 1), fill=_EMPTY)
    if tile.picture is not None:
        write(pen, lines, middle, top + tall + gap, size, _INK)
    else:  # the text stands where the picture would be
        write(pen, lines, middle, top + max(0, tall - len(lines) * line_height(size)) / 2, size, _INK)


def _sides(tile: Tile) -> tuple[int, int]:
    """The (width, height) of what a tile shows."""
    if tile.picture is not None:
        return tile.picture.size
    return tile.blank or (0, 0)


def _has_label(tile: Tile) -> bool:
    return tile.picture is not None and bool(tile.title)


def _width(column: Sequence[Tile], side: int, size: int) -> int:
    """The width of a column: of its pictures, or without any of its text."""
    pictures = max((_sides(tile)[0] for tile in column), default=0)
    texts = [min(round(_TITLE_WIDTH * side), width_of(tile.title, size)) for tile in column if tile.title]
    return max(pictures, min(max(texts, default=0), pictures or side), 1)


def _columns(tiles: Sequence[Tile]) -> int:
    """The number of columns that makes a grid about 3 : 2, with few places left empty."""
    count, sides = len(tiles), [_sides(tile) for tile in tiles]
    aspect = max(1, sum(width for width, _ in sides)) / max(1, sum(height for _, height in sides))

    def badness(columns: int) -> float:
        rows = math.ceil(count / columns)
        return abs(math.log(columns * aspect / rows / _GRID_ASPECT)) + (columns * rows - count) / count

    return min(range(1, count + 1), key=badness)


def _check_pixels(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise ValueError(
            f"the sheet would have {width} x {height} pixels, and {MOST_PIXELS // 2**20} megapixels are the most; "
            "take fewer pictures, or smaller ones"
        )


def _listed(images: Any) -> list[Picture]:
    """The pictures one by one; one alone is a list of one."""
    if isinstance(images, Tensor) and images.ndim == 4:
        images = list(images)
    if isinstance(images, (str, Tensor, Image.Image)) or hasattr(images, "__fspath__") or hasattr(images, "dtype"):
        images = [images]
    if not isinstance(images, Iterable):
        raise TypeError(f"images are pictures, in a list, received {brief(images)}")
    found = list(images)
    if not found:
        raise ValueError("there are no images to show; give one at least")
    return found


def _titles(titles: object, count: int) -> list[str]:
    """A title for each picture."""
    if titles is None:
        return [""] * count
    names = [titles] if isinstance(titles, str) else titles
    if not isinstance(names, Sequence) or isinstance(names, bytes):
        raise TypeError(f"titles are a list, one for each image, received {brief(titles)}")
    if len(names) != count:
        raise ValueError(f"titles are one for each image: {count} images, received {len(names)}")
    return [str(name) for name in names]
