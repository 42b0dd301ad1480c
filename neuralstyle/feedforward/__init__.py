"""Feed-forward style transfer: a network that is trained once paints any picture in one pass."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from neuralstyle.feedforward.inference import apply_files, apply_model
from neuralstyle.feedforward.options import Records, StateFolder, TrainingData
from neuralstyle.feedforward.training import train

if TYPE_CHECKING:
    from neuralstyle.feedforward.export import OnnxModel, export_onnx
    from neuralstyle.feedforward.loop import TrainingProgress
    from neuralstyle.feedforward.models import load_model, save_model, shipped_models
    from neuralstyle.feedforward.network import TransformerNet
    from neuralstyle.feedforward.plan import TRAINING_LOSSES
    from neuralstyle.feedforward.tiled import run_model
else:
    # These files import torch, so they are imported when a name of theirs is first used.
    _FILES = {
        "OnnxModel": "export",
        "TRAINING_LOSSES": "plan",
        "TrainingProgress": "loop",
        "TransformerNet": "network",
        "export_onnx": "export",
        "load_model": "models",
        "run_model": "tiled",
        "save_model": "models",
        "shipped_models": "models",
    }

    def __getattr__(name):
        if name not in _FILES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_FILES[name]}"), name)

    def __dir__():
        return sorted({*globals(), *_FILES})


__all__ = [
    "TRAINING_LOSSES",
    "OnnxModel",
    "Records",
    "StateFolder",
    "TrainingData",
    "TrainingProgress",
    "TransformerNet",
    "apply_files",
    "apply_model",
    "export_onnx",
    "load_model",
    "run_model",
    "save_model",
    "shipped_models",
    "train",
]
