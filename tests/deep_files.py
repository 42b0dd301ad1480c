"""PNG and TIFF files of 16 bits a channel, written byte by byte."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes().removeprefix(b"Exif\0\0")


def chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    pixels: np.ndarray, before: Sequence[tuple[bytes, bytes]] = (), after: Sequence[tuple[bytes, bytes]] = ()
) -> bytes:
    """Of (H,W,C) uint16, with other chunks before and after the pixels."""
    height, width, channels = pixels.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)), *before]
    chunks += [(b"IDAT", zlib.compress(rows)), *after, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*item) for item in chunks)


def icc_chunk(profile: bytes) -> tuple[bytes, bytes]:
    return b"iCCP", b"x\0\0" + zlib.compress(profile)


def tiff(
    pixels: np.ndarray,
    *,
    extra: int | None = None,
    orientation: int = 1,
    order: str = "<",
    planar: bool = False,
    profile: bytes = b"",
) -> bytes:
    """Of (H,W,C) uint16, not compressed; `extra`: the last channel is 0 no alpha, 1 alpha and applied, 2 alpha."""
    height, width, channels = pixels.shape
    colors = channels - (extra is not None)
    planes = [pixels[:, :, channel] for channel in range(channels)] if planar else [pixels]
    parts = [plane.astype(f"{order}u2").tobytes() for plane in planes]
    entries: list[tuple[int, str, list[Any]]] = [
        (256, "I", [width]),
        (257, "I", [height]),
        (258, "H", [16] * channels),
        (259, "H", [1]),
        (262, "H", [2 if colors == 3 else 1]),
        (273, "I", [8 + sum(len(part) for part in parts[:number]) for number in range(len(parts))]),
        (274, "H", [orientation]),
        (277, "H", [channels]),
        (278, "I", [height]),
        (279, "I", [len(part) for part in parts]),
        (284, "H", [2 if planar else 1]),
    ]
    if extra is not None:
        entries.append((338, "H", [extra]))
    if profile:
        entries.append((34675, "B", list(profile)))
    body = b"".join(parts)
    place = 8 + len(body)
    behind = place + 2 + 12 * len(entries) + 4
    directory, rest = struct.pack(f"{order}H", len(entries)), b""
    for tag, kind, values in entries:
        data = struct.pack(f"{order}{len(values)}{kind}", *values)
        directory += struct.pack(f"{order}HHI", tag, {"B": 7, "H": 3, "I": 4}[kind], len(values))
        if len(data) > 4:
            directory += struct.pack(f"{order}I", behind + len(rest))
            rest += data + bytes(len(data) % 2)
        else:
            directory += data.ljust(4, b"\0")
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, place)
    return head + body + directory + bytes(4) + rest
