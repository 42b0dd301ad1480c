"""Frames painted by optimisation: the losses of ``stylize``, and the temporal loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from torch import Tensor

from neuralstyle._stopping import stopping
from neuralstyle._words import Result
from neuralstyle.color import match_color
from neuralstyle.encoders.base import on_encoder
from neuralstyle.images import Picture, load_image, resize_image
from neuralstyle.losses import TemporalLoss
from neuralstyle.machine.surroundings import plain_torch
from neuralstyle.objective import Objective
from neuralstyle.optimizers import LBFGS, Adam
from neuralstyle.optimizers.base import Strategy
from neuralstyle.optimizers.in_parameters import InParameters
from neuralstyle.optimizers.minimize import minimize
from neuralstyle.optimizers.strategies import as_strategy
from neuralstyle.painting.paint import paint
from neuralstyle.painting.plan import Plan, plan
from neuralstyle.painting.stages import PlannedStage
from neuralstyle.parameters import Parameterization
from neuralstyle.styles import Style, at_scale
from neuralstyle.video.painters import HOLDS_FROM, Scene
from neuralstyle.video.references import WarpedFrame, composed, coverage, held, ripeness

TEMPORAL_WEIGHT = 20.0
"""Weight of the temporal loss at a steadiness of 0.5, beside losses of the strength of the default ones."""

HIDDEN = 0.01
"""Share of a frame that no earlier one shows, from which on it goes through the last coarse stage too."""

NOTHING = 0.001
"""Share of a frame up to which nothing is left to paint."""

Steps: TypeAlias = tuple[Strategy, Result]
"""An optimiser, and which picture is its result."""

BOLD: Steps = (LBFGS(first_step=0.002), "best")
"""For what no earlier frame shows or has finished, in the frames after the first of a scene."""

GENTLE: Steps = (Adam(lr=0.005), "average")
"""For all of such a frame, after that: the average flickers less."""


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
class Around:
    r"""Parameters z of a picture near a start s: the change is as smooth as they make it, and the start stays sharp.

    $$ x = \mathrm{clip}(s + P(z) - P(s), 0, 1) $$

    A frame that were smoothed itself would lose more of its detail with each frame after it.

    Args:
        start: the start, (1, 3, H, W) in [0, 1]; it is also the z of itself.
        parameters: P.

    """

    start: Tensor
    parameters: Parameterization

    def picture(self, parameters: Tensor) -> Tensor:
        """Return the picture of these parameters."""
        changed = self.parameters.picture(parameters) - self.parameters.picture(self.start)
        return (self.start + changed).clamp_(0, 1)

    def gradient(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the parameters from that of the picture."""
        return self.parameters.gradient(gradient)


@dataclass(frozen=True, eq=False)
class _OptimisedScene:
    """Paints by the plan of the scene's first frame; the objectives keep the targets of the styles."""

    painter: Optimised
    begun: Tensor
    plan: Plan
    objectives: dict[tuple[int, bool], Objective] = field(default_factory=dict, init=False)

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
        stages = self.plan.stages
        last = len(stages) - 1
        coarse = [number for number, stage in enumerate(stages) if stage.shape != stages[last].shape]
        x = composed(earlier, match_color(content, earlier[0].picture))
        if 1 - coverage(earlier) >= HIDDEN:
            for number in coarse[-1:]:
                small = self._lowered(number, content, earlier, x, self.painter.iterations)
                x = composed(earlier, resize_image(small, stages[last].shape))
        return self._finished(content, earlier, x, 1 - ripeness(earlier))

    @plain_torch()
    def again(self, content: Tensor, painted: Tensor, earlier: Sequence[WarpedFrame]) -> Tensor:
        """Start from the frames of this pass, and where they show nothing from the pass before."""
        return self._finished(content, earlier, composed(earlier, painted))

    def _finished(
        self, content: Tensor, earlier: Sequence[WarpedFrame], x: Tensor, unripe: Tensor | None = None
    ) -> Tensor:
        """Return a start, painted to the end at the full size, first where it is unripe; what is held stays."""
        last = len(self.plan.stages) - 1
        free = 1 - held(earlier) if self.holds and earlier else None
        if free is None or free.mean() > NOTHING:
            left = self.painter.iterations
            if unripe is not None and unripe.mean() >= HIDDEN:
                bold = math.ceil(left / 2)
                x = x.lerp(self._lowered(last, content, earlier, x, bold, unripe), unripe)
                left = max(left - bold, 1)
            lowered = self._lowered(last, content, earlier, x, left, free, GENTLE)
            x = lowered if free is None else x.lerp(lowered, free)
        shown = replace(self.plan, content=on_encoder(self.plan.stages[last].encoder, content))
        return load_image(shown.picture(x))

    def _lowered(
        self,
        number: int,
        content: Tensor,
        earlier: Sequence[WarpedFrame],
        x: Tensor,
        iterations: int,
        free: Tensor | None = None,
        steps: Steps = BOLD,
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
        optimizer, result = steps if given is None else (as_strategy(given), "best")
        start = on_encoder(stage.encoder, resize_image(x, stage.shape))
        walk = optimizer if stage.parameters is None else InParameters(optimizer, Around(start, stage.parameters))
        return minimize(
            walk, start, evaluate, iterations, result=self.painter.options.get("result") or result
        ).image.to(x)

    def _objective(
        self, number: int, stage: PlannedStage, content: Tensor, earlier: Sequence[WarpedFrame]
    ) -> Objective:
        """The objective of a stage for a frame; without earlier frames it has no temporal loss."""
        small = on_encoder(stage.encoder, resize_image(content, stage.shape))
        previous = [
            Style(resize_image(frame.picture, stage.shape), region=frame.weight * frame.ripeness) for frame in earlier
        ]
        key = number, bool(previous)
        if key not in self.objectives:
            temporal = temporal_weight(self.painter.steadiness) * TemporalLoss()
            self.objectives[key] = Objective(
                stage.encoder,
                stage.losses + temporal if previous else stage.losses,
                content=small,
                styles=[at_scale(style, stage.size) for style in self.plan.styles],
                previous=previous,
                tile=self.plan.tile,
            )
        else:
            self.objectives[key] = self.objectives[key].with_pictures(content=small, previous=previous or None)
        return self.objectives[key]
