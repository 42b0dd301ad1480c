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


def _recolor(options: argparse.Namespace) -> int:
    from neuralstyle.color import recolor
    from neuralstyle.images import check_output, save_image

    form: dict[str, Any] = {"overwrite": options.overwrite, "depth": options.depth, "dpi": options.dpi}
    check_output(options.output, **form)
    save_image(
        recolor(options.content, options.style, method=options.method), options.output, quality=options.quality, **form
    )
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
