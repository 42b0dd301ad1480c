"""Readers: what a loss reads from a layer's features in each tile, and how readings of tiles are combined."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neuralstyle import distributed
from neuralstyle._errors import brief
from neuralstyle.encoders.base import Layer
from neuralstyle.losses import PointwiseLoss, StatisticLoss
from neuralstyle.losses.base import constant_weight
from neuralstyle.objective.borders import cells
from neuralstyle.objective.contract import check_error
from neuralstyle.objective.tiling import Span, Tile
from neuralstyle.objective.wrapping import cut_wrapped


def cut(maps: Tensor, place: tuple[slice, slice]) -> Tensor:
    """Return a view of some rows and columns of (B, C, H, W)."""
    rows, columns = place
    return maps[:, :, rows, columns]


def piece(maps: Tensor, place: tuple[slice, slice]) -> Tensor:
    """Return some rows and columns of (B, C, H, W), which a loss may view in another shape where it may the whole."""
    part = cut(maps, place)
    return part.contiguous() if maps.is_contiguous() else part


@dataclass(frozen=True)
class MapStorage:
    """Dtype and device of stored maps as large as the picture; None leaves them unchanged.

    Raises:
        ValueError: a dtype that is not floating.

    """

    dtype: torch.dtype | None = None
    device: torch.device | None = None

    def __post_init__(self) -> None:
        if self.dtype is not None and not (isinstance(self.dtype, torch.dtype) and self.dtype.is_floating_point):
            raise ValueError(f"map_dtype is a floating dtype such as torch.bfloat16, received {brief(self.dtype)}")

    def empty(self, like: Tensor, *shape: int) -> Tensor:
        """An uninitialised map."""
        return like.new_empty(*shape, dtype=self.dtype, device=self.device)

    def store(self, maps: Tensor) -> Tensor:
        """The map in its stored form."""
        return maps.to(device=self.device or maps.device, dtype=self.dtype or maps.dtype)

    def store_gradient(self, maps: Tensor) -> Tensor:
        """The gradient with respect to a map, in its stored form."""
        # The gradient of a mean over millions of positions underflows in float16.
        dtype = torch.bfloat16 if self.dtype == torch.float16 else self.dtype
        return MapStorage(dtype, self.device).store(maps)


NATIVE_STORAGE = MapStorage()


class Reader(ABC):
    """Reads what one loss needs from one layer, tile by tile.

    The readings of tiles are added to a total. The derivative with respect to the total, its cotangent, is passed back
    to each tile.
    """

    layer: str

    @abstractmethod
    def read(self, features: Tensor, tile: Tile, stride: int) -> Tensor:
        """The reading of a tile's core, from the features (B, C, h, w) of its view, continued to whole cells."""

    @abstractmethod
    def empty(self, reading: Tensor, storage: MapStorage, size: tuple[int, int], stride: int) -> Tensor:
        """An empty total for a picture of this (height, width); ``reading`` is the first reading, not added yet."""

    @abstractmethod
    def add(self, total: Tensor, reading: Tensor, tile: Tile, stride: int) -> None:
        """Add a tile's reading to the total, in place."""

    @abstractmethod
    def join(self, readings: Sequence[Tensor], plan: Sequence[Tile]) -> Tensor:
        """The total of the readings of all tiles, for autograd; ``add`` needs less memory."""

    @abstractmethod
    def exchange(self, total: Tensor, plan: Sequence[Tile], stride: int, device: torch.device) -> None:
        """Add the readings of other processes to the total, in place."""

    @abstractmethod
    def as_leaf(self, total: Tensor, image: Tensor, requires_grad: bool) -> Tensor:
        """The total as a leaf tensor for autograd, converted back from its stored form."""

    @abstractmethod
    def as_target(self, total: Tensor, image: Tensor, storage: MapStorage) -> Tensor:
        """The total of a reference picture in its stored form; it shares no memory with the picture."""

    @abstractmethod
    def store_cotangent(self, cotangent: Tensor, storage: MapStorage) -> Tensor:
        """The derivative with respect to the total, in its stored form."""

    @abstractmethod
    def cotangent_at(self, cotangent: Tensor, reading: Tensor, tile: Tile, stride: int) -> Tensor:
        """The derivative with respect to one tile's reading."""

    @abstractmethod
    def stored_elements(self, layer: Layer, height: int, width: int) -> int:
        """Number of elements of the total that grow with the picture, for a picture of this size."""


@dataclass(frozen=True, eq=False)
class MapReader(Reader):
    """Reads the whole feature map, as far as the picture covers cells of ``whole`` pixels, a multiple of the stride."""

    layer: str
    whole: int

    def read(self, features: Tensor, tile: Tile, stride: int) -> Tensor:
        """The core's features."""
        return piece(features, tile.core_in_view(stride, self.whole))

    def empty(self, reading: Tensor, storage: MapStorage, size: tuple[int, int], stride: int) -> Tensor:
        """An uninitialised map."""
        return self._stored(storage).empty(
            reading, *reading.shape[:2], *(cells(side, stride, self.whole) for side in size)
        )

    def add(self, total: Tensor, reading: Tensor, tile: Tile, stride: int) -> None:
        """Copy the core into the map."""
        cut(total, tile.core(stride, self.whole)).copy_(reading)

    def join(self, readings: Sequence[Tensor], plan: Sequence[Tile]) -> Tensor:
        """The cores side by side, row by row."""
        rows: dict[Span, list[Tensor]] = {}
        for tile, reading in zip(plan, readings, strict=True):
            rows.setdefault(tile.rows, []).append(reading)
        return torch.cat([torch.cat(row, 3) for row in rows.values()], 2)

    def exchange(self, total: Tensor, plan: Sequence[Tile], stride: int, device: torch.device) -> None:
        """Copy the cores of other processes' tiles into the map; exact, since nothing is added."""
        for index, tile in enumerate(plan):
            place = cut(total, tile.core(stride, self.whole))
            piece = place.to(device).contiguous()
            distributed.send([piece], index % distributed.world())
            place.copy_(piece)

    def as_leaf(self, total: Tensor, image: Tensor, requires_grad: bool) -> Tensor:
        """The map in the picture's dtype and on its device."""
        return total.to(image).detach().requires_grad_(requires_grad)

    def as_target(self, total: Tensor, image: Tensor, storage: MapStorage) -> Tensor:
        """The map in its stored form; a copy if it shares memory with the picture, as at layer "image"."""
        stored = self._stored(storage).store(total)
        return stored.clone() if stored.untyped_storage().data_ptr() == image.untyped_storage().data_ptr() else stored

    def store_cotangent(self, cotangent: Tensor, storage: MapStorage) -> Tensor:
        """The derivative, stored like the map."""
        return self._stored(storage).store_gradient(cotangent)

    def cotangent_at(self, cotangent: Tensor, reading: Tensor, tile: Tile, stride: int) -> Tensor:
        """The derivative at the core."""
        return cut(cotangent, tile.core(stride, self.whole)).to(reading)

    def stored_elements(self, layer: Layer, height: int, width: int) -> int:
        """All elements of the map."""
        rows, columns = (cells(side, layer.stride, self.whole) for side in (height, width))
        return layer.channels * rows * columns

    def _stored(self, storage: MapStorage) -> MapStorage:
        """How the map is stored: the picture itself, three channels with 256 levels that can be seen, as it is."""
        return MapStorage(None, storage.device) if self.layer == "image" else storage


class SumReader(Reader):
    """Reads a sum over positions: it is small, and the sums of tiles add up."""

    def empty(self, reading: Tensor, storage: MapStorage, size: tuple[int, int], stride: int) -> Tensor:
        """Zero."""
        return torch.zeros_like(reading)

    def add(self, total: Tensor, reading: Tensor, tile: Tile, stride: int) -> None:
        """Add the tile's sum."""
        total += reading

    def join(self, readings: Sequence[Tensor], plan: Sequence[Tile]) -> Tensor:
        """The sum of the sums."""
        return torch.stack(list(readings)).sum(0)

    def exchange(self, total: Tensor, plan: Sequence[Tile], stride: int, device: torch.device) -> None:
        """Add the sums of all processes."""
        distributed.add_up([total])

    def as_leaf(self, total: Tensor, image: Tensor, requires_grad: bool) -> Tensor:
        """The sum."""
        return total.detach().requires_grad_(requires_grad)

    def as_target(self, total: Tensor, image: Tensor, storage: MapStorage) -> Tensor:
        """The sum."""
        return total

    def store_cotangent(self, cotangent: Tensor, storage: MapStorage) -> Tensor:
        """The derivative, unchanged."""
        return cotangent

    def cotangent_at(self, cotangent: Tensor, reading: Tensor, tile: Tile, stride: int) -> Tensor:
        """The same derivative for every tile."""
        return cotangent

    def stored_elements(self, layer: Layer, height: int, width: int) -> int:
        """0, since a sum has the same size for every picture."""
        return 0


@dataclass(frozen=True, eq=False)
class StatisticReader(SumReader):
    """Reads a statistic, summed over positions with their weights; None: every weight is 1."""

    layer: str
    loss: StatisticLoss
    weight: Tensor | None

    def read(self, features: Tensor, tile: Tile, stride: int) -> Tensor:
        """The core's part of the sum."""
        return self.read_positions(cut(features, tile.core_in_view(stride)).flatten(2), tile.core(stride))

    def read_positions(self, positions: Tensor, place: tuple[slice, slice]) -> Tensor:
        """The part of the sum from positions (B, C, N) at these rows and columns of the layer."""
        if self.weight is None:
            weight = constant_weight(positions)
        else:
            weight = cut(self.weight, place).flatten(2).expand(positions.shape[0], -1, -1)
        return self.loss.statistic(positions, weight)


@dataclass(frozen=True, eq=False)
class ErrorReader(SumReader):
    """Reads a pointwise error, summed over positions with their weights. An aligned target is cut to the tile."""

    layer: str
    loss: PointwiseLoss
    weight: Tensor | None
    target: Any
    aligned: bool

    def read(self, features: Tensor, tile: Tile, stride: int) -> Tensor:
        """The core's part of the sum. The loss sees the whole view, since it may use neighbours."""
        beyond = self.loss.reach if tile.circular else 0
        rows, columns = (slice(span.start - beyond, span.stop + beyond) for span in tile.view(stride))
        target = cut_wrapped(self.target, (rows, columns)) if self.aligned else self.target
        target = target.to(features) if isinstance(target, Tensor) else target
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        if beyond:
            features = cut_wrapped(features, (rows, columns))
        elif features.shape[2:] != shape:  # the view was continued
            features = piece(features, (slice(shape[0]), slice(shape[1])))
        error = check_error(self.loss, self.loss.error(features, target), features)
        rows, columns = (slice(span.start + beyond, span.stop + beyond) for span in tile.core_in_view(stride))
        error = cut(error, (rows, columns))
        return error.sum() if self.weight is None else (error * cut(self.weight, tile.core(stride))).sum()
