"""Colour control: whose colours a picture has."""

from neuralstyle._words import COLORS, MATCHINGS, Color, Matching
from neuralstyle.color.control import recolor, recolor_result, recolor_style
from neuralstyle.color.following import follow_color
from neuralstyle.color.matching import match_color, match_histogram
from neuralstyle.color.oklab import keep_chroma, oklab_to_rgb, rgb_to_oklab

__all__ = [
    "COLORS",
    "MATCHINGS",
    "Color",
    "Matching",
    "follow_color",
    "keep_chroma",
    "match_color",
    "match_histogram",
    "oklab_to_rgb",
    "recolor",
    "recolor_result",
    "recolor_style",
    "rgb_to_oklab",
]
