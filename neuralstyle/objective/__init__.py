"""The objective: weighted losses against their targets, for a picture of any size."""

from neuralstyle.objective.evaluation import Evaluation
from neuralstyle.objective.objective import Objective
from neuralstyle.objective.tiling import TileSize

__all__ = ["Evaluation", "Objective", "TileSize"]
