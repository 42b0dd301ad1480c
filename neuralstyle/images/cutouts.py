"""Pictures with transparent parts: what is seen of them, how opaque it is, and colours for what is not seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralstyle.images.reading import Picture, load_fitted
from neuralstyle.images.strips import premultiplied

_HALF_LEVEL = 0.5 / 255
_LEAST = 1e-12  # keeps a division finite; so little has no weight
FAINT = 1 / 16
"""Opacity below which a pixel's own colour counts less and less: 8 bits hardly hold it."""


@dataclass(frozen=True, eq=False)
class Cutout:
    """A picture, and how opaque it is.

    Attributes:
        colors: (1, 3, H, W) in [0, 1]. What is transparent has the colours around it, so that no other background shows
            at an edge, whatever colours the file hides there.
        opacity: (1, 1, H, W) in [0, 1]; None: everything is opaque.

    """

    colors: Tensor
    opacity: Tensor | None


def load_cutout(picture: Picture) -> Cutout:
    """Load a picture of any kind that ``load_image`` takes, and keep what its alpha says.

    Raises:
        ValueError: as ``load_image``, or it is transparent all over.

    """
    return as_cutout(load_fitted(picture, lambda height, width: (height, width), premultiplied))


def as_cutout(loaded: Tensor) -> Cutout:
    """Return what ``load_fitted`` has loaded with ``premultiplied``, (1, 3, H, W) or (1, 4, H, W), as a cut-out.

    Raises:
        ValueError: it is transparent all over.

    """
    if loaded.shape[1] == 3:
        return Cutout(loaded, None)
    seen, opacity = loaded[:, :3], loaded[:, 3:]
    if float(opacity.max()) < _HALF_LEVEL:
        raise ValueError("the picture is transparent all over, so there is nothing to see; give another")
    if float(opacity.min()) > 1 - _HALF_LEVEL:
        return Cutout((seen / opacity).clamp_(0, 1), None)
    return Cutout(continued_colors(seen, opacity), opacity.clamp(0, 1))


def continued_colors(seen: Tensor, opacity: Tensor) -> Tensor:
    """Return colours for all pixels: those of what is seen, continued smoothly into what is transparent.

    The colours of a coarser picture, each the mean of what is seen in 2 x 2 pixels, fill what is transparent in a finer
    one, from a single pixel on.

    Args:
        seen: colours times opacity, (1, 3, H, W).
        opacity: (1, 1, H, W), anywhere above 0.

    Returns:
        (1, 3, H, W) in [0, 1].

    """
    own = (seen / opacity.clamp(min=_LEAST)).clamp_(0, 1)
    if opacity.shape[2:].numel() == 1:
        return own
    coarse = [F.avg_pool2d(each.clamp(min=0), 2, ceil_mode=True) for each in (seen, opacity)]
    around = F.interpolate(continued_colors(*coarse), opacity.shape[2:], mode="bilinear", align_corners=False)
    return around.lerp(own, (opacity / FAINT).clamp(0, 1))


def with_opacity(colors: Tensor, opacity: Tensor | None) -> Tensor:
    """Return colours (1, 3, H, W) with their opacity of that size as a fourth channel, if there is one."""
    return colors if opacity is None else torch.cat([colors, opacity.to(colors)], 1)


def seen_pixels(colors: Tensor, opacity: Tensor | None) -> Tensor:
    """Return the pixels of colours (1, 3, H, W) that are mostly opaque, in one row: (1, 3, 1, N)."""
    if opacity is None:
        return colors
    return colors[:, :, is_seen(opacity)][:, :, None]


def is_seen(opacity: Tensor) -> Tensor:
    """Tell at which pixels an opacity (1, 1, H, W) is at least half its highest: (H, W)."""
    seen: Tensor = opacity[0, 0] >= 0.5 * float(opacity.max())
    return seen
