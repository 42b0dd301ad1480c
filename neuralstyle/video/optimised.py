"""Frames painted by optimisation: the losses of ``stylize``, and the temporal loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from neuralstyle._stopping import stopping
from neuralstyle.color import match_color
from neuralstyle.encoders.base import on_encoder
from neuralstyle.images import Picture, load_image, resize_image
from neuralstyle.losses import TemporalLoss
from neuralstyle.machine.surroundings import plain_torch
from neuralstyle.objective import Objective
from neuralstyle.optimizers import LBFGS
from neuralstyle.optimizers.in_parameters import InParameters
from neuralstyle.optimizers.minimize import minimize
from neuralstyle.optimizers.strategies import as_strategy
from neuralstyle.painting.paint import paint
from neuralstyle.painting.plan import Plan, plan
from neuralstyle.painting.stages import PlannedStage
from neuralstyle.styles import Style, at_scale
from neuralstyle.video.painters import HOLDS_FROM, Scene
from neuralstyle.video.references import WarpedFrame, composed, coverage, held

TEMPORAL_WEIGHT = 30.0
"""Weight of the temporal loss at a steadiness of 0.5, beside losses of the strength of the default ones."""

HIDDEN = 0.01
"""Share of a frame that no earlier one shows, from which on it is painted from coarse to fine, as a first frame is."""

NOTHING = 0.001
"""Share of a frame up to which nothing is left to paint."""

COARSE_FACTOR = 2
"""Evaluations of a coarse stage, which are cheap, relative to those at the full size."""

GENTLE_STEP = 0.002
"""Root mean square of the first step of L-BFGS from a frame that is nearly painted, in units of the pixel range."""


def temporal_weight(steadiness: float) -> float:
    """Return the weight of the temporal loss: ``TEMPORAL_WEIGHT`` at a steadiness of 0.5, and 22 times it at 1."""
    return TEMPORAL_WEIGHT * 1.1 * steadiness / (1.05 - steadiness)


@dataclass(frozen=True, eq=False)
class Optimised:
    """Paints a scene by optimisation, as ``stylize`` does.

    Args:
        style: the paintings, as for ``stylize``.
        options: the options of ``plan``.
        steadiness: from 0, every frame on its own, to 1.
        iterations: evaluations at the full size for each frame but the first of a scene.

    """

    style: Picture | Style | Sequence[Picture | Style]
    options: Mapping[str, Any]
    steadiness: float
    iterations: int

    def plan(self, content: Tensor) -> Plan:
        """The plan of a frame on its own."""
        return plan(content, self.style, **self.options)

    def __call__(self, content: Tensor) -> Scene:
        """Begin a scene."""
        return _OptimisedScene(self, content, self.plan(content))


@dataclass(frozen=True, eq=False)
class _OptimisedScene:
    """Paints by the plan of the scene's first frame; the objectives keep the targets of the styles."""

    painter: Optimised
    begun: Tensor
    plan: Plan
    objectives: dict[int, Objective] = field(default_factory=dict, init=False)

    @property
    def holds(self) -> bool:
        """Whether the steadiness is high enough for that."""
        return self.painter.steadiness >= HOLDS_FROM

    def first(self, content: Tensor) -> Tensor:
        """Paint as ``stylize`` does."""
        return load_image(paint(self.plan if content is self.begun else self.painter.plan(content)))

    @plain_torch()
    def next(self, content: Tensor, earlier: Sequence[WarpedFrame]) -> Tensor:
        """Start from the earlier frames, and where they show nothing from the content, in the colours of the paint."""
        *coarse, last = range(len(self.plan.stages))
        x = composed(earlier, match_color(content, earlier[0].picture))
        if 1 - coverage(earlier) >= HIDDEN:
            for number in coarse:
                small = self._lowered(number, content, earlier, x, COARSE_FACTOR * self.painter.iterations)
                x = composed(earlier, resize_image(small, self.plan.stages[-1].shape))
        free = 1 - held(earlier) if self.holds else None
        if free is None or free.mean() > NOTHING:
            lowered = self._lowered(last, content, earlier, x, self.painter.iterations, free)
            x = lowered if free is None else x.lerp(lowered, free)
        shown = replace(self.plan, content=on_encoder(self.plan.stages[-1].encoder, content))
        return load_image(shown.picture(x))

    def _lowered(
        self,
        number: int,
        content: Tensor,
        earlier: Sequence[WarpedFrame],
        x: Tensor,
        iterations: int,
        free: Tensor | None = None,
    ) -> Tensor:
        """Return a picture of lower loss at a stage, at its size; only pixels that are free change."""
        stage = self.plan.stages[number]
        objective = self._objective(number, stage, content, earlier)

        def evaluate(image: Tensor) -> tuple[float, Tensor]:
            stopping.check()
            found = objective.evaluate(image)
            assert found.gradient is not None
            gradient = self.plan.constrained(found.gradient)
            return found.loss, gradient if free is None else gradient * free.to(gradient)

        given = self.painter.options.get("optimizer")
        optimizer = LBFGS(first_step=GENTLE_STEP) if given is None else as_strategy(given)
        walk = optimizer if stage.parameters is None else InParameters(optimizer, stage.parameters)
        start = on_encoder(stage.encoder, resize_image(x, stage.shape))
        return minimize(walk, start, evaluate, iterations, result=self.plan.result).image.to(x)

    def _objective(
        self, number: int, stage: PlannedStage, content: Tensor, earlier: Sequence[WarpedFrame]
    ) -> Objective:
        """The objective of a stage for a frame."""
        small = on_encoder(stage.encoder, resize_image(content, stage.shape))
        previous = [
            Style(resize_image(frame.picture, stage.shape), region=frame.weight * frame.ripeness) for frame in earlier
        ]
        if number not in self.objectives:
            self.objectives[number] = Objective(
                stage.encoder,
                stage.losses + temporal_weight(self.painter.steadiness) * TemporalLoss(),
                content=small,
                styles=[at_scale(style, stage.size) for style in self.plan.styles],
                previous=previous,
                tile=self.plan.tile,
            )
        else:
            self.objectives[number] = self.objectives[number].with_pictures(content=small, previous=previous)
        return self.objectives[number]
