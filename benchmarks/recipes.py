"""Paint one photograph and one painting by every recipe, and fill in the table of docs/recipes.md.

    python benchmarks/recipes.py PHOTO PAINTING docs/images/recipes [RECIPE ...] [--page docs/recipes.md]

Each recipe is painted with its own settings, network, sizes and number of evaluations, one after the other. The table
says the seconds of each on this machine and measures of its picture (neuralstyle.metrics). With --page the figures and
the pictures take the place of the cells in the rows of the recipes painted; other rows stay. On two CPU cores all of
them take about an hour at the default size; --share 0.1 makes a tenth of the evaluations, to look first.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from neuralstyle import load_image, metrics, save_image, stylize
from neuralstyle.recipes import RECIPES, standard
from neuralstyle.schedule import Stage

QUALITY = 85
MEASURES = {"content": 3, "structure": 2, "style": 3, "sliced": 3, "color": 3}  # with digits after the point


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path, help="a photograph")
    parser.add_argument("painting", type=Path, help="a painting")
    parser.add_argument("folder", type=Path, help="folder for the pictures")
    parser.add_argument("names", nargs="*", metavar="RECIPE", help=f"of {', '.join(RECIPES)} (default: all)")
    parser.add_argument("--size", type=int, default=256, help="longest side in pixels (default: %(default)s)")
    parser.add_argument("--share", type=float, default=1.0, help="of each recipe's evaluations (default: all)")
    parser.add_argument("--page", type=Path, help="page with the table to fill in")
    options = parser.parse_args()
    unknown = set(options.names) - set(RECIPES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(RECIPES)}")
    options.folder.mkdir(parents=True, exist_ok=True)
    content, style = load_image(options.photo, options.size), load_image(options.painting)
    for name in options.names or RECIPES:
        recipe: dict[str, Any] = dict(RECIPES[name]())
        planned = recipe.pop("schedule", standard)(options.size, None)
        started = time.monotonic()
        image = stylize(
            content, style, size=options.size, schedule=shortened(planned, options.share), progress=False, **recipe
        )
        seconds = time.monotonic() - started
        file = options.folder / f"{name}.jpg"
        save_image(image, file, overwrite=True, quality=QUALITY)
        cells = figures(seconds, metrics.compare(content, style, {name: image})[name])
        print(f"{name}: {' '.join(cells)}", flush=True)
        if options.page is not None:
            picture = f"![Painted by {name}]({os.path.relpath(file, options.page.parent).replace(os.sep, '/')})"
            page = options.page.read_text(encoding="utf-8")
            options.page.write_text(filled(page, {name: [*cells, picture]}), encoding="utf-8")


def shortened(stages: list[Stage], share: float) -> list[Stage]:
    """The stages with a share of their evaluations, at least one."""
    return [replace(stage, iterations=max(1, math.ceil(share * stage.iterations))) for stage in stages]


def figures(seconds: float, scores: metrics.Scores) -> list[str]:
    """The cells of the table: seconds, and the measures."""
    return [f"{seconds:.0f}", *(f"{getattr(scores, name):.{digits}f}" for name, digits in MEASURES.items())]


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
