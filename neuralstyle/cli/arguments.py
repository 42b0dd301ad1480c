"""The parsed options of a command that paints, as arguments of the library's functions."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from neuralstyle._errors import number
from neuralstyle._words import AUTO_REGIONS
from neuralstyle.cli.optimizing import make_optimizer, optimizer_settings, with_settings
from neuralstyle.encoders import Encoder, FeatureExtractor, InPrecision, default_encoder
from neuralstyle.encoders.default import DEFAULT_PADDING, DEFAULT_POOLING
from neuralstyle.encoders.extractor import has_scales
from neuralstyle.encoders.vgg import COMPACT
from neuralstyle.feedforward.models import PUBLISHED_SUFFIXES, SUFFIX, load_model
from neuralstyle.images import Pixels, Size, Width
from neuralstyle.losses import GhostLoss, HypercolumnLoss, Loss, LossSum, Term, TotalVariationLoss, geometric_weights
from neuralstyle.painting.initial import Init, Noise
from neuralstyle.painting.options import StateFile
from neuralstyle.recipes import (
    RECIPES,
    SCHEDULES,
    TEXTURE_LOSSES,
    named_schedule,
    why_without_compact,
    with_detail,
    with_style_loss,
)
from neuralstyle.regions import auto_regions
from neuralstyle.schedule import Schedule, Stage
from neuralstyle.styles import Style

NONE = "-"  # stands for no mask or no region in a list of files
MODEL_SUFFIXES = (SUFFIX, ".onnx", *PUBLISHED_SUFFIXES)
NETWORK_OPTIONS = ("network", "pooling", "padding", "weights", "preprocessing")


def given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Those of the options that were given."""
    return {name: value for name in names if (value := getattr(options, name, None)) is not None}


def painting_arguments(
    options: argparse.Namespace, recipe: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The options that all commands share, as keyword arguments of ``plan``.

    Args:
        options: the parsed options.
        recipe: "losses", and arguments that take the place of the command's defaults. Options of the network change
            the recipe's encoder, or else the default one; options of the noise the start.

    Returns:
        The arguments, those of the recipe included, and notes for the plan.

    """
    arguments: dict[str, Any] = {
        "schedule": options.defaults["schedule"],
        "init": options.defaults["init"],
        **recipe,
        **given(options, "iterations", "seed", "device", "tile", "result", "schedule"),
        "size": _size(options),
        "progress": not options.quiet,
        "seamless": getattr(options, "seamless", False),
    }
    arguments["init"] = _start(options, arguments["init"])
    if options.state is not None:
        every = StateFile.every if options.state_every is None else options.state_every
        arguments["state"] = StateFile(options.state, every)
    settings = optimizer_settings(options)
    if options.optimizer is not None or "optimizer" in recipe:
        arguments["optimizer"] = make_optimizer(options.optimizer, recipe.get("optimizer"), settings)
        if options.optimizer is not None and options.result is None:
            arguments.pop("result", None)  # a recipe's belongs to its optimiser
    found, notes = _encoder_and_schedule(options, arguments)
    arguments |= found
    if "optimizer" not in arguments and settings:
        schedule, further = _schedule(arguments)
        arguments["schedule"], notes = partial(with_settings, schedule, settings), notes + further
    if getattr(options, "detail", None) is not None:
        detail = number("detail", options.detail, above=0, most=1)
        schedule, further = _schedule(arguments)
        arguments["schedule"], notes = partial(_with_detail, schedule, detail), notes + further
    return arguments, notes


def styles(options: argparse.Namespace, content: str | None = None) -> list[Style]:
    """The styles, each with its share, scale, mask and region; regions may be found in the content."""
    count = len(options.style)
    auto = options.regions is not None and AUTO_REGIONS in options.regions
    if auto and (options.regions != [AUTO_REGIONS] or count > 1):
        raise ValueError(
            "--regions auto is for one painting, and stands alone; 'neuralstyle regions' saves what it finds, to be "
            "given with other paintings too"
        )
    if auto and content is None:
        raise ValueError("--regions auto finds the quiet parts of a photograph, and here is none; give files")

    def each(option: str, fallback: Any) -> list[Any]:
        values = getattr(options, option) or [fallback]
        if len(values) not in (1, count):
            name = option.replace("_", "-")
            raise ValueError(f"--{name} takes one value, or one for each of the {count} styles, received {len(values)}")
        return [None if value == NONE else value for value in (values if len(values) == count else values * count)]

    columns = (
        options.style,
        each("style_blend_weights", 1.0),
        each("style_scales", 1.0),
        each("masks", None),
        [None] if auto else each("regions", None),
    )
    shared = {**given(options, "softness", "edges"), "enlarge": options.enlarge_styles}
    found = [Style(*row, **shared) for row in zip(*columns, strict=True)]
    return auto_regions(content, found[0]) if auto and content is not None else found


def recipe_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """The recipe of ``stylize``: its losses, and for a published method its encoder, start, schedule and so on."""
    recipe: dict[str, Any] = dict(RECIPES[options.recipe]())
    losses: LossSum = recipe["losses"]
    if options.style_loss is not None:
        if len(recipe) > 1:
            raise ValueError(f"--style-loss changes what --recipe {options.recipe} is; give one of them")
        losses = with_style_loss(losses, options.style_loss)
    losses = _with_layers(losses, "content", options.content_layers, options.content_layer_weights)
    weights = options.style_layer_weights
    if options.style_layer_ratio is not None:
        if weights is not None:
            raise ValueError("--style-layer-ratio and --style-layer-weights are two ways to say one thing; give one")
        weights = geometric_weights(options.style_layers or _layers(losses, "style"), options.style_layer_ratio)
    losses = _with_layers(losses, "style", options.style_layers, weights)
    losses = _multiplied(losses, TotalVariationLoss, options.tv_weight, "tv-weight", options.recipe)
    losses = _multiplied(losses, GhostLoss, options.ghost_weight, "ghost-weight", options.recipe)
    recipe["losses"] = losses.scaled("content", options.content_weight).scaled("style", options.style_weight)
    return recipe


def texture_losses(options: argparse.Namespace) -> LossSum:
    """The losses of ``texture``."""
    losses = TEXTURE_LOSSES if options.style_loss is None else with_style_loss(TEXTURE_LOSSES, options.style_loss)
    return _with_layers(losses, "style", options.layers, None)


def _start(options: argparse.Namespace, otherwise: Init) -> Init:
    start: Any = otherwise if options.init is None else options.init
    if isinstance(start, str) and Path(start).suffix.lower() in MODEL_SUFFIXES:
        start = load_model(start)
    if options.noise is None and options.noise_blend is None:
        return start  # type: ignore[no-any-return]
    noise = Noise(options.noise or Noise.kind, options.noise_blend or 0.0)
    if isinstance(start, str) and start == "noise":
        return replace(noise, blend=1.0)
    return replace(noise, over=start) if noise.blend else start


def _size(options: argparse.Namespace) -> Size:
    sizes = given(options, "size", "width", "pixels")
    if len(sizes) > 1:
        raise ValueError(f"{' and '.join(f'--{name}' for name in sizes)} are ways to say one thing; give one")
    if "width" in sizes:
        return Width(options.width)
    if "pixels" in sizes:
        return Pixels(options.pixels)
    return sizes.get("size", options.defaults["size"])  # type: ignore[no-any-return]


def _schedule(arguments: Mapping[str, Any]) -> tuple[Schedule, tuple[str, ...]]:
    """The schedule as a function, and notes for the plan."""
    schedule = arguments["schedule"]
    if not isinstance(schedule, str):
        return schedule, ()
    found, reason = named_schedule(schedule, arguments["losses"], arguments.get("encoder"))
    return found, () if reason is None else (reason,)


def _with_detail(schedule: Schedule, detail: float, size: int, iterations: int | None) -> list[Stage]:
    """The stages of a schedule with this share of its evaluations at the final size."""
    return with_detail(schedule(size, iterations), detail)


def _encoder_and_schedule(
    options: argparse.Namespace, arguments: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The encoder and the schedule that options of the network ask for, and notes for the plan."""
    changed = given(options, *NETWORK_OPTIONS)
    if options.no_normalize:
        changed["normalize"] = False
    arithmetic: dict[str, Any] = given(options, "precision")
    if options.compile:
        arithmetic["compile"] = True
    recipe: FeatureExtractor | None = arguments.get("encoder")
    if changed or (recipe is not None and arithmetic):
        encoder = _encoder(changed, recipe)
        return {"encoder": InPrecision(encoder, **arithmetic) if arithmetic else encoder}, ()
    if not arithmetic:
        return {}, ()
    found: dict[str, Any] = {"encoder": default_encoder(**arithmetic)}
    # To the library this encoder is one that was given, with which a schedule by name leaves the compact one out.
    schedule, reason = SCHEDULES[arguments["schedule"]], why_without_compact(arguments["losses"], None)
    if "compact" not in inspect.signature(schedule).parameters:
        return found, ()
    compact = default_encoder(COMPACT, **arithmetic) if reason is None else None
    found["schedule"] = partial(schedule, compact=compact)  # type: ignore[call-arg]
    return found, () if reason is None else (reason,)


def _encoder(changed: Mapping[str, Any], recipe: FeatureExtractor | None) -> Encoder:
    normalize = has_scales(changed.get("network", "vgg19"), changed.get("weights"))
    base: dict[str, Any] = {"pooling": DEFAULT_POOLING, "padding": DEFAULT_PADDING, "normalize": normalize}
    if recipe is not None:
        base |= {
            "pooling": recipe.pooling,
            "padding": recipe.padding,
            "normalize": bool(recipe.normalize) and normalize,
        }
    return FeatureExtractor(**{**base, **changed})


def _layers(losses: LossSum, reference: str) -> tuple[str, ...]:
    """The layers of the first loss that compares with the reference."""
    return next(tuple(term.loss.layers) for term in losses if term.loss.reference == reference)


def _multiplied(losses: LossSum, kind: type[Loss], factor: float, option: str, recipe: str) -> LossSum:
    """The sum with the weights of the losses of one kind multiplied.

    Raises:
        ValueError: the option was given, and there is no such loss.
    """
    if factor != 1 and not any(isinstance(term.loss, kind) for term in losses):
        raise ValueError(
            f"--{option} multiplies the weight of {kind.__name__}, which --recipe {recipe} has not; leave it out"
        )
    return LossSum(
        tuple(replace(term, weight=term.weight * factor) if isinstance(term.loss, kind) else term for term in losses)
    )


def _with_layers(
    losses: LossSum, reference: str, layers: Sequence[str] | None, weights: Sequence[float] | None
) -> LossSum:
    """The sum with layers and their weights replaced, where given, in the losses that compare with the reference."""
    if layers is None and weights is None:
        return losses

    def change(term: Term) -> Term:
        if term.loss.reference != reference or set(term.loss.layers) == {"image"}:
            return term
        loss: Any = term.loss
        changed: dict[str, Any] = {"layers": tuple(layers or loss.layers), "layer_weights": weights}
        if isinstance(loss, HypercolumnLoss) and loss.grid not in changed["layers"]:
            changed["grid"] = None
        return Term(replace(loss, **changed), term.weight)

    return LossSum(tuple(change(term) for term in losses))
