"""The reference pictures of a comparison, at its size."""

from __future__ import annotations

import torch
from torch import Tensor

from neuralstyle.color.oklab import oklab_with_gradient
from neuralstyle.images import MIN_SIDE, Picture, load_image, resize_image

MAX_ASPECT_DIFFERENCE = 0.02  # between content and result, as a share


def given(picture: Picture) -> Tensor:
    """Load a picture; a tensor that requires gradients keeps them.

    Raises:
        ValueError: such a tensor has not three channels.

    """
    image = load_image(picture)
    if not isinstance(picture, Tensor) or not picture.requires_grad or not torch.is_grad_enabled():
        return image
    if picture.shape[-3] != image.shape[1]:
        raise ValueError(f"a picture with gradients has 3 channels, received {tuple(picture.shape)}")
    return picture.reshape(image.shape).clamp(0, 1)


def with_content(picture: Picture, content: Picture) -> tuple[Tensor, Tensor]:
    """Return a result, and the content at its size.

    Raises:
        ValueError: result and content differ in aspect.

    """
    image, other = given(picture), load_image(content)
    height, width = image.shape[2:]
    ratio = (width / height) / (other.shape[3] / other.shape[2])
    # Rounding to a size changes the shorter side by up to a pixel.
    if abs(ratio - 1) > MAX_ASPECT_DIFFERENCE + 1 / min(height, width):
        raise ValueError(
            f"the picture is {width} x {height} pixels and the content {other.shape[3]} x {other.shape[2]}, which is "
            "another aspect; compare a result with the photograph that it was painted from"
        )
    return image, resize_image(other, (height, width)).to(image)


def with_style(picture: Picture, style: Picture) -> tuple[Tensor, Tensor]:
    """Return a result, and the style at the same longest side; a smaller style is not enlarged."""
    image, other = given(picture), load_image(style)
    longest, shortest = max(other.shape[2:]), min(other.shape[2:])
    # No side may become shorter than MIN_SIDE.
    wanted = max(max(image.shape[2:]), -(-MIN_SIDE * longest // shortest))
    return image, resize_image(other, min(wanted, longest)).to(image)


def lightness(image: Tensor) -> Tensor:
    """Return the lightness in OkLab, in float64 if the device has it: (1, 3, H, W) -> (H, W)."""
    return oklab_with_gradient(image)[0, 0]
