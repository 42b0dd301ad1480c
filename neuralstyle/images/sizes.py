"""The size of a picture: by its longest side, its width or its number of pixels. No tensors here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, overload

from neuralstyle._errors import brief, is_word, whole_number

MIN_SIDE = 16
"""The smallest side of a picture, in pixels: one position of VGG's relu5 layers."""

MAX_SIDE = 2**16
"""The largest side of a picture that is made, in pixels; files of most formats end there."""


@dataclass(frozen=True)
class Width:
    """The width of a picture in pixels, as a size; the height follows from the aspect.

    Args:
        pixels: the width, from 16 to 65,536.

    Raises:
        ValueError: ``pixels`` is not such a whole number.

    Example:
        ```python
        from neuralstyle import Width, load_image, samples

        assert load_image(samples.photo(), Width(300)).shape[3] == 300
        ```

    """

    pixels: int

    def __post_init__(self) -> None:
        _check_most("size Width", whole_number("size Width", self.pixels, MIN_SIDE, hint=" pixels"), MAX_SIDE)


@dataclass(frozen=True)
class Pixels:
    """The number of pixels of a picture, as a size: the largest picture of that aspect with no more pixels.

    Args:
        pixels: the number of pixels, from 256, which is 16 x 16, to 65,536 x 65,536.

    Raises:
        ValueError: ``pixels`` is not such a whole number.

    Example:
        ```python
        from neuralstyle import Pixels, load_image, samples

        assert load_image(samples.photo(), Pixels(40_000)).shape[2:].numel() == 39935
        ```

    """

    pixels: int

    def __post_init__(self) -> None:
        _check_most("size Pixels", whole_number("size Pixels", self.pixels, MIN_SIDE**2, hint=" pixels"), MAX_SIDE**2)


ORIGINAL: Literal["original"] = "original"
"""The size that a picture has itself."""

Size: TypeAlias = int | Width | Pixels | Literal["original"]
"""A size: the longest side in pixels, a ``Width``, a number of ``Pixels``, or "original", the picture's own."""


@overload
def check_size(size: int) -> int: ...


@overload
def check_size(size: Size) -> Size: ...


def check_size(size: Size) -> Size:
    """Check a size and return it.

    Raises:
        ValueError: ``size`` is neither a whole number from 16 to 65,536, nor a ``Width``, ``Pixels`` or "original".

    """
    if not isinstance(size, (Width, Pixels)) and not is_word(size, (ORIGINAL,)):
        hint = " pixels (longest side; or give Width(...), Pixels(...) or 'original')"
        _check_most("size", whole_number("size", size, MIN_SIDE, hint=hint), MAX_SIDE)
    return size


def longest_side(size: Size, height: int, width: int) -> int:
    """Return the longest side, in pixels, of a picture of ``height`` x ``width`` pixels after resizing to a size.

    ``fit_size(height, width, longest)`` then has exactly that ``Width``, or as many of the ``Pixels`` as the aspect
    allows.

    Args:
        size: the size of the result.
        height: height of the picture in pixels.
        width: width of the picture in pixels.

    Raises:
        ValueError: ``size`` is not a size; a side would be shorter than 16 pixels, and the message names a size that
            is large enough; or a side would be longer than 65,536.

    Example:
        ```python
        from neuralstyle import Width
        from neuralstyle.images import longest_side

        assert longest_side(Width(600), height=1200, width=800) == 900
        ```

    """
    check_size(size)
    if isinstance(size, Width):
        longest = size.pixels if width >= height else round(size.pixels * height / width)
    elif isinstance(size, Pixels):
        longest = _longest_within(size.pixels, height, width)
    else:
        longest = max(height, width) if size == ORIGINAL else int(size)
    rows, columns = fit_size(height, width, longest)
    if min(rows, columns) < MIN_SIDE:
        outcome = f"{width} x {height} pixels, would be {columns} x {rows} pixels at size={_written(size)}"
        enough = _written(_smallest(size, height, width))
        raise ValueError(f"{outcome}, under {MIN_SIDE} pixels on a side; use size={enough} or more, or crop it")
    if longest > MAX_SIDE:
        raise ValueError(
            f"{width} x {height} pixels, would be {columns} x {rows} pixels at size={_written(size)}, over {MAX_SIDE} "
            "pixels on a side; use a smaller size"
        )
    return longest


def fit_size(height: int, width: int, longest: int) -> tuple[int, int]:
    """Return the (height, width) with a given longest side that keeps the aspect to within a pixel.

    Raises:
        ValueError: a side is not a whole number of at least 1.

    Example:
        ```python
        from neuralstyle.images import fit_size

        assert fit_size(60, 80, 40) == (30, 40)
        ```

    """
    height, width, longest = (
        whole_number(name, side, 1)
        for name, side in (("height", height), ("width", width), ("the longest side", longest))
    )
    scale = longest / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _check_most(name: str, pixels: int, most: int) -> None:
    if pixels > most:
        raise ValueError(f"{name} is at most {most} pixels, received {brief(pixels)}")


def _longest_within(pixels: int, height: int, width: int) -> int:
    """Return the largest longest side at which the picture has no more than ``pixels`` pixels."""
    aspect = max(height, width) / min(height, width)
    longest = math.ceil(math.sqrt(pixels * aspect) + aspect / 2)  # the short side is rounded, by half a pixel at most
    while longest > 1 and math.prod(fit_size(height, width, longest)) > pixels:
        longest -= 1
    return longest


def _smallest(size: Size, height: int, width: int) -> Size:
    """Return the smallest size of the same kind at which no side is shorter than ``MIN_SIDE``."""
    longest = math.ceil(MIN_SIDE * max(height, width) / min(height, width))
    if isinstance(size, Width):  # only wide pictures get here: the width of an upright one is its shorter side
        return Width(longest)
    return Pixels(math.prod(fit_size(height, width, longest))) if isinstance(size, Pixels) else longest


def _written(size: Size) -> str:
    return f"{type(size).__name__}({size.pixels})" if isinstance(size, (Width, Pixels)) else str(size)
