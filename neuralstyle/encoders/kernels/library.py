"""The compiled functions of winograd.c; without them, torch's own operations are used."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any

from neuralstyle.encoders.kernels.pooling import FLOOR, SCALE

LIBRARY = Path(__file__).with_name("winograd.bin")

INTERFACE = 6  # changes, here and in winograd.c, whenever the arguments or the meaning of a function do
CHANNEL_MULTIPLE = 32  # of the channels that ``convolve`` takes
MAX_PICTURE_CHANNELS = 64  # of a network's first convolution
TILE = 4  # side of a tile of outputs
BORDERS = ("zeros", "replicate", "reflect")  # their indices are winograd.c's numbers


class Fusion(IntEnum):
    """Operations that are computed together with a convolution; the values are winograd.c's numbers."""

    NONE = 0
    RELU = 1
    RELU_MAX = 2  # the ReLU and 2x2 max pooling
    RELU_L2 = 3  # the ReLU and 2x2 L2 pooling


CONSTANTS: Mapping[str, float] = {
    "interface": INTERFACE,
    "l2 scale": ctypes.c_float(SCALE).value,
    "l2 floor": ctypes.c_float(FLOOR).value,
    "channel multiple": CHANNEL_MULTIPLE,
    "picture channels": MAX_PICTURE_CHANNELS,
    "tile": TILE,
    **{fusion.name.lower(): int(fusion) for fusion in Fusion},
    **{border: number for number, border in enumerate(BORDERS)},
}
"""Constants that winograd.c has too. A library with other values comes from another version, and is not used."""


def is_built() -> bool:
    """Tell whether the functions are built, and for this processor."""
    return library() is not None


@cache
def library() -> Any:
    """Return the functions; None if they are not built, come from another version, or need another processor."""
    try:
        functions = ctypes.CDLL(str(LIBRARY))
        agrees = has_constants(functions)
    except (OSError, AttributeError):  # no file, or an old one without ``constant``
        return None
    pointer, long, integer = ctypes.c_void_p, ctypes.c_long, ctypes.c_int
    functions.convolve.argtypes = [*[pointer] * 10, *[long] * 5, integer, integer, long]
    functions.dequantize.argtypes = [*[pointer] * 5, *[long] * 2]
    functions.picture_gradient.argtypes = [*[pointer] * 4, *[long] * 4, integer]
    functions.dequantize.restype = functions.picture_gradient.restype = None
    return functions if agrees and functions.supported() else None


def has_constants(functions: Any) -> bool:
    """Tell whether a library has the same ``CONSTANTS`` as this file."""
    functions.constant.argtypes, functions.constant.restype = [ctypes.c_char_p], ctypes.c_double
    return all(functions.constant(name.encode()) == value for name, value in CONSTANTS.items())
