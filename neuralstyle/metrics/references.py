"""What a result is compared with, at the size at which it is compared."""

from __future__ import annotations

from torch import Tensor

from neuralstyle.color.oklab import rgb_to_oklab
from neuralstyle.images import MIN_SIDE, Picture, load_image, resize_image

SLACK = 0.02  # by which the sides of a content and a result may differ, as shares


def with_content(picture: Picture, content: Picture) -> tuple[Tensor, Tensor]:
    """A result and the content at its size.

    Raises:
        ValueError: they have not one aspect.
    """
    image, other = load_image(picture), load_image(content)
    height, width = image.shape[2:]
    ratio = (width / height) / (other.shape[3] / other.shape[2])
    # A pixel of the shorter side is lost in rounding to a size.
    if abs(ratio - 1) > SLACK + 1 / min(height, width):
        raise ValueError(
            f"the picture is {width} x {height} pixels and the content {other.shape[3]} x {other.shape[2]}, another "
            "aspect; compare a result with the photograph that it was painted from"
        )
    return image, resize_image(other, (height, width)).to(image)


def with_style(picture: Picture, style: Picture) -> tuple[Tensor, Tensor]:
    """A result and the style as it is shown to ``stylize`` for it: of the same longest side, or smaller."""
    image, other = load_image(picture), load_image(style)
    longest, shortest = max(other.shape[2:]), min(other.shape[2:])
    # As far as pictures may shrink at all.
    wanted = max(max(image.shape[2:]), -(-MIN_SIDE * longest // shortest))
    return image, resize_image(other, min(wanted, longest)).to(image)


def lightness(image: Tensor) -> Tensor:
    """OkLab's lightness, (1, 3, H, W) -> (H, W), float64 where the device has it."""
    return rgb_to_oklab(image.double() if image.device.type in ("cpu", "cuda") else image)[0, 0]
