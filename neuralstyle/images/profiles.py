"""Colour profiles (ICC), converted by LittleCMS at 8 bits: to sRGB when reading, from sRGB when saving."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageCms

from neuralstyle.images.opening import open_picture, short_name

Profile: TypeAlias = bytes | str | os.PathLike[str]
"""The bytes of an ICC profile, or the path of a profile or of a picture that holds one."""


def to_srgb(image: Image.Image, name: str) -> Callable[[Image.Image], Image.Image]:
    """Return a function that converts a picture or strips of it to sRGB, in mode RGB or, if transparent, RGBA."""
    transparent = image.has_transparency_data
    if image.mode == "LAB":  # absolute colours, independent of a profile
        mode, transform = "LAB", _from_lab()
    else:  # a palette's profile applies to the colours in the palette
        mode = "CMYK" if image.mode == "CMYK" else "L" if image.mode in ("1", "L", "LA") else "RGB"
        mode, transform = _transform(image.info.get("icc_profile"), mode, name)

    def convert(strip: Image.Image) -> Image.Image:
        alpha = None
        if transparent:
            strip = strip.convert("RGBA")
            alpha = strip.getchannel("A")
        if transform is not None:
            strip = transform.apply(strip if strip.mode == mode else strip.convert(mode))
        if strip.mode != "RGB":
            strip = strip.convert("RGB")
        if alpha is not None:
            strip.putalpha(alpha)
        return strip

    return convert


def needed_profile(data: bytes | None, grey: bool, name: str) -> bytes | None:
    """Return the profile from which to convert to sRGB, or None if the colours (or greys) are sRGB already."""
    _, transform = _transform(data, "L" if grey else "RGB", name)
    return None if transform is None or data is None or is_srgb(data) else data


def is_grey(data: bytes) -> bool:
    """Tell whether a profile is for grey."""
    return _space(data) == "GRAY"


def is_srgb(data: bytes) -> bool:
    """Tell whether a profile equals sRGB, to within one of 256 levels at 17^3 colours."""
    if _space(data) != "RGB":
        return False
    levels = np.linspace(0, 255, 17).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(17, 17 * 17, 3)
    converted = np.asarray(_between(_open(data), _srgb(), "RGB").apply(Image.fromarray(cube)))
    return int(np.abs(converted.astype(int) - cube).max()) <= 1


def read_profile(profile: Profile) -> bytes | None:
    """Return the profile to save a picture with, or None for the path of a picture without one.

    Raises:
        TypeError: ``profile`` is neither bytes nor a path.
        FileNotFoundError: there is no such file.
        ValueError: ``profile`` is not an ICC profile or not for RGB, or colours cannot be converted into it.

    """
    if isinstance(profile, bytes):
        data, name = profile, "the profile"
    elif isinstance(profile, (str, os.PathLike)):
        found = _from_file(Path(profile))
        if found is None:
            return None
        data, name = found, f"the profile of {profile}"
    else:
        raise TypeError(f"profile is bytes or a path, received {type(profile).__name__}")
    try:
        space = _space(data)
    except Exception as error:  # pyCMS wraps some of its errors and not others
        raise ValueError(f"{name} cannot be read ({error}); give a complete ICC profile") from error
    if space != "RGB":
        raise ValueError(f"{name} is for {space}, and pictures are saved in RGB; give an RGB profile or leave it out")
    try:
        _between(_srgb(), _open(data), "RGB")
    except Exception as error:
        raise ValueError(f"colours cannot be converted into {name} ({error}); give another RGB profile") from error
    return data


def from_srgb(image: Image.Image, data: bytes) -> Image.Image:
    """Convert a picture of mode RGB or RGBA from sRGB into a profile."""
    if is_srgb(data):
        return image
    converted: Image.Image = _between(_srgb(), _open(data), "RGB").apply(image.convert("RGB"))
    if image.mode == "RGBA":
        converted.putalpha(image.getchannel("A"))
    return converted


def _from_file(path: Path) -> bytes | None:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path} to read the profile from; check the name and the folder")
    with path.open("rb") as file:
        if file.read(40)[36:] == b"acsp":  # the signature of ICC profiles
            file.seek(0)
            return file.read()
    try:
        with open_picture(path) as opened:
            data: bytes | None = opened.image.info.get("icc_profile")
    except ValueError as error:
        raise ValueError(f"{short_name(path)} is neither a picture nor an ICC profile; give one of the two") from error
    return data


def _transform(data: bytes | None, mode: str, name: str) -> tuple[str, Any]:
    """Return the mode that a profile applies to, and the conversion to sRGB: None without a usable profile."""
    if not data:
        return mode, None
    try:
        if mode == "L" and not is_grey(data):
            mode = "RGB"
        return mode, _between(_open(data), _srgb(), mode)
    except Exception as error:
        warnings.warn(f"{name}: the colour profile cannot be used and is ignored ({error})", stacklevel=2)
        return mode, None


def _between(source: Any, target: Any, mode: str) -> Any:
    """Build the conversion from one profile, in a mode, to RGB in another."""
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    return ImageCms.buildTransform(source, target, mode, "RGB", intent, ImageCms.Flags.BLACKPOINTCOMPENSATION)


def _from_lab() -> Any:
    """Build the conversion from Lab once; Pillow would build it again for every strip."""
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), _srgb(), "LAB", "RGB")


def _open(data: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(data))


def _space(data: bytes) -> str:
    return _open(data).profile.xcolor_space.strip()


def _srgb() -> Any:
    return ImageCms.createProfile("sRGB")
