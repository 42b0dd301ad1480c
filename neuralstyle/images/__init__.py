"""Pictures in and out: from every kind of picture to one kind of tensor, and back.

Inside the library a picture is an sRGB float tensor of shape (B, 3, H, W) with values in [0, 1]. Only this package
handles files, modes, profiles, orientation and transparency.
"""

from neuralstyle.images.grid import grid
from neuralstyle.images.masks import region_of_color, region_of_lightness, region_of_opacity
from neuralstyle.images.opening import pixel_limit
from neuralstyle.images.reading import Picture, load_image
from neuralstyle.images.resizing import resize_image
from neuralstyle.images.showing import show
from neuralstyle.images.sizes import MAX_SIDE, MIN_SIDE, Pixels, Size, Width, check_size, fit_size, longest_side
from neuralstyle.images.writing import ROUNDING_VARIANCE, check_output, save_image, to_pil

__all__ = [
    "MAX_SIDE",
    "MIN_SIDE",
    "ROUNDING_VARIANCE",
    "Picture",
    "Pixels",
    "Size",
    "Width",
    "check_output",
    "check_size",
    "fit_size",
    "grid",
    "load_image",
    "longest_side",
    "pixel_limit",
    "region_of_color",
    "region_of_lightness",
    "region_of_opacity",
    "resize_image",
    "save_image",
    "show",
    "to_pil",
]
