"""The command line: arguments -> the library's functions. Defaults come from their signatures.

``--help`` imports neither torch nor numpy: what a command needs is imported when it runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from neuralstyle import __version__
from neuralstyle._stopping import stopping
from neuralstyle.cli import (
    batch,
    comparing,
    feedforward,
    info,
    painting,
    paths,
    presets,
    printing,
    sheet,
    studio,
    tools,
    video,
)
from neuralstyle.cli.outcome import EXIT_CODES, FAILED, exit_code, one_line
from neuralstyle.cli.parsing import Command, Parser
from neuralstyle.machine import busy


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. The caller's signal handlers stay as they are; only the program sets its own.

    Returns:
        The exit code: 0; 2 after an error, which is one line on stderr; 130 after Ctrl-C, and 128 with the number of
        the signal after another. Set NEURALSTYLE_TRACEBACK to see the whole traceback instead.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    with printing.voice():
        show_all = "--help-all" in words
        try:
            added = presets.added(_parser(show_all), words)
        except (ValueError, OSError) as error:
            printing.note(f"error: {one_line(error)}")
            return FAILED
        options = _parser(show_all, added).parse_args(words)
        return _outcome(options)


def _outcome(options: argparse.Namespace) -> int:
    try:
        code = _run(options)
    except KeyboardInterrupt as error:
        line = str(error) or "stopped before there was anything to save"
        return _failed(options, "stopped", line, stopping.code or exit_code(error))
    except (ValueError, TypeError, OSError, ImportError, ArithmeticError, RuntimeError, MemoryError) as error:
        if stopping.code is not None:  # what the signal interrupted made another error of it
            return _failed(options, "stopped", f"stopped ({one_line(error)})", stopping.code)
        if os.environ.get("NEURALSTYLE_TRACEBACK"):
            raise
        return _failed(options, "error", f"error: {one_line(error)}", FAILED)
    return code


def _failed(options: argparse.Namespace, reason: str, line: str, code: int) -> int:
    printing.note(line)
    if printing.is_for_programs(options):
        printing.say_json({"reason": reason, "exit_code": code, "message": line})
    return code


def _run(options: argparse.Namespace) -> int:
    busy.settle()
    from neuralstyle import distributed  # which imports torch
    from neuralstyle.machine.memory import return_large_blocks

    return_large_blocks()
    command: Command = options.command
    with distributed.session(), _limit_of_pixels(options):
        paths.expand(command, options)
        if distributed.is_writer():
            paths.check(command, options, may_continue=True)
        return command.run(options)


def _limit_of_pixels(options: argparse.Namespace) -> AbstractContextManager[None]:
    """The limit of the pictures that a command reads."""
    most: int | None = getattr(options, "max_megapixels", None)
    if most is None:
        return nullcontext()
    from neuralstyle._errors import whole_number
    from neuralstyle.images import pixel_limit

    return pixel_limit(whole_number("--max-megapixels", most, 1) * 10**6)


def _parser(show_all: bool = False, presets: Mapping[str, Any] | None = None) -> Parser:
    """The parser; its help lists all options, or those of every day.

    Args:
        show_all: whether the help lists all options.
        presets: what takes the place of the defaults of the command's options.

    """
    parser = Parser(
        prog="neuralstyle",
        description="Paint one picture in the style of another.",
        epilog=f"'neuralstyle COMMAND --help' lists the options of a command. {EXIT_CODES}.",
    )
    parser.add_argument("--version", action="version", version=f"neuralstyle {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    rooms = (painting, studio, batch, sheet, video, feedforward, comparing, tools, info)
    for command in (command for room in rooms for command in room.COMMANDS):
        command.add_to(commands, show_all, presets or {})
    return parser
