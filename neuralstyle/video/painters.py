"""Painters: how one frame is painted, given the frames before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from torch import Tensor

from neuralstyle._stopping import stopping
from neuralstyle.checkpoint import fingerprint
from neuralstyle.color import match_color
from neuralstyle.encoders.base import on_encoder
from neuralstyle.feedforward.files import load_on_device
from neuralstyle.feedforward.tiled import run_model
from neuralstyle.images import Picture, load_image
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
from neuralstyle.video.references import WarpedFrame, composed

TEMPORAL_WEIGHT = 100.0
"""Weight of the temporal loss at a steadiness of 0.5, relative to losses of the strength of the default ones."""

GENTLE_STEP = 0.002
"""Root mean square of the first step of L-BFGS from a frame that is nearly painted, in units of the pixel range."""


class Scene(Protocol):
    """Paints the frames of one scene, one after the other. Frames are (1, 3, H, W) in [0, 1]."""

    def first(self, content: Tensor) -> Tensor:
        """Paint a frame that no other is before."""

    def next(self, content: Tensor, earlier: Sequence[WarpedFrame]) -> Tensor:
        """Paint a frame that earlier ones are warped to."""


Painter = Callable[[Tensor], Scene]
"""From the first content of a scene to what paints the scene."""


def temporal_weight(steadiness: float) -> float:
    """Return the weight of the temporal loss: ``TEMPORAL_WEIGHT`` at a steadiness of 0.5, and 23 times it at 1."""
    return TEMPORAL_WEIGHT * steadiness / (1.05 - steadiness) * 1.1


@dataclass(frozen=True, eq=False)
class Optimised:
    """Paints a scene by optimisation, as ``stylize`` does.

    Args:
        style: the paintings, as for ``stylize``.
        options: the options of ``plan``.
        steadiness: from 0, every frame on its own, to 1.
        iterations: evaluations for each frame but the first of a scene.
    """

    style: Picture | Style | Sequence[Picture | Style]
    options: Mapping[str, Any]
    steadiness: float
    iterations: int

    def __call__(self, content: Tensor) -> Scene:
        """Begin a scene."""
        return _OptimisedScene(self, plan(content, self.style, **self.options), content)


@dataclass(eq=False)
class _OptimisedScene:
    painter: Optimised
    plan: Plan
    begun: Tensor
    objective: Objective | None = field(default=None, init=False)

    def first(self, content: Tensor) -> Tensor:
        """Paint by the plan, whose styles suit the first content of the scene."""
        fits = content is self.begun
        return load_image(paint(self.plan if fits else plan(content, self.painter.style, **self.painter.options)))

    @plain_torch()
    def next(self, content: Tensor, earlier: Sequence[WarpedFrame]) -> Tensor:
        """Start from the earlier frames, and from the content where they do not count."""
        stage = self.plan.stages[-1]
        content = on_encoder(stage.encoder, content)
        # What was hidden before comes from the content, in the colours of the paint beside it.
        start = on_encoder(stage.encoder, composed(earlier, match_color(content, earlier[0].picture)))
        previous = [Style(on_encoder(stage.encoder, frame.picture), region=frame.weight) for frame in earlier]
        if self.objective is None:
            self.objective = self._objective(stage, content, previous)
        else:
            self.objective = self.objective.with_pictures(content=content, previous=previous)
        evaluate_at = self.objective.evaluate

        def evaluate(x: Tensor) -> tuple[float, Tensor]:
            stopping.check()
            found = evaluate_at(x)
            assert found.gradient is not None
            return found.loss, self.plan.constrained(found.gradient)

        given = self.painter.options.get("optimizer")
        optimizer = LBFGS(first_step=GENTLE_STEP) if given is None else as_strategy(given)
        walk = optimizer if stage.parameters is None else InParameters(optimizer, stage.parameters)
        found = minimize(walk, start, evaluate, self.painter.iterations, result=self.plan.result)
        return load_image(replace(self.plan, content=content).picture(found.image))

    def _objective(self, stage: PlannedStage, content: Tensor, previous: Sequence[Style]) -> Objective:
        return Objective(
            stage.encoder,
            stage.losses + temporal_weight(self.painter.steadiness) * TemporalLoss(),
            content=content,
            styles=[at_scale(style, stage.size) for style in self.plan.styles],
            previous=previous,
            tile=self.plan.tile,
        )


def fingerprint_of(picture: Tensor) -> str:
    """Return digits that stand for what a network painted: they name the network too."""
    return fingerprint(picture)


NETWORK_SHARE = 0.9
"""Share of the earlier frame in a frame of a trained network at a steadiness of 1, where the earlier frame counts."""


@dataclass(frozen=True, eq=False)
class ByNetwork:
    r"""Paints a scene with a trained network, as ``apply_model`` does, and steadies what it paints.

    With n the frame as the network paints it, $\omega$ the earlier frame, warped, and c its mask,

    $$
    x = n + s\, c\, (\omega - n)
    $$

    is where $(1 - s) |x - n|^2 + s\, c\, |x - \omega|^2$ is least for c = 1: the temporal loss on the pixels, with no
    need to optimise.

    Args:
        network: a loaded network, or its file.
        tile: as in ``apply_model``.
        device: as in ``apply_model``.
        steadiness: from 0 to 1; s is ``NETWORK_SHARE`` times it.

    """

    network: Any
    tile: int | None
    device: Any
    steadiness: float

    def __call__(self, content: Tensor) -> Scene:
        """Begin a scene."""
        return _NetworkScene(load_on_device(self.network, self.device), self.tile, NETWORK_SHARE * self.steadiness)


@dataclass(frozen=True, eq=False)
class _NetworkScene:
    network: Callable[[Tensor], Tensor]
    tile: int | None
    share: float

    def first(self, content: Tensor) -> Tensor:
        """The network's picture."""
        return run_model(self.network, content, self.tile).cpu()

    def next(self, content: Tensor, earlier: Sequence[WarpedFrame]) -> Tensor:
        """The network's picture, drawn towards the earlier frames."""
        painted = self.first(content)
        return painted.lerp(composed(earlier, painted), self.share)
