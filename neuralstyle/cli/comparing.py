"""The command compare: results measured beside each other, and beside the curve of a sweep."""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuralstyle._words import SCHEDULE_NAMES
from neuralstyle.cli import printing
from neuralstyle.cli.options import DEVICE, MAX_MEGAPIXELS, OVERWRITE, QUIET
from neuralstyle.cli.parsing import Command, Option
from neuralstyle.files import writing

if TYPE_CHECKING:
    from neuralstyle.metrics import Curve, Scores

SWEPT = (0.1, 0.3, 0.5, 0.7, 0.9)
"""The strengths of a sweep, unless others are asked for."""

SWEEP_SIZE = 256
"""Longest side in pixels of the pictures of a sweep without results to compare with."""

SWEEP_SCHEDULE = "draft"

_NEEDS_SWEEP = ("schedule", "plot", "sheet")


def _compare(options: argparse.Namespace) -> int:
    from neuralstyle import metrics

    _check(options)
    sizes, measured = _measured(options)
    # The content is far larger as a rule, and measures depend on the size.
    size = options.size or max((max(sides) for sides in sizes), default=SWEEP_SIZE)
    mark = metrics.compare(options.content, options.style, {options.content: options.content}, size=size)
    scores: dict[str, Scores] = {**mark, **measured}
    facts: dict[str, dict[str, Any]] = {name: asdict(score) for name, score in scores.items()}
    curve = None
    if options.sweep is not None:
        swept = _swept(options, size)
        curve = metrics.Curve.of(swept.values())
        scores |= swept
        facts |= {name: {"strength": float(name.split()[1]), **asdict(score)} for name, score in swept.items()}
        for name in measured:
            facts[name]["style_of_curve"] = curve.style_at(measured[name].structure)
        if options.plot is not None:
            _plot(options, curve, measured)
    if options.json is not None:
        _write(options, options.json, json.dumps(facts, indent=1) + "\n")
    if options.csv is not None:
        _write(options, options.csv, _csv(facts))
    printing.say(metrics.table(scores, ("style", "structure", *metrics.PUBLISHED) if options.published else None))
    for name in measured if curve is not None else ():
        printing.say(_beside(name, measured[name], facts[name]["style_of_curve"]))
    if options.size is None and len(sizes) > 1:
        printing.warn("the pictures differ in size, and values depend on it; --size measures all at one")
    return 0


def _check(options: argparse.Namespace) -> None:
    """Check what belongs together, before anything is measured or painted."""
    twice = {name for name in options.pictures if options.pictures.count(name) > 1}
    if twice:
        raise ValueError(f"{', '.join(sorted(twice))} was given twice; name each picture once")
    if options.sweep is None:
        for option in _NEEDS_SWEEP:
            if getattr(options, option) is not None:
                raise ValueError(f"--{option} needs --sweep; give both or neither")
        if not options.pictures:
            raise ValueError("there are no pictures to compare; give one at least, or --sweep to paint some")
        return
    from neuralstyle.recipes import strength_factors

    options.sweep = list(dict.fromkeys(options.sweep or SWEPT))
    for strength in options.sweep:
        strength_factors(strength)
    if len(options.sweep) < 2:
        raise ValueError(f"--sweep takes two strengths at least, received {options.sweep[0]:g}")
    if options.plot is not None:
        from neuralstyle.callbacks import check_plot
        from neuralstyle.images import check_output

        check_plot()
        check_output(options.plot, overwrite=True)  # whether it may exist, the gate has asked
    if options.sheet is not None:
        from neuralstyle.many.sheet import check_sheet

        check_sheet(options.sheet, overwrite=True)


def _measured(options: argparse.Namespace) -> tuple[set[tuple[int, ...]], Mapping[str, Scores]]:
    """The sizes of the pictures that were given, and their scores."""
    from neuralstyle import metrics
    from neuralstyle.images import load_image

    if not options.pictures:
        return set(), {}
    pictures = {name: load_image(name) for name in options.pictures}
    measured = metrics.compare(options.content, options.style, pictures, size=options.size)
    return {tuple(picture.shape[2:]) for picture in pictures.values()}, measured


def _swept(options: argparse.Namespace, size: int) -> dict[str, Scores]:
    """Paint the pair with each strength, and measure the results."""
    from neuralstyle.many import sweep
    from neuralstyle.metrics import Scores

    chosen: dict[str, Any] = {"schedule": options.schedule or SWEEP_SCHEDULE, "device": options.device}
    found = sweep(
        options.content, options.style, strengths=options.sweep, size=size, progress=not options.quiet, **chosen
    )
    if options.sheet is not None:
        found.save(options.sheet, overwrite=options.overwrite)
    return {f"strength {cell.settings['strength']:g}": Scores(**cell.measures) for cell in found.cells}


def _beside(name: str, scores: Scores, style: float | None) -> str:
    """Say where a picture lies beside the curve."""
    here = f"{name}: style {scores.style:.3f} at structure {scores.structure:.3f}"
    if style is None:
        return f"{here}, where the curve has no point on one side; --sweep with other strengths reaches further"
    return f"{here}, where the curve has {style:.3f}"


def _csv(facts: Mapping[str, Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(key for row in facts.values() for key in row))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["picture", *names])
    for picture, row in facts.items():
        writer.writerow([picture, *("" if row.get(name) is None else row[name] for name in names)])
    return buffer.getvalue()


def _write(options: argparse.Namespace, path: str, text: str) -> None:
    with writing(path, overwrite=options.overwrite) as file:
        file.write_text(text, encoding="utf-8")


def _plot(options: argparse.Namespace, curve: Curve, measured: Mapping[str, Scores]) -> None:
    """Draw the curve, and the pictures that were given as points beside it."""
    from matplotlib.figure import Figure

    from neuralstyle.callbacks.plot import save_figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*curve.points, strict=True), marker="o", label="strengths")
    for name, scores in measured.items():
        label = Path(name).name.replace("$", r"\$").lstrip("_")
        axes.plot([scores.structure], [scores.style], linestyle="", marker="x", label=label)
    axes.set_xlabel("structure kept (higher is better)")
    axes.set_ylabel("style distance (lower is better)")
    axes.legend()
    save_figure(figure, options.plot, overwrite=options.overwrite)


_FILES = (
    Option(
        "--json",
        "write the numbers to a .json file too",
        metavar="FILE",
        everyday=True,
        writes="file",
        suffixes=(".json",),
    ),
    Option(
        "--csv",
        "write the numbers to a .csv file too, a line for each picture",
        metavar="FILE",
        everyday=True,
        writes="file",
        suffixes=(".csv",),
    ),
    OVERWRITE,
)

COMMANDS = (
    Command(
        "compare",
        "measure results beside each other: style, structure, artefacts; or a whole curve of strengths",
        _compare,
        arguments=(
            Option(
                "content",
                "the photograph, a file; it is measured too, as the mark to beat",
                metavar="CONTENT",
                reads=True,
            ),
            Option("style", "the painting, a file", metavar="STYLE", reads=True),
            Option("pictures", "the results, files of the content's aspect", metavar="PICTURE", nargs="*", reads=True),
        ),
        options={
            "measuring": (
                MAX_MEGAPIXELS,
                Option(
                    "--size",
                    "measure pictures at this longest side, 64 or more",
                    int,
                    "PIXELS",
                    shown=f"each result's own; {SWEEP_SIZE} without results",
                    everyday=True,
                ),
                Option(
                    "--published",
                    "print the measures that papers report: CFSD, single-image FID, LPIPS, style cosine",
                    flag=True,
                    everyday=True,
                ),
                *_FILES,
            ),
            "a curve of style over structure": (
                Option(
                    "--sweep",
                    "paint the pair with each of these strengths too, and compare the results with that curve",
                    float,
                    "S",
                    nargs="*",
                    shown=f"none; without a value {' '.join(map(str, SWEPT))}",
                    everyday=True,
                ),
                Option("--schedule", "paint them by this schedule", choices=SCHEDULE_NAMES, shown=SWEEP_SCHEDULE),
                Option("--plot", "draw the curve into a picture", metavar="FILE", writes="file"),
                Option("--sheet", "save the pictures of the curve as a labelled sheet", metavar="FILE", writes="file"),
                DEVICE,
                QUIET,
            ),
        },
    ),
)
