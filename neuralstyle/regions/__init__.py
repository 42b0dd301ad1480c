"""Regions found by themselves: the quiet places of a photograph, and the ground of a painting that goes there.

What is found are styles with regions and masks as anybody could draw them: look at them, save them, change them.
"""

from neuralstyle.regions.auto import auto_regions, save_regions

__all__ = ["auto_regions", "save_regions"]
