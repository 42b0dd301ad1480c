"""What the program says: streams that cannot fail, warnings in its own voice, a line for programs."""

from __future__ import annotations

import argparse
import io
import json
import logging
import sys
import warnings

import pytest

from neuralstyle.cli import main, printing
from neuralstyle.cli.outcome import shortened


class Full(io.StringIO):
    """A stream on a full disk: ``write`` fills a buffer, and emptying it fails."""

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


class Unread(io.StringIO):
    """A pipe whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


def in_encoding(name: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=name, write_through=True)


@pytest.mark.parametrize("stream", [None, Full(), Unread(), closed()], ids=["none", "full", "unread", "closed"])
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_no_stream_decides_how_a_command_ends(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO | None, name: str
) -> None:
    monkeypatch.setattr(sys, name, stream)
    assert main(["losses"]) == 0
    assert getattr(sys, name) is stream  # the caller's stream is back


def test_what_could_not_be_printed_is_said_but_for_readers_that_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", Full())
    main(["losses"])
    assert "neuralstyle: warning: not everything could be printed" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdout", Unread())
    main(["losses"])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", "?.png"), ("cp1252", "?.png"), ("utf-8", "я.png")])
def test_letters_that_a_stream_lacks_are_replaced(encoding: str, shown: str) -> None:
    stream = in_encoding(encoding)
    steady = printing.Steady(stream)
    print("я.png", file=steady)
    assert stream.buffer.getvalue().decode(encoding) == f"{shown}\n"  # type: ignore[attr-defined]
    assert steady.encoding == encoding
    assert steady.error is None


def test_file_names_that_are_no_text_are_printed_too() -> None:
    stream = in_encoding("utf-8")
    print("\udce9.png", file=printing.Steady(stream))
    assert stream.buffer.getvalue() == b"?.png\n"  # type: ignore[attr-defined]


def test_warnings_are_lines_of_the_program_each_once(capsys: pytest.CaptureFixture[str]) -> None:
    shown, logger = warnings.showwarning, logging.getLogger("neuralstyle")
    with printing.voice():
        for _ in range(2):
            warnings.warn("the profile\nis ignored", stacklevel=1)
            logging.getLogger("neuralstyle.feedforward").warning("skipped: %s", "a.png")
        logger.info("progress is not for the command line")
    lines = ["neuralstyle: warning: the profile is ignored", "neuralstyle: warning: skipped: a.png"]
    assert capsys.readouterr().err.splitlines() == lines
    assert warnings.showwarning is shown
    assert not [handler for handler in logger.handlers if type(handler) is printing._Handler]


def test_warnings_are_short_and_without_the_places_in_torch() -> None:
    assert shortened("a is b.\n (Triggered internally at /torch/x.cpp:3.)") == "a is b."
    assert len(shortened("x" * 1000)) == 300


@pytest.mark.parametrize("for_programs", [True, False])
def test_results_go_to_stdout_and_with_json_a_line_for_programs_alone(
    capsys: pytest.CaptureFixture[str], for_programs: bool
) -> None:
    options = argparse.Namespace(json=for_programs)
    printing.report(options, "я.png: 3 s", {"output": "я.png", "seconds": 3})
    printed = capsys.readouterr()
    if for_programs:
        assert json.loads(printed.out) == {"output": "я.png", "seconds": 3}
        assert printed.out.isascii()
        assert printed.err == "я.png: 3 s\n"
    else:
        assert (printed.out, printed.err) == ("я.png: 3 s\n", "")
