"""What the program says. Results go to stdout and all else to stderr, and printing never decides how the work ends.

A stream may be closed, full, without a reader, or unable to show a letter. Then a line is lost or a letter replaced,
and the work goes on.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from neuralstyle.cli.outcome import shortened


class Steady:
    """A stream whose ``write`` and ``flush`` do not fail; all else, such as its encoding, is the stream's own.

    Args:
        stream: the stream to write to; None, where the process has none, writes nowhere.

    Attributes:
        error: why nothing is written any more, or None.

    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.error: BaseException | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text, with replacements for letters that the stream cannot show."""
        if self._stream is not None and self.error is None:
            try:
                self._write(self._stream, text)
            except (OSError, ValueError) as error:  # full, without a reader; closed
                self.error = error
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        if self._stream is not None and self.error is None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self.error = error

    @staticmethod
    def _write(stream: TextIO, text: str) -> None:
        try:
            stream.write(text)
        except UnicodeError:
            encoding = stream.encoding or "ascii"
            stream.write(text.encode(encoding, "replace").decode(encoding))


@contextmanager
def voice() -> Iterator[None]:
    """Speak with the program's voice in a ``with`` block: steady streams, and warnings as lines of the program."""
    streams, said = (sys.stdout, sys.stderr), set[str]()

    def say_once(text: str) -> None:
        if text not in said:
            said.add(text)
            warn(text)

    def show_warning(message: Warning | str, *_: object, **__: object) -> None:
        say_once(shortened(str(message)))

    logger, handler = logging.getLogger("neuralstyle"), _Handler(say_once)
    sys.stdout, sys.stderr = Steady(sys.stdout), Steady(sys.stderr)  # type: ignore[assignment]
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:  # as for Python, the user's own choice counts first
                warnings.simplefilter("always", UserWarning)
            warnings.showwarning = show_warning
            yield
    finally:
        sys.stdout.flush()
        _report_loss(sys.stdout)
        sys.stdout, sys.stderr = streams
        logger.removeHandler(handler)


def say(text: str, options: argparse.Namespace | None = None) -> None:
    """Print a line for people on stdout; on stderr if stdout is for programs (``--json``)."""
    _write(text, sys.stderr if is_for_programs(options) else sys.stdout)


def is_for_programs(options: argparse.Namespace | None) -> bool:
    """Tell whether stdout is for a line of JSON alone; the ``--json`` of compare takes a file."""
    return getattr(options, "json", None) is True


def report(options: argparse.Namespace, text: str, facts: Mapping[str, Any]) -> None:
    """Print a result: a line for people, and the facts for programs if they were asked for."""
    say(text, options)
    if is_for_programs(options):
        say_json(facts)


def _write(text: str, stream: TextIO) -> None:
    """Print a line; a progress bar stays below it."""
    tqdm: Any = sys.modules.get("tqdm")
    if tqdm is None:
        print(text, file=stream)
    else:
        tqdm.tqdm.write(text, file=stream)
    stream.flush()


def note(text: str) -> None:
    """Print a line of the program on stderr."""
    _write(f"neuralstyle: {text}", sys.stderr)


def warn(text: str) -> None:
    """Print a warning on stderr."""
    note(f"warning: {text}")


def say_json(facts: Mapping[str, Any]) -> None:
    """Print facts as one line that programs read."""
    _write(json.dumps(facts), sys.stdout)


def settle() -> None:
    """Empty the streams at the end of the process, as Python would end with an error where it cannot."""
    for stream in (sys.stdout, sys.stderr):
        steady = Steady(stream)
        steady.flush()
        if steady.error is not None:
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Handler(logging.Handler):
    """Says what the library logs as warnings."""

    def __init__(self, say_once: Any) -> None:
        super().__init__(logging.WARNING)
        self._say_once = say_once

    def emit(self, record: logging.LogRecord) -> None:
        self._say_once(shortened(record.getMessage()))


def _report_loss(stream: Any) -> None:
    """Say that results could not be printed; a reader that has gone away wanted no more of them."""
    error = getattr(stream, "error", None)
    if error is not None and not isinstance(error, BrokenPipeError):
        warn(f"not everything could be printed ({error})")
