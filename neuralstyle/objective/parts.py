"""The parts of an objective: one loss at one layer in one region, against its targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor

from neuralstyle.encoders import Layer
from neuralstyle.encoders.base import Encoder, check_is_encoder, check_names, encoder_name
from neuralstyle.losses import Loss, LossSum, PointwiseLoss, StatisticLoss
from neuralstyle.losses.base import Reference, weights_per_layer
from neuralstyle.objective.readings import ErrorSum, Probe, StatisticSum, WholeMap
from neuralstyle.objective.regions import Region

REFERENCES: tuple[Reference, ...] = get_args(Reference)
ALIGNED = ("content", "previous")  # references whose maps lie on the result position by position
NO_TARGET = ((1.0, None),)  # of a regulariser


@dataclass(frozen=True, eq=False)
class Part:
    """One loss at one layer (at all of its layers if joint) in one region, and the targets it compares with."""

    name: str
    loss: Loss
    weight: float
    layers: tuple[str, ...]
    region: Region | None
    targets: tuple[tuple[float, Any], ...]

    def probes(self, position_weight: Tensor | None) -> list[Probe]:
        """What has to be read off a picture for ``value``."""
        if isinstance(self.loss, StatisticLoss):
            return [StatisticSum(self.layers[0], self.loss, position_weight)]
        if isinstance(self.loss, PointwiseLoss):
            aligned = self.loss.reference in ALIGNED
            return [ErrorSum(self.layers[0], self.loss, position_weight, target, aligned) for _, target in self.targets]
        return [WholeMap(layer) for layer in self.layers]

    def value(self, readings: Sequence[Tensor], count: float, batch: int) -> Tensor:
        """The weighted loss from the readings of a whole picture, ``count`` being the sum of position weights."""
        # A region in which this layer has no position, or masks that leave it nothing to compare with.
        if count == 0 or not self.targets:
            return readings[0].sum() * 0
        if isinstance(self.loss, StatisticLoss):
            mean = readings[0] / count
            values = [share * self.loss.distance(mean, target) for share, target in self.targets]
        elif isinstance(self.loss, PointwiseLoss):
            divisor = count * batch if self.loss.reduction == "mean" else 1
            values = [share * error / divisor for (share, _), error in zip(self.targets, readings, strict=True)]
        else:
            x = dict(zip(self.layers, readings, strict=True)) if self.loss.joint else readings[0]
            values = [share * self.loss.forward(x, _beside(readings[0], target)) for share, target in self.targets]
        return self.weight * torch.stack(values).sum()


def check_losses(losses: LossSum, encoder: Encoder, given: Sequence[str]) -> None:
    """Whatever can be wrong with losses, before anything is computed.

    Args:
        losses: the sum to check.
        encoder: whose layers they name.
        given: which of "content", "style" and "previous" there are to compare with.

    Raises:
        ValueError: an unknown layer, or a reference that is unknown or missing.

    """
    check_is_encoder(encoder)
    for name, term in zip(losses.names, losses, strict=True):
        check_names(weights_per_layer(term.loss), encoder.layers, encoder_name(encoder))
        if term.loss.joint and isinstance(term.loss, (StatisticLoss, PointwiseLoss)):
            raise ValueError(f"{name} is joint, which only a general Loss can be; derive it from Loss")
        reference = getattr(term.loss, "reference", "nothing")
        if reference is None or reference in given:
            continue
        if reference not in REFERENCES:
            raise ValueError(
                f"{name}.reference is {reference!r}; known are {', '.join(map(repr, REFERENCES))} and None"
            )
        raise ValueError(f"{name} compares with the {reference}, and no {reference} was given")


def reach_of(loss: Loss, layer: Layer) -> int:
    """How many pixels beyond its cell a position of this loss at this layer sees."""
    return layer.reach + loss.reach * layer.stride


def size_of(image: Tensor) -> tuple[int, int]:
    """Height and width."""
    return image.shape[2], image.shape[3]


def positions(weight: Tensor | None, size: tuple[int, int], stride: int) -> float:
    """The sum of the weights of a layer's positions; how many there are, where each weighs 1."""
    return float(weight.sum()) if weight is not None else (size[0] // stride) * (size[1] // stride)


def _beside(map_: Tensor, target: Any) -> Any:
    """A target that was kept elsewhere or otherwise, where and as the map it is compared with is."""
    if isinstance(target, dict):
        return {layer: _beside(map_, each) for layer, each in target.items()}
    return target if target is None else target.to(map_)
