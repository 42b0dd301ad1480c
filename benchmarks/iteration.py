"""Time one evaluation of the default objective, value and gradient, with the memory that it takes.

    python benchmarks/iteration.py                      # 256, 384 and 512 pixels, whole
    python benchmarks/iteration.py --size 1024 --tile 512 --device cuda
    python benchmarks/iteration.py --network vgg19 compact19

Each size and network runs in a process of its own, so that its peak memory is its own: that of the process on the
CPU, what torch allocated on CUDA. It prints the median time of several evaluations after one to warm up, with the
fastest and the slowest.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import time


def measure(network: str, size: int, tile: int | None, device: str, repeats: int) -> dict[str, float]:
    import torch

    from neuralstyle import DEFAULT_LOSSES, Objective, default_encoder, load_image, samples

    encoder = default_encoder(network).to(device)
    content = load_image(samples.photo(), size).to(device)
    style = load_image(samples.painting("swirl", size=512)).to(device)
    objective = Objective(encoder, DEFAULT_LOSSES, content=content, styles=[style], tile=tile)
    image = torch.rand(content.shape, generator=torch.Generator().manual_seed(0)).to(device)
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        objective.evaluate(image, tile)  # returns Python numbers, so the device has finished
        seconds.append(time.perf_counter() - started)
    if device.startswith("cuda"):
        memory = torch.cuda.max_memory_allocated() / 2**20
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    return {
        "pixels": content.shape[2] * content.shape[3],
        "median": statistics.median(seconds[1:]),
        "fastest": min(seconds[1:]),
        "slowest": max(seconds[1:]),
        "memory": memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs="+", default=[256, 384, 512], help="longest sides in pixels")
    parser.add_argument("--network", nargs="+", default=["vgg19"], help="the encoder (default: vgg19)")
    parser.add_argument("--tile", type=int, help="evaluate in tiles of this many pixels (default: whole)")
    parser.add_argument("--device", default="cpu", help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="evaluations timed (default: %(default)s)")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.network[0], options.size[0], options.tile, options.device, options.repeats)))
        return
    print("network      size    pixels   seconds (fastest - slowest)   peak memory")
    for size, network in itertools.product(options.size, options.network):
        command = [sys.executable, __file__, "--one", "--size", str(size), "--network", network]
        command += ["--device", options.device]
        command += ["--repeats", str(options.repeats)] + (["--tile", str(options.tile)] if options.tile else [])
        result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        spread = f"({result['fastest']:.3f} - {result['slowest']:.3f})"
        print(
            f"{network:9} {size:7} {result['pixels']:9} {result['median']:9.3f} {spread} {result['memory']:12.0f} MiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
