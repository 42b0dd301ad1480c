"""Style: a style picture and the part it plays; masks as weights of positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralstyle.images import Picture, load_image, resize_image


@dataclass(frozen=True, eq=False)
class Style:
    """A style picture and the part that it plays.

    Args:
        image: a path, PIL image, numpy array or tensor (3, H, W) or (1, 3, H, W) in [0, 1].
        weight: its share among the styles of the same region, at least 0; shares are divided by their sum.
        scale: the size of its strokes: the longest side of the style picture as a multiple of the result's, but
            never beyond the pixels that it has. Used by ``stylize``; an ``Objective`` takes the picture as it is.
        mask: which part of the style picture counts: a grey picture of its shape, white counts, black does not.
        region: where on the result the style goes: a grey picture of the result's shape, white is inside; None is
            everywhere. Styles with equal regions are blended; different regions are guided apart.

    Raises:
        ValueError: a weight below 0, a scale that is not positive, or either not finite.

    Example:
        ```python
        from neuralstyle import Style, samples

        style = Style(samples.painting("swirl", size=128), weight=0.7)
        ```

    Paper, for mask and region: Gatys et al. 2017, arXiv 1611.07865.

    """

    image: Picture
    weight: float = 1.0
    scale: float = 1.0
    mask: Picture | None = None
    region: Picture | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"the weight of a style is a number of at least 0, received {self.weight!r}")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"the scale of a style is a positive number, received {self.scale!r}")


def as_styles(style: Picture | Style | Sequence[Picture | Style]) -> list[Style]:
    """One style or several, as a list of ``Style``."""
    several: Sequence[Any] = style if isinstance(style, (list, tuple)) else [style]
    return [entry if isinstance(entry, Style) else Style(entry) for entry in several]


def load_mask(mask: Picture | None) -> Tensor | None:
    """A mask as weights (1, 1, H, W) in [0, 1]; None, which counts everywhere, stays None."""
    return None if mask is None else load_image(mask).mean(1, keepdim=True)


def position_weights(mask: Tensor | None, size: tuple[int, int], stride: int, like: Tensor) -> Tensor | None:
    """The weight of each position of a layer: the mean of the mask over the position's own cell of pixels.

    Args:
        mask: (1, 1, H, W), of any size; None counts everywhere and stays None.
        size: (height, width) of the picture that the layer sees, to which the mask is stretched.
        stride: of the layer.
        like: a tensor of the device and dtype that are wanted.

    Returns:
        (1, 1, height // stride, width // stride).

    """
    if mask is None:
        return None
    return F.avg_pool2d(resize_image(mask, size).to(like), stride)


def by_region(styles: Sequence[Style]) -> list[tuple[Tensor | None, list[Style]]]:
    """Styles grouped by equal regions, each region as (1, 1, H, W) or None for everywhere."""
    groups: list[tuple[Tensor | None, list[Style]]] = []
    for style in styles:
        region = load_mask(style.region)
        for other, members in groups:
            if _equal(region, other):
                members.append(style)
                break
        else:
            groups.append((region, [style]))
    return groups


def _equal(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and torch.equal(a.cpu(), b.cpu())
