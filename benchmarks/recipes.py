"""Paint one photograph and one painting by every recipe, and fill in the table of docs/recipes.md.

    python benchmarks/recipes.py PHOTO PAINTING docs/images/recipes [RECIPE ...] [--page docs/recipes.md]
    python benchmarks/recipes.py PHOTO PAINTING docs/images/recipes --results results.jsonl --page docs/recipes.md

Each recipe is painted with its own settings, network, sizes and number of evaluations, one after the other. The table
says the evaluations, the seconds on this machine, and measures of the picture (neuralstyle.metrics). With --page the
figures and the pictures take the place of the cells in the rows of the recipes painted, and a sentence says where they
come from; other rows stay. On two CPU cores all of them take about an hour at the default size; --share 0.1 makes a
tenth of the evaluations, to look first.

With --results nothing is painted: the figures are means over the pairs of a contest (benchmarks/quality/contest.py),
and the pictures those of PHOTO and PAINTING, of which the names are enough. "standard" is the recipe "default".
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from PIL import Image

from neuralstyle import load_image, metrics, save_image, stylize
from neuralstyle.recipes import RECIPES, standard
from neuralstyle.schedule import Stage

QUALITY = 85
MEASURES = {"structure": 2, "style": 3, "sliced": 3, "color": 3, "grid": 2, "ghosts": 3}  # with digits after the point
MARK = "<!-- where the figures come from -->"  # before the line that says it
SHOWN_WIDTH = 200  # of a picture in the table, in pixels
Found = tuple[str, dict[str, float], Image.Image]  # a recipe, its evaluations, seconds and measures, its picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path, help="a photograph")
    parser.add_argument("painting", type=Path, help="a painting")
    parser.add_argument("folder", type=Path, help="folder for the pictures")
    parser.add_argument("names", nargs="*", metavar="RECIPE", help=f"of {', '.join(RECIPES)} (default: all)")
    parser.add_argument("--size", type=int, default=256, help="longest side in pixels (default: %(default)s)")
    parser.add_argument("--share", type=float, default=1.0, help="of each recipe's evaluations (default: all)")
    parser.add_argument("--results", type=Path, help="results of a contest, in place of painting")
    parser.add_argument("--page", type=Path, help="page with the table to fill in")
    options = parser.parse_args()
    unknown = set(options.names) - set(RECIPES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(RECIPES)}")
    options.folder.mkdir(parents=True, exist_ok=True)
    names = options.names or list(RECIPES)
    pair = f"{options.photo.stem} x {options.painting.stem}"
    if options.results is None:
        source = f"Measured by `benchmarks/recipes.py` on {pair} at {options.size} pixels."
        rows = painted(options, names)
    else:
        source, rows = from_results(options.results, pair, names)
    for name, values, picture in rows:
        file = options.folder / f"{name}.jpg"
        save_image(picture, file, overwrite=True, quality=QUALITY)
        cells = figures(values)
        print(f"{name}: {' '.join(cells)}", flush=True)
        if options.page is not None:
            link = os.path.relpath(file, options.page.parent).replace(os.sep, "/")
            shown = f'![Painted by {name}]({link}){{ width="{SHOWN_WIDTH}" }}'
            page = filled(options.page.read_text(encoding="utf-8"), {name: [*cells, shown]})
            options.page.write_text(with_source(page, source), encoding="utf-8")
    print(source)


def painted(options: argparse.Namespace, names: Sequence[str]) -> Iterator[Found]:
    """Paint by one recipe after the other."""
    content, style = load_image(options.photo, options.size), load_image(options.painting)
    for name in names:
        recipe: dict[str, Any] = dict(RECIPES[name]())
        planned = shortened(recipe.pop("schedule", standard)(options.size, None), options.share)
        started = time.monotonic()
        image = stylize(content, style, size=options.size, schedule=planned, progress=False, **recipe)
        work = {
            "evaluations": sum(stage.iterations for stage in planned),
            "seconds": time.monotonic() - started,
        }
        yield name, work | asdict(metrics.compare(content, style, {name: image})[name]), image


def from_results(file: Path, pair: str, names: Sequence[str]) -> tuple[str, list[Found]]:
    """Means over all pairs that each recipe has in a contest, the pictures of one of them, and a sentence on both."""
    sys.path.insert(0, str(Path(__file__).parent / "quality"))
    try:
        from blind import picture_file
        from contest import BALANCED, pictures_of, read_results
    finally:
        del sys.path[0]
    records = [record for record in read_results(file) if record["strength"] == BALANCED]
    sizes = {record["size"] for record in records}
    if len(sizes) != 1:
        sys.exit(f"{file} has results at {len(sizes)} sizes; the table shows those of one")
    chosen: dict[str, list[dict[str, Any]]] = {}
    for name in names:
        method = best_known(records, name)
        if method is None:
            print(f"{name}: not in {file}", file=sys.stderr)
        else:
            chosen[name] = [record for record in records if record["method"] == method]
    shared = set.intersection(*({record["pair"] for record in found} for found in chosen.values())) if chosen else set()
    if pair not in shared:
        sys.exit(f"{pair} has not been painted by all of {', '.join(chosen)}; these pairs have: {sorted(shared)}")
    rows = []
    for name, found in chosen.items():
        kept = [record["scores"] | record for record in found if record["pair"] in shared]
        values = {
            each: statistics.fmean(record[each] for record in kept) for each in ("evaluations", "seconds", *MEASURES)
        }
        shown = next(record["picture"] for record in found if record["pair"] == pair)
        with Image.open(picture_file(pictures_of(file), shown)) as picture:
            rows.append((name, values, picture.convert("RGB")))
    return source_of([record for found in chosen.values() for record in found], len(shared), pair), rows


def best_known(records: Sequence[Mapping[str, Any]], recipe: str) -> str | None:
    """The method of a contest that is this recipe: of several with other numbers of evaluations, the one with most."""
    name = "standard" if recipe == "default" else recipe
    most: dict[str, int] = {}
    for record in records:
        if record["method"].partition(":")[0] == name:
            most[record["method"]] = max(record["evaluations"], most.get(record["method"], 0))
    return max(most, key=lambda method: most[method]) if most else None


def source_of(records: Sequence[Mapping[str, Any]], pairs: int, pair: str) -> str:
    """Where the figures come from."""
    devices = sorted({record["device"] for record in records})
    jobs = sorted({record["jobs"] for record in records})
    place = f"on {', '.join(devices)}" + (f", {jobs[-1]} pictures at a time" if jobs[-1] > 1 else "")
    return (
        f"Means over {pairs} pairs at {records[0]['size']} pixels by `benchmarks/quality/contest.py`, {place}; the "
        f"pictures show {pair}."
    )


def shortened(stages: list[Stage], share: float) -> list[Stage]:
    """The stages with a share of their evaluations, at least one."""
    return [replace(stage, iterations=max(1, math.ceil(share * stage.iterations))) for stage in stages]


def figures(values: Mapping[str, float]) -> list[str]:
    """The cells of the table: evaluations, seconds, and the measures."""
    seconds = f"{values['seconds']:.0f}" if values["seconds"] >= 10 else f"{values['seconds']:.1f}"
    measures = [f"{values[name]:.{digits}f}" for name, digits in MEASURES.items()]
    return [f"{values['evaluations']:.0f}", seconds, *measures]


def with_source(page: str, source: str) -> str:
    """The page with another paragraph behind the mark.

    Raises:
        ValueError: the page has no mark.
    """
    before, mark, after = page.partition(f"{MARK}\n")
    if not mark:
        raise ValueError(f"the page has no line {MARK}")
    return f"{before}{mark}{source}\n\n" + after.partition("\n\n")[2]


def filled(page: str, cells: Mapping[str, list[str]]) -> str:
    """The page with other last cells in the rows of a table that begin with these names.

    Raises:
        ValueError: a name has no row, or one with fewer cells.
    """
    lines, left = page.split("\n"), dict(cells)
    for number, line in enumerate(lines):
        row = [cell.strip() for cell in line.strip().strip("|").split("|")]
        name = row[0].strip("`")
        if line.startswith("|") and name in left:
            new = left.pop(name)
            if len(row) <= len(new):
                raise ValueError(f"the row of {name} has {len(row)} cells, and {len(new)} are to be filled in")
            lines[number] = f"| {' | '.join([*row[: -len(new)], *new])} |"
    if left:
        raise ValueError(f"the page has no row that begins with {', '.join(map(repr, left))}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
