"""The optimisers that options ask for: of the whole call, or changed at the stages that have them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from neuralstyle.optimizers import OPTIMIZERS, Strategy
from neuralstyle.optimizers.strategies import as_strategy
from neuralstyle.schedule import Schedule, Stage

OPTIMIZER_OPTIONS = {  # option -> (name of the optimiser, its argument)
    "history": ("lbfgs", "history"),
    "history_store": ("lbfgs", "store"),
    "lr": ("adam", "lr"),
    "betas": ("adam", "betas"),
    "eps": ("adam", "eps"),
}


def optimizer_settings(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Arguments of optimisers that were given, by the optimiser's name and the argument's, in the order of options."""
    found: dict[str, dict[str, Any]] = {}
    for option, (owner, argument) in OPTIMIZER_OPTIONS.items():
        if (value := getattr(options, option)) is not None:
            found.setdefault(owner, {})[argument] = tuple(value) if isinstance(value, list) else value
    return found


def make_optimizer(name: str | None, recipe: Strategy | None, settings: Mapping[str, Mapping[str, Any]]) -> Strategy:
    """The optimiser of this name, or of a recipe, with other settings."""
    of_recipe = _name(recipe)
    name = name or of_recipe
    for owner, arguments in settings.items():
        if owner != name:
            raise ValueError(f"{_option(owner, arguments)} is an option of --optimizer {owner}, not of {name}")
    changed: Any = recipe if name == of_recipe else OPTIMIZERS[name]()
    return replace(changed, **settings[name]) if name in settings else changed  # type: ignore[no-any-return]


def _name(optimizer: Any) -> str:
    """The name by which an optimiser is asked for, or what it is called where it has none."""
    return next((name for name, kind in OPTIMIZERS.items() if kind is type(optimizer)), type(optimizer).__name__)


def _option(owner: str, arguments: Mapping[str, Any]) -> str:
    """The first of these arguments of an optimiser, as an option."""
    names = {place: option for option, place in OPTIMIZER_OPTIONS.items()}
    return f"--{names[owner, next(iter(arguments))].replace('_', '-')}"


def with_settings(
    schedule: Schedule, settings: Mapping[str, Mapping[str, Any]], size: int, iterations: int | None
) -> list[Stage]:
    """The stages of a schedule, their optimisers with other settings."""
    stages = schedule(size, iterations)
    optimizers: list[Any] = [as_strategy(stage.optimizer) for stage in stages]
    names = [*map(_name, optimizers)]
    for owner, arguments in settings.items():
        if owner not in names:
            raise ValueError(
                f"{_option(owner, arguments)} is an option of {owner}, by which no stage of this schedule paints; "
                f"add --optimizer {owner}"
            )
    return [
        replace(stage, optimizer=replace(optimizer, **settings[name])) if name in settings else stage
        for stage, optimizer, name in zip(stages, optimizers, names, strict=True)
    ]
