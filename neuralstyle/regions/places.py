"""What stands at each place of a picture: how busy it is there, and its colour."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralstyle.color import rgb_to_oklab
from neuralstyle.images import resize_image

SIDE = 192  # pixels of the longest side at which pictures are looked at
LEAST_SIDE = 24  # of the shorter one
CELL = 6  # pixels; a place is a cell of so many, 32 along the longest side
_OCTAVES = (2.0, 4.0, 8.0)  # deviations in pixels, each with twice itself a band: things of 1/30 to 1/6 of the side
_LEAST_CONTRAST = 1e-3
THIN_CONTRAST = 0.1  # in OkLab, at which a thin thing before a quiet area is mostly no part of it


@dataclass(frozen=True, eq=False)
class Places:
    """A picture at the size at which it is looked at, and its places.

    Attributes:
        picture: (1, 3, H, W) in [0, 1].
        grid: the places as (rows, columns).
        contrast: the logarithm of the contrast of things at each place, (N, 1).
        color: OkLab, (N, 3).

    """

    picture: Tensor
    grid: tuple[int, int]
    contrast: Tensor
    color: Tensor

    def pixels(self, values: Tensor) -> Tensor:
        """Values of the places, (N, K), at each pixel of ``picture``: (1, K, H, W)."""
        maps = values.T.reshape(1, -1, *self.grid)
        return F.interpolate(maps, size=self.picture.shape[2:], mode="bilinear", align_corners=False)


def look(image: Tensor, *, sharp: bool) -> Places:
    """Look at a picture (1, 3, H, W).

    Args:
        image: the picture.
        sharp: whether a place beside a thing is quiet if there is a quiet window that it is in, as a photograph's sky
            is up to the roof. Without it such a place is busy: a network that looks there sees the thing.

    """
    factor = SIDE / max(image.shape[2:])
    height, width = (max(LEAST_SIDE, round(side * factor)) for side in image.shape[2:])
    picture = resize_image(image.float().cpu(), (height, width))
    lab = rgb_to_oklab(picture)
    grid = (round(height / CELL), round(width / CELL))

    def averaged(maps: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(maps, grid)[0].flatten(1).T

    return Places(picture, grid, averaged(_contrast(lab, sharp=sharp).log()), averaged(blur(lab, 1.5)))


def _contrast(lab: Tensor, *, sharp: bool) -> Tensor:
    """The strongest contrast of the octaves: (1, 3, H, W) -> (1, 1, H, W)."""
    found = torch.full_like(lab[:, :1], _LEAST_CONTRAST**2)
    finer = blur(lab, _OCTAVES[0] / 2)
    for deviation in _OCTAVES[:2] if sharp else _OCTAVES:  # the coarsest would see a thing far beside it
        coarser = blur(lab, 2 * deviation)
        power = blur((finer - coarser).square().sum(1, keepdim=True), deviation + 1)
        if sharp:  # the least in the windows that the place is in
            radius = round(3.5 * deviation)
            power = -F.max_pool2d(-power, 2 * radius + 1, 1, radius)
        found = torch.maximum(found, power)
        finer = coarser
    return found.sqrt()


def blur(maps: Tensor, deviation: float) -> Tensor:
    """Blur by a Gaussian, the border continued: (1, K, H, W) -> (1, K, H, W)."""
    channels, radius = maps.shape[1], math.ceil(3 * deviation)
    offsets = torch.arange(-radius, radius + 1, dtype=maps.dtype)
    kernel = torch.softmax(-0.5 * (offsets / deviation).square(), 0).view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    for _ in range(2):
        padded = F.pad(maps, (radius, radius, 0, 0), mode="replicate")
        maps = F.conv2d(padded, kernel, groups=channels).transpose(2, 3)
    return maps


def follow_edges(maps: Tensor, picture: Tensor) -> Tensor:
    """Let maps (1, K, H, W) follow the edges of lightness in a picture of their size, by a guided filter.

    Paper: He, Sun and Tang, Guided image filtering, 2010; with Gaussian windows.
    """
    guide = rgb_to_oklab(picture)[:, :1]
    mean_guide, mean = blur(guide, 3.0), blur(maps, 3.0)
    covariance = blur(guide * maps, 3.0) - mean_guide * mean
    variance = blur(guide.square(), 3.0) - mean_guide.square()
    slope = covariance / (variance + 4e-4)
    return (blur(slope, 3.0) * guide + blur(mean - slope * mean_guide, 3.0)).clamp(0, 1)


def without_thin_things(areas: Tensor, picture: Tensor) -> Tensor:
    """Move what differs in colour from the quiet area around it, such as a mast before the sky, to the last area.

    Args:
        areas: (1, K, H, W), which add up to 1; all but the last are quiet.
        picture: (1, 3, H, W).

    """
    lab = rgb_to_oklab(picture)
    quiet = areas[:, :-1]
    weights = quiet.transpose(0, 1)
    around = torch.cat([blur(area * lab, 6.0) / blur(area, 6.0).clamp(min=1e-3) for area in weights[:, None]])
    apart = (lab - around).square().sum(1)[None]
    kept = quiet * torch.exp(-apart / THIN_CONTRAST**2)
    return torch.cat([kept, 1 - kept.sum(1, keepdim=True)], 1)
