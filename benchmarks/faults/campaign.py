"""Many inputs over several workers: counts by kind, and the first seed of each kind that failed."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trial import FAULTS, OPENED, REFUSED, Answer, Kind

HERE = Path(__file__).parent
PATIENCE = 6  # a worker is ended after so many times a kind's limit: other programs may share the processor
START = 180.0  # seconds in which a worker is ready


class Worker:
    """A process that is replaced when it hangs or dies."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""

    def ask(self, name: str, seed: int, limit: float) -> Answer:
        """Try an input, for at most so many seconds."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        begin, note = time.monotonic(), "while it was made"
        try:
            self._process.stdin.write(f"{name} {seed}\n".encode())
            self._process.stdin.flush()
            line = self._line(limit)
            if line is not None:
                note = json.loads(line)
                line = self._line(limit)
        except (EOFError, BrokenPipeError):
            code = self._process.wait()
            return Answer("crash", f"{note}: the process ended with {code}", time.monotonic() - begin)
        if line is None:
            self.end()
            return Answer("hang", f"{note}: no answer in {limit:.0f} s", time.monotonic() - begin)
        return Answer(**json.loads(line))

    def end(self) -> None:
        """End the process, and those that it started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)  # the group is its own
            self._process.wait()
        self._process = None

    def _start(self) -> None:
        self._pending = b""
        command = [sys.executable, str(HERE / "worker.py")]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
        )
        try:
            line = self._line(START)
        except EOFError:
            line = None
        if line != b'"ready"':
            self.end()
            raise RuntimeError(f"a worker does not start: {' '.join(command)}")

    def _line(self, seconds: float) -> bytes | None:
        """The next line, or None after so many seconds."""
        assert self._process is not None
        assert self._process.stdout is not None
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    return None
                more = os.read(self._process.stdout.fileno(), 2**16)
                if not more:
                    raise EOFError
                self._pending += more
        line, _, self._pending = self._pending.partition(b"\n")
        return line


@dataclass
class Count:
    """What became of the inputs of a kind."""

    outcomes: dict[str, int] = field(default_factory=dict)
    seeds: set[int] = field(default_factory=set)
    first: dict[str, tuple[int, str]] = field(default_factory=dict)  # by the fault: the smallest seed, and the text
    seconds: float = 0.0
    peak: float = 0.0

    def add(self, seed: int, answer: Answer) -> None:
        self.seeds.add(seed)
        self.outcomes[answer.outcome] = self.outcomes.get(answer.outcome, 0) + 1
        self.seconds, self.peak = max(self.seconds, answer.seconds), max(self.peak, answer.peak)
        if answer.outcome in FAULTS:
            self.first[answer.outcome] = min(self.first.get(answer.outcome, (seed, answer.text)), (seed, answer.text))

    @property
    def failed(self) -> int:
        return sum(self.outcomes.get(fault, 0) for fault in FAULTS)


def inputs(kinds: Mapping[str, Kind], seed: int, count: int | None) -> Iterator[tuple[str, int]]:
    """All inputs, in rounds, so that at every time all kinds had their shares."""
    left = {name: kind.count if count is None else count for name, kind in kinds.items()}
    for turn in itertools.count():
        if not any(left.values()):
            return
        for name, kind in kinds.items():
            share = min(kind.share, left[name])
            left[name] -= share
            first = seed + turn * kind.share
            yield from ((name, number) for number in range(first, first + share))


def run(
    kinds: Mapping[str, Kind],
    seed: int = 0,
    count: int | None = None,
    seconds: float | None = None,
    jobs: int = 1,
    say: Callable[[str], None] = lambda text: None,
    say_all: bool = False,
) -> dict[str, Count]:
    """Try inputs of all kinds.

    Args:
        kinds: by name.
        seed: the first seed of each kind.
        count: inputs of each kind; None: the kind's own number.
        seconds: begin no input after this time; None: try them all.
        jobs: number of processes.
        say: called with the first failure of each sort.
        say_all: call it with every failure.

    """
    todo, lock = inputs(kinds, seed, count), threading.Lock()
    counts = {name: Count() for name in kinds}
    deadline = None if seconds is None else time.monotonic() + seconds
    errors: list[Exception] = []

    def work() -> None:
        worker = Worker()
        try:
            while not errors and (deadline is None or time.monotonic() < deadline):
                with lock:
                    job = next(todo, None)
                if job is None:
                    break
                name, number = job
                answer = worker.ask(name, number, PATIENCE * kinds[name].limit)
                with lock:
                    known = counts[name].first.get(answer.outcome)
                    counts[name].add(number, answer)
                    if answer.outcome in FAULTS and (known is None or say_all):
                        say(f"{name} {number}: {answer.outcome}: {answer.text[:300]}")
        except Exception as error:
            errors.append(error)
        finally:
            worker.end()

    threads = [threading.Thread(target=work) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return counts


HEADINGS = ("kind", "seeds", "inputs", OPENED, REFUSED, *FAULTS, "worst s", "peak MiB")


def rows(counts: Mapping[str, Count]) -> list[list[str]]:
    """The table, with a row for each kind that had inputs, and their sum."""
    table = []
    known = {name: count for name, count in counts.items() if count.seeds}
    for name, count in known.items():
        outcomes = [str(count.outcomes.get(outcome, 0)) for outcome in HEADINGS[3:-2]]
        span = f"{min(count.seeds)} to {max(count.seeds)}"
        table.append([name, span, str(len(count.seeds)), *outcomes, f"{count.seconds:.1f}", f"{count.peak:.0f}"])
    sums = [str(sum(int(row[column]) for row in table)) for column in range(2, len(HEADINGS) - 2)]
    worst = (
        max((count.seconds for count in known.values()), default=0),
        max((c.peak for c in known.values()), default=0),
    )
    return [*table, ["all", "", *sums, f"{worst[0]:.1f}", f"{worst[1]:.0f}"]]


def text_table(counts: Mapping[str, Count]) -> str:
    lines = [list(HEADINGS), *rows(counts)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) if column < 2 else cell.rjust(width) for column, (cell, width) in enumerate(cells))
        for cells in (list(zip(line, widths, strict=True)) for line in lines)
    )


def markdown_table(counts: Mapping[str, Count]) -> str:
    lines = [list(HEADINGS), ["---", "---", *["---:"] * (len(HEADINGS) - 2)], *rows(counts)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def failures(counts: Mapping[str, Count]) -> Iterator[str]:
    """For each kind and fault the first seed, what happened, and the command that repeats it."""
    for name, count in counts.items():
        for fault, (seed, text) in count.first.items():
            yield f"{name}: {fault} x {count.outcomes[fault]}: {text[:400]}"
            yield f"    python benchmarks/faults --kind {name} --seed {seed}"
