"""The command line: arguments -> the library's functions. Defaults come from their signatures."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from neuralstyle import __version__, distributed
from neuralstyle.cli import feedforward, painting, tools
from neuralstyle.machine.memory import return_large_blocks

INTERRUPTED = painting.INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0; 2 after an error, which is one line on stderr; 130 after Ctrl-C. Set NEURALSTYLE_TRACEBACK
        to see the whole traceback instead.
    """
    options = _parser().parse_args(arguments)
    return_large_blocks()
    try:
        with distributed.session():
            code: int = options.run(options)
    except KeyboardInterrupt:
        print("neuralstyle: stopped before there was a picture", file=sys.stderr)
        return INTERRUPTED
    except (ValueError, TypeError, OSError, ImportError, ArithmeticError, RuntimeError, MemoryError) as error:
        if os.environ.get("NEURALSTYLE_TRACEBACK"):
            raise
        print(f"neuralstyle: error: {painting.one_line(error)}", file=sys.stderr)
        return 2
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="neuralstyle",
        description="Paint one picture in the style of another.",
        epilog="'neuralstyle COMMAND --help' lists the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"neuralstyle {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    painting.add_commands(commands)
    feedforward.add_commands(commands)
    tools.add_commands(commands)
    return parser
