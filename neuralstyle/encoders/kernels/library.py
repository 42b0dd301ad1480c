"""The compiled functions of winograd.c; without them, torch's own operations are used."""

from __future__ import annotations

import ctypes
import sys
import warnings
from collections.abc import Mapping
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any

import torch

from neuralstyle import distributed
from neuralstyle._version import build_facts

LIBRARY = Path(__file__).with_name("winograd.bin")

INTERFACE = 8  # changes, here and in winograd.c, whenever the arguments or the meaning of a function do
CHANNEL_MULTIPLE = 32  # of the channels that ``convolve`` takes
MAX_PICTURE_CHANNELS = 64  # of a network's first convolution
PICTURE_MULTIPLE = 16  # of those channels, for the compiled values; the gradient takes any number
TILE = 4  # side of a tile of outputs
SCALE = 0.78  # of L2 pooling: keeps activations near those of max pooling
FLOOR = 1e-12  # under the root of L2 pooling: keeps its gradient finite where all four numbers are zero
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
    "picture multiple": PICTURE_MULTIPLE,
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
    functions, _ = load()
    return functions


def load() -> tuple[Any, str]:
    """Load the functions anew, with torch's threads. Returns them, or None, and why there are none, else ""."""
    if not LIBRARY.exists():
        return None, f"they were not compiled with the package ({build_problem() or 'its build has not recorded why'})"
    try:
        functions = ctypes.CDLL(str(LIBRARY))
        if not has_constants(functions):
            return None, "they were compiled from another version's source; install the package again"
        pointer, long, integer = ctypes.c_void_p, ctypes.c_long, ctypes.c_int
        functions.convolve.argtypes = [*[pointer] * 10, *[long] * 5, integer, integer, long]
        functions.dequantize.argtypes = [*[pointer] * 5, *[long] * 2]
        functions.picture_gradient.argtypes = [*[pointer] * 4, *[long] * 4, integer]
        functions.picture_features.argtypes = [*[pointer] * 4, *[long] * 4, *[integer] * 2]
        functions.pool.argtypes = [*[pointer] * 2, *[long] * 4]
        functions.spread.argtypes = [*[pointer] * 4, *[long] * 4]
        functions.pool.restype = functions.spread.restype = None
        functions.use_threads.argtypes, functions.supported.restype = [pointer], ctypes.c_char_p
        functions.dequantize.restype = functions.picture_gradient.restype = functions.use_threads.restype = None
        if not functions.supported():
            return None, "this processor has no AVX2 and FMA"
        functions.use_threads(openmp_parallel())
    except (OSError, AttributeError) as error:  # no library for this system, or one of an old version
        return None, f"they could not be loaded ({error})"
    return functions, ""


@cache
def warn_of_absence() -> None:
    """Warn, once in a process and in one of several that work together, that the functions are missing."""
    if distributed.is_writer():
        warnings.warn(
            f"the fast convolutions are missing, and VGG networks take about twice as long on a CPU: {load()[1]}; "
            "'neuralstyle info' tells more",
            stacklevel=2,
        )


def openmp_parallel() -> int | None:
    """Return the address of GOMP_parallel in the OpenMP runtime that torch itself uses; None if it has none.

    GCC's, LLVM's and Intel's runtimes have this function. A runtime of our own beside torch's would have threads of its
    own, which compete with torch's and do not know ``torch.set_num_threads``.
    """
    file = "libtorch_cpu.dylib" if sys.platform == "darwin" else "libtorch_cpu.so"
    try:
        # A library's names are looked up in it and in those that it was linked with, and torch is loaded already.
        torch_library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / file))
        return ctypes.cast(torch_library.GOMP_parallel, ctypes.c_void_p).value
    except (OSError, AttributeError):
        return None


def vectors() -> str:
    """Return the vectors that the functions compute with: "avx512", "avx2" or "neon"; "" if they are not used."""
    functions = library()
    return functions.supported().decode() if functions is not None else ""


def build_problem() -> str:
    """Return why the library was not compiled, as the build has recorded it; "" if it says nothing."""
    return str(build_facts().get("problem", ""))


def has_constants(functions: Any) -> bool:
    """Tell whether a library has the same ``CONSTANTS`` as this file."""
    functions.constant.argtypes, functions.constant.restype = [ctypes.c_char_p], ctypes.c_double
    return all(functions.constant(name.encode()) == value for name, value in CONSTANTS.items())
