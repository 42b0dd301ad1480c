"""What is read off a picture's features, tile by tile: sums over positions, and the few maps that are wanted whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from neuralstyle import distributed
from neuralstyle.encoders import Layer
from neuralstyle.losses import PointwiseLoss, StatisticLoss
from neuralstyle.losses.base import constant_weight
from neuralstyle.memory import give_back_freed_memory, reusing_freed_memory
from neuralstyle.tiling import Tile


class Encoder(Protocol):
    """What the objective needs of a network; ``FeatureExtractor`` is one."""

    @property
    def layers(self) -> Mapping[str, Layer]:
        """Every layer by name: its channels, stride and reach."""

    def check_layers(self, names: Iterable[str]) -> tuple[str, ...]:
        """The names, each once; ValueError for one that the network does not have."""

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Features of (B, 3, H, W) in [0, 1] by layer name, (B, C, H // stride, W // stride)."""


def on_encoder(encoder: Encoder, image: Tensor) -> Tensor:
    """The picture on the encoder's device and of its dtype, if the encoder is a module."""
    first = next(encoder.parameters(), None) if isinstance(encoder, torch.nn.Module) else None
    return image if first is None else image.to(first)


def cut(maps: Tensor, place: tuple[slice, slice]) -> Tensor:
    """A view of some rows and columns of (B, C, H, W)."""
    rows, columns = place
    return maps[:, :, rows, columns]


def flattened(maps: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, H W), as ``flatten(2)``, but that other gradients of the maps are added to it in place."""
    result: Tensor = _Flattened.apply(maps)  # type: ignore[no-untyped-call]
    return result


class _Flattened(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:
        ctx.shape = maps.shape
        return maps.flatten(2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        back = gradient.reshape(ctx.shape)
        # autograd adds in place what nobody else holds, and a view holds what it is a view of.
        return back if torch.is_grad_enabled() else back.data


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

    def read(self, features: Tensor, tile: Tile, stride: int) -> Tensor:
        """The core's part of the sum."""
        core = flattened(cut(features, tile.core_in_view(stride)))
        if self.weight is None:
            weight = constant_weight(core)
        else:
            weight = cut(self.weight, tile.core(stride)).flatten(2).expand(core.shape[0], -1, -1)
        return self.loss.statistic(core, weight)


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


TOGETHER = 4
"""So many tiles reuse each other's memory before it is given back: they are not all of one size, so holes add up."""

Probe: TypeAlias = WholeMap | StatisticSum | ErrorSum


def read(encoder: Encoder, view: Tensor, tile: Tile, probes: Sequence[Probe]) -> list[Tensor]:
    """Each probe's reading of one tile, given the tile's view of the picture."""
    features = encoder(view, dict.fromkeys(probe.layer for probe in probes))
    return [probe.read(features[probe.layer], tile, encoder.layers[probe.layer].stride) for probe in probes]


@dataclass(frozen=True, eq=False)
class Graph:
    """A tile's view of the picture, and each probe's reading of it, which can be differentiated."""

    tile: Tile
    view: Tensor
    readings: Sequence[Tensor]


def graph(encoder: Encoder, image: Tensor, tile: Tile, probes: Sequence[Probe]) -> Graph:
    """The forward pass of a tile."""
    view = cut(image, tile.view()).detach().requires_grad_()
    with torch.enable_grad():
        return Graph(tile, view, read(encoder, view, tile, probes))


def measure(
    encoder: Encoder,
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
        with reusing_freed_memory():
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
        if not number % TOGETHER:
            give_back_freed_memory()
        passed()
    if is_shared(plan):
        for probe, total in zip(probes, totals, strict=True):
            if isinstance(probe, WholeMap):
                _exchange(total, plan, encoder.layers[probe.layer].stride, image.device)
            else:
                distributed.add_up([total])
    return totals


def gradient(
    encoder: Encoder,
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
    for number in range(1, len(seen) + len(todo) + 1):
        distributed.check()
        with reusing_freed_memory():
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
        if not number % TOGETHER:
            give_back_freed_memory()
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


def _empty(encoder: Encoder, image: Tensor, probe: Probe, first: Tensor, keeping: Keeping) -> Tensor:
    if not isinstance(probe, WholeMap):
        return torch.zeros_like(first)
    stride = encoder.layers[probe.layer].stride
    return keeping.empty(first, *first.shape[:2], image.shape[2] // stride, image.shape[3] // stride)
