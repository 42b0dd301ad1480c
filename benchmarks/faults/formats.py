"""Whole pictures as bytes, small, in every format and variant that the library reads."""

from __future__ import annotations

import importlib.util
import io
import struct
import zlib
from collections.abc import Callable, Iterable
from functools import cache
from random import Random
from typing import Any

from damage import damage
from PIL import Image, ImageCms

Maker = Callable[[Random], bytes]


def picture(dice: Random, mode: str = "RGB") -> Image.Image:
    """A smooth picture with sides of 16 to 80 pixels."""
    width, height = dice.randint(16, 80), dice.randint(16, 80)
    small = Image.frombytes("RGB", (4, 3), dice.randbytes(36))
    large = small.resize((width, height), Image.Resampling.BICUBIC)
    if mode == "LAB":
        return Image.frombytes("LAB", large.size, large.tobytes())
    if mode == "I;16":
        return Image.frombytes("I;16", large.size, large.convert("L").resize((2 * width, height)).tobytes())
    if mode == "F":
        return large.convert("F").point(lambda level: level * (1 / 255))  # of pictures, from 0 to 1
    if mode in ("RGBA", "LA", "PA"):
        large = large.convert("RGBA")
        large.putalpha(large.getchannel("R"))
    return large.convert(mode)


def saved(form: str, modes: Iterable[str], **choices: Iterable[Any]) -> Maker:
    """A maker of files in a format of Pillow's, with one of the modes and one value for each option."""

    def make(dice: Random) -> bytes:
        image = picture(dice, dice.choice(tuple(modes)))
        options = {name: dice.choice(tuple(values)) for name, values in choices.items()}
        if form == "TIFF" and options.get("compression") == "jpeg" and image.mode not in ("RGB", "L"):
            options["compression"] = "raw"
        buffer = io.BytesIO()
        image.save(buffer, form, **{name: value for name, value in options.items() if value is not None})
        return buffer.getvalue()

    return make


def profile(dice: Random, share_whole: float = 0.5) -> bytes:
    """An ICC profile, which may be damaged."""
    data = _srgb()
    return data if dice.random() < share_whole else damage(dice, data)[0]


@cache
def _srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def orientation(dice: Random) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = dice.choice((1, 3, 6, 8))
    return exif.tobytes()


def with_extras(form: str, modes: Iterable[str], **choices: Iterable[Any]) -> Maker:
    """As ``saved``, often with a profile and an orientation."""

    def make(dice: Random) -> bytes:
        extras: dict[str, Any] = {}
        if dice.random() < 0.3:
            extras["icc_profile"] = [profile(dice, 1)]
        if dice.random() < 0.3:
            extras["exif"] = [orientation(dice)]
        return saved(form, modes, **choices, **extras)(dice)

    return make


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def deep_png(dice: Random) -> bytes:
    """A PNG with 16 bits a channel: grey, colour, each also with alpha."""
    width, height = dice.randint(16, 60), dice.randint(16, 60)
    color, channels = dice.choice(((0, 1), (2, 3), (4, 2), (6, 4)))
    rows = b"".join(b"\0" + dice.randbytes(2 * channels * width) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0)
    extra = _chunk(b"iCCP", b"p\0\0" + zlib.compress(profile(dice, 1))) if dice.random() < 0.3 and channels > 2 else b""
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + extra
        + _chunk(b"IDAT", zlib.compress(rows))
        + _chunk(b"IEND", b"")
    )


def deep_tiff(dice: Random) -> bytes:
    """A TIFF of one strip with 16 bits a channel."""
    width, height, channels = dice.randint(16, 60), dice.randint(16, 60), dice.choice((1, 3))
    order, code = dice.choice(((b"II", "<"), (b"MM", ">")))
    pixels = dice.randbytes(2 * channels * width * height)
    fields = [(256, 4, 1, width), (257, 4, 1, height), (259, 3, 1, 1), (262, 3, 1, 1 if channels == 1 else 2)]
    fields += [(277, 3, 1, channels), (278, 4, 1, height), (279, 4, 1, len(pixels))]
    after = 8 + 2 + 12 * (len(fields) + 2) + 4
    fields += [(258, 3, channels, after if channels == 3 else 16), (273, 4, 1, after + 6)]
    table = b""
    for tag, kind, count, value in sorted(fields):
        is_short = kind == 3 and count == 1
        table += struct.pack(code + ("HHIHH" if is_short else "HHII"), tag, kind, count, value, *([0] * is_short))
    header = order + struct.pack(code + "HI", 42, 8) + struct.pack(code + "H", len(fields))
    return header + table + bytes(4) + struct.pack(code + "HHH", 16, 16, 16) + pixels


def one_of(*makers: Maker) -> Maker:
    return lambda dice: dice.choice(makers)(dice)


def animation(dice: Random) -> bytes:
    image = picture(dice)
    buffer = io.BytesIO()
    image.save(buffer, "GIF", save_all=True, append_images=[image.transpose(Image.Transpose.ROTATE_180)], duration=50)
    return buffer.getvalue()


def two_pictures(dice: Random) -> bytes:
    image = picture(dice)
    buffer = io.BytesIO()
    image.save(buffer, "MPO", save_all=True, append_images=[image.transpose(Image.Transpose.ROTATE_180)])
    return buffer.getvalue()


def icon(dice: Random) -> bytes:
    buffer = io.BytesIO()
    sizes = dice.choice(([(16, 16)], [(32, 32), (16, 16)]))
    picture(dice, dice.choice(("RGB", "RGBA"))).resize((48, 48)).save(
        buffer, "ICO", sizes=sizes, bitmap_format=dice.choice(("png", "bmp"))
    )
    return buffer.getvalue()


def heic(dice: Random) -> bytes:
    import pillow_heif

    buffer = io.BytesIO()
    pillow_heif.from_pillow(picture(dice, dice.choice(("RGB", "RGBA")))).save(buffer, quality=50)
    return buffer.getvalue()


FORMATS: dict[str, tuple[str, Maker]] = {
    "png": (
        ".png",
        one_of(with_extras("PNG", ("RGB", "RGBA", "L", "LA", "P", "1")), saved("PNG", ("I;16",)), deep_png),
    ),
    "jpeg": (".jpg", with_extras("JPEG", ("RGB", "L", "CMYK"), progressive=(False, True), quality=(30, 90))),
    "mpo": (".mpo", two_pictures),
    "webp": (".webp", with_extras("WEBP", ("RGB", "RGBA"), lossless=(False, True))),
    "tiff": (
        ".tif",
        one_of(
            with_extras(
                "TIFF",
                ("RGB", "RGBA", "L", "P", "1", "CMYK", "LAB"),
                compression=("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"),
            ),
            saved("TIFF", ("RGB", "L"), compression=("jpeg",)),
            saved("TIFF", ("I;16", "F")),
            deep_tiff,
        ),
    ),
    "gif": (".gif", one_of(saved("GIF", ("P", "L", "RGB")), animation)),
    "bmp": (".bmp", saved("BMP", ("RGB", "L", "P", "1", "RGBA"))),
    "avif": (".avif", with_extras("AVIF", ("RGB", "RGBA"), speed=(10,))),
    "jpeg2000": (".jp2", saved("JPEG2000", ("RGB", "RGBA", "L"), irreversible=(False, True))),
    "tga": (".tga", saved("TGA", ("RGB", "RGBA", "L", "P"), compression=(None, "tga_rle"))),
    "ppm": (".ppm", saved("PPM", ("RGB", "L", "1", "I;16"))),
    "qoi": (".qoi", saved("QOI", ("RGB", "RGBA"))),
    "ico": (".ico", icon),
}
"""By name: the suffix, and a maker of whole files."""

if importlib.util.find_spec("pillow_heif") is not None:
    FORMATS["heic"] = (".heic", heic)


def with_damaged_profile(dice: Random) -> tuple[str, bytes]:
    """A whole picture whose embedded profile is damaged: its suffix and its bytes."""
    form, suffix = dice.choice((("PNG", ".png"), ("JPEG", ".jpg"), ("TIFF", ".tif"), ("WEBP", ".webp")))
    return suffix, saved(form, ("RGB",), icc_profile=[profile(dice, 0)])(dice)
