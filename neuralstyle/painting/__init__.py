"""Painting: from a photograph and a painting to a picture."""

from neuralstyle.painting.iterate import iterate
from neuralstyle.painting.progress import Callback, Progress
from neuralstyle.painting.stylize import reconstruct_content, stylize, synthesize_texture

__all__ = ["Callback", "Progress", "iterate", "reconstruct_content", "stylize", "synthesize_texture"]
