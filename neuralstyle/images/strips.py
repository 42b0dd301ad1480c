"""Large pictures, strip by strip, so that only a few rows of a picture are in memory twice."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neuralstyle.images.resizing import resize_columns, resize_rows

MAX_OVERSHOOT = 1e-3
"""How far a value may lie beyond [0, 1], as by rounding; it is clamped."""

Blend: TypeAlias = Callable[[Tensor], Tensor]
"""What is done to colours with their alpha, (B, 4, H, W): ``on_white``, ``premultiplied`` or ``straight``."""

_PIXELS_PER_STRIP = 2**18  # 3 MiB as float32 RGB
_FULL_SCALE = {"bool": 1, "uint8": 255, "uint16": 65535}
# Steps through the rows and columns of an upright picture that visit its pixels in the stored order, by EXIF
# orientation; from 5 on, columns and rows are swapped.
_STEPS = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}


@dataclass(frozen=True)
class Raster:
    """A picture that is read once, from top to bottom.

    Attributes:
        name: name of the picture in errors.
        height: number of rows, as stored.
        width: pixels in a row, as stored.
        strips: groups of rows, each (h, width) or (h, width, C) with C 1, 3 or 4 (RGB and alpha); bool, uint8 or uint16
            in their full range, or floating in [0, 1].
        orientation: EXIF's number, 1 to 8: how to turn the picture for display.
        has_alpha: whether the strips have an alpha.

    """

    name: str
    height: int
    width: int
    strips: Iterable[npt.NDArray[Any]]
    orientation: int = 1
    has_alpha: bool = False

    @property
    def sides(self) -> tuple[int, int]:
        """The (height, width) of the upright picture."""
        return (self.width, self.height) if self.orientation in (5, 6, 7, 8) else (self.height, self.width)


def spans(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Iterate over the strips of a picture: (first row, row after the last)."""
    step = max(1, _PIXELS_PER_STRIP // width)
    return ((row, min(row + step, height)) for row in range(0, height, step))


def assemble(raster: Raster, sides: tuple[int, int], blend: Blend | None = None) -> Tensor:
    """Read a picture, turn it upright, blend it with white and resize it to (height, width).

    Args:
        raster: the picture.
        sides: the (height, width) of the result.
        blend: what is done to strips with an alpha, (1, 4, h, w), instead of blending them with white.

    Returns:
        A float32 tensor (1, 3, height, width) in [0, 1]. If there are an alpha and a ``blend``, (1, 4, height, width),
            as far beyond [0, 1] as resizing overshoots.

    Raises:
        ValueError: a value is NaN, infinite or outside [0, 1].

    """
    keeps_alpha = raster.has_alpha and blend is not None
    chosen = blend if keeps_alpha and blend is not None else on_white
    planes = 4 if keeps_alpha else 3
    image = np.empty((planes, *sides), dtype=np.float32)
    stored = _as_stored(image, raster.orientation)
    if sides == raster.sides:
        _fill(stored, raster, chosen)
    else:
        rows, columns = stored.shape[1:]
        narrow = np.empty((planes, raster.height, columns), dtype=np.float32)
        _fill(narrow, raster, lambda strip: resize_columns(chosen(strip), columns))
        resized = resize_rows(torch.from_numpy(narrow)[None], rows)
        stored[:] = (resized if keeps_alpha else resized.clamp_(0, 1))[0].numpy()
    return torch.from_numpy(image)[None]


def check_range(low: float, high: float, name: str) -> None:
    """Check that values between ``low`` and ``high`` lie in [0, 1].

    Raises:
        ValueError: a value outside [0, 1], or not finite.

    """
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{name} holds NaN or infinite values; replace them by values in [0, 1]")
    if low < -MAX_OVERSHOOT or high > 1 + MAX_OVERSHOOT:
        received = f"{low:g} to {high:g}"
        raise ValueError(f"{name} holds values from {received}, not in [0, 1]; divide 8-bit values by 255")


def check_dtype(dtype: np.dtype[Any], name: str) -> None:
    """Check that the numbers of an array have a known range.

    Raises:
        TypeError: the dtype is neither floating nor bool, uint8 or uint16.

    """
    if dtype.kind != "f" and dtype.name not in _FULL_SCALE:
        raise TypeError(f"{name} holds {dtype}; convert it to uint8, uint16, bool or float in [0, 1]")


def on_white(image: Tensor) -> Tensor:
    """Blend colours with white by their alpha, in place: (B, 4, H, W) -> (B, 3, H, W); 1 and 3 channels stay."""
    if image.shape[1] == 4:
        alpha = image[:, 3:]
        return image[:, :3].mul_(alpha).add_(1 - alpha)
    return image


def premultiplied(image: Tensor) -> Tensor:
    """Multiply colours by their alpha, in place: (B, 4, H, W) -> (B, 4, H, W). They can be resized then."""
    image[:, :3].mul_(image[:, 3:])
    return image


def straight(image: Tensor) -> Tensor:
    """Leave colours and alpha as they are."""
    return image


def _fill(target: npt.NDArray[np.float32], raster: Raster, change: Callable[[Tensor], Tensor]) -> None:
    row = 0
    for pixels in raster.strips:
        strip = change(_as_tensor(pixels, raster.name))
        target[:, row : row + len(pixels)] = strip[0].numpy()  # grey is copied to all three channels
        row += len(pixels)


def _as_tensor(pixels: npt.NDArray[Any], name: str) -> Tensor:
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    with np.errstate(over="ignore"):  # the value becomes infinite and is refused below
        image = torch.from_numpy(np.array(planes, dtype=np.float32, order="C"))[None]
    if pixels.dtype.kind == "f":
        low, high = torch.stack(image.aminmax()).tolist()  # NaN in one value makes both NaN
        check_range(low, high, name)
        image.clamp_(0, 1)
    else:
        image /= _FULL_SCALE[pixels.dtype.name]
    return image


def _as_stored(image: npt.NDArray[np.float32], orientation: int) -> npt.NDArray[np.float32]:
    """Return a view of an upright picture (3, H, W) whose pixels lie as in the file."""
    down, across = _STEPS.get(orientation, (1, 1))
    view = image[:, ::down, ::across]
    return view.transpose(0, 2, 1) if orientation in (5, 6, 7, 8) else view
