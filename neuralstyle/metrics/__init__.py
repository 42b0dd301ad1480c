"""Measures of a result: how near it is to the style, what it keeps of the content, and which artefacts it has.

None of them looks through the network that pictures are painted with, unless it is told to: what is optimised would
judge itself.
"""

from neuralstyle.metrics.artefacts import flat_area, grid_energy, high_frequency_excess
from neuralstyle.metrics.comparison import Scores, compare, table
from neuralstyle.metrics.features import content_distance, structure, style_distance
from neuralstyle.metrics.pixels import color_distance, spectrum_distance
from neuralstyle.metrics.random_filters import RandomFilters

__all__ = [
    "RandomFilters",
    "Scores",
    "color_distance",
    "compare",
    "content_distance",
    "flat_area",
    "grid_energy",
    "high_frequency_excess",
    "spectrum_distance",
    "structure",
    "style_distance",
    "table",
]
