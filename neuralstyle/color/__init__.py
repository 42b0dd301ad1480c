"""Colour control: whose colours a picture has."""

from neuralstyle.color.control import COLORS, Color, recolor, recolor_result, recolor_style
from neuralstyle.color.matching import MATCHINGS, Matching, match_color, match_histogram
from neuralstyle.color.oklab import keep_chroma, oklab_to_rgb, rgb_to_oklab

__all__ = [
    "COLORS",
    "MATCHINGS",
    "Color",
    "Matching",
    "keep_chroma",
    "match_color",
    "match_histogram",
    "oklab_to_rgb",
    "recolor",
    "recolor_result",
    "recolor_style",
    "rgb_to_oklab",
]
