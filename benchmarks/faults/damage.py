"""Damage to bytes: which and where comes from a generator of random numbers, so that a seed repeats it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from random import Random

EXTREMES = (0, 1, 2, 0x7F, 0xFF, 300, 10_000, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
HEADER = 512  # bytes at the start, where most formats keep their fields

Damage = Callable[[Random, bytearray], bytes]


def flip(dice: Random, data: bytearray) -> bytes:
    for _ in range(dice.choice((1, 1, 2, 8, 64, 200))):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return bytes(data)


def flip_header(dice: Random, data: bytearray) -> bytes:
    for _ in range(dice.choice((1, 2, 4, 8))):
        data[dice.randrange(min(HEADER, len(data)))] ^= 1 << dice.randrange(8)
    return bytes(data)


def truncate(dice: Random, data: bytearray) -> bytes:
    return bytes(data[: dice.randrange(1, len(data))])


def splice(dice: Random, data: bytearray) -> bytes:
    """Put a piece of the file over another place."""
    start, length = _range(dice, data)
    place = dice.randrange(len(data))
    return bytes(data[:place] + data[start : start + length] + data[place + length :])


def blank(dice: Random, data: bytearray) -> bytes:
    """Zero a range, or fill it with ones or noise."""
    start, length = _range(dice, data)
    filling = dice.choice((b"\0" * length, b"\xff" * length, dice.randbytes(length)))
    data[start : start + length] = filling
    return bytes(data)


def duplicate(dice: Random, data: bytearray) -> bytes:
    start, length = _range(dice, data)
    return bytes(data[: start + length] + data[start:])


def remove(dice: Random, data: bytearray) -> bytes:
    start, length = _range(dice, data)
    del data[start : start + length]
    return bytes(data) or b"\0"


def append(dice: Random, data: bytearray) -> bytes:
    return bytes(data) + dice.choice((b"\0", dice.randbytes(100), bytes(data), b"\n" * 5000))


def extreme_field(dice: Random, data: bytearray) -> bytes:
    """Change a field of the header to an extreme value."""
    for _ in range(dice.choice((1, 1, 2, 3))):
        code = dice.choice("<>") + dice.choice("BHIQ")
        place = dice.randrange(min(HEADER, len(data)))
        field = struct.pack(code, dice.choice(EXTREMES) % 256 ** struct.calcsize(code))
        data[place : place + len(field)] = field
    return bytes(data)


ANYWHERE: tuple[Damage, ...] = (
    flip,
    flip_header,
    truncate,
    splice,
    blank,
    duplicate,
    remove,
    append,
    extreme_field,
    extreme_field,
)
"""For files of every kind."""


def _range(dice: Random, data: bytearray) -> tuple[int, int]:
    start = dice.randrange(len(data))
    return start, dice.randint(1, max(1, min(dice.choice((1, 4, 16, 256, len(data))), len(data) - start)))


# Formats that are made of pieces, each with its length: the pieces are damaged and the lengths stay right.


def png_pieces(data: bytes) -> Iterator[bytes]:
    yield data[:8]
    place = 8
    while place < len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        yield data[place:end]
        place = end


def jpeg_pieces(data: bytes) -> Iterator[bytes]:
    yield data[:2]
    place = 2
    while place < len(data) and data[place + 1] != 0xDA:  # from the start of the scan on there are no lengths
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        yield data[place:end]
        place = end
    yield data[place:]


def riff_pieces(data: bytes) -> Iterator[bytes]:
    yield data[:12]
    place = 12
    while place < len(data):
        length = int.from_bytes(data[place + 4 : place + 8], "little")
        end = place + 8 + length + length % 2
        yield data[place:end]
        place = end


def box_pieces(data: bytes) -> Iterator[bytes]:
    """The boxes of AVIF and JPEG 2000."""
    place = 0
    while place < len(data):
        end = place + (int.from_bytes(data[place : place + 4], "big") or len(data))
        yield data[place:end]
        place = end


PIECES: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "png": png_pieces,
    "jpeg": jpeg_pieces,
    "mpo": jpeg_pieces,
    "webp": riff_pieces,
    "avif": box_pieces,
    "heic": box_pieces,
    "jpeg2000": box_pieces,
}


def change_pieces(dice: Random, data: bytes, form: str) -> bytes:
    """Repeat, drop, move or damage one piece of a file; the first, the signature, stays."""
    first, *pieces = PIECES[form](data)
    if not pieces:
        return first
    chosen = dice.randrange(len(pieces))
    piece = pieces.pop(chosen)
    what = dice.choice(("repeat", "drop", "move", "damage", "damage"))
    if what == "repeat":
        pieces[chosen:chosen] = [piece] * dice.choice((2, 3, 50))
    elif what == "move":
        pieces.insert(dice.randint(0, len(pieces)), piece)
    elif what == "damage":
        pieces.insert(chosen, _damaged_piece(dice, piece, form))
    return first + b"".join(pieces)


def _damaged_piece(dice: Random, piece: bytes, form: str) -> bytes:
    if form != "png" or len(piece) < 13:
        body = bytearray(piece[4:])
        return piece[:4] + (dice.choice((flip, blank, extreme_field))(dice, body) if body else b"")
    # The checksum is made right again: damage that it would catch is made elsewhere.
    kind, body = piece[4:8], bytearray(piece[8:-4])
    changed = dice.choice((flip, blank, extreme_field))(dice, body)[: len(body)]
    return struct.pack(">I", len(changed)) + kind + changed + struct.pack(">I", zlib.crc32(kind + changed))


def damage(dice: Random, data: bytes, form: str = "") -> tuple[bytes, str]:
    """Damage a file once or a few times.

    Returns:
        The bytes, and what was done to them in words.

    """
    done: list[str] = []
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        if form in PIECES and not done and dice.random() < 0.35:
            data = change_pieces(dice, data, form)
            done.append("change_pieces")
        else:
            how = dice.choice(ANYWHERE)
            data = how(dice, bytearray(data or b"\0"))
            done.append(how.__name__)
    return data or b"\0", ", ".join(done)
