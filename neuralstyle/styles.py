"""Style: a style picture and the part it plays; masks and regions as weights of positions."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from neuralstyle._errors import unknown
from neuralstyle.images import MIN_SIDE, Picture, load_image, resize_image

Carry = Literal["area", "inside"]
"""How a mask or region is carried to the positions of a layer, see ``position_weights``."""

CARRIES: tuple[Carry, ...] = get_args(Carry)


@dataclass(frozen=True, eq=False)
class Style:
    """A style picture and the part that it plays.

    Masks and regions are grey pictures: white counts, black does not, grey counts in part; what is transparent counts
    as black. They are of any size and are stretched to their picture. As an array or tensor, (H, W) and bool are
    fine too.

    Args:
        image: a path, PIL image, numpy array or tensor (3, H, W) or (1, 3, H, W) in [0, 1].
        weight: its share among the styles of the same region, at least 0; shares are divided by their sum.
        scale: the size of its strokes: the longest side of the style picture as a multiple of the result's. Used by
            ``stylize``, see ``at_scale``; an ``Objective`` takes the picture as it is.
        mask: which part of the style picture counts.
        region: where on the result the style goes; None is everywhere. Styles with equal regions are blended; others
            are guided apart, and add up where they overlap. Regions need not cover the result.
        softness: the width of the region's edge as a share of the result's longest side, in [0, 1]: across it the
            region is blurred from 2% to 98%. Regions that add up to white still do afterwards. The mask is used as
            drawn.
        carry: how mask and region are carried to a layer's positions. "area": each position weighs as much as the
            mean over its own cell of pixels. "inside": as little as the least that it sees, so that at a hard edge
            only positions that see the region alone count, and nothing leaks; a region too narrow for a deep layer
            (relu5_1 sees 156 pixels) has no position there, and that layer leaves it alone.
        enlarge: let ``scale`` go beyond the pixels that the style picture has.

    Raises:
        ValueError: a weight below 0, a scale that is not positive, a softness outside [0, 1], an unknown carry.

    Example:
        ```python
        import torch
        from neuralstyle import Style, samples

        sky = torch.zeros(64, 96)
        sky[:30] = 1
        painting = samples.painting("swirl", size=128)
        styles = [Style(painting, region=sky, softness=0.05), Style(samples.painting("embers"), region=1 - sky)]
        ```

    Paper, for mask and region: Gatys et al. 2017, arXiv 1611.07865, spatial control; "inside" is after its eroded
    guidance channels. Departures: the field of a position is taken exactly, from the network's geometry; what lies
    beyond the picture's border belongs to no region and takes nothing away from one.

    """

    image: Picture
    weight: float = 1.0
    scale: float = 1.0
    mask: Picture | None = None
    region: Picture | None = None
    _: KW_ONLY
    softness: float = 0.0
    carry: Carry = "area"
    enlarge: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"the weight of a style is a number of at least 0, received {self.weight!r}")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"the scale of a style is a positive number, received {self.scale!r}")
        if not 0 <= self.softness <= 1:
            raise ValueError(
                f"the softness of a region is a share of the result's longest side, 0 to 1, received {self.softness!r}"
            )
        if self.carry not in CARRIES:
            raise unknown("carry", self.carry, CARRIES)


@dataclass(frozen=True, eq=False)
class Region:
    """Where on the result some styles go: weights (1, 1, H, W) in [0, 1], and how they reach pixels and positions."""

    mask: Tensor
    softness: float
    carry: Carry

    @property
    def area(self) -> float:
        """Its share of the picture."""
        return float(self.mask.mean())

    def pixels(self, size: tuple[int, int], like: Tensor) -> Tensor:
        """The weights of the pixels of a picture of this (height, width), soft edges included, where ``like`` is."""
        return _soften(stretch(self.mask, size, like), self.softness * max(size))


def as_styles(style: Picture | Style | Sequence[Picture | Style]) -> list[Style]:
    """One style or several, as a list of ``Style``."""
    several: Sequence[Any] = style if isinstance(style, (list, tuple)) else [style]
    return [entry if isinstance(entry, Style) else Style(entry) for entry in several]


def at_scale(style: Style, size: int) -> Style:
    """The style with its picture resized for a result whose longest side is ``size`` pixels.

    The picture's longest side becomes ``scale`` times ``size``: never more than the pixels that it has unless the
    style says ``enlarge``, and never so little that its short side falls below 16 pixels. The mask goes with it.
    """
    image = load_image(style.image)
    longest, shortest = max(image.shape[2:]), min(image.shape[2:])
    wanted = math.ceil(max(style.scale * size, MIN_SIDE * longest / shortest))
    return replace(style, image=resize_image(image, wanted if style.enlarge else min(wanted, longest)))


def load_mask(mask: Picture | None) -> Tensor | None:
    """A mask as weights (1, 1, H, W) in [0, 1], transparency counting as black; None stays None."""
    if mask is None:
        return None
    if isinstance(mask, Tensor):
        mask = mask.float() if mask.dtype == torch.bool else mask
        mask = mask[None] if mask.ndim == 2 else mask
    weights, alpha = load_image(mask).mean(1, keepdim=True), _alpha(mask)
    if alpha is None:
        return weights
    # Pictures are blended with white, here it is to be black: what white has added is taken away.
    return (weights - (1 - load_image(alpha).mean(1, keepdim=True))).clamp(0, 1)


def stretch(mask: Tensor, size: tuple[int, int], like: Tensor) -> Tensor:
    """A mask (1, 1, H, W) as the weights of the pixels of a picture of this (height, width)."""
    return resize_image(mask.to(like), size)


def position_weights(pixels: Tensor, stride: int, reach: int, carry: Carry) -> Tensor:
    """The weight of each position of a layer, from those of the pixels.

    Args:
        pixels: (1, 1, H, W).
        stride: of the layer; the side of a position's cell in pixels.
        reach: how many pixels beyond its cell a position sees.
        carry: "area", the mean over the cell; "inside", the least of what the position sees, as far as that lies on
            the picture, and nothing if that is less than half of the greatest weight in the picture: the rim of a
            soft region is not inside it.

    Returns:
        (1, 1, H // stride, W // stride).

    """
    if carry == "area":
        return F.avg_pool2d(pixels, stride)
    # Rows first, then columns; the padding of a maximum, minus infinity, never counts.
    field = stride + 2 * reach
    rows = F.max_pool2d(-pixels, (field, 1), (stride, 1), (reach, 0))
    least = -F.max_pool2d(rows, (1, field), (1, stride), (0, reach))
    return least * (least >= pixels.amax() / 2)


def by_region(styles: Sequence[Style]) -> list[tuple[Region | None, list[Style]]]:
    """Styles grouped by equal regions; None is everywhere.

    Raises:
        ValueError: styles of one region that differ in softness or carry.
    """
    groups: list[tuple[Region | None, list[Style]]] = []
    for style in styles:
        mask = load_mask(style.region)
        for region, members in groups:
            if _equal(mask, None if region is None else region.mask):
                if region is not None and (region.softness, region.carry) != (style.softness, style.carry):
                    raise ValueError(
                        "styles of one region are blended and need the same softness and carry, received "
                        f"{region.softness}, {region.carry!r} and {style.softness}, {style.carry!r}"
                    )
                members.append(style)
                break
        else:
            groups.append((None if mask is None else Region(mask, style.softness, style.carry), [style]))
    return groups


def _equal(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and torch.equal(a.cpu(), b.cpu())


def _alpha(picture: Picture) -> Picture | None:
    """The opacity of a picture that has one, as a grey picture."""
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
    """Blur by a Gaussian that turns a step into a slope from 2% to 98% over ``width`` pixels, two deviations each way.

    Beyond the picture its border goes on, so that weights which add up to 1 still do.
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
