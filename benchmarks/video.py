"""Measure how steady painted film is, and what that costs: warping error, style distance over time, seconds a frame.

    python benchmarks/video.py CLIP PAINTING FOLDER                          # free, and steady at 0.5
    python benchmarks/video.py CLIP PAINTING FOLDER --steadiness 0 0.2 0.5 0.8 --end 1
    python benchmarks/video.py CLIP PAINTING FOLDER --model swirl            # a trained network too
    python benchmarks/video.py --quick                                       # a tiny clip of our own: does it run?

Each film is painted into a folder of frames below FOLDER, once: frames that are there are measured again. "warping" is
the mean square difference of a frame and the frame before, moved along the optical flow of the content, over the pixels
that the flow's consistency mask leaves, times 1000 (values in [0, 1]); "of free" is its ratio to that of steadiness 0.
"style" is neuralstyle.metrics.style_distance from the painting, the mean over the frames, then its ratio to free, and
"first" and "last" are the means over the first and the last tenth. "seconds" are for a frame: all of a film divided by
its frames, and the median of a frame that is not the first.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neuralstyle import load_image, samples
from neuralstyle.metrics import style_distance
from neuralstyle.video import apply_video, consistency, default_flow, open_clip, stylize_video, warp
from neuralstyle.video.making import shape_of
from neuralstyle.video.scan import Part, scan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?")
    parser.add_argument("painting", nargs="?")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--end", type=float, default=2.4, help="seconds of the clip")
    parser.add_argument("--steadiness", type=float, nargs="+", default=[0.0, 0.5])
    parser.add_argument("--model", help="also paint with this trained network, as steady")
    parser.add_argument("--schedule", default="draft")
    parser.add_argument("--iterations", type=int, help="evaluations at the final size of a scene's first frame")
    parser.add_argument("--frame-iterations", type=int)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.quick:
            prepare_quick(options, Path(folder))
        elif options.folder is None:
            parser.error("give CLIP PAINTING FOLDER, or --quick")
        run(options)


def prepare_quick(options: argparse.Namespace, folder: Path) -> None:
    photo = samples.photo().resize((96, 64))
    frames = [photo.transform(photo.size, 0, (1, 0, 2 * shift, 0, 1, 0)) for shift in range(4)]
    frames[0].save(folder / "clip.webp", save_all=True, append_images=frames[1:], duration=100, lossless=True)
    samples.painting("swirl", size=96).save(folder / "painting.png")
    options.clip, options.painting, options.folder = folder / "clip.webp", folder / "painting.png", folder
    options.size, options.iterations, options.frame_iterations, options.end = 96, 4, 2, 1.0


def run(options: argparse.Namespace) -> None:
    contents = read_contents(options)
    pairs = moved_pairs(contents)
    films: dict[str, tuple[list[Tensor], list[float]]] = {}
    for steadiness in options.steadiness:
        films[f"{steadiness:g}"] = paint(options, steadiness, None)
    if options.model is not None:
        for steadiness in options.steadiness:
            films[f"{options.model} {steadiness:g}"] = paint(options, steadiness, options.model)
    rows = {name: measured(frames, seconds, pairs, options.painting) for name, (frames, seconds) in films.items()}
    print(f"{len(contents)} frames of {contents[0].shape[3]} x {contents[0].shape[2]} pixels, steadiness by row")
    print("film        warping  of free   style  of free   first    last  seconds  median of later")
    free: dict[str, dict[str, Any]] = {}
    for name, row in rows.items():
        kind = name.rpartition(" ")[0]
        base = free.setdefault(kind, row)
        print(
            f"{name:10} {row['warping']:8.3f} {row['warping'] / base['warping']:8.3f} {row['style']:7.4f} "
            f"{row['style'] / base['style']:8.3f} {row['first']:7.4f} {row['last']:7.4f} {row['seconds']:8.2f} "
            f"{row['later']:8.2f}"
        )
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def read_contents(options: argparse.Namespace) -> list[Tensor]:
    """The frames of the clip, at the size of the painted ones."""
    clip = open_clip(options.clip)
    found = scan(clip, Part(end=options.end))
    shape = shape_of(found.shape, options.size, 1)
    wanted = {moment.number for moment in found.moments}
    return [load_image(f.picture(), max(shape)) for number, f in enumerate(clip.frames()) if number in wanted]


def moved_pairs(contents: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """For each frame but the first: the flow to the one before, and where it is consistent."""
    find = default_flow()
    pairs = []
    for before, frame in pairwise(contents):
        flow = find(frame, before)
        pairs.append((flow, consistency(flow, find(before, frame), frame, before)))
    return pairs


def paint(options: argparse.Namespace, steadiness: float, model: str | None) -> tuple[list[Tensor], list[float]]:
    """Paint a film into a folder, or take the one that is there: its frames, and the seconds of each."""
    folder = options.folder / f"{model or 'painted'}-{round(1000 * steadiness):04d}"
    times = folder.with_name(f"{folder.name}.json")
    if not times.exists():
        seconds = [time.monotonic()]
        common: dict[str, Any] = {
            "steadiness": steadiness,
            "size": options.size,
            "end": options.end,
            "callback": lambda progress: seconds.append(time.monotonic()),
            "progress": False,
            "overwrite": True,
        }
        if model is not None:
            apply_video(model, options.clip, folder, **common)
        else:
            own = {} if options.frame_iterations is None else {"frame_iterations": options.frame_iterations}
            stylize_video(
                options.clip,
                options.painting,
                folder,
                schedule=options.schedule,
                iterations=options.iterations,
                **own,
                **common,
            )
        times.write_text(json.dumps([b - a for a, b in pairwise(seconds)]))
    return [load_image(path) for path in sorted(folder.glob("*.png"))], json.loads(times.read_text())


def measured(
    frames: list[Tensor], seconds: list[float], pairs: list[tuple[Tensor, Tensor]], painting: str
) -> dict[str, Any]:
    errors = []
    for (flow, mask), before, frame in zip(pairs, frames, frames[1:], strict=False):
        square = (warp(before, flow) - frame).square().mean(1, keepdim=True)
        errors.append(float((square * mask).sum() / mask.sum().clamp_min(1)))
    styles = [style_distance(frame, painting) for frame in frames]
    tenth = max(1, len(styles) // 10)
    return {
        "warping": 1000 * statistics.mean(errors),
        "style": statistics.mean(styles),
        "first": statistics.mean(styles[:tenth]),
        "last": statistics.mean(styles[-tenth:]),
        "seconds": sum(seconds) / len(frames),
        "later": statistics.median(seconds[1:]),
        "warping over time": errors,
        "style over time": styles,
    }


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
