"""Small commands: colours without painting, results compared, the plot of a log, the layers of a network."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from neuralstyle import metrics
from neuralstyle.callbacks import plot_losses
from neuralstyle.cli.options import add_output
from neuralstyle.color import MATCHINGS, recolor
from neuralstyle.encoders.vgg import NETWORKS, vgg_layers
from neuralstyle.images import check_output, load_image, save_image


def add_commands(commands: Any) -> None:
    """Add the commands to the parser's subparsers."""
    command = commands.add_parser("recolor", help="give a photograph a painting's colours, and nothing else of it")
    command.add_argument("content", metavar="CONTENT", help="the photograph, a file")
    command.add_argument("style", metavar="STYLE", help="the painting, a file")
    add_output(command)
    command.add_argument("--method", choices=MATCHINGS, default="match", help="how (default: %(default)s)")
    command.set_defaults(run=_recolor)

    command = commands.add_parser("compare", help="measure results beside each other: style, structure, artefacts")
    command.add_argument("content", metavar="CONTENT", help="the photograph, a file; measured too, as the mark to beat")
    command.add_argument("style", metavar="STYLE", help="the painting, a file")
    command.add_argument("pictures", metavar="PICTURE", nargs="+", help="the results, files of the content's aspect")
    command.add_argument(
        "--size",
        type=int,
        metavar="PIXELS",
        help="longest side at which pictures are measured, 64 or more (default: each result's own)",
    )
    command.add_argument("--json", metavar="FILE", help="write the numbers to a .json file too (default: no)")
    command.add_argument("--overwrite", action="store_true", help="replace FILE if it exists (default: refuse)")
    command.set_defaults(run=_compare)

    command = commands.add_parser("plot", help="draw the losses that --losses has written")
    command.add_argument("log", metavar="LOG", help="a .csv or .jsonl file")
    add_output(command)
    command.set_defaults(run=_plot)

    command = commands.add_parser("layers", help="list the layers of a network")
    command.add_argument("--network", choices=NETWORKS, default="vgg19", help="(default: %(default)s)")
    command.set_defaults(run=_layers)


def _recolor(options: argparse.Namespace) -> int:
    form: dict[str, Any] = {"overwrite": options.overwrite, "depth": options.depth}
    check_output(options.output, **form)
    save_image(
        recolor(options.content, options.style, method=options.method), options.output, quality=options.quality, **form
    )
    return 0


def _compare(options: argparse.Namespace) -> int:
    twice = {name for name in options.pictures if options.pictures.count(name) > 1}
    if twice:
        raise ValueError(f"{', '.join(sorted(twice))} was given twice; name each picture once")
    file = None if options.json is None else Path(options.json)
    if file is not None and file.suffix.lower() != ".json":
        raise ValueError(f"--json writes a .json file, received {options.json}")
    if file is not None and file.exists() and not options.overwrite:
        raise FileExistsError(f"{file} exists; give another name or --overwrite")
    if file is not None and not file.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {file.parent}; make it first")
    pictures = {name: load_image(name) for name in options.pictures}
    sizes = {tuple(picture.shape[2:]) for picture in pictures.values()}
    # The content is far larger as a rule, and measures depend on the size.
    size = options.size or max(max(sides) for sides in sizes)
    scores = metrics.compare(options.content, options.style, {options.content: options.content}, size=size)
    scores |= metrics.compare(options.content, options.style, pictures, size=options.size)
    if file is not None:
        found = {name: asdict(score) for name, score in scores.items()}
        file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(metrics.table(scores))
    if options.size is None and len(sizes) > 1:
        print("The pictures differ in size, and values depend on it; --size measures all at one.", file=sys.stderr)
    return 0


def _plot(options: argparse.Namespace) -> int:
    check_output(options.output, options.overwrite)
    plot_losses(options.log, options.output, overwrite=options.overwrite)
    return 0


def _layers(options: argparse.Namespace) -> int:
    print("layer    channels  stride  reach  sees (pixels)")
    for layer in vgg_layers(options.network).values():
        sees = layer.stride + 2 * (layer.reach or 0)
        print(f"{layer.name:8} {layer.channels:8} {layer.stride:7} {layer.reach:6} {sees:6}")
    return 0
