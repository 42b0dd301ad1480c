"""Masks: grey pictures, one colour of a map, or the lightness or opacity of a picture, as weights in [0, 1]."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image, ImageColor
from torch import Tensor

from neuralstyle._errors import brief, number
from neuralstyle.images.deep import find_late_exif
from neuralstyle.images.opening import open_picture, short_name
from neuralstyle.images.reading import Picture, from_array, from_pil, from_tensor
from neuralstyle.images.strips import Raster, assemble
from neuralstyle.machine.surroundings import plain_torch

Color: TypeAlias = str | tuple[int, int, int]
"""A colour: "#ff0000", a name such as "red", or a tuple of red, green and blue from 0 to 255."""

COLOR_TOLERANCE = 0.1
"""How far each channel may be from a colour to be of that colour."""

LIGHTNESS, ALPHA = "lightness", "alpha"
"""Words that stand in the place of a colour in the text of a mask."""

_LUMINANCE = (0.2126, 0.7152, 0.0722)  # of linear red, green and blue, in that of white
_SATURATED = 0.25  # difference between the largest and the smallest channel of a colour that is no tinted grey
_SATURATED_SHARE = 0.01  # of the pixels, from which on a picture is no grey one
_HALF_LEVEL = 0.5 / 255
_LISTED_COLORS, _LISTED_SHARE = 5, 0.01  # how many colours an error lists, and the smallest share of one
_NEAR_LEVELS = 2 * COLOR_TOLERANCE * 255  # of a channel, within which an error lists one colour alone
_SAMPLED_PIXELS = 2**18


@plain_torch()
def region_of_color(picture: Picture, color: Color, tolerance: float = COLOR_TOLERANCE) -> Tensor:
    """Return the part of a map that has one colour, as a mask or region for a ``Style``.

    ``1 - region_of_color(...)`` is the rest of the map. The text "map.png#ff0000" as a mask or region does the same for
    a file, and "~map.png#ff0000" gives the rest.

    Args:
        picture: the map: a path, PIL image, array or tensor.
        color: "#ff0000", a name such as "red", or red, green and blue from 0 to 255.
        tolerance: how far each channel may be from it, from 0 to 1. Maps saved as JPEG need some.

    Returns:
        (1, 1, H, W), 1 where the map has the colour and 0 elsewhere. Transparent pixels have none.

    Raises:
        ValueError: no pixel has the colour, and the message lists those that there are; or it is not a colour.
        FileNotFoundError: there is no such file.

    Example:
        ```python
        import torch
        from neuralstyle.images import region_of_color

        things = torch.zeros(3, 32, 32)
        things[0, :, :8] = 1
        assert region_of_color(things, "red").mean() == 0.25
        ```

    """
    tolerance = number("tolerance", tolerance, least=0, most=1)
    return _where(_read(picture), color, tolerance, _called(picture))


@plain_torch()
def region_of_lightness(picture: Picture) -> Tensor:
    """Return how light each pixel is, as a mask or region for a ``Style``: white counts, black does not.

    The lightness is the L* of CIELAB, which grows evenly for the eye. The text "photo.jpg#lightness" as a mask or
    region does the same for a file, and "~photo.jpg#lightness" gives the shadows.

    Args:
        picture: a path, PIL image, array or tensor; in colour or grey.

    Returns:
        (1, 1, H, W) in [0, 1]. Transparent pixels are black.

    Example:
        ```python
        from neuralstyle import Style, samples
        from neuralstyle.images import region_of_lightness

        light = region_of_lightness(samples.photo())
        styles = [
            Style(samples.painting("swirl"), region=light),
            Style(samples.painting("embers"), region=1 - light),
        ]
        ```

    """
    return _lightness(_read(picture))


@plain_torch()
def region_of_opacity(picture: Picture) -> Tensor:
    """Return how opaque each pixel is, as a mask or region for a ``Style``; as text, "cutout.png#alpha".

    Args:
        picture: a path, PIL image, array or tensor with an alpha.

    Returns:
        (1, 1, H, W) in [0, 1].

    Raises:
        ValueError: nothing of the picture is transparent.

    Example:
        ```python
        import torch
        from neuralstyle.images import region_of_opacity

        cutout = torch.rand(4, 32, 32)
        assert torch.equal(region_of_opacity(cutout)[0, 0], cutout[3])
        ```

    """
    return _opacity(_read(picture), _called(picture))


@plain_torch()
def load_mask(mask: Picture | None, what: str = "mask") -> Tensor | None:
    """Return a mask or region as weights (1, 1, H, W) in [0, 1]; None for None.

    Transparent pixels are black; but if all others have one colour, the opaque ones are white, with a warning.

    Args:
        mask: a picture of any size; in text, "FILE#COLOR" is the part of FILE that has this colour, "FILE#lightness"
            how light it is, "FILE#alpha" how opaque, and with a "~" before it the rest of any of these, or of FILE.
        what: what messages call it.

    Raises:
        ValueError: the picture is in colour, or nothing has the colour asked for.

    """
    if mask is None:
        return None
    written = _parse(mask)
    levels = _read(written.picture)
    if written.color is None:
        weights = _grey(levels, what, _titled(what, written.picture))
    elif written.color == LIGHTNESS:
        weights = _lightness(levels)
    elif written.color == ALPHA:
        weights = _opacity(levels, _called(written.picture))
    else:
        weights = _where(levels, written.color, COLOR_TOLERANCE, _called(written.picture))
    return 1 - weights if written.inverse else weights


def check_selects(weights: Tensor, mask: Picture, what: str) -> None:
    """Check that a mask selects anything.

    Raises:
        ValueError: it is black all over.

    """
    if float(weights.max()) < _HALF_LEVEL:
        inverse = f", or give its black part as '~{mask}'" if isinstance(mask, str) and mask[:1] != "~" else ""
        raise ValueError(
            f"the {_titled(what, mask)} is black all over, so that nothing counts; draw it white where it is to count"
            f"{inverse}"
        )


@dataclass(frozen=True)
class _Written:
    """A mask as its text says it."""

    picture: Picture
    color: str | None = None
    inverse: bool = False


@dataclass(frozen=True)
class _Levels:
    """Colours (1, 3, H, W), transparent pixels black; opacity (1, 1, H, W), or None where all is opaque."""

    colors: Tensor
    opacity: Tensor | None


def _parse(mask: Picture) -> _Written:
    if not isinstance(mask, (str, os.PathLike)) or _exists(mask):
        return _Written(mask)
    text = os.fspath(mask)
    inverse = text.startswith("~")
    path = text.removeprefix("~")
    if _exists(path):
        return _Written(path, inverse=inverse)
    file, mark, color = path.rpartition("#")
    if mark and _exists(file):
        return _Written(file, color, inverse)
    return _Written(mask)


def _exists(path: str | os.PathLike[str]) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # such as a name that is too long
        return False


@contextmanager
def _opened(picture: Picture) -> Iterator[Any]:
    """The picture; a file as a PIL image that is open."""
    if not isinstance(picture, (str, os.PathLike)):
        yield picture
        return
    with open_picture(Path(picture)) as opened:
        find_late_exif(opened.image, opened.file)
        yield opened.image


def _read(picture: Picture) -> _Levels:
    """Read a picture of any size, however small."""
    name = _called(picture)
    with _opened(picture) as image:
        if isinstance(image, Tensor):
            return _read_tensor(image)
        if isinstance(image, np.ndarray):
            has_opacity = image.ndim == 3 and image.shape[2] == 4
            opacity = _whole(from_array(image[..., 3], name)) if has_opacity else None
            return _levels(_whole(from_array(image, name)), opacity)
        if isinstance(image, Image.Image):
            return _read_pil(image, name)
    kind = type(picture).__name__
    raise TypeError(f"a mask or region is a path, a PIL image, a numpy array or a tensor, received {kind}")


def _read_tensor(image: Tensor) -> _Levels:
    image = image.to(torch.uint8) * 255 if image.dtype == torch.bool else image
    image = image[None] if image.ndim == 2 else image
    has_opacity = image.ndim in (3, 4) and image.shape[-3] == 4
    return _levels(from_tensor(image), from_tensor(image[..., 3:, :, :]) if has_opacity else None)


def _read_pil(image: Image.Image, name: str) -> _Levels:
    raster = from_pil(image, name)
    if not image.has_transparency_data:
        return _levels(_whole(raster), None)
    opacity = image.convert("RGBA").getchannel("A")
    opacity.info.pop("icc_profile", None)  # which is that of the colours
    return _levels(_whole(raster), _whole(replace(from_pil(opacity, name), orientation=raster.orientation)))


def _whole(raster: Raster) -> Tensor:
    return assemble(raster, raster.sides)


def _levels(on_white: Tensor, opacity: Tensor | None) -> _Levels:
    """Pictures are read blended with white, and a mask is blended with black, so the white is subtracted."""
    if opacity is None or float(opacity.min()) > 1 - _HALF_LEVEL:
        return _Levels(on_white, None)
    opacity = opacity[:, :1]
    return _Levels((on_white - (1 - opacity)).clamp(0, 1), opacity)


def _grey(levels: _Levels, what: str, title: str) -> Tensor:
    """The weights of a grey picture.

    Raises:
        ValueError: it is in colour.

    """
    if levels.opacity is not None and (color := _only_color(levels.colors, levels.opacity)) is not None:
        if float(color.min()) < 1 - _HALF_LEVEL:
            warnings.warn(
                f"the {title} has one colour and transparent parts: what is opaque is taken, whatever the colour",
                stacklevel=2,
            )
        return levels.opacity
    least, most = levels.colors.amin(1, keepdim=True), levels.colors.amax(1, keepdim=True)
    if float((most - least > _SATURATED).float().mean()) > _SATURATED_SHARE:
        raise ValueError(
            f"the {title} is in colour ({_listed(levels)}), and a {what} is grey; take one of the colours with "
            f"'FILE#ff0000', in Python also with region_of_color, 'FILE#{LIGHTNESS}' or 'FILE#{ALPHA}', or convert it"
        )
    return torch.where(most == least, least, levels.colors.mean(1, keepdim=True))  # a mean of equal values is rounded


def _lightness(levels: _Levels) -> Tensor:
    """CIE's lightness, from the relative luminance Y: 1.16 Y^(1/3) - 0.16, and a straight line below Y = 0.008856."""
    linear = torch.where(levels.colors <= 0.04045, levels.colors / 12.92, ((levels.colors + 0.055) / 1.055) ** 2.4)
    luminance = (linear * linear.new_tensor(_LUMINANCE).view(1, 3, 1, 1)).sum(1, keepdim=True)
    lightness = torch.where(luminance <= 0.008856, 9.033 * luminance, 1.16 * luminance ** (1 / 3) - 0.16)
    return lightness.clamp_(0, 1)


def _opacity(levels: _Levels, name: str) -> Tensor:
    if levels.opacity is None:
        raise ValueError(
            f"{name} has no transparent part, so its alpha selects everything; give '{LIGHTNESS}' instead of "
            f"'{ALPHA}', a colour, or no mask"
        )
    return levels.opacity


def _only_color(colors: Tensor, opacity: Tensor) -> Tensor | None:
    """The colour of all that is not transparent, if it is one."""
    color = colors.sum((2, 3), keepdim=True) / opacity.sum().clamp(min=_HALF_LEVEL)
    return color if float((colors - color * opacity).abs().max()) <= 2 * _HALF_LEVEL else None


def _where(levels: _Levels, color: Color, tolerance: float, name: str) -> Tensor:
    """The weights of a colour: 1 where a picture has it."""
    wanted = levels.colors.new_tensor(_parse_color(color)).view(1, 3, 1, 1) / 255
    own = levels.colors if levels.opacity is None else levels.colors / levels.opacity.clamp(min=0.5)
    # A value off by rounding alone counts as within.
    found = (own - wanted).abs().amax(1, keepdim=True) <= tolerance + _HALF_LEVEL
    if levels.opacity is not None:
        found &= levels.opacity > 0.5
    if not bool(found.any()):
        raise ValueError(f"{name} has no pixel of the colour {brief(color)}; its colours are {_listed(levels)}")
    return found.to(levels.colors.dtype)


def _parse_color(color: Color) -> tuple[int, ...]:
    if isinstance(color, str):
        hexadecimal = len(color) in (3, 6) and all(letter in "0123456789abcdefABCDEF" for letter in color)
        try:
            return ImageColor.getrgb(f"#{color}" if hexadecimal else color)[:3]
        except ValueError:
            pass
    elif isinstance(color, (tuple, list)) and len(color) == 3 and all(each in range(256) for each in color):
        return tuple(color)
    raise ValueError(
        f"a colour is '#ff0000', a name such as 'red', or three whole numbers from 0 to 255, received {brief(color)}"
    )


def _listed(levels: _Levels) -> str:
    """The commonest colours with their shares, as text; those near a commoner one are left out."""
    colors = levels.colors if levels.opacity is None else levels.colors * (levels.opacity > 0.5)
    pixels = (colors[0].flatten(1) * 255).round().to(torch.int64)
    pixels = pixels[:, :: max(1, pixels.shape[1] // _SAMPLED_PIXELS)]
    codes, counts = (pixels[0] * 65536 + pixels[1] * 256 + pixels[2]).unique(return_counts=True)  # type: ignore[no-untyped-call]
    listed: list[tuple[int, ...]] = []
    words = []
    for index in counts.argsort(descending=True, stable=True)[:64].tolist():
        code, share = int(codes[index]), float(counts[index]) / pixels.shape[1]
        rgb = (code >> 16, code >> 8 & 255, code & 255)
        is_new = all(max(abs(a - b) for a, b in zip(rgb, other, strict=True)) > _NEAR_LEVELS for other in listed)
        if len(listed) < _LISTED_COLORS and is_new and share >= _LISTED_SHARE:
            listed.append(rgb)
            words.append(f"#{code:06x} {share:.0%}")
    return ", ".join(words) or "as a photograph is"


def _called(picture: object) -> str:
    """What messages call the picture of a mask."""
    if isinstance(picture, (str, os.PathLike)):
        return short_name(Path(picture))
    return {Tensor: "the tensor", np.ndarray: "the array"}.get(type(picture), "the picture")


def _titled(what: str, picture: object) -> str:
    """What messages call a mask."""
    return f"{what} {_called(picture)}" if isinstance(picture, (str, os.PathLike)) else f"{what} of a style"
