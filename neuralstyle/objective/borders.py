"""Cells that the border of a picture cuts: the picture is continued to whole cells, and a cut cell counts by its area.

An encoder has one position for each whole cell and drops the rest of the picture, up to 15 rows and columns for
VGG-19. Deep layers would hardly see these, so the objective shows the encoder a picture of whole cells: the picture,
continued by its mirror image below and at the right. Positions weigh by the part of their cell that the picture
covers, and what lies wholly in the continuation is left out.

The mirror image spreads its gradient over as many rows as it adds. The last row, repeated, would collect all of it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from neuralstyle.encoders.base import WHOLE_PICTURE


def continued(image: Tensor, step: int) -> Tensor:
    """Return (B, C, H, W) continued by its mirror image, below and at the right, to multiples of ``step``."""
    for dimension in (2, 3):
        missing = -image.shape[dimension] % step
        if missing == 1:  # the last row twice at the network's own border would be drawn as a line
            missing += step
        while missing:  # again and again, for a picture that is smaller than what it lacks
            size = image.shape[dimension]
            count = min(missing, size)
            mirrored = image.narrow(dimension, size - count, count).flip(dimension)
            image = torch.cat([image, mirrored], dimension)
            missing -= count
    return image


def cells(side: int, stride: int, whole: int | None = None) -> int:
    """Return the number of a layer's cells along a side in pixels; one that is cut counts.

    Args:
        side: length of the side.
        stride: stride of the layer.
        whole: a multiple of the stride; all cells are counted that make up the cells of this stride.

    """
    whole = max(stride, whole or 0)  # a vector has a stride beyond any cells
    return -(-side // whole) * (whole // stride)


def coverage(size: tuple[int, int], stride: int, like: Tensor) -> Tensor | None:
    """Return the share of each cell that a picture of this (height, width) covers; None: all are whole, or a vector.

    Returns:
        (1, 1, h, w) in ``like``'s dtype and on its device.

    """
    if stride >= WHOLE_PICTURE or not any(side % stride for side in size):
        return None
    rows, columns = (_shares(side, stride, like) for side in size)
    return (rows[:, None] * columns)[None, None]


def _shares(side: int, stride: int, like: Tensor) -> Tensor:
    shares = like.new_ones(cells(side, stride))
    if side % stride:
        shares[-1] = side % stride / stride
    return shares
