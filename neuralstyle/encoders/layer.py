"""Layer: where one of a network's feature maps lies on the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

WHOLE_PICTURE = 1 << 24
"""The reach of a layer whose every position may depend on the whole picture: in pixels, and beyond any picture."""


@dataclass(frozen=True)
class Layer:
    """Where a layer lies in its network.

    ``stride`` is the distance in input pixels between two neighbouring positions. ``reach`` is how many pixels
    beyond its own ``stride x stride`` cell a position sees on each side, so its receptive field is at most
    ``stride + 2 * reach`` wide (156 pixels for VGG-19's relu5_1). Behind an operation on the whole picture
    (attention, global pooling, instance normalisation) it is ``WHOLE_PICTURE``.
    """

    name: str
    kind: Literal["image", "conv", "relu", "pool", "module"]
    channels: int
    stride: int
    reach: int

    @property
    def is_global(self) -> bool:
        """Whether a position may depend on the whole picture, so that a piece of it tells too little."""
        return self.reach >= WHOLE_PICTURE
