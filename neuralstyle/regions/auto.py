"""auto_regions: styles whose regions and masks keep the things of a painting out of the empty parts of a photograph."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from neuralstyle.files import check_writable
from neuralstyle.images import Picture, load_image, resize_image, save_image
from neuralstyle.images.masks import load_mask
from neuralstyle.machine.surroundings import plain_torch
from neuralstyle.regions.clusters import find_clusters, memberships, transport
from neuralstyle.regions.places import Places, blur, follow_edges, look, without_thin_things
from neuralstyle.styles import Style

MOST_PHOTO_CLUSTERS, MOST_PAINTING_CLUSTERS = 6, 7
LEAST_AREA = 0.06  # of the photograph, for a region
LEAST_GROUND = 0.05  # of the painting, below which it has no ground
EMPTY_CONTRAST, BUSY_CONTRAST = 0.012, 0.05  # of the photograph, at which a place is quiet, and not
MOST_ACTIVITY = 0.4  # of a quiet cluster, from 0 at the one contrast to 1 at the other
GROUND_CONTRAST = 0.5  # of the painting's median contrast, up to which a cluster is ground
MOST_DIFFERENCE = 0.5  # in lightness, between a quiet part and its ground
SAME_GROUND = 0.9  # cosine between what two quiet parts get, from which on they are one region
LEAVES = 0.5  # share of the ground that is used up for the rest; with all of it the rest gets too busy
SHADES = 9  # of lightness, between which the rest is matched
USES = 3.0  # how often a place of the ground may be used

_ACTIVITY = 0.6  # weight of activity beside OkLab in the clusters
_SOFT_COST = 0.02
_LIGHTNESS_COST, _CHROMA_COST = 0.3, 3.0


@dataclass(frozen=True, eq=False)
class _Clusters:
    """Clusters of places.

    Attributes:
        members: how far each place belongs to each cluster, (N, K).
        activity: from quiet, 0, to busy, 1: (K,).
        lightness: from the darkest of the picture to its lightest, about 0 to 1: (K,).
        chroma: a and b of OkLab, (K, 2).

    """

    members: Tensor
    activity: Tensor
    lightness: Tensor
    chroma: Tensor


@plain_torch()
def auto_regions(content: Picture, style: Picture | Style) -> list[Style]:
    """Give the quiet parts of a photograph the ground of a painting, and the rest the rest.

    A style's statistics are those of the whole painting, and things that are in it appear in an empty sky. This finds

    1. in the photograph, clusters of quiet places (sky, wall, lawn): contrast of things in three octaves, and colour;
    2. in the painting, clusters of ground: at most half of its median contrast, where a network sees no thing beside;
    3. which ground goes where, by optimal transport. Lightness, as a rank in its picture, and chroma are its cost. A
       place of the ground is used up to three times, so that a small ground covers a large sky;
    4. the rest of the painting, ground that is left over included, for the rest of the photograph.

    The result is nothing but styles with regions, which add up to white, and masks. They can be changed like any other,
    with ``dataclasses.replace``, or saved by ``save_regions``, changed in another program, and given by hand.

    Args:
        content: the photograph: a path, PIL image, array or tensor.
        style: the painting, of the same types, or a ``Style``, whose mask says what of it may be used.

    Returns:
        One style for each region, the rest last. A list of the style as it is, with a warning that says why, if
        the photograph has no quiet part or the painting no ground.

    Raises:
        ValueError: the style has a region already.

    Example:
        ```python
        import torch
        from neuralstyle.regions import auto_regions

        photograph = torch.full((3, 96, 128), 0.8)
        photograph[:, 48:] = torch.rand(3, 6, 16).repeat_interleave(8, 1).repeat_interleave(8, 2)
        painting = torch.full((3, 96, 96), 0.7)
        painting[:, :, 48:] = torch.rand(3, 12, 6).repeat_interleave(8, 1).repeat_interleave(8, 2)
        sky, rest = auto_regions(photograph, painting)
        assert sky.region[0, 0, 20].mean() > 0.9 > 0.1 > rest.region[0, 0, 20].mean()
        assert sky.mask[..., :64].mean() > 2 * sky.mask[..., 96:].mean()
        ```

    Papers: guided by regions as in Gatys et al. 2017, arXiv 1611.07865; the transport is described with
    ``regions.clusters.transport``. How regions and masks are found is this library's.

    """
    given = style if isinstance(style, Style) else Style(style)
    if given.region is not None:
        raise ValueError("regions are found for a style without a region, and this one has one; leave it out")
    photograph, painting = look(load_image(content), sharp=True), look(load_image(given.image), sharp=False)
    usable = _usable(given, painting)
    parts, grounds = _photograph_clusters(photograph), _painting_clusters(painting, usable)
    found, reason = _matched(parts, grounds, usable)
    if found is None:
        warnings.warn(f"no regions were found, so the painting counts everywhere: {reason}", stacklevel=3)
        return [given]
    quiet, masks, left = found
    rest = 1 - quiet.sum(1, keepdim=True)
    regions = torch.cat([quiet, rest], 1)
    masks = torch.cat([masks, _with_lightness(left, rest, painting, photograph)], 1)
    areas = follow_edges(photograph.pixels(regions), photograph.picture)
    areas = without_thin_things(areas / areas.sum(1, keepdim=True), photograph.picture)
    drawn = painting.pixels(masks).clamp(0, 1)
    return [
        replace(given, region=areas[:, k : k + 1], mask=drawn[:, k : k + 1].contiguous()) for k in range(areas.shape[1])
    ]


def save_regions(styles: Sequence[Style], folder: str | os.PathLike[str], *, overwrite: bool = False) -> list[Path]:
    """Save regions and masks as region-1.png, mask-1.png and so on, to look at, to change and to give by hand.

    Args:
        styles: such as ``auto_regions`` returns. What a style does not have is not written.
        folder: the folder, which is created if it does not exist.
        overwrite: replace files that exist.

    Returns:
        The files.

    Raises:
        FileExistsError: one of the files exists.
        OSError: the folder cannot be created or written.

    Example:
        ```python
        import tempfile
        import torch
        from neuralstyle import Style
        from neuralstyle.regions import save_regions

        half = torch.zeros(32, 32)
        half[:16] = 1
        with tempfile.TemporaryDirectory() as folder:
            (file,) = save_regions([Style(torch.rand(3, 32, 32), region=half)], folder)
            assert file.name == "region-1.png"
        ```

    """
    there = Path(folder)
    if there.exists() and not there.is_dir():
        raise NotADirectoryError(f"{there} is a file; give the name of a folder")
    there.mkdir(parents=True, exist_ok=True)
    check_writable(there, "name another one for the masks")
    named = {
        there / f"{what}-{number}.png": weights
        for number, style in enumerate(styles, start=1)
        for what in ("region", "mask")
        if (weights := load_mask(getattr(style, what), what)) is not None
    }
    taken = [path for path in named if path.exists()]
    if taken and not overwrite:
        raise FileExistsError(f"{taken[0]} exists; give another folder, or overwrite=True (--overwrite)")
    return [save_image(weights.expand(-1, 3, -1, -1), path, overwrite) for path, weights in named.items()]


def _usable(style: Style, painting: Places) -> Tensor:
    """How far each place of the painting may be used, from the style's own mask: (N, 1)."""
    mask = load_mask(style.mask)
    if mask is None:
        return torch.ones_like(painting.contrast)
    return resize_image(mask.float().cpu(), painting.grid)[0].flatten(1).T


def _photograph_clusters(photograph: Places) -> _Clusters:
    activity = (photograph.contrast - math.log(EMPTY_CONTRAST)) / math.log(BUSY_CONTRAST / EMPTY_CONTRAST)
    return _clusters(photograph, activity.clamp(0, 1), MOST_PHOTO_CLUSTERS, 0.01, 0.14)


def _painting_clusters(painting: Places, usable: Tensor) -> _Clusters:
    counted = painting.contrast[usable > usable.amax() / 2]
    activity = painting.contrast - counted.median() - math.log(GROUND_CONTRAST)
    return _clusters(painting, activity.clamp(-1, 1), MOST_PAINTING_CLUSTERS, 0.015, 0.08)


def _clusters(places: Places, activity: Tensor, most: int, least_share: float, least_distance: float) -> _Clusters:
    points = torch.cat([_ACTIVITY * activity, places.color], 1)
    centres = find_clusters(points, most, least_share=least_share, least_distance=least_distance)
    members = blur(memberships(points, centres).T.reshape(1, -1, *places.grid), 0.7)[0].flatten(1).T
    lightness = _ranged(centres[:, 1], places.color[:, 0])
    return _Clusters(members, centres[:, 0] / _ACTIVITY, lightness, centres[:, 2:])


def _ranged(values: Tensor, within: Tensor | None = None) -> Tensor:
    """Lightness from the darkest of a picture, 0, to its lightest, 1."""
    dark, light = torch.quantile(values if within is None else within, values.new_tensor([0.02, 0.98]))
    ranged: Tensor = (values - dark) / (light - dark).clamp(min=0.3)
    return ranged


def _matched(parts: _Clusters, paint: _Clusters, usable: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor] | None, str]:
    """Quiet regions (N, K), their masks (M, K) and what is left of the painting (M, 1); or None and the reason."""
    quiet = parts.members * (1 - (2 * parts.activity - 0.3).clamp(0, 1))
    kept = (quiet.mean(0) >= LEAST_AREA) & (parts.activity <= MOST_ACTIVITY)
    if not kept.any():
        return None, "no part of the photograph is quiet"
    weights = paint.members * usable
    sizes = weights.mean(0)
    ground = (paint.activity <= 0) & (sizes > 0)
    if float(sizes[ground].sum()) < LEAST_GROUND * float(usable.mean()):
        return None, "the painting has no quiet ground"
    weights, sizes = weights[:, ground], sizes[ground]
    lightness = parts.lightness[:, None] - paint.lightness[ground]
    kept &= lightness.abs().amin(1) <= MOST_DIFFERENCE
    if not kept.any():
        return None, "the painting has no ground that is as light or dark as the quiet parts of the photograph"
    quiet, lightness = quiet[:, kept], lightness[kept]
    chroma = torch.cdist(parts.chroma[kept], paint.chroma[ground])
    cost = _LIGHTNESS_COST * lightness.square() + _CHROMA_COST * chroma.square()
    amounts = quiet.mean(0)
    uses = max(USES, 1.01 * float(amounts.sum() / sizes.sum()))
    moved = transport(cost, amounts, uses * sizes, _SOFT_COST)
    quiet, moved = _joined(quiet, moved)
    masks = weights @ (moved / sizes).T
    masks = ((1.5 * masks / masks.amax(0)) - 0.5).clamp(0, 1)
    used = weights @ (moved.sum(0) / sizes).clamp(max=1)[:, None]
    if float((usable - used).mean()) < LEAST_GROUND * float(usable.mean()):
        return None, "all of the painting is quiet ground"
    return (quiet, masks, (usable - LEAVES * used).clamp(0, 1)), ""


def _joined(quiet: Tensor, moved: Tensor) -> tuple[Tensor, Tensor]:
    """Join the regions that get the same ground."""
    number = 0
    while number < len(moved):
        alike = torch.cosine_similarity(moved, moved[number][None]) > SAME_GROUND
        alike[: number + 1] = False
        quiet[:, number] += quiet[:, alike].sum(1)
        moved[number] += moved[alike].sum(0)
        quiet, moved = quiet[:, ~alike], moved[~alike]
        number += 1
    return quiet, moved


def _with_lightness(left: Tensor, rest: Tensor, painting: Places, photograph: Places) -> Tensor:
    """What is left of the painting, (M, 1), weighed so that it is as light and dark as the rest of the photograph."""
    shades = torch.linspace(0, 1, SHADES, dtype=torch.float32)
    inks, lights = (
        (1 - (_ranged(places.color[:, :1]).clamp(0, 1) - shades).abs() * (SHADES - 1)).clamp(min=0)
        for places in (painting, photograph)
    )
    amounts, sizes = (rest * lights).sum(0) / rest.sum(), (left * inks).sum(0) / left.sum()
    moved = transport((shades[:, None] - shades).square(), amounts, USES * sizes, _SOFT_COST)
    wanted = inks @ (moved.sum(0) / sizes.clamp(min=1e-6))
    return left * (wanted / wanted.amax())[:, None]
