"""Stopping: whether this process was asked to stop, and what such a request may not break.

A signal handler can raise an exception, but Python loses it where nobody can receive it: in a destructor, in a callback
of another library, in an import that takes any error for a missing module. So a request is noted here as well, and
every loop asks at each of its steps. Only the handlers of the command line (``__main__.py``) make requests; in other
programs Ctrl-C is Python's KeyboardInterrupt, and this file does nothing.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TYPE_CHECKING = False  # as in typing, whose import takes longer than this file
if TYPE_CHECKING:
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    T = TypeVar("T")

PATIENCE = 1.0
"""Seconds after a request in which further ones count as the same one."""

BREAKS_SHIELD = 3
"""The number of the request that interrupts even what is shielded."""


class Stop(KeyboardInterrupt):
    """The work was asked to stop.

    Args:
        code: the exit code for the program, 128 plus the number of the signal.

    """

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code


class Stopping:
    """The requests to stop that a process has received.

    Args:
        clock: the time in seconds.

    Attributes:
        code: the exit code that the first request asked for; None without one.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.code: int | None = None
        self._clock = clock
        self._phase = "starting"
        self._shields = 0
        self._count = 0
        self._last = 0.0

    def begin(self) -> None:
        """From now on there may be something to save: a request raises ``Stop`` instead of ending the process."""
        self._phase = "working"

    def end(self) -> None:
        """From now on everything is saved: a request has nothing to do, as the process is about to end."""
        self._phase = "ending"

    def receive(self, code: int) -> str:
        """Note a request, and say what the signal handler does with it.

        Args:
            code: the exit code to end with.

        Returns:
            "exit": end the process at once. "raise": raise ``Stop``. "wait": nothing; somebody is going to ask.

        """
        now = self._clock()
        if self._count and now - self._last < PATIENCE:
            return "wait"
        self._last = now
        self._count += 1
        if self._phase == "ending":
            return "wait"
        self.code = code if self.code is None else self.code
        if self._phase == "starting":
            return "exit"
        return "wait" if self._shields and self._count < BREAKS_SHIELD else "raise"

    def check(self) -> None:
        """Ask whether the work shall stop; loops do so at each step.

        Raises:
            Stop: it shall, and the caller is not shielded.

        """
        if self.code is not None and not self._shields:
            raise Stop(self.code)

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Let a ``with`` block finish: requests are noted, and only the third one interrupts it."""
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1

    @contextmanager
    def exposed(self) -> Iterator[None]:
        """Let requests interrupt a ``with`` block inside of a shield, which then has no gap before or after it."""
        shields, self._shields = self._shields, 0
        try:
            self.check()
            yield
        finally:
            self._shields = shields


stopping = Stopping()
"""The requests to this process."""


def rescue(make: Callable[[], T]) -> T:
    """Call a function that makes what is left of interrupted work; a second Ctrl-C does not break it, a third does."""
    with stopping.shield():
        try:
            return make()
        except KeyboardInterrupt:
            return make()


def interruptible(function: Callable[P, T]) -> Callable[P, T]:
    """Shorten the traceback of Ctrl-C in a function: where its work was interrupted says nothing to its caller.

    The environment variable NEURALSTYLE_TRACEBACK keeps the whole traceback.
    """

    @functools.wraps(function)
    def call(*arguments: P.args, **options: P.kwargs) -> T:
        try:
            return function(*arguments, **options)
        except KeyboardInterrupt as error:
            raise (error if os.environ.get("NEURALSTYLE_TRACEBACK") else error.with_traceback(None)) from None

    return call
