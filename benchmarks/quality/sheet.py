"""Paint every pair with no options, each in a process of its own, and put the pictures on one sheet.

    python benchmarks/quality/sheet.py CONTENTS STYLES painted sheet.jpg

CONTENTS and STYLES are folders of pictures, and `painted` is one for the results; what is there already is not painted
again. For each picture it prints the seconds from the start of its process to the end.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from pairs import PAIRS, read_pairs
from PIL import Image

COLUMNS = 4
GAP, WIDTH = 4, 1600  # pixels


def paint(content: Path, style: Path, size: int, schedule: str, result: Path) -> float:
    """The seconds it takes from the command line."""
    command = [sys.executable, "-m", "neuralstyle", "stylize", str(content), str(style), "-o", str(result)]
    started = time.monotonic()
    subprocess.run([*command, "--size", str(size), "--schedule", schedule, "--quiet"], check=True)
    return time.monotonic() - started


def sheet(files: list[Path]) -> Image.Image:
    """The pictures in rows of four, each row as wide as the sheet and its pictures as high as each other."""
    rows = []
    for start in range(0, len(files), COLUMNS):
        pictures = [Image.open(file).convert("RGB") for file in files[start : start + COLUMNS]]
        height = round((WIDTH - GAP * (len(pictures) - 1)) / sum(each.width / each.height for each in pictures))
        rows.append([each.resize((round(each.width * height / each.height), height)) for each in pictures])
    whole = Image.new("RGB", (WIDTH, sum(row[0].height + GAP for row in rows) - GAP), "white")
    top = 0
    for row in rows:
        left = 0
        for picture in row:
            whole.paste(picture, (left, top))
            left += picture.width + GAP
        top += row[0].height + GAP
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contents", type=Path, help="folder of photographs")
    parser.add_argument("styles", type=Path, help="folder of paintings")
    parser.add_argument("painted", type=Path, help="folder for the pictures")
    parser.add_argument("sheet", type=Path, help="file of all of them in one")
    parser.add_argument("--pairs", type=Path, default=PAIRS, help="which go together (default: pairs.txt)")
    parser.add_argument("--size", type=int, default=512, help="longest side in pixels (default: %(default)s)")
    parser.add_argument("--schedule", default="standard", help="draft, standard, fine ... (default: %(default)s)")
    options = parser.parse_args()
    options.painted.mkdir(parents=True, exist_ok=True)
    files = []
    for content, style in read_pairs(options.pairs, options.contents, options.styles):
        file = options.painted / f"{content.stem}-{style.stem}.png"
        if not file.exists():
            seconds = paint(content, style, options.size, options.schedule, file)
            print(f"{content.stem} x {style.stem}: {seconds:.0f} s", flush=True)
        files.append(file)
    sheet(files).save(options.sheet, quality=85)


if __name__ == "__main__":
    main()
