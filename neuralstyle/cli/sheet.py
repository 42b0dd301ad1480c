"""The command sheet: photographs by paintings, or one pair by losses, strengths, stroke sizes and seeds."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuralstyle._stopping import stopping
from neuralstyle.cli.options import (
    BALANCE,
    COLOR,
    FORMAT,
    JSON,
    NETWORK,
    OPTIMIZER,
    OUTPUT,
    OVERWRITE,
    QUIET,
    SEAMLESS,
    SIZE,
    START,
)
from neuralstyle.cli.outcome import FAILED, exit_code, one_line
from neuralstyle.cli.parsing import Command, Option, defaults_of, without
from neuralstyle.cli.printing import note, report
from neuralstyle.files import holding, somewhere
from neuralstyle.painting.stylize import stylize

if TYPE_CHECKING:
    from neuralstyle.many import Sheet

SHEET_SIZE = 256
"""Longest side of a cell in pixels, unless another is asked for."""


@dataclass(frozen=True)
class _End:
    """How a sheet has ended: what there is of it, "finished", "stopped" or "error", what to say, and the exit code."""

    sheet: Sheet
    reason: str
    line: str
    code: int


def _sheet(options: argparse.Namespace) -> int:
    from neuralstyle import distributed
    from neuralstyle.cli.arguments import given, painting_arguments, recipe_arguments
    from neuralstyle.many import contact_sheet
    from neuralstyle.many.sheet import check_sheet

    if distributed.is_writer():
        check_sheet(options.output, overwrite=True, dpi=options.dpi)  # whether it may exist, the gate has asked
    options.state = options.style_loss = None  # a sheet has none
    recipe = recipe_arguments(options)
    arguments, notes = painting_arguments(options, recipe)
    for line in notes:
        note(line)
    if options.losses is not None:
        arguments["losses"] = _losses(options, recipe)
    varied = given(options, "style_weights", "strengths", "scales", "seeds", "color")
    make = partial(
        contact_sheet,
        options.photos,
        options.style,
        **varied,
        **arguments,
        cells=options.cells,
        overwrite=options.overwrite,
    )
    started = time.monotonic()
    stopping.begin()
    with holding(options.output), stopping.shield():  # a second Ctrl-C does not break the saving after the first
        end = _painted(make)
        if not distributed.is_writer():
            return end.code
        save = partial(end.sheet.save, overwrite=options.overwrite, quality=options.quality, dpi=options.dpi)
        place, failure = somewhere(save, options.output, "sheet")
        if failure is not None:
            end = replace(end, reason="elsewhere", line=f"error: {one_line(failure)}", code=end.code or FAILED)
        _report(options, end, place, time.monotonic() - started)
    return end.code


def _losses(options: argparse.Namespace, recipe: dict[str, Any]) -> dict[str, Any]:
    """The losses of the recipe, with each of the style losses in turn."""
    from neuralstyle.recipes import with_style_loss

    if len(recipe) > 1:
        raise ValueError(f"--losses changes what --recipe {options.recipe} is; give one of them")
    return {name: with_style_loss(recipe["losses"], name) for name in options.losses}


def _painted(make: Callable[[], Sheet]) -> _End:
    """Paint; after Ctrl-C or an error midway, the end has the sheet so far."""
    try:
        with stopping.exposed():
            return _End(make(), "finished", "", 0)
    except BaseException as error:
        found: Sheet | None = getattr(error, "sheet", None)
        if found is None or not found.cells:
            if isinstance(error, KeyboardInterrupt):
                error.args = ()  # which would speak of the picture that was not finished
            raise
        if isinstance(error, KeyboardInterrupt) or stopping.code is not None:
            return _End(found, "stopped", "stopped", stopping.code or exit_code(error))
        return _End(found, "error", f"error: {one_line(error)}", FAILED)


def _report(options: argparse.Namespace, end: _End, saved: Path, seconds: float) -> None:
    """Say where the sheet is, and after an early end what is missing."""
    count = len(end.sheet.cells)
    if end.code:
        part = "the sheet" if end.reason == "elsewhere" else f"the sheet so far, with {count} pictures,"
        note(f"{end.line}; {part} is in {saved}")
    facts: dict[str, Any] = {"reason": end.reason, "exit_code": end.code, "output": str(saved), "pictures": count}
    facts |= {"seconds": round(seconds, 3)}
    if options.cells is not None:
        facts["cells"] = [str(Path(options.cells) / f"{cell.name}.png") for cell in end.sheet.cells]
    if end.code:
        facts["message"] = end.line
    report(options, f"{saved}: {count} pictures, {seconds:.0f} s", facts)


VARIED = (
    Option(
        "--style",
        "paint in the style of each of these paintings, files",
        metavar="PAINTING",
        nargs="+",
        required=True,
        everyday=True,
        reads=True,
    ),
    Option(
        "--losses",
        "compare style by each of these losses; 'neuralstyle losses' lists them",
        metavar="NAME",
        nargs="+",
        shown="wasserstein",
        everyday=True,
    ),
    Option("--style-weights", "multiply the style loss by each of these", float, "X", nargs="+", shown="1"),
    Option("--strengths", "set each of these balances, 0 to 1", float, "S", nargs="+", shown="0.5", everyday=True),
    Option("--scales", "scale the strokes by each of these", float, "X", nargs="+", shown="1", everyday=True),
    Option("--seeds", "draw noise by each of these seeds", int, "N", nargs="+", shown="0", everyday=True),
)

COMMANDS = (
    Command(
        "sheet",
        "paint a labelled sheet of photographs by paintings, or of one pair by losses, strengths, strokes or seeds",
        _sheet,
        arguments=(Option("photos", "the photographs, files", metavar="PHOTO", nargs="+", reads=True),),
        options={
            "output": (
                replace(OUTPUT, does="save the sheet as this .png, .pdf, .jpg, .webp, .avif or .tif file"),
                OVERWRITE,
                Option(
                    "--cells",
                    "save each picture in this folder as soon as it is painted",
                    metavar="FOLDER",
                    everyday=True,
                    writes="folder",
                ),
                *without(FORMAT, "--depth"),
            ),
            "what varies: across what is last in this list, down all else": VARIED,
            "size and time, of each picture": (*without(SIZE, "--dry-run"), SEAMLESS),
            "balance": without(BALANCE, "--strength", "--style-loss"),
            "colour": (COLOR,),
            "start": without(START, "--seed"),
            "optimiser": OPTIMIZER,
            "watching": (QUIET, JSON),
            "network": NETWORK,
        },
        defaults={**defaults_of(stylize), "size": SHEET_SIZE},
    ),
)
