"""The program: ``neuralstyle`` and ``python -m neuralstyle``. It listens to signals before its large imports."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

from neuralstyle._stopping import Stop, stopping
from neuralstyle.machine import busy

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # Ctrl-C; the end that a system asks for; a terminal that is gone


def run() -> int:
    """Run the program, and return its exit code."""
    numbers = _listen()
    _open_closed_streams()
    busy.begin()
    from neuralstyle.cli import main
    from neuralstyle.cli.printing import settle

    try:
        return main()
    finally:
        stopping.end()
        for number in numbers:  # or Python would give them back to the system, which kills, while it shuts down
            signal.signal(number, signal.SIG_IGN)
        settle()


def _listen() -> list[int]:
    """Have signals stop the work, and return them. Those that the parent process has set to be ignored stay ignored."""
    started = os.getpid()

    def on_signal(number: int, frame: object) -> None:
        if os.getpid() != started:  # a forked worker, which the process that started it ends
            if number != signal.SIGINT:
                os._exit(128 + number)
            return
        answer = stopping.receive(128 + number)
        if answer == "raise":
            raise Stop(128 + number)
        if answer == "exit":
            with suppress(OSError):
                os.write(2, b"neuralstyle: stopped before there was anything to save\n")
            os._exit(128 + number)

    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    for number in heard:
        signal.signal(number, on_signal)
    return heard


def _open_closed_streams() -> None:
    """Open the standard streams that are closed, or the next file that is opened would receive what is printed."""
    spare = os.open(os.devnull, os.O_RDWR)
    while spare <= 2:  # each file gets the lowest free number
        spare = os.open(os.devnull, os.O_RDWR)
    os.close(spare)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - pathlib is not imported yet; it stays open
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115


if __name__ == "__main__":
    sys.exit(run())
