"""Where a run stands, and who is told: the callbacks and the progress bar."""

from __future__ import annotations

import time
from collections.abc import Callable as Function
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from PIL import Image
from torch import Tensor

from neuralstyle import distributed
from neuralstyle.encoders.vgg import COMPACT
from neuralstyle.images import to_pil
from neuralstyle.objective.objective import Evaluation
from neuralstyle.schedule import Scale

COMPACT_SHARE = 0.12
"""Of VGG-19's time that an evaluation through the compact encoder takes; the progress bar forecasts by it."""

Render: TypeAlias = Function[[Tensor, "int | None"], Tensor]
"""(picture, number of levels that it will be rounded to, or None) -> the picture in its final colours."""


@dataclass(frozen=True, eq=False)
class Progress:
    """Where a run stands after an evaluation; handed to the callback.

    Attributes:
        iteration: evaluations so far, over all scales, from 1.
        total: evaluations in all; an optimiser that converges needs fewer.
        scale: number of the present stage of the schedule, from 1.
        scales: how many there are.
        size: longest side of the picture at this scale, in pixels.
        loss: the objective at this evaluation.
        terms: each loss's part of it, weighted.
        elapsed: seconds since the start; a continued run counts on.

    Example:
        ```python
        from neuralstyle import Progress, samples, stylize

        def watch(progress: Progress) -> bool:
            print(progress.iteration, progress.terms)
            return progress.elapsed < 60

        stylize(samples.photo(), samples.painting("swirl"), size=64, iterations=2, callback=watch)
        ```

    """

    iteration: int
    total: int
    scale: int
    scales: int
    size: int
    loss: float
    terms: dict[str, float]
    elapsed: float
    _kept: Tensor = field(repr=False)
    _render: Render = field(repr=False)

    def tensor(self) -> Tensor:
        """What the result would be if the work stopped now: (1, 3, H, W) in [0, 1], at this scale's size."""
        return self._render(self._kept, None)

    def image(self) -> Image.Image:
        """The same as an 8-bit RGB picture; rendered only when called."""
        return to_pil(self._render(self._kept, 256))


Callback: TypeAlias = Function[[Progress], "bool | None"]


class Run:
    """Counts evaluations over all stages, and tells the progress bar and the callbacks."""

    def __init__(
        self,
        scales: Sequence[Scale],
        callbacks: Sequence[Callback],
        show: bool,
        render: Render,
        passing: Sequence[str] = (),
    ) -> None:
        self.passing = passing  # names of terms that some stages only have; 0 in the others
        self.scales = scales
        self.callbacks = callbacks
        self.show = show
        self.render = render
        self.iteration = 0
        self.stage = 0
        self.started = time.monotonic()
        self.terms: dict[str, float] = {}
        self.bar: Any = None
        self.shown = ""

    def resume(self, iteration: int, elapsed: float) -> None:
        """Count on from another run."""
        self.iteration = iteration
        self.started -= elapsed

    @property
    def elapsed(self) -> float:
        """Seconds of work so far."""
        return time.monotonic() - self.started

    def enter(self, stage: int, done: int = 0) -> None:
        """Begin a stage, ``done`` of whose evaluations are made.

        What an optimiser that converged has left undone counts as done.
        """
        self.stage = stage
        scale = self.scales[stage]
        ahead = sum(_work(earlier) for earlier in self.scales[:stage]) + done * _work(scale) // scale.iterations
        if self.bar is None:
            self.bar = self._bar(ahead)
        self.bar.update(ahead - self.bar.n)
        through = f" {scale.encoder}" if isinstance(scale.encoder, str) else ""
        self.bar.set_description_str(f"{scale.size} px{through}")

    def close(self) -> None:
        """Take the bar down, if it has come up."""
        if self.bar is not None:
            self.bar.close()

    def note(self, evaluation: Evaluation) -> tuple[float, Tensor]:
        """Keep the terms of an evaluation for the callbacks."""
        assert evaluation.gradient is not None
        self.terms = {**evaluation.terms, **{n: 0.0 for n in self.passing if n not in evaluation.terms}}
        return evaluation.loss, evaluation.gradient

    def tiles(self, done: int, total: int) -> None:
        """Show how far an evaluation in several tiles has come."""
        if total > 1:
            self.bar.set_postfix_str(f"{self.shown} tile {done}/{total}")

    def watch(self, count: int, loss: float, kept: Tensor) -> bool:
        """Report an evaluation; False if a callback wants to stop."""
        self.iteration += 1
        scale = self.scales[self.stage]
        self.shown = f"loss {loss:.4g}"
        self.bar.set_postfix_str(self.shown, refresh=False)
        self.bar.update(_work(scale) // scale.iterations)
        progress = Progress(
            iteration=self.iteration,
            total=sum(stage.iterations for stage in self.scales),
            scale=self.stage + 1,
            scales=len(self.scales),
            size=scale.size,
            loss=loss,
            terms=self.terms,
            elapsed=self.elapsed,
            _kept=kept,
            _render=self.render,
        )
        # All of them are called, also after one that wants to stop; of several processes one asks, for all.
        callbacks = self.callbacks if distributed.is_writer() else ()
        answers = [_answer(callback, progress) for callback in callbacks]
        return distributed.least(float(all(answers)), kept.device) > 0

    def _bar(self, ahead: int) -> Any:
        from tqdm.auto import tqdm

        # The bar counts pixels at their cost, not evaluations: its forecast of the time left then holds across stages.
        return tqdm(
            total=sum(_work(scale) for scale in self.scales),
            initial=ahead,  # of another run, whose pace is not this one's
            disable=not (self.show and distributed.is_writer()),
            bar_format="{desc} {percentage:3.0f}% |{bar}| {elapsed} < {remaining}{postfix}",
        )


def _answer(callback: Callback, progress: Progress) -> bool:
    """Whether a callback lets the work go on."""
    try:
        answer = callback(progress)
    except StopIteration:
        return False
    return not (isinstance(answer, (bool, np.bool_)) and not answer)  # a comparison of NumPy's gives its own kind


def _work(scale: Scale) -> int:
    share = COMPACT_SHARE if scale.encoder == COMPACT else 1
    return int(share * scale.size**2) * scale.iterations
