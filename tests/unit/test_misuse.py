"""Wrong values for every public function: one line of the package's own, before any long work."""

from __future__ import annotations

import functools
import math
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import MOST_SECONDS
from PIL import Image

import neuralstyle
from neuralstyle import (
    LBFGS,
    Adam,
    ContentLoss,
    FeatureExtractor,
    GramStyleLoss,
    LivePreview,
    LossLog,
    ModuleExtractor,
    Noise,
    Objective,
    Pixels,
    SavePictures,
    Stage,
    StateFile,
    Style,
    Width,
    callbacks,
    checkpoint,
    color,
    default_encoder,
    feedforward,
    gatys,
    images,
    iterate,
    load_image,
    losses,
    many,
    metrics,
    optimizers,
    paint,
    plan,
    recipes,
    recolor,
    reconstruct_content,
    samples,
    save_image,
    schedule,
    stylize,
    synthesize_texture,
    testing,
    with_style_loss,
)
from neuralstyle.encoders import InPrecision, measure_activation_scales

PACKAGE = str(Path(neuralstyle.__file__).parent)
CLEAR = (ValueError, TypeError, OSError, ImportError)
MOST_CHARACTERS = 400

GOOD = torch.full((1, 3, 32, 48), 0.5)
LAYERS = ("relu1_1",)
SMALL = GramStyleLoss("relu1_1")


class Odd:
    """An object of somebody else's."""


class Rude:
    """An object that cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def without_values() -> Iterator[int]:
    yield from ()


NO_PICTURES: dict[str, Any] = {
    "a number": 0,
    "a float": 1.5,
    "True": True,
    "bytes": b"x.png",
    "a missing file": "no/such/file.png",
    "an empty name": "",
    "a null byte": "a\0b.png",
    "a long name": "x" * 5000,
    "a folder": str(Path(__file__).parent),
    "this file": __file__,
    "a list of numbers": [1, 2],
    "a dict": {"a": 1},
    "an object": Odd(),
    "a rude object": Rude(),
    "a class": Image.Image,
    "a function": len,
    "a generator": without_values(),
    "sparse": torch.rand(3, 32, 48).to_sparse(),
    "meta": torch.empty(1, 3, 32, 48, device="meta"),
    "complex": torch.zeros(1, 3, 32, 48, dtype=torch.complex64),
    "float8": torch.zeros(1, 3, 32, 48).to(torch.float8_e4m3fn),
    "whole numbers": torch.zeros(1, 3, 32, 48, dtype=torch.int64),
    "NaN": torch.full((1, 3, 32, 48), math.nan),
    "infinite": torch.full((1, 3, 32, 48), math.inf),
    "out of range": torch.full((1, 3, 32, 48), 255.0),
    "a scalar tensor": torch.tensor(0.5),
    "flat": torch.rand(9),
    "five dimensions": torch.rand(1, 1, 3, 32, 48),
    "two channels": torch.rand(1, 2, 32, 48),
    "channels last": torch.rand(32, 48, 3),
    "empty": torch.rand(1, 3, 0, 48),
    "tiny": torch.rand(1, 3, 2, 2),
    "two pictures": torch.rand(2, 3, 32, 48),
    "an array of objects": np.full((32, 48, 3), None),
    "an array of text": np.full((32, 48, 3), "a"),
    "a complex array": np.zeros((32, 48, 3), dtype=complex),
    "an array of NaN": np.full((32, 48, 3), np.nan),
    "an empty array": np.zeros((0, 48, 3)),
    "a number of numpy": np.float64(0.5),
    "a tiny picture": Image.new("RGB", (3, 3)),
}
NO_BATCHES = {name: value for name, value in NO_PICTURES.items() if name != "two pictures"}
NO_TENSORS = {
    **NO_PICTURES,
    "None": None,
    "a picture of PIL": Image.new("RGB", (48, 32)),
    "an array": np.zeros((32, 48, 3)),
}
NO_NUMBERS: dict[str, Any] = {
    "text": "x",
    "None": None,
    "True": True,
    "NaN": math.nan,
    "infinite": math.inf,
    "negative": -1,
    "complex": 1j,
    "a list": [1],
    "an object": Odd(),
    "a rude object": Rude(),
    "a tensor": torch.rand(3),
    "an array": np.zeros((40, 40)),
}
NO_WHOLE_NUMBERS = {**NO_NUMBERS, "a half": 0.5, "text of a number": "8"}
NO_WORDS: dict[str, Any] = {
    "another word": "xyz",
    "a number": 7,
    "bytes": b"x",
    "a list": [1],
    "a dict": {},
    "an object": Odd(),
    "a rude object": Rude(),
    "a tensor": torch.rand(3),
    "an array": np.zeros((40, 40)),
}
NO_ENCODERS = {**NO_WORDS, "a class": FeatureExtractor, "a function": len, "a module": torch.nn.Conv2d(3, 4, 3)}
NO_LOSSES = {
    **NO_WORDS,
    "a class": ContentLoss,
    "a function": len,
    "zero": 0,
    "an empty list": [],
    "a module": torch.nn.MSELoss(),
}
NO_LAYERS = {
    **NO_WORDS,
    "numbers": [1, 2],
    "an empty list": [],
    "a wrong one": ["relu9_9"],
    "a generator": without_values(),
}
NO_PATHS: dict[str, Any] = {
    "a number": 7,
    "None": None,
    "a list": [1],
    "an object": Odd(),
    "a rude object": Rude(),
    "a tensor": torch.rand(3),
    "a folder": str(Path(__file__).parent),
    "a missing folder": "no/such/folder/x.png",
    "no suffix": "no_suffix",
    "an empty name": "",
}


@functools.cache
def encoder() -> FeatureExtractor:
    return FeatureExtractor(layers=LAYERS)


@functools.cache
def objective() -> Objective:
    return Objective(encoder(), SMALL, styles=[GOOD])


@functools.cache
def network() -> feedforward.TransformerNet:
    return feedforward.TransformerNet(width=4, blocks=1, seed=0).eval()


def planned(**options: Any) -> Any:
    chosen = {"content": GOOD, "style": GOOD, "encoder": encoder(), "losses": SMALL, "size": 32, "iterations": 1}
    return plan(**{**chosen, "device": "cpu", **options})


def laid_out(**options: Any) -> Any:
    chosen = {"contents": GOOD, "styles": GOOD, "encoder": encoder(), "losses": SMALL, "size": 32, "iterations": 1}
    return many.contact_sheet(**{**chosen, "schedule": "single", "progress": False, "device": "cpu", **options})


def trained(**options: Any) -> Any:
    data = feedforward.TrainingData("no/such/folder", size=32, steps=1, workers=0)
    return feedforward.train(**{"style": GOOD, "data": data, "losses": SMALL, "encoder": encoder(), **options})


Attack = tuple[Callable[[Any], Any], Mapping[str, Any]]
"""What is called with a wrong value, and the wrong values."""

ATTACKS: dict[str, Attack] = {
    # Pictures in and out
    "load_image": (load_image, NO_PICTURES),
    "load_image's size": (lambda x: load_image(GOOD, x), NO_WHOLE_NUMBERS),
    "save_image": (lambda x: save_image(x, "out.png"), NO_TENSORS),
    "save_image's path": (lambda x: save_image(GOOD, x), NO_PATHS),
    "save_image's depth": (lambda x: save_image(GOOD, "out.png", depth=x), NO_WHOLE_NUMBERS),
    "save_image's quality": (lambda x: save_image(GOOD, "out.jpg", quality=x), NO_WHOLE_NUMBERS),
    "to_pil": (images.to_pil, NO_TENSORS),
    "resize_image": (lambda x: images.resize_image(x, 32), NO_TENSORS),
    "resize_image's size": (lambda x: images.resize_image(GOOD, x), NO_WHOLE_NUMBERS),
    "region_of_color": (lambda x: images.region_of_color(x, "white"), NO_PICTURES),
    "region_of_color's color": (lambda x: images.region_of_color(GOOD, x), NO_WORDS),
    "region_of_color's tolerance": (lambda x: images.region_of_color(GOOD, "grey", x), NO_NUMBERS),
    "Width": (Width, NO_WHOLE_NUMBERS),
    "Pixels": (Pixels, NO_WHOLE_NUMBERS),
    # Painting
    "stylize's content": (lambda x: stylize(x, GOOD, progress=False), NO_PICTURES),
    "stylize's style": (lambda x: stylize(GOOD, x, progress=False), NO_PICTURES),
    "a style among others": (lambda x: planned(style=[GOOD, x]), NO_PICTURES),
    "Style's image": (lambda x: planned(style=Style(x)), NO_PICTURES),
    "Style's weight": (lambda x: Style(GOOD, weight=x), NO_NUMBERS),
    "Style's scale": (lambda x: Style(GOOD, scale=x), NO_NUMBERS),
    "Style's mask": (lambda x: planned(style=Style(GOOD, mask=x)), NO_PICTURES),
    "Style's region": (lambda x: planned(style=Style(GOOD, region=x)), NO_PICTURES),
    "Style's softness": (lambda x: Style(GOOD, softness=x), NO_NUMBERS),
    "Style's edges": (lambda x: Style(GOOD, edges=x), NO_WORDS),
    "plan's losses": (lambda x: planned(losses=x), NO_LOSSES),
    "plan's size": (lambda x: planned(size=x), NO_WHOLE_NUMBERS),
    "plan's iterations": (lambda x: planned(iterations=x), NO_WHOLE_NUMBERS),
    "plan's optimizer": (lambda x: planned(optimizer=x), NO_WORDS),
    "plan's init": (lambda x: planned(init=x), NO_PICTURES),
    "plan's encoder": (lambda x: planned(encoder=x), NO_ENCODERS),
    "plan's tile": (lambda x: planned(tile=x), NO_WHOLE_NUMBERS),
    "plan's seed": (lambda x: planned(seed=x, init="noise"), NO_WHOLE_NUMBERS),
    "plan's device": (lambda x: planned(device=x), NO_WORDS),
    "plan's callback": (lambda x: planned(callback=x), NO_WORDS),
    "plan's schedule": (lambda x: planned(schedule=x), NO_WORDS),
    "plan's strength": (lambda x: planned(strength=x), NO_NUMBERS),
    "plan's color": (lambda x: planned(color=x), NO_WORDS),
    "plan's result": (lambda x: planned(result=x), NO_WORDS),
    "plan's state": (lambda x: planned(state=x), NO_PATHS),
    "paint": (lambda x: paint(x), NO_WORDS),
    "iterate": (lambda x: next(iterate(x)), NO_WORDS),
    "synthesize_texture": (lambda x: synthesize_texture(x, progress=False), NO_PICTURES),
    "synthesize_texture's size": (lambda x: synthesize_texture(GOOD, size=x), NO_WHOLE_NUMBERS),
    "reconstruct_content": (lambda x: reconstruct_content(x, progress=False), NO_PICTURES),
    "reconstruct_content's layer": (lambda x: reconstruct_content(GOOD, x), NO_LAYERS),
    "Noise's kind": (Noise, NO_WORDS),
    "Noise's blend": (lambda x: Noise(blend=x), NO_NUMBERS),
    "Noise's over": (lambda x: planned(init=Noise(blend=0.5, over=x)), NO_PICTURES),
    "StateFile's path": (lambda x: planned(state=StateFile(x)), NO_PATHS),
    "StateFile's every": (lambda x: StateFile("a", x), NO_NUMBERS),
    "Stage's size": (lambda x: Stage(x, 1), NO_WHOLE_NUMBERS),
    "Stage's iterations": (lambda x: Stage(32, x), NO_WHOLE_NUMBERS),
    "Stage's encoder": (lambda x: Stage(32, 1, x), NO_ENCODERS),
    "Stage's losses": (lambda x: Stage(32, 1, losses=x), NO_WORDS),
    "Stage's cost": (lambda x: Stage(32, 1, cost=x), NO_NUMBERS),
    "coarse_to_fine": (schedule.coarse_to_fine, NO_WHOLE_NUMBERS),
    "standard": (recipes.standard, NO_WHOLE_NUMBERS),
    "gatys": (lambda x: gatys(alpha=x), NO_NUMBERS),
    "with_style_loss": (lambda x: with_style_loss(x, "gram"), NO_LOSSES),
    "with_style_loss's name": (lambda x: with_style_loss(neuralstyle.DEFAULT_LOSSES, x), NO_WORDS),
    # The parts
    "FeatureExtractor": (FeatureExtractor, NO_WORDS),
    "FeatureExtractor's layers": (lambda x: FeatureExtractor(layers=x), NO_LAYERS),
    "FeatureExtractor's weights": (lambda x: FeatureExtractor(weights=x), NO_WORDS),
    "FeatureExtractor's pooling": (lambda x: FeatureExtractor(pooling=x), NO_WORDS),
    "FeatureExtractor's normalize": (lambda x: FeatureExtractor(layers=LAYERS, normalize=x), NO_WORDS),
    "an encoder's picture": (lambda x: encoder()(x, LAYERS), NO_TENSORS),
    "an encoder's layers": (lambda x: encoder()(GOOD, x), NO_LAYERS),
    "ModuleExtractor": (ModuleExtractor, NO_WORDS),
    "ModuleExtractor's mean": (lambda x: ModuleExtractor(torch.nn.ReLU(), mean=x), NO_WORDS),
    "InPrecision": (lambda x: InPrecision(x, "float32"), NO_ENCODERS),
    "InPrecision's precision": (lambda x: InPrecision(encoder(), x), NO_WORDS),
    "default_encoder": (default_encoder, NO_WORDS),
    "measure_activation_scales": (lambda x: measure_activation_scales(x, [GOOD]), NO_ENCODERS),
    "measure_activation_scales' pictures": (lambda x: measure_activation_scales(encoder(), x), NO_WORDS),
    "Objective": (lambda x: Objective(x, SMALL, styles=[GOOD]), NO_ENCODERS),
    "Objective's losses": (lambda x: Objective(encoder(), x, styles=[GOOD]), NO_LOSSES),
    "Objective's content": (lambda x: Objective(encoder(), ContentLoss("relu1_1"), content=x), NO_BATCHES),
    "Objective's styles": (lambda x: Objective(encoder(), SMALL, styles=x), NO_PICTURES),
    "Objective's map_dtype": (lambda x: Objective(encoder(), SMALL, styles=[GOOD], map_dtype=x), NO_WORDS),
    "Objective's map_device": (lambda x: Objective(encoder(), SMALL, styles=[GOOD], map_device=x), NO_WORDS),
    "Objective's tile": (lambda x: Objective(encoder(), SMALL, styles=[GOOD], tile=x), NO_WHOLE_NUMBERS),
    "evaluate": (lambda x: objective().evaluate(x), NO_TENSORS),
    "evaluate's tile": (lambda x: objective().evaluate(GOOD, x), NO_WHOLE_NUMBERS),
    "minimize's optimizer": (lambda x: optimizers.minimize(x, GOOD, lambda y: (0.0, y), 1), NO_WORDS),
    "minimize's image": (lambda x: optimizers.minimize(LBFGS(), x, lambda y: (0.0, y), 1), NO_TENSORS),
    "minimize's evaluations": (lambda x: optimizers.minimize(LBFGS(), GOOD, lambda y: (0.0, y), x), NO_WHOLE_NUMBERS),
    "LBFGS' history": (lambda x: LBFGS(history=x), NO_WHOLE_NUMBERS),
    "LBFGS' store": (lambda x: LBFGS(store=x), NO_WORDS),
    "Adam's lr": (lambda x: Adam(lr=x), NO_NUMBERS),
    "Adam's eps": (lambda x: Adam(eps=x), NO_NUMBERS),
    "Adam's betas": (lambda x: Adam(betas=x), NO_NUMBERS),
    "a loss' weight": (lambda x: x * SMALL, NO_NUMBERS),
    "a reference to scale": (lambda x: (1 * SMALL).scaled(x, 2), NO_WORDS),
    "layer_weights": (lambda x: GramStyleLoss("relu1_1", layer_weights=x), NO_NUMBERS),
    "a sum of losses": (lambda x: SMALL + x, NO_LOSSES),
    "check_loss": (testing.check_loss, NO_LOSSES),
    "check_encoder": (testing.check_encoder, NO_ENCODERS),
    "check_strategy": (testing.check_strategy, NO_WORDS),
    # Colours and measures
    "recolor": (lambda x: recolor(x, GOOD), NO_PICTURES),
    "recolor's method": (lambda x: recolor(GOOD, GOOD, x), NO_WORDS),
    "match_color": (lambda x: color.match_color(x, GOOD), NO_TENSORS),
    "match_color's reference": (lambda x: color.match_color(GOOD, x), NO_TENSORS),
    "match_histogram": (lambda x: color.match_histogram(x, GOOD), NO_TENSORS),
    "keep_chroma": (lambda x: color.keep_chroma(x, GOOD), NO_TENSORS),
    "keep_chroma's levels": (lambda x: color.keep_chroma(GOOD, GOOD, x), NO_WHOLE_NUMBERS),
    "follow_color": (lambda x: color.follow_color(x, GOOD), NO_TENSORS),
    "follow_color's method": (lambda x: color.follow_color(GOOD, GOOD, x), NO_WORDS),
    "rgb_to_oklab": (color.rgb_to_oklab, NO_TENSORS),
    "recolor_style's color": (lambda x: color.recolor_style(GOOD, GOOD, x), NO_WORDS),
    "style_distance": (lambda x: metrics.style_distance(x, GOOD), NO_PICTURES),
    "style_distance's method": (lambda x: metrics.style_distance(GOOD, GOOD, method=x), NO_WORDS),
    "style_distance's encoder": (lambda x: metrics.style_distance(GOOD, GOOD, encoder=x, layers=LAYERS), NO_ENCODERS),
    "style_distance's layers": (lambda x: metrics.style_distance(GOOD, GOOD, encoder=encoder(), layers=x), NO_LAYERS),
    "content_distance": (lambda x: metrics.content_distance(GOOD, x), NO_PICTURES),
    "structure": (lambda x: metrics.structure(x, GOOD), NO_PICTURES),
    "color_distance": (lambda x: metrics.color_distance(x, GOOD), NO_PICTURES),
    "spectrum_distance": (lambda x: metrics.spectrum_distance(x, GOOD), NO_PICTURES),
    "high_frequency_excess": (lambda x: metrics.high_frequency_excess(x, GOOD), NO_PICTURES),
    "grid_energy": (metrics.grid_energy, NO_PICTURES),
    "flat_area": (lambda x: metrics.flat_area(x, GOOD), NO_PICTURES),
    "ghost_contrast": (lambda x: metrics.ghost_contrast(x, GOOD, GOOD), NO_PICTURES),
    "cfsd": (lambda x: metrics.cfsd(x, GOOD), NO_PICTURES),
    "cfsd's similarity": (lambda x: metrics.cfsd(GOOD, GOOD, similarity=x), NO_WORDS),
    "cfsd's positions": (lambda x: metrics.cfsd(GOOD, GOOD, positions=x), NO_WHOLE_NUMBERS),
    "lpips": (lambda x: metrics.lpips(GOOD, x), NO_PICTURES),
    "lpips' encoder": (lambda x: metrics.lpips(GOOD, GOOD, encoder=x, layers=LAYERS), NO_ENCODERS),
    "lpips' weights": (lambda x: metrics.lpips(GOOD, GOOD, weights=x), NO_WORDS),
    "sifid": (lambda x: metrics.sifid(x, GOOD), NO_PICTURES),
    "sifid's layers": (lambda x: metrics.sifid(GOOD, GOOD, encoder=encoder(), layers=x), NO_LAYERS),
    "style_cosine": (lambda x: metrics.style_cosine(GOOD, x), NO_PICTURES),
    "style_cosine's embedding": (lambda x: metrics.style_cosine(GOOD, GOOD, embedding=x), NO_WORDS),
    "Curve": (metrics.Curve, NO_WORDS),
    "Curve of": (metrics.Curve.of, NO_WORDS),
    "compare": (lambda x: metrics.compare(GOOD, GOOD, x), NO_WORDS),
    "table": (metrics.table, NO_WORDS),
    "RandomFilters": (metrics.RandomFilters, NO_WHOLE_NUMBERS),
    "RandomFilters' seed": (lambda x: metrics.RandomFilters(seed=x), NO_WHOLE_NUMBERS),
    # Networks
    "TransformerNet": (feedforward.TransformerNet, NO_WHOLE_NUMBERS),
    "TransformerNet's seed": (lambda x: feedforward.TransformerNet(4, 1, seed=x), NO_WHOLE_NUMBERS),
    "apply_model": (lambda x: feedforward.apply_model(x, GOOD), NO_WORDS),
    "apply_model's picture": (lambda x: feedforward.apply_model(network(), x), NO_PICTURES),
    "apply_model's content_scale": (lambda x: feedforward.apply_model(network(), GOOD, content_scale=x), NO_NUMBERS),
    "apply_model's tile": (lambda x: feedforward.apply_model(network(), GOOD, tile=x), NO_WHOLE_NUMBERS),
    "apply_model's device": (lambda x: feedforward.apply_model(network(), GOOD, device=x), NO_WORDS),
    "apply_files": (lambda x: feedforward.apply_files(network(), x, "out", progress=False), NO_WORDS),
    "run_model": (lambda x: feedforward.run_model(network(), x), NO_TENSORS),
    "load_model": (feedforward.load_model, NO_PATHS),
    "save_model": (lambda x: feedforward.save_model(x, "out.safetensors"), NO_WORDS),
    "save_model's path": (lambda x: feedforward.save_model(network(), x), NO_PATHS),
    "export_onnx's path": (lambda x: feedforward.export_onnx(network(), x), NO_PATHS),
    "train's style": (lambda x: trained(style=x), NO_PICTURES),
    "train's data": (lambda x: trained(data=x), NO_WORDS),
    "train's losses": (lambda x: trained(losses=x), NO_LOSSES),
    "train's network": (lambda x: trained(network=x), NO_WORDS),
    "train's encoder": (lambda x: trained(encoder=x), NO_ENCODERS),
    "train's lr": (lambda x: trained(lr=x), NO_NUMBERS),
    "train's records": (lambda x: trained(records=x), NO_WORDS),
    "train's precision": (lambda x: trained(precision=x), NO_WORDS),
    "train's output": (lambda x: trained(output=x), NO_PATHS),
    "train's state": (lambda x: trained(state=x), NO_PATHS),
    "TrainingData": (lambda x: trained(data=feedforward.TrainingData(x, workers=0)), NO_WORDS),
    "TrainingData's size": (lambda x: feedforward.TrainingData("a", size=x), NO_WHOLE_NUMBERS),
    "TrainingData's workers": (lambda x: feedforward.TrainingData("a", workers=x), NO_WHOLE_NUMBERS),
    # Many pictures
    "contact_sheet": (lambda x: laid_out(contents=x), NO_PICTURES),
    "contact_sheet's styles": (lambda x: laid_out(styles=x), NO_PICTURES),
    "contact_sheet's losses": (lambda x: laid_out(losses=x), NO_LOSSES),
    "contact_sheet's strengths": (lambda x: laid_out(strengths=x), NO_NUMBERS),
    "contact_sheet's seeds": (lambda x: laid_out(seeds=x), NO_WHOLE_NUMBERS),
    "contact_sheet's cells": (lambda x: laid_out(cells=x), NO_PATHS),
    "sweep": (lambda x: many.sweep(x, GOOD), NO_PICTURES),
    "show": (neuralstyle.show, NO_PICTURES),
    "show's titles": (lambda x: neuralstyle.show(GOOD, titles=x), NO_WORDS),
    "show's columns": (lambda x: neuralstyle.show(GOOD, columns=x), NO_WHOLE_NUMBERS),
    "grid's side": (lambda x: images.grid(GOOD, side=x), NO_WHOLE_NUMBERS),
    "plot_losses": (callbacks.plot_losses, NO_PATHS),
    # All else
    "SavePictures": (SavePictures, NO_PATHS),
    "SavePictures' every": (lambda x: SavePictures("a-{}.png", x), NO_WHOLE_NUMBERS),
    "LossLog": (LossLog, NO_PATHS),
    "LivePreview": (LivePreview, NO_WHOLE_NUMBERS),
    "LivePreview's side": (lambda x: LivePreview(side=x), NO_WHOLE_NUMBERS),
    "read_losses": (callbacks.read_losses, NO_PATHS),
    "save_state": (lambda x: checkpoint.save_state("state.safetensors", x), NO_WORDS),
    "save_state's path": (lambda x: checkpoint.save_state(x, {"a": 1}), NO_PATHS),
    "load_state": (checkpoint.load_state, NO_PATHS),
    "painting": (samples.painting, NO_WORDS),
    "painting's size": (lambda x: samples.painting("swirl", x), NO_WHOLE_NUMBERS),
    "geometric_weights": (lambda x: losses.geometric_weights(x, 2), NO_LAYERS),
    "geometric_weights' ratio": (lambda x: losses.geometric_weights(LAYERS, x), NO_NUMBERS),
}

RIGHT: dict[str, Sequence[str]] = {
    "layer_weights": ("None", "negative", "a list"),
    "load_image's size": ("None",),
    "save_image": ("out of range", "tiny", "a tiny picture", "a picture of PIL"),
    "to_pil": ("out of range", "tiny"),
    "resize_image": ("NaN", "infinite", "out of range", "two channels", "tiny", "two pictures"),
    "plan's iterations": ("None",),
    "plan's tile": ("None",),
    "plan's seed": ("negative",),
    "plan's state": ("None", "no suffix"),
    "StateFile's path": ("no suffix",),
    "Stage's encoder": ("another word",),
    "gatys": ("negative",),
    "FeatureExtractor's layers": ("a dict", "an empty list", "a generator"),
    "an encoder's picture": ("NaN", "infinite", "out of range", "tiny", "two pictures"),
    "an encoder's layers": ("a dict", "an empty list", "a generator"),
    "ModuleExtractor's mean": ("a tensor",),
    "Objective's tile": ("None",),
    "evaluate": ("NaN", "infinite", "out of range", "tiny", "two pictures"),
    "evaluate's tile": ("None",),
    "minimize's image": (
        "NaN",
        "a scalar tensor",
        "flat",
        "five dimensions",
        "two channels",
        "channels last",
        "tiny",
        "two pictures",
    ),
    "LBFGS' history": ("None",),
    "a loss' weight": ("negative",),
    "match_color": ("out of range", "tiny", "two pictures"),
    "match_color's reference": ("out of range", "tiny"),
    "match_histogram": ("out of range", "tiny", "two pictures"),
    "keep_chroma": ("out of range", "two pictures"),
    "keep_chroma's levels": ("None",),
    "follow_color": ("out of range", "two pictures"),
    "rgb_to_oklab": ("out of range", "tiny", "two pictures"),
    "table": ("a dict",),
    "TransformerNet's seed": ("None", "negative"),
    "apply_model's tile": ("None",),
    "run_model": ("NaN", "infinite", "out of range", "two pictures"),
    "TrainingData's workers": ("None",),
    "save_state": ("another word", "a number", "a list", "a dict", "a tensor"),
    "save_state's path": ("no suffix", "a missing folder", "a folder", "an empty name"),
    "geometric_weights": ("another word", "a wrong one"),
    "cfsd's positions": ("None",),
    "contact_sheet's losses": ("None",),
    "contact_sheet's strengths": ("None", "a list"),
    "contact_sheet's seeds": ("None", "a list"),
    "contact_sheet's cells": ("None", "a folder", "a missing folder", "no suffix", "an empty name"),
    "show": ("two pictures",),
    "show's titles": ("another word", "a list"),
    "show's columns": ("None",),
    "grid's side": ("None",),
    "LossLog": ("None",),
    "LivePreview's side": ("None",),
}
"""Values that are right there after all."""

DIRECT = ("NaN", "infinite", "out of range", "two channels", "tiny", "two pictures", "meta")
"""Tensors that a loss takes as features. What is not finite is found by the objective."""

for name in losses.__all__:
    kind = getattr(losses, name)
    if name.endswith("Loss") and not kind.__abstractmethods__:
        ATTACKS[f"{name}'s layers"] = (lambda x, kind=kind: kind(layers=x), NO_LAYERS)
        RIGHT[f"{name}'s layers"] = ("another word", "a wrong one")
        if not kind.joint:  # those take a dict of maps
            ATTACKS[f"{name}'s maps"] = (lambda x, loss=kind(): loss(x, x), NO_TENSORS)  # noqa: B008
            RIGHT[f"{name}'s maps"] = DIRECT


def fault(call: Callable[[Any], Any], value: Any) -> str | None:
    """What is wrong with the answer to a wrong value."""
    started = time.process_time()
    try:
        call(value)
    except CLEAR as error:
        message = str(error)
        *_, last = traceback.extract_tb(error.__traceback__)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    else:
        return "it is taken"
    if time.process_time() - started > MOST_SECONDS:
        return f"only after {time.process_time() - started:.1f} seconds: {message}"
    if not message or "\n" in message or len(message) > MOST_CHARACTERS:
        return f"{len(message)} characters: {message}"
    # Python itself refuses what is no path, in words as clear as ours.
    if not last.filename.startswith(PACKAGE) and not ("str" in message and "os.PathLike" in message):
        return f"not of the package, but of {last.filename}: {message}"
    return None


@pytest.mark.parametrize("name", ATTACKS)
def test_wrong_values_are_refused_in_one_clear_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    call, values = ATTACKS[name]
    answers = {kind: fault(call, value) for kind, value in values.items() if kind not in RIGHT.get(name, ())}
    assert {kind: answer for kind, answer in answers.items() if answer is not None} == {}
