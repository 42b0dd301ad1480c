"""The commands that paint: stylize, texture, reconstruct, demo. What they need is imported when one of them runs."""

from __future__ import annotations

import argparse
import warnings
from dataclasses import replace
from functools import partial
from typing import Any

from neuralstyle._words import PAINTINGS
from neuralstyle.cli import printing
from neuralstyle.cli.options import (
    BALANCE,
    COLOR,
    FORMAT,
    OUTPUT,
    OVERWRITE,
    PAINTING,
    PROFILE,
    SEAMLESS,
    SIZE,
    STYLE_LOSS,
    STYLES,
    STYLES_TITLE,
    has_state,
)
from neuralstyle.cli.parsing import Command, Option, defaults_of, without
from neuralstyle.cli.presets import PRESETS
from neuralstyle.painting.options import DEFAULTS
from neuralstyle.painting.stylize import reconstruct_content, stylize, synthesize_texture

DEMO_SIZE = 384
DEMO_FILE = "neuralstyle-demo.png"
MANY_STYLES = 3
"""A blend of so many paintings is announced, unless an option speaks of them."""

_STYLE = Option("style", "the painting, a file; several are blended", metavar="STYLE", nargs="+", reads=True)
_SIDE = Option("--size", "make the result's sides this long", int, "PIXELS", everyday=True)
_LAYERS = Option("--layers", "compare style at these layers", metavar="LAYER", nargs="+", shown="relu1_1 ... relu5_1")


def _stylize(options: argparse.Namespace) -> int:
    from neuralstyle.cli.arguments import recipe_arguments, styles
    from neuralstyle.cli.saving import save
    from neuralstyle.painting.plan import plan

    _notice_many(options)
    given = {name: value for name in ("strength", "color") if (value := getattr(options, name)) is not None}
    make = partial(plan, options.content, styles(options, options.content), **given)
    return save(options, make, recipe_arguments(options), profile=options.content if options.keep_profile else None)


def _notice_many(options: argparse.Namespace) -> None:
    """Say how many pictures are taken, where a pattern such as *.jpg may have stood for photographs."""
    said = (options.style_blend_weights, options.style_scales, options.masks, options.regions)
    if len(options.style) >= MANY_STYLES and said == (None,) * 4:
        warnings.warn(
            f"{options.content} is the photograph, and the {len(options.style)} others are blended as paintings, "
            f"{options.style[0]} first; for several photographs call once for each, and to blend on purpose give "
            "--style-blend-weights 1",
            stacklevel=2,
        )


def _texture(options: argparse.Namespace) -> int:
    from neuralstyle.cli.arguments import styles, texture_losses
    from neuralstyle.cli.saving import save
    from neuralstyle.painting.plan import plan_texture

    return save(options, partial(plan_texture, styles(options)), {"losses": texture_losses(options)})


def _reconstruct(options: argparse.Namespace) -> int:
    from neuralstyle.cli.saving import save
    from neuralstyle.losses import ContentLoss
    from neuralstyle.painting.plan import plan_reconstruction

    layer = options.layer or options.defaults["layer"]
    return save(options, partial(plan_reconstruction, options.content, layer), {"losses": 1 * ContentLoss(layer)})


def _demo(options: argparse.Namespace) -> int:
    from neuralstyle import distributed, samples
    from neuralstyle.cli.saving import save
    from neuralstyle.painting.plan import Plan, plan
    from neuralstyle.recipes import DEFAULT_LOSSES

    def make(**arguments: Any) -> Plan:
        size = options.size if isinstance(options.size, int) else 0
        style = samples.painting(options.painting, size=max(512, size))
        if distributed.is_writer() and not options.dry_run:
            printing.note(f"painting the sample photograph in the style of {options.painting!r} ...")
        return plan(samples.photo(), style, **arguments)

    return save(options, make, {"losses": DEFAULT_LOSSES})


_OUTPUT = (OUTPUT, OVERWRITE)

STYLIZE = Command(
    "stylize",
    "paint a photograph in the style of one or more paintings",
    _stylize,
    arguments=(Option("content", "the photograph, a file", metavar="CONTENT", reads=True), _STYLE),
    options={
        "output": (*_OUTPUT, *PRESETS, *FORMAT, PROFILE),
        "size and time": (*SIZE, SEAMLESS),
        "balance": BALANCE,
        STYLES_TITLE: STYLES,
        "colour": (COLOR,),
        **{**PAINTING, "size and time": (*SIZE, SEAMLESS)},
    },
    defaults=defaults_of(stylize),
    continues=has_state,
)

TEXTURE = Command(
    "texture",
    "paint a texture from the style alone",
    _texture,
    arguments=(replace(_STYLE, does="the texture's source, a file; several are blended"),),
    options={
        "output": (*_OUTPUT, *FORMAT),
        "balance": (_LAYERS, replace(STYLE_LOSS, shown="gram")),
        STYLES_TITLE: STYLES,
        **PAINTING,
        # A texture has no aspect of its own.
        "size and time": (_SIDE, *without(SIZE, "--size", "--width", "--pixels"), replace(SEAMLESS, everyday=True)),
    },
    defaults={**DEFAULTS, **defaults_of(synthesize_texture), "init": "noise"},
    continues=has_state,
)

RECONSTRUCT = Command(
    "reconstruct",
    "paint what a layer remembers of a picture",
    _reconstruct,
    arguments=(Option("content", "the picture, a file", metavar="CONTENT", reads=True),),
    options={
        "output": (*_OUTPUT, *FORMAT),
        "balance": (Option("--layer", "match the features of this layer", metavar="LAYER", everyday=True),),
        **PAINTING,
    },
    defaults={**DEFAULTS, **defaults_of(reconstruct_content), "init": "noise"},
    continues=has_state,
)

DEMO = Command(
    "demo",
    "paint the sample photograph; needs no files",
    _demo,
    options={
        "output": (replace(OUTPUT, default=DEMO_FILE, required=False), OVERWRITE, *FORMAT),
        "style": (
            Option("--painting", "take this sample painting", choices=PAINTINGS, default=PAINTINGS[0], everyday=True),
        ),
        **PAINTING,
    },
    defaults={**defaults_of(stylize), "size": DEMO_SIZE},
    continues=has_state,
)

COMMANDS = (STYLIZE, TEXTURE, RECONSTRUCT, DEMO)
