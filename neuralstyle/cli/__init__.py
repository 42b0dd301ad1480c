"""The command line: arguments -> the library's functions. Defaults come from their signatures.

``--help`` imports neither torch nor numpy: what a command needs is imported when it runs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from neuralstyle import __version__
from neuralstyle.cli import feedforward, painting, paths, tools
from neuralstyle.cli.outcome import FAILED, INTERRUPTED, one_line
from neuralstyle.cli.parsing import Command, Parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0; 2 after an error, which is one line on stderr; 130 after Ctrl-C. Set NEURALSTYLE_TRACEBACK
        to see the whole traceback instead.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser(show_all="--help-all" in words).parse_args(words)
    try:
        return _run(options)
    except KeyboardInterrupt:
        print("neuralstyle: stopped before there was a picture", file=sys.stderr)
        return INTERRUPTED
    except (ValueError, TypeError, OSError, ImportError, ArithmeticError, RuntimeError, MemoryError) as error:
        if os.environ.get("NEURALSTYLE_TRACEBACK"):
            raise
        print(f"neuralstyle: error: {one_line(error)}", file=sys.stderr)
        return FAILED


def _run(options: argparse.Namespace) -> int:
    from neuralstyle import distributed
    from neuralstyle.machine.memory import return_large_blocks

    return_large_blocks()
    command: Command = options.command
    with distributed.session():
        paths.expand(command, options)
        if distributed.is_writer():
            paths.check(command, options, may_continue=True)
        return command.run(options)


def _parser(show_all: bool = False) -> argparse.ArgumentParser:
    """The parser; its help lists all options, or those of every day."""
    parser = Parser(
        prog="neuralstyle",
        description="Paint one picture in the style of another.",
        epilog="'neuralstyle COMMAND --help' lists the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"neuralstyle {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in (*painting.COMMANDS, *feedforward.COMMANDS, *tools.COMMANDS):
        command.add_to(commands, show_all)
    return parser
