"""Encoders: networks that turn a picture into named feature maps."""

from neuralstyle.encoders.activation_scales import measure_activation_scales
from neuralstyle.encoders.base import Encoder, Layer
from neuralstyle.encoders.combined import CombinedEncoder
from neuralstyle.encoders.default import default_encoder
from neuralstyle.encoders.extractor import FeatureExtractor
from neuralstyle.encoders.module import ModuleExtractor
from neuralstyle.encoders.precision import InPrecision

__all__ = [
    "CombinedEncoder",
    "Encoder",
    "FeatureExtractor",
    "InPrecision",
    "Layer",
    "ModuleExtractor",
    "default_encoder",
    "measure_activation_scales",
]
