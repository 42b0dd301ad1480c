"""The command line of feed-forward networks: train, apply, export."""

from __future__ import annotations

import argparse
import inspect
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neuralstyle.feedforward.data import CROPS
from neuralstyle.feedforward.export import export_onnx
from neuralstyle.feedforward.inference import apply_files
from neuralstyle.feedforward.models import load_model
from neuralstyle.feedforward.network import TransformerNet
from neuralstyle.feedforward.training import train

_TRAINING: dict[str, tuple[type, str, str]] = {
    "epochs": (int, "N", "passes over the data"),
    "steps": (int, "N", "batches in all, instead of epochs"),
    "batch_size": (int, "N", "pictures in a batch, of each process"),
    "size": (int, "PIXELS", "side of the squares that are trained on"),
    "style_size": (int, "PIXELS", "longest side of the style; by default its own"),
    "seed": (int, "N", "of the first weights, the order and the crops"),
    "content_weight": (float, "X", "multiplies the content loss"),
    "style_weight": (float, "X", "multiplies the style loss"),
    "tv_weight": (float, "X", "multiplies the total variation"),
    "learning_rate": (float, "X", "of Adam"),
    "width": (int, "CHANNELS", "of the network's first stage"),
    "blocks": (int, "N", "the network's residual blocks"),
    "workers": (int, "N", "processes that decode pictures; by default two, or one where there is one core"),
    "hold_out": (int, "N", "leave the last so many pictures out, by name"),
    "checkpoints": (str, "DIR", "a folder for checkpoints, from which a run that was stopped continues"),
    "checkpoint_interval": (int, "STEPS", "between checkpoints"),
    "log": (str, "CSV", "a file for the losses"),
    "log_interval": (int, "STEPS", "between rows of it"),
    "preview": (str, "PICTURE", "what previews are painted of; by default the package's photograph"),
    "previews": (str, "DIR", "a folder for previews"),
    "preview_interval": (int, "STEPS", "between previews"),
}
_SHORT = {"learning_rate": "lr", "log": "losses"}
_DEVICE = "cpu, cuda, cuda:1, mps ... (default: the accelerator that torch finds)"


def add_commands(commands: Any) -> None:
    """Add ``train``, ``apply`` and ``export`` to what ``ArgumentParser.add_subparsers`` returned.

    Each sets ``run``, a function from the parsed options to an exit code.
    """
    command = commands.add_parser("train", help="train a network to paint in a style in one pass")
    command.add_argument("style", metavar="STYLE", nargs="+", help="the painting, a file; several are blended")
    command.add_argument("data", metavar="DATA", help="a folder of pictures, flat or nested")
    command.add_argument("-o", "--output", metavar="MODEL", required=True, help="the network: a .safetensors file")
    command.add_argument("--overwrite", action="store_true", help="replace MODEL if it exists (default: refuse)")
    for name, (kind, metavar, what) in _TRAINING.items():
        default = _default(train, name)
        command.add_argument(
            f"--{_SHORT.get(name, name.replace('_', '-'))}",
            dest=name,
            type=kind,
            metavar=metavar,
            default=default,
            help=what + ("" if default is None else " (default: %(default)s)"),
        )
    command.add_argument("--crop", choices=CROPS, default=_default(train, "crop"), help="(default: %(default)s)")
    command.add_argument("--decay", action="store_true", help="lower the learning rate to zero along half a cosine")
    command.add_argument("--init", metavar="MODEL", help="a network to start from, instead of random weights")
    command.add_argument("--half", action="store_true", help="store 16-bit floats")
    command.add_argument("--mixed-precision", action="store_true", help="convolutions in bfloat16, for GPUs")
    command.add_argument(
        "--restart", dest="resume", action="store_false", help="begin again, whatever lies in the checkpoints"
    )
    command.add_argument("--device", metavar="NAME", help=_DEVICE)
    command.add_argument("--quiet", action="store_true", help="no progress bar (default: show one)")
    command.set_defaults(run=_train)

    command = commands.add_parser("apply", help="paint pictures with a trained network")
    command.add_argument("model", metavar="MODEL", help="a .safetensors, .onnx or .pth file, or a shipped network")
    command.add_argument("pictures", metavar="PICTURE", nargs="+", help="files, and folders with all below them")
    command.add_argument(
        "-o", "--output", metavar="DIR", required=True, help="the folder for the results, or for one picture a file"
    )
    command.add_argument("--overwrite", action="store_true", help="replace files that exist (default: refuse)")
    for name, kind, metavar, what in (
        ("content_scale", float, "X", "divides the sides of the pictures before"),
        ("batch_size", int, "N", "pictures of equal size painted at once"),
        ("tile", int, "PIXELS", "side of the tiles in which larger pictures are painted"),
    ):
        command.add_argument(
            f"--{name.replace('_', '-')}",
            type=kind,
            metavar=metavar,
            default=_default(apply_files, name),
            help=f"{what} (default: %(default)s)",
        )
    command.add_argument("--device", metavar="NAME", help=_DEVICE)
    command.add_argument("--quiet", action="store_true", help="no progress bar (default: show one)")
    command.set_defaults(run=_apply)

    command = commands.add_parser("export", help="write a trained network as ONNX")
    command.add_argument("model", metavar="MODEL", help="a .safetensors or .pth file")
    command.add_argument("-o", "--output", metavar="OUT", required=True, help="the result: an .onnx file")
    command.add_argument("--overwrite", action="store_true", help="replace OUT if it exists (default: refuse)")
    command.set_defaults(run=_export)


def _train(options: argparse.Namespace) -> int:
    _refuse_existing(options.output, options.overwrite)
    given = {name: getattr(options, name) for name in _TRAINING}
    init = None if options.init is None else _network(options.init)
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = _show
        train(
            options.style,
            options.data,
            crop=options.crop,
            decay=options.decay,
            init=init,
            output=options.output,
            half=options.half,
            mixed_precision=options.mixed_precision,
            resume=options.resume,
            device=options.device,
            progress=not options.quiet,
            **given,
        )
    if os.environ.get("RANK", "0") == "0":
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
    _refuse_existing(options.output, options.overwrite)
    path = export_onnx(_network(options.model), options.output)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


def _network(path: str) -> TransformerNet:
    network = load_model(path)
    if not isinstance(network, TransformerNet):
        raise ValueError(f"{path} is an ONNX model already; give a .safetensors or .pth file")
    return network


def _refuse_existing(path: str, overwrite: bool) -> None:
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(f"{path} exists; pass --overwrite or give another name")


def _show(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"neuralstyle: {message}", file=sys.stderr)


def _default(function: Callable[..., object], name: str) -> Any:
    return inspect.signature(function).parameters[name].default
