"""Every method on every pair, each with its own settings, several at once, on any device.

    python benchmarks/quality/contest.py PICTURES results.jsonl                  # 16 pairs, 12 methods, 384 px
    python benchmarks/quality/contest.py PICTURES results.jsonl --device cuda --jobs 8 --seconds 270 \\
        --archive out/pictures.tar                                               # and the pictures in a few files
    python benchmarks/quality/contest.py PICTURES results.jsonl --methods standard crowson pastiche:120 \\
        --strengths 0.3 0.4 0.5 0.6 0.7                                          # curves of style over structure
    python benchmarks/quality/contest.py PICTURES results.jsonl --methods standard --label new \\
        --option color=luminance                                                 # a change, beside what is there
    python benchmarks/quality/contest.py PICTURES results.jsonl --merge other.jsonl --report

PICTURES is a folder, and sixteen.txt, or the file given by --pairs, names pictures below it. All methods get the same
two files: the photograph at the size of the result, the painting at the same longest side. Methods are this package's
schedules, its recipes and pastiche; "crowson:100" has 100 evaluations at the final size. They are painted in the order
given, each on all pairs. A process keeps its networks from one picture to the next, so seconds are those of a warm
process; with several jobs on one device they count the others' work, too, and only --jobs 1 measures time.

After each picture a line is added to the results, and what is there already is not painted again, so a run can be
stopped and started at any time; --seconds begins nothing after so many. Pictures go into the folder beside the results
that has their name. `blind.py` makes sheets of them on which nobody sees which method is which.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from archive import PART_MIB, pack
from measures import SHOWN, measure
from painters import Painter, Work, known, split
from pairs import SIXTEEN, Pair, list_pairs

KEY = ("pair", "method", "strength", "size")
FOLDER_OF_INPUTS = "inputs"
BALANCED = 0.5  # the strength at which each method has its own weights

_painter: Painter  # of a working process


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def key(record: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(record[name] for name in KEY)


def read_results(file: Path) -> list[dict[str, Any]]:
    """The records of a file; a line that was cut off is left out."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    whole = [line for line in lines if line.endswith("}")]
    if len(whole) < len(lines):
        say(f"{file}: left out {len(lines) - len(whole)} lines that are not whole")
    return [json.loads(line) for line in whole]


def add(file: Path, records: Sequence[dict[str, Any]]) -> None:
    """Add lines, beginning a new one after a line that was cut off."""
    cut = file.exists() and file.stat().st_size > 0 and not file.read_bytes().endswith(b"\n")
    with file.open("a", encoding="utf-8") as lines:
        lines.write("\n" * cut + "".join(json.dumps(record) + "\n" for record in records))


def pictures_of(results: Path) -> Path:
    return results.with_suffix("")


def prepare(pair: Pair, size: int, folder: Path) -> tuple[Path, Path]:
    """The photograph at the size of the result, the painting as ``stylize`` would show it, as files for everyone."""
    from neuralstyle import load_image, save_image

    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for kind, file in (("content", pair.content), ("style", pair.style)):
        target = folder / f"{kind}-{file.stem}-{size}.png"
        if not target.exists():
            longest = max(load_image(file).shape[2:])
            save_image(load_image(file, size if kind == "content" else min(size, longest)), target)
        made.append(target)
    return made[0], made[1]


def plan(options: argparse.Namespace, pairs: Sequence[Pair]) -> Iterator[tuple[dict[str, Any], Pair]]:
    """The records to be, each with its pair: a method on all pairs, then the next."""
    for method in options.methods:
        for strength in options.strengths:
            for pair in pairs:
                named = f"{method} ({options.label})" if options.label else method
                record = {"pair": pair.name, "method": named, "strength": strength, "size": options.size}
                yield record | {"kinds": pair.kinds, "painted by": method}, pair


def start(device: str, threads: int) -> None:
    """Begin a working process."""
    global _painter
    import torch

    torch.set_num_threads(threads)
    _painter = Painter(device)


def paint(record: dict[str, Any], files: tuple[Path, Path], folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Paint one picture in a working process, save and measure it; the whole record of it."""
    import torch

    from neuralstyle import load_image

    work = Work(record["painted by"], *files, record["size"], record["strength"], options)
    painted = _painter.paint(work)
    words = (record["pair"], record["method"], f"{record['strength']:g}", record["size"])
    name = "-".join("".join(c if c.isalnum() or c in "._" else "_" for c in str(word)) for word in words)
    file = folder / f"{name}.png"
    painted.picture.save(file)
    content, style = (load_image(each) for each in files)
    scores = measure(painted.picture, content, style, _painter.device)
    device = _painter.device
    return record | {
        "seconds": painted.seconds,
        "painted": painted.seconds,
        "evaluations": painted.evaluations,
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "picture": file.name,
        "scores": scores,
    }


def run(options: argparse.Namespace, pairs: Sequence[Pair], there: set[tuple[Any, ...]]) -> int:
    """Paint what is not there; how many pictures failed."""
    folder = pictures_of(options.results)
    started, failed, done = time.monotonic(), 0, 0
    work = [(record, pair) for record, pair in plan(options, pairs) if key(record) not in there]
    inputs = {pair: prepare(pair, options.size, folder / FOLDER_OF_INPUTS) for _, pair in work}
    orders = ((record | {"jobs": options.jobs}, inputs[pair], folder, options.given) for record, pair in work)
    for record, found in painted(orders, options, started):
        name = f"{record['pair']}, {record['method']}, strength {record['strength']:g}"
        if isinstance(found, BaseException):
            failed += 1
            say(f"{name} FAILED: {type(found).__name__}: {found}")
            continue
        done += 1
        add(options.results, [found])
        scores = ", ".join(f"{each} {found['scores'][each]:.3f}" for each in SHOWN[:4])
        say(f"{done}/{len(work)} at {time.monotonic() - started:.0f} s: {name}: {found['seconds']:.1f} s, {scores}")
    say(f"{done} painted, {failed} failed, {len(work) - done - failed} left, {time.monotonic() - started:.0f} s")
    return failed


def painted(
    orders: Iterator[tuple[Any, ...]], options: argparse.Namespace, started: float
) -> Iterator[tuple[dict[str, Any], dict[str, Any] | BaseException]]:
    """Paint in working processes; the record of each picture as it is done, or why it failed."""
    running: dict[Future[dict[str, Any]], dict[str, Any]] = {}
    while True:
        pool = ProcessPoolExecutor(options.jobs, get_context("spawn"), start, (options.device, options.threads))
        broken = False
        with pool:
            while not broken:
                late = options.seconds is not None and time.monotonic() - started > options.seconds
                while not late and len(running) < options.jobs and (order := next(orders, None)) is not None:
                    running[pool.submit(paint, *order)] = order[0]
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    error = future.exception()
                    broken = broken or isinstance(error, BrokenProcessPool)
                    yield running.pop(future), future.result() if error is None else error
        # A process was killed, for its memory perhaps, and took those beside it along: begin anew with the next.
        for future in list(running):
            yield running.pop(future), future.exception() or future.result()


def merge(results: Path, others: Sequence[Path]) -> None:
    """Take over the records of other files that are not there yet, and the pictures beside them."""
    there = {key(record) for record in read_results(results)}
    folder = pictures_of(results)
    for other in others:
        if not other.is_file():
            sys.exit(f"there is no file {other} to merge")
        new = [record for record in read_results(other) if key(record) not in there]
        there |= {key(record) for record in new}
        add(results, new)
        beside = pictures_of(other)
        for file in (*beside.glob("*.*"), *(beside / FOLDER_OF_INPUTS).glob("*.*")):
            target = folder / file.relative_to(beside)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, target)
        say(f"{other}: {len(new)} records taken over")


def collect(pairs: Sequence[Pair], root: Path, folder: Path) -> None:
    """Copy the pictures of the pairs, and no others, below another folder, as they lie below their own."""
    for file in dict.fromkeys(file for pair in pairs for file in (pair.content, pair.style)):
        target = folder / file.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)


def options_of(texts: Sequence[str]) -> dict[str, Any]:
    """Arguments of ``stylize``: "color=luminance", "tile=256"; what is no Python value is text."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            sys.exit(f"--option takes NAME=VALUE, received {text!r}")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found


def parse() -> argparse.Namespace:
    from neuralstyle.machine.devices import find_device

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_argument = parser.add_argument
    add_argument("pictures", type=Path, help="folder below which the pictures of the pairs are")
    add_argument("results", type=Path, help="file of JSON lines, continued if it is there")
    add_argument("--pairs", type=Path, default=SIXTEEN, help="which go together (default: sixteen.txt)")
    add_argument("--kinds", nargs="+", metavar="KIND", help="only pairs with one of these words behind their names")
    add_argument("--first", type=int, metavar="N", help="only the first so many pairs")
    add_argument("--methods", nargs="+", metavar="METHOD", help="in this order (default: all)")
    add_argument("--strengths", type=float, nargs="+", default=[BALANCED], metavar="S", help="(default: 0.5)")
    add_argument("--size", type=int, default=384, help="longest side in pixels (default: %(default)s)")
    add_argument("--device", default="cpu", help="(default: %(default)s)")
    add_argument("--jobs", type=int, default=1, help="pictures at a time (default: %(default)s)")
    add_argument("--threads", type=int, help="of each job (default: cores / jobs)")
    add_argument("--seconds", type=float, metavar="S", help="begin no picture later than this (default: paint all)")
    add_argument("--label", default="", help="a word for how this differs, in brackets behind the method's name")
    add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="another argument of stylize")
    add_argument("--merge", type=Path, nargs="+", default=[], metavar="FILE", help="first take over other results")
    add_argument("--collect", type=Path, metavar="FOLDER", help="only copy the pictures of the pairs there, and end")
    add_argument("--report", action="store_true", help="paint nothing; print the tables of what is there")
    add_argument(
        "--archive",
        type=Path,
        metavar="FILE.tar",
        help=f"at the end, the pictures as JPEG and the results, in FILE-1.tar, FILE-2.tar ... of {PART_MIB} MiB each",
    )
    options = parser.parse_args()
    options.methods = options.methods or known()
    try:
        unknown = [method for method in options.methods if split(method)[0] not in known()]
    except ValueError as error:
        parser.error(str(error))
    if unknown:
        parser.error(f"unknown method {', '.join(unknown)}; known are {', '.join(known())}")
    if options.jobs < 1:
        parser.error(f"--jobs is at least 1, received {options.jobs}")
    if not (options.report or options.collect):
        try:
            find_device(options.device)
        except ValueError as error:
            parser.error(str(error))
    if not all(0 <= strength <= 1 for strength in options.strengths):
        parser.error(f"--strengths are from 0 to 1, received {options.strengths}")
    options.threads = options.threads or max(1, (os.cpu_count() or 1) // options.jobs)
    options.given = options_of(options.option)
    if options.given and not options.label:
        parser.error("--option needs --label, so that its pictures are not taken for those without it")
    return options


def main() -> None:
    from tables import report

    options = parse()
    failed = 0
    pairs: list[Pair] = []
    if not options.report:
        pairs = list_pairs(options.pairs, options.pictures, options.pictures)
        pairs = [pair for pair in pairs if not options.kinds or set(options.kinds) & set(pair.kinds)][: options.first]
    if options.collect is not None:
        return collect(pairs, options.pictures, options.collect)
    pictures_of(options.results).mkdir(parents=True, exist_ok=True)
    if options.merge:
        merge(options.results, options.merge)
    if not options.report:
        failed = run(options, pairs, {key(record) for record in read_results(options.results)})
    if options.archive is not None:
        for file in pack(options.results, pictures_of(options.results), options.archive):
            say(f"{file}: {file.stat().st_size / 2**20:.1f} MiB")
    print(report(read_results(options.results)))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
