"""Readings: reading a picture tile by tile, and back-propagating the gradient the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralstyle import distributed
from neuralstyle.machine.memory import trim_heap
from neuralstyle.objective.features import FeatureSource
from neuralstyle.objective.readers import NATIVE_STORAGE, MapStorage, Reader, StatisticReader, cut
from neuralstyle.objective.tiling import Tile
from neuralstyle.objective.wrapping import add_wrapped, cut_wrapped

ELEMENTS_PER_BAND = {"cpu": 2**20, "cuda": 2**24}
"""Elements of a layer's features, by device, per chunk of its statistics; bounds the memory of their gradient."""


class _Band(torch.autograd.Function):
    """The features unchanged, for the next layer, and a band of their rows as positions, (B, C, N).

    ``backward`` adds the band's gradient in place to that of the features; no other tensor shares that buffer. For a
    second derivative it adds a copy instead.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, place: tuple[slice, slice]) -> tuple[Tensor, Tensor]:
        ctx.place, ctx.shape = place, features.shape
        ctx.set_materialize_grads(False)
        return features, cut(features, place).flatten(2)

    @staticmethod
    def backward(ctx: Any, following: Tensor | None, band: Tensor | None) -> tuple[Tensor | None, None]:
        if band is None:
            return following, None
        if torch.is_grad_enabled():  # a second derivative is wanted
            spread = _spread(band, ctx.place, ctx.shape)
            return spread if following is None else following + spread, None
        if following is None:
            following = torch.empty(
                ctx.shape, dtype=band.dtype, device=band.device, memory_format=torch.channels_last
            ).zero_()
        place = cut(following, ctx.place)
        place.add_(band.view(place.shape))
        return following, None


def _spread(band: Tensor, place: tuple[slice, slice], shape: torch.Size) -> Tensor:
    """A band of positions (B, C, N) in its place, with zeros around it: (B, C, H, W)."""
    rows, columns = place
    around = (columns.start, shape[3] - columns.stop, rows.start, shape[2] - rows.stop)
    return F.pad(band.reshape(*shape[:2], rows.stop - rows.start, columns.stop - columns.start), around)


@dataclass(frozen=True, eq=False)
class TileGraph:
    """A tile's view of the picture, and each reader's reading of it, with the graph for autograd."""

    tile: Tile
    view: Tensor
    readings: Sequence[Tensor]


def read(source: FeatureSource, view: Tensor, tile: Tile, readers: Sequence[Reader]) -> list[Tensor]:
    """Return each reader's reading of one tile, given the tile's view of the picture."""
    readings: dict[int, Tensor] = {}

    def visit(layer: str, features: Tensor) -> Tensor:
        stride = source.layers[layer].stride
        statistics: list[tuple[int, StatisticReader]] = []
        for index, reader in enumerate(readers):
            if reader.layer != layer:
                continue
            if isinstance(reader, StatisticReader):
                statistics.append((index, reader))
            else:
                readings[index] = reader.read(features.to(view.dtype), tile, stride)
        for band, place in _bands(features, tile, stride) if statistics else ():
            features, positions = _Band.apply(features, band)  # type: ignore[no-untyped-call]
            for index, reader in statistics:
                reading = reader.read_positions(positions.to(view.dtype), place)
                readings[index] = readings[index] + reading if index in readings else reading
        return features

    source.walk(view, dict.fromkeys(reader.layer for reader in readers), visit, tile.circular)
    return [readings[index] for index in range(len(readers))]


def read_with_graph(source: FeatureSource, image: Tensor, tile: Tile, readers: Sequence[Reader]) -> TileGraph:
    """Return the readings of one tile of a picture, with the graph for autograd."""
    view = cut_wrapped(image, tile.view()).detach().requires_grad_()
    with torch.enable_grad():
        return TileGraph(tile, view, read(source, view, tile, readers))


def read_all(
    source: FeatureSource,
    image: Tensor,
    plan: Sequence[Tile],
    readers: Sequence[Reader],
    storage: MapStorage = NATIVE_STORAGE,
    on_tile_done: Callable[[], object] = lambda: None,
    keep_last_graph: Callable[[TileGraph], object] | None = None,
) -> list[Tensor]:
    """Return each reader's reading of a whole picture: sums added up over the tiles, maps joined.

    Args:
        source: source of the features.
        image: (B, 3, H, W).
        plan: the picture's tiles; each process reads its share.
        readers: the readers.
        storage: dtype and device of maps that are joined from several tiles.
        on_tile_done: called after each tile.
        keep_last_graph: called with the graph of the last tile, if there are several, for ``add_gradient``; None: no
            graph is made.

    """
    if len(plan) == 1:
        readings = read(source, cut_wrapped(image, plan[0].view()), plan[0], readers)
        on_tile_done()
        return readings
    totals: list[Tensor] = []
    layers = [source.layers[reader.layer] for reader in readers]
    own = distributed.share(plan)
    for number, tile in enumerate(own, 1):
        distributed.check()
        trim_heap()
        if keep_last_graph is not None and number == len(own):
            graph = read_with_graph(source, image, tile, readers)
            keep_last_graph(graph)
            readings = [reading.detach() for reading in graph.readings]
        else:
            readings = read(source, cut_wrapped(image, tile.view()), tile, readers)
        if not totals:
            totals = [
                reader.empty(reading, storage, (image.shape[2], image.shape[3]), layer.stride)
                for reader, reading, layer in zip(readers, readings, layers, strict=True)
            ]
        for reader, total, reading, layer in zip(readers, totals, readings, layers, strict=True):
            reader.add(total, reading, tile, layer.stride)
        on_tile_done()
    if is_shared(plan):
        for reader, total, layer in zip(readers, totals, layers, strict=True):
            reader.exchange(total, plan, layer.stride, image.device)
    return totals


def add_gradient(
    source: FeatureSource,
    image: Tensor,
    plan: Sequence[Tile],
    readers: Sequence[Reader],
    cotangents: Sequence[Tensor],
    result: Tensor,
    on_tile_done: Callable[[], object] = lambda: None,
    graphs: list[TileGraph] | None = None,
) -> None:
    """Add the gradient of sum(cotangent * reading) with respect to the picture to ``result``.

    Only one tile's features are in memory at a time. ``graphs`` replace the forward pass of their tiles; each is
    removed from the list when it is used.
    """
    seen = graphs or []
    done = {graph.tile for graph in seen}
    todo = [tile for tile in distributed.share(plan) if tile not in done]
    while seen or todo:
        distributed.check()
        trim_heap()
        graph = seen.pop() if seen else read_with_graph(source, image, todo.pop(), readers)
        weights = [
            reader.cotangent_at(cotangent, reading, graph.tile, source.layers[reader.layer].stride)
            for reader, reading, cotangent in zip(readers, graph.readings, cotangents, strict=True)
        ]
        # The halo's gradient is added too, since positions of this tile's core depend on its pixels.
        add_wrapped(result, graph.tile.view(), torch.autograd.grad(graph.readings, graph.view, weights)[0])
        del graph  # before the next one is made
        on_tile_done()
    if is_shared(plan):
        distributed.add_up([result])


def is_shared(plan: Sequence[Tile]) -> bool:
    """Tell whether each process sees only a part of the tiles."""
    return 1 < distributed.world() <= len(plan)


def _bands(features: Tensor, tile: Tile, stride: int) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Yield one or more bands of the core's rows: the slices of each in the view, and on the layer's whole grid."""
    rows, columns = tile.core_in_view(stride)
    top, left = tile.core(stride)
    count, shift = rows.stop - rows.start, top.start - rows.start
    elements = features.shape[:2].numel() * (columns.stop - columns.start) * count
    most = ELEMENTS_PER_BAND.get(features.device.type, ELEMENTS_PER_BAND["cuda"])
    step = max(1, -(-count // max(1, -(-elements // most))))
    for start in range(rows.start, max(rows.stop, rows.start + 1), step):
        stop = min(start + step, rows.stop)
        yield (slice(start, stop), columns), (slice(start + shift, stop + shift), left)
