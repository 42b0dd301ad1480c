"""Grey pictures: whether one has no colours, and the nearest one without."""

from __future__ import annotations

from torch import Tensor

MOST_CHROMA = 1.5 / 255
"""Difference between the channels of a pixel up to which it counts as grey: a level of 8 bits, and its rounding."""


def is_grey(picture: Tensor) -> bool:
    """Tell whether the channels of (B, 3, H, W) are equal at every pixel, but for a level of 8 bits."""
    return bool((picture.amax(1) - picture.amin(1)).amax() <= MOST_CHROMA)


def to_grey(picture: Tensor) -> Tensor:
    """Return the mean of the channels in each channel: (B, 3, H, W) -> (B, 3, H, W).

    This is the projection on grey pictures, of all of them the nearest; so a gradient becomes that among grey pictures.
    """
    return picture.mean(1, keepdim=True).repeat(1, picture.shape[1], 1, 1)
