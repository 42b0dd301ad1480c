"""Several processes on one picture: they share work, add up sums, and name a process that is lost.

Without an initialised torch.distributed, every function does nothing or returns its argument.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

# In seconds.
HEARTBEAT_INTERVAL = 0.5
SILENCE_LIMIT = 5.0  # a process without a heartbeat for this long, after a broken connection, counts as lost
LONG_SILENCE_LIMIT = 15.0  # the same without a broken connection
JOIN_LIMIT = 120.0  # until all processes have joined
EXCHANGE_LIMIT = 120.0  # for one exchange when all are ready; it cannot be cancelled once it runs
CHECK_INTERVAL = 1.0  # between two checks of the other processes

T = TypeVar("T")


class ProcessLostError(RuntimeError):
    """A process of the group has died, failed or hung; the message names it."""


def world() -> int:
    """Return the number of processes that share the work."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if world() > 1 else 0


def is_writer() -> bool:
    """Tell whether this process writes files and shows progress; exactly one does."""
    return rank() == 0


def neighbours() -> int:
    """Return the number of processes that share this machine's memory."""
    return _number("LOCAL_WORLD_SIZE", world()) if world() > 1 else 1


def share(items: Sequence[T]) -> list[T]:
    """Return every n-th item, for this one of n processes; all items if there are fewer than processes."""
    return list(items[rank() :: world()]) if len(items) >= world() else list(items)


def add_up(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its sum over all processes, with the same bits in each of them."""
    # An all-reduce does not guarantee the same bits.
    _exchange(tensors, lambda t: [partial(dist.reduce, t, 0), partial(dist.broadcast, t, 0)])


def send(tensors: Sequence[Tensor], source: int = 0) -> None:
    """Replace each tensor by the source process's tensor."""
    _exchange(tensors, lambda t: [partial(dist.broadcast, t.flatten().view(torch.uint8), source)])


def least(value: float, device: torch.device) -> float:
    """Return the smallest of all processes' values."""
    if world() == 1:
        return value
    found = torch.tensor(value, dtype=torch.float32, device=device)
    _exchange([found], lambda t: [partial(dist.all_reduce, t, dist.ReduceOp.MIN)])
    return float(found)


def check() -> None:
    """Raise an error if another process is known to have failed.

    Raises:
        ProcessLostError: another process has died or failed.

    """
    if _session is not None:
        _session.check()


@contextlib.contextmanager
def session(timeout: float = 1800) -> Iterator[None]:
    """Open a process group for a ``with`` block, from the environment that ``torchrun`` sets; without it, do nothing.

    Processes connect to MASTER_ADDR and MASTER_PORT, each as RANK of WORLD_SIZE. Tensors on the CPU are sent by gloo,
    those on CUDA by NCCL, with each process on the device of its LOCAL_RANK. Every process sends a heartbeat twice a
    second. If one is killed or raises an exception, the others raise ``ProcessLostError``, which names it. The error
    leaves this block in one process only, so it is reported once; the others exit with status 2.

    Args:
        timeout: seconds that a process waits for the others at each exchange.

    Raises:
        ValueError: an incomplete environment, or more processes than devices.
        ProcessLostError: a process has died, failed or hung.

    Example:
        ```python
        from neuralstyle import distributed

        with distributed.session():
            assert distributed.world() == 1  # not started by torchrun
        ```

    """
    global _session
    size = _number("WORLD_SIZE", 1)
    if size <= 1 or (dist.is_available() and dist.is_initialized()):
        yield
        return
    _session = _Session(size, timeout)
    try:
        yield
    except BaseException as error:
        _session.fail(error)
    else:
        _session.end()
    finally:
        _session = None


def _number(name: str, otherwise: int | None = None) -> int:
    """Return a whole number from the environment."""
    text = os.environ.get(name, str(otherwise))
    if not text.strip().isdecimal():
        raise ValueError(
            f"{name} in the environment is a whole number that torchrun sets, received {text!r}; start with torchrun, "
            f"or unset {name} for one process"
        )
    return int(text)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, with which torchrun stops the others when a process has died."""

    code = 128 + signal.SIGTERM  # the exit code for the program


class _Session:
    """The process group, and the store for heartbeats and for the report of a lost process."""

    def __init__(self, size: int, timeout: float) -> None:
        missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
        if missing:
            raise ValueError(
                f"WORLD_SIZE is {size}, but the environment lacks {' and '.join(missing)}; start with torchrun"
            )
        self.rank, self.size = _number("RANK"), size
        self.timeout = timeout
        local = _number("LOCAL_RANK", self.rank)
        cuda = torch.cuda.is_available()
        if cuda and local >= torch.cuda.device_count():
            raise ValueError(
                f"process {self.rank} is number {local + 1} on a machine of {torch.cuda.device_count()} devices; start "
                "as many processes as devices, or hide the devices with CUDA_VISIBLE_DEVICES=''"
            )
        # torchrun's agent hosts the store, or else process 0.
        self.is_hosted = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        self.store = self._connect(is_master=self.rank == 0 and not self.is_hosted)
        self.beats = self._connect(is_master=False)  # a separate connection, since calls on one wait for each other
        self.meetings = 0
        self.seen: dict[int, tuple[str, float]] = {}
        self.checked = 0.0
        self.ended = threading.Event()
        self.is_alone = False  # the store is gone
        self._beat()
        self._gather()
        threading.Thread(target=self._keep_beating, daemon=True).start()
        if cuda:
            torch.cuda.set_device(local)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo",
            store=dist.PrefixStore("group", self.store),  # type: ignore[attr-defined]
            rank=self.rank,
            world_size=size,
            timeout=timedelta(seconds=EXCHANGE_LIMIT),
        )
        self.handler: Any = None
        if threading.current_thread() is threading.main_thread():
            self.handler = signal.signal(signal.SIGTERM, _terminate)

    def check(self) -> None:
        """Raise an error if another process has failed or been silent for long; checks at most once a second."""
        if time.monotonic() - self.checked < CHECK_INTERVAL:
            return
        try:
            lost = self._told() or self._silent(LONG_SILENCE_LIMIT)
        except RuntimeError:
            lost = self._store_lost()
        self.checked = time.monotonic()
        if lost:
            raise ProcessLostError(lost if self.is_alone else self._tell(lost))

    def meet(self) -> None:
        """Wait until all processes are ready for an exchange, so that none hangs in it if another is lost."""
        self.meetings += 1
        started, pause = time.monotonic(), 1e-4
        try:
            met = self.store.add("met", 1)
            while met < self.meetings * self.size:
                self.check()
                if time.monotonic() - started > self.timeout:
                    raise self.lost(f"waited {self.timeout:.0f} s")
                time.sleep(pause)
                pause = min(1.5 * pause, 5e-3)
                met = self.store.add("met", 0)
        except ProcessLostError:
            raise
        except RuntimeError as error:
            raise ProcessLostError(self._store_lost()) from error

    def lost(self, reason: str) -> ProcessLostError:
        """Return the error for a broken connection. Waits until a lost process is reported, or one has been silent."""
        started = time.monotonic()
        try:
            self.seen = {}
            while time.monotonic() - started < SILENCE_LIMIT + 4 * HEARTBEAT_INTERVAL:
                lost = self._told() or self._silent(SILENCE_LIMIT)
                if lost:
                    return ProcessLostError(self._tell(lost))
                time.sleep(HEARTBEAT_INTERVAL / 2)
            behind = self._behind()
        except RuntimeError:
            return ProcessLostError(self._store_lost())
        who = f"{_processes(behind)} of {self.size} did not answer" if behind else "the processes lost each other"
        return ProcessLostError(self._tell(f"{who} ({reason.splitlines()[0]})"))

    def fail(self, error: BaseException) -> NoReturn:
        """Report an error to the other processes, and exit silently if another process raises it."""
        if self.handler is not None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if isinstance(error, _Terminated):
            found = self.lost("terminated")
            error = found if "terminated" not in str(found) else SystemExit(128 + signal.SIGTERM)
        elif not isinstance(error, ProcessLostError):
            said = str(error).splitlines()[:1]
            with contextlib.suppress(RuntimeError):
                self._tell(f"process {self.rank} of {self.size} failed: {': '.join([type(error).__name__, *said])}")
        try:
            reports = not self.is_alone and self.store.add("reported", 1) == 1
        except RuntimeError:
            self.is_alone = True
        if self.is_alone:
            reports = self.is_hosted or self.rank == 1  # the store went with process 0
        self._leave()
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise error
        if not reports:
            raise SystemExit(2)
        raise error

    def end(self) -> None:
        """Leave the group at the end of the work."""
        self._leave()
        dist.destroy_process_group()

    def _connect(self, *, is_master: bool) -> Any:
        try:
            return dist.TCPStore(  # type: ignore[attr-defined]
                os.environ["MASTER_ADDR"],
                _number("MASTER_PORT"),
                is_master=is_master,
                timeout=timedelta(seconds=JOIN_LIMIT),
                wait_for_workers=False,
            )
        except RuntimeError as error:
            place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
            raise ProcessLostError(f"process {self.rank} of {self.size} finds nobody at {place}") from error

    def _gather(self) -> None:
        """Wait until every process has sent a first heartbeat."""
        ended = time.monotonic() + JOIN_LIMIT
        while missing := [other for other in range(self.size) if not self._read(_heartbeat_key(other))]:
            if time.monotonic() > ended:
                raise ProcessLostError(f"{_processes(missing)} of {self.size} did not come within {JOIN_LIMIT:.0f} s")
            time.sleep(0.02)

    def _beat(self) -> None:
        self.beats.set(_heartbeat_key(self.rank), f"{time.monotonic()} {self.meetings}")

    def _keep_beating(self) -> None:
        with contextlib.suppress(RuntimeError):  # the store is gone; the main thread will notice
            while not self.ended.wait(HEARTBEAT_INTERVAL):
                self._beat()

    def _read(self, key: str) -> str:
        """Return the value of a key, "" if there is none; a plain get would wait for the key."""
        return str(self.store.compare_set(key, "", "").decode())

    def _told(self) -> str:
        return self._read("failed")

    def _tell(self, lost: str) -> str:
        """Report a lost process, and return the first report, which all processes use."""
        with contextlib.suppress(RuntimeError):
            return str(self.store.compare_set("failed", "", lost).decode())
        return lost

    def _silent(self, patience: float) -> str:
        """Return a message that names the processes without a new heartbeat for ``patience`` seconds; "" for none."""
        now, silent = time.monotonic(), []
        for other in range(self.size):
            life = self._read(_heartbeat_key(other))
            if other not in self.seen or self.seen[other][0] != life:
                self.seen[other] = (life, now)
            elif other != self.rank and now - self.seen[other][1] > patience:
                silent.append(other)
        return (
            f"{_processes(silent)} of {self.size} died or hangs: no sign of life for {patience:.0f} s" if silent else ""
        )

    def _behind(self) -> list[int]:
        """Return the processes with fewer exchanges than others."""
        counts = [int(self._read(_heartbeat_key(other)).split()[1]) for other in range(self.size)]
        return [other for other, count in enumerate(counts) if count < max(counts)]

    def _store_lost(self) -> str:
        self.is_alone = True
        self.ended.set()
        where = "torchrun's agent" if self.is_hosted else f"process 0 of {self.size}"
        return f"{where} died: the connection to it is lost"

    def _leave(self) -> None:
        """Stop the heartbeat. The process with the store first waits until the others have left or are lost."""
        with contextlib.suppress(RuntimeError):
            if not self.is_alone:
                self.store.set(f"left {self.rank}", "left")
            if self.rank == 0 and not self.is_hosted:
                self.seen = {}
                present = set(range(1, self.size))
                started = time.monotonic()
                while present and time.monotonic() - started < LONG_SILENCE_LIMIT:
                    self._silent(SILENCE_LIMIT)
                    now = time.monotonic()
                    present -= {o for o in present if self._read(f"left {o}")}
                    present -= {o for o in present if now - self.seen[o][1] > 4 * HEARTBEAT_INTERVAL}
                    time.sleep(0.02)
        self.ended.set()
        if self.handler is not None:
            signal.signal(signal.SIGTERM, self.handler)


_session: _Session | None = None


def _terminate(number: int, frame: Any) -> None:
    raise _Terminated


def _exchange(tensors: Sequence[Tensor], steps: Callable[[Tensor], list[Callable[..., Any]]]) -> None:
    """Change each tensor by collective operations of all processes."""
    if world() == 1:
        return
    if _session is not None:
        _session.meet()
    for tensor in tensors:
        buffer = tensor.contiguous()
        for step in steps(buffer):
            _wait(step(async_op=True))
        if buffer is not tensor:
            tensor.copy_(buffer)


def _wait(work: Any) -> None:
    """Wait for a collective operation, and check the other processes meanwhile."""
    if _session is None:
        work.wait()
        return
    try:
        pause = 1e-4
        while not work.is_completed():
            _session.check()
            time.sleep(pause)
            pause = min(2 * pause, 2e-3)
        work.wait()
    except ProcessLostError:
        raise
    except RuntimeError as error:
        raise _session.lost(str(error)) from error


def _heartbeat_key(number: int) -> str:
    return f"life {number}"


def _processes(numbers: Sequence[int]) -> str:
    return f"process{'es' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
