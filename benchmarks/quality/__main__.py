"""Compare pictures, not times: methods at equal seconds, or the parts of the default recipe at equal work.

    python benchmarks/quality CONTENTS STYLES results.jsonl              # 60 s at 256 px, 180 s at 384 px: 3 hours
    python benchmarks/quality CONTENTS STYLES ablation.jsonl --ablate    # one part of the recipe changed at a time
    python benchmarks/quality CONTENTS STYLES sweep.jsonl --sweep        # every style loss, at equal seconds
    python benchmarks/quality CONTENTS STYLES plans.jsonl --schedules    # draft, standard and fine, each in its time
    python benchmarks/quality CONTENTS STYLES plans.jsonl --schedules --pairs benchmarks/quality/twelve.txt \\
        --sizes 384 --only draft standard standard:57 fine:200           # the same with so many iterations
    python benchmarks/quality CONTENTS STYLES results.jsonl --report     # the tables of what is there

CONTENTS and STYLES are folders of pictures; pairs.txt, or the file given by --pairs, says which go together. Every
picture is painted in a process of its own. Its time counts from the start of that process to its last evaluation, and
includes loading Python, network and pictures, and the smaller sizes. No evaluation is begun that would not end in time.
Methods have their defaults; content weights are multiples of them, such that the structures kept overlap. The default
recipe continues at its final size for as long as there is time. All methods get the same two files: the content at the
size of the result, the style at the same longest side.

After each picture a line is added to the results, and what is there already is not painted again, so a run can be
stopped and started at any time. Pictures go into a folder beside the results. They are measured by neuralstyle.metrics,
with filters on which no method has optimised: one method is better than another if, at equal structure, its style
distance is lower; between the content weights both are interpolated.
"""

from __future__ import annotations

import argparse
import functools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from curves import descents, means, points, verdicts
from methods import CONTENT_WEIGHTS, DEFAULT, NEURALSTYLE, OUR_CONTENT_WEIGHTS, WHOLE, schedules, style_losses, variants
from pairs import PAIRS, read_pairs

HERE = Path(__file__).parent
LARGE = 3  # of the pairs are painted at the large size, too
AS_THEY_COME = ("ablation", "schedules")  # each takes the time that it takes, at its own content weight
KEY = ("mode", "pair", "method", "content_weight", "size", "limit")
TITLES = {
    "methods": "Methods",
    "sweep": "Style losses",
    "ablation": "Parts of the recipe",
    "schedules": "Schedules",
}
CURVE_MEASURES = ("style", "sliced", "structure", "color", "grain", "grid", "ghosts", "flat")
PART_MEASURES = ("style", "sliced", "structure", "color", "spectrum", "grain", "grid", "ghosts", "flat")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def plan(options: argparse.Namespace, pairs: list[tuple[Path, Path]]) -> Iterator[dict[str, Any]]:
    """What is to be painted, small pictures first, the methods of a pair one after the other."""
    mode = options.mode
    lists = {"ablation": variants, "sweep": style_losses, "schedules": schedules, "methods": lambda: WHOLE}
    names = lists[mode]()
    if mode in AS_THEY_COME:
        work: list[tuple[int, float | None, list[tuple[Path, Path]]]] = [(options.sizes[0], None, pairs)]
    else:
        work = [
            (size, seconds, pairs[:LARGE] if number else pairs)
            for number, (size, seconds) in enumerate(zip(options.sizes, options.seconds, strict=True))
        ]

    def weights(name: str) -> Sequence[float]:
        if options.weights or mode in AS_THEY_COME:
            return options.weights or [1.0]
        return OUR_CONTENT_WEIGHTS if name == NEURALSTYLE else CONTENT_WEIGHTS

    wanted = options.only or list(names)
    unknown = [name for name in wanted if name not in names and not is_schedule(name, mode)]
    if unknown:
        sys.exit(f"unknown method {', '.join(sorted(unknown))}; known are {', '.join(names)}")
    methods = [(name, weight) for name in wanted for weight in weights(name)]
    for size, limit, chosen in work:
        for content, style in chosen:
            for method, weight in methods:
                yield {
                    "mode": mode,
                    "pair": f"{content.stem} x {style.stem}",
                    "method": method,
                    "content_weight": weight,
                    "size": size,
                    "limit": limit,
                    "files": (content, style),
                }


def is_schedule(name: str, mode: str) -> bool:
    """Whether it is one with a number of iterations, such as fine:200."""
    schedule, _, iterations = name.partition(":")
    return mode == "schedules" and schedule in schedules() and iterations.isdecimal()


def prepare(files: tuple[Path, Path], size: int, folder: Path) -> tuple[Path, Path]:
    """The content at the size of the result, and the style as ``stylize`` would show it, as files for everyone."""
    from neuralstyle import load_image, save_image
    from neuralstyle.images import resize_image

    made = []
    for kind, file in zip(("content", "style"), files, strict=True):
        image = load_image(file)
        target = folder / f"{kind}-{file.stem}-{size}.png"
        longest = max(image.shape[2:])
        if kind == "content" and longest < size:
            sys.exit(f"{file} is smaller than {size} pixels; use a larger picture or --sizes")
        if not target.exists():
            save_image(resize_image(image, min(size, longest)), target)
        made.append(target)
    return made[0], made[1]


def run(job: dict[str, Any], pictures: Path, threads: int | None) -> dict[str, Any]:
    """Paint one picture in a process of its own; the record of it."""
    content, style = prepare(job["files"], job["size"], pictures)
    record = {name: job[name] for name in KEY}
    words = (job["mode"], job["pair"], job["method"], f"{job['content_weight']:g}", job["size"])
    name = "-".join(str(word).replace(" ", "_").replace("/", "_") for word in words)
    picture = pictures / f"{name}.png"
    with tempfile.TemporaryDirectory() as folder:
        order, answer = Path(folder) / "job.json", Path(folder) / "answer.json"
        details = {"content": str(content), "style": str(style), "picture": str(picture), "answer": str(answer)}
        job_file = record | details | {"seconds": job["limit"], "threads": threads, "started": time.time()}
        order.write_text(json.dumps(job_file), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, str(HERE / "worker.py"), str(order)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{name} broke down:\n{done.stderr}")
        return record | {"picture": picture.name} | json.loads(answer.read_text(encoding="utf-8"))


def read_results(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def key(record: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(record[name] for name in KEY)


def measured(records: list[dict[str, Any]], names: Sequence[str]) -> list[str]:
    """Those of the measures that all records have, older ones too."""
    return [name for name in names if all(name in record["scores"] for record in records)]


def report(records: list[dict[str, Any]]) -> str:
    """The tables of everything in a file of results."""
    parts = []
    for mode, title in TITLES.items():
        chosen = [record for record in records if record["mode"] == mode]
        if not chosen:
            continue
        parts.append(f"## {title}")
        if mode in AS_THEY_COME:
            parts.append(means(chosen, measured(chosen, PART_MEASURES), DEFAULT))
            finest = dict.fromkeys(r["method"] for r in chosen if r["method"].startswith("fine"))
            parts += [f"Beside {name}:\n\n{descents(chosen, name)}" for name in finest]
            continue
        parts.append(points(chosen, measured(chosen, CURVE_MEASURES)))
        ours = NEURALSTYLE if mode == "methods" else "gram"
        for measure, said in (("style", "Gram matrices"), ("sliced", "sliced Wasserstein")):
            parts.append(f"Style distance by {said}, {ours} against the others:\n\n{verdicts(chosen, ours, measure)}")
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contents", type=Path, help="folder of photographs")
    parser.add_argument("styles", type=Path, help="folder of paintings")
    parser.add_argument("results", type=Path, help="file of JSON lines, continued if it is there")
    parser.add_argument("--pairs", type=Path, default=PAIRS, help="which go together (default: pairs.txt)")
    either = parser.add_mutually_exclusive_group()
    mode = functools.partial(either.add_argument, dest="mode", action="store_const", default="methods")
    mode("--ablate", const="ablation", help="change one part of the default recipe at a time")
    mode("--sweep", const="sweep", help="every style loss of the command line")
    mode("--schedules", const="schedules", help="the schedules from coarse to fine, by name")
    either.add_argument("--report", action="store_true", help="only print the tables of what is there")
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="METHOD",
        help="paint by these only (default: all); --schedules: fine:200 for a number of iterations",
    )
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=(256, 384),
        metavar="PIXELS",
        help="longest sides; all pairs at the first, three at the others (default: 256 384)",
    )
    parser.add_argument(
        "--seconds", type=float, nargs="+", default=(60, 180), metavar="S", help="for each size (default: 60 180)"
    )
    parser.add_argument(
        "--weights",
        type=float,
        nargs="+",
        metavar="X",
        help=f"of the content, as multiples (default: {' '.join(f'{weight:g}' for weight in CONTENT_WEIGHTS)}, of the "
        f"default recipe {' '.join(f'{weight:g}' for weight in OUR_CONTENT_WEIGHTS)}; --ablate, --schedules: 1)",
    )
    parser.add_argument("--threads", type=int, help="of each process (default: what torch takes)")
    options = parser.parse_args()
    if len(options.sizes) != len(options.seconds) and options.mode not in AS_THEY_COME:
        parser.error(f"--seconds takes a number for each of the {len(options.sizes)} sizes")
    records = read_results(options.results)
    if not options.report:
        pairs = read_pairs(options.pairs, options.contents, options.styles)
        pictures = options.results.with_suffix("")
        pictures.mkdir(parents=True, exist_ok=True)
        there = {key(record) for record in records}
        jobs = [job for job in plan(options, pairs) if key(job) not in there]
        for number, job in enumerate(jobs, 1):
            record = run(job, pictures, options.threads)
            records.append(record)
            with options.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            scores = record["scores"]
            say(
                f"{number}/{len(jobs)} {record['pair']}, {record['size']} px, {record['method']} "
                f"x{record['content_weight']:g}: {record['evaluations']} evaluations in {record['seconds']:.0f} s, "
                f"style {scores['style']:.3f}, structure {scores['structure']:.3f}"
            )
    print(report(records))


if __name__ == "__main__":
    main()
