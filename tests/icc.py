"""Colour profiles made from scratch, and what they mean by formula."""

from __future__ import annotations

import struct

import numpy as np
from PIL import ImageCms

# The colorants of Display P3 and of sRGB, adapted to D50, a row each for red, green and blue.
P3 = np.array([[0.51512, 0.24120, -0.00105], [0.29198, 0.69225, 0.04189], [0.15710, 0.06657, 0.78407]])
SRGB = np.array([[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.71410]])
GAMMA = 563 / 256  # 2.2, as an ICC profile holds it


def profile(space: bytes, tags: dict[bytes, bytes], pcs: bytes = b"XYZ ", kind: bytes = b"mntr") -> bytes:
    """A minimal ICC version 2 profile."""
    white = struct.pack(">3i", 63190, 65536, 54061)
    described = b"desc\0\0\0\0" + struct.pack(">I", 2) + b"x\0" + bytes(78)
    tags = {b"desc": described, b"wtpt": b"XYZ \0\0\0\0" + white, **tags}
    table, body, offset = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    header = bytes(4) + b"lcms" + struct.pack(">I", 0x02400000) + kind + space + pcs + bytes(12) + b"acsp"
    header = (header.ljust(68, b"\0") + white).ljust(128, b"\0")
    return struct.pack(">I", offset + len(body)) + header[4:] + table + body


def srgb_profile(red_is_green: bool = False) -> bytes:
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = data[:24] + bytes(12) + data[36:]  # without the second it was made in: two calls give the same bytes
    if red_is_green:
        data = data.replace(b"rXYZ", b"????", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"????", b"gXYZ", 1)
    return data


def _xyz(color: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(part * 65536) for part in color))


_POWER = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(GAMMA * 256))
WIDE = profile(
    b"RGB ",
    {
        **{name + b"XYZ": _xyz(color) for name, color in zip((b"r", b"g", b"b"), P3, strict=True)},
        **{name + b"TRC": _POWER for name in (b"r", b"g", b"b")},
    },
)
"""The primaries of Display P3 with a gamma of 2.2."""

GREY_LINEAR = profile(b"GRAY", {b"kTRC": b"curv\0\0\0\0" + struct.pack(">I", 0)})

# Every ink is invisible but black: a table of 2^4 colours in Lab, whose first input (C) varies slowest.
_corners = b"".join(bytes([0 if corner & 1 else 255, 128, 128]) for corner in range(16))
_line = bytes(range(256))
_lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
CMYK_BLACK_ONLY = profile(b"CMYK", {b"A2B0": _lut + _line * 4 + _corners + _line * 3}, b"Lab ", b"prtr")


def encode(light: np.ndarray) -> np.ndarray:
    """The curve of sRGB."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.clip(light, 1e-9, None) ** (1 / 2.4) - 0.055)


def decode(value: np.ndarray) -> np.ndarray:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def wide_to_srgb(value: np.ndarray) -> np.ndarray:
    """Colours (...,3) in the profile WIDE to sRGB, clipped."""
    return np.clip(encode(np.clip(value**GAMMA @ P3 @ np.linalg.inv(SRGB), 0, 1)), 0, 1)


def srgb_to_wide(value: np.ndarray) -> np.ndarray:
    return np.clip(decode(value) @ SRGB @ np.linalg.inv(P3), 0, 1) ** (1 / GAMMA)
