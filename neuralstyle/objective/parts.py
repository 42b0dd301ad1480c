"""The parts of an objective: one loss at one layer in one region, with its targets; a class for each kind of loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from neuralstyle._errors import is_ours
from neuralstyle.encoders.base import Layer, common_stride
from neuralstyle.losses import Loss, LossSum, PointwiseLoss, StatisticLoss
from neuralstyle.losses.base import weights_in_use
from neuralstyle.losses.tools.alignment import ALIGNED
from neuralstyle.objective.borders import cells
from neuralstyle.objective.contract import check_linear, check_scalar
from neuralstyle.objective.readers import ErrorReader, MapReader, Reader, StatisticReader
from neuralstyle.objective.regions import Region
from neuralstyle.objective.rehearsal import try_distance, try_error, try_forward
from neuralstyle.objective.tiling import Span, Tile

NO_TARGET = ((1.0, None),)  # the targets of a regulariser


@dataclass(frozen=True, eq=False)
class ResolvedTerm:
    """A term of a sum of losses, with its name, and its layers in use with their weights."""

    name: str
    loss: Loss
    weight: float
    layers: Mapping[str, float]

    def groups(self, factor: float = 1.0) -> list[tuple[tuple[str, ...], float]]:
        """Return groups of layers that are compared together, each with its weight times ``factor``."""
        if self.loss.joint:
            return [(tuple(self.layers), self.weight * factor)]
        return [((layer,), self.weight * factor * weight) for layer, weight in self.layers.items()]


def resolve(losses: LossSum) -> tuple[ResolvedTerm, ...]:
    """Return the terms of a sum of losses with their names and layers.

    Raises:
        ValueError: a loss without layers, or with more or fewer weights than layers.

    """
    return tuple(
        ResolvedTerm(name, term.loss, term.weight, weights_in_use(term.loss))
        for name, term in zip(losses.names, losses, strict=True)
    )


@dataclass(frozen=True, eq=False)
class Part(ABC):
    """One loss at one layer (at all of its layers if joint) in one region, and its targets with their shares.

    A target is left out if its mask leaves no position at the layer.
    """

    takes_region: ClassVar[bool] = True
    takes_mask: ClassVar[bool] = False

    name: str
    loss: Loss
    weight: float
    layers: tuple[str, ...]
    whole: int  # side in pixels of the whole cells of all its layers
    region: Region | None
    targets: tuple[tuple[float, Any], ...] = NO_TARGET

    @classmethod
    @abstractmethod
    def area(cls, loss: Any, region: Region | None) -> float:
        """The factor of a loss of this kind in a region: usually the region's share of the picture."""

    @classmethod
    @abstractmethod
    def check(cls, loss: Any, layers: Sequence[Layer], like: Tensor) -> None:
        """Check what can be checked of a loss before it is used, on features of the part's layers and this dtype."""

    @abstractmethod
    def readers(self, weight: Tensor | None) -> list[Reader]:
        """Readers for ``value``, with weights of positions; None: every weight is 1."""

    @abstractmethod
    def target_readers(self, weight: Tensor | None) -> list[Reader]:
        """Readers of a reference picture for ``target``, with weights of positions."""

    @abstractmethod
    def target(self, readings: Sequence[Tensor], count: float) -> Any:
        """The target, from the readings of a whole reference picture; ``count`` is the sum of position weights."""

    @abstractmethod
    def value(self, readings: Sequence[Tensor], count: float, batch: int) -> Tensor:
        """The weighted loss, from the readings of a whole picture; ``count`` is the sum of position weights.

        For a batch it is the mean over its pictures, each compared by itself.
        """


@dataclass(frozen=True, eq=False)
class StatisticPart(Part):
    """A ``StatisticLoss``: compares mean statistics."""

    takes_mask: ClassVar[bool] = True

    loss: StatisticLoss

    @classmethod
    def area(cls, loss: StatisticLoss, region: Region | None) -> float:
        """The region's share, since a mean does not grow with the region."""
        return 1.0 if region is None else region.area

    @classmethod
    def check(cls, loss: StatisticLoss, layers: Sequence[Layer], like: Tensor) -> None:
        """The statistic is a sum over positions that is linear in the weight, and the distance a scalar."""
        if not is_ours(loss):
            check_linear(loss, layers[0], like)
        try_distance(loss, layers[0], like)

    def readers(self, weight: Tensor | None) -> list[Reader]:
        """The statistic."""
        return [StatisticReader(self.layers[0], self.loss, weight)]

    def target_readers(self, weight: Tensor | None) -> list[Reader]:
        """The statistic of the reference."""
        return self.readers(weight)

    def target(self, readings: Sequence[Tensor], count: float) -> Tensor:
        """The mean statistic."""
        return readings[0] / count

    def value(self, readings: Sequence[Tensor], count: float, batch: int) -> Tensor:
        """The distance between mean statistics."""
        if count == 0 or not self.targets:
            return _nothing(readings)
        mean = readings[0] / count

        def compare(actual: Tensor, target: Any) -> Tensor:
            return check_scalar(self.loss, "distance", self.loss.distance(actual, target))

        return _weighted(
            self.weight, ((share, _mean_over(batch, compare, mean, target)) for share, target in self.targets)
        )


@dataclass(frozen=True, eq=False)
class PointwisePart(Part):
    """A ``PointwiseLoss``: a sum or mean over positions."""

    loss: PointwiseLoss

    @classmethod
    def area(cls, loss: PointwiseLoss, region: Region | None) -> float:
        """The region's share for a mean; 1 for a sum over positions, which grows with the region."""
        return 1.0 if region is None or loss.reduction == "sum" else region.area

    @classmethod
    def check(cls, loss: PointwiseLoss, layers: Sequence[Layer], like: Tensor) -> None:
        """There is an error for each position, which looks no further than it says."""
        try_error(loss, layers[0], like)

    def readers(self, weight: Tensor | None) -> list[Reader]:
        """The error against each target."""
        aligned = self.loss.reference in ALIGNED
        return [ErrorReader(self.layers[0], self.loss, weight, target, aligned) for _, target in self.targets]

    def target_readers(self, weight: Tensor | None) -> list[Reader]:
        """The map of the reference."""
        return [MapReader(self.layers[0], self.whole)]

    def target(self, readings: Sequence[Tensor], count: float) -> Tensor:
        """The map."""
        return readings[0]

    def value(self, readings: Sequence[Tensor], count: float, batch: int) -> Tensor:
        """The sum of the errors, or their mean."""
        if count == 0 or not self.targets:
            return _nothing(readings)
        divisor = count * batch if self.loss.reduction == "mean" else batch
        return _weighted(
            self.weight / divisor, ((share, error) for (share, _), error in zip(self.targets, readings, strict=True))
        )


@dataclass(frozen=True, eq=False)
class WholeMapPart(Part):
    """A general ``Loss``, which sees whole maps: of one layer, or of all its layers if it is joint."""

    takes_region: ClassVar[bool] = False

    @classmethod
    def area(cls, loss: Loss, region: Region | None) -> float:
        """1, since there is no region."""
        return 1.0

    @classmethod
    def check(cls, loss: Loss, layers: Sequence[Layer], like: Tensor) -> None:
        """The value is a scalar."""
        try_forward(loss, layers, like)

    def readers(self, weight: Tensor | None) -> list[Reader]:
        """The map of each layer."""
        return [MapReader(layer, self.whole) for layer in self.layers]

    def target_readers(self, weight: Tensor | None) -> list[Reader]:
        """The maps of the reference."""
        return self.readers(weight)

    def target(self, readings: Sequence[Tensor], count: float) -> Any:
        """The map, or all maps by layer."""
        return dict(zip(self.layers, readings, strict=True)) if self.loss.joint else readings[0]

    def value(self, readings: Sequence[Tensor], count: float, batch: int) -> Tensor:
        """The weighted sum of ``forward`` over the targets."""
        if count == 0 or not self.targets:
            return _nothing(readings)
        x = self.target(readings, count)

        def compare(maps: Any, target: Any) -> Tensor:
            return check_scalar(self.loss, "forward", self.loss.forward(maps, _like_map(target, readings[0])))

        return _weighted(
            self.weight, ((share, _mean_over(batch, compare, x, target)) for share, target in self.targets)
        )


def layers_in_use(terms: Sequence[ResolvedTerm]) -> tuple[str, ...]:
    """Return the layers of terms, each once."""
    return tuple(dict.fromkeys(layer for term in terms for layer in term.layers))


def part_for(loss: Loss) -> type[Part]:
    """Return the class of a loss's parts."""
    if isinstance(loss, StatisticLoss):
        return StatisticPart
    return PointwisePart if isinstance(loss, PointwiseLoss) else WholeMapPart


def parts_of(term: ResolvedTerm, layers: Mapping[str, Layer], region: Region | None = None) -> list[Part]:
    """Return a term's parts in a region, or everywhere, without targets; ``layers`` are those of the encoder."""
    kind = part_for(term.loss)
    groups = term.groups(kind.area(term.loss, region))
    wholes = [common_stride(layers[name] for name in names) for names, _ in groups]
    return [
        kind(term.name, term.loss, weight, names, whole, region)
        for (names, weight), whole in zip(groups, wholes, strict=True)
    ]


def check_parts(terms: Sequence[ResolvedTerm], layers: Mapping[str, Layer], like: Tensor) -> None:
    """Check losses against their contract, on a few random features.

    Args:
        terms: the losses.
        layers: of the encoder.
        like: a tensor of the features' dtype and device.

    Raises:
        ValueError: a loss breaks its contract.

    """
    for term in terms:
        for names, _ in term.groups():
            part_for(term.loss).check(term.loss, [layers[name] for name in names], like)


def read_maps(
    readers: Sequence[Reader], features: Mapping[str, Tensor], layers: Mapping[str, Layer], size: tuple[int, int]
) -> list[Tensor]:
    """Return readings of the features of a whole picture of this (height, width)."""
    height, width = size
    whole = Tile(Span(0, height, 0, height), Span(0, width, 0, width))
    return [reader.read(features[reader.layer], whole, layers[reader.layer].stride) for reader in readers]


def reach_of(loss: Loss, layer: Layer) -> int:
    """Return how many pixels beyond its cell a position of this loss at this layer sees."""
    return layer.reach + loss.reach * layer.stride


def size_of(image: Tensor) -> tuple[int, int]:
    """Return height and width."""
    return image.shape[2], image.shape[3]


def positions(weight: Tensor | None, size: tuple[int, int], stride: int) -> float:
    """Return the sum of the weights of a layer's positions: their number if ``weight`` is None."""
    return float(weight.sum()) if weight is not None else cells(size[0], stride) * cells(size[1], stride)


def _nothing(readings: Sequence[Tensor]) -> Tensor:
    """A differentiable zero, for a layer without positions in a region or without targets."""
    return readings[0].sum() * 0


def _weighted(weight: float, shares: Iterable[tuple[float, Tensor]]) -> Tensor:
    """The sum of values by their shares, times a weight; with one factor for each, since small operations add up."""
    values = [value * (weight * share) for share, value in shares]
    return values[0] if len(values) == 1 else torch.stack(values).sum()


def _mean_over(batch: int, compare: Callable[[Any, Any], Tensor], x: Any, target: Any) -> Tensor:
    """The mean of a comparison over the pictures of a batch, with a target for each or one for all."""
    if batch == 1:
        return compare(x, target)
    return torch.stack([compare(_one_of(x, index), _one_of(target, index)) for index in range(batch)]).mean()


def _one_of(value: Any, index: int) -> Any:
    """What belongs to one picture of a batch; all of it where there is no batch."""
    if isinstance(value, dict):
        return {layer: _one_of(each, index) for layer, each in value.items()}
    return value[index : index + 1] if isinstance(value, Tensor) and len(value) > 1 else value


def _like_map(target: Any, map_: Tensor) -> Any:
    """A stored target, in the dtype and on the device of the map that it is compared with."""
    if isinstance(target, dict):
        return {layer: _like_map(each, map_) for layer, each in target.items()}
    return target if target is None else target.to(map_)
