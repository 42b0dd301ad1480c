"""Measure memory and time of one evaluation of the default objective, value and gradient, whole and in tiles.

    python benchmarks/tiling.py                         # 0.5, 1, 2, 4 and 16 megapixels, whole and in tiles of 512
    python benchmarks/tiling.py --quick                 # tiny pictures: does it run?
    python benchmarks/tiling.py --device cuda --json tiling.json

Pictures are at most twice as long as wide, and have sides with which tiles are as large as they get; with other sides
tiles are smaller, and take less memory. Each case runs in a process of its own. Its peak is that of the process on the
CPU, less what the process held before the objective was built, with the network and the pictures loaded; on CUDA it is
what torch allocated, less the same. "targets and gradient" is what grows with the picture at any tile: the targets that
are maps of the content, and the gradient that an evaluation returns, counted from their sizes. "network" is the peak of
an evaluation less these: features, their gradients, and the rest of a pass, halos included. Building the objective has
a peak of its own, which has the same bound and is not counted here. Times are the median of several evaluations after
one to warm up. A whole picture is left out if it would need more memory than is free, judged by the smaller ones.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MEBI = 2**20
DEEPEST = "relu4_2"


def measure(megapixels: float, whole: bool, options: argparse.Namespace) -> dict[str, float]:
    import torch

    from neuralstyle import DEFAULT_LOSSES, Objective, default_encoder, load_image, samples

    device, tile = options.device, None if whole else options.tile
    encoder = default_encoder().to(device)
    deepest = encoder.layers[DEEPEST]
    height, width = sides(megapixels * 1e6, options.tile, deepest.stride, deepest.reach)
    generator = torch.Generator().manual_seed(0)
    content = torch.nn.functional.interpolate(
        torch.rand(1, 3, height // 16, width // 16, generator=generator), size=(height, width), mode="bilinear"
    ).to(device)
    image = (0.5 * content).contiguous()
    style = load_image(samples.painting("swirl", size=512)).to(device)
    before = current(device)
    objective = Objective(
        encoder,
        DEFAULT_LOSSES,
        content=content,
        styles=[style],
        tile=tile,
        map_dtype=getattr(torch, options.map_dtype) if options.map_dtype else None,
    )
    kept = sum(
        target.nbytes for part in objective._parts if part.loss.reference == "content" for _, target in part.targets
    )
    reset_peak(device)
    seconds = []
    for _ in range(options.repeats + 1):
        evaluation = None  # the gradient of the one before is not to be counted
        started = time.perf_counter()
        evaluation = objective.evaluate(image, tile)  # returns Python numbers, so the device has finished
        seconds.append(time.perf_counter() - started)
    gradient = evaluation.gradient
    peak = highest(device) - before
    persistent = kept + gradient.nbytes
    return {
        "pixels": height * width,
        "seconds": statistics.median(seconds[1:] or seconds),
        "peak": peak / MEBI,
        "persistent": persistent / MEBI,
        "network": (peak - persistent) / MEBI,
    }


def sides(pixels: float, tile: int, stride: int, reach: int) -> tuple[int, int]:
    """Height and width in whole strides, within 5% of so many pixels: with the largest views, then the squarest."""
    from neuralstyle.objective.tiling import tiles

    cells, found = pixels / stride**2, []
    for rows in range(max(1, round(math.sqrt(cells / 2))), round(math.sqrt(cells * 1.05)) + 1):
        for columns in range(max(rows, math.ceil(0.95 * cells / rows)), math.floor(1.05 * cells / rows) + 1):
            height, width = rows * stride, columns * stride
            views = [each.view() for each in tiles(height, width, tile, stride, reach)]
            largest = max((y.stop - y.start) * (x.stop - x.start) for y, x in views)
            found.append((-largest, columns - rows, height, width))
    return min(found)[2:]


def current(device: str) -> int:
    import torch

    if device.startswith("cuda"):
        return int(torch.cuda.memory_allocated(device))
    import psutil

    return int(psutil.Process().memory_info().rss)


def highest(device: str) -> int:
    import torch

    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated(device))
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def reset_peak(device: str) -> None:
    """Forget the peak of building the objective; where the system cannot, it counts."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        print("the peak includes that of building the objective", file=sys.stderr)


def free(device: str) -> float:
    import torch

    from neuralstyle.machine.memory import free_memory

    return free_memory(torch.device(device)) / MEBI


def run(megapixels: float, tile: int | None, options: argparse.Namespace) -> dict[str, Any]:
    """One case, in a process of its own."""
    command = [sys.executable, __file__, "--one", "--device", options.device, "--repeats", str(options.repeats)]
    command += ["--megapixels", str(megapixels)]
    command += ["--tile", str(options.tile), *([] if tile else ["--whole"])]
    command += ["--map-dtype", options.map_dtype] if options.map_dtype else []
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return {"megapixels": megapixels, "tile": tile, **json.loads(done.stdout.splitlines()[-1])}


def cases(options: argparse.Namespace) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for tile in (None, options.tile):
        per_pixel = 0.0
        for megapixels in options.megapixels:
            wanted = per_pixel * megapixels * 1e6
            if tile is None and wanted > 0.9 * free(options.device):
                print(f"{megapixels:g} megapixels whole would take about {wanted:.0f} MiB: left out", file=sys.stderr)
                continue
            case = run(megapixels, tile, options)
            per_pixel = max(per_pixel, case["peak"] / case["pixels"])
            found.append(case)
            print(row(case), flush=True)
    return found


HEADER = (
    "| megapixels | tile | seconds | peak, MiB | targets and gradient, MiB | network, MiB |\n|---|---|---|---|---|---|"
)


def row(case: dict[str, Any]) -> str:
    memory = " | ".join(f"{case[name]:.0f}" for name in ("peak", "persistent", "network"))
    return f"| {case['megapixels']:g} | {case['tile'] or 'whole'} | {case['seconds']:.2f} | {memory} |"


def summary(found: list[dict[str, Any]]) -> str:
    """What the table comes to: how flat the network's memory is, and what tiles cost in time."""
    tiled = {case["megapixels"]: case for case in found if case["tile"]}
    whole = {case["megapixels"]: case for case in found if not case["tile"]}
    large = [case["network"] for megapixels, case in tiled.items() if megapixels >= 1]
    lines = []
    if large:
        lines.append(
            f"network memory in tiles, largest over smallest from 1 megapixel on: {max(large) / min(large):.3f}"
        )
    lines += [
        f"time in tiles over whole at {megapixels:g} megapixels: {tiled[megapixels]['seconds'] / case['seconds']:.2f}"
        for megapixels, case in whole.items()
        if megapixels in tiled
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[0.5, 1, 2, 4, 16])
    parser.add_argument("--tile", type=int, default=512, help="longest side of a tile in pixels (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=2, help="evaluations timed (default: %(default)s)")
    parser.add_argument("--map-dtype", help="in which content targets are kept, for example bfloat16 (default: exact)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--quick", action="store_true", help="0.02 and 0.05 megapixels, in tiles of 128, timed once")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--whole", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.megapixels[0], options.whole, options)))
        return
    if options.quick:
        options.megapixels, options.tile, options.repeats = [0.02, 0.05], 128, 1
    print(HEADER)
    found = cases(options)
    print()
    print(summary(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
