"""Stages with everything resolved: the picture's shape, the encoder, and the losses that are minimised."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neuralstyle._errors import unknown, whole_number
from neuralstyle._words import Color
from neuralstyle.encoders import Layer
from neuralstyle.encoders.base import Encoder, on_encoder
from neuralstyle.encoders.default import default_encoder
from neuralstyle.images import MIN_SIDE, resize_image
from neuralstyle.losses import Loss, LossSum
from neuralstyle.losses.base import as_sum
from neuralstyle.machine.devices import find_device
from neuralstyle.objective.features import layers_of
from neuralstyle.objective.objective import Objective
from neuralstyle.objective.parts import reach_of, resolve
from neuralstyle.objective.targets import check_losses
from neuralstyle.objective.tiling import Tile, TileSize, tiles
from neuralstyle.recipes import DEFAULT_NETWORK, SCHEDULES, losses_through, why_without_compact
from neuralstyle.schedule import Schedule, Stage, check_is_encoder, check_stages, encoder_name
from neuralstyle.styles import Style, at_scale


@dataclass(frozen=True, eq=False)
class PlannedStage:
    """A stage of a plan.

    Attributes:
        size: longest side of the picture in pixels.
        height: its height.
        width: its width.
        iterations: number of evaluations.
        encoder: the encoder, on its device.
        losses: what is minimised.
        cost: time of an evaluation of a pixel, relative to VGG-19.

    """

    size: int
    height: int
    width: int
    iterations: int
    encoder: Encoder
    losses: LossSum
    cost: float

    @property
    def through(self) -> str:
        """The encoder's name."""
        return encoder_name(self.encoder)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    def objective(self, content: Tensor | None, styles: Sequence[Style], tile: TileSize) -> Objective:
        """Return the objective of this stage, with the content and the styles at its size."""
        return Objective(
            self.encoder,
            self.losses,
            content=None if content is None else on_encoder(self.encoder, resize_image(content, self.shape)),
            styles=[at_scale(style, self.size) for style in styles],
            tile=tile,
        )

    def tiles(self, tile: int | None) -> list[Tile]:
        """Return the tiles of the picture.

        Raises:
            ValueError: the tile is smaller than the deepest stride, or a layer depends on the whole picture.

        """
        used = self._used()
        whole = next((layer.name for _, layer in used if layer.is_global), None)
        if tile is not None and whole is not None:
            raise ValueError(
                f"tiles cannot be exact with layer {whole!r}: its positions depend on the whole picture; leave tile "
                "out, or use earlier layers"
            )
        stride = math.lcm(*(layer.stride for _, layer in used))
        reach = 0 if whole is not None else max(reach_of(loss, layer) for loss, layer in used)
        return tiles(self.height, self.width, tile, stride, reach)

    def least_side(self) -> int:
        """Return the shortest side in pixels at which every layer has a position."""
        return max(MIN_SIDE, *(layer.stride for _, layer in self._used()))

    def _used(self) -> list[tuple[Loss, Layer]]:
        layers = layers_of(self.encoder)
        return [(term.loss, layers[name]) for term in resolve(self.losses) for name in term.layers]


def list_stages(
    schedule: Schedule | Sequence[Stage] | str,
    size: int,
    iterations: int | None,
    losses: LossSum,
    encoder: Encoder | str | None,
) -> tuple[tuple[Stage, ...], list[str]]:
    """Return the stages of a schedule, and a note for everything that is not as its name or the call says.

    Args:
        schedule: a name of ``SCHEDULES``, a function, or a sequence of stages.
        size: longest side of the result in pixels.
        iterations: evaluations at that size; None: the schedule's own number.
        losses: the losses of the call.
        encoder: the encoder of the call, or None.

    Raises:
        ValueError: an unknown name, a bad number of evaluations, no stages, or a last stage of another size.
        TypeError: a schedule of another type, or one that gives something else than stages.

    """
    if iterations is not None:
        iterations = whole_number("iterations", iterations, 1)
    if isinstance(schedule, str):
        if schedule not in SCHEDULES:
            raise unknown("schedule", schedule, SCHEDULES)
        function, reason = SCHEDULES[schedule], why_without_compact(losses, encoder)
        if reason is None or "compact" not in inspect.signature(function).parameters:
            return check_stages(function(size, iterations), size), []
        return check_stages(function(size, iterations, compact=None), size), [reason]  # type: ignore[call-arg]
    if callable(schedule):
        return check_stages(schedule(size, iterations), size), []
    stages = check_stages(schedule, size)
    if iterations in (None, stages[-1].iterations):
        return stages, []
    return stages, [f"iterations={iterations} is left out: a list of stages says how many evaluations each has"]


def resolve_stages(
    stages: Sequence[Stage],
    shape: Callable[[int], tuple[int, int]],
    losses: LossSum,
    *,
    encoder: Encoder | str | None,
    device: str | torch.device | None,
    references: Sequence[str],
    color: Color,
    tile: TileSize,
) -> tuple[tuple[PlannedStage, ...], list[str]]:
    """Resolve stages, and leave out those at which the deepest layer has no position; the last one always stays.

    Args:
        stages: what the schedule says.
        shape: from the longest side to (height, width).
        losses: the losses of the call.
        encoder: the encoder of the call, or None for the default one.
        device: where modules are moved; None: the accelerator that torch finds, else the CPU.
        references: which of "content" and "style" there are to compare with.
        color: whose colours the result has.
        tile: longest side of a tile.

    Returns:
        The stages, and a note on those that are left out.

    Raises:
        ValueError: an unknown network, layer or device, a reference that is missing, or a bad tile.
        TypeError: something that is no encoder, or losses of a stage that are none.

    """
    check_is_encoder(encoder)
    otherwise = DEFAULT_NETWORK if encoder is None else encoder
    encoders = _encoders([otherwise if stage.encoder is None else stage.encoder for stage in stages], device)
    planned: list[PlannedStage] = []
    for stage, network in zip(stages, encoders, strict=True):
        minimised = losses_through(network, losses, color) if stage.losses is None else as_sum(stage.losses(losses))
        check_losses(minimised, network, references)
        height, width = shape(stage.size)
        planned.append(PlannedStage(stage.size, height, width, stage.iterations, network, minimised, stage.cost))
    kept = [stage for stage in planned[:-1] if min(stage.shape) >= stage.least_side()] + [planned[-1]]
    for each in kept:
        each.tiles(None if tile == "auto" else tile)
    return tuple(kept), [_left_out(stage) for stage in planned if stage not in kept]


def _left_out(stage: PlannedStage) -> str:
    least = stage.least_side()
    return f"left out: a stage of {stage.width} x {stage.height} pixels, as its losses need {least} on each side"


def _encoders(encoders: Sequence[Encoder | str], device: str | torch.device | None) -> list[Encoder]:
    """The encoders, each on its device; a name gives one network, however often it occurs."""
    named = {name: default_encoder(name) for name in dict.fromkeys(e for e in encoders if isinstance(e, str))}
    networks = [named[encoder] if isinstance(encoder, str) else encoder for encoder in encoders]
    for network in networks:
        if isinstance(network, torch.nn.Module):
            network.to(find_device(device))
    return networks
