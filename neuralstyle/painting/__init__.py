"""Painting: from a photograph and a painting to a picture.

Importing this package does not import torch, so a command line can read the options of ``stylize`` quickly. Import
names from the top of ``neuralstyle``, or from the files here.
"""
