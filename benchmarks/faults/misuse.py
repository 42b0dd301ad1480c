"""Wrong values for public functions and classes: one or two arguments of a right call are replaced."""

from __future__ import annotations

import decimal
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from formats import picture
from reading import SHARE_WHOLE, network
from trial import OPENED, Case, Kind

Call = tuple[Callable[..., Any], dict[str, Any]]


class Unfit:
    """An object of no type that anything takes."""


def wrong_values(dice: Random) -> list[Any]:
    """Values of nearly every type and range; right for some argument, wrong for most."""
    import numpy as np
    import torch

    image = torch.rand(1, 3, 20, 24)
    numbers = (None, True, -1, 0, 1, 3, 16, 10**9, 10**30, -0.5, 0.5, 1e308, float("nan"), float("inf"), 2j)
    texts = ("", "x", "photo.png", "nowhere/photo.png", "\0", "relu2_1", "cuda", b"bytes", Path(), Path("x.png"))
    things = (Unfit, Unfit(), len, lambda *a, **k: None, decimal.Decimal(3), range(3), iter(()), {1: 2}, {"a": None})
    lists = ([], (), [None], [1, 2], ["x"], [[]], set(), {"relu2_1"}, [0.5, float("nan")], (16, 24))
    tensors = (
        image,
        image[0],
        image[:, :1],
        image * float("nan"),
        image - 0.5,
        image.double(),
        image.half(),
        (image * 255).to(torch.uint8),
        image.to(torch.int64),
        image.to(torch.complex64),
        image.to_sparse(),
        image.to("meta"),
        image.bool(),
        image.requires_grad_(),
        torch.zeros(0),
        torch.zeros(()),
        torch.zeros(1, 3, 0, 0),
        torch.zeros(2, 3, 20, 24),
        torch.zeros(1, 3, 1, 1),
        *([image.detach().to(torch.float8_e4m3fn)] if hasattr(torch, "float8_e4m3fn") else []),
        np.zeros((20, 24, 3), np.uint8),
        np.zeros((20, 24)),
        np.zeros((20, 24, 3), object),
        np.full((20, 24, 3), np.nan),
        np.array("text"),
        np.zeros((20, 24, 3), np.complex64),
        np.array([np.datetime64("2020-01-01")]),
    )
    return [dice.choice(group) for group in (numbers, numbers, texts, things, lists, tensors, tensors)]


@cache
def calls() -> dict[str, Call]:
    """Right calls, by name."""
    import torch

    import neuralstyle as ns
    from neuralstyle import callbacks, checkpoint, color, feedforward, images, losses, metrics, schedule

    image = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    photo = picture(Random(0)).resize((80, 64))
    folder = Path(tempfile.gettempdir())
    encoder = ns.FeatureExtractor("compact19")
    gram = ns.GramStyleLoss(("relu1_1",))
    objective = ns.Objective(encoder, gram, styles=[image])
    short = {"size": 32, "iterations": 1, "schedule": "single", "encoder": "compact19", "progress": False}
    short |= {"losses": gram, "optimizer": None, "init": "content", "tile": None, "seed": 0, "device": "cpu"}
    return {
        "load_image": (ns.load_image, {"picture": photo, "size": 32}),
        "save_image": (
            ns.save_image,
            {"image": image, "path": "out.png", "overwrite": True, "quality": 90, "depth": 8},
        ),
        "to_pil": (images.to_pil, {"image": image}),
        "resize_image": (images.resize_image, {"image": image, "size": 30}),
        "fit_size": (images.fit_size, {"height": 30, "width": 40, "longest": 20}),
        "check_size": (images.check_size, {"size": 30}),
        "check_output": (images.check_output, {"path": "out.png"}),
        "Width": (ns.Width, {"pixels": 30}),
        "Pixels": (ns.Pixels, {"pixels": 3000}),
        "Style": (ns.Style, {"image": photo, "weight": 1.0, "scale": 1.0, "mask": None, "region": None}),
        "Stage": (ns.Stage, {"size": 30, "iterations": 2, "encoder": None, "losses": None}),
        "Noise": (ns.Noise, {"kind": "uniform", "blend": 0.5, "over": "content"}),
        "StateFile": (ns.StateFile, {"path": "run.state", "every": 1.0}),
        "coarse_to_fine": (schedule.coarse_to_fine, {"size": 200, "iterations": 3, "smallest": 96}),
        "single_scale": (schedule.single_scale, {"size": 200, "iterations": 3}),
        "plan": (ns.plan, {"content": photo, "style": photo, **short, "strength": 0.5, "color": "style"}),
        "stylize": (ns.stylize, {"content": photo, "style": photo, **short, "result": "best", "callback": None}),
        "synthesize_texture": (ns.synthesize_texture, {"style": photo, **short, "init": "noise"}),
        "reconstruct_content": (
            ns.reconstruct_content,
            {"content": photo, **short, "losses": None, "layer": "relu1_1", "init": "noise"},
        ),
        "recolor": (ns.recolor, {"content": photo, "style": photo, "method": "match"}),
        "recolor_style": (color.recolor_style, {"style": image, "content": image, "color": "match"}),
        "recolor_result": (color.recolor_result, {"result": image, "content": image, "color": "luminance"}),
        "rgb_to_oklab": (color.rgb_to_oklab, {"image": image}),
        "oklab_to_rgb": (color.oklab_to_rgb, {"lab": color.rgb_to_oklab(image)}),
        "LBFGS": (ns.LBFGS, {"history": 5, "store": "device"}),
        "Adam": (ns.Adam, {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-8}),
        "ContentLoss": (ns.ContentLoss, {"layers": "relu2_1", "layer_weights": None}),
        "GramStyleLoss": (ns.GramStyleLoss, {"layers": ("relu1_1", "relu2_1"), "layer_weights": (1.0, 2.0)}),
        "MeanStdLoss": (losses.MeanStdLoss, {"layers": ("relu1_1",)}),
        "times": (lambda weight: weight * gram, {"weight": 3.0}),
        "scaled": ((1 * gram).scaled, {"reference": "style", "factor": 2.0}),
        "FeatureExtractor": (
            ns.FeatureExtractor,
            {"network": "compact19", "pooling": "l2", "padding": "replicate", "normalize": True},
        ),
        "encoder": (encoder, {"image": image, "layers": ["relu2_1"]}),
        "Objective": (
            ns.Objective,
            {"encoder": encoder, "losses": gram, "content": image, "styles": [image], "tile": None},
        ),
        "evaluate": (objective.evaluate, {"image": image, "tile": None}),
        "SavePictures": (ns.SavePictures, {"pattern": "step-{}.png", "every": 2, "overwrite": True}),
        "LossLog": (ns.LossLog, {"path": "losses.csv", "overwrite": True}),
        "read_losses": (callbacks.read_losses, {"path": folder / "missing.csv"}),
        "save_state": (checkpoint.save_state, {"path": "x.state", "state": {"a": [1, image]}, "kind": "state"}),
        "load_state": (checkpoint.load_state, {"path": "missing.state", "kind": "state", "device": "cpu"}),
        "describe": (checkpoint.describe, {"thing": {"a": 1}}),
        "TransformerNet": (feedforward.TransformerNet, {"width": 4, "blocks": 1, "seed": 0}),
        "save_model": (feedforward.save_model, {"network": network(), "path": "x.safetensors", "half": False}),
        "load_model": (feedforward.load_model, {"model": "missing.safetensors"}),
        "apply_model": (feedforward.apply_model, {"model": network(), "picture": photo}),
        "TrainingData": (
            feedforward.TrainingData,
            {"pictures": "album", "size": 32, "crop": "center", "batch_size": 1, "epochs": 1, "steps": 1, "seed": 0},
        ),
        "StateFolder": (feedforward.StateFolder, {"folder": "run", "every": 5, "resume": True}),
        "Records": (feedforward.Records, {"log": "x.csv", "log_every": 5, "snapshots": "a{}.png"}),
        "compare": (metrics.compare, {"content": photo, "style": photo, "pictures": {"a": photo}, "size": 80}),
        "color_distance": (metrics.color_distance, {"picture": photo, "style": photo}),
        "painting": (ns.samples.painting, {"name": "swirl", "size": 64, "seed": 0}),
    }


FLAGS = ("overwrite", "half", "progress", "resume", "normalize")  # take any value that Python takes for true or false
MISSING = ("read_losses", "load_state", "load_model")  # are given the name of a file that is not there


def make(dice: Random, folder: Path) -> Case:
    picture(dice).save(folder / "photo.png")
    name = dice.choice(sorted(calls()))
    function, arguments = calls()[name]
    arguments = dict(arguments)
    if dice.random() < SHARE_WHOLE:
        return Case((function, arguments), f"{name} as it should be", whole=name not in MISSING)
    names = [argument for argument in sorted(arguments) if argument not in FLAGS]
    changed = dice.sample(names, min(len(names), dice.choice((1, 1, 1, 2))))
    for argument in changed:
        arguments[argument] = dice.choice(wrong_values(dice))
        if argument == "iterations" and isinstance(arguments[argument], int):  # many would take their time
            arguments[argument] = -5
    shown = ", ".join(f"{argument}={_shown(arguments[argument])}" for argument in changed)
    return Case((function, arguments), f"{name}({shown})")


def _shown(value: Any) -> str:
    import numpy as np
    import torch

    if isinstance(value, (torch.Tensor, np.ndarray)):
        return f"{type(value).__name__} {tuple(value.shape)} {value.dtype} {getattr(value, 'device', '')}"
    return f"{value!r:.60}"


def attempt(case: Case) -> str:
    function, arguments = case.value
    function(**arguments)
    return OPENED


KINDS: dict[str, Kind] = {
    "misuse": Kind(make, attempt, 2000, 12, own_words=True, may_change=lambda case: ("photo.png",))
}
