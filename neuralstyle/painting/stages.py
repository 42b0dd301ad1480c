"""Resolved stages: the picture's shape, the encoder, and the losses to minimise."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from neuralstyle._errors import takes, whole_number
from neuralstyle._words import Color, Result
from neuralstyle.encoders.base import Encoder, check_is_encoder, encoder_name, least_side, on_encoder
from neuralstyle.encoders.default import default_encoder
from neuralstyle.images import MIN_SIDE, fit_size, load_image, resize_image
from neuralstyle.losses import LossSum
from neuralstyle.losses.base import as_sum
from neuralstyle.machine.devices import find_device
from neuralstyle.machine.keeping import Same, keep
from neuralstyle.objective.features import FeatureSource, layers_of
from neuralstyle.objective.objective import Objective
from neuralstyle.objective.parts import check_parts, layers_in_use, resolve, size_of
from neuralstyle.objective.planning import TilePlanner
from neuralstyle.objective.rehearsal import try_encoder
from neuralstyle.objective.targets import check_losses, check_styles
from neuralstyle.objective.tiling import Tile, TileSize
from neuralstyle.optimizers.base import Strategy
from neuralstyle.optimizers.in_parameters import InParameters
from neuralstyle.optimizers.lbfgs import LBFGS
from neuralstyle.optimizers.strategies import as_strategy
from neuralstyle.parameters import Parameterization, wrapping
from neuralstyle.recipes import DEFAULT_NETWORK, losses_through, named_schedule
from neuralstyle.schedule import FULL_SIZE, Schedule, Stage, check_stages
from neuralstyle.styles import Style, at_scale, side_at_scale


@dataclass(frozen=True, eq=False)
class PlannedStage:
    """A stage of a plan.

    Attributes:
        size: longest side of the picture in pixels.
        height: height of the picture in pixels.
        width: width of the picture in pixels.
        iterations: number of evaluations.
        encoder: the encoder, on its device.
        losses: the losses to minimise.
        cost: time of an evaluation per pixel, relative to VGG-19.
        parameters: what the optimiser changes; None: the pixels.
        seamless: whether the picture repeats.
        added: names of the losses that the call has not: those that the stage adds.
        optimizer: the strategy.
        result: which picture is the result of the stage: "best", "last" or "average".

    """

    size: int
    height: int
    width: int
    iterations: int
    encoder: Encoder
    losses: LossSum
    cost: float
    parameters: Parameterization | None = None
    seamless: bool = False
    added: tuple[str, ...] = ()
    optimizer: Strategy = field(default_factory=LBFGS)
    result: Result = "best"

    @property
    def through(self) -> str:
        """The encoder's name."""
        return encoder_name(self.encoder)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    def objective(
        self, content: Tensor | None, styles: Sequence[Style], tile: TileSize, opacity: Tensor | None = None
    ) -> Objective:
        """Return the objective of this stage, with the content, its opacity and the styles at its size.

        In tiles above 1024 pixels the content's maps are kept in 16 bits: they would be the largest thing in memory.
        """
        maps = torch.bfloat16 if tile is not None and self.size > FULL_SIZE else None
        return Objective(
            self.encoder,
            self.losses,
            content=None if content is None else on_encoder(self.encoder, self.resized(content)),
            styles=[at_scale(style, self.size) for style in styles],
            opacity=opacity,
            seamless=self.seamless,
            tile=tile,
            map_dtype=maps,
        )

    @property
    def strategy(self) -> Strategy:
        """The optimiser as it works at this stage, on pixels or on parameters."""
        return self.optimizer if self.parameters is None else InParameters(self.optimizer, self.parameters)

    def resized(self, picture: Tensor) -> Tensor:
        """Return a picture at this stage's size."""
        return resize_image(picture, self.shape, wraps=self.seamless)

    def tiles(self, tile: int | None) -> list[Tile]:
        """Return the tiles of the picture.

        Raises:
            ValueError: the tile is smaller than the deepest stride, a layer depends on the whole picture, or an
                encoder sees further than it says.

        """
        terms = resolve(self.losses)
        source = FeatureSource(self.encoder, layers_in_use(terms))
        return TilePlanner(source, terms, wraps=self.seamless).lay(self.height, self.width, tile)

    def least_side(self) -> int:
        """Return the shortest side in pixels at which every layer has a position."""
        layers = layers_of(self.encoder)
        return max(MIN_SIDE, least_side(layers[name] for term in resolve(self.losses) for name in term.layers))

    def check(self, styles: Sequence[Style], tile: TileSize) -> None:
        """Check what can be refused of this stage without its targets: masks, regions, tiles, and other people's code.

        Raises:
            TypeError: an encoder that returns no features by layer name.
            ValueError: a mask, region or tile that does not fit; a loss or an encoder that breaks its contract.

        """
        terms = resolve(self.losses)
        source = FeatureSource(self.encoder, layers_in_use(terms))
        like = on_encoder(self.encoder, torch.empty(0, dtype=torch.float32))
        sizes = []
        for style in styles:
            height, width = size_of(load_image(style.image))
            sizes.append(fit_size(height, width, side_at_scale(style, self.size, height, width)))
        check_styles(terms, source, styles, sizes)
        with source.arithmetic(like.device):
            check_parts(terms, source.layers, like)
            try_encoder(source)
            self.tiles(None if tile == "auto" else tile)


def list_stages(
    schedule: Schedule | Sequence[Stage] | str,
    size: int,
    iterations: int | None,
    losses: LossSum,
    encoder: Encoder | str | None,
) -> tuple[tuple[Stage, ...], list[str]]:
    """Return the stages of a schedule, and a note for each departure from its name or the call.

    Args:
        schedule: a name of ``SCHEDULES``, a function, or a sequence of stages.
        size: longest side of the result in pixels.
        iterations: evaluations at that size; None: the schedule's own number.
        losses: the losses of the call.
        encoder: the encoder of the call, or None.

    Raises:
        ValueError: an unknown name, a bad number of evaluations, no stages, or a last stage of another size.
        TypeError: a schedule of another type, or one that does not give a list of stages.

    """
    if iterations is not None:
        iterations = whole_number("iterations", iterations, 1)
    if isinstance(schedule, str):
        function, reason = named_schedule(schedule, losses, encoder)
        return check_stages(function(size, iterations), size), [] if reason is None else [reason]
    if callable(schedule):
        if not takes(schedule, size, iterations):
            raise TypeError(
                f"a schedule is called with two arguments, the size and the iterations (or None); {schedule!r} cannot "
                "be: give a function such as lambda size, iterations: [Stage(size, iterations or 60)]"
            )
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
    optimizer: Strategy | None,
    result: Result | None,
    device: str | torch.device | None,
    content: bool,
    styles: Sequence[Style],
    color: Color,
    tile: TileSize,
    seamless: bool,
) -> tuple[tuple[PlannedStage, ...], list[str]]:
    """Resolve stages. Leaves out those too small for the deepest layer, but never the last one.

    Args:
        stages: the stages of the schedule.
        shape: function from the longest side to (height, width).
        losses: the losses of the call.
        encoder: the encoder of the call, or None for the default one.
        optimizer: the optimiser of the call; None: those of the stages.
        result: which picture is the result by the call; None: by the stages, or "best" where the call's optimiser takes
            the place of a stage's own.
        device: where modules are, or are copied to; None: the accelerator that torch finds, else the CPU.
        content: whether there is a content to compare with.
        styles: the styles, with their pictures loaded.
        color: whose colours the result has.
        tile: longest side of a tile.
        seamless: whether the result repeats.

    Returns:
        The stages, and a note for each that is left out.

    Raises:
        ValueError: an unknown network, layer or device, a reference that is missing, or as ``PlannedStage.check``.
        TypeError: something that is no encoder, or losses of a stage that are none.

    """
    if encoder is not None and not isinstance(encoder, str):
        check_is_encoder(encoder)
    otherwise = DEFAULT_NETWORK if encoder is None else encoder
    encoders = _encoders([otherwise if stage.encoder is None else stage.encoder for stage in stages], device)
    references = [name for name, given in (("content", content), ("style", styles)) if given]
    planned: list[PlannedStage] = []
    for stage, network in zip(stages, encoders, strict=True):
        minimised = losses_through(network, losses, color)
        if stage.losses is not None:
            minimised = as_sum(stage.losses(minimised), f"the losses of a stage of {stage.size} pixels")
        check_losses(minimised, network, references)
        height, width = shape(stage.size)
        parameters = wrapping(stage.parameters) if seamless else stage.parameters
        replaced = optimizer is not None and stage.optimizer is not None
        planned.append(
            PlannedStage(
                stage.size,
                height,
                width,
                stage.iterations,
                network,
                minimised,
                stage.cost,
                parameters,
                seamless,
                _added(minimised, losses),
                as_strategy(stage.optimizer) if optimizer is None else optimizer,
                result or (None if replaced else stage.result) or "best",
            )
        )
    kept = [stage for stage in planned[:-1] if min(stage.shape) >= stage.least_side()] + [planned[-1]]
    for each in kept:
        each.check(styles, tile)
    return tuple(kept), [_left_out(stage) for stage in planned if stage not in kept]


def _added(minimised: LossSum, losses: LossSum) -> tuple[str, ...]:
    """Return the names of the losses of a stage that those of the call have not, at any layers and weight."""
    return tuple(name for name in minimised.names if name not in losses.names)


def _left_out(stage: PlannedStage) -> str:
    least = stage.least_side()
    return f"left out: a stage of {stage.width} x {stage.height} pixels, as its losses need {least} on each side"


def _encoders(encoders: Sequence[Encoder | str], device: str | torch.device | None) -> list[Encoder]:
    """Return the encoders on their device; each name makes one network."""
    named = {
        name: keep("encoder", partial(str, name), partial(default_encoder, name))
        for name in dict.fromkeys(e for e in encoders if isinstance(e, str))
    }
    networks = [named[encoder] if isinstance(encoder, str) else encoder for encoder in encoders]
    place = torch.empty(0, dtype=torch.uint8, device=find_device(device)).device  # with its number, as tensors have it
    placed = {
        id(network): keep("placed encoder", partial(_place_key, network, place), partial(encoder_on, network, place))
        for network in networks
    }
    return [placed[id(network)] for network in networks]


def _place_key(network: Encoder, place: torch.device) -> tuple[Same, torch.device]:
    return Same(network), place


def encoder_on(encoder: Encoder, device: torch.device) -> Encoder:
    """The encoder on a device: itself if it is there, else a copy, as it may be in use where it is."""
    if not isinstance(encoder, torch.nn.Module):
        return encoder
    if all(tensor.device == device for tensor in (*encoder.parameters(), *encoder.buffers())):
        return encoder
    try:
        return copy.deepcopy(encoder).to(device)
    except (TypeError, RuntimeError, copy.Error) as error:
        raise ValueError(
            f"{encoder_name(encoder)} is not on {str(device)!r}, and it cannot be copied there ({error}); move it with "
            f".to({str(device)!r}) first, or choose its device"
        ) from error
