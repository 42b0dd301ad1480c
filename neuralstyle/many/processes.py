"""Processes of this machine as an executor that survives them: one that dies loses its task alone."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any

from neuralstyle._errors import whole_number
from neuralstyle.many.executors import WorkerDiedError

_QUIET_WAIT = {"OMP_WAIT_POLICY": "passive", "KMP_BLOCKTIME": "0"}
"""More threads than cores may not wait busily for each other: that takes the cores from those that compute.

GOMP_SPINCOUNT counts first where it is set: by the user, or by the program on a busy machine (machine/busy.py).
"""

_starting = threading.Lock()  # the environment is changed for the moment of a start


class Processes:
    """Worker processes of this machine, as an executor.

    Each worker runs one task at a time. If one dies, its task fails with ``WorkerDiedError`` and another one takes its
    place. They start when there is work, end with this process, and leave Ctrl-C to it. In a script, use it below
    ``if __name__ == "__main__":``, as for ``multiprocessing``.

    Args:
        jobs: number of processes.
        threads: threads with which each computes. The last bits of a picture depend on them. None: the threads of this
            process shared out, at least 1.

    Raises:
        ValueError: a number below 1.

    Example:
        ```python
        from neuralstyle.many import Processes

        with Processes(2) as processes:
            assert processes.threads >= 1
        ```

    """

    def __init__(self, jobs: int, *, threads: int | None = None) -> None:
        self.jobs = whole_number("jobs", jobs, 1)
        self.threads = shared_threads(self.jobs) if threads is None else whole_number("threads", threads, 1)
        self._queue: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._workers: list[_Worker] = []
        self._is_shut = False

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Have a function called in one of the processes, and return at once.

        Raises:
            RuntimeError: after ``shutdown``.

        """
        if self._is_shut:
            raise RuntimeError("these processes were shut down; make new ones")
        call = _Call(function, arguments)
        self._queue.put(call)
        if len(self._workers) < self.jobs:
            self._workers.append(_Worker(self._queue, self.threads))
        return call.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes.

        Args:
            wait: let the tasks that were submitted finish; False ends them at once.
            cancel_futures: cancel those that have not begun.

        """
        self._is_shut = True
        if cancel_futures or not wait:
            with contextlib.suppress(queue.Empty):
                while (call := self._queue.get_nowait()) is not None:
                    call.future.cancel()
        for _ in self._workers:
            self._queue.put(None)
        for worker in self._workers:
            if not wait:
                worker.kill()
            worker.join()
        self._workers.clear()

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown(wait=error is None)


def shared_threads(jobs: int) -> int:
    """The threads of this process, shared out among so many, at least 1 each."""
    import torch

    return max(1, torch.get_num_threads() // jobs)


class _Call:
    """A function with its arguments, and the future of its result."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.function, self.arguments = function, arguments
        self.future: Future[Any] = Future()


class _Worker:
    """A process, the thread that keeps it busy, and the next process if it dies."""

    def __init__(self, calls: queue.SimpleQueue[_Call | None], threads: int) -> None:
        self._calls, self._threads = calls, threads
        self._process: Any = None
        self._connection: Connection[Any, Any] | None = None
        self._is_killed = False
        self._thread = threading.Thread(target=self._keep_busy, daemon=True, name="neuralstyle worker")
        self._thread.start()

    def kill(self) -> None:
        self._is_killed = True
        if self._process is not None:
            self._process.kill()

    def join(self) -> None:
        self._thread.join()

    def _keep_busy(self) -> None:
        while (call := self._calls.get()) is not None and not self._is_killed:
            if not call.future.set_running_or_notify_cancel():
                continue
            try:
                answer = self._ask(call)
            except BaseException as error:
                call.future.set_exception(error)
            else:
                call.future.set_result(answer)
        if self._process is not None and self._connection is not None:
            self._connection.close()  # which ends the process
            self._process.join()

    def _ask(self, call: _Call) -> Any:
        if self._process is None:
            self._start()
        assert self._connection is not None
        try:
            self._connection.send((call.function, call.arguments))
            wait([self._connection, self._process.sentinel])
            error, value = self._connection.recv()
        except (EOFError, ConnectionError) as lost:
            self._process.join()
            code, self._process = self._process.exitcode, None
            raise WorkerDiedError(_how(code)) from lost
        if error is not None:
            raise error
        return value

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, self._threads), daemon=True)
        with _starting, _environment({**_QUIET_WAIT, "OMP_NUM_THREADS": str(self._threads)}):
            self._process.start()
        other.close()
        if not _is_ready(self._connection, self._process.sentinel):
            self._process.join()
            code, self._process = self._process.exitcode, None
            raise RuntimeError(
                f"a worker process cannot start (exit code {code}); in a script, use processes below "
                "if __name__ == '__main__':"
            )
        if self._is_killed:
            self._process.kill()


def _is_ready(connection: Connection[Any, Any], sentinel: int) -> bool:
    wait([connection, sentinel])
    try:
        return bool(connection.recv())
    except (EOFError, ConnectionError):
        return False


def _how(code: int | None) -> str:
    if code is None or code >= 0:
        return f"its worker process ended (exit code {code})"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"its worker process was killed ({name}), perhaps as the memory was full"


@contextlib.contextmanager
def _environment(changed: Mapping[str, str]) -> Iterator[None]:
    """Change the environment that a new process inherits; what the user has set stays."""
    before = dict(os.environ)
    os.environ.update(
        {name: value for name, value in changed.items() if name == "OMP_NUM_THREADS" or name not in before}
    )
    try:
        yield
    finally:
        for name in changed:
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)


def _serve(connection: Connection[Any, Any], threads: int) -> None:
    """Answer calls in a worker process, until the other end closes."""
    for name in ("SIGINT", "SIGHUP"):  # of the terminal; the process that started this one decides
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection.send(True)
    _settle(threads)
    while True:
        answer: tuple[Exception | None, Any]
        try:
            function, arguments = connection.recv()
            answer = (None, function(*arguments))
        except EOFError:
            return
        except BaseException as error:  # also what cannot be unpickled here
            answer = (RuntimeError(f"{type(error).__name__}: {error}"), None)
        try:
            connection.send(answer)
        except (TypeError, AttributeError, ValueError, pickle.PicklingError) as error:
            connection.send((TypeError(f"the result cannot be sent back: {error}"), None))


def _settle(threads: int) -> None:
    import torch
    from tqdm import tqdm

    torch.set_num_threads(threads)
    tqdm.set_lock(threading.RLock())  # its own holds semaphores of the system, which a killed process leaves behind


def _end_with_parent() -> None:
    """End when the process that started this one has ended, also if it was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
