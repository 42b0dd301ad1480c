"""Readers: what is read from a layer's features, tile by tile, and how readings of tiles become one of the picture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neuralstyle import distributed
from neuralstyle.encoders.base import Layer
from neuralstyle.losses import PointwiseLoss, StatisticLoss
from neuralstyle.losses.base import constant_weight
from neuralstyle.objective.contract import check_error
from neuralstyle.objective.tiling import Tile


def cut(maps: Tensor, place: tuple[slice, slice]) -> Tensor:
    """A view of some rows and columns of (B, C, H, W)."""
    rows, columns = place
    return maps[:, :, rows, columns]


@dataclass(frozen=True)
class MapStorage:
    """How maps as large as the picture are stored between passes; None leaves their dtype or device.

    Raises:
        ValueError: a dtype that is not floating.

    """

    dtype: torch.dtype | None = None
    device: torch.device | None = None

    def __post_init__(self) -> None:
        if self.dtype is not None and not (isinstance(self.dtype, torch.dtype) and self.dtype.is_floating_point):
            raise ValueError(f"map_dtype is a floating dtype such as torch.bfloat16, received {self.dtype!r}")

    def empty(self, like: Tensor, *shape: int) -> Tensor:
        """Room for a map."""
        return like.new_empty(*shape, dtype=self.dtype, device=self.device)

    def store(self, maps: Tensor) -> Tensor:
        """The map as it is stored."""
        return maps.to(device=self.device or maps.device, dtype=self.dtype or maps.dtype)

    def store_gradient(self, maps: Tensor) -> Tensor:
        """The gradient with respect to a map as it is stored."""
        # That of a mean over millions of positions underflows in float16.
        dtype = torch.bfloat16 if self.dtype == torch.float16 else self.dtype
        return MapStorage(dtype, self.device).store(maps)


NATIVE_STORAGE = MapStorage()


class Reader(ABC):
    """What one loss needs of one layer.

    A reader reads each tile of a picture. The readings are added to a total, and the derivative with respect to the
    total, its cotangent, goes back to each tile. A subclass says how.
    """

    layer: str

    @abstractmethod
    def read(self, features: Tensor, tile: Tile, stride: int) -> Tensor:
        """The reading of a tile's core, from the features (B, C, h, w) of its view."""

    @abstractmethod
    def empty(self, reading: Tensor, storage: MapStorage, height: int, width: int) -> Tensor:
        """A total for a layer of this height and width, before any reading is added; the first one is ``reading``."""

    @abstractmethod
    def add(self, total: Tensor, reading: Tensor, tile: Tile, stride: int) -> None:
        """Add a tile's reading to the total, in place."""

    @abstractmethod
    def exchange(self, total: Tensor, plan: Sequence[Tile], stride: int, device: torch.device) -> None:
        """Add, in place, what other processes have read."""

    @abstractmethod
    def as_leaf(self, total: Tensor, image: Tensor, requires_grad: bool) -> Tensor:
        """The total to compute with, in the picture's dtype and on its device, however it was stored."""

    @abstractmethod
    def as_target(self, total: Tensor, image: Tensor, storage: MapStorage) -> Tensor:
        """The total of a reference picture as it is stored, in memory that is not the picture's."""

    @abstractmethod
    def store_cotangent(self, cotangent: Tensor, storage: MapStorage) -> Tensor:
        """The derivative with respect to the total as it is stored."""

    @abstractmethod
    def cotangent_at(self, cotangent: Tensor, reading: Tensor, tile: Tile, stride: int) -> Tensor:
        """The derivative with respect to one tile's reading."""

    @abstractmethod
    def stored_elements(self, layer: Layer, height: int, width: int) -> int:
        """How many numbers of a picture of this size the total holds that grow with the picture."""


@dataclass(frozen=True, eq=False)
class MapReader(Reader):
    """The whole feature map."""

    layer: str

    def read(self, features: Tensor, tile: Tile, stride: int) -> Tensor:
        """The core's features."""
        return cut(features, tile.core_in_view(stride))

    def empty(self, reading: Tensor, storage: MapStorage, height: int, width: int) -> Tensor:
        """Room for the map."""
        return storage.empty(reading, *reading.shape[:2], height, width)

    def add(self, total: Tensor, reading: Tensor, tile: Tile, stride: int) -> None:
        """Fill in the core."""
        cut(total, tile.core(stride)).copy_(reading)

    def exchange(self, total: Tensor, plan: Sequence[Tile], stride: int, device: torch.device) -> None:
        """Fill in the cores of the other processes' tiles; exact, since nothing is added."""
        for index, tile in enumerate(plan):
            place = cut(total, tile.core(stride))
            piece = place.to(device).contiguous()
            distributed.send([piece], index % distributed.world())
            place.copy_(piece)

    def as_leaf(self, total: Tensor, image: Tensor, requires_grad: bool) -> Tensor:
        """The map, in full."""
        return total.to(image).detach().requires_grad_(requires_grad)

    def as_target(self, total: Tensor, image: Tensor, storage: MapStorage) -> Tensor:
        """The map as it is stored; at layer "image" it is a copy of the picture."""
        stored = storage.store(total)
        return stored.clone() if stored.untyped_storage().data_ptr() == image.untyped_storage().data_ptr() else stored

    def store_cotangent(self, cotangent: Tensor, storage: MapStorage) -> Tensor:
        """As large as the map, and stored likewise."""
        return storage.store_gradient(cotangent)

    def cotangent_at(self, cotangent: Tensor, reading: Tensor, tile: Tile, stride: int) -> Tensor:
        """The part of the core."""
        return cut(cotangent, tile.core(stride)).to(reading)

    def stored_elements(self, layer: Layer, height: int, width: int) -> int:
        """All of the map's."""
        return layer.channels * (height // layer.stride) * (width // layer.stride)


class SumReader(Reader):
    """A sum over positions, which is small and whose tiles are added up."""

    def empty(self, reading: Tensor, storage: MapStorage, height: int, width: int) -> Tensor:
        """Zero."""
        return torch.zeros_like(reading)

    def add(self, total: Tensor, reading: Tensor, tile: Tile, stride: int) -> None:
        """Add the tile's sum."""
        total += reading

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
        """The derivative, in full."""
        return cotangent

    def cotangent_at(self, cotangent: Tensor, reading: Tensor, tile: Tile, stride: int) -> Tensor:
        """The same for every tile."""
        return cotangent

    def stored_elements(self, layer: Layer, height: int, width: int) -> int:
        """None: a sum has the same size for every picture."""
        return 0


@dataclass(frozen=True, eq=False)
class StatisticReader(SumReader):
    """A statistic, summed over positions with their weights; None: every position has the weight 1."""

    layer: str
    loss: StatisticLoss
    weight: Tensor | None

    def read(self, features: Tensor, tile: Tile, stride: int) -> Tensor:
        """The core's part of the sum."""
        return self.read_positions(cut(features, tile.core_in_view(stride)).flatten(2), tile.core(stride))

    def read_positions(self, positions: Tensor, place: tuple[slice, slice]) -> Tensor:
        """The part of some positions, (B, C, N), which lie at these rows and columns of the layer."""
        if self.weight is None:
            weight = constant_weight(positions)
        else:
            weight = cut(self.weight, place).flatten(2).expand(positions.shape[0], -1, -1)
        return self.loss.statistic(positions, weight)


@dataclass(frozen=True, eq=False)
class ErrorReader(SumReader):
    """A pointwise error, summed over positions with their weights; an aligned target is cut to the tile."""

    layer: str
    loss: PointwiseLoss
    weight: Tensor | None
    target: Any
    aligned: bool

    def read(self, features: Tensor, tile: Tile, stride: int) -> Tensor:
        """The core's part of the sum. The loss sees the whole view, since it may look at neighbours."""
        target = cut(self.target, tile.view(stride)) if self.aligned else self.target
        target = target.to(features) if isinstance(target, Tensor) else target
        error = check_error(self.loss, self.loss.error(features, target), features)
        error = cut(error, tile.core_in_view(stride))
        return error.sum() if self.weight is None else (error * cut(self.weight, tile.core(stride))).sum()
