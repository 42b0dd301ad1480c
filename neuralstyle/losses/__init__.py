"""Losses, one family per file: plain tensors in and out, unaware of encoders, masks, tiles and optimisers."""

from neuralstyle.losses.base import Loss, LossSum, PointwiseLoss, StatisticLoss, Term, geometric_weights
from neuralstyle.losses.content import ContentLoss
from neuralstyle.losses.gram import GramStyleLoss
from neuralstyle.losses.total_variation import TotalVariationLoss

__all__ = [
    "ContentLoss",
    "GramStyleLoss",
    "Loss",
    "LossSum",
    "PointwiseLoss",
    "StatisticLoss",
    "Term",
    "TotalVariationLoss",
    "geometric_weights",
]
