"""Style: a style picture, and where and how much it counts."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

from neuralstyle._errors import is_word, number, unknown
from neuralstyle._words import EDGES, Edges
from neuralstyle.images import MAX_SIDE, MIN_SIDE, Picture, load_image, resize_image


@dataclass(frozen=True, eq=False)
class Style:
    """A style picture, and where and how much it counts.

    Masks and regions are grey pictures: white counts, black does not, grey counts in part, and transparent pixels are
    black. They may have any size and are stretched to their picture. Arrays and tensors may also be (H, W) and bool.
    As text, "map.png#ff0000" or "map.png#red" is the part of a map that has this colour (see ``region_of_color``),
    "photo.jpg#lightness" how light a picture is, "cutout.png#alpha" how opaque, and "~sky.png" or "~map.png#red" the
    rest.

    Args:
        image: a path, PIL image, numpy array or tensor (3, H, W) or (1, 3, H, W) in [0, 1].
        weight: share among the styles of the same region, at least 0; shares are divided by their sum.
        scale: size of the strokes: the longest side of the style picture as a multiple of the result's. ``stylize``
            resizes the picture (see ``at_scale``); an ``Objective`` does not.
        mask: the part of the style picture that counts; None: all of it.
        region: where on the result the style goes; None: everywhere. Styles with equal regions are blended. Styles with
            different regions are compared separately, and add up where the regions overlap. Regions need not cover the
            result; if those of several styles do not, there is a warning.
        softness: width of the region's edge as a share of the result's longest side, in [0, 1]; the edge is blurred
            from 2% to 98% over this width. Regions that add up to white still do so afterwards. The mask is not
            blurred.
        edges: weights of a layer's positions at the edge of a mask or region. "blended": the mean weight of the pixels
            in the position's cell. "strict": the least weight of the pixels in its receptive field; at a hard edge only
            positions that see nothing but the region count, so nothing leaks across. A region too narrow for a deep
            layer (relu5_1 sees 156 pixels) has no position there, and that layer does not change it.
        enlarge: let ``scale`` enlarge the style picture beyond its own pixels.

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

    Paper, for mask and region: Gatys et al. 2017, arXiv 1611.07865, spatial control; "strict" follows its eroded
    guidance channels. Departures: receptive fields are exact, from the network's geometry; pixels beyond the picture's
    border do not count.

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
        if not is_word(self.edges, EDGES):
            raise unknown("edges", self.edges, EDGES)


def as_styles(style: Picture | Style | Sequence[Picture | Style]) -> list[Style]:
    """Return one style or several as a list of ``Style``."""
    several: Sequence[Any] = style if isinstance(style, (list, tuple)) else [style]
    return [entry if isinstance(entry, Style) else Style(entry) for entry in several]


def at_scale(style: Style, size: int) -> Style:
    """Return the style with its picture resized for a result whose longest side is ``size`` pixels.

    The picture's longest side becomes ``scale * size`` pixels, but not more than it has without ``enlarge``, and not so
    few that its short side falls below 16 pixels. The mask needs no change, as it is stretched to the picture.
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


def warn_of_scale(style: Style, size: int) -> None:
    """Warn if the picture of a style cannot have the scale that was asked for, of a result of ``size`` pixels."""
    height, width = load_image(style.image).shape[2:]
    wanted, found = style.scale * size, side_at_scale(style, size, height, width)
    if style.scale != 1 and not found - 1 <= wanted <= found + 1:
        own = f"its picture has {found} pixels; enlarge=True (--enlarge-styles) makes it larger"
        limit = "its short side needs 16 pixels" if found > wanted else own
        warnings.warn(
            f"the scale of a style is {found / size:.3g} and not {style.scale:.3g}: {limit}",
            stacklevel=2,
        )
