"""Losses, one family per file: tensors in and out, without encoders, masks, tiles or optimisers."""

from neuralstyle.losses.base import Loss, LossSum, PointwiseLoss, StatisticLoss, Term
from neuralstyle.losses.content import ContentLoss
from neuralstyle.losses.contextual import ContextualLoss
from neuralstyle.losses.covariance import CovarianceLoss
from neuralstyle.losses.ghosts import GhostLoss
from neuralstyle.losses.gram import GramStyleLoss
from neuralstyle.losses.histogram import HistogramLoss
from neuralstyle.losses.hypercolumns import HypercolumnLoss
from neuralstyle.losses.laplacian import LaplacianLoss
from neuralstyle.losses.layers import geometric_weights
from neuralstyle.losses.long_range import LongRangeLoss
from neuralstyle.losses.mean_std import MeanStdLoss
from neuralstyle.losses.mmd import MMDLoss
from neuralstyle.losses.mrf import MRFLoss
from neuralstyle.losses.nearest_neighbor import NearestNeighborLoss
from neuralstyle.losses.pixel_range import RangeLoss
from neuralstyle.losses.relaxed_emd import RelaxedEMDLoss
from neuralstyle.losses.self_similarity import SelfSimilarityLoss
from neuralstyle.losses.sliced_wasserstein import SlicedWassersteinLoss
from neuralstyle.losses.temporal import TemporalLoss
from neuralstyle.losses.total_variation import TotalVariationLoss
from neuralstyle.losses.wasserstein import WassersteinLoss

__all__ = [
    "ContentLoss",
    "ContextualLoss",
    "CovarianceLoss",
    "GhostLoss",
    "GramStyleLoss",
    "HistogramLoss",
    "HypercolumnLoss",
    "LaplacianLoss",
    "LongRangeLoss",
    "Loss",
    "LossSum",
    "MMDLoss",
    "MRFLoss",
    "MeanStdLoss",
    "NearestNeighborLoss",
    "PointwiseLoss",
    "RangeLoss",
    "RelaxedEMDLoss",
    "SelfSimilarityLoss",
    "SlicedWassersteinLoss",
    "StatisticLoss",
    "TemporalLoss",
    "Term",
    "TotalVariationLoss",
    "WassersteinLoss",
    "geometric_weights",
]
