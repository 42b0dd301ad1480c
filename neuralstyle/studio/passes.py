"""How a painting goes on: by the schedule that was asked for, or on from the present picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from neuralstyle.encoders.vgg import COMPACT
from neuralstyle.images import resize_image
from neuralstyle.losses.base import as_sum
from neuralstyle.painting.stages import list_stages
from neuralstyle.recipes import DEFAULT_LOSSES, compact_stage, preview
from neuralstyle.schedule import Schedule, Stage
from neuralstyle.studio.scene import Scene

LOOK_SIZE = 384
"""Longest side in pixels at which new strokes are begun."""

SMALL_ITERATIONS, FOLLOW_ITERATIONS = 20, 16
"""Evaluations after a dial was turned, at half of the present size and at all of it."""

SMALLEST_HALF = 192
FIRST_NEW_STROKES = 192
"""Longest side in pixels from which new strokes are shown: smaller ones would blur the picture."""


@dataclass(frozen=True)
class Pass:
    """A part of the work between two decisions: one plan, painted.

    Attributes:
        name: "whole", "follow" or "refine".
        size: longest side of its result in pixels.
        schedule: the name of a schedule, or stages.
        goes_on: whether it starts from the present picture, and not from the photograph.
        keeps_detail: whether only the change that it makes to the present picture is added to it, so that the
            picture's detail stays while a smaller one is painted.
        shown_from: stages below this size are not shown, as the page has a finer picture already.
        later: number of stages after those of "preview", of whose picture little is lost.

    """

    name: str
    size: int
    schedule: Schedule | Sequence[Stage] | str
    goes_on: bool = False
    keeps_detail: bool = False
    shown_from: int = 0
    later: int = 0

    @property
    def is_exact(self) -> bool:
        """Whether a command with the dials of the scene paints the same bytes."""
        return not self.goes_on and isinstance(self.schedule, str)

    def options(self) -> dict[str, Any]:
        """Arguments of ``plan``."""
        return {"size": self.size, "schedule": self.schedule}


def anew(scene: Scene, shown_from: int = 0) -> list[Pass]:
    """Paint from the beginning: every schedule begins with a quick look, and goes on from there."""
    size, schedule = scene.dials.size, scene.dials.schedule
    later = len(_stages(scene, schedule)) - len(_stages(scene, "preview"))
    return [Pass("whole", size, schedule, shown_from=shown_from, later=later)]


def onward(scene: Scene, before: Scene, present: int, *, is_look: bool) -> list[Pass]:
    """Go on from the present picture after a dial was turned.

    Args:
        scene: what is painted now.
        before: what the present picture was painted from.
        present: longest side of the present picture in pixels.
        is_look: whether it is no more than a quick look, after which all of it is painted anyway.

    """
    present = min(present, scene.dials.size)
    if scene.needs_new_strokes(before):
        size = min(present, LOOK_SIZE)
        follow = [Pass("follow", size, preview(size), goes_on=True, shown_from=min(size, FIRST_NEW_STROKES))]
    elif scene.looks_like(before):
        follow = []
    else:
        follow = _follow(present)
    if is_look:
        return [*follow, *anew(scene, shown_from=present)]
    return [*follow, Pass("refine", scene.dials.size, _last_stages(scene, present), goes_on=True)]


def _follow(present: int) -> list[Pass]:
    """First in a picture of half the size, in which an evaluation takes a quarter of the time."""
    half = max(present // 2, SMALLEST_HALF)
    whole = Pass("follow", present, [compact_stage(present, FOLLOW_ITERATIONS)], goes_on=True)
    if half >= present:
        return [whole]
    small = Pass("follow", half, [compact_stage(half, SMALL_ITERATIONS)], goes_on=True, keeps_detail=True)
    return [small, whole]


def _last_stages(scene: Scene, present: int) -> list[Stage]:
    """The last stages of the schedule, at the final size: the coarser ones have been painted."""
    size, listed = scene.dials.size, _stages(scene, scene.dials.schedule)
    stages = [stage for stage in listed if stage.size == size]
    fine = [stage for stage in stages if stage.encoder != COMPACT]
    if not fine:
        return stages
    return fine if present >= size else [compact_stage(size, FOLLOW_ITERATIONS), *fine]


def _stages(scene: Scene, schedule: str) -> tuple[Stage, ...]:
    losses = scene.options()["losses"]
    listed, _ = list_stages(
        schedule, scene.dials.size, None, as_sum(DEFAULT_LOSSES if losses is None else losses), None
    )
    return listed


def with_detail_of(painted: Tensor, start: Tensor, present: Tensor) -> Tensor:
    """Return the present picture with the change from ``start`` to ``painted``, both smaller, added to it."""
    shape = (present.shape[2], present.shape[3])
    change = resize_image(painted, shape) - resize_image(start, shape)
    return (present + change).clamp(0, 1)
