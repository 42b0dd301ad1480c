"""Regions: masks as the weights of a layer's positions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralstyle._words import Edges
from neuralstyle.images import resize_image
from neuralstyle.images.masks import check_selects, load_mask
from neuralstyle.objective.borders import cells, continued, coverage
from neuralstyle.objective.wrapping import cut_wrapped
from neuralstyle.styles import Style

BARE_WEIGHT = 0.02
"""Weight of a pixel below which no style counts there."""

BARE_SHARE = 0.01
"""Share of a picture without any style from which on there is a warning."""


@dataclass(frozen=True, eq=False)
class Region:
    """Where on the result some styles go: a weight (1, 1, H, W) in [0, 1], and the options of its edges.

    ``opacity``, (1, 1, H, W) in [0, 1], is that of the result; None: all of it is opaque. ``wraps`` says
    whether the result repeats.
    """

    weight: Tensor
    softness: float
    edges: Edges
    opacity: Tensor | None = None
    wraps: bool = False

    @property
    def area(self) -> float:
        """The region's share of what is opaque in the picture."""
        if self.opacity is None:
            return float(self.weight.mean())
        opacity = self.opacity.to(self.weight)
        within = stretch(self.weight, (opacity.shape[2], opacity.shape[3]), opacity) * opacity
        return float(within.sum() / opacity.sum())

    def pixels(self, size: tuple[int, int], like: Tensor) -> Tensor:
        """The weights of the pixels of a picture of this (height, width), softened, in ``like``'s dtype and device."""
        weights = _soften(stretch(self.weight, size, like), self.softness * max(size), self.wraps)
        return weights if self.opacity is None else weights * stretch(self.opacity, size, like)


def stretch(mask: Tensor, size: tuple[int, int], like: Tensor) -> Tensor:
    """Return a mask (1, 1, H, W) as the weights of the pixels of a picture of this (height, width)."""
    return resize_image(mask.to(like), size)


def position_weights(
    pixels: Tensor, stride: int, reach: int, edges: Edges, *, step: int, wraps: bool = False
) -> Tensor:
    """Return the weight of each position of a layer, from the weights of the pixels.

    Args:
        pixels: weights of the pixels, (1, 1, H, W).
        stride: stride of the layer: the side of a position's cell in pixels.
        reach: how many pixels beyond its cell a position sees.
        edges: "blended": the mean over the cell, of which nothing counts outside the picture. "strict": the least
            weight of the pixels that the position sees, or 0 if that is less than half of the greatest weight in the
            picture, since the rim of a soft region is not inside it; times the share of the cell in the picture.
        step: the picture is continued to multiples of it, which are whole cells.
        wraps: whether the picture repeats, so that positions at its border see its other end.

    Returns:
        (1, 1, h, w), a weight for each cell, whole or cut.

    """
    size = (pixels.shape[2], pixels.shape[3])
    if edges == "blended":
        return F.avg_pool2d(F.pad(pixels, (0, -size[1] % stride, 0, -size[0] % stride)), stride)
    # Rows first, then columns. Max pooling pads with minus infinity, which never counts.
    field = stride + 2 * reach
    beyond = 0 if wraps else reach
    seen = _repeated(pixels, stride, reach) if wraps else continued(pixels, step)
    rows = F.max_pool2d(-seen, (field, 1), (stride, 1), (beyond, 0))
    least = -F.max_pool2d(rows, (1, field), (1, stride), (0, beyond))
    least = least[:, :, : cells(size[0], stride), : cells(size[1], stride)]
    inside = least * (least >= pixels.amax() / 2)
    share = coverage(size, stride, pixels)
    return inside if share is None else inside * share


def weights_everywhere(size: tuple[int, int], stride: int, like: Tensor, opacity: Tensor | None) -> Tensor | None:
    """Return the weight of each position of a layer, (1, 1, h, w): how much of its cell is in the picture and opaque.

    None: all weights are 1.
    """
    if opacity is None:
        return coverage(size, stride, like)
    return position_weights(stretch(opacity, size, like), stride, 0, "blended", step=stride)


def check_opacity(opacity: Tensor | None) -> None:
    """Check the opacity of a result.

    Raises:
        ValueError: it is not a (1, 1, H, W) tensor in [0, 1] with anything opaque.

    """
    if opacity is None:
        return
    if opacity.ndim != 4 or opacity.shape[:2] != (1, 1) or not opacity.numel() or not opacity.is_floating_point():
        raise ValueError(f"the opacity is a floating (1, 1, H, W) tensor in [0, 1], received {tuple(opacity.shape)}")
    low, high = torch.stack(opacity.aminmax()).tolist()
    if not 0 <= low <= high <= 1 or not high:
        raise ValueError(f"the opacity is in [0, 1], and above 0 somewhere, received values from {low:g} to {high:g}")


def by_region(
    styles: Sequence[Style], opacity: Tensor | None = None, wraps: bool = False
) -> list[tuple[Region | None, list[Style]]]:
    """Group styles by equal regions, of a result with this opacity that repeats or not; None is everywhere.

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
            groups.append((_region(mask, style, opacity, wraps), [style]))
    return groups


def _region(mask: Tensor | None, style: Style, opacity: Tensor | None, wraps: bool) -> Region | None:
    return None if mask is None else Region(mask, style.softness, style.edges, opacity, wraps)


def with_masks(style: Style) -> Style:
    """Return a style with its mask and its region loaded.

    Raises:
        ValueError: one of them selects nothing, or is in colour.

    """
    found: dict[str, Tensor | None] = {
        "mask": load_mask(style.mask, "mask"),
        "region": load_mask(style.region, "region"),
    }
    for what, weights in found.items():
        if weights is not None:
            check_selects(weights, getattr(style, what), what)
    return replace(style, mask=found["mask"], region=found["region"])


def warn_of_bare_parts(styles: Sequence[Style], size: tuple[int, int], stays: str) -> None:
    """Warn if several styles leave a part of the result, of this (height, width), to none of them.

    A single style in a region of its own is meant so.
    """
    counted = [style for style in styles if style.weight]
    regions = [load_mask(style.region) for style in counted]
    drawn = [region for region in regions if region is not None]
    if len(counted) < 2 or len(drawn) < len(regions):
        return
    covered = torch.stack([stretch(region, size, torch.empty(0, dtype=torch.float32)) for region in drawn]).amax(0)
    share = float((covered < BARE_WEIGHT).double().mean())
    if share >= BARE_SHARE:
        warnings.warn(
            f"{share:.0%} of the picture is in no region: {stays}; a style without a region goes everywhere, and the "
            "region '~FILE' is the rest of a file's",
            stacklevel=2,
        )


def _equal(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and torch.equal(a.cpu(), b.cpu())


def _repeated(pixels: Tensor, stride: int, reach: int) -> Tensor:
    """Whole cells of a picture that repeats, with what their positions see beyond the border."""
    rows, columns = (slice(-reach, cells(side, stride) * stride + reach) for side in pixels.shape[2:])
    return cut_wrapped(pixels, (rows, columns))


def _soften(mask: Tensor, width: float, wraps: bool) -> Tensor:
    """Blur by a Gaussian that turns a step into a slope from 2% to 98% over ``width`` pixels: 4 standard deviations.

    The border is replicated, or the picture repeated, so that weights that add up to 1 still do.
    """
    if not width:
        return mask
    deviation = width / 4
    radius = math.ceil(3 * deviation)
    offsets = torch.arange(-radius, radius + 1, device=mask.device, dtype=mask.dtype)
    kernel = torch.softmax(-0.5 * (offsets / deviation).square(), 0)
    for _ in range(2):
        if wraps:
            padded = cut_wrapped(mask, (slice(0, mask.shape[2]), slice(-radius, mask.shape[3] + radius)))
        else:
            padded = F.pad(mask, (radius, radius, 0, 0), mode="replicate")
        mask = F.conv2d(padded, kernel.view(1, 1, 1, -1)).transpose(2, 3)
    return mask
