"""Options that several commands share, and what they mean as keyword arguments."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from neuralstyle.callbacks import LossLog, SavePictures
from neuralstyle.encoders import FeatureExtractor
from neuralstyle.encoders.base import Encoder
from neuralstyle.encoders.default import DEFAULT_PADDING, DEFAULT_POOLING
from neuralstyle.encoders.extractor import has_scales
from neuralstyle.encoders.precision import PRECISIONS, InPrecision
from neuralstyle.encoders.vgg import PADDINGS, POOLINGS
from neuralstyle.encoders.weights.records import PREPROCESSINGS
from neuralstyle.feedforward.models import PUBLISHED_SUFFIXES, SUFFIX, load_model
from neuralstyle.images import Pixels, Width
from neuralstyle.optimizers.adam import Adam
from neuralstyle.optimizers.lbfgs import LBFGS
from neuralstyle.optimizers.minimize import RESULTS
from neuralstyle.painting.initial import NOISE_KINDS, Init, Noise
from neuralstyle.painting.options import StateFile
from neuralstyle.painting.stylize import stylize, synthesize_texture
from neuralstyle.recipes import SCHEDULES

MODEL_SUFFIXES = (SUFFIX, ".onnx", *PUBLISHED_SUFFIXES)
OPTIMIZERS = {"lbfgs": LBFGS, "adam": Adam}
NETWORK_OPTIONS = ("network", "pooling", "padding", "weights", "preprocessing", "normalize")
OPTIMIZER_OPTIONS = {  # option of the command line -> (name of the optimiser, its argument)
    "history": ("lbfgs", "history"),
    "history_store": ("lbfgs", "store"),
    "learning_rate": ("adam", "lr"),
    "betas": ("adam", "betas"),
    "epsilon": ("adam", "eps"),
}


def default(function: Callable[..., object], name: str) -> Any:
    """The default of a function's argument."""
    return inspect.signature(function).parameters[name].default


def add_output(command: argparse.ArgumentParser, file: str | None = None) -> None:
    """Where the result goes, and in what form."""
    command.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=file is None,
        default=file,
        help="the result: a .png, .jpg, .webp or .tif file" + (" (default: %(default)s)" if file else ""),
    )
    command.add_argument("--overwrite", action="store_true", help="replace files that exist (default: refuse)")
    command.add_argument(
        "--depth", type=int, choices=(8, 16), default=8, help="bits a channel; 16: .png and .tif (default: %(default)s)"
    )
    command.add_argument(
        "--quality", type=int, metavar="N", default=95, help="of .jpg and .webp, 1 to 100 (default: %(default)s)"
    )


def add_painting(command: argparse.ArgumentParser, function: Callable[..., object], size: int | None = None) -> None:
    """How to paint: size, optimiser, start, watching, network."""
    group = command.add_argument_group("size and time")
    longest = size or default(function, "size")
    either = group.add_mutually_exclusive_group()
    either.add_argument(
        "--size", type=int, metavar="PIXELS", help=f"longest side of the result, in pixels (default: {longest})"
    )
    if function is not synthesize_texture:  # a texture has no aspect of its own
        either.add_argument("--width", type=int, metavar="PIXELS", help="its width instead (default: --size)")
        either.add_argument("--pixels", type=int, metavar="N", help="its number of pixels instead (default: --size)")
    command.set_defaults(default_size=longest)
    group.add_argument(
        "--iterations",
        type=int,
        metavar="N",
        help="evaluations at the final size (default: the schedule's own: 30, preview 8, draft 60, fine 180, "
        "single 300)",
    )
    group.add_argument(
        "--schedule",
        choices=SCHEDULES,
        help="standard: from small to large through compact19, the end through vgg19; draft: through compact19 alone; "
        f"preview: so in a few seconds; fine: through vgg19 alone, at length; single: all at one size (default: "
        f"{default(function, 'schedule')})",
    )
    group.add_argument(
        "--tile",
        type=_tile,
        metavar="PIXELS",
        help="look at the picture in pieces of this side to save memory; auto: as the memory asks (default: whole)",
    )
    group.add_argument(
        "--device", metavar="NAME", help="cpu, cuda, cuda:1, mps ... (default: the accelerator that torch finds)"
    )
    group.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="of the network's convolutions; on GPUs fewer bits are faster (default: as torch is set)",
    )
    group.add_argument(
        "--compile",
        action="store_const",
        const=True,
        help="compile the network for each size first; for long runs on GPUs (default: no)",
    )

    group = command.add_argument_group("start")
    start = "content" if function is stylize else "noise"
    group.add_argument(
        "--init", metavar="START", help=f"content, noise, style, a picture or a trained MODEL (default: {start})"
    )
    group.add_argument("--noise", choices=NOISE_KINDS, help=f"kind of noise (default: {Noise.kind})")
    group.add_argument(
        "--noise-blend", type=float, metavar="B", help="share of noise mixed into the start, 0 to 1 (default: 0)"
    )
    group.add_argument("--seed", type=int, metavar="N", help="of the noise (default: 0)")

    group = command.add_argument_group("optimiser")
    group.add_argument("--optimizer", choices=OPTIMIZERS, help="how the loss is lowered (default: lbfgs)")
    group.add_argument(
        "--history", type=int, metavar="N", help="pairs that lbfgs keeps (default: 20, or what the memory holds)"
    )
    group.add_argument(
        "--history-store", metavar="PLACE", help="where: device, cpu or a folder for files (default: device)"
    )
    group.add_argument(
        "--learning-rate", type=float, metavar="X", help=f"of adam; pixels run from 0 to 1 (default: {Adam.lr})"
    )
    group.add_argument(
        "--betas", type=float, nargs=2, metavar="B", help=f"decay of adam's two means (default: {Adam.betas})"
    )
    group.add_argument("--epsilon", type=float, metavar="X", help=f"adam's small constant (default: {Adam.eps})")
    group.add_argument("--result", choices=RESULTS, help=f"which picture (default: {default(stylize, 'result')})")

    group = command.add_argument_group("watching, stopping, continuing")
    group.add_argument("--quiet", action="store_true", help="no progress bar (default: show one)")
    group.add_argument(
        "--print-every", type=int, metavar="N", help="print the losses every N evaluations (default: no)"
    )
    group.add_argument(
        "--checkpoint", metavar="PATTERN", help="save the picture on the way, for example step-{}.png (default: no)"
    )
    group.add_argument(
        "--checkpoint-every", type=int, metavar="N", help="evaluations between two of these (default: 50)"
    )
    group.add_argument("--losses", dest="log", metavar="FILE", help="write them to a .csv or .jsonl file (default: no)")
    group.add_argument("--plot", metavar="FILE", help="draw the losses of --losses into a picture (default: no)")
    group.add_argument(
        "--resume",
        metavar="FILE",
        help="keep the state of the run in FILE, and continue from it if it is there (default: no)",
    )
    group.add_argument(
        "--resume-every",
        type=float,
        metavar="SECONDS",
        help=f"between two states (default: {StateFile.every:g})",
    )

    add = command.add_argument_group("network").add_argument
    add(
        "--network",
        metavar="NAME",
        help="vgg11 to vgg19, with _bn or without, or compact19, from beginning to end (default: vgg19, after "
        "compact19 where the schedule says so)",
    )
    add(
        "--weights",
        metavar="SOURCE",
        help="simonyan, torchvision, distilled or a file of weights (default: simonyan for vgg19, distilled for "
        "compact19, else torchvision)",
    )
    for option, known, value, what in (
        ("pooling", POOLINGS, DEFAULT_POOLING, "how features are pooled"),
        ("padding", PADDINGS, DEFAULT_PADDING, "what surrounds the picture"),
    ):
        add(f"--{option}", choices=known, help=f"{what} (default: {value})")
    add("--preprocessing", choices=PREPROCESSINGS, help="what a file of weights was trained on (default: torchvision)")
    add(
        "--no-normalize",
        dest="normalize",
        action="store_const",
        const=False,
        help="the raw network, without scaling to mean activation 1 (default: scaled)",
    )


def painting_arguments(
    options: argparse.Namespace, encoder: FeatureExtractor | None = None, init: str = "noise"
) -> dict[str, Any]:
    """The options of ``add_painting``, those that were given, as keyword arguments.

    Options of the network change those of a recipe's encoder, or else of the default one; options of the noise the
    start that the command has otherwise.
    """
    names = ("iterations", "seed", "device", "tile", "result")
    given = {name: getattr(options, name) for name in names}
    given["init"] = _start(options, init)
    given["size"] = _size(options)
    given["optimizer"] = _optimizer(options)
    given["schedule"] = options.schedule
    if options.resume is not None:
        given["state"] = StateFile(
            options.resume, StateFile.every if options.resume_every is None else options.resume_every
        )
    given["progress"] = not options.quiet
    given["encoder"] = _encoder(options, encoder)
    return {name: value for name, value in given.items() if value is not None}


def callbacks(options: argparse.Namespace, resuming: bool) -> list[Any]:
    """What is called after each evaluation, checked before the work.

    Raises:
        ValueError: options that need each other.
        OSError: a file that exists, or cannot be written.
    """
    for option, needed, name in (
        ("plot", "log", "losses"),
        ("checkpoint_every", "checkpoint", "checkpoint"),
        ("resume_every", "resume", "resume"),
    ):
        if getattr(options, option) is not None and getattr(options, needed) is None:
            raise ValueError(f"--{option.replace('_', '-')} needs --{name}; give both or neither")
    overwrite = options.overwrite or resuming
    found: list[Any] = []
    if options.checkpoint is not None:
        found.append(SavePictures(options.checkpoint, options.checkpoint_every or 50, overwrite))
    if options.log is not None:
        found.append(LossLog(options.log, options.overwrite, resume=resuming))
    return found


def _start(options: argparse.Namespace, otherwise: str) -> Init | None:
    given: Any = options.init
    if given is not None and Path(given).suffix.lower() in MODEL_SUFFIXES:
        given = load_model(given)
    if options.noise is None and options.noise_blend is None:
        return given  # type: ignore[no-any-return]
    over = otherwise if given is None else given
    noise = Noise(options.noise or Noise.kind, options.noise_blend or 0.0)
    if isinstance(over, str) and over == "noise":
        return replace(noise, blend=1.0)
    return replace(noise, over=over) if noise.blend else over


def _size(options: argparse.Namespace) -> Any:
    if getattr(options, "width", None) is not None:
        return Width(options.width)
    if getattr(options, "pixels", None) is not None:
        return Pixels(options.pixels)
    return options.default_size if options.size is None else options.size


def _optimizer(options: argparse.Namespace) -> Any:
    name = options.optimizer or "lbfgs"
    arguments: dict[str, Any] = {}
    for option, (owner, argument) in OPTIMIZER_OPTIONS.items():
        value = getattr(options, option)
        if value is None:
            continue
        if owner != name:
            raise ValueError(f"--{option.replace('_', '-')} is an option of --optimizer {owner}, not of {name}")
        arguments[argument] = tuple(value) if isinstance(value, list) else value
    return OPTIMIZERS[name](**arguments) if options.optimizer or arguments else None


def _encoder(options: argparse.Namespace, recipe: FeatureExtractor | None) -> Encoder | None:
    given = {name: getattr(options, name, None) for name in NETWORK_OPTIONS}
    changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    arithmetic = {name: getattr(options, name) for name in ("precision", "compile") if getattr(options, name)}
    if not changed and not arithmetic:
        return None
    normalize = has_scales(changed.get("network", "vgg19"), changed.get("weights"))
    base: dict[str, Any] = {"pooling": DEFAULT_POOLING, "padding": DEFAULT_PADDING, "normalize": normalize}
    if recipe is not None:
        base |= {"pooling": recipe.pooling, "padding": recipe.padding}
    encoder = FeatureExtractor(**{**base, **changed})
    return InPrecision(encoder, **arithmetic) if arithmetic else encoder


def _tile(text: str) -> int | str:
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a number of pixels or 'auto', received {text!r}") from None
