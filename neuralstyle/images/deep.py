"""Through libvips: 16 bits per channel and files of more than 4 GB, and vast pictures without a copy of them."""

from __future__ import annotations

import errno
import logging
import os
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from neuralstyle.images.notes import KEYWORD
from neuralstyle.images.opening import Opened, decoding
from neuralstyle.images.profiles import is_grey, is_srgb, needed_profile
from neuralstyle.images.strips import Raster, spans

MAX_TIFF_BYTES = 4_000_000_000
"""Most bytes of pixels in an ordinary TIFF, which has at most 2^32 bytes in all; larger files are BigTIFF."""

VAST_PIXELS = 2**24
"""Pixels from which libvips reads a picture at 8 bits, where it is installed: Pillow would hold it whole."""

_VAST_MODES = ("L", "LA", "RGB", "RGBA")
_BITS, _PHOTOMETRIC = 258, 262  # TIFF tags
_MINIMUM_IS_BLACK, _RGB = 1, 2
_MM_PER_INCH = 25.4
LONGEST_REASON = 160
"""Characters of the reason of libvips that a message shows."""

_NULL_HANDLER = logging.NullHandler()
_INTENT = {"intent": "relative", "black_point_compensation": True, "pcs": "lab"}


def vips(purpose: str) -> Any:
    """Import pyvips, the module of libvips.

    Raises:
        ImportError: pyvips is not installed; the message names the ``purpose`` and the command that installs it.

    """
    try:
        import pyvips
    except (ImportError, OSError) as error:  # OSError: the library itself is missing
        raise ImportError(f"{purpose} needs libvips; run 'pip install neuralstyle-torch[large]'") from error
    logging.getLogger("pyvips").addHandler(_NULL_HANDLER)  # silent unless the application configures logging
    return pyvips


def is_deep(image: Image.Image) -> bool:
    """Tell whether Pillow would decode an opened picture to fewer bits than its file has."""
    if image.format == "PNG":
        deep = any(";16" in str(tile[3]) for tile in image.tile)  # type: ignore[attr-defined]
        grey = image.mode == "I;16"
    elif image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        deep = set(tags.get(_BITS, ())) == {16} and tags.get(_PHOTOMETRIC) in (_MINIMUM_IS_BLACK, _RGB)
        grey = tags.get(_PHOTOMETRIC) == _MINIMUM_IS_BLACK
    else:
        return False
    return deep and (not grey or "icc_profile" in image.info)


def can_read_deep(name: str) -> bool:
    """Tell whether libvips can read a picture at 16 bits; warn if it is not installed."""
    try:
        vips(f"{name} is read at 8 of its 16 bits; the rest")
    except ImportError as error:
        warnings.warn(str(error), stacklevel=2)
        return False
    return True


def is_vast(image: Image.Image) -> bool:
    """Tell whether a picture is so large that libvips should read it, and libvips gives the same values."""
    if image.width * image.height < VAST_PIXELS or "transparency" in image.info or image.mode not in _VAST_MODES:
        return False
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        plain = set(tags.get(_BITS, ())) == {8} and tags.get(_PHOTOMETRIC) in (_MINIMUM_IS_BLACK, _RGB)
    else:
        plain = image.format in ("PNG", "WEBP")
    try:
        return plain and vips("") is not None
    except ImportError:
        return False


def find_late_exif(image: Image.Image, file: IO[bytes]) -> None:
    """Find the EXIF block behind the pixels of a PNG, which Pillow finds only after decoding them."""
    if image.format != "PNG" or "exif" in image.info:
        return
    start = file.tell()
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"eXIf":
            image.info["exif"] = file.read(length)
            break
        file.seek(length + 4, 1)
    file.seek(start)


def deep_raster(opened: Opened, name: str, orientation: int, shrink: float = 1) -> Raster:
    """Read the rows of a PNG, TIFF or WebP file at the bits that it has, in sRGB.

    Args:
        opened: the picture, opened by Pillow and not decoded.
        name: name of the picture in errors.
        orientation: EXIF's number, 1 to 8.
        shrink: decode a WebP at its sides divided by this, at least 1.

    """
    pyvips = vips(name)
    kind = {"PNG": "png", "TIFF": "tiff", "WEBP": "webp"}[opened.image.format or ""]
    options: dict[str, Any] = {"scale": 1 / shrink} if kind == "webp" else {}
    is_path = isinstance(opened.source, Path)
    load = getattr(pyvips.Image, f"{kind}load" if is_path else f"{kind}load_buffer")
    with decoding(name):
        # Sequential access also keeps libvips from caching the pixels of a file that is replaced later.
        source = str(opened.source) if is_path else opened.source
        stored = load(source, access="sequential", fail_on="error", **options)
        picture = _to_srgb(stored, opened.image, name)
    number = np.uint16 if picture.format == "ushort" else np.uint8

    def strips() -> Iterator[npt.NDArray[Any]]:
        with decoding(name):
            region = pyvips.Region.new(picture)
            for top, end in spans(picture.height, picture.width):
                values = np.frombuffer(region.fetch(0, top, picture.width, end - top), dtype=number)
                yield values.reshape(end - top, picture.width, picture.bands)

    return Raster(name, picture.height, picture.width, strips(), orientation, picture.bands == 4)


def write_with_vips(
    image: Tensor,
    path: Path,
    kind: str,
    depth: int,
    profile: bytes | None,
    big: bool,
    dpi: float | None = None,
    note: str | None = None,
) -> None:
    """Write a picture to a PNG or TIFF file, reading the tensor strip by strip.

    Args:
        image: (3, H, W), with an alpha (4, H, W), finite, float32 or float64, on the CPU.
        path: the file to write.
        kind: "PNG" or "TIFF".
        depth: 8 or 16 bits per channel.
        profile: the ICC profile to convert into and to embed; None: sRGB.
        big: whether a TIFF becomes a BigTIFF.
        dpi: resolution to write into the file, in pixels per inch; None: none.
        note: a text that travels in the file, see ``images/notes.py``.

    Raises:
        OSError: writing failed.

    """
    pyvips = vips(f"{path}")
    planes = image.contiguous().numpy()
    channels, height, width = planes.shape
    number = "double" if planes.dtype == np.float64 else "float"
    whole = pyvips.Image.new_from_memory(planes, width, channels * height, 1, number)
    red, *others = (whole.crop(0, channel * height, width, height) for channel in range(channels))
    levels = (red.bandjoin(others) * (2**depth - 1)).rint().cast("ushort" if depth == 16 else "uchar")
    picture = levels.copy(interpretation="rgb16" if depth == 16 else "srgb")
    if profile is not None and is_srgb(profile):
        picture = _with_profile(picture, profile)
    elif profile is not None:
        lab = picture.icc_import(input_profile="srgb", **_INTENT)
        picture = _with_profile(lab, profile).icc_export(depth=depth, **_INTENT)
    if dpi is not None:
        picture = picture.copy(xres=dpi / _MM_PER_INCH, yres=dpi / _MM_PER_INCH)
    keep = "icc" if note is None else "icc:other"
    if note is not None:
        picture = picture.copy()
        field = f"png-comment-0-{KEYWORD}" if kind == "PNG" else "image-description"
        picture.set_type(pyvips.GValue.gstr_type, field, note)
    try:
        if kind == "PNG":
            picture.pngsave(str(path), bitdepth=depth, keep=keep)
        else:
            unit = {} if dpi is None else {"resunit": "inch"}
            picture.tiffsave(str(path), compression="deflate", predictor="horizontal", bigtiff=big, keep=keep, **unit)
    except pyvips.Error as error:
        reason = _line(error)
        full = next((code for code in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT) if os.strerror(code) in reason), None)
        if full is not None:
            raise OSError(full, os.strerror(full), str(path)) from error
        raise OSError(f"writing {path.name} failed ({reason[:LONGEST_REASON]})") from error


def _to_srgb(stored: Any, image: Image.Image, name: str) -> Any:
    """Convert to sRGB and append the alpha, if there is any; libvips has already undone premultiplication."""
    colors = 3 if stored.bands >= 3 else 1
    transparent = image.has_transparency_data and stored.bands > colors
    color = stored.extract_band(0, n=colors)
    profile = needed_profile(image.info.get("icc_profile"), colors == 1, name)
    if profile is not None:
        if colors == 1 and not is_grey(profile):
            color = color.bandjoin([color, color])
        depth = 16 if stored.format == "ushort" else 8
        grey, colored = ("grey16", "rgb16") if depth == 16 else ("b-w", "srgb")
        color = color.copy(interpretation=grey if color.bands == 1 else colored)
        color = _with_profile(color, profile).icc_import(embedded=True, **_INTENT)
        color = color.icc_export(output_profile="srgb", depth=depth, **_INTENT)
    if not transparent:
        return color
    alpha = stored.extract_band(colors)
    return (color if color.bands == 3 else color.bandjoin([color, color])).bandjoin(alpha)


def _with_profile(picture: Any, profile: bytes) -> Any:
    """Return a copy with an embedded profile."""
    from pyvips import GValue

    copy = picture.copy()
    copy.set_type(GValue.blob_type, "icc-profile-data", profile)
    return copy


def _line(error: Exception) -> str:
    """Return an error's text in one line."""
    return " ".join(str(error).split())
