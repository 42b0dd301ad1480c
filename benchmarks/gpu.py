"""Time the default objective on a GPU: plain float32, lower precisions, compiling; with memory and final loss.

    python benchmarks/gpu.py                            # 512, 1024, 2048 and 4096 pixels; needs CUDA
    python benchmarks/gpu.py --size 1024 --json gpu.json
    python benchmarks/gpu.py --device cpu               # tiny pictures, nothing compiled: does it run?

"plain float32" is the same network in torch's own functions: channels first, no TF32. The others are options of this
package. For each size it prints seconds of value and gradient (the median, the fastest and the slowest, after three to
warm up), the ratio to plain float32, the rate of the convolutions (operations of a direct convolution, two for each
multiply-add, forward and for the picture's gradient), its share of the rate of a product of two large matrices in the
same precision, and the peak memory beyond what was held before. Compiling is not in the times; its seconds are listed
separately. At --final pixels, each runs L-BFGS from the content, and an exact objective evaluates the picture. Then
come pictures from a warm process by each schedule, and last the largest square picture that an evaluation holds whole,
in steps of --largest pixels, and the next larger one in tiles of 2048 pixels.
Without CUDA and without --device it ends with code 2.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralstyle import (
    DEFAULT_LOSSES,
    LBFGS,
    FeatureExtractor,
    Objective,
    default_encoder,
    load_image,
    samples,
    stylize,
)
from neuralstyle.encoders.kernels.pooling import FLOOR, SCALE
from neuralstyle.encoders.precision import InPrecision
from neuralstyle.machine.peak_memory import peak_memory
from neuralstyle.optimizers.minimize import minimize

BASE = "plain float32"
VARIANTS: dict[str, dict[str, Any]] = {
    BASE: {"precision": "float32"},
    "float32": {"precision": "float32"},
    "tf32": {"precision": "tf32"},
    "bfloat16": {"precision": "bfloat16"},
    "tf32, compiled": {"precision": "tf32", "compile": True},
    "bfloat16, compiled": {"precision": "bfloat16", "compile": True},
}
WARM_UP = 3
MOST_SIDE = 16384


class Plain(nn.Module):
    """The default network without this package's ways."""

    def __init__(self, encoder: FeatureExtractor) -> None:
        super().__init__()
        self.layers = encoder.layers
        self.mean, self.std = encoder.mean, encoder.std
        self.weights = {
            name: (layer.weight.contiguous(), layer.bias) for name, layer in encoder.convolutions.named_children()
        }
        self.place = nn.Parameter(self.mean.clone(), requires_grad=False)  # tells where the network is

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        wanted, features = list(layers), {}
        x = image
        for name, layer in self.layers.items():
            if layer.kind == "conv":
                if name == "conv1_1":
                    x = F.pad((x - self.mean) / self.std, (1, 1, 1, 1), mode="replicate")
                x = F.conv2d(x, *self.weights[name], padding=0 if name == "conv1_1" else 1)
            elif layer.kind == "relu":
                x = x.relu()
            elif layer.kind == "pool":
                x = SCALE * (4 * F.avg_pool2d(x.square(), 2) + FLOOR).sqrt()
            if name in wanted:
                features[name] = x
            if len(features) == len(wanted):
                break
        return features


def operations(encoder: FeatureExtractor, height: int, width: int) -> int:
    """Of the convolutions as far as the default losses look, forward and for the gradient of the picture."""
    total, before = 0, 3
    for name, layer in encoder.layers.items():
        if layer.kind == "conv":
            total += 4 * 9 * before * layer.channels * (height // layer.stride) * (width // layer.stride)
            before = layer.channels
        if name == "relu5_1":
            break
    return total


def product_rate(precision: str, device: torch.device) -> float:
    """Operations a second of a product of two square matrices."""
    side, before = 8192 if device.type == "cuda" else 512, torch.get_float32_matmul_precision()
    factors = torch.randn(2, side, side, device=device, dtype=torch.bfloat16 if precision == "bfloat16" else None)
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        seconds = []
        for _ in range(8):
            started = time.perf_counter()
            for _ in range(4):
                product = factors[0] @ factors[1]
            float(product[0, 0])
            seconds.append((time.perf_counter() - started) / 4)
    finally:
        torch.set_float32_matmul_precision(before)
    return 2 * side**3 / min(seconds[1:])


class Pictures:
    """What is painted at a size, and the objective of each variant."""

    def __init__(self, size: int, device: torch.device) -> None:
        self.content = load_image(samples.photo(), size).to(device)
        self.style = load_image(samples.painting("swirl", max(size, 64))).to(device)
        self.encoder = default_encoder().to(device)

    def objective(self, variant: str) -> Objective:
        encoder = Plain(self.encoder) if variant == BASE else self.encoder
        encoder = InPrecision(encoder, **VARIANTS[variant])
        return Objective(encoder, DEFAULT_LOSSES, content=self.content, styles=[self.style])


def measure(variant: str, size: int, repeats: int, device: torch.device, product: float) -> dict[str, Any]:
    pictures = Pictures(size, device)
    objective = pictures.objective(variant)
    image = (0.9 * pictures.content + 0.05).contiguous()
    started = time.perf_counter()
    # An evaluation returns Python numbers, so the device has finished. The first is not recorded.
    memory = peak_memory(device, lambda: objective.evaluate(image))
    first = time.perf_counter() - started
    for _ in range(WARM_UP):
        objective.evaluate(image)
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        objective.evaluate(image)
        seconds.append(time.perf_counter() - started)
    height, width = image.shape[2:]
    median = statistics.median(seconds)
    rate = operations(pictures.encoder, height, width) / median
    return {
        "variant": variant,
        "height": height,
        "width": width,
        "median": median,
        "fastest": min(seconds),
        "slowest": max(seconds),
        "first": first,
        "rate": rate,
        "share": rate / product,
        "memory": memory,
    }


def final_loss(variant: str, size: int, iterations: int, device: torch.device) -> float:
    """What the picture that a variant ends with comes to, by exact arithmetic."""
    pictures = Pictures(size, device)
    objective = pictures.objective(variant)

    def evaluate(x: Tensor) -> tuple[float, Tensor]:
        evaluation = objective.evaluate(x)
        return evaluation.loss, evaluation.gradient

    found = minimize(LBFGS(), pictures.content, evaluate, iterations)
    return pictures.objective("float32").evaluate(found.image, with_gradient=False).loss


def schedule_seconds(schedule: str, size: int, device: torch.device, repeats: int = 3) -> list[float]:
    """Seconds of a picture by a schedule, the first painting not counted."""
    content, style = samples.photo(), samples.painting("swirl", max(size, 64))
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        stylize(content, style, size=size, schedule=schedule, device=str(device), progress=False)
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


def fits(side: int, tile: int | None, device: torch.device) -> float | None:
    """Seconds of an evaluation of a square picture, or None if the memory does not suffice."""
    image = F.interpolate(load_image(samples.photo()).to(device), (side, side), mode="bicubic").clamp(0, 1)
    style = load_image(samples.painting("swirl", 512)).to(device)
    try:
        objective = Objective(default_encoder().to(device), DEFAULT_LOSSES, content=image, styles=[style], tile=tile)
        started = time.perf_counter()
        objective.evaluate(image)
        return time.perf_counter() - started
    except torch.OutOfMemoryError:
        return None
    finally:
        torch.cuda.empty_cache()


def largest(step: int, most: int, device: torch.device) -> dict[str, tuple[int, float | None]]:
    """Side and seconds of the largest square picture that fits whole, and of the next one in tiles."""
    whole: tuple[int, float | None] = (0, None)
    while whole[0] < most and (took := fits(whole[0] + step, None, device)) is not None:
        whole = whole[0] + step, took
    beyond = whole[0] + step
    return {"whole": whole, "in tiles of 2048": (beyond, fits(beyond, 2048, device))}


def row(case: dict[str, Any], base: float) -> str:
    cells = [
        f"{case['width']} x {case['height']}",
        case["variant"],
        f"{case['median']:.4f} ({case['fastest']:.4f} - {case['slowest']:.4f})",
        f"{base / case['median']:.2f}",
        f"{case['first']:.1f}",
        f"{case['rate'] / 1e12:.2f}",
        f"{case['share']:.0%}",
        f"{case['memory'] / 2**20:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


HEADER = (
    "| pixels | variant | seconds | times as fast | first, s | TFLOP/s | of a product | memory, MiB |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", help="cuda, cuda:1 ... or cpu, for a trial (default: cuda)")
    parser.add_argument("--size", type=int, nargs="+", help="longest sides in pixels (default: 512 to 4096; cpu: 32)")
    parser.add_argument("--compiled", type=int, nargs="*", help="sizes at which to compile too (default: all)")
    parser.add_argument("--repeats", type=int, help="evaluations timed (default: 20; cpu: 1)")
    parser.add_argument("--final", type=int, help="longest side for the final loss (default: 1024; cpu: 32)")
    parser.add_argument("--iterations", type=int, help="evaluations to the final loss (default: 200; cpu: 3)")
    parser.add_argument("--largest", type=int, default=2048, help="step of the search in pixels; 0: none (cpu: none)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    if options.device is None and not torch.cuda.is_available():
        print("gpu.py: torch finds no CUDA device here; --device cpu only tries whether it runs", file=sys.stderr)
        return 2
    device = torch.device(options.device or "cuda")
    large = device.type == "cuda"
    sizes = options.size or ([512, 1024, 2048, 4096] if large else [32])
    repeats = options.repeats or (20 if large else 1)
    variants = [name for name, chosen in VARIANTS.items() if large or chosen["precision"] != "tf32"]
    variants = [name for name in variants if large or not VARIANTS[name].get("compile")]
    name = torch.cuda.get_device_name(device) if large else "the CPU, a trial"
    products = {p: product_rate(p, device) for p in dict.fromkeys(VARIANTS[v]["precision"] for v in variants)}
    rates = ", ".join(f"{precision} {rate / 1e12:.2f}" for precision, rate in products.items())
    print(f"{name}, torch {torch.__version__}; products of matrices, TFLOP/s: {rates}\n\n{HEADER}")
    cases: list[dict[str, Any]] = []
    for size in sizes:
        base = None
        for variant in variants:
            if VARIANTS[variant].get("compile") and options.compiled is not None and size not in options.compiled:
                continue
            case = measure(variant, size, repeats, device, products[VARIANTS[variant]["precision"]])
            base = base or case["median"]
            cases.append(case)
            print(row(case, base), flush=True)
    size, iterations = options.final or (1024 if large else 32), options.iterations or (200 if large else 3)
    print(f"\nfinal loss after {iterations} evaluations at {size} pixels, exactly, and beside that of {BASE}:")
    losses: dict[str, float] = {}
    for variant in variants:
        losses[variant] = final_loss(variant, size, iterations, device)
        print(f"    {variant}: {losses[variant]:.5g} ({losses[variant] / losses[BASE] - 1:+.2%})", flush=True)
    print("\nseconds of a picture from a warm process (three runs):")
    painted: dict[str, list[float]] = {}
    for schedule, side in (("preview", 512), ("draft", 512), ("standard", 512), ("standard", 1024)):
        side = side if large else 32
        painted[f"{schedule} {side}"] = seconds = schedule_seconds(schedule, side, device)
        print(f"    {schedule} at {side} pixels: {', '.join(f'{each:.2f}' for each in seconds)}", flush=True)
    squares: dict[str, tuple[int, float | None]] = {}
    if large and options.largest:
        squares = largest(options.largest, MOST_SIDE, device)
        print(f"\nsquare pictures of one evaluation, searched up to {MOST_SIDE} pixels:")
        for how, (side, took) in squares.items():
            print(f"    {how}: {side} x {side}, {'does not fit' if took is None else f'{took:.1f} s'}", flush=True)
    if options.json:
        found = {"device": name, "torch": torch.__version__, "products": products, "cases": cases, "final": losses}
        found |= {"painted": painted, "largest": squares}
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
