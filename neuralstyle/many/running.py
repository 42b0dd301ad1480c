"""Running: a function is called with one task after another, here or through an executor.

A task is a small value that can be pickled, and may run twice: if its worker dies, it is run once more. Pictures, and
frames of films, go through ``run_tasks``. Importing this file does not import torch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from neuralstyle._errors import brief
from neuralstyle._log import logger
from neuralstyle._stopping import stopping
from neuralstyle.many.executors import Executor, WorkerDiedError, check_executor
from neuralstyle.many.processes import Processes

T = TypeVar("T")
R = TypeVar("R")

LOOK_EVERY = 0.2
"""Seconds between two looks at what an executor has done."""


@dataclass(frozen=True)
class Answer(Generic[T, R]):
    """What became of a task.

    Attributes:
        task: the task.
        value: what the function returned; None after an error.
        error: in one line why there is no value, or None.
        lost: in one line why it was run twice, such as a worker that died, or None.

    """

    task: T
    value: R | None = None
    error: str | None = None
    lost: str | None = None


def run_tasks(
    function: Callable[[T], R], tasks: Iterable[T], executor: Executor | None = None
) -> Iterator[Answer[T, R]]:
    """Call a function with each task, and give the answers as they come.

    An error of a task is part of its answer and stops no other task. If a worker dies, its task is run once more. If a
    pool of processes breaks for good, as those of ``concurrent.futures`` do, its tasks go on in one process at a time.

    Args:
        function: called with a task. To be pickled, it stands in a module, not in another function.
        tasks: small values that can be pickled.
        executor: where to call it; None: in this process, a task at a time, when its answer is asked for.

    Raises:
        TypeError: the executor has no ``submit``.

    Example:
        ```python
        from concurrent.futures import ThreadPoolExecutor
        from neuralstyle.many import run_tasks

        with ThreadPoolExecutor(2) as threads:
            answers = sorted(run_tasks(abs, [-1, "2"], threads), key=lambda answer: str(answer.task))
        assert answers[0].value == 1
        assert "bad operand" in answers[1].error
        ```

    """
    check_executor(executor)
    return _here(function, tasks) if executor is None else _Run(function, executor).answers(tasks)


def _here(function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[Answer[T, R]]:
    for task in tasks:
        stopping.check()
        yield _answer(task, guarded(function, task), None)


@dataclass(frozen=True)
class _Returned:
    """What a function returned, or why it did not; this comes back from the worker."""

    value: Any = None
    error: str | None = None


def guarded(function: Callable[[T], R], task: T) -> _Returned:
    """Call a function in a worker; whatever is raised by the executor is then not the task's own error."""
    try:
        return _Returned(function(task))
    except Exception as error:
        return _Returned(error=_line(error))


def _answer(task: T, returned: object, lost: str | None) -> Answer[T, Any]:
    if not isinstance(returned, _Returned):
        return Answer(task, error=f"the executor returned {brief(returned)} instead of the function's result")
    return Answer(task, returned.value, returned.error, lost)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@dataclass
class _Submitted(Generic[T]):
    """A task, the handle of its call, and why an earlier call was lost."""

    task: T
    handle: Any
    lost: str | None = None

    @property
    def is_done(self) -> bool:
        done = getattr(self.handle, "done", None)
        return bool(done()) if callable(done) else True  # then its result is waited for


class _Run(Generic[T, R]):
    """One run of tasks through an executor."""

    def __init__(self, function: Callable[[T], R], executor: Executor) -> None:
        self._function, self._executor = function, executor
        self._broken: str | None = None
        self._waiting: list[_Submitted[T]] = []

    def answers(self, tasks: Iterable[T]) -> Iterator[Answer[T, R]]:
        stranded: list[tuple[T, str]] = []
        try:
            for task in tasks:
                yield from self._submit(task, None, stranded)
            while self._waiting:
                for each in self._ready():
                    self._waiting.remove(each)
                    yield from self._take(each, stranded)
        finally:
            for each in self._waiting:
                cancel = getattr(each.handle, "cancel", None)
                if callable(cancel):
                    cancel()
        if stranded:
            yield from self._rescue(stranded)

    def _submit(self, task: T, lost: str | None, stranded: list[tuple[T, str]]) -> Iterator[Answer[T, R]]:
        """Hand a task to the executor; one that takes no more leaves it stranded, or with an error."""
        if self._broken is not None:
            stranded.append((task, self._broken))
            return
        try:
            handle = self._executor.submit(guarded, self._function, task)
        except BrokenExecutor as error:
            self._broken = _line(error)
            stranded.append((task, self._broken))
        except Exception as error:
            yield Answer(task, error=f"the executor does not take it ({_line(error)})", lost=lost)
        else:
            self._waiting.append(_Submitted(task, handle, lost))

    def _ready(self) -> list[_Submitted[T]]:
        """Wait until results are there; of handles that cannot be asked, take the first."""
        while True:
            stopping.check()
            if all(isinstance(each.handle, Future) for each in self._waiting):
                wait([each.handle for each in self._waiting], LOOK_EVERY, FIRST_COMPLETED)
                found = [each for each in self._waiting if each.is_done]
            else:
                found = [each for each in self._waiting if callable(getattr(each.handle, "done", None))]
                found = [each for each in found if each.is_done] if found else self._waiting[:1]
                if not found:
                    time.sleep(LOOK_EVERY)
            if found:
                return found

    def _take(self, each: _Submitted[T], stranded: list[tuple[T, str]]) -> Iterator[Answer[T, R]]:
        """The answer of a call that is done, or a second call if the first was lost."""
        try:
            returned = each.handle.result()
        except BrokenExecutor as error:
            logger.info("%s: lost (%s)", each.task, _line(error))
            if isinstance(error, WorkerDiedError):  # of ``Processes``, which goes on
                yield from self._again(each, error, stranded)
            else:
                self._broken = _line(error)
                stranded.append((each.task, self._broken))
        except Exception as error:
            logger.info("%s: lost (%s)", each.task, _line(error))
            yield from self._again(each, error, stranded)
        else:
            yield _answer(each.task, returned, each.lost)

    def _again(self, each: _Submitted[T], error: Exception, stranded: list[tuple[T, str]]) -> Iterator[Answer[T, R]]:
        if each.lost is None:
            yield from self._submit(each.task, _line(error), stranded)
        else:
            yield Answer(each.task, error=f"it failed twice in the executor ({_line(error)})", lost=each.lost)

    def _rescue(self, stranded: list[tuple[T, str]]) -> Iterator[Answer[T, R]]:
        """Run what a broken pool has left, one process at a time: who dies then is known."""
        logger.warning(
            "the executor is broken (%s); %d tasks go on in a process of their own", stranded[0][1], len(stranded)
        )
        with Processes(1) as process:
            spare: _Run[T, R] = _Run(self._function, process)
            reasons = {id(task): reason for task, reason in stranded}
            for answer in spare.answers(task for task, _ in stranded):
                yield Answer(answer.task, answer.value, answer.error, answer.lost or reasons[id(answer.task)])
