"""Regions: masks as the weights of a layer's positions."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from neuralstyle._words import Edges
from neuralstyle.images import Picture, load_image, resize_image
from neuralstyle.objective.borders import cells, continued, coverage
from neuralstyle.styles import Style


@dataclass(frozen=True, eq=False)
class Region:
    """Where on the result some styles go: a weight (1, 1, H, W) in [0, 1], and the options of its edges."""

    weight: Tensor
    softness: float
    edges: Edges

    @property
    def area(self) -> float:
        """The region's share of the picture."""
        return float(self.weight.mean())

    def pixels(self, size: tuple[int, int], like: Tensor) -> Tensor:
        """The weights of the pixels of a picture of this (height, width), softened, in ``like``'s dtype and device."""
        return _soften(stretch(self.weight, size, like), self.softness * max(size))


def load_mask(mask: Picture | None) -> Tensor | None:
    """Return a mask as weights (1, 1, H, W) in [0, 1], with transparent pixels black; None for None."""
    if mask is None:
        return None
    if isinstance(mask, Tensor):
        mask = mask.float() if mask.dtype == torch.bool else mask
        mask = mask[None] if mask.ndim == 2 else mask
    weights, alpha = load_image(mask).mean(1, keepdim=True), _alpha(mask)
    if alpha is None:
        return weights
    # load_image blends with white, and a mask blends with black, so the white is subtracted.
    return (weights - (1 - load_image(alpha).mean(1, keepdim=True))).clamp(0, 1)


def stretch(mask: Tensor, size: tuple[int, int], like: Tensor) -> Tensor:
    """Return a mask (1, 1, H, W) as the weights of the pixels of a picture of this (height, width)."""
    return resize_image(mask.to(like), size)


def position_weights(pixels: Tensor, stride: int, reach: int, edges: Edges, *, step: int) -> Tensor:
    """Return the weight of each position of a layer, from the weights of the pixels.

    Args:
        pixels: weights of the pixels, (1, 1, H, W).
        stride: stride of the layer: the side of a position's cell in pixels.
        reach: how many pixels beyond its cell a position sees.
        edges: "blended": the mean over the cell, of which nothing counts outside the picture. "strict": the least
            weight of the pixels that the position sees, or 0 if that is less than half of the greatest weight in the
            picture, since the rim of a soft region is not inside it; times the share of the cell in the picture.
        step: the picture is continued to multiples of it, which are whole cells.

    Returns:
        (1, 1, h, w), a weight for each cell, whole or cut.

    """
    size = (pixels.shape[2], pixels.shape[3])
    if edges == "blended":
        return F.avg_pool2d(F.pad(pixels, (0, -size[1] % stride, 0, -size[0] % stride)), stride)
    # Rows first, then columns. Max pooling pads with minus infinity, which never counts.
    field = stride + 2 * reach
    rows = F.max_pool2d(-continued(pixels, step), (field, 1), (stride, 1), (reach, 0))
    least = -F.max_pool2d(rows, (1, field), (1, stride), (0, reach))
    least = least[:, :, : cells(size[0], stride), : cells(size[1], stride)]
    inside = least * (least >= pixels.amax() / 2)
    share = coverage(size, stride, pixels)
    return inside if share is None else inside * share


def by_region(styles: Sequence[Style]) -> list[tuple[Region | None, list[Style]]]:
    """Group styles by equal regions; None is everywhere.

    Raises:
        ValueError: styles of one region that differ in softness or edges.
    """
    groups: list[tuple[Region | None, list[Style]]] = []
    for style in styles:
        mask = load_mask(style.region)
        for region, members in groups:
            if _equal(mask, None if region is None else region.weight):
                if region is not None and (region.softness, region.edges) != (style.softness, style.edges):
                    raise ValueError(
                        "styles of one region are blended and need the same softness and edges, received "
                        f"{region.softness}, {region.edges!r} and {style.softness}, {style.edges!r}"
                    )
                members.append(style)
                break
        else:
            groups.append((None if mask is None else Region(mask, style.softness, style.edges), [style]))
    return groups


def _equal(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and torch.equal(a.cpu(), b.cpu())


def _alpha(picture: Picture) -> Picture | None:
    """The alpha channel of a picture as a grey picture, or None."""
    if isinstance(picture, Tensor):
        return picture[..., 3:, :, :] if picture.shape[-3] == 4 else None
    if isinstance(picture, np.ndarray):
        return picture[..., 3] if picture.ndim == 3 and picture.shape[2] == 4 else None
    if isinstance(picture, (str, os.PathLike)):
        with Image.open(picture) as image:
            return _alpha(image)
    if not picture.has_transparency_data:
        return None
    return ImageOps.exif_transpose(picture).convert("RGBA").getchannel("A")


def _soften(mask: Tensor, width: float) -> Tensor:
    """Blur by a Gaussian that turns a step into a slope from 2% to 98% over ``width`` pixels: 4 standard deviations.

    The border is replicated, so that weights that add up to 1 still do.
    """
    if not width:
        return mask
    deviation = width / 4
    radius = math.ceil(3 * deviation)
    offsets = torch.arange(-radius, radius + 1, device=mask.device, dtype=mask.dtype)
    kernel = torch.softmax(-0.5 * (offsets / deviation).square(), 0)
    for _ in range(2):
        padded = F.pad(mask, (radius, radius, 0, 0), mode="replicate")
        mask = F.conv2d(padded, kernel.view(1, 1, 1, -1)).transpose(2, 3)
    return mask
