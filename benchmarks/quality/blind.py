"""Sheets on which nobody sees which method is which, and the count of the votes.

    python benchmarks/quality/blind.py sheets results.jsonl SHEETS --methods standard crowson:80 pastiche:120
    python benchmarks/quality/blind.py sheets results.jsonl DETAILS --methods standard "standard (before)" --detail
    python benchmarks/quality/blind.py count SHEETS.key.json votes.csv [more.csv ...] --ours standard

The first writes SHEETS/01.png and so on, for each pair that has been painted by all these methods: the photograph, the
painting, and the results at 100% in random order, labelled A, B, C ... The order is drawn anew for each sheet. Which
letter is which method stands in SHEETS.key.json beside the folder: whoever looks gets the folder without it. With
--detail a sheet shows the emptiest part of the photograph, and the same part of each result, at 200%.

SHEETS/votes.csv is the form to fill in, a line for each sheet and looker, as often as there are lookers:

    sheet,looker,overall,style,cleanness,contrast,kept,remarks
    01,Ada,B>A>C,A>B>C,B>A=C,B>C>A,B>C>A,A has loops in the sky

Each column has all letters, the best first; "=" joins equals. "overall": which is the best picture? "style": which
looks most as if painted by the painter? "cleanness": which is free of grain, weave, ghosts and blotches? "contrast":
which has dark and light as the painting does, without haze? "kept": which has lost least of what matters in the
photograph? An empty cell says nothing.

Counting prints, for each question, on how many pairs a method is preferred to each other one (by more lookers than
the contrary), its mean place, and all pairs with their methods from best to worst.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ballots import QUESTIONS, count, read_votes
from contest import BALANCED, FOLDER_OF_INPUTS, pictures_of, read_results
from PIL import Image, ImageDraw, ImageFont

COLUMNS = 3
GAP, CAPTION = 6, 26  # pixels
DETAIL_SHARE, DETAIL_ZOOM = 0.5, 2  # of the longest side, enlarged so many times


def picture_file(folder: Path, name: str) -> Path:
    """A picture of the results: as it was painted, or as JPEG where it comes from an archive."""
    file = folder / name
    return file if file.exists() else file.with_suffix(".jpg")


def complete_pairs(records: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> dict[str, dict[str, str]]:
    """For each pair that has all methods, the file of each."""
    found: dict[str, dict[str, str]] = {}
    for record in records:
        found.setdefault(record["pair"], {})[record["method"]] = record["picture"]
    return {
        pair: {name: files[name] for name in methods} for pair, files in found.items() if set(methods) <= set(files)
    }


def sheet(cells: Sequence[tuple[str, Image.Image]], title: str) -> Image.Image:
    """Pictures in rows, each with its caption above it, at 100%."""
    width = max(picture.width for _, picture in cells)
    font = ImageFont.load_default(CAPTION - 8)
    rows = [cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)]
    heights = [max(picture.height for _, picture in row) for row in rows]
    size = (COLUMNS * (width + GAP) + GAP, CAPTION + sum(heights) + len(rows) * (CAPTION + GAP))
    whole = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(whole)
    draw.text((GAP, 2), title, "black", font)
    top = CAPTION
    for row, height in zip(rows, heights, strict=True):
        for column, (caption, picture) in enumerate(row):
            left = GAP + column * (width + GAP)
            draw.text((left, top + 2), caption, "black", font)
            whole.paste(picture, (left, top + CAPTION))
        top += CAPTION + height + GAP
    return whole


def emptiest(photograph: Image.Image) -> tuple[int, int, int, int]:
    """The part of a photograph, half as long as its longest side, that has the least contrast: a box."""
    import torch
    from torch.nn.functional import avg_pool2d

    from neuralstyle import load_image

    light = load_image(photograph).mean(1, keepdim=True)
    light = light - light.mean()
    side = min(round(DETAIL_SHARE * max(photograph.size)), *photograph.size)
    mean, square = (avg_pool2d(x, side, stride=1) for x in (light, light.square()))
    place = int(torch.argmin(square - mean.square()))
    top, left = divmod(place, mean.shape[3])
    return left, top, left + side, top + side


def detail(picture: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    part = picture.crop(box)
    return part.resize((DETAIL_ZOOM * part.width, DETAIL_ZOOM * part.height), Image.Resampling.NEAREST)


def read_cells(
    pair: str, size: int, inputs: Path, shown: Mapping[str, Path], detailed: bool
) -> list[tuple[str, Image.Image]]:
    """What a sheet shows of a pair: photograph, painting and results with their captions."""
    content, style = pair.split(" x ")
    files = {"photograph": inputs / f"content-{content}-{size}.png", "painting": inputs / f"style-{style}-{size}.png"}
    cells = []
    for caption, file in (files | dict(shown)).items():
        with Image.open(picture_file(file.parent, file.name)) as picture:
            cells.append((caption, picture.convert("RGB")))
    if not detailed:
        return cells
    box = emptiest(cells[0][1])
    return [(caption, picture if caption == "painting" else detail(picture, box)) for caption, picture in cells]


def make_sheets(options: argparse.Namespace) -> None:
    """Draw the sheets, the key beside their folder, and the form for the votes."""
    records = [r for r in read_results(options.results) if r["strength"] == options.strength]
    sizes = sorted({record["size"] for record in records})
    size = options.size or (sizes[0] if sizes else 0)
    records = [record for record in records if record["size"] == size]
    pairs = complete_pairs(records, options.methods)
    if not pairs:
        known = ", ".join(sorted({record["method"] for record in records})) or "none"
        sys.exit(f"no pair has been painted by all of {', '.join(options.methods)} at {size} px; there are {known}")
    key = options.folder.with_name(f"{options.folder.name}.key.json")
    if key.exists() or options.folder.exists():
        sys.exit(f"{options.folder} or {key.name} is there already; give another folder, or remove both")
    seed = secrets.randbits(32) if options.seed is None else options.seed
    draw, folder = random.Random(seed), pictures_of(options.results)
    names = list(pairs)
    draw.shuffle(names)
    options.folder.mkdir(parents=True)
    sheets: dict[str, Any] = {}
    for number, pair in enumerate(names, 1):
        methods = list(options.methods)
        draw.shuffle(methods)
        letters = {chr(ord("A") + place): method for place, method in enumerate(methods)}
        shown = {letter: folder / pairs[pair][method] for letter, method in letters.items()}
        title = f"Sheet {number:02}" + ": a part of the photograph and of the results, at 200%" * options.detail
        cells = read_cells(pair, size, folder / FOLDER_OF_INPUTS, shown, detailed=options.detail)
        sheet(cells, title).save(options.folder / f"{number:02}.png")
        sheets[f"{number:02}"] = {"pair": pair, "letters": letters}
    form = [",".join(("sheet", "looker", *QUESTIONS, "remarks")), *(f"{number}," + "," * 6 for number in sheets)]
    (options.folder / "votes.csv").write_text("\n".join(form) + "\n", encoding="utf-8")
    key.write_text(json.dumps({"seed": seed, "size": size, "sheets": sheets}, indent=1) + "\n", encoding="utf-8")
    print(f"{len(sheets)} sheets in {options.folder}; which letter is which method: {key}")


def count_votes(options: argparse.Namespace) -> None:
    """Print what the votes say."""
    sheets = json.loads(options.key.read_text(encoding="utf-8"))["sheets"]
    votes = read_votes(options.votes, {name: list(found["letters"]) for name, found in sheets.items()})
    print(count(votes, sheets, options.ours))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="sheets | count")
    draw = commands.add_parser("sheets", help="draw the sheets and the key")
    draw.add_argument("results", type=Path, help="results of contest.py, with the pictures beside them")
    draw.add_argument("folder", type=Path, help="folder for the sheets, which is not there yet")
    draw.add_argument("--methods", nargs="+", required=True, metavar="METHOD", help="two to five, as the results say")
    draw.add_argument("--size", type=int, help="(default: the smallest that there is)")
    draw.add_argument("--strength", type=float, default=BALANCED, help="(default: %(default)s)")
    draw.add_argument("--detail", action="store_true", help="the emptiest part of each photograph, at 200%%")
    draw.add_argument("--seed", type=int, help="of the order (default: drawn, and written into the key)")
    draw.set_defaults(run=make_sheets)
    tally = commands.add_parser("count", help="count the votes")
    tally.add_argument("key", type=Path, help="the key of the sheets")
    tally.add_argument("votes", type=Path, nargs="+", help="filled-in forms")
    tally.add_argument("--ours", default="standard", help="method to set against the others (default: %(default)s)")
    tally.set_defaults(run=count_votes)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
