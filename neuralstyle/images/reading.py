"""Reading: a path, a PIL image, an array or a tensor becomes a tensor of sRGB values in [0, 1]."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import ExifTags, Image
from torch import Tensor

from neuralstyle.images.deep import can_read_deep, deep_raster, find_late_exif, is_deep, is_vast
from neuralstyle.images.opening import Opened, decoding, load_pixels, open_picture, short_name
from neuralstyle.images.profiles import to_srgb
from neuralstyle.images.resizing import resize_image
from neuralstyle.images.sizes import MIN_SIDE, Size, check_size, fit_size, longest_side
from neuralstyle.images.strips import (
    MAX_OVERSHOOT,
    Blend,
    Raster,
    assemble,
    check_dtype,
    check_range,
    on_white,
    spans,
)
from neuralstyle.images.tensors import check_dense, check_floating
from neuralstyle.machine.surroundings import plain_tensor, plain_torch

Picture: TypeAlias = str | os.PathLike[str] | Image.Image | npt.NDArray[Any] | Tensor
"""Anything that ``load_image`` takes: a path, a PIL image, a numpy array or a tensor."""

Fit: TypeAlias = Callable[[int, int], tuple[int, int]]
"""From the (height, width) of an upright picture to those to load it at."""

WHOLE_PIXELS = 2**20
"""A picture of up to so many pixels is always decoded whole, and no value of it changes."""

SPARE = 2
"""How many times the sides that are needed a picture has at least, where fewer pixels than the file's are decoded."""

_SHRINKING = ("JPEG", "MPO", "WEBP")  # formats that can be decoded at a fraction of their size
_MAX_PILLOW_WEBP = 2**26  # pixels, of which Pillow takes 16 bytes each and seconds


@plain_torch()
def load_image(picture: Picture, size: Size | None = None) -> Tensor:
    """Load a picture as an RGB tensor of shape (1, 3, H, W) with values in [0, 1].

    Files and PIL images are turned upright by their EXIF orientation and converted to sRGB from their colour profile.
    PNG and TIFF files with 16 bits per channel keep them: colour, and grey with a profile, needs libvips
    (``pip install 'neuralstyle-torch[large]'``; without it they are read at 8 bits, with a warning). Of several frames
    or pages the first is read, with a warning. Transparent pixels are blended with white. Grey becomes three equal
    channels. Besides the result, a file or PIL image takes memory for at most its decoded bytes and a few rows.

    Of a JPEG or large WebP with far more pixels than ``size`` asks for, fewer are decoded: at least twice the sides of
    the result. On average the values then differ from those of all pixels by less than two of 256 levels.

    Args:
        picture: a path; a PIL image; an array (H, W) or (H, W, C), uint8, uint16, bool or floating in [0, 1]; or a
            tensor (C, H, W) or (1, C, H, W), uint8 or floating in [0, 1]. C is 1, 3 or 4 (RGB and alpha).
        size: the longest side of the result in pixels, its ``Width`` or its number of ``Pixels``; the picture is
            enlarged or reduced to it. None and "original" keep the picture's own size.

    Returns:
        A float32 tensor on the CPU. For a tensor: a detached tensor on the same device that keeps a floating dtype,
            and shares the memory if nothing changes.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: the path is a folder.
        TypeError: the picture, or the elements of an array or tensor, have another type; or the tensor is sparse,
            nested or on the meta device.
        ValueError: the file is broken, empty, not a picture in a known format, a device or a named pipe, or larger
            than ``pixel_limit`` says; an array or tensor has another shape; a value is NaN, infinite or outside
            [0, 1]; a side is below 16 pixels, before or after resizing; or ``size`` is not a size.

    Example:
        ```python
        import numpy as np
        from neuralstyle import load_image

        assert load_image(np.zeros((60, 80, 3), dtype=np.uint8), size=40).shape == (1, 3, 30, 40)
        ```

    """
    if size is not None:
        check_size(size)
    name = _name(picture)
    return load_fitted(picture, lambda height, width: _sides(height, width, size, name))


def load_fitted(picture: Picture, fit: Fit, blend: Blend | None = None) -> Tensor:
    """Load a picture as ``load_image`` does, at the (height, width) that a function gives for its own.

    The function is called once. Where it asks for far fewer pixels than a file has, fewer are decoded. With ``blend``,
    a picture with an alpha keeps it, see ``assemble``.
    """
    name = _name(picture)

    def checked(height: int, width: int) -> tuple[int, int]:
        if min(height, width) < MIN_SIDE:
            raise ValueError(f"{name} is {width} x {height} pixels; give one of at least {MIN_SIDE} on each side")
        return fit(height, width)

    if isinstance(picture, Tensor):
        image = from_tensor(picture, blend)
        return resize_image(image, checked(image.shape[-2], image.shape[-1]))
    if isinstance(picture, (str, os.PathLike)):
        with open_picture(Path(picture)) as opened:
            return _from_file(opened, name, checked, blend)
    if isinstance(picture, Image.Image):
        raster = from_pil(picture)
    elif isinstance(picture, np.ndarray):
        raster = from_array(picture, "the array")
    else:
        kind = type(picture).__name__
        raise TypeError(f"a picture is a path, a PIL image, a numpy array or a tensor, received {kind}")
    return assemble(raster, checked(*raster.sides), blend)


def load_spare(
    picture: Picture, longest: Callable[[int, int], int], blend: Blend | None = None
) -> tuple[Tensor, tuple[int, int]]:
    """Load a picture that will be resized, large enough for that and not much larger.

    A picture of more than a megapixel, with more than four times the sides that are needed, is loaded at twice these
    sides. Any other keeps its own size.

    Args:
        picture: as for ``load_image``.
        longest: from the (height, width) of the picture to the longest side in pixels that is needed.
        blend: as in ``load_fitted``.

    Returns:
        The picture, (1, 3, H, W), and the (height, width) that it has itself.

    """
    own: list[tuple[int, int]] = []

    def fit(height: int, width: int) -> tuple[int, int]:
        own.append((height, width))
        needed = longest(height, width)
        if height * width <= WHOLE_PIXELS or max(height, width) <= SPARE * SPARE * needed:
            return height, width
        return fit_size(height, width, SPARE * needed)

    return load_fitted(picture, fit, blend), own[0]


def from_pil(image: Image.Image, name: str = "the PIL image") -> Raster:
    """Read the rows of a PIL image.

    Raises:
        ValueError: the image cannot be decoded, or holds integers beyond 16 bits.

    """
    load_pixels(image, name)
    orientation = _orientation(image, name)
    if image.mode.startswith("I;16"):
        return from_array(np.asarray(image), name, orientation)
    if image.mode == "F":
        return from_array(_in_range(np.asarray(image), name), name, orientation)
    if image.mode == "I":
        values = np.asarray(image)
        low, high = values.min(), values.max()
        if low < 0 or high > 65535:
            raise ValueError(f"{name} holds integers from {low} to {high}; scale them to 16 bits, 0 to 65535")
        return from_array(values.astype(np.uint16), name, orientation)
    with decoding(name):
        convert = to_srgb(image, name)

    def strips() -> Iterator[npt.NDArray[Any]]:
        for top, end in spans(image.height, image.width):
            whole = end - top == image.height
            with decoding(name):
                strip = np.asarray(convert(image if whole else image.crop((0, top, image.width, end))))
            yield strip

    return Raster(name, image.height, image.width, strips(), orientation, image.has_transparency_data)


def _in_range(values: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Check floating values of a file; unlike arrays, files are often made with values up to 255 or more."""
    low, high = float(values.min()), float(values.max())
    if math.isfinite(low) and math.isfinite(high) and (low < -MAX_OVERSHOOT or high > 1 + MAX_OVERSHOOT):
        raise ValueError(
            f"{name} holds floating values from {low:g} to {high:g}, and those of a picture are 0 to 1; divide them, "
            "or save it with 8 or 16 bits a channel"
        )
    return values


def _sides(height: int, width: int, size: Size | None, name: str) -> tuple[int, int]:
    """Return the (height, width) of the result."""
    if size is None:
        return height, width
    try:
        return fit_size(height, width, longest_side(size, height, width))
    except ValueError as error:
        raise ValueError(f"{name}, {error}") from None


def _from_file(opened: Opened, name: str, fit: Fit, blend: Blend | None) -> Tensor:
    """Load the picture of a file; of JPEG and large WebP decode no more pixels than are needed."""
    image = opened.image
    pixels = image.width * image.height
    find_late_exif(image, opened.file)
    by_vips = (is_deep(image) and can_read_deep(name)) or is_vast(image)
    if image.format == "WEBP" and pixels > _MAX_PILLOW_WEBP and not by_vips:
        raise ValueError(
            f"{name} is a WebP of {image.width} x {image.height} pixels, which needs libvips; run 'pip install "
            "neuralstyle-torch[large]', or convert it to JPEG"
        )
    sides, shrink = None, 1.0
    if pixels > WHOLE_PIXELS and image.format in _SHRINKING:
        stored = Raster(name, image.height, image.width, (), _orientation(image, name))
        sides = fit(*stored.sides)
        shrink = max(1, min(own / (SPARE * side) for own, side in zip(stored.sides, sides, strict=True)))
    if by_vips:
        raster = deep_raster(opened, name, _orientation(image, name), shrink)
    else:
        if shrink >= SPARE:  # JPEG can be decoded at 1/2, 1/4 or 1/8 of its sides
            with decoding(name):
                image.draft(image.mode, (math.ceil(image.width / shrink), math.ceil(image.height / shrink)))
        raster = from_pil(image, name)
    return assemble(raster, fit(*raster.sides) if sides is None else sides, blend)


def _name(picture: object) -> str:
    """What errors call a picture."""
    kinds = {Tensor: "the tensor", Image.Image: "the PIL image", np.ndarray: "the array"}
    if isinstance(picture, (str, os.PathLike)):
        return short_name(Path(picture))
    return next((name for kind, name in kinds.items() if isinstance(picture, kind)), "the picture")


def _orientation(image: Image.Image, name: str) -> int:
    try:
        exif = Image.Image.getexif(image)  # the override of PngImageFile would decode the picture
        return int(exif.get(ExifTags.Base.Orientation, 1))
    except Exception as error:  # the parser raises many classes for a malformed EXIF block
        warnings.warn(f"{name}: the EXIF orientation cannot be read and is ignored ({error})", stacklevel=2)
        return 1


def from_array(array: npt.NDArray[Any], name: str, orientation: int = 1) -> Raster:
    """Read the rows of an array."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or not array.size:
        raise ValueError(f"{name} has shape {array.shape}; an array is (H, W) or (H, W, C) with C 1, 3 or 4")
    check_dtype(array.dtype, name)
    height, width = array.shape[:2]
    strips = (array[top:end] for top, end in spans(height, width))
    return Raster(name, height, width, strips, orientation, array.ndim == 3 and array.shape[2] == 4)


def from_tensor(tensor: Tensor, blend: Blend | None = None) -> Tensor:
    """Return a tensor as a picture (1, 3, H, W), or as what ``blend`` makes of its colours and alpha."""
    image = plain_tensor(check_dense(tensor, "the tensor").detach())
    if image.ndim == 3:
        image = image[None]
    if image.ndim != 4 or image.shape[0] != 1 or image.shape[1] not in (1, 3, 4) or not image.numel():
        shape = tuple(tensor.shape)
        raise ValueError(f"the tensor has shape {shape}; a tensor is (C, H, W) or (1, C, H, W) with C 1, 3 or 4")
    copied = image.dtype == torch.uint8
    if copied:
        image = image.float().div_(255)
    else:
        check_floating(image, "the tensor")
        low, high = torch.stack(image.aminmax()).tolist()  # NaN in one value makes both NaN
        check_range(low, high, "the tensor")
        if low < 0 or high > 1:
            image, copied = image.clamp(0, 1), True
    if image.shape[1] == 4:
        return (blend or on_white)(image if copied else image.clone())
    return image if image.shape[1] == 3 else image.repeat(1, 3, 1, 1)
