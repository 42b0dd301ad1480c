"""Progress of a run, as callbacks and the progress bar receive it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable as Function
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from PIL import Image
from torch import Tensor

from neuralstyle import distributed
from neuralstyle._log import logger
from neuralstyle._stopping import stopping
from neuralstyle.images import to_pil
from neuralstyle.machine.surroundings import plain_torch
from neuralstyle.objective.evaluation import Evaluation
from neuralstyle.objective.tiling import TileSize
from neuralstyle.painting.estimate import forecast_of
from neuralstyle.painting.forecast import OVERHEAD, show_left
from neuralstyle.painting.stages import PlannedStage

Render: TypeAlias = Function[[Tensor, "int | None"], Tensor]
"""(picture, number of levels that it will be rounded to, or None) -> the picture in its final colours."""


@dataclass(frozen=True, eq=False)
class Progress:
    """Progress of a run after an evaluation; callbacks receive it.

    Attributes:
        iteration: number of evaluations so far, over all stages.
        total: number of evaluations planned; an optimiser that converges early makes fewer.
        stage: number of the current stage, from 1.
        stages: number of stages.
        size: longest side of the picture at this stage, in pixels.
        loss: the objective at this evaluation.
        terms: weighted value of each loss by name; 0 for a loss that this stage lacks.
        elapsed: seconds of work so far, including those before a run was continued.
        picture: function that renders the result as if the work stopped now, (1, 3, H, W) in [0, 1], with its opacity
            as a fourth channel if the content is transparent somewhere. It takes the number of values of each channel,
            or None for no rounding. ``tensor`` and ``image`` call it.
        added: names of the terms that stages add to the losses of the call, such as pixel terms.
        full_size: longest side of the result in pixels; 0 where it is not known.
        left: seconds that the work still takes, or None before that is known.

    Example:
        ```python
        from neuralstyle import Progress, samples, stylize

        def stop_after_a_minute(progress: Progress) -> bool:
            print(progress.iteration, progress.terms)
            return progress.elapsed < 60

        stylize(samples.photo(), samples.painting("swirl"), size=64, iterations=2, callback=stop_after_a_minute)
        ```

    """

    iteration: int
    total: int
    stage: int
    stages: int
    size: int
    loss: float
    terms: dict[str, float]
    elapsed: float
    picture: Function[[int | None], Tensor] = field(repr=False)
    added: frozenset[str] = frozenset()
    full_size: int = 0
    left: float | None = None

    @plain_torch()
    def tensor(self) -> Tensor:
        """Return the result as if the work stopped now: (1, 3, H, W), or (1, 4, H, W) with opacity, in [0, 1]."""
        return self.picture(None)

    @plain_torch()
    def image(self) -> Image.Image:
        """Return that result as an 8-bit RGB or RGBA picture."""
        return to_pil(self.picture(256))


Callback: TypeAlias = Function[[Progress], "bool | None"]
"""Called after each evaluation; False stops the work."""


_FORMAT = "{desc} {percentage:3.0f}% |{bar}| {elapsed} < {remaining}{postfix}"


class Run:
    """Counts evaluations over all stages, and reports them to the progress bar and the callbacks.

    Args:
        stages: the stages of the plan.
        callbacks: called after each evaluation, in one process only.
        show: whether to show a progress bar.
        render: gives pictures their final colours.
        notes: lines to log, and to show once above the bar.
        tile: longest side of a tile, which the forecast of the time left takes into account.

    """

    def __init__(
        self,
        stages: Sequence[PlannedStage],
        callbacks: Sequence[Callback],
        show: bool,
        render: Render,
        notes: Sequence[str] = (),
        tile: TileSize = None,
    ) -> None:
        self.stages = stages
        self.callbacks = callbacks
        self.show = show and distributed.is_writer()
        self.render = render
        self.notes = notes
        # Every evaluation reports the terms of all stages in one order, so a log keeps its columns.
        self.terms = dict.fromkeys((name for stage in stages for name in stage.losses.names), 0.0)
        self.added = frozenset(name for stage in stages for name in stage.added)
        self.iteration = 0
        self.stage = 0
        self.started = time.monotonic()
        self.forecast = forecast_of(stages, tile)
        self.ticked = self.started  # when the last evaluation was reported
        self.bar: Any = None
        self.shown = ""

    def resume(self, iteration: int, elapsed: float) -> None:
        """Continue the counts of another run."""
        self.iteration = iteration
        self.started -= elapsed

    @property
    def elapsed(self) -> float:
        """Seconds of work so far."""
        return time.monotonic() - self.started

    def enter(self, stage: int, done: int = 0) -> None:
        """Begin a stage after ``done`` of its evaluations.

        The bar counts evaluations that a converged optimiser skipped in earlier stages.
        """
        self.stage = stage
        self.ticked = time.monotonic()
        ahead = sum(_work(earlier) for earlier in self.stages[:stage]) + done * _step(self.stages[stage])
        if self.bar is None:
            self._announce()
            self.bar = self._bar(ahead)
        self.bar.update(ahead - self.bar.n)
        self.bar.set_description_str(f"{self.stages[stage].size} px {self.stages[stage].through}")
        entered = self.stages[stage]
        logger.info("stage %d of %d: %d px through %s", stage + 1, len(self.stages), entered.size, entered.through)

    def close(self) -> None:
        """Remove the bar, if there is one."""
        if self.bar is not None:
            self.bar.close()

    def record(self, evaluation: Evaluation) -> tuple[float, Tensor]:
        """Keep the terms of an evaluation for the callbacks, and return its loss and gradient."""
        assert evaluation.gradient is not None
        self.terms = {name: evaluation.terms.get(name, 0.0) for name in self.terms}
        return evaluation.loss, evaluation.gradient

    def on_tile(self, done: int, total: int) -> None:
        """Show how many tiles of an evaluation are done, if there are several, and stop after any if asked to."""
        stopping.check()
        if total > 1:
            self.bar.set_postfix_str(f"{self.shown} tile {done}/{total}")

    def on_evaluation(self, count: int, loss: float, kept: Tensor) -> bool:
        """Report an evaluation; return False if a callback wants to stop."""
        self.iteration += 1
        stage = self.stages[self.stage]
        self.shown = f"loss {loss:.4g}"
        left = self._time_left(count)
        if self.show:
            show_left(self.bar, left, _FORMAT)
        self.bar.set_postfix_str(self.shown, refresh=False)
        self.bar.update(_step(stage))
        progress = Progress(
            iteration=self.iteration,
            total=sum(each.iterations for each in self.stages),
            stage=self.stage + 1,
            stages=len(self.stages),
            size=stage.size,
            loss=loss,
            terms=self.terms,
            elapsed=self.elapsed,
            picture=partial(self.render, kept),
            added=self.added,
            full_size=self.stages[-1].size,
            left=left,
        )
        # All callbacks are called, even after one has asked to stop. One process asks them, and all processes obey.
        callbacks = self.callbacks if distributed.is_writer() else ()
        answers = [_answer(callback, progress) for callback in callbacks]
        return distributed.least(float(all(answers)), kept.device) > 0

    def _time_left(self, done: int) -> float | None:
        now = time.monotonic()
        self.forecast.add(self.stage, now - self.ticked)
        self.ticked = now
        return self.forecast.left(self.stage, done)

    def _announce(self) -> None:
        for note in self.notes:
            logger.info(note)
            if self.show:
                from tqdm.auto import tqdm

                tqdm.write(note, file=sys.stderr)

    def _bar(self, ahead: int) -> Any:
        from tqdm.auto import tqdm

        return tqdm(
            total=sum(_work(stage) for stage in self.stages),
            initial=ahead,  # done by an earlier run, so not part of this run's pace
            disable=not self.show,
            bar_format=_FORMAT.replace("{remaining}", "?"),
        )


def _answer(callback: Callback, progress: Progress) -> bool:
    """Call a callback, and return whether the work continues."""
    try:
        answer = callback(progress)
    except StopIteration:
        return False
    return not (isinstance(answer, (bool, np.bool_)) and not answer)  # NumPy comparisons return np.bool_


def _step(stage: PlannedStage) -> int:
    """Return the work of an evaluation as the bar shows it, in pixels of VGG-19."""
    return int(stage.height * stage.width * stage.cost + OVERHEAD)


def _work(stage: PlannedStage) -> int:
    return _step(stage) * stage.iterations
