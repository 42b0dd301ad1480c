"""The commands that paint: stylize, texture, reconstruct, demo."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm.auto import tqdm

from neuralstyle import distributed, samples
from neuralstyle.callbacks import check_plot, plot_losses
from neuralstyle.cli.options import (
    add_output,
    add_painting,
    callbacks,
    default,
    painting_arguments,
)
from neuralstyle.color import COLORS
from neuralstyle.images import check_output, resize_image, save_image
from neuralstyle.losses import LossSum, Term, TotalVariationLoss, geometric_weights
from neuralstyle.painting.progress import Progress
from neuralstyle.painting.stylize import reconstruct_content, stylize, synthesize_texture
from neuralstyle.recipes import DEFAULT_LOSSES, STYLE_LOSSES, TEXTURE_LOSSES, gatys, with_style_loss
from neuralstyle.styles import EDGES, Style

RECIPES = ("default", "gatys")
INTERRUPTED = 130
NONE = "-"  # stands for no mask or no region in a list of files


def add_commands(commands: Any) -> None:
    """Add the commands to the parser's subparsers."""
    command = commands.add_parser("stylize", help="paint a photograph in the style of one or more paintings")
    command.add_argument("content", metavar="CONTENT", help="the photograph, a file")
    command.add_argument("style", metavar="STYLE", nargs="+", help="the painting, a file; several are blended")
    add_output(command)
    command.add_argument(
        "--keep-profile",
        action="store_true",
        help="save in the colour space of the photograph's ICC profile, and embed it (default: sRGB)",
    )
    add = command.add_argument_group("balance").add_argument
    add(
        "--strength",
        type=float,
        metavar="S",
        default=default(stylize, "strength"),
        help="one dial, 0 (nearly the photograph) to 1 (nearly all style); multiplies both weights below "
        "(default: %(default)s)",
    )
    for reference in ("content", "style"):
        add(
            f"--{reference}-weight",
            type=float,
            metavar="X",
            default=1.0,
            help=f"multiplies the {reference} loss (default: %(default)s)",
        )
    add("--tv-weight", type=float, metavar="X", default=1.0, help="multiplies total variation (default: %(default)s)")
    for reference in ("content", "style"):
        add(
            f"--{reference}-layers",
            nargs="+",
            metavar="LAYER",
            help=f"where {reference} is compared (default: the recipe's)",
        )
        add(
            f"--{reference}-layer-weights",
            nargs="+",
            type=float,
            metavar="X",
            help="a weight for each of these layers (default: the recipe's; of your own layers: equal, 1 in all)",
        )
    add(
        "--style-layer-ratio",
        type=float,
        metavar="X",
        help="each style layer weighs X times the one before, all together 1 (default: the recipe's weights)",
    )
    add("--style-loss", choices=STYLE_LOSSES, help="how style is compared (default: the recipe's, gram)")
    add(
        "--recipe",
        choices=RECIPES,
        default="default",
        help="'gatys' is the paper of 2015: noise start, one scale, average pooling (default: %(default)s)",
    )
    _style_options(command)
    command.add_argument(
        "--color",
        choices=COLORS,
        default=default(stylize, "color"),
        help="whose colours: the style's, or, by any of the others, the content's (default: %(default)s)",
    )
    add_painting(command, stylize)
    command.set_defaults(run=_stylize)

    command = commands.add_parser("texture", help="paint a texture from the style alone")
    command.add_argument("style", metavar="STYLE", nargs="+", help="the texture's source, a file; several are blended")
    add_output(command)
    command.add_argument(
        "--layers", nargs="+", metavar="LAYER", help="where style is compared (default: relu1_1 ... relu5_1)"
    )
    command.add_argument(
        "--style-loss", choices=STYLE_LOSSES, default="gram", help="how style is compared (default: %(default)s)"
    )
    _style_options(command)
    add_painting(command, synthesize_texture)
    command.set_defaults(run=_texture)

    command = commands.add_parser("reconstruct", help="paint what a layer remembers of a picture")
    command.add_argument("content", metavar="CONTENT", help="the picture, a file")
    add_output(command)
    command.add_argument(
        "--layer",
        metavar="LAYER",
        default=default(reconstruct_content, "layer"),
        help="the layer whose features are matched (default: %(default)s)",
    )
    add_painting(command, reconstruct_content)
    command.set_defaults(run=_reconstruct)

    command = commands.add_parser("demo", help="paint the sample photograph; needs no files")
    add_output(command, "neuralstyle-demo.png")
    command.add_argument(
        "--painting", choices=samples.PAINTINGS, default="swirl", help="the sample style (default: %(default)s)"
    )
    add_painting(command, stylize, size=384)
    command.set_defaults(run=_demo)


def one_line(error: BaseException) -> str:
    """An error's message on one line, and what to do where torch does not say it."""
    message = " ".join(str(error).split()) or type(error).__name__
    short = isinstance(error, MemoryError) or "out of memory" in message or "allocate memory" in message
    return f"not enough memory; use --tile auto or a smaller --size ({message})" if short else message


def _style_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument_group("styles: a value for each STYLE, or one for all").add_argument
    add("--style-blend-weights", nargs="+", type=float, metavar="X", help="shares of the styles (default: equal)")
    add(
        "--style-scales",
        nargs="+",
        type=float,
        metavar="X",
        help="size of the strokes: longest side of the style as a multiple of the result's (default: 1)",
    )
    add("--enlarge-styles", action="store_true", help="let it exceed the pixels that the style has (default: no)")
    add(
        "--masks", nargs="+", metavar="FILE", help="what of the style counts, white in a picture; - is all (default: -)"
    )
    add("--regions", nargs="+", metavar="FILE", help="where on the result it goes; - is everywhere (default: -)")
    add(
        "--softness",
        type=float,
        metavar="X",
        default=Style.softness,
        help="width of the regions' edges as a share of the longest side, 0 to 1 (default: %(default)s)",
    )
    add(
        "--edges",
        choices=EDGES,
        default=Style.edges,
        help="what counts at a region's edge: blended, or strict: what sees the region alone (default: %(default)s)",
    )


def _styles(options: argparse.Namespace) -> list[Style]:
    count = len(options.style)

    def each(option: str, fallback: Any) -> list[Any]:
        values = getattr(options, option) or [fallback]
        if len(values) not in (1, count):
            name = option.replace("_", "-")
            raise ValueError(f"--{name} takes one value, or one for each of the {count} styles, received {len(values)}")
        return [None if value == NONE else value for value in (values if len(values) == count else values * count)]

    columns = (
        options.style,
        each("style_blend_weights", 1.0),
        each("style_scales", 1.0),
        each("masks", None),
        each("regions", None),
    )
    return [
        Style(*row, softness=options.softness, edges=options.edges, enlarge=options.enlarge_styles)
        for row in zip(*columns, strict=True)
    ]


def _stylize(options: argparse.Namespace) -> int:
    def paint(**shared: Any) -> Image.Image:
        recipe: dict[str, Any] = dict(gatys()) if options.recipe == "gatys" else {"losses": DEFAULT_LOSSES}
        if options.style_loss is not None and options.recipe == "gatys":
            raise ValueError("--style-loss changes what --recipe gatys is; give one of them")
        losses = recipe["losses"]
        if options.style_loss is not None:
            losses = with_style_loss(losses, options.style_loss)
        losses = _with_layers(losses, "content", options.content_layers, options.content_layer_weights)
        layers = options.style_layers
        weights = options.style_layer_weights
        if options.style_layer_ratio is not None:
            if weights is not None:
                raise ValueError(
                    "--style-layer-ratio and --style-layer-weights are two ways to say one thing; give one"
                )
            weights = geometric_weights(layers or _layers(losses, "style"), options.style_layer_ratio)
        losses = _with_layers(losses, "style", layers, weights)
        weighted = LossSum(
            tuple(
                Term(term.loss, term.weight * options.tv_weight) if isinstance(term.loss, TotalVariationLoss) else term
                for term in losses
            )
        )
        recipe["losses"] = weighted.scaled("content", options.content_weight).scaled("style", options.style_weight)
        return stylize(
            options.content,
            _styles(options),
            strength=options.strength,
            color=options.color,
            **{**recipe, **painting_arguments(options, recipe.get("encoder"), recipe.get("init", "content")), **shared},
        )

    return _save(options, paint, profile=options.content if options.keep_profile else None)


def _texture(options: argparse.Namespace) -> int:
    losses = _with_layers(with_style_loss(TEXTURE_LOSSES, options.style_loss), "style", options.layers, None)
    return _save(
        options,
        lambda **shared: synthesize_texture(
            _styles(options), losses=losses, **{**painting_arguments(options), **shared}
        ),
    )


def _reconstruct(options: argparse.Namespace) -> int:
    return _save(
        options,
        lambda **shared: reconstruct_content(
            options.content, options.layer, **{**painting_arguments(options), **shared}
        ),
    )


def _demo(options: argparse.Namespace) -> int:
    def paint(**shared: Any) -> Image.Image:
        style = samples.painting(options.painting, size=max(512, options.size or 0))
        if distributed.is_writer():
            print(f"painting the sample photograph in the style of {options.painting!r} ...", file=sys.stderr)
        return stylize(samples.photo(), style, **{**painting_arguments(options, init="content"), **shared})

    return _save(options, paint)


def _save(options: argparse.Namespace, paint: Callable[..., Image.Image], profile: str | None = None) -> int:
    """Check the outputs, paint, save; on Ctrl-C or an error midway save the best picture so far."""
    if not distributed.is_writer():
        paint()
        return 0
    form: dict[str, Any] = {"depth": options.depth, "profile": profile}
    resuming = options.resume is not None and Path(options.resume).exists()
    overwrite = options.overwrite or resuming  # a run that was stopped by Ctrl-C has left its picture
    check_output(options.output, overwrite, **form)
    watchers = callbacks(options, resuming)
    if options.plot is not None:
        check_plot()
        check_output(options.plot, overwrite)
    if options.print_every is not None:
        watchers.append(_printer(options.print_every))
    latest: list[Progress] = []
    watchers.append(lambda progress: latest.__setitem__(slice(None), [progress]))
    started = time.monotonic()
    code = 0
    try:
        image = paint(callback=watchers)
    except BaseException as error:
        if not isinstance(getattr(error, "image", None), Image.Image):
            raise
        image = error.image  # type: ignore[attr-defined]
        code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else 2
        reason = "stopped" if code == INTERRUPTED else f"error: {one_line(error)}"
        print(f"neuralstyle: {reason}; the best picture so far is in {options.output}", file=sys.stderr)
    # The picture is rounded to 8 bits already, the tensor is not; stopped at a coarser scale, it is smaller.
    full = latest[0].tensor() if latest and options.depth > 8 else None
    exact = image if full is None else resize_image(full, (image.height, image.width))
    save_image(exact, options.output, overwrite=overwrite, quality=options.quality, **form)
    if options.plot is not None:
        plot_losses(options.log, options.plot, overwrite=True)
    if options.resume is not None and not code:
        Path(options.resume).unlink(missing_ok=True)
    print(f"{options.output}: {image.width} x {image.height} pixels, {time.monotonic() - started:.0f} s")
    return code


def _printer(every: int) -> Callable[[Progress], None]:
    if every < 1:
        raise ValueError(f"--print-every is a whole number of at least 1, received {every}")

    def report(progress: Progress) -> None:
        if progress.iteration % every == 0 or progress.iteration == progress.total:
            terms = "  ".join(f"{name} {value:.6g}" for name, value in progress.terms.items())
            tqdm.write(f"{progress.iteration:5d}  {progress.size} px  loss {progress.loss:.6g}  {terms}")

    return report


def _layers(losses: LossSum, reference: str) -> tuple[str, ...]:
    """The layers of the first loss that compares with the reference."""
    return next(tuple(term.loss.layers) for term in losses if term.loss.reference == reference)


def _with_layers(
    losses: LossSum, reference: str, layers: Sequence[str] | None, weights: Sequence[float] | None
) -> LossSum:
    """The sum with layers and their weights replaced, where given, in the losses that compare with the reference."""
    if layers is None and weights is None:
        return losses

    def change(term: Term) -> Term:
        if term.loss.reference != reference:
            return term
        loss: Any = term.loss
        return Term(replace(loss, layers=tuple(layers or loss.layers), layer_weights=weights), term.weight)

    return LossSum(tuple(change(term) for term in losses))
