"""Measures of a result: how close it is to the style, how much of the content it keeps, which artefacts it has.

By default none of them uses the network of the painting: a result always scores well by the features that it was
optimised for.
"""

from neuralstyle.metrics.artefacts import flat_area, grid_energy, high_frequency_excess
from neuralstyle.metrics.comparison import PUBLISHED, Comparison, Scores, compare, table
from neuralstyle.metrics.curve import Curve
from neuralstyle.metrics.features import content_distance, structure, style_distance
from neuralstyle.metrics.ghosts import ghost_contrast
from neuralstyle.metrics.measure import Measure
from neuralstyle.metrics.pixels import color_distance, spectrum_distance
from neuralstyle.metrics.published import cfsd, lpips, sifid, style_cosine
from neuralstyle.metrics.random_filters import RandomFilters

__all__ = [
    "PUBLISHED",
    "Comparison",
    "Curve",
    "Measure",
    "RandomFilters",
    "Scores",
    "cfsd",
    "color_distance",
    "compare",
    "content_distance",
    "flat_area",
    "ghost_contrast",
    "grid_energy",
    "high_frequency_excess",
    "lpips",
    "sifid",
    "spectrum_distance",
    "structure",
    "style_cosine",
    "style_distance",
    "table",
]
