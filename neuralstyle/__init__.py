"""Neural style transfer: paint one picture in the style of another."""

from neuralstyle import metrics, samples
from neuralstyle.callbacks import LivePreview, LossLog, SavePictures, plot_losses
from neuralstyle.color import recolor
from neuralstyle.encoders import FeatureExtractor, Layer, ModuleExtractor, measure_activation_scales
from neuralstyle.encoders.default import default_encoder
from neuralstyle.feedforward import (
    TRAINING_LOSSES,
    TrainingProgress,
    TransformerNet,
    apply_files,
    apply_model,
    export_onnx,
    load_model,
    run_model,
    save_model,
    shipped_models,
    train,
)
from neuralstyle.images import Pixels, Width, load_image, save_image
from neuralstyle.losses import (
    ContentLoss,
    ContextualLoss,
    CovarianceLoss,
    GramStyleLoss,
    HistogramLoss,
    LaplacianLoss,
    LongRangeLoss,
    Loss,
    LossSum,
    MeanStdLoss,
    MMDLoss,
    MRFLoss,
    NearestNeighborLoss,
    PointwiseLoss,
    RangeLoss,
    RelaxedEMDLoss,
    SelfSimilarityLoss,
    SlicedWassersteinLoss,
    StatisticLoss,
    TotalVariationLoss,
    WassersteinLoss,
    geometric_weights,
)
from neuralstyle.objective.objective import Evaluation, Objective
from neuralstyle.optimizers.adam import Adam
from neuralstyle.optimizers.lbfgs import LBFGS
from neuralstyle.painting.initial import Noise
from neuralstyle.painting.iterate import iterate
from neuralstyle.painting.options import StateFile
from neuralstyle.painting.paint import paint
from neuralstyle.painting.plan import Plan, plan
from neuralstyle.painting.progress import Progress
from neuralstyle.painting.stylize import reconstruct_content, stylize, synthesize_texture
from neuralstyle.recipes import DEFAULT_LOSSES, SCHEDULES, STYLE_LOSSES, TEXTURE_LOSSES, gatys, with_style_loss
from neuralstyle.schedule import Stage, coarse_to_fine, single_scale
from neuralstyle.styles import Style

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_LOSSES",
    "LBFGS",
    "SCHEDULES",
    "STYLE_LOSSES",
    "TEXTURE_LOSSES",
    "TRAINING_LOSSES",
    "Adam",
    "ContentLoss",
    "ContextualLoss",
    "CovarianceLoss",
    "Evaluation",
    "FeatureExtractor",
    "GramStyleLoss",
    "HistogramLoss",
    "LaplacianLoss",
    "Layer",
    "LivePreview",
    "LongRangeLoss",
    "Loss",
    "LossLog",
    "LossSum",
    "MMDLoss",
    "MRFLoss",
    "MeanStdLoss",
    "ModuleExtractor",
    "NearestNeighborLoss",
    "Noise",
    "Objective",
    "Pixels",
    "Plan",
    "PointwiseLoss",
    "Progress",
    "RangeLoss",
    "RelaxedEMDLoss",
    "SavePictures",
    "SelfSimilarityLoss",
    "SlicedWassersteinLoss",
    "Stage",
    "StateFile",
    "StatisticLoss",
    "Style",
    "TotalVariationLoss",
    "TrainingProgress",
    "TransformerNet",
    "WassersteinLoss",
    "Width",
    "apply_files",
    "apply_model",
    "coarse_to_fine",
    "default_encoder",
    "export_onnx",
    "gatys",
    "geometric_weights",
    "iterate",
    "load_image",
    "load_model",
    "measure_activation_scales",
    "metrics",
    "paint",
    "plan",
    "plot_losses",
    "recolor",
    "reconstruct_content",
    "run_model",
    "samples",
    "save_image",
    "save_model",
    "shipped_models",
    "single_scale",
    "stylize",
    "synthesize_texture",
    "train",
    "with_style_loss",
]
