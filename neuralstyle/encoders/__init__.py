"""Encoders: networks that turn a picture into named feature maps."""

from neuralstyle.encoders.activation_scales import measure_activation_scales
from neuralstyle.encoders.base import Encoder, Layer
from neuralstyle.encoders.extractor import FeatureExtractor
from neuralstyle.encoders.module import ModuleExtractor

__all__ = ["Encoder", "FeatureExtractor", "Layer", "ModuleExtractor", "measure_activation_scales"]
