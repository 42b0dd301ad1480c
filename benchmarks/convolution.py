"""Time the 3x3 convolutions of VGG-19 with their ReLU, layer by layer: direct (channels_last) against Winograd.

    python benchmarks/convolution.py                       # pictures of 256 and 512 pixels
    python benchmarks/convolution.py --size 1024 --repeats 9

For each layer and size it prints the milliseconds of the value and of the input's gradient (the fastest of several
alternating repeats), their ratio, the relative error of both against float64 (in a corner of the map), and which of
them "auto" takes. The last line is the whole network to conv5_1, each layer as often as it occurs. Threads are torch's:
set OMP_NUM_THREADS.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralstyle.encoders.kernels import winograd
from neuralstyle.encoders.kernels.library import Fusion

# Channels in and out, stride, how often up to conv5_1 (conv1_1, of three channels, is always direct).
LAYERS = [
    (64, 64, 1, 1),
    (64, 128, 2, 1),
    (128, 128, 2, 1),
    (128, 256, 4, 1),
    (256, 256, 4, 3),
    (256, 512, 8, 1),
    (512, 512, 8, 3),
    (512, 512, 16, 1),
]
CORNER = 24


def fastest(repeats: int, *functions: Callable[[], object]) -> list[float]:
    """Milliseconds of each, in alternation, after one to warm up."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repeats + 1):
        for function, seconds in zip(functions, times, strict=True):
            started = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - started)
    return [1e3 * min(seconds[1:]) for seconds in times]


def errors(x: Tensor, layer: nn.Conv2d, results: list[Tensor]) -> list[float]:
    """Relative errors of values in the upper left corner, against float64."""
    corner = x[:, :, : CORNER + 1, : CORNER + 1].detach().double()
    assert layer.bias is not None
    exact = F.conv2d(corner, layer.weight.double(), layer.bias.double(), padding=1).relu()[:, :, :CORNER, :CORNER]
    return [
        float((y[:, :, :CORNER, :CORNER].double() - exact[:, :, : y.shape[2], : y.shape[3]]).norm() / exact.norm())
        for y in (result.detach() for result in results)
    ]


def measure(channels: int, columns: int, side: int, repeats: int) -> tuple[list[float], list[float], list[float], bool]:
    layer = nn.Conv2d(channels, columns, 3, padding=1).to(memory_format=torch.channels_last).requires_grad_(False)
    x = torch.randn(1, channels, side, side).relu_().contiguous(memory_format=torch.channels_last).requires_grad_()

    def direct() -> Tensor:
        return layer(x).relu_()  # type: ignore[no-any-return]

    def fast() -> Tensor:
        return winograd.convolve(x, layer, Fusion.RELU)

    forward = fastest(repeats, direct, fast)
    results = [direct(), fast()]
    gradient = torch.randn_like(results[0])
    back = [lambda y=y: torch.autograd.grad(y, x, gradient, retain_graph=True) for y in results]
    return forward, fastest(repeats, *back), errors(x, layer, results), winograd.pays(x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs="+", default=[256, 512], help="sides of the square pictures, pixels")
    parser.add_argument("--repeats", type=int, default=5, help="timed, of each (default: %(default)s)")
    options = parser.parse_args()
    torch.manual_seed(0)
    print(f"{torch.get_num_threads()} threads; milliseconds direct / winograd (ratio); errors direct / winograd")
    for size in options.size:
        totals = [0.0, 0.0]
        for channels, columns, stride, count in LAYERS:
            forward, back, error, pays = measure(channels, columns, size // stride, options.repeats)
            cells = [f"{a:7.1f} /{b:7.1f} ({b / a:.2f})" for a, b in (forward, back)]
            rounding = f"{error[0]:.1e} / {error[1]:.1e} ({error[1] / error[0]:.1f})"
            print(
                f"{size:5} px {channels:4} -> {columns:3} at {size // stride:4}: value {cells[0]} gradient {cells[1]} "
                f"error {rounding}  auto: {'winograd' if pays else 'direct'}",
                flush=True,
            )
            totals[0] += count * (forward[0] + back[0])
            totals[1] += count * (forward[pays] + back[pays])
        print(f"{size:5} px conv1_2 to conv5_1: {totals[0]:.0f} / {totals[1]:.0f} ({totals[1] / totals[0]:.2f})")


if __name__ == "__main__":
    main()
