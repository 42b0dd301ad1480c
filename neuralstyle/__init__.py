"""Neural style transfer: paint one picture in the style of another."""

__version__ = "0.1.0"
