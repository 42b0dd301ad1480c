"""Paint the pictures of docs/gallery.md, and write the page: under each picture its command and its seconds.

    python benchmarks/gallery.py PICTURES docs [NAME ...]

PICTURES is a folder with the photographs and paintings of gallery.json, in any of its folders. Each picture is painted
by the command that the page shows, in a process of its own, one after the other. The seconds are those from the start
of that process to its end, so run it on a machine that does nothing else. They and the machine's kind are kept in
docs/images/gallery/seconds.json; a picture that was painted by another command has none.

    --no-seconds    paint, and record no time (on a busy machine)
    --page-only     paint nothing: write the page from what was recorded
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

LIST = Path(__file__).with_name("gallery.json")
BEGIN, END = "<!-- gallery: begin -->", "<!-- gallery: end -->"
LARGEST = 240_000  # bytes of a picture
CELL, GAP, ROWS = (384, 256), 6, 2  # pixels, and rows, of the first page's picture


def command_of(picture: dict[str, Any]) -> str:
    """The line that a reader types."""
    return " ".join(["neuralstyle", *map(shlex.quote, picture["arguments"])])


def find(folder: Path, name: str) -> Path:
    found = sorted(folder.rglob(name))
    if not found:
        sys.exit(f"error: {folder} has no {name}")
    return found[0]


def paint(picture: dict[str, Any], pictures: Path, folder: Path) -> tuple[Image.Image, float]:
    """The picture, and the seconds of its command, which runs in a folder with the files that it names."""
    for name in picture["files"]:
        (folder / name).symlink_to(find(pictures, name).resolve())
    command = [sys.executable, "-m", "neuralstyle", *picture["arguments"], "--quiet"]
    started = time.monotonic()
    subprocess.run(command, check=True, cwd=folder)
    seconds = time.monotonic() - started
    with Image.open(folder / picture["arguments"][picture["arguments"].index("-o") + 1]) as image:
        return image.convert("RGB"), seconds


def save(image: Image.Image, file: Path) -> None:
    """As JPEG, at the best quality that is small enough."""
    file.parent.mkdir(parents=True, exist_ok=True)
    for quality in range(90, 40, -5):
        image.save(file, quality=quality, optimize=True)
        if file.stat().st_size <= LARGEST:
            return


def hero(listed: list[dict[str, Any]], docs: Path) -> None:
    """The first pictures in rows of three, each cut to 3 : 2: the picture of the first page and of the README."""
    files = [docs / f"images/gallery/{each['name']}.jpg" for each in listed]
    found = [file for file in files if file.exists()][: 3 * ROWS]
    width, height = CELL
    whole = Image.new("RGB", (3 * (width + GAP) - GAP, len(found) // 3 * (height + GAP) - GAP), "white")
    for number, file in enumerate(found[: len(found) // 3 * 3]):
        with Image.open(file) as image:
            cell = ImageOps.fit(image.convert("RGB"), CELL, Image.Resampling.LANCZOS)
        whole.paste(cell, (number % 3 * (width + GAP), number // 3 * (height + GAP)))
    save(whole, docs / "images/hero.jpg")


def figure(picture: dict[str, Any], record: dict[str, Any] | None) -> str:
    """The lines of the page for one picture."""
    command = command_of(picture)
    lines = [
        f"## {picture['title']}",
        "",
        f"[![{picture['title']}](images/gallery/{picture['name']}.jpg)](images/gallery/{picture['name']}.jpg)",
        "",
        picture["caption"],
        "",
        "```sh",
        command,
        "```",
    ]
    if record and record["command"] == command:
        lines += ["", f"{record['seconds']:.0f} seconds on {record['machine']}."]
    return "\n".join(lines)


def write_page(listed: list[dict[str, Any]], docs: Path) -> None:
    """Replace what stands between the marks of gallery.md."""
    records = read_records(docs)
    page = docs / "gallery.md"
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    shown = [each for each in listed if (docs / f"images/gallery/{each['name']}.jpg").exists()]
    figures = "\n\n".join(figure(each, records.get(each["name"])) for each in shown)
    page.write_text(f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}", encoding="utf-8")


def read_records(docs: Path) -> dict[str, Any]:
    file = docs / "images/gallery/seconds.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def machine() -> str:
    threads = os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))
    return f"{threads} core{'s' * (str(threads) != '1')} of a CPU ({platform.machine()})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, help="folder of photographs and paintings")
    parser.add_argument("docs", type=Path, help="folder of gallery.md")
    parser.add_argument("names", nargs="*", help="paint these alone (default: all)")
    parser.add_argument("--no-seconds", action="store_true", help="record no time")
    parser.add_argument("--page-only", action="store_true", help="paint nothing, write the page")
    options = parser.parse_args()
    listed = json.loads(LIST.read_text(encoding="utf-8"))
    unknown = set(options.names) - {each["name"] for each in listed}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(each['name'] for each in listed)}")
    for picture in [] if options.page_only else listed:
        if options.names and picture["name"] not in options.names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            image, seconds = paint(picture, options.pictures, Path(folder))
        save(image, options.docs / f"images/gallery/{picture['name']}.jpg")
        records = read_records(options.docs)
        records.pop(picture["name"], None)
        if not options.no_seconds:
            now = {"command": command_of(picture), "seconds": round(seconds, 1), "machine": machine()}
            records[picture["name"]] = now
            print(f"{picture['name']}: {seconds:.0f} s", flush=True)
        file = options.docs / "images/gallery/seconds.json"
        file.write_text(json.dumps(records, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    write_page(listed, options.docs)
    hero(listed, options.docs)


if __name__ == "__main__":
    main()
