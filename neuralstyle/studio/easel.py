"""The easel: it paints a plan, measures, and shows the picture as often as the painting can spare."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image
from torch import Tensor

from neuralstyle.images import fit_size, resize_image, to_pil
from neuralstyle.painting.estimate import forecast_of
from neuralstyle.painting.paint import paint
from neuralstyle.painting.plan import Plan
from neuralstyle.painting.progress import Progress
from neuralstyle.studio.news import News
from neuralstyle.studio.shelf import jpeg

LARGE = "large"
"""The name of the pass of a large picture, which has no curves."""

FRAME_SECONDS = 0.12
"""Least seconds between two frames."""

FRAME_SHARE = 0.15
"""Largest share of the time that frames may take."""

FRAME_SIDE = 2048
"""Longest side in pixels of a frame."""


@dataclass(frozen=True)
class Turn:
    """An evaluation, as the page shows it.

    Attributes:
        name: what the pass is for: "whole", "follow", "refine" or "large".
        number: number of the pass, from 1.
        passes: number of passes.
        progress: of the pass.
        through: the encoder's name.
        seconds_left: of this pass, or None if nothing is known yet.

    """

    name: str = ""
    number: int = 0
    passes: int = 0
    progress: Any = None
    through: str = ""
    seconds_left: float | None = None

    @property
    def is_last(self) -> bool:
        """Whether the pass ends with it."""
        return bool(self.progress.iteration == self.progress.total)

    def is_look(self, later: int) -> bool:
        """Whether so many stages or more follow."""
        return bool(self.progress.stages - self.progress.stage >= later)

    def facts(self) -> dict[str, Any] | None:
        """The turn for the page."""
        if self.progress is None:
            return None
        step: Progress = self.progress
        facts = {"name": self.name, "pass": self.number, "passes": self.passes, "through": self.through}
        facts |= {"iteration": step.iteration, "total": step.total, "size": step.size, "stage": step.stage}
        left = None if self.seconds_left is None else round(self.seconds_left, 1)
        return {**facts, "stages": step.stages, "loss": step.loss, "left": left}


class Easel:
    """Paints plans and shows frames.

    Args:
        news: where frames and points of the curves go.

    """

    def __init__(self, news: News) -> None:
        self._news = news
        self._count = 0
        self._next_frame = 0.0

    def paint(self, plan: Plan, first: Turn, on_evaluation: Callable[[Turn], bool]) -> Image.Image:
        """Paint a plan.

        Args:
            plan: the plan.
            first: the turn without progress, which names the pass. The first pass begins the curves.
            on_evaluation: called after each evaluation; returns whether to go on.

        """
        forecast = forecast_of(plan.stages, plan.tile)  # its own: what the page does in between does not count
        before, entered = time.monotonic(), (0, 0)
        self._next_frame = 0.0

        def watch(progress: Progress) -> bool:
            nonlocal before, entered
            now, stage = time.monotonic(), progress.stage - 1
            if entered[0] != progress.stage:
                entered = (progress.stage, progress.iteration - 1)
            forecast.add(stage, now - before)
            left = forecast.left(stage, progress.iteration - entered[1])
            through = plan.stages[stage].through
            if first.name != LARGE:
                self._count += 1
                part = f"{first.number}.{progress.stage}"
                self._news.add_point({"x": self._count, "part": part, "size": progress.size, "terms": progress.terms})
            answer = on_evaluation(replace(first, progress=progress, through=through, seconds_left=left))
            before = time.monotonic()
            return answer

        return paint(plan, callback=watch)

    def is_due(self) -> bool:
        """Whether it is time for a frame."""
        return time.monotonic() >= self._next_frame

    def show(self, picture: Tensor) -> None:
        """Show a picture, (1, 3, H, W), as the next frame."""
        started = time.monotonic()
        height, width = picture.shape[-2:]
        if max(height, width) > FRAME_SIDE:
            picture = resize_image(picture, fit_size(height, width, FRAME_SIDE))
        self._news.show(jpeg(to_pil(picture), 88))
        now = time.monotonic()
        self._next_frame = now + max(FRAME_SECONDS, (now - started) / FRAME_SHARE)

    def show_finished(self, picture: Image.Image) -> None:
        """Show a finished picture as the next frame, a little finer."""
        copy = picture.copy()
        copy.thumbnail((FRAME_SIDE, FRAME_SIDE), Image.Resampling.LANCZOS)
        self._news.show(jpeg(copy, 94))
