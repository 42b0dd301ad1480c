"""The functions of winograd.c, compiled with the package where there is a compiler; without them all is torch's."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

LIBRARY = Path(__file__).with_name("winograd.bin")

INTERFACE = 5  # of winograd.c: changed there and here whenever a function's arguments do


def is_built() -> bool:
    """Whether the functions are there, for this processor."""
    return library() is not None


@cache
def library() -> Any:
    """The functions; None where they were not built, are an older file's, or are for another processor."""
    try:
        functions = ctypes.CDLL(str(LIBRARY))
    except OSError:
        return None
    pointer, long, integer = ctypes.c_void_p, ctypes.c_long, ctypes.c_int
    functions.convolve.argtypes = [*[pointer] * 10, *[long] * 5, integer, integer, long]
    functions.decode.argtypes = [*[pointer] * 5, *[long] * 2]
    functions.picture_gradient.argtypes = [*[pointer] * 4, *[long] * 4, integer]
    functions.decode.restype = functions.picture_gradient.restype = None
    return functions if functions.supported() == INTERFACE else None
