"""How a painting goes on: a quick look first, then the schedule that was asked for; or on from the present picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from neuralstyle.losses.base import as_sum
from neuralstyle.painting.stages import list_stages
from neuralstyle.recipes import DEFAULT_LOSSES, compact_stage, preview
from neuralstyle.schedule import Schedule, Stage
from neuralstyle.studio.scene import Scene

LOOK_SIZE = 384
"""Longest side in pixels of the quick look."""

FOLLOW_ITERATIONS = 24
"""Evaluations at the present size after a dial was turned."""


@dataclass(frozen=True)
class Pass:
    """A part of the work between two decisions: one plan, painted.

    Attributes:
        name: "look", "whole", "follow" or "refine".
        size: longest side of its result in pixels.
        schedule: the name of a schedule if it starts at the photograph, so that a command repeats it; else stages.
        start: the picture to go on from, or None.
        shown_from: stages below this size are not shown, as the page has a finer picture already.

    """

    name: str
    size: int
    schedule: Schedule | Sequence[Stage] | str
    start: Tensor | None = None
    shown_from: int = 0

    @property
    def is_exact(self) -> bool:
        """Whether a command with the dials of the scene paints the same bytes."""
        return self.start is None and isinstance(self.schedule, str)

    def options(self) -> dict[str, Any]:
        """Arguments of ``plan``."""
        start = {} if self.start is None else {"init": self.start}
        return {"size": self.size, "schedule": self.schedule, **start}


def anew(scene: Scene) -> list[Pass]:
    """Paint from the beginning: a quick look, then all of it."""
    size, detail = scene.dials.size, scene.dials.detail
    look = Pass("look", min(size, LOOK_SIZE), "preview")
    if detail == "preview" and size <= LOOK_SIZE:
        return [look]
    return [look, Pass("whole", size, detail, shown_from=look.size)]


def onward(scene: Scene, shown: Tensor, *, is_look: bool, new_strokes: bool) -> list[Pass]:
    """Go on from the present picture after a dial was turned.

    Args:
        scene: what is painted now.
        shown: the present picture, (1, 3, H, W).
        is_look: whether it is no more than a quick look, after which all of it is painted anyway.
        new_strokes: whether strokes of another size or kind are painted, which begin in a small picture.

    """
    size, detail = scene.dials.size, scene.dials.detail
    present = min(max(shown.shape[-2:]), size, LOOK_SIZE if new_strokes or is_look else size)
    quick = preview(present) if new_strokes else [_through_compact(present, FOLLOW_ITERATIONS)]
    follow = Pass("follow", present, quick, shown)
    if is_look:
        return [follow, *anew(scene)[1:]]
    stages = _last_stages(scene)
    return [follow, Pass("refine", size, stages, shown_from=present)] if stages else [follow]


def _through_compact(size: int, iterations: int) -> Stage:
    return compact_stage(size, iterations, parameters=None)


def _last_stages(scene: Scene) -> list[Stage]:
    """The stages of the schedule at the final size, as the coarser ones have been painted."""
    size = scene.dials.size
    losses = scene.options()["losses"]
    listed, _ = list_stages(scene.dials.detail, size, None, as_sum(DEFAULT_LOSSES if losses is None else losses), None)
    return [stage for stage in listed if stage.size == size]
