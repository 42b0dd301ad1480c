"""Resizing by an antialiased bicubic filter: both sides at once, or one side after the other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralstyle._errors import brief, is_whole
from neuralstyle.images.sizes import MAX_SIDE, fit_size
from neuralstyle.images.tensors import HALF, check_floating


def resize_image(image: Tensor, size: int | tuple[int, int], *, wraps: bool = False) -> Tensor:
    """Resize a picture with an antialiased bicubic filter.

    Args:
        image: (B, C, H, W), floating, in [0, 1].
        size: the longest side in pixels, which keeps the aspect to within a pixel; or the exact (height, width).
        wraps: whether the picture repeats: at its border the filter then sees its other end.

    Returns:
        (B, C, height, width), of the same dtype and device, clamped to [0, 1] since the filter overshoots; ``image``
            itself if it has that size already.

    Raises:
        TypeError: ``image`` is not a dense floating tensor.
        ValueError: ``image`` has another shape, or ``size`` is not made of whole numbers from 1 to 65,536.

    Example:
        ```python
        import torch
        from neuralstyle.images import resize_image

        assert resize_image(torch.rand(1, 3, 60, 80), 40).shape == (1, 3, 30, 40)
        ```

    """
    check_floating(image, "the image")
    if image.ndim != 4 or not image.numel():
        raise ValueError(f"an image to resize has shape (B, C, H, W), received {tuple(image.shape)}")
    sides = size if isinstance(size, tuple) else (size, size)
    if len(sides) != 2 or not all(is_whole(side) and 1 <= side <= MAX_SIDE for side in sides):
        raise ValueError(
            f"size is a whole number from 1 to {MAX_SIDE} or a pair (height, width) of such numbers, received "
            f"{brief(size)}"
        )
    shape = size if isinstance(size, tuple) else fit_size(image.shape[-2], image.shape[-1], size)
    if shape == image.shape[-2:]:
        return image
    working = image.float() if image.dtype in HALF else image
    resized = _filtered_wrapped(working, shape) if wraps else _filtered(working, shape)
    return resized.clamp_(0, 1).to(image.dtype)


def resize_columns(image: Tensor, columns: int) -> Tensor:
    """Change the width of some rows of a picture, without clamping: ``resize_rows`` follows."""
    return _filtered(image, (image.shape[-2], columns))


def resize_rows(image: Tensor, rows: int) -> Tensor:
    """Change the height of a picture, without clamping."""
    return _filtered(image, (rows, image.shape[-1]))


def _filtered(image: Tensor, shape: tuple[int, int]) -> Tensor:
    return F.interpolate(image, shape, mode="bicubic", antialias=True)


def _filtered_wrapped(image: Tensor, shape: tuple[int, int]) -> Tensor:
    """The middle one of three copies, as their scale is exactly that of one; side by side, then one over the other."""
    for dimension, size in ((3, shape[1]), (2, shape[0])):
        if size != image.shape[dimension]:
            copies = torch.cat([image] * 3, dimension)
            sides = (copies.shape[2], 3 * size) if dimension == 3 else (3 * size, copies.shape[3])
            image = _filtered(copies, sides).narrow(dimension, size, size)
    return image.contiguous()
