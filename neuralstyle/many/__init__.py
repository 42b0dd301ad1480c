"""Many pictures: contact sheets, and sweeps over losses, weights, strengths, stroke sizes and seeds."""

from neuralstyle.many.sheet import Cell, Sheet, contact_sheet
from neuralstyle.many.sweeps import sweep

__all__ = ["Cell", "Sheet", "contact_sheet", "sweep"]
