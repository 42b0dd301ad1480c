"""The commands of feed-forward networks: train, apply, export."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuralstyle._errors import whole_number
from neuralstyle._stopping import stopping
from neuralstyle._words import CROPS, TRAINING_PRECISIONS
from neuralstyle.cli.many import MANY, SKIP_EXISTING, follow, processes, shard_of
from neuralstyle.cli.options import (
    COLOR,
    DEVICE,
    FORMAT,
    JSON,
    LOG,
    MAX_MEGAPIXELS,
    OUTPUT,
    OVERWRITE,
    PROFILE,
    QUIET,
    SNAPSHOTS,
)
from neuralstyle.cli.outcome import FAILED, exit_code, one_line
from neuralstyle.cli.parsing import Command, Option, default
from neuralstyle.cli.printing import is_for_programs, note, report, say, say_json
from neuralstyle.feedforward import apply_files, train
from neuralstyle.feedforward.options import (
    DEFAULT_BLOCKS,
    DEFAULT_WIDTH,
    STATE_FILE,
    Records,
    StateFolder,
    TrainingData,
)
from neuralstyle.feedforward.training import save_network
from neuralstyle.files import holding

if TYPE_CHECKING:
    from neuralstyle.feedforward import TransformerNet


def _train(options: argparse.Namespace) -> int:
    from neuralstyle import distributed
    from neuralstyle.feedforward import TRAINING_LOSSES, TransformerNet
    from neuralstyle.images import load_image

    if options.init is None:
        network = TransformerNet(options.width, options.blocks, seed=options.seed)
    else:
        network = _network(options.init)
    losses = TRAINING_LOSSES.scaled("content", options.content_weight)
    losses = losses.scaled("style", options.style_weight).scaled(None, options.tv_weight)
    data = ("size", "crop", "batch_size", "epochs", "steps", "hold_out", "workers", "seed")
    records = ("log", "log_every", "snapshots", "snapshots_every", "snapshots_of")
    started = time.monotonic()
    state = options.state and StateFolder(options.state, options.state_every, resume=not options.restart)
    call = partial(
        train,
        [load_image(style, options.style_size) for style in options.style],
        TrainingData(options.data, **{name: getattr(options, name) for name in data}),
        losses=losses,
        network=network,
        lr=options.lr,
        decay=options.decay,
        device=options.device,
        precision=options.precision,
        state=state,
        records=Records(**{name: getattr(options, name) for name in records}),
        progress=not options.quiet,
    )
    stopping.begin()
    with holding(options.output), stopping.shield():  # a second Ctrl-C does not break the saving after the first
        end = _trained(call)
        saved = _save(end, options) if distributed.is_writer() else None
    if saved is not None:
        facts: dict[str, Any] = {"reason": end.reason, "exit_code": end.code, "output": str(saved)}
        facts |= {"bytes": saved.stat().st_size, "seconds": round(time.monotonic() - started, 3)}
        report(options, f"{saved}: {_megabytes(saved)}", facts)
    return end.code


@dataclass(frozen=True)
class _End:
    """How a training has ended: its network, "finished", "stopped" or "error", what to say, and the exit code."""

    network: TransformerNet
    reason: str
    line: str
    code: int


def _trained(call: Callable[[], TransformerNet]) -> _End:
    """Train; after Ctrl-C or an error midway, the end has the network so far."""
    try:
        with stopping.exposed():
            return _End(call(), "finished", "", 0)
    except BaseException as error:
        network: TransformerNet | None = getattr(error, "network", None)
        if network is None:
            raise
        if isinstance(error, KeyboardInterrupt) or stopping.code is not None:
            return _End(network, "stopped", "stopped", stopping.code or exit_code(error))
        return _End(network, "error", f"error: {one_line(error)}", FAILED)


def _save(end: _End, options: argparse.Namespace) -> Path:
    """Save a network; one that continues from a state is in its folder when it is stopped."""
    kept = sorted(Path(options.state).glob("step-*.safetensors")) if options.state else []
    if end.reason == "stopped" and kept:
        note(f"stopped; the network so far is in {kept[-1]}, and the same command goes on from {options.state}")
        return kept[-1]
    saved = save_network(end.network, options.output, half=options.half)
    if end.code:
        note(f"{end.line}; the network so far is in {saved}")
    return saved


FINISH = ("color", "strength", "depth", "quality", "keep_profile", "dpi", "overwrite")
"""Options of ``apply`` that say how a result is finished and saved."""


def _apply(options: argparse.Namespace) -> int:
    whole_number("batch_size", options.batch_size, 1)
    is_file = bool(Path(options.output).suffix) and not Path(options.output).is_dir()
    if is_file or options.batch_size > 1:
        for name in ("jobs", "threads", "shard", "skip_existing"):
            if getattr(options, name) not in (None, False, 1):
                raise ValueError(f"--{name.replace('_', '-')} needs a folder as -o, and no --batch-size; give these")
        return _apply_here(options)
    from neuralstyle.many import apply_to_files

    stopping.begin()
    with processes(options) as executor:
        results = apply_to_files(
            options.model,
            options.pictures,
            options.output,
            executor=executor,
            skip_existing=options.skip_existing,
            shard=shard_of(options),
            content_scale=options.content_scale,
            tile=options.tile,
            device=options.device,
            **{name: getattr(options, name) for name in FINISH},
        )
        return follow(results, options)


def _apply_here(options: argparse.Namespace) -> int:
    stopping.begin()
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
        color=options.color,
        strength=options.strength,
        depth=options.depth,
        quality=options.quality,
        keep_profile=options.keep_profile,
        dpi=options.dpi,
    )
    for file, reason in failures.items():
        note(f"failed: {reason}" if file.name in reason else f"failed: {file}: {reason}")
    code = FAILED if failures else 0
    if is_for_programs(options):
        failed = {str(file): reason for file, reason in failures.items()}
        say_json({"reason": "finished", "exit_code": code, "output": options.output, "failed": failed})
    return code


def _export(options: argparse.Namespace) -> int:
    from neuralstyle import samples
    from neuralstyle.feedforward import export_onnx, load_model, model_difference
    from neuralstyle.images import load_image, resize_image

    network = _network(options.model)
    path = export_onnx(network, options.output, size=options.size, quantize=options.quantize)
    say(f"{path}: {_megabytes(path)}")
    if options.quantize:
        image = None if options.size is None else resize_image(load_image(samples.photo()), options.size)
        found = model_difference(network, load_model(path), image)
        say(f"quantized: it paints the package's photograph otherwise by {found}")
    return 0


def _sides(text: str) -> tuple[int, int]:
    """A size in pixels, "512" or "640x480", as (height, width)."""
    words = text.lower().split("x")
    try:
        width, height = (int(word) for word in (words * 2 if len(words) == 1 else words))
    except ValueError:
        raise argparse.ArgumentTypeError(f"pixels, such as 512 or 640x480, received {text!r}") from None
    return height, width


def _megabytes(file: Path) -> str:
    return f"{file.stat().st_size / 1e6:.2g} MB"


def _network(path: str) -> TransformerNet:
    from neuralstyle.feedforward import TransformerNet, load_model

    network = load_model(path)
    if not isinstance(network, TransformerNet):
        raise ValueError(f"{path} is an ONNX model already; give a .safetensors or .pth file")
    return network


def _has_state(options: argparse.Namespace) -> bool:
    """Whether there is a state from which the training may continue, so its log and snapshots may exist."""
    return options.state is not None and not options.restart and (Path(options.state) / STATE_FILE).exists()


_MODEL = replace(OUTPUT, does="save the network as this .safetensors file", metavar="MODEL", suffixes=(".safetensors",))
_PICTURES = (
    Option("--size", "cut squares of this side", int, "PIXELS", default=default(TrainingData, "size"), everyday=True),
    Option(
        "--crop", "cut the center, or in each pass another square", choices=CROPS, default=default(TrainingData, "crop")
    ),
    Option("--batch-size", "take N pictures at once", int, "N", default=default(TrainingData, "batch_size")),
    Option("--epochs", "pass N times over the pictures", int, "N", default=default(TrainingData, "epochs")),
    Option("--steps", "stop after N batches, instead of passes", int, "N", everyday=True),
    Option("--hold-out", "keep the last N pictures out", int, "N", default=default(TrainingData, "hold_out")),
    MAX_MEGAPIXELS,
    Option("--workers", "decode pictures in N processes", int, "N", shown="2, or 1 on a single core"),
    Option("--seed", "draw other weights, orders and crops", int, "N", default=default(TrainingData, "seed")),
    Option("--style-size", "make the style's longest side this long", int, "PIXELS", shown="its own", everyday=True),
)
_LOSSES = (
    Option("--content-weight", "multiply the content loss", float, "X", default=1.0, everyday=True),
    Option("--style-weight", "multiply the style loss", float, "X", default=1.0, everyday=True),
    Option("--tv-weight", "multiply the total variation, which smooths", float, "X", default=1.0),
)
_NETWORK = (
    Option("--width", "give the network's first stage so many channels", int, "CHANNELS", default=DEFAULT_WIDTH),
    Option("--blocks", "give the network N residual blocks", int, "N", default=DEFAULT_BLOCKS),
    Option("--init", "start from this network, instead of random weights", metavar="MODEL", reads=True),
    Option("--lr", "set the learning rate of Adam", float, "X", default=default(train, "lr")),
    Option("--decay", "lower the learning rate to zero along half a cosine", flag=True),
    Option("--half", "store 16-bit floats", flag=True),
    DEVICE,
    Option(
        "--precision", "compute the convolutions in this precision, for GPUs", choices=TRAINING_PRECISIONS, shown="full"
    ),
)
_WATCHING = (
    QUIET,
    JSON,
    Option(
        "--state",
        "keep the state in this folder, and continue from it",
        metavar="DIR",
        everyday=True,
        writes="folder",
    ),
    Option("--state-every", "write it every N steps", int, "N", default=default(StateFolder, "every")),
    Option("--restart", "start again, whatever is in the folder of the state", flag=True),
    LOG,
    Option("--log-every", "write a row every N steps", int, "N", default=default(Records, "log_every")),
    SNAPSHOTS,
    Option("--snapshots-every", "save them every N steps", int, "N", default=default(Records, "snapshots_every")),
    Option(
        "--snapshots-of", "show this picture in them", metavar="PICTURE", shown="the package's photograph", reads=True
    ),
)

TRAIN = Command(
    "train",
    "train a network to paint in a style in one pass",
    _train,
    arguments=(
        Option("style", "the painting, a file; several are blended", metavar="STYLE", nargs="+", reads=True),
        Option("data", "a folder of pictures, flat or nested", metavar="DATA", reads=True),
    ),
    options={
        "output": (_MODEL, OVERWRITE),
        "pictures": _PICTURES,
        "losses": _LOSSES,
        "network and optimiser": _NETWORK,
        "watching, stopping, continuing": _WATCHING,
    },
    continues=_has_state,
)

APPLY = Command(
    "apply",
    "paint pictures with a trained network",
    _apply,
    arguments=(
        Option("model", "a .safetensors, .onnx or .pth file, or a shipped network", metavar="MODEL", reads=True),
        Option("pictures", "files, and folders with all below them", metavar="PICTURE", nargs="+", reads=True),
    ),
    options={
        "output": (
            replace(
                OUTPUT,
                does="save the results in this folder, or one picture as this file",
                metavar="DIR",
                writes="either",
            ),
            OVERWRITE,
            *FORMAT,
            replace(PROFILE, does="keep the ICC profile of each picture, instead of converting to sRGB"),
        ),
        "painting": (
            Option(
                "--content-scale",
                "divide the sides of the pictures by X first",
                float,
                "X",
                default=default(apply_files, "content_scale"),
                everyday=True,
            ),
            replace(COLOR, default=default(apply_files, "color")),
            Option(
                "--strength",
                "mix the result with the photograph, from 0, the photograph alone, to 1, the painting alone",
                float,
                "S",
                default=default(apply_files, "strength"),
                everyday=True,
            ),
            Option("--batch-size", "paint N pictures at once", int, "N", default=default(apply_files, "batch_size")),
            Option(
                "--tile",
                "paint larger pictures in tiles of this side",
                int,
                "PIXELS",
                default=default(apply_files, "tile"),
            ),
            MAX_MEGAPIXELS,
            DEVICE,
        ),
        "many pictures": (SKIP_EXISTING, *MANY, QUIET, JSON),
    },
)

EXPORT = Command(
    "export",
    "write a trained network as ONNX",
    _export,
    arguments=(Option("model", "a .safetensors or .pth file", metavar="MODEL", reads=True),),
    options={
        "output": (
            replace(OUTPUT, does="save the network as this .onnx file", suffixes=(".onnx",)),
            OVERWRITE,
            Option(
                "--size",
                "take pictures of this size alone, one at a time: a side, or WIDTHxHEIGHT",
                _sides,
                "PIXELS",
                shown="any size",
                everyday=True,
            ),
            Option(
                "--quantize",
                "store the weights in 8 bits, a quarter of the size, and say how much the pictures change",
                flag=True,
                everyday=True,
            ),
        )
    },
)

COMMANDS = (TRAIN, APPLY, EXPORT)
