"""Feed-forward style transfer: a network trained once paints any picture in one pass."""

from neuralstyle.feedforward.export import OnnxModel, export_onnx
from neuralstyle.feedforward.inference import apply, apply_files
from neuralstyle.feedforward.loop import TrainingProgress
from neuralstyle.feedforward.models import load_model, save_model, shipped_models
from neuralstyle.feedforward.network import TransformerNet
from neuralstyle.feedforward.tiled import run_model
from neuralstyle.feedforward.training import TRAINING_LOSSES, train

__all__ = [
    "TRAINING_LOSSES",
    "OnnxModel",
    "TrainingProgress",
    "TransformerNet",
    "apply",
    "apply_files",
    "export_onnx",
    "load_model",
    "run_model",
    "save_model",
    "shipped_models",
    "train",
]
