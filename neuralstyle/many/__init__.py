"""Many pictures: contact sheets, and sweeps over losses, weights, strengths, stroke sizes and seeds."""

from neuralstyle.many.sheet import Cell, Sheet, sheet
from neuralstyle.many.sweep import sweep

__all__ = ["Cell", "Sheet", "sheet", "sweep"]
