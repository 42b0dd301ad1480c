"""The public names, each with the file that it comes from."""

from .flow import DISFlow as DISFlow
from .flow import Flow as Flow
from .flow import PyramidFlow as PyramidFlow
from .flow import default_flow as default_flow
from .opening import open_clip as open_clip
from .progress import FilmProgress as FilmProgress
from .scan import find_cuts as find_cuts
from .stylize import apply_video as apply_video
from .stylize import stylize_video as stylize_video
from .warping import consistency as consistency
from .warping import warp as warp
