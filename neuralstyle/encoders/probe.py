"""Probing a network: it runs on narrow strips, which shows the geometry of its layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from neuralstyle.encoders.base import WHOLE_PICTURE, Layer
from neuralstyle.encoders.taps import module_path, run_with_hooks

T = TypeVar("T")
Shape: TypeAlias = tuple[int, ...]
Run: TypeAlias = Callable[[Tensor, Collection[str], Callable[[Tensor], Tensor]], dict[str, Tensor]]
"""(strips (B, 3, breadth, length), names, look) -> ``look(output)`` by name, each output (B, C, breadth, length)."""

BREADTHS = (16, 32, 64, 128, 256)  # short side of a strip in pixels; the first that the network takes is used
GROWTH = 1024  # pixels by which two pictures differ, to measure strides: 2 to 22 and powers of 2 are exact
LENGTHS = (320, 1152, 3072)  # of a strip in pixels; a layer that sees all of the longest counts as global


def probe_layers(network: nn.Module, names: Collection[str] | None) -> tuple[dict[str, Layer], dict[str, str]]:
    """Return the layers of a network, in running order, and why its other parts are none.

    A layer is an output that is about (B, C, H // stride, W // stride), or one vector for pictures of all sizes, (B, C)
    or (B, C, 1, 1).

    The stride follows from the outputs for pictures of two sizes. For the reach, one end of a strip is filled with
    NaN, which spreads to every position that sees it, and so as far as the layer sees. The reach is ``WHOLE_PICTURE``
    if the NaN fills the layer, or if the features of a crop, at a whole number of strides, differ from those of the
    larger picture (attention windows, position codes).

    Args:
        network: on the CPU and in evaluation mode; takes (B, 3, H, W).
        names: names of the outputs to probe, as in ``run_with_hooks``; None: all.

    Raises:
        ValueError: the network fails at every size that is tried.

    """
    breadth, shapes = _shapes(network, names)
    strides = {name: stride for name, seen in shapes.items() if (stride := _stride(*seen)) is not None}
    reaches = dict.fromkeys(strides, 0)
    for upright in (False, True):
        run = partial(_run_strips, network, upright=upright)
        unbounded = dict(strides)
        for length in LENGTHS:
            for name, reach in _reaches(run, unbounded, breadth, length).items():
                reaches[name] = max(reaches[name], reach)
                del unbounded[name]
        reaches |= dict.fromkeys(unbounded, WHOLE_PICTURE)
        local = {name: reach for name, reach in reaches.items() if reach < WHOLE_PICTURE}
        reaches |= dict.fromkeys(_misplaced(run, strides, local, breadth), WHOLE_PICTURE)
    layers: dict[str, Layer] = {}
    left_out = dict.fromkeys(_paths(network, names), "it gives no tensor, or does not run, for a picture")
    for name, seen in shapes.items():
        left_out.pop(name, None)
        if name in strides:
            layers[name] = Layer(name, "module", seen[0][1], strides[name], reaches[name])
        elif _is_vector(*seen):
            layers[name] = Layer.vector(name, seen[0][1])
        else:
            left_out[name] = (
                f"it gives {seen[0]} for a picture of {breadth} x {breadth} pixels and {seen[1]} for one of "
                f"{breadth + GROWTH} x {breadth}, neither a map (B, C, H // stride, W // stride) nor a vector (B, C)"
            )
    return layers, left_out


def _paths(network: nn.Module, names: Collection[str] | None) -> list[str]:
    return [path for path, _ in network.named_modules() if path] if names is None else list(names)


def _is_vector(square: Shape, wide: Shape, tall: Shape) -> bool:
    """Whether an output is one vector for a picture of any size."""
    return square == wide == tall and square[:1] == (1,) and (len(square) == 2 or square[2:] == (1, 1))


def _shapes(network: nn.Module, names: Collection[str] | None) -> tuple[int, dict[str, tuple[Shape, Shape, Shape]]]:
    """The first breadth that the network takes, and the shapes of outputs for a square, a wide and a tall picture."""

    def look(output: Tensor) -> Shape:
        return tuple(output.shape) if output.is_floating_point() else ()

    for breadth in BREADTHS:
        long = breadth + GROWTH
        try:
            square, wide, tall = (
                _run(network, torch.zeros(1, 3, *size, dtype=torch.float32), names, look)
                for size in ((breadth, breadth), (breadth, long), (long, breadth))
            )
        except Exception as error:  # a foreign network may raise anything
            failure = error
            continue
        both = wide.keys() & tall.keys()
        return breadth, {name: (square[name], wide[name], tall[name]) for name in square if name in both}
    raise ValueError(
        f"the network fails on pictures of {breadth} x {breadth} or {breadth} x {long} pixels ({failure}); give "
        "the part of it that takes any size, or name the layers to use: modules after them do not run"
    ) from failure


def _stride(square: Shape, wide: Shape, tall: Shape) -> int | None:
    """The stride of a map that grows with both sides of the picture; None for any other output."""
    if {len(square), len(wide), len(tall)} != {4}:
        return None
    across, down = wide[3] - square[3], tall[2] - square[2]
    if square[:3] != wide[:3] or (*square[:2], square[3]) != (*tall[:2], tall[3]) or across != down or across < 1:
        return None
    stride = round(GROWTH / across)
    # The growth has as many whole cells, or one more.
    return stride if stride and abs(GROWTH / stride - across) < 1 else None


def _reaches(run: Run, strides: Mapping[str, int], breadth: int, length: int) -> dict[str, int]:
    """How far layers see along a strip, in pixels; layers that see all of it are left out."""
    if not strides:
        return {}
    step = math.lcm(*strides.values())
    length = -(-length // step) * step
    tainted: dict[int, dict[str, Tensor]] = {}

    def tainted_cells(name: str, side: int, end: int) -> int:
        """How many cells a NaN taints, counted from the end of the strip whose ``end`` pixels it fills."""
        if end not in tainted:
            strips = torch.zeros(2, 3, breadth, length, dtype=torch.float32)
            strips[0, ..., :end] = strips[1, ..., length - end :] = torch.nan
            tainted[end] = run(strips, strides.keys(), lambda output: output.isnan().any(1).any(1))
        places = tainted[end][name][side].nonzero()
        if not len(places):
            return 0
        return int(places[-1]) + 1 if side == 0 else length // strides[name] - int(places[0])

    found: dict[str, int] = {}
    for name, stride in strides.items():
        reach = 0
        for side in (0, 1):
            # Bisection: the last tainted cell sees as far as the end, at most ``high`` pixels away; the next does not.
            high = tainted_cells(name, side, step) * stride - step
            low = high - stride
            while high - low > 1:
                middle = (low + high) // 2
                end = step + -middle % stride
                sees_farther = tainted_cells(name, side, end) > (middle + end) // stride
                low, high = (middle, high) if sees_farther else (low, middle)
            reach = max(reach, high)
        if reach + 2 * step < length:
            found[name] = reach
    return found


def _misplaced(run: Run, strides: Mapping[str, int], reaches: Mapping[str, int], breadth: int) -> Iterator[str]:
    """Layers whose features differ between a strip and its crop, away from the borders."""
    if not reaches:
        return
    step = math.lcm(*(strides[name] for name in reaches))
    length = -(-2 * max(reaches.values()) // step) * step + 8 * step
    noise = torch.randn(1, 3, breadth, length, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    whole = run(noise, reaches.keys(), Tensor.clone)
    for stride in sorted({strides[name] for name in reaches}):
        names = [name for name in reaches if strides[name] == stride]
        for name, piece in run(noise[..., stride : length - step], names, Tensor.clone).items():
            margin = -(-reaches[name] // stride)
            inner = slice(margin, (length - step) // stride - 1 - margin)
            expected = whole[name][..., 1:][..., inner]
            error = (piece[..., inner] - expected).abs().max()
            if not bool(error <= torch.finfo(piece.dtype).eps ** 0.5 * expected.abs().max()):
                yield name


def _run_strips(
    network: nn.Module, strips: Tensor, names: Collection[str], look: Callable[[Tensor], Tensor], *, upright: bool
) -> dict[str, Tensor]:
    """Run the network on strips, upright or not; ``look`` receives outputs that lie flat, (B, C, breadth, length)."""
    if not upright:
        return _run(network, strips, names, look)
    return _run(network, strips.transpose(2, 3), names, lambda output: look(output.transpose(2, 3)))


def _run(
    network: nn.Module, pictures: Tensor, names: Collection[str] | None, look: Callable[[Tensor], T]
) -> dict[str, T]:
    """Return ``look(output)`` by name, for some outputs of a network or for all."""
    found: dict[str, T] = {}

    def keep(name: str, output: Tensor) -> bool:
        if names is None or name in names:
            found[name] = look(output)
        return names is not None and len(found) == len(names)

    every = [path for path, _ in network.named_modules() if path]
    paths = every if names is None else dict.fromkeys(map(module_path, names))
    dtype = next(network.parameters(), pictures).dtype
    with torch.no_grad():
        run_with_hooks(network, pictures.to(dtype), paths, keep)
    return found
