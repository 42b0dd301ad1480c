"""How large a picture shall be: by its longest side, its width or its number of pixels. Integers only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias, overload

import numpy as np

MIN_SIDE = 16
"""The shortest side, in pixels, that a picture may have: one cell of VGG's relu5 layers."""


@dataclass(frozen=True)
class Width:
    """A size given by the width of the picture in pixels; its height follows from the aspect.

    Raises:
        ValueError: not a whole number of at least 16.

    Examples:
        >>> from neuralstyle import Width, load_image, samples
        >>> load_image(samples.photo(), Width(300)).shape[3]
        300

    """

    pixels: int

    def __post_init__(self) -> None:
        _check(self.pixels, MIN_SIDE, "size Width")


@dataclass(frozen=True)
class Pixels:
    """A size given by the number of pixels of the picture: as many as its aspect allows, and no more.

    Raises:
        ValueError: not a whole number of at least 256, which is 16 x 16.

    Examples:
        >>> from neuralstyle import Pixels, load_image, samples
        >>> load_image(samples.photo(), Pixels(40_000)).shape[2:].numel()
        39935

    """

    pixels: int

    def __post_init__(self) -> None:
        _check(self.pixels, MIN_SIDE**2, "size Pixels")


Size: TypeAlias = int | Width | Pixels
"""The size of a picture: its longest side in pixels, a `Width`, or a number of `Pixels`."""


@overload
def check_size(size: int) -> int: ...


@overload
def check_size(size: Size) -> Size: ...


def check_size(size: Size) -> Size:
    """The size itself, if it is one.

    Raises:
        ValueError: neither a whole number of at least 16, nor a `Width`, nor `Pixels`.

    """
    if not isinstance(size, (Width, Pixels)):
        _check(size, MIN_SIDE, "size", " (longest side; or give Width(...) or Pixels(...))")
    return size


def longest_side(size: Size, height: int, width: int) -> int:
    """The longest side, in pixels, of a picture of height x width px that is resized to `size`.

    `fit_size(height, width, longest)` then has exactly that `Width`, or as many of the `Pixels` as the aspect allows.

    Raises:
        ValueError: `size` is none; or a side would be shorter than 16 px, in which case a size that serves is named.

    Examples:
        >>> longest_side(Width(600), height=1200, width=800)
        900

    """
    check_size(size)
    if isinstance(size, Width):
        longest = size.pixels if width >= height else round(size.pixels * height / width)
    elif isinstance(size, Pixels):
        longest = _most(size.pixels, height, width)
    else:
        longest = int(size)
    rows, columns = fit_size(height, width, longest)
    if min(rows, columns) < MIN_SIDE:
        outcome = f"{width} x {height} px, would be {columns} x {rows} px at size={_written(size)}"
        enough = _written(_enough(size, height, width))
        raise ValueError(f"{outcome}, under {MIN_SIDE} px on a side; use size={enough} or more, or crop it")
    return longest


def fit_size(height: int, width: int, longest: int) -> tuple[int, int]:
    """The (height, width) that keeps the aspect to within a pixel and has `longest` as its longest side.

    Examples:
        >>> fit_size(60, 80, 40)
        (30, 40)

    """
    scale = longest / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def is_integer(value: object) -> bool:
    """Whether it is an integer of Python or numpy; true and false are none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _check(value: object, least: int, name: str, other: str = "") -> None:
    if not is_integer(value) or value < least:  # type: ignore[operator]
        raise ValueError(f"{name} is a whole number of pixels, at least {least}{other}, received {value!r}")


def _most(pixels: int, height: int, width: int) -> int:
    """The longest side with which the area just stays within a number of pixels."""
    aspect = max(height, width) / min(height, width)
    longest = math.ceil(math.sqrt(pixels * aspect) + aspect / 2)  # the short side is rounded, by half a pixel at most
    while longest > 1 and math.prod(fit_size(height, width, longest)) > pixels:
        longest -= 1
    return longest


def _enough(size: Size, height: int, width: int) -> Size:
    longest = math.ceil(MIN_SIDE * max(height, width) / min(height, width))
    if isinstance(size, Width):  # of an upright picture it is the shorter side, and never too short
        return Width(longest)
    return Pixels(math.prod(fit_size(height, width, longest))) if isinstance(size, Pixels) else longest


def _written(size: Size) -> str:
    return f"{type(size).__name__}({size.pixels})" if isinstance(size, (Width, Pixels)) else str(size)
