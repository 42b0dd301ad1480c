"""Measures of a result: how close it is to the style, how much of the content it keeps, which artefacts it has.

By default none of them uses the network of the painting: a result always scores well by the features that it was
optimised for.
"""

from neuralstyle.metrics.artefacts import flat_area, grid_energy, high_frequency_excess
from neuralstyle.metrics.comparison import Scores, compare, table
from neuralstyle.metrics.features import content_distance, structure, style_distance
from neuralstyle.metrics.ghosts import ghost_contrast
from neuralstyle.metrics.pixels import color_distance, spectrum_distance
from neuralstyle.metrics.random_filters import RandomFilters

__all__ = [
    "RandomFilters",
    "Scores",
    "color_distance",
    "compare",
    "content_distance",
    "flat_area",
    "ghost_contrast",
    "grid_energy",
    "high_frequency_excess",
    "spectrum_distance",
    "structure",
    "style_distance",
    "table",
]
