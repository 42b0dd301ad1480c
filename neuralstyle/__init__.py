"""Neural style transfer: paint one picture in the style of another."""

from neuralstyle import samples
from neuralstyle.encoders import FeatureExtractor, Layer
from neuralstyle.images import load_image, save_image
from neuralstyle.losses import (
    ContentLoss,
    GramStyleLoss,
    Loss,
    LossSum,
    PointwiseLoss,
    StatisticLoss,
    TotalVariationLoss,
)
from neuralstyle.objective import Evaluation, Objective
from neuralstyle.optimizers import LBFGS, Adam
from neuralstyle.painting import Progress
from neuralstyle.recipes import DEFAULT_LOSSES, TEXTURE_LOSSES, default_encoder, gatys
from neuralstyle.schedule import Scale, coarse_to_fine, single_scale
from neuralstyle.styles import Style
from neuralstyle.stylize import reconstruct_content, stylize, synthesize_texture

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_LOSSES",
    "LBFGS",
    "TEXTURE_LOSSES",
    "Adam",
    "ContentLoss",
    "Evaluation",
    "FeatureExtractor",
    "GramStyleLoss",
    "Layer",
    "Loss",
    "LossSum",
    "Objective",
    "PointwiseLoss",
    "Progress",
    "Scale",
    "StatisticLoss",
    "Style",
    "TotalVariationLoss",
    "coarse_to_fine",
    "default_encoder",
    "gatys",
    "load_image",
    "reconstruct_content",
    "samples",
    "save_image",
    "single_scale",
    "stylize",
    "synthesize_texture",
]
