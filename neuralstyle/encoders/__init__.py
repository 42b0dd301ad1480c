"""Encoders: networks that turn a picture into named feature maps."""

from neuralstyle.encoders.extractor import FeatureExtractor
from neuralstyle.encoders.vgg import Layer

__all__ = ["FeatureExtractor", "Layer"]
