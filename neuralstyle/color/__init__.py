"""Whose colours a picture has."""
