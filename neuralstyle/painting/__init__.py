"""Painting: from a photograph and a painting to a picture.

Importing this package imports no torch, so that a command line can read the options of ``stylize`` quickly. Take what
you need from the top of ``neuralstyle``, or from the files here.
"""
