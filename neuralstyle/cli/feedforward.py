"""The command line of feed-forward networks: train, apply, export."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuralstyle.cli.options import default
from neuralstyle.feedforward import apply_files, train
from neuralstyle.feedforward.options import (
    CROPS,
    DEFAULT_BLOCKS,
    DEFAULT_WIDTH,
    TRAINING_PRECISIONS,
    Records,
    StateFolder,
    TrainingData,
)

if TYPE_CHECKING:
    from neuralstyle.feedforward import TransformerNet

_DEVICE = "cpu, cuda, cuda:1, mps ... (default: the accelerator that torch finds)"


def add_commands(commands: Any) -> None:
    """Add ``train``, ``apply`` and ``export`` to what ``ArgumentParser.add_subparsers`` returned.

    Each sets ``run``, a function from the parsed options to an exit code.
    """
    _add_train(commands)
    _add_apply(commands)
    _add_export(commands)


def _add_train(commands: Any) -> None:
    command = commands.add_parser("train", help="train a network to paint in a style in one pass")
    command.add_argument("style", metavar="STYLE", nargs="+", help="the painting, a file; several are blended")
    command.add_argument("data", metavar="DATA", help="a folder of pictures, flat or nested")
    command.add_argument("-o", "--output", metavar="MODEL", required=True, help="the network: a .safetensors file")
    command.add_argument("--overwrite", action="store_true", help="replace MODEL if it exists (default: refuse)")
    group = command.add_argument_group("pictures")
    _add(group, "size", int, "PIXELS", "side of the square crops", default(TrainingData, "size"))
    group.add_argument("--crop", choices=CROPS, default=default(TrainingData, "crop"), help="(default: %(default)s)")
    _add(group, "batch-size", int, "N", "pictures in a batch, of each process", default(TrainingData, "batch_size"))
    _add(group, "epochs", int, "N", "passes over the pictures", default(TrainingData, "epochs"))
    _add(group, "steps", int, "N", "batches in all, instead of epochs")
    _add(group, "hold-out", int, "N", "pictures, the last by name, not to train on", default(TrainingData, "hold_out"))
    _add(group, "workers", int, "N", "processes that decode pictures; by default two, or one on a single core")
    _add(group, "seed", int, "N", "of the first weights, the order and the crops", default(TrainingData, "seed"))
    _add(group, "style-size", int, "PIXELS", "longest side of the style; by default its own")
    group = command.add_argument_group("losses")
    _add(group, "content-weight", float, "X", "multiplies the content loss", 1.0)
    _add(group, "style-weight", float, "X", "multiplies the style loss", 1.0)
    _add(group, "tv-weight", float, "X", "multiplies the total variation", 1.0)
    group = command.add_argument_group("network and optimiser")
    _add(group, "width", int, "CHANNELS", "of the network's first stage", DEFAULT_WIDTH)
    _add(group, "blocks", int, "N", "the network's residual blocks", DEFAULT_BLOCKS)
    group.add_argument("--init", metavar="MODEL", help="a network to start from, instead of random weights")
    _add(group, "lr", float, "X", "learning rate of Adam", default(train, "lr"))
    group.add_argument("--decay", action="store_true", help="lower the learning rate to zero along half a cosine")
    group.add_argument("--half", action="store_true", help="store 16-bit floats")
    group.add_argument("--device", metavar="NAME", help=_DEVICE)
    group.add_argument("--precision", choices=TRAINING_PRECISIONS, help="of the convolutions, for GPUs (default: full)")
    group = command.add_argument_group("watching, stopping, continuing")
    _add(group, "state", str, "DIR", "a folder for the state, from which a stopped run continues")
    _add(group, "state-every", int, "STEPS", "between two states", default(StateFolder, "every"))
    group.add_argument("--restart", action="store_true", help="start again, whatever is in the folder of the state")
    _add(group, "log", str, "FILE", "write the losses to a .csv or .jsonl file")
    _add(group, "log-every", int, "STEPS", "between two rows", default(Records, "log_every"))
    _add(group, "snapshots", str, "PATTERN", "save pictures on the way, for example step-{}.png")
    _add(group, "snapshots-every", int, "STEPS", "between two of them", default(Records, "snapshots_every"))
    _add(group, "snapshots-of", str, "PICTURE", "what they show; by default the package's photograph")
    group.add_argument("--quiet", action="store_true", help="no progress bar (default: show one)")
    command.set_defaults(run=_train)


def _add_apply(commands: Any) -> None:
    command = commands.add_parser("apply", help="paint pictures with a trained network")
    command.add_argument("model", metavar="MODEL", help="a .safetensors, .onnx or .pth file, or a shipped network")
    command.add_argument("pictures", metavar="PICTURE", nargs="+", help="files, and folders with all below them")
    command.add_argument(
        "-o", "--output", metavar="DIR", required=True, help="the folder for the results, or for one picture a file"
    )
    command.add_argument("--overwrite", action="store_true", help="replace files that exist (default: refuse)")
    scale, batch_size, tile = (default(apply_files, name) for name in ("content_scale", "batch_size", "tile"))
    _add(command, "content-scale", float, "X", "divides the sides of the pictures before", scale)
    _add(command, "batch-size", int, "N", "pictures of equal size painted at once", batch_size)
    _add(command, "tile", int, "PIXELS", "side of the tiles in which larger pictures are painted", tile)
    command.add_argument("--device", metavar="NAME", help=_DEVICE)
    command.add_argument("--quiet", action="store_true", help="no progress bar (default: show one)")
    command.set_defaults(run=_apply)


def _add_export(commands: Any) -> None:
    command = commands.add_parser("export", help="write a trained network as ONNX")
    command.add_argument("model", metavar="MODEL", help="a .safetensors or .pth file")
    command.add_argument("-o", "--output", metavar="OUT", required=True, help="the result: an .onnx file")
    command.add_argument("--overwrite", action="store_true", help="replace OUT if it exists (default: refuse)")
    command.set_defaults(run=_export)


def _add(group: Any, name: str, kind: Callable[[str], Any], metavar: str, what: str, value: Any = None) -> None:
    """Add an option; its help ends with its default, if it has one."""
    text = what if value is None else f"{what} (default: %(default)s)"
    group.add_argument(f"--{name}", type=kind, metavar=metavar, default=value, help=text)


def _train(options: argparse.Namespace) -> int:
    from neuralstyle import distributed
    from neuralstyle.feedforward import TRAINING_LOSSES, TransformerNet
    from neuralstyle.images import load_image

    _refuse_existing(options.output, options.overwrite)
    if options.init is None:
        network = TransformerNet(options.width, options.blocks, seed=options.seed)
    else:
        network = _network(options.init)
    losses = TRAINING_LOSSES.scaled("content", options.content_weight)
    losses = losses.scaled("style", options.style_weight).scaled(None, options.tv_weight)
    data = ("size", "crop", "batch_size", "epochs", "steps", "hold_out", "workers", "seed")
    records = ("log", "log_every", "snapshots", "snapshots_every", "snapshots_of")
    with _messages_on_stderr():
        train(
            [load_image(style, options.style_size) for style in options.style],
            TrainingData(options.data, **{name: getattr(options, name) for name in data}),
            losses=losses,
            network=network,
            lr=options.lr,
            decay=options.decay,
            device=options.device,
            precision=options.precision,
            output=options.output,
            half=options.half,
            state=options.state and StateFolder(options.state, options.state_every, resume=not options.restart),
            records=Records(**{name: getattr(options, name) for name in records}),
            progress=not options.quiet,
        )
    if distributed.is_writer():
        print(f"{options.output}: {Path(options.output).stat().st_size / 1e6:.1f} MB")
    return 0


def _apply(options: argparse.Namespace) -> int:
    failures = apply_files(
        options.model,
        options.pictures,
        options.output,
        content_scale=options.content_scale,
        batch_size=options.batch_size,
        tile=options.tile,
        device=options.device,
        overwrite=options.overwrite,
        progress=not options.quiet,
    )
    for file, reason in failures.items():
        print(f"neuralstyle: failed: {file}: {reason}", file=sys.stderr)
    return 2 if failures else 0


def _export(options: argparse.Namespace) -> int:
    from neuralstyle.feedforward import export_onnx

    _refuse_existing(options.output, options.overwrite)
    path = export_onnx(_network(options.model), options.output)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


def _network(path: str) -> TransformerNet:
    from neuralstyle.feedforward import TransformerNet, load_model

    network = load_model(path)
    if not isinstance(network, TransformerNet):
        raise ValueError(f"{path} is an ONNX model already; give a .safetensors or .pth file")
    return network


def _refuse_existing(path: str, overwrite: bool) -> None:
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(f"{path} exists; pass --overwrite or give another name")


@contextmanager
def _messages_on_stderr() -> Iterator[None]:
    """Print what the library logs, such as files that it skips."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("neuralstyle: %(message)s"))
    logger = logging.getLogger("neuralstyle")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
