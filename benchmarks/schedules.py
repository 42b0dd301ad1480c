"""Time whole pictures by schedule: from a warm process, from a fresh one, and where the time goes.

    python benchmarks/schedules.py                                  # preview, draft and standard of our own pictures
    python benchmarks/schedules.py preview --photo a.jpg --painting b.jpg --size 384 --repeats 5
    python benchmarks/schedules.py preview --profile                # encoder, losses, optimiser, pictures
    python benchmarks/schedules.py preview --fresh                  # with the start of the program
    python benchmarks/schedules.py standard --stages --size 4096 --tile 768 --photo a.jpg    # a print, once, by stage

"warm" is the median call of ``stylize`` in a process that has painted one picture already, "fresh" the median call of
the command line. The profile splits a warm call: convolutions and pooling forward, the compiled ones backward, what the
losses and autograd take beside them (with the gradients of direct convolutions), the optimiser, the parameters
(``Smoothed``), the targets, and the rest, which is reading, resizing and rounding pictures. ``--start`` says what
importing torch and this package takes. ``--stages`` paints once, without a warm-up, and prints what each stage takes,
and the most memory that the process held in it.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any


class Profile:
    """Seconds by part; those of a part within another count for the inner one, and within the targets for these."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._open: list[str] = ["pictures"]
        self._since = time.perf_counter()

    def begin(self, part: str) -> None:
        """Count for this part from now on."""
        self._book()
        self._open.append(self._open[-1] if self._open[-1] == "targets" else part)

    def end(self) -> None:
        """Count for the part around it again."""
        self._book()
        self._open.pop()

    def around(self, owner: Any, name: str, part: str | Callable[..., str]) -> None:
        """Replace a function by one that counts its seconds."""
        function = getattr(owner, name)

        @functools.wraps(function)
        def counted(*args: Any, **options: Any) -> Any:
            self.begin(part if isinstance(part, str) else part(*args, **options))
            try:
                return function(*args, **options)
            finally:
                self.end()

        setattr(owner, name, counted)

    def _book(self) -> None:
        now = time.perf_counter()
        self.seconds[self._open[-1]] += now - self._since
        self._since = now


def watched() -> Profile:
    """Count the seconds of the package's parts from now on, in this process."""
    from torch import nn

    from neuralstyle.encoders import extractor
    from neuralstyle.encoders.kernels import pooling, winograd
    from neuralstyle.objective.objective import Objective
    from neuralstyle.painting import paint
    from neuralstyle.parameters import Smoothed

    found = Profile()
    found.around(winograd, "_run", lambda *_, turned=False, **__: f"encoder, {'backward' if turned else 'forward'}")
    for owner, name in ((winograd, "_features"), (nn.Conv2d, "forward"), (extractor, "l2_pool")):
        found.around(owner, name, "encoder, forward")
    for function in (winograd._Picture, pooling._L2Pool):
        found.around(function, "backward", "encoder, backward")
    found.around(Objective, "__init__", "targets")
    found.around(Objective, "evaluate", "losses and autograd")
    found.around(Smoothed, "picture", "parameters")
    found.around(Smoothed, "gradient", "parameters")
    found.around(paint, "minimize", "optimizer")
    return found


def warm(options: argparse.Namespace, schedule: str) -> dict[str, Any]:
    """Paint once to warm up, then so many times."""
    from neuralstyle import samples, stylize

    photo = options.photo or samples.photo()
    painting = options.painting or samples.painting("swirl", size=512)

    def once() -> float:
        started = time.perf_counter()
        stylize(photo, painting, size=options.size, schedule=schedule, progress=False)
        return time.perf_counter() - started

    once()
    if not options.profile:
        return {"seconds": [once() for _ in range(options.repeats)]}
    profile = watched()
    profile.seconds.clear()
    seconds = [once() for _ in range(options.repeats)]
    profile.begin("pictures")
    return {"seconds": seconds, "profile": {part: all_ / len(seconds) for part, all_ in profile.seconds.items()}}


def by_stage(options: argparse.Namespace, schedule: str) -> list[dict[str, Any]]:
    """Paint once, and return the stages with seconds and memory, those of their targets included."""
    from tiling import highest, reset_peak

    from neuralstyle import paint, plan, samples

    photo = options.photo or samples.photo()
    painting = options.painting or samples.painting("swirl", size=512)
    planned = plan(photo, painting, size=options.size, schedule=schedule, tile=options.tile, progress=False)
    last = dict.fromkeys(range(len(planned.stages)), 0.0)
    peaks = dict.fromkeys(last, 0.0)
    started = time.perf_counter()

    def watch(progress: Any) -> None:
        last[progress.stage - 1] = time.perf_counter() - started
        peaks[progress.stage - 1] = highest("cpu") / 2**30
        if progress.stage < progress.stages and _is_last(progress, planned):
            reset_peak("cpu")

    reset_peak("cpu")
    paint(replace(planned, callbacks=(watch,)))
    ends = [0.0, *last.values()]
    return [
        {
            "pixels": f"{stage.width} x {stage.height}",
            "through": stage.through,
            "iterations": stage.iterations,
            "seconds": ends[number + 1] - ends[number],
            "GiB": peaks[number],
        }
        for number, stage in enumerate(planned.stages)
    ]


def _is_last(progress: Any, planned: Any) -> bool:
    """Whether this was the last evaluation of its stage, if none stopped early."""
    return bool(progress.iteration == sum(stage.iterations for stage in planned.stages[: progress.stage]))


def fresh(options: argparse.Namespace, schedule: str) -> dict[str, Any]:
    """Call the command line so many times, after one to fill the machine's caches."""
    from neuralstyle import samples

    with tempfile.TemporaryDirectory() as folder:
        photo, painting = options.photo, options.painting
        if photo is None:
            photo = f"{folder}/photo.png"
            samples.photo().save(photo)
        if painting is None:
            painting = f"{folder}/painting.png"
            samples.painting("swirl", size=512).save(painting)
        command = [sys.executable, "-m", "neuralstyle", "stylize", photo, painting, "-o", f"{folder}/out.png"]
        command += ["--size", str(options.size), "--schedule", schedule, "--overwrite", "--quiet"]
        return {"seconds": [_seconds(command) for _ in range(options.repeats + 1)][1:]}


def start() -> None:
    """Print what a start takes before any picture: Python, torch, this package."""
    for what, code in (
        ("Python", ""),
        ("torch", "import torch"),
        ("neuralstyle", "import neuralstyle, torch; from neuralstyle import stylize"),
    ):
        seconds = sorted(_seconds([sys.executable, "-c", code]) for _ in range(3))
        print(f"start of {what}: {seconds[1]:.2f} s")


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("schedules", nargs="*", default=["preview", "draft", "standard"])
    parser.add_argument("--photo", help="(default: the sample photograph)")
    parser.add_argument("--painting", help="(default: a sample painting)")
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="say where the time goes")
    parser.add_argument("--fresh", action="store_true", help="time the command line too")
    parser.add_argument("--start", action="store_true", help="time the start of a program too")
    parser.add_argument("--stages", action="store_true", help="paint once, and say what each stage takes")
    parser.add_argument("--tile", type=int, help="with --stages: paint in tiles of so many pixels")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.start:
        start()
    found: dict[str, Any] = {}
    for schedule in options.schedules if options.stages else ():
        found[f"{schedule}, stages"] = rows = by_stage(options, schedule)
        for row in rows:
            print(
                f"{row['pixels']:12} {row['through']:10} {row['iterations']:4}  {row['seconds']:7.1f} s  "
                f"{row['GiB']:.2f} GiB"
            )
        print(f"{schedule}: {sum(row['seconds'] for row in rows):.1f} s", flush=True)
    for schedule in () if options.stages else options.schedules:
        for kind, measured in [("warm", warm)] + [("fresh", fresh)] * options.fresh:
            result = found[f"{schedule}, {kind}"] = measured(options, schedule)
            seconds = result["seconds"]
            spread = f"({min(seconds):.2f} - {max(seconds):.2f})"
            print(f"{schedule}, {kind}: {statistics.median(seconds):.2f} s {spread}", flush=True)
            for part, share in sorted(result.get("profile", {}).items(), key=lambda item: -item[1]):
                print(f"    {part:22} {share:6.2f} s")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
