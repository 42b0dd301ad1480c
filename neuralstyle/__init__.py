"""Neural style transfer: paint one picture in the style of another."""

from neuralstyle.encoders import FeatureExtractor
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

__version__ = "0.1.0"

from neuralstyle.objective import Evaluation, Objective
from neuralstyle.styles import Style
