"""What is read off a picture's features, tile by tile: sums over positions, and the few maps that are wanted whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neuralstyle import distributed
from neuralstyle.encoders.base import Walker
from neuralstyle.losses import PointwiseLoss, StatisticLoss
from neuralstyle.losses.base import constant_weight
from neuralstyle.machine.memory import trim_heap
from neuralstyle.objective.tiling import Tile


def cut(maps: Tensor, place: tuple[slice, slice]) -> Tensor:
    """A view of some rows and columns of (B, C, H, W)."""
    rows, columns = place
    return maps[:, :, rows, columns]


class _Band(torch.autograd.Function):
    """Features as the network goes on with them, and a band of their rows as positions, (B, C, N).

    Backwards, the gradient of the band is added in place to that of what follows, which is nobody else's.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, place: tuple[slice, slice]) -> tuple[Tensor, Tensor]:
        ctx.place, ctx.shape = place, features.shape
        ctx.set_materialize_grads(False)
        return features, cut(features, place).flatten(2)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, following: Tensor | None, band: Tensor | None) -> tuple[Tensor | None, None]:
        if band is None:
            return following, None
        if following is None:
            following = torch.empty(
                ctx.shape, dtype=band.dtype, device=band.device, memory_format=torch.channels_last
            ).zero_()
        place = cut(following, ctx.place)
        place.add_(band.view(place.shape))
        return following, None


@dataclass(frozen=True)
class Keeping:
    """How maps as large as the picture are kept between passes; None leaves dtype or device as they are."""

    dtype: torch.dtype | None = None
    device: torch.device | None = None

    def empty(self, like: Tensor, *shape: int) -> Tensor:
        """Room for a map."""
        return like.new_empty(*shape, dtype=self.dtype, device=self.device)

    def keep(self, maps: Tensor) -> Tensor:
        """The map as it is kept."""
        return maps.to(device=self.device or maps.device, dtype=self.dtype or maps.dtype)

    def keep_gradient(self, maps: Tensor) -> Tensor:
        """The gradient with respect to a map as it is kept."""
        # That of a mean over millions of positions underflows in float16.
        dtype = torch.bfloat16 if self.dtype == torch.float16 else self.dtype
        return Keeping(dtype, self.device).keep(maps)


AS_IT_IS = Keeping()


@dataclass(frozen=True, eq=False)
class WholeMap:
    """The features of a layer, as they are."""

    layer: str

    def read(self, features: Tensor, tile: Tile, stride: int) -> Tensor:
        """The core's features."""
        return cut(features, tile.core_in_view(stride))


@dataclass(frozen=True, eq=False)
class StatisticSum:
    """A statistic summed over positions under a weight; None weighs every position 1."""

    layer: str
    loss: StatisticLoss
    weight: Tensor | None

    def read(self, positions: Tensor, place: tuple[slice, slice]) -> Tensor:
        """The part of the sum that some positions have, (B, C, N), which lie here on the layer's whole grid."""
        if self.weight is None:
            weight = constant_weight(positions)
        else:
            weight = cut(self.weight, place).flatten(2).expand(positions.shape[0], -1, -1)
        return self.loss.statistic(positions, weight)


@dataclass(frozen=True, eq=False)
class ErrorSum:
    """A pointwise error summed over positions under a weight; an aligned target is cut to the tile."""

    layer: str
    loss: PointwiseLoss
    weight: Tensor | None
    target: Any
    aligned: bool

    def read(self, features: Tensor, tile: Tile, stride: int) -> Tensor:
        """The core's part of the sum. The loss sees the whole view, since it may look at neighbours."""
        target = cut(self.target, tile.view(stride)) if self.aligned else self.target
        target = target.to(features) if isinstance(target, Tensor) else target
        error = cut(self.loss.error(features, target), tile.core_in_view(stride))
        return error.sum() if self.weight is None else (error * cut(self.weight, tile.core(stride))).sum()


AT_ONCE = {"cpu": 2**20, "cuda": 2**24}
"""So many numbers of a layer's features, by device, go into its statistics at once: their gradient is as large."""

Probe: TypeAlias = WholeMap | StatisticSum | ErrorSum


def read(encoder: Walker, view: Tensor, tile: Tile, probes: Sequence[Probe]) -> list[Tensor]:
    """Each probe's reading of one tile, given the tile's view of the picture."""
    readings: dict[int, Tensor] = {}

    def visit(layer: str, features: Tensor) -> Tensor:
        stride = encoder.layers[layer].stride
        here = [(index, probe) for index, probe in enumerate(probes) if probe.layer == layer]
        for index, probe in here:
            if not isinstance(probe, StatisticSum):
                readings[index] = probe.read(features.to(view.dtype), tile, stride)
        sums = [(index, probe) for index, probe in here if isinstance(probe, StatisticSum)]
        for band, place in _bands(features, tile, stride) if sums else ():
            features, positions = _Band.apply(features, band)  # type: ignore[no-untyped-call]
            for index, probe in sums:
                reading = probe.read(positions.to(view.dtype), place)
                readings[index] = readings[index] + reading if index in readings else reading
        return features

    encoder.walk(view, dict.fromkeys(probe.layer for probe in probes), visit)
    return [readings[index] for index in range(len(probes))]


def _bands(features: Tensor, tile: Tile, stride: int) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Bands of the core's rows, one at least: where each lies in the view, and on the layer's whole grid."""
    rows, columns = tile.core_in_view(stride)
    top, left = tile.core(stride)
    count, shift = rows.stop - rows.start, top.start - rows.start
    numbers = features.shape[:2].numel() * (columns.stop - columns.start) * count
    step = max(1, -(-count // max(1, -(-numbers // AT_ONCE.get(features.device.type, AT_ONCE["cuda"])))))
    for start in range(rows.start, max(rows.stop, rows.start + 1), step):
        stop = min(start + step, rows.stop)
        yield (slice(start, stop), columns), (slice(start + shift, stop + shift), left)


@dataclass(frozen=True, eq=False)
class Graph:
    """A tile's view of the picture, and each probe's reading of it, which can be differentiated."""

    tile: Tile
    view: Tensor
    readings: Sequence[Tensor]


def graph(encoder: Walker, image: Tensor, tile: Tile, probes: Sequence[Probe]) -> Graph:
    """The forward pass of a tile."""
    view = cut(image, tile.view()).detach().requires_grad_()
    with torch.enable_grad():
        return Graph(tile, view, read(encoder, view, tile, probes))


def measure(
    encoder: Walker,
    image: Tensor,
    plan: Sequence[Tile],
    probes: Sequence[Probe],
    keeping: Keeping = AS_IT_IS,
    passed: Callable[[], object] = lambda: None,
    last: Callable[[Graph], object] | None = None,
) -> list[Tensor]:
    """Each probe's reading of a whole picture: sums added up over the tiles, maps put together.

    Args:
        encoder: the network.
        image: (B, 3, H, W).
        plan: its tiles; those that are shared over processes are read by each its own.
        probes: what is read.
        keeping: how maps that are put together from several tiles are kept.
        passed: called after each tile.
        last: given the last of several tiles with its graph, for ``gradient``; None: no graph is made.

    """
    if len(plan) == 1:
        readings = read(encoder, image, plan[0], probes)
        passed()
        return readings
    totals: list[Tensor] = []
    own = distributed.share(plan)
    for number, tile in enumerate(own, 1):
        distributed.check()
        trim_heap()
        if last is not None and number == len(own):
            seen = graph(encoder, image, tile, probes)
            last(seen)
            readings = [reading.detach() for reading in seen.readings]
        else:
            readings = read(encoder, cut(image, tile.view()), tile, probes)
        if not totals:
            totals = [_empty(encoder, image, *pair, keeping) for pair in zip(probes, readings, strict=True)]
        for probe, total, reading in zip(probes, totals, readings, strict=True):
            if isinstance(probe, WholeMap):
                cut(total, tile.core(encoder.layers[probe.layer].stride)).copy_(reading)
            else:
                total += reading
        passed()
    if is_shared(plan):
        for probe, total in zip(probes, totals, strict=True):
            if isinstance(probe, WholeMap):
                _exchange(total, plan, encoder.layers[probe.layer].stride, image.device)
            else:
                distributed.add_up([total])
    return totals


def gradient(
    encoder: Walker,
    image: Tensor,
    plan: Sequence[Tile],
    probes: Sequence[Probe],
    cotangents: Sequence[Tensor],
    result: Tensor,
    passed: Callable[[], object] = lambda: None,
    graphs: list[Graph] | None = None,
) -> None:
    """The gradient with respect to the picture of sum(cotangent * reading), one tile in memory at a time.

    It is added to ``result``. ``graphs`` of tiles are taken out, and used instead of a forward pass.
    """
    seen = graphs or []
    done = {each.tile for each in seen}
    todo = [tile for tile in distributed.share(plan) if tile not in done]
    while seen or todo:
        distributed.check()
        trim_heap()
        # The halo's gradient is added too: its pixels touch positions of this tile's core.
        each = seen.pop() if seen else graph(encoder, image, todo.pop(), probes)
        weights = [
            cut(cotangent, each.tile.core(encoder.layers[probe.layer].stride)).to(reading)
            if isinstance(probe, WholeMap)
            else cotangent
            for probe, reading, cotangent in zip(probes, each.readings, cotangents, strict=True)
        ]
        cut(result, each.tile.view()).add_(torch.autograd.grad(each.readings, each.view, weights)[0])
        del each  # before the next graph is made
        passed()
    if is_shared(plan):
        distributed.add_up([result])


def is_shared(plan: Sequence[Tile]) -> bool:
    """Whether each process sees only a part of the tiles."""
    return 1 < distributed.world() <= len(plan)


def _exchange(maps: Tensor, plan: Sequence[Tile], stride: int, device: torch.device) -> None:
    """Fill in what the other processes have read of a map; exact, as nothing is added."""
    for index, tile in enumerate(plan):
        place = cut(maps, tile.core(stride))
        piece = place.to(device).contiguous()
        distributed.send([piece], index % distributed.world())
        place.copy_(piece)


def _empty(encoder: Walker, image: Tensor, probe: Probe, first: Tensor, keeping: Keeping) -> Tensor:
    if not isinstance(probe, WholeMap):
        return torch.zeros_like(first)
    stride = encoder.layers[probe.layer].stride
    return keeping.empty(first, *first.shape[:2], image.shape[2] // stride, image.shape[3] // stride)
