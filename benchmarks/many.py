"""Time many pictures: one call of ``stylize`` for each, and one of ``batch`` for all.

    python benchmarks/many.py PHOTOS PAINTING [--count 24] [--size 256] [--schedule draft] [--jobs 1 2]

It says whether the files have the same bytes, and how the times compare. With several jobs the threads are shared out,
on which the last bits depend: set OMP_NUM_THREADS=1 to compare bytes, or give ``--threads``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from neuralstyle.images.formats import READ_SUFFIXES


def call(*words: str) -> float:
    """Run the command line, and return the seconds that it took."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "neuralstyle", *words, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("painting")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--size", default="256")
    parser.add_argument("--schedule", default="draft")
    parser.add_argument("--jobs", nargs="+", default=["1", "2"])
    parser.add_argument("--threads", help="threads of each job")
    options = parser.parse_args()
    photos = [path for path in sorted(options.photos.iterdir()) if path.suffix.lower() in READ_SUFFIXES]
    photos = photos[: options.count]
    form = ("--size", options.size, "--schedule", options.schedule)
    threads = () if options.threads is None else ("--threads", options.threads)
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder) / "alone"
        alone.mkdir()
        calls = sum(call("stylize", str(p), options.painting, "-o", str(alone / p.name), *form) for p in photos)
        print(f"{len(photos)} calls of stylize: {calls:.1f} s, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')}")
        for jobs in options.jobs:
            out = Path(folder) / f"jobs-{jobs}"
            more = ("--jobs", jobs, *threads, *form)
            seconds = call("batch", *map(str, photos), "--style", options.painting, "-o", str(out), *more)
            same = sum((out / p.name).read_bytes() == (alone / p.name).read_bytes() for p in photos)
            print(f"batch --jobs {jobs}: {seconds:.1f} s, {seconds / calls:.2f} of that; {same} have the same bytes")


if __name__ == "__main__":
    main()
