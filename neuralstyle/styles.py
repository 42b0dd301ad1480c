"""Style: a style picture and the part it plays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Literal, get_args

from neuralstyle._errors import number, unknown
from neuralstyle.images import MIN_SIDE, Picture, load_image, resize_image

Edges = Literal["blended", "strict"]
"""How positions at the edge of a mask or region count, see ``Style``."""

EDGES: tuple[Edges, ...] = get_args(Edges)

MAX_SIDE = 2**16
"""Longest side in pixels to which a style picture is enlarged."""


@dataclass(frozen=True, eq=False)
class Style:
    """A style picture and the part that it plays.

    Masks and regions are grey pictures: white counts, black does not, grey counts in part, and transparent pixels count
    as black. They may have any size and are stretched to their picture. Arrays and tensors may also be (H, W) and bool.

    Args:
        image: a path, PIL image, numpy array or tensor (3, H, W) or (1, 3, H, W) in [0, 1].
        weight: its share among the styles of the same region, at least 0; shares are divided by their sum.
        scale: the size of its strokes: the longest side of the style picture as a multiple of the result's. Used by
            ``stylize``, see ``at_scale``; an ``Objective`` takes the picture as it is.
        mask: which part of the style picture counts.
        region: where on the result the style goes; None is everywhere. Styles with equal regions are blended; others
            are guided apart, and add up where they overlap. Regions need not cover the result.
        softness: width of the region's edge as a share of the result's longest side, in [0, 1]: across it the
            region is blurred from 2% to 98%. Regions that add up to white still do afterwards. The mask is used as
            drawn.
        edges: how a layer's positions count at the edge of a mask or region. "blended": a position has the mean weight
            of the pixels in its own cell. "strict": it has the least weight of all pixels that it sees. At a hard edge
            only positions that see nothing but the region count then, so nothing leaks across. A region too narrow for
            a deep layer (relu5_1 sees 156 pixels) has no position there, and that layer does not change it.
        enlarge: let ``scale`` go beyond the pixels that the style picture has.

    Raises:
        ValueError: a weight below 0, a scale that is not positive, a softness outside [0, 1], unknown edges.

    Example:
        ```python
        import torch
        from neuralstyle import Style, samples

        sky = torch.zeros(64, 96)
        sky[:30] = 1
        painting = samples.painting("swirl", size=128)
        styles = [Style(painting, region=sky, softness=0.05), Style(samples.painting("embers"), region=1 - sky)]
        ```

    Paper, for mask and region: Gatys et al. 2017, arXiv 1611.07865, spatial control; "strict" is after its eroded
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
    edges: Edges = "blended"
    enlarge: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", number("the weight of a style", self.weight, least=0))
        object.__setattr__(self, "scale", number("the scale of a style", self.scale, above=0))
        object.__setattr__(self, "softness", number("the softness of a region", self.softness, least=0, most=1))
        if self.edges not in EDGES:
            raise unknown("edges", self.edges, EDGES)


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
    return replace(style, image=resize_image(image, side_at_scale(style, size, image.shape[2], image.shape[3])))


def side_at_scale(style: Style, size: int, height: int, width: int) -> int:
    """The longest side that ``at_scale`` gives a style picture of this height and width.

    Raises:
        ValueError: it is above 65,536 pixels.

    """
    longest, shortest = max(height, width), min(height, width)
    wanted = max(style.scale * size, MIN_SIDE * longest / shortest)
    if not style.enlarge:
        wanted = min(wanted, longest)
    if wanted > MAX_SIDE:
        raise ValueError(
            f"the scale of a style is {style.scale:g}, which for a result of {size} pixels would enlarge it to "
            f"{wanted:g} pixels; give a smaller scale, or leave enlarge out"
        )
    return math.ceil(wanted)
