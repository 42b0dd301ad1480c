"""Small commands: colours without painting, results compared, the plot of a log, lists of layers and losses."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import replace
from typing import Any

from neuralstyle._words import MATCHINGS, NETWORK_NAMES
from neuralstyle.cli import printing
from neuralstyle.cli.options import FORMAT, MAX_MEGAPIXELS, OUTPUT, OVERWRITE
from neuralstyle.cli.parsing import Command, Option
from neuralstyle.files import writing


def _recolor(options: argparse.Namespace) -> int:
    from neuralstyle.color import recolor
    from neuralstyle.images import check_output, save_image

    form: dict[str, Any] = {"overwrite": options.overwrite, "depth": options.depth, "dpi": options.dpi}
    check_output(options.output, **form)
    save_image(
        recolor(options.content, options.style, method=options.method), options.output, quality=options.quality, **form
    )
    return 0


def _compare(options: argparse.Namespace) -> int:
    import json
    from dataclasses import asdict

    from neuralstyle import metrics
    from neuralstyle.images import load_image

    twice = {name for name in options.pictures if options.pictures.count(name) > 1}
    if twice:
        raise ValueError(f"{', '.join(sorted(twice))} was given twice; name each picture once")
    pictures = {name: load_image(name) for name in options.pictures}
    sizes = {tuple(picture.shape[2:]) for picture in pictures.values()}
    # The content is far larger as a rule, and measures depend on the size.
    size = options.size or max(max(sides) for sides in sizes)
    measured = metrics.compare(options.content, options.style, pictures, size=options.size)
    scores = metrics.compare(options.content, options.style, {options.content: options.content}, size=size) | measured
    if options.json is not None:
        found = {name: asdict(score) for name, score in scores.items()}
        with writing(options.json, overwrite=options.overwrite) as file:
            file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    printing.say(metrics.table(scores))
    if options.size is None and len(sizes) > 1:
        printing.warn("the pictures differ in size, and values depend on it; --size measures all at one")
    return 0


def _regions(options: argparse.Namespace) -> int:
    from neuralstyle.regions import auto_regions, save_regions

    found = auto_regions(options.content, options.style)
    if len(found) == 1:
        return 0  # a warning has said why
    files = [str(path) for path in save_regions(found, options.output, overwrite=options.overwrite)]
    printing.say("look at the regions and masks, change them if you like, and paint with")
    painted = [options.content, *len(found) * [options.style], "-o", "OUT"]
    words = ["stylize", *painted, "--regions", *files[::2], "--masks", *files[1::2]]
    printing.say(f"neuralstyle {shlex.join(words)}")
    return 0


def _plot(options: argparse.Namespace) -> int:
    from neuralstyle.callbacks import plot_losses
    from neuralstyle.images import check_output

    check_output(options.output, options.overwrite)
    plot_losses(options.log, options.output, overwrite=options.overwrite)
    return 0


def _layers(options: argparse.Namespace) -> int:
    from neuralstyle.encoders.vgg import vgg_layers

    printing.say("layer    channels  stride  reach  sees (pixels)")
    for layer in vgg_layers(options.network).values():
        sees = layer.stride + 2 * layer.reach
        printing.say(f"{layer.name:8} {layer.channels:8} {layer.stride:7} {layer.reach:6} {sees:6}")
    return 0


def _losses(options: argparse.Namespace) -> int:
    from neuralstyle.losses.base import as_sum
    from neuralstyle.recipes import STYLE_LOSSES

    width = max(map(len, STYLE_LOSSES))
    for name, entry in STYLE_LOSSES.items():
        first, *more = as_sum(entry)
        rest = "".join(f", with {type(term.loss).__name__}" for term in more)
        what = (type(first.loss).__doc__ or "").partition("\n")[0].rstrip(".")
        printing.say(f"{name:{width}}  {what}{rest}")
    return 0


_CONTENT = Option("content", "the photograph, a file", metavar="CONTENT", reads=True)
_STYLE = Option("style", "the painting, a file", metavar="STYLE", reads=True)

COMMANDS = (
    Command(
        "recolor",
        "give a photograph a painting's colours, and nothing else of it",
        _recolor,
        arguments=(_CONTENT, _STYLE),
        options={
            "output": (OUTPUT, OVERWRITE, *FORMAT),
            "colour": (
                Option("--method", "match colours by this method", choices=MATCHINGS, default="match", everyday=True),
                MAX_MEGAPIXELS,
            ),
        },
    ),
    Command(
        "compare",
        "measure results beside each other: style, structure, artefacts",
        _compare,
        arguments=(
            replace(_CONTENT, does="the photograph, a file; it is measured too, as the mark to beat"),
            _STYLE,
            Option("pictures", "the results, files of the content's aspect", metavar="PICTURE", nargs="+", reads=True),
        ),
        options={
            "measuring": (
                replace(MAX_MEGAPIXELS, everyday=True),
                Option(
                    "--size",
                    "measure pictures at this longest side, 64 or more",
                    int,
                    "PIXELS",
                    shown="each result's own",
                    everyday=True,
                ),
                Option(
                    "--json",
                    "write the numbers to a .json file too",
                    metavar="FILE",
                    everyday=True,
                    writes="file",
                    suffixes=(".json",),
                ),
                OVERWRITE,
            )
        },
    ),
    Command(
        "regions",
        "find the quiet parts of a photograph, and the ground of a painting that fits there",
        _regions,
        arguments=(_CONTENT, _STYLE),
        options={
            "output": (
                replace(OUTPUT, does="save regions and masks in this folder", metavar="FOLDER", writes="folder"),
                OVERWRITE,
                replace(MAX_MEGAPIXELS, everyday=True),
            )
        },
    ),
    Command(
        "plot",
        "draw the losses that --log has written",
        _plot,
        arguments=(Option("log", "a .csv or .jsonl file", metavar="LOG", reads=True),),
        options={"output": (OUTPUT, OVERWRITE)},
    ),
    Command(
        "layers",
        "list the layers of a network",
        _layers,
        options={
            "network": (
                Option(
                    "--network", "list those of this network", choices=NETWORK_NAMES, default="vgg19", everyday=True
                ),
            )
        },
    ),
    Command("losses", "list the style losses for --style-loss", _losses),
)
