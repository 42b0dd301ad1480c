"""Executors: whatever has ``submit``, and whose answer has ``result``. Knows nothing of pictures or of torch.

``concurrent.futures``, Dask, mpi4py.futures, loky and submitit have such objects, and ``Processes`` of this package is
one. ``run_tasks`` (``many/running.py``) calls a function with one task after another through any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from typing import Any, Protocol

from neuralstyle._errors import brief


class Handle(Protocol):
    """What ``submit`` returns. With ``done()`` too, answers come as they are ready, otherwise in the order of tasks."""

    def result(self) -> Any:
        """Wait for the result, and return it or raise why there is none."""


class Executor(Protocol):
    """Whatever runs a function elsewhere. The function and its arguments are pickled by it, if it needs that."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Handle:
        """Have a function called, and return at once."""


def check_executor(executor: object) -> None:
    """Check that an executor can be used; None is this process itself.

    Raises:
        TypeError: it has no ``submit``.

    """
    if executor is not None and (isinstance(executor, type) or not callable(getattr(executor, "submit", None))):
        raise TypeError(
            "an executor has a method submit(function, *arguments) whose answer has result(), such as "
            f"concurrent.futures.ProcessPoolExecutor(2), received {brief(executor)}"
        )


class WorkerDiedError(BrokenExecutor):
    """A worker process has ended before its task; the others go on."""
