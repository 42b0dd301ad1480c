"""Large pictures, strip by strip: however large a picture is, only a few rows of it are held a second time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from neuralstyle.images.resizing import resize_columns, resize_rows

_PIXELS = 2**18  # of a strip: 3 MiB as floats
_SCALES = {"bool": 1, "uint8": 255, "uint16": 65535}
_TOLERANCE = 1e-3  # overshoot of [0,1] that is taken for rounding, not for another range
# How to step through the rows and columns of an upright picture to meet its pixels in the order in which they are
# stored, by EXIF orientation; from 5 on, columns come before rows.
_STEPS = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}


@dataclass(frozen=True)
class Raster:
    """A picture that is read once, from top to bottom.

    Attributes:
        name: what errors call it.
        height: number of rows, as stored.
        width: pixels in a row, as stored.
        strips: rows in groups, each (h,width) or (h,width,C): C is 1, 3 or 4 (RGB and alpha); bool, uint8 or uint16
            in their full range, or floating in [0,1].
        orientation: EXIF's number, 1 to 8, for how it is to be turned when it is shown.

    """

    name: str
    height: int
    width: int
    strips: Iterable[npt.NDArray[Any]]
    orientation: int = 1

    @property
    def sides(self) -> tuple[int, int]:
        """(height, width) when upright."""
        return (self.width, self.height) if self.orientation in (5, 6, 7, 8) else (self.height, self.width)


def spans(height: int, width: int) -> Iterator[tuple[int, int]]:
    """(first row, row after the last) of every strip of a picture."""
    step = max(1, _PIXELS // width)
    return ((row, min(row + step, height)) for row in range(0, height, step))


def assemble(raster: Raster, sides: tuple[int, int]) -> Tensor:
    """The picture upright, on white, with the given (height, width): a float32 tensor (1,3,height,width) in [0,1].

    Raises:
        ValueError: a value is NaN, infinite or outside [0,1].

    """
    image = np.empty((3, *sides), dtype=np.float32)
    stored = _as_stored(image, raster.orientation)
    if sides == raster.sides:
        _fill(stored, raster, lambda strip: strip)
    else:
        rows, columns = stored.shape[1:]
        narrow = np.empty((3, raster.height, columns), dtype=np.float32)
        _fill(narrow, raster, lambda strip: resize_columns(strip, columns))
        stored[:] = resize_rows(torch.from_numpy(narrow)[None], rows).clamp_(0, 1)[0].numpy()
    return torch.from_numpy(image)[None]


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises into an error that names the picture."""
    try:
        yield
    except Image.DecompressionBombError as error:
        remedy = "raise PIL.Image.MAX_IMAGE_PIXELS if you trust it"
        raise ValueError(f"{name} is too large: {str(error).rstrip('.')}; {remedy}") from error
    except UnidentifiedImageError as error:
        raise ValueError(f"{name} is not a picture in a known format; convert it to PNG or JPEG") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error and more
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ValueError(f"{name} is broken, decoding it failed ({reason}); get a whole copy") from error


def check_range(low: float, high: float, name: str) -> None:
    """Refuse values that are not in [0,1].

    Raises:
        ValueError: they are not, or not finite.

    """
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{name} holds NaN or infinite values; replace them by values in [0,1]")
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        received = f"{low:g} to {high:g}"
        raise ValueError(f"{name} holds values from {received}, not in [0,1]; divide 8-bit values by 255")


def check_kind(dtype: np.dtype[Any], name: str) -> None:
    """Refuse numbers whose range is unknown.

    Raises:
        TypeError: neither floating nor bool, uint8 or uint16.

    """
    if dtype.kind != "f" and dtype.name not in _SCALES:
        raise TypeError(f"{name} holds {dtype}; convert it to uint8, uint16, bool or float in [0,1]")


def on_white(image: Tensor) -> Tensor:
    """(B,C,H,W), C being 1, 3 or 4, to three channels: colours under their alpha are laid on white, in place."""
    if image.shape[1] == 4:
        alpha = image[:, 3:]
        return image[:, :3].mul_(alpha).add_(1 - alpha)
    return image


def _fill(target: npt.NDArray[np.float32], raster: Raster, change: Callable[[Tensor], Tensor]) -> None:
    row = 0
    for pixels in raster.strips:
        strip = change(_as_tensor(pixels, raster.name))
        target[:, row : row + len(pixels)] = strip[0].numpy()  # grey goes into all three
        row += len(pixels)


def _as_tensor(pixels: npt.NDArray[Any], name: str) -> Tensor:
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    with np.errstate(over="ignore"):  # becomes infinite, which is refused
        image = torch.from_numpy(np.array(planes, dtype=np.float32, order="C"))[None]
    if pixels.dtype.kind == "f":
        low, high = torch.stack(image.aminmax()).tolist()  # NaN spreads to both
        check_range(low, high, name)
        image.clamp_(0, 1)
    else:
        image /= _SCALES[pixels.dtype.name]
    return on_white(image)


def _as_stored(image: npt.NDArray[np.float32], orientation: int) -> npt.NDArray[np.float32]:
    """A view of an upright picture (3,H,W) in which its pixels lie as in the file."""
    down, across = _STEPS.get(orientation, (1, 1))
    view = image[:, ::down, ::across]
    return view.transpose(0, 2, 1) if orientation in (5, 6, 7, 8) else view
