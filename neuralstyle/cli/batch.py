"""The command for many pictures: batch. What it needs is imported when it runs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from neuralstyle._stopping import stopping
from neuralstyle.cli.many import MANY, SKIP_EXISTING, follow, processes, shard_of
from neuralstyle.cli.options import (
    BALANCE,
    COLOR,
    FORMAT,
    JSON,
    NETWORK,
    OPTIMIZER,
    OUTPUT,
    OVERWRITE,
    PROFILE,
    QUIET,
    SEAMLESS,
    SIZE,
    START,
    STYLES,
    STYLES_TITLE,
)
from neuralstyle.cli.parsing import Command, Option, defaults_of
from neuralstyle.cli.presets import PRESETS
from neuralstyle.cli.printing import is_for_programs, say, say_json
from neuralstyle.painting.stylize import stylize

if TYPE_CHECKING:
    from neuralstyle.many.settings import Settings
    from neuralstyle.many.tasks import Task


def _batch(options: argparse.Namespace) -> int:
    from neuralstyle import distributed
    from neuralstyle.cli.arguments import styles
    from neuralstyle.many.batch import Form, list_tasks, rehearse
    from neuralstyle.many.tasks import Results, paint_task

    if distributed.world() > 1:
        raise ValueError("torchrun shares one picture out; for many pictures use --jobs N, or --shard K/N in each call")
    words = {name: value for name, value in vars(options).items() if name not in ("command", "parser")}
    groups = [styles(options)] if options.blend else [[style] for style in styles(options)]
    numbers = {} if options.blend else {id(group[0]): number for number, group in enumerate(groups)}
    recipe = recipe_of(options)
    tasks = list_tasks(
        options.photos,
        groups,
        options.output,
        partial(options_of, words),
        lambda chosen: own_settings(options, recipe, numbers.get(id(chosen[0]))),
        skip_existing=options.skip_existing,
        form=Form(
            recursive=options.recursive,
            suffix=options.suffix,
            overwrite=options.overwrite,
            depth=options.depth,
            quality=options.quality,
            dpi=options.dpi,
            keep_profile=options.keep_profile,
            shard=shard_of(options),
        ),
    )
    if not tasks:
        say("this share of the pictures is empty", options)
        return 0
    rehearse(tasks, is_here=options.jobs == 1)
    if options.dry_run:
        return _show(options, tasks)
    stopping.begin()
    with processes(options) as executor:
        return follow(Results(paint_task, tasks, executor), options)


def own_settings(options: argparse.Namespace, recipe: Mapping[str, Any], number: int | None) -> Settings:
    """The settings of one style's results; of options with a value for each style only its own."""
    from neuralstyle.cli.settings import settings

    count, changed = len(options.style), {}
    for name in ("style_scales", "style_blend_weights", "masks", "regions"):
        values = getattr(options, name)
        if number is not None and values is not None and len(values) == count:
            changed[name] = [values[number]]
    return settings(argparse.Namespace(**{**vars(options), **changed}), recipe, "stylize")


def recipe_of(options: argparse.Namespace) -> dict[str, Any]:
    """The recipe, but for its losses."""
    from neuralstyle.recipes import RECIPES

    return {name: value for name, value in RECIPES[options.recipe]().items() if name != "losses"}


def options_of(words: dict[str, Any]) -> dict[str, Any]:
    """From the command line's words to the options of ``plan``; this runs in the worker, and is kept there."""
    from neuralstyle.machine.keeping import keep

    return keep("options", lambda: repr(sorted(words.items())), partial(_options_of, words))


def _options_of(words: dict[str, Any]) -> dict[str, Any]:
    from neuralstyle.cli.arguments import given, painting_arguments, recipe_arguments

    options = argparse.Namespace(**{**words, "state": None, "quiet": True})
    arguments, _ = painting_arguments(options, recipe_arguments(options))
    return {**arguments, **given(options, "strength", "color")}


def _show(options: argparse.Namespace, tasks: Sequence[Task]) -> int:
    """Print what would be painted, the stages, and the time of one picture."""
    from neuralstyle.painting.plan import plan

    first = tasks[0]
    planned = plan(first.picture, list(first.styles), **first.make())
    for task in tasks:
        say(f"{task.picture} -> {task.output}", options)
    estimate = planned.estimate()
    say(f"{planned}\n{len(tasks)} pictures; the first: {estimate}", options)
    if is_for_programs(options):
        say_json(
            {"reason": "planned", "exit_code": 0, "pictures": len(tasks), "seconds": estimate.seconds * len(tasks)}
        )
    return 0


BATCH = Command(
    "batch",
    "paint many photographs in the style of one or more paintings",
    _batch,
    arguments=(Option("photos", "the photographs, files and folders", metavar="PHOTO", nargs="+", reads=True),),
    options={
        "output": (
            Option(
                "--style",
                "paint in the style of this file; of several each has a folder of results",
                metavar="STYLE",
                nargs="+",
                required=True,
                reads=True,
                everyday=True,
            ),
            replace(OUTPUT, does="save the results in this folder", metavar="FOLDER", writes="folder"),
            OVERWRITE,
            SKIP_EXISTING,
            *PRESETS,
            *FORMAT,
            PROFILE,
            Option("--suffix", "save results in this format, such as .png", metavar="SUFFIX", shown="the photograph's"),
            Option("--recursive", "search folders with their subfolders", flag=True, everyday=True),
            Option("--blend", "blend the styles into one, instead of a folder for each", flag=True),
        ),
        "many pictures": (*MANY, QUIET, JSON),
        "size and time": (*SIZE, SEAMLESS),
        "balance": BALANCE,
        STYLES_TITLE: STYLES,
        "colour": (COLOR,),
        "start": START,
        "optimiser": OPTIMIZER,
        "network": NETWORK,
    },
    defaults=defaults_of(stylize),
)

COMMANDS = (BATCH,)
