from .sheet import Cell as Cell
from .sheet import Sheet as Sheet
from .sheet import contact_sheet as contact_sheet
from .sweeps import sweep as sweep
