"""Forecast of a plan's time and memory, from one small evaluation through each encoder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from neuralstyle.encoders.base import on_encoder
from neuralstyle.images import resize_image
from neuralstyle.machine.memory import FREE_MEMORY_SHARE, free_memory
from neuralstyle.machine.peak_memory import peak_memory
from neuralstyle.objective.auto_tile import SAMPLE_SIDE
from neuralstyle.objective.tiling import Tile, TileSize
from neuralstyle.optimizers.base import Optimizer
from neuralstyle.optimizers.lbfgs import LBFGS, MAX_PAIRS
from neuralstyle.painting.stages import PlannedStage
from neuralstyle.styles import Style

TILED_WORK = 1.5
"""Work per pixel in tiles, relative to the whole picture: 3 passes (forward twice, backward once) instead of 2."""

AUTO_TILED_WORK = 2.5
"""The same for automatic tiles, whose size is not known yet; includes an assumed overlap."""

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


@dataclass(frozen=True)
class _Rate:
    """Time and memory per pixel of an evaluation with gradient."""

    seconds: float
    bytes: float


def estimate(
    stages: Sequence[PlannedStage],
    start: Tensor,
    content: Tensor | None,
    styles: Sequence[Style],
    tile: TileSize,
    optimizer: Optimizer,
) -> Estimate:
    """Forecast the time and the memory of stages; see ``Plan.estimate``."""
    rates: dict[int, _Rate] = {}
    for stage in reversed(stages):  # the largest stage of an encoder stands for the others
        if id(stage.encoder) not in rates:
            rates[id(stage.encoder)] = _measure(stage, start, content, styles)
    seconds, memory = 0.0, 0.0
    for stage in stages:
        rate = rates[id(stage.encoder)]
        picture = stage.height * stage.width
        work, shown = _work(stage, tile, rate, start)
        # One evaluation more, for the targets.
        seconds += (stage.iterations + 1) * work * picture * rate.seconds
        pictures = _pictures_kept(optimizer) * 3 * picture * start.element_size()
        memory = max(memory, shown * rate.bytes + pictures)
    return Estimate(seconds, round(memory))


def _measure(stage: PlannedStage, start: Tensor, content: Tensor | None, styles: Sequence[Style]) -> _Rate:
    factor = min(1.0, max(SAMPLE_SIDE / stage.size, stage.least_side() / min(stage.shape)))
    height, width = (max(round(side * factor), stage.least_side()) for side in stage.shape)
    small = replace(stage, size=max(height, width), height=height, width=width)
    seen = sum(map(_pixels, small.tiles(None)))
    image = on_encoder(stage.encoder, resize_image(start, small.shape))
    objective = small.objective(content, styles, None)
    objective.evaluate(image)  # warm-up: work done once, such as converting weights, does not count
    started = time.perf_counter()
    objective.evaluate(image)
    seconds = time.perf_counter() - started
    return _Rate(seconds / seen, peak_memory(image.device, lambda: objective.evaluate(image)) / seen)


def _work(stage: PlannedStage, tile: TileSize, rate: _Rate, start: Tensor) -> tuple[float, float]:
    """Return the work of an evaluation relative to an untiled one, and the pixels that the encoder sees at once."""
    picture = stage.height * stage.width
    if tile == "auto":
        most = FREE_MEMORY_SHARE * free_memory(start.device) / rate.bytes
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


def _pictures_kept(optimizer: Optimizer) -> int:
    if not isinstance(optimizer, LBFGS) or optimizer.store != "device":
        return PICTURES_KEPT
    return PICTURES_KEPT + 2 * (optimizer.history or MAX_PAIRS)
