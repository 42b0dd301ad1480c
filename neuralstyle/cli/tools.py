"""Small commands: colours without painting, the plot of a log, the layers of a network."""

from __future__ import annotations

import argparse
from typing import Any

from neuralstyle.callbacks import plot_losses
from neuralstyle.cli.options import add_output
from neuralstyle.color import PALETTES, recolor
from neuralstyle.encoders.vgg import NETWORKS, vgg_layers
from neuralstyle.images import check_output, save_image


def add_commands(commands: Any) -> None:
    """Add the commands to the parser's subparsers."""
    command = commands.add_parser("recolor", help="give a photograph a painting's colours, and nothing else of it")
    command.add_argument("content", metavar="CONTENT", help="the photograph, a file")
    command.add_argument("style", metavar="STYLE", help="the painting, a file")
    add_output(command)
    command.add_argument("--method", choices=PALETTES, default="match", help="how (default: %(default)s)")
    command.set_defaults(run=_recolor)

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
