"""Pictures that repeat: what lies beyond a border is the other end of the picture.

An encoder that cannot pad circularly itself, and any encoder in tiles, is shown a picture with so much of its
repetition around it as it sees. Then every position has the features that it would have in an endless plane of copies:
circular padding at each layer, to rounding, without a change in the encoder.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def cut_wrapped(maps: Tensor, place: tuple[slice, slice]) -> Tensor:
    """Return some rows and columns of (B, C, H, W), which may begin before the first and end after the last.

    Inside the maps this is a view, and ``maps`` itself if it is all of them.
    """
    for dimension, span in zip((2, 3), place, strict=True):
        size = maps.shape[dimension]
        if (span.start, span.stop) == (0, size):
            continue
        pieces = [maps.narrow(dimension, own.start, own.stop - own.start) for own, _ in _pieces(span, size)]
        maps = pieces[0] if len(pieces) == 1 else torch.cat(pieces, dimension)
    return maps


def add_wrapped(maps: Tensor, place: tuple[slice, slice], added: Tensor) -> None:
    """Add to some rows and columns of (B, C, H, W), in place: the transpose of ``cut_wrapped``."""
    for rows, from_rows in _pieces(place[0], maps.shape[2]):
        for columns, from_columns in _pieces(place[1], maps.shape[3]):
            maps[:, :, rows, columns].add_(added[:, :, from_rows, from_columns])


def _pieces(span: slice, size: int) -> Iterator[tuple[slice, slice]]:
    """Yield the places on one copy of a side that a span consists of, each with its place in the span."""
    position = span.start
    while position < span.stop:
        start = position % size
        length = min(size - start, span.stop - position)
        yield slice(start, start + length), slice(position - span.start, position - span.start + length)
        position += length
