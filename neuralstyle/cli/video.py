"""The command that paints films: video. What it needs is imported when it runs."""

from __future__ import annotations

import argparse
import inspect
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from neuralstyle._stopping import stopping
from neuralstyle.cli.options import (
    BALANCE,
    COLOR,
    JSON,
    NETWORK,
    OPTIMIZER,
    OUTPUT,
    OVERWRITE,
    QUIET,
    SIZE,
    STYLES,
    STYLES_TITLE,
)
from neuralstyle.cli.parsing import Command, Option, defaults_of, without
from neuralstyle.cli.printing import note, report
from neuralstyle.video.stylize import apply_video, stylize_video

NOT_OF_FILMS = ("width", "pixels", "init", "noise", "noise_blend", "state", "state_every")
"""Options of pictures that the arguments of a painting are made of, and that films do not have."""


def _video(options: argparse.Namespace) -> int:
    if (options.model is None) == (not options.style):
        raise ValueError("a film is painted after a STYLE, or with a trained network (--model); give one of the two")
    call = _by_network(options) if options.model is not None else _by_styles(options)
    shared = ("steadiness", "passes", "every", "rate", "quality", "device", "state")
    given: dict[str, Any] = {name: value for name in shared if (value := getattr(options, name)) is not None}
    if options.size is not None:
        given["size"] = options.size
    stopping.begin()
    started = time.monotonic()
    film = call(
        output=options.output,
        start=getattr(options, "from"),
        end=options.to,
        sound=not options.no_sound,
        overwrite=options.overwrite,
        progress=not options.quiet,
        **given,
    )
    seconds = time.monotonic() - started
    facts = {"reason": "finished", "exit_code": 0, "output": str(film), "seconds": round(seconds, 3)}
    report(options, f"{film}: {seconds:.0f} s", facts)
    return 0


def _by_network(options: argparse.Namespace) -> Callable[..., Path]:
    if isinstance(options.tile, str):
        raise ValueError("--tile auto is not for trained networks; give a number of pixels")
    tile = {} if options.tile is None else {"tile": options.tile}
    return partial(apply_video, options.model, options.clip, **tile)


def _by_styles(options: argparse.Namespace) -> Callable[..., Path]:
    from neuralstyle.cli.arguments import painting_arguments, recipe_arguments, styles

    plain = argparse.Namespace(**{**vars(options), **dict.fromkeys(NOT_OF_FILMS)})
    plain.defaults = {**options.defaults, "init": "content"}
    found, notes = painting_arguments(plain, recipe_arguments(plain))
    for line in notes:
        note(line)
    known = inspect.signature(stylize_video).parameters
    arguments = {name: value for name, value in found.items() if name in known and name not in ("size", "progress")}
    for name in ("strength", "color", "frame_iterations"):
        if getattr(options, name) is not None:
            arguments[name] = getattr(options, name)
    return partial(stylize_video, options.clip, styles(options), **arguments)


def _is_begun(options: argparse.Namespace) -> bool:
    """Whether there are finished frames from which the film goes on, so that its file may exist."""
    folder = Path(options.state) if options.state is not None else Path(f"{options.output}.frames")
    return folder.is_dir()


VIDEO = Command(
    "video",
    "paint a film, an animation or a folder of frames, steadily",
    _video,
    arguments=(
        Option("clip", "a film, an animated GIF, WebP or PNG, or a folder of frames", metavar="CLIP", reads=True),
        Option("style", "the painting, a file; several are blended", metavar="STYLE", nargs="*", reads=True),
    ),
    options={
        "output": (
            replace(
                OUTPUT,
                does="save the film as this .mp4, .mov, .mkv, .webm, .gif, .webp or .apng file, or its frames in this "
                "folder",
                writes="either",
            ),
            OVERWRITE,
            Option("--quality", "save the frames in this quality, 1 to 100", int, "N"),
            Option("--no-sound", "leave the sound of the clip out", flag=True),
        ),
        "clip": (
            Option(
                "--from", "begin at this second of the clip", float, "SECONDS", shown="its beginning", everyday=True
            ),
            Option("--to", "end at this second of the clip", float, "SECONDS", shown="its end", everyday=True),
            Option("--every", "paint every Nth frame, each shown until the next", int, "N", everyday=True),
            Option("--rate", "show so many frames of a folder in a second", float, "N"),
        ),
        "steadiness": (
            Option(
                "--steadiness",
                "hold the paint on what it is on, from 0, every frame on its own, to 1",
                float,
                "S",
                everyday=True,
            ),
            Option(
                "--model",
                "paint with this trained network instead of a STYLE: a file, or a shipped one",
                metavar="MODEL",
                reads=True,
                everyday=True,
            ),
            Option(
                "--frame-iterations", "evaluate the losses N times for a frame after the first of a scene", int, "N"
            ),
            Option("--passes", "go through each scene N times: forwards, then backwards, and so by turns", int, "N"),
        ),
        "size and time": without(SIZE, "--width", "--pixels", "--dry-run"),
        "balance": BALANCE,
        STYLES_TITLE: STYLES,
        "colour": (COLOR,),
        "optimiser": OPTIMIZER,
        "watching, stopping, continuing": (
            QUIET,
            JSON,
            Option(
                "--state",
                "keep the finished frames in this folder, and go on from them if they are there",
                metavar="DIR",
                shown="OUT.frames, until the film is saved",
                writes="folder",
            ),
        ),
        "network": NETWORK,
    },
    defaults=defaults_of(stylize_video),
    continues=_is_begun,
)

COMMANDS = (VIDEO,)
