"""Forecast of a plan's time and memory, from a few small evaluations through each encoder."""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from neuralstyle.encoders.base import on_encoder
from neuralstyle.images import resize_image
from neuralstyle.losses.base import weights_in_use
from neuralstyle.machine.memory import FREE_MEMORY_SHARE, free_memory
from neuralstyle.machine.peak_memory import peak_memory
from neuralstyle.objective.auto_tile import SAMPLE_SIDE
from neuralstyle.objective.tiling import Tile, TileSize
from neuralstyle.optimizers.base import Strategy
from neuralstyle.optimizers.lbfgs import LBFGS
from neuralstyle.optimizers.minimize import minimize
from neuralstyle.painting.forecast import Costs, Forecast, Pace
from neuralstyle.painting.stages import PlannedStage
from neuralstyle.styles import Style

TILED_WORK = 1.5
"""Work per pixel in tiles, relative to the whole picture: 3 passes (forward twice, backward once) instead of 2."""

AUTO_TILED_WORK = 2.5
"""The same for automatic tiles, whose size is not known yet; includes an assumed overlap."""

SAMPLES = 5
"""Evaluations of a small picture from which the time of a plan is forecast."""

MEASURED = Costs()
"""What evaluations have taken in this process."""

PICTURES_KEPT = 5
"""Copies of the picture that every optimiser keeps: picture, gradient, direction, best picture, trial step."""


@dataclass(frozen=True)
class Estimate:
    """Forecast of the time and memory of a plan.

    Attributes:
        seconds: time of all evaluations and targets.
        bytes: peak memory of the device, beyond what is in use now.

    """

    seconds: float
    bytes: int

    def __str__(self) -> str:
        minutes, seconds = divmod(round(self.seconds), 60)
        hours = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else ""
        duration = f"{minutes} min {seconds} s" if minutes else f"{seconds} s" if seconds else "less than a second"
        return f"about {hours or duration}, and {self.bytes / 2**20:.0f} MiB of memory beyond what the program has now"


def estimate(
    stages: Sequence[PlannedStage],
    start: Tensor,
    content: Tensor | None,
    styles: Sequence[Style],
    tile: TileSize,
) -> Estimate:
    """Forecast the time and the memory of stages; see ``Plan.estimate``."""
    costs, rates = Costs(), {}
    for kind in dict.fromkeys(map(kind_of, stages)):
        alike = sorted(
            (stage for stage in stages if kind_of(stage) == kind), key=lambda stage: stage.height * stage.width
        )
        small, large = _sample(alike[0]), _sample(alike[-1])
        for sample in (small, large) if small.shape != large.shape else (large,):
            _measure_time(sample, start, content, styles, costs)
        rates[kind] = _measure_memory(large, start, content, styles)
    works, memory = [], 0.0
    for stage in stages:
        rate = rates[kind_of(stage)]
        work, shown = _work(stage, tile, rate, start)
        works.append(work * stage.height * stage.width * stage.cost)
        kept = _bytes_kept(stage.optimizer, 3 * stage.height * stage.width * start.element_size())
        memory = max(memory, shown * rate + kept)
    seconds = Forecast(works, [stage.iterations for stage in stages], [*map(kind_of, stages)], costs).left(0, 0)
    assert seconds is not None
    return Estimate(seconds, round(memory))


def forecast_of(stages: Sequence[PlannedStage], tile: TileSize) -> Forecast:
    """Return the forecast of the time left of stages, which knows what this process has painted before."""
    works = [work_in_tiles(stage, tile) * stage.height * stage.width * stage.cost for stage in stages]
    return Forecast(works, [stage.iterations for stage in stages], [*map(kind_of, stages)], MEASURED)


def kind_of(stage: PlannedStage) -> Hashable:
    """Return what evaluations that differ in work alone have in common."""
    like = on_encoder(stage.encoder, torch.empty(0, dtype=torch.float32))
    seen = tuple(
        (name, *weights_in_use(term.loss)) for name, term in zip(stage.losses.names, stage.losses, strict=True)
    )
    return stage.through, str(like.device), str(like.dtype), torch.get_num_threads(), seen


def _sample(stage: PlannedStage) -> PlannedStage:
    """Return a stage that is small enough to be tried."""
    factor = min(1.0, max(SAMPLE_SIDE / stage.size, stage.least_side() / min(stage.shape)))
    height, width = (max(round(side * factor), stage.least_side()) for side in stage.shape)
    return replace(stage, size=max(height, width), height=height, width=width)


def _measure_time(
    sample: PlannedStage,
    start: Tensor,
    content: Tensor | None,
    styles: Sequence[Style],
    costs: Costs,
) -> None:
    """Paint a few evaluations, and note what one takes with the step of the optimiser."""
    objective = sample.objective(content, styles, None)
    pace, before = Pace(starts=2), time.perf_counter()  # what is done once, such as targets, does not count

    def tick(count: int, loss: float, kept: Tensor) -> bool:
        nonlocal before
        now = time.perf_counter()
        pace.add(now - before)
        before = now
        return True

    def evaluate(image: Tensor) -> tuple[float, Tensor]:
        found = objective.evaluate(image)
        assert found.gradient is not None
        return found.loss, found.gradient

    image = on_encoder(sample.encoder, resize_image(start, sample.shape))
    minimize(sample.strategy, image, evaluate, SAMPLES, tick)
    if pace.seconds is not None:
        costs.add(kind_of(sample), sum(map(_pixels, sample.tiles(None))) * sample.cost, pace.seconds)


def _measure_memory(sample: PlannedStage, start: Tensor, content: Tensor | None, styles: Sequence[Style]) -> float:
    """Return the bytes per pixel of an evaluation with gradient."""
    image = on_encoder(sample.encoder, resize_image(start, sample.shape))
    objective = sample.objective(content, styles, None)
    objective.evaluate(image)  # warm-up: work done once, such as converting weights, does not count
    return peak_memory(image.device, lambda: objective.evaluate(image)) / sum(map(_pixels, sample.tiles(None)))


def _work(stage: PlannedStage, tile: TileSize, rate: float, start: Tensor) -> tuple[float, float]:
    """Return the work of an evaluation relative to an untiled one, and the pixels that the encoder sees at once."""
    picture = stage.height * stage.width
    if tile == "auto":
        most = FREE_MEMORY_SHARE * free_memory(start.device) / rate
        whole = _pixels(stage.tiles(None)[0])
        return (whole / picture, whole) if whole <= most else (AUTO_TILED_WORK * whole / picture, most)
    views = [_pixels(each) for each in stage.tiles(tile)]
    return _factor(views, picture), max(views)


def work_in_tiles(stage: PlannedStage, tile: TileSize) -> float:
    """Return the work of an evaluation relative to an untiled one; that of automatic tiles is not known yet."""
    shown = stage.tiles(None if tile == "auto" else tile)
    return _factor([_pixels(each) for each in shown], stage.height * stage.width)


def _factor(views: Sequence[int], picture: int) -> float:
    return (1.0 if len(views) == 1 else TILED_WORK) * sum(views) / picture


def _pixels(tile: Tile) -> int:
    rows, columns = tile.rows, tile.columns
    return (rows.view_stop - rows.view_start) * (columns.view_stop - columns.view_start)


def _bytes_kept(optimizer: Strategy, picture: int) -> int:
    """The bytes of the pictures that the optimiser keeps, each of so many."""
    pairs = optimizer.most_pairs(picture) if isinstance(optimizer, LBFGS) and optimizer.store == "device" else 0
    return (PICTURES_KEPT + 2 * pairs) * picture
