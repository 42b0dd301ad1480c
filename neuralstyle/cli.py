"""The command line: arguments -> the library's functions. Defaults come from their signatures."""

from __future__ import annotations

import argparse
import inspect
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from PIL import Image

from neuralstyle import __version__, samples
from neuralstyle.color import COLORS
from neuralstyle.encoders import FeatureExtractor
from neuralstyle.encoders.extractor import PADDINGS, POOLINGS
from neuralstyle.encoders.vgg import vgg19_layers
from neuralstyle.encoders.weights import SOURCES
from neuralstyle.images import check_output, save_image
from neuralstyle.losses import LossSum, Term
from neuralstyle.optimizers import LBFGS, Adam
from neuralstyle.painting import check_size
from neuralstyle.recipes import DEFAULT_LOSSES, DEFAULT_PADDING, DEFAULT_POOLING, TEXTURE_LOSSES, gatys
from neuralstyle.schedule import coarse_to_fine, single_scale
from neuralstyle.stylize import reconstruct_content, stylize, synthesize_texture

OPTIMIZERS = {"lbfgs": LBFGS, "adam": Adam}
SCHEDULES = {"coarse-to-fine": coarse_to_fine, "single": single_scale}
RECIPES = ("default", "gatys")
NETWORK_OPTIONS = ("pooling", "padding", "weights", "normalize")
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0; 2 after an error, which is one line on stderr; 130 after Ctrl-C. Set NEURALSTYLE_TRACEBACK
        to see the whole traceback instead.
    """
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except KeyboardInterrupt:
        print("neuralstyle: stopped before there was a picture", file=sys.stderr)
        return INTERRUPTED
    except (ValueError, TypeError, OSError, ImportError, ArithmeticError, RuntimeError, MemoryError) as error:
        if os.environ.get("NEURALSTYLE_TRACEBACK"):
            raise
        print(f"neuralstyle: error: {_one_line(error)}", file=sys.stderr)
        return 2
    return code


def _stylize(options: argparse.Namespace) -> int:
    def paint() -> Image.Image:
        recipe: dict[str, Any] = dict(gatys()) if options.recipe == "gatys" else {"losses": DEFAULT_LOSSES}
        recipe["losses"] = _with_layers(recipe["losses"], content=options.content_layers, style=options.style_layers)
        return stylize(
            options.content,
            options.style,
            content_weight=options.content_weight,
            style_weight=options.style_weight,
            color=options.color,
            **{**recipe, **_shared(options, recipe.get("encoder"))},
        )

    return _save(options, paint)


def _texture(options: argparse.Namespace) -> int:
    losses = _with_layers(TEXTURE_LOSSES, style=options.layers)
    return _save(options, lambda: synthesize_texture(options.style, losses=losses, **_shared(options)))


def _reconstruct(options: argparse.Namespace) -> int:
    return _save(options, lambda: reconstruct_content(options.content, options.layer, **_shared(options)))


def _demo(options: argparse.Namespace) -> int:
    def paint() -> Image.Image:
        style = samples.painting(options.painting, size=max(512, check_size(options.size)))
        print(f"painting the sample photograph in the style of {options.painting!r} ...", file=sys.stderr)
        return stylize(samples.photo(), style, **_shared(options))

    return _save(options, paint)


def _layers(options: argparse.Namespace) -> int:
    print("layer    channels  stride  reach  sees (pixels)")
    for layer in vgg19_layers().values():
        sees = layer.stride + 2 * layer.reach
        print(f"{layer.name:8} {layer.channels:8} {layer.stride:7} {layer.reach:6} {sees:6}")
    return 0


def _save(options: argparse.Namespace, paint: Callable[[], Image.Image]) -> int:
    """Check the output, paint, save; on Ctrl-C or an error midway save the best picture so far."""
    check_output(options.output, options.overwrite)
    started = time.monotonic()
    code = 0
    try:
        image = paint()
    except BaseException as error:
        if not isinstance(getattr(error, "image", None), Image.Image):
            raise
        image = error.image  # type: ignore[attr-defined]
        code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else 2
        reason = "stopped" if code == INTERRUPTED else f"error: {_one_line(error)}"
        print(f"neuralstyle: {reason}; the best picture so far is in {options.output}", file=sys.stderr)
    save_image(image, options.output, overwrite=options.overwrite)
    print(f"{options.output}: {image.width} x {image.height} pixels, {time.monotonic() - started:.0f} s")
    return code


def _one_line(error: BaseException) -> str:
    """An error's message on one line, and what to do where torch does not say it."""
    message = " ".join(str(error).split()) or type(error).__name__
    short = isinstance(error, MemoryError) or "out of memory" in message or "allocate memory" in message
    return f"not enough memory; use --tile 512 or a smaller --size ({message})" if short else message


def _shared(options: argparse.Namespace, encoder: FeatureExtractor | None = None) -> dict[str, Any]:
    """The options that all painting commands share, those that were given, as keyword arguments.

    Options of the network change those of a recipe's encoder, or else of the default one.
    """
    given = {name: getattr(options, name) for name in ("size", "iterations", "init", "seed", "device", "tile")}
    if options.optimizer is not None:
        given["optimizer"] = OPTIMIZERS[options.optimizer]()
    if options.schedule is not None:
        given["schedule"] = SCHEDULES[options.schedule]
    base: dict[str, Any] = {"pooling": DEFAULT_POOLING, "padding": DEFAULT_PADDING}
    if encoder is not None:
        base = {name: getattr(encoder, name) for name in NETWORK_OPTIONS}
    changed = {name: getattr(options, name) for name in NETWORK_OPTIONS if getattr(options, name) is not None}
    if changed:
        given["encoder"] = FeatureExtractor(**{**base, **changed})
    given["progress"] = not options.quiet
    return {name: value for name, value in given.items() if value is not None}


def _with_layers(losses: LossSum, **layers: list[str] | None) -> LossSum:
    """The sum with the layers of the losses that compare with "content" or "style" replaced, where any are given."""

    def change(term: Term) -> Term:
        chosen = layers.get(term.loss.reference or "")
        if not chosen:
            return term
        loss: Any = term.loss
        return Term(replace(loss, layers=tuple(chosen), layer_weights=None), term.weight)

    return LossSum(tuple(change(term) for term in losses))


def _default(function: Callable[..., object], name: str) -> Any:
    return inspect.signature(function).parameters[name].default


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="neuralstyle",
        description="Paint one picture in the style of another.",
        epilog="'neuralstyle COMMAND --help' lists the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"neuralstyle {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    command = commands.add_parser("stylize", help="paint a photograph in the style of one or more paintings")
    command.add_argument("content", metavar="CONTENT", help="the photograph, a file")
    command.add_argument("style", metavar="STYLE", nargs="+", help="the painting, a file; several are blended")
    _output_options(command)
    command.add_argument(
        "--content-weight",
        type=float,
        metavar="X",
        default=_default(stylize, "content_weight"),
        help="multiplies the content loss (default: %(default)s)",
    )
    command.add_argument(
        "--style-weight",
        type=float,
        metavar="X",
        default=_default(stylize, "style_weight"),
        help="multiplies the style loss (default: %(default)s)",
    )
    command.add_argument(
        "--color",
        choices=COLORS,
        default=_default(stylize, "color"),
        help="whose colours: the style's, or, by any of the others, the content's (default: %(default)s)",
    )
    command.add_argument(
        "--content-layers", nargs="+", metavar="LAYER", help="where content is compared (default: the recipe's)"
    )
    command.add_argument(
        "--style-layers", nargs="+", metavar="LAYER", help="where style is compared (default: the recipe's)"
    )
    command.add_argument(
        "--recipe",
        choices=RECIPES,
        default="default",
        help="'gatys' is the paper of 2015: noise start, one scale, average pooling (default: %(default)s)",
    )
    _painting_options(command, stylize)
    command.set_defaults(run=_stylize)

    command = commands.add_parser("texture", help="paint a texture from the style alone")
    command.add_argument("style", metavar="STYLE", nargs="+", help="the texture's source, a file; several are blended")
    _output_options(command)
    command.add_argument(
        "--layers", nargs="+", metavar="LAYER", help="where style is compared (default: relu1_1 ... relu5_1)"
    )
    _painting_options(command, synthesize_texture)
    command.set_defaults(run=_texture)

    command = commands.add_parser("reconstruct", help="paint what a layer remembers of a picture")
    command.add_argument("content", metavar="CONTENT", help="the picture, a file")
    _output_options(command)
    command.add_argument(
        "--layer",
        metavar="LAYER",
        default=_default(reconstruct_content, "layer"),
        help="the layer whose features are matched (default: %(default)s)",
    )
    _painting_options(command, reconstruct_content)
    command.set_defaults(run=_reconstruct)

    command = commands.add_parser("demo", help="paint the sample photograph; needs no files")
    _output_options(command, default="neuralstyle-demo.png")
    command.add_argument(
        "--painting", choices=samples.PAINTINGS, default="swirl", help="the sample style (default: %(default)s)"
    )
    _painting_options(command, stylize, size=384)
    command.set_defaults(run=_demo)

    command = commands.add_parser("layers", help="list the layers of the network")
    command.set_defaults(run=_layers)
    return parser


def _output_options(command: argparse.ArgumentParser, default: str | None = None) -> None:
    command.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=default is None,
        default=default,
        help="the result: a .png, .jpg, .webp or .tif file" + (" (default: %(default)s)" if default else ""),
    )
    command.add_argument("--overwrite", action="store_true", help="replace OUT if it exists (default: refuse)")


def _painting_options(
    command: argparse.ArgumentParser, function: Callable[..., object], size: int | None = None
) -> None:
    add = command.add_argument_group("painting").add_argument
    add(
        "--size",
        type=int,
        metavar="PIXELS",
        default=size or _default(function, "size"),
        help="longest side of the result (default: %(default)s)",
    )
    add(
        "--iterations",
        type=int,
        metavar="N",
        help="evaluations at the finest scale (default: the schedule's own, 60 or, at a single scale, 300)",
    )
    schedule = _default(function, "schedule")
    name = next(name for name, known in SCHEDULES.items() if known is schedule)
    add("--schedule", choices=SCHEDULES, help=f"sizes painted on the way (default: {name})")
    add("--optimizer", choices=OPTIMIZERS, help="how the loss is lowered (default: lbfgs)")
    start = "content" if function is stylize else "noise"
    add("--init", metavar="START", help=f"content, noise, style or a file to start from (default: {start})")
    add("--seed", type=int, metavar="N", help="of the noise (default: 0)")
    add("--tile", type=int, metavar="PIXELS", help="look at the picture in pieces, to save memory (default: whole)")
    add("--device", metavar="NAME", help="cpu, cuda, cuda:1, mps ... (default: the accelerator that torch finds)")
    add("--quiet", action="store_true", help="no progress bar (default: show one)")
    add = command.add_argument_group("network").add_argument
    for option, known, default, what in (
        ("pooling", POOLINGS, DEFAULT_POOLING, "how features are pooled"),
        ("padding", PADDINGS, DEFAULT_PADDING, "what surrounds the picture"),
        ("weights", SOURCES, _default(FeatureExtractor.__init__, "weights"), "where the weights come from"),
    ):
        add(f"--{option}", choices=known, help=f"{what} (default: {default})")
    add(
        "--no-normalize",
        dest="normalize",
        action="store_const",
        const=False,
        help="the raw network, without scaling to mean activation 1",
    )
