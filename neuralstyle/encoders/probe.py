"""Probing a network: the geometry of its layers, found by running it on strips of pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from neuralstyle.encoders.base import WHOLE_PICTURE, Layer
from neuralstyle.encoders.taps import module_path, watch

T = TypeVar("T")
Shape: TypeAlias = tuple[int, ...]
Run: TypeAlias = Callable[[Tensor, Collection[str], Callable[[Tensor], Tensor]], dict[str, Tensor]]
"""(strips (B, 3, breadth, length), names, look) -> what ``look`` makes of each output (B, C, breadth, length)."""

BREADTHS = (16, 32, 64, 128, 256)  # short side of a strip in pixels: the first that the network takes
GROWTH = 1024  # by which two pictures differ, to tell strides: those of 2 ... 22, and powers of 2, come out right
LENGTHS = (320, 1152, 3072)  # of a strip; who sees all of the longest is taken to see all of any picture


def probe_layers(network: nn.Module, names: Collection[str] | None) -> dict[str, Layer]:
    """The layers of a network whose outputs are maps (B, C, H // stride, W // stride) or nearly so, in running order.

    Pictures of two sizes tell the stride. For the reach one end of a strip is filled with NaN, which spreads to
    whatever looks at it: how far it has come at a layer is how far the layer sees. A layer that it fills altogether
    has the reach ``WHOLE_PICTURE``, and so has one whose features change when the picture is cut out of a larger one
    at a whole number of strides (windows of attention, codes of the place).

    Args:
        network: on the CPU and in evaluation mode; takes (B, 3, H, W).
        names: of the outputs to look at, as ``watch`` calls them; None: all.

    Raises:
        ValueError: the network takes none of the sizes that were tried.

    """
    breadth, shapes = _shapes(network, names)
    strides = {name: stride for name, seen in shapes.items() if (stride := _stride(*seen)) is not None}
    reaches = dict.fromkeys(strides, 0)
    for upright in (False, True):
        run = partial(_run_strips, network, upright=upright)
        open_ended = dict(strides)
        for length in LENGTHS:
            for name, reach in _reaches(run, open_ended, breadth, length).items():
                reaches[name] = max(reaches[name], reach)
                del open_ended[name]
        reaches |= dict.fromkeys(open_ended, WHOLE_PICTURE)
        local = {name: reach for name, reach in reaches.items() if reach < WHOLE_PICTURE}
        reaches |= dict.fromkeys(_misplaced(run, strides, local, breadth), WHOLE_PICTURE)
    return {name: Layer(name, "module", shapes[name][0][1], strides[name], reaches[name]) for name in strides}


def _shapes(network: nn.Module, names: Collection[str] | None) -> tuple[int, dict[str, tuple[Shape, Shape, Shape]]]:
    """A breadth of strips that suits the network, and its outputs' shapes for a square of it, longer, and taller."""

    def look(output: Tensor) -> Shape:
        return tuple(output.shape) if output.is_floating_point() else ()

    for breadth in BREADTHS:
        long = breadth + GROWTH
        try:
            square, wide, tall = (
                _run(network, torch.zeros(1, 3, *size), names, look)
                for size in ((breadth, breadth), (breadth, long), (long, breadth))
            )
        except Exception as error:  # whatever somebody's own network raises
            failure = error
            continue
        both = wide.keys() & tall.keys()
        return breadth, {name: (square[name], wide[name], tall[name]) for name in square if name in both}
    raise ValueError(
        f"the network fails on pictures of {breadth} x {breadth} or {breadth} x {long} pixels ({failure}); hand over "
        "the part of it that takes any size, or name the layers to look at: nothing past them is run"
    ) from failure


def _stride(square: Shape, wide: Shape, tall: Shape) -> int | None:
    """The stride of a map that grows with either side of the picture; None of anything else."""
    if {len(square), len(wide), len(tall)} != {4}:
        return None
    across, down = wide[3] - square[3], tall[2] - square[2]
    if square[:3] != wide[:3] or (*square[:2], square[3]) != (*tall[:2], tall[3]) or across != down or across < 1:
        return None
    stride = round(GROWTH / across)
    # There are as many whole cells in the length, or one more.
    return stride if stride and abs(GROWTH / stride - across) < 1 else None


def _reaches(run: Run, strides: Mapping[str, int], breadth: int, length: int) -> dict[str, int]:
    """How far layers see along a strip, in pixels, without those that see all of it."""
    if not strides:
        return {}
    step = math.lcm(*strides.values())
    length = -(-length // step) * step
    spoilt: dict[int, dict[str, Tensor]] = {}

    def edge(name: str, side: int, end: int) -> int:
        """The number of the first cell from which on none is spoilt, counted from an end of so many pixels of NaN."""
        if end not in spoilt:
            strips = torch.zeros(2, 3, breadth, length)
            strips[0, ..., :end] = strips[1, ..., length - end :] = torch.nan
            spoilt[end] = run(strips, strides.keys(), lambda output: output.isnan().any(1).any(1))
        places = spoilt[end][name][side].nonzero()
        if not len(places):
            return 0
        return int(places[-1]) + 1 if side == 0 else length // strides[name] - int(places[0])

    found: dict[str, int] = {}
    for name, stride in strides.items():
        reach = 0
        for side in (0, 1):
            # The last cell that is spoilt sees the end from so far, the one behind it does not.
            high = edge(name, side, step) * stride - step
            low = high - stride
            while high - low > 1:
                middle = (low + high) // 2
                end = step + -middle % stride
                low, high = (middle, high) if edge(name, side, end) > (middle + end) // stride else (low, middle)
            reach = max(reach, high)
        if reach + 2 * step < length:
            found[name] = reach
    return found


def _misplaced(run: Run, strides: Mapping[str, int], reaches: Mapping[str, int], breadth: int) -> Iterator[str]:
    """Layers whose features change, where they should not, when a strip is cut out of a longer one."""
    if not reaches:
        return
    step = math.lcm(*(strides[name] for name in reaches))
    length = -(-2 * max(reaches.values()) // step) * step + 8 * step
    noise = torch.randn(1, 3, breadth, length, generator=torch.Generator().manual_seed(0))
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
    """Strips lying or upright, what comes out lying."""
    if not upright:
        return _run(network, strips, names, look)
    return _run(network, strips.transpose(2, 3), names, lambda output: look(output.transpose(2, 3)))


def _run(
    network: nn.Module, pictures: Tensor, names: Collection[str] | None, look: Callable[[Tensor], T]
) -> dict[str, T]:
    """What ``look`` makes of some outputs of a network, or of all."""
    found: dict[str, T] = {}

    def note(name: str, output: Tensor) -> bool:
        if names is None or name in names:
            found[name] = look(output)
        return names is not None and len(found) == len(names)

    every = [path for path, _ in network.named_modules() if path]
    dtype = next(network.parameters(), pictures).dtype
    with torch.no_grad():
        watch(network, pictures.to(dtype), every if names is None else dict.fromkeys(map(module_path, names)), note)
    return found
