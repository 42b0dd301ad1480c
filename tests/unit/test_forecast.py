"""The time left that the progress bar shows: within a factor of 1.5 from a tenth of the time on."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from neuralstyle import plan, samples
from neuralstyle.cli.many import follow
from neuralstyle.feedforward import loop
from neuralstyle.feedforward.network import TransformerNet
from neuralstyle.many.tasks import Result, Results
from neuralstyle.objective.evaluation import Evaluation
from neuralstyle.painting import estimate
from neuralstyle.painting.forecast import Costs, Forecast, Pace
from neuralstyle.painting.stages import PlannedStage
from neuralstyle.recipes import COMPACT_COST
from neuralstyle.video.progress import FilmRun

# Seconds of an evaluation and of the first one: those of 320 pixels were measured with ``standard`` on two CPU cores.
MEASURED = {
    320: [(160, COMPACT_COST, 60, 0.161, 2.6), (320, COMPACT_COST, 60, 0.349, 0.75), (320, 1.0, 30, 2.08, 2.75)],
    640: [
        (160, COMPACT_COST, 60, 0.161, 2.6),
        (320, COMPACT_COST, 60, 0.349, 0.75),
        (640, COMPACT_COST, 60, 1.2, 2.5),
        (640, 1.0, 30, 8.2, 11.0),
    ],
    # Today's three schedules at 384 pixels on one thread, as multiples of the first stage's evaluation.
    **{
        384 + stages: [
            (96, COMPACT_COST, 30, 1.0, 2.93),
            (192, COMPACT_COST, 24, 2.44, 4.97),
            (384, COMPACT_COST, 12, 8.64, 15.2),
            (384, COMPACT_COST, 48, 8.85, 14.1),
            (384, 1.0, 30, 52.3, 102.7),
        ][:stages]
        for stages in (3, 4, 5)
    },
    # The same on two quiet threads; of the first evaluations it is assumed that they take about twice as long.
    **{
        480 + stages: [
            (96, COMPACT_COST, 30, 1.0, 2.5),
            (192, COMPACT_COST, 24, 2.0, 4.0),
            (384, COMPACT_COST, 12, 6.1, 11.0),
            (384, COMPACT_COST, 48, 6.1, 11.0),
            (384, 1.0, 30, 43.6, 87.0),
        ][:stages]
        for stages in (3, 4, 5)
    },
    # A GPU, which takes nearly the same time at any of these sizes.
    1: [(256, COMPACT_COST, 60, 0.012, 0.5), (512, COMPACT_COST, 60, 0.013, 0.03), (512, 1.0, 30, 0.02, 0.1)],
}


def forecasts(
    stages: list[tuple[int, float, int, float, float]], pace: float = 1.0
) -> list[tuple[float, float, float]]:
    """Run through stages: (share of the time that has passed, time left as forecast, as it is) at each evaluation."""
    works, kinds = [size**2 * cost for size, cost, *_ in stages], [cost for _, cost, *_ in stages]
    forecast = Forecast(works, [stage[2] for stage in stages], kinds)
    steps = [
        (number, done, pace * (first if done == 1 else each))
        for number, (_, _, count, each, first) in enumerate(stages)
        for done in range(1, count + 1)
    ]
    total, passed, found = sum(seconds for *_, seconds in steps), 0.0, []
    for number, done, seconds in steps:
        forecast.add(number, seconds)
        passed += seconds
        left = forecast.left(number, done)
        if left is not None:
            found.append((passed / total, left, total - passed))
    return found


@pytest.mark.parametrize("pace", [0.02, 1.0, 30.0])
@pytest.mark.parametrize("size", [320, 640, 387, 388, 389, 483, 484, 485])
def test_the_time_left_is_right_within_a_factor_from_a_tenth_on(size: int, pace: float) -> None:
    found = [(shown, left) for share, shown, left in forecasts(MEASURED[size], pace) if 0.1 <= share <= 0.98]
    assert len(found) > 40
    assert max(max(shown / left, left / shown) for shown, left in found) < 1.5


def test_where_size_hardly_matters_it_is_right_as_soon_as_that_is_measured() -> None:
    found = [(shown, left) for share, shown, left in forecasts(MEASURED[1]) if 0.7 <= share <= 0.98]
    assert max(max(shown / left, left / shown) for shown, left in found) < 2


def test_what_is_done_once_at_the_start_of_a_stage_is_not_taken_for_the_pace() -> None:
    forecast = Forecast([100, 100], [10, 10])
    forecast.add(0, 60.0)  # kernels are compiled
    assert forecast.left(0, 1) is None
    forecast.add(0, 1.0)
    assert forecast.left(0, 2) == pytest.approx(8 + 11)


def test_a_machine_that_becomes_slower_is_noticed() -> None:
    forecast = Forecast([100], [100])
    for seconds in [1.0] * 30 + [3.0] * 20:
        forecast.add(0, seconds)
    assert forecast.left(0, 50) == pytest.approx(50 * 3)


def test_a_step_in_which_the_machine_slept_is_not_taken_for_the_pace() -> None:
    pace = Pace()
    for seconds in [1.0, 1.0, 1.0, 1000.0, 1.0]:
        pace.add(seconds)
    assert pace.left(10) == pytest.approx(10)


def test_a_stage_that_took_less_time_for_more_work_leaves_the_guess() -> None:
    forecast = Forecast([100.0, 200.0, 400.0], [2, 2, 2])
    for stage, seconds in ((0, 2.0), (0, 2.0), (1, 1.0), (1, 1.0)):
        forecast.add(stage, seconds)
    left = forecast.left(1, 2)
    assert left is not None
    assert 2 <= left < 6  # targets took no time


def test_targets_are_forecast_as_they_were() -> None:
    forecast = Forecast([1e6, 1e6, 1e6], [3, 3, 3])
    for stage in (0, 1):
        for seconds in (5.0, 1.0, 1.0):
            forecast.add(stage, seconds)
    assert forecast.left(1, 3) == pytest.approx(7)


def test_an_encoder_that_an_earlier_run_has_met_costs_what_it_did() -> None:
    memory, works = Costs(), [5000.0, 80000.0]
    for pace, shown in ((1.0, None), (2.0, 2 * 11 * 3.0)):  # the second encoder takes 3 times as long, not 12
        forecast = Forecast(works, [3, 10], ["small", "large"], memory)
        for seconds in (pace, pace, pace):
            forecast.add(0, seconds)
        left = forecast.left(0, 3)
        if shown is None:
            assert left == pytest.approx(11 * 82000 / 7000)
        else:
            assert left == pytest.approx(shown)
        for _ in range(10):
            forecast.add(1, 3.0 * pace)
    assert Forecast(works, [3, 10], ["small", "large"], memory).left(0, 0) == pytest.approx(4 * 2 + 11 * 6)


class Clock:
    """A clock that stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    perf_counter = monotonic


def worst(found: Sequence[tuple[float, float | None]], total: float) -> float:
    """The largest factor between (seconds passed, seconds left as shown) and the truth, from 10% to 98% of the time."""
    ratios = [
        math.inf if left is None else left / (total - passed) for passed, left in found if 0.1 <= passed / total <= 0.98
    ]
    assert len(ratios) > 4
    return max(max(ratio, 1 / ratio) for ratio in ratios)


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_time_left_of_a_folder_is_right_though_first_pictures_are_slow_and_some_are_skipped(
    jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Assumed: a picture takes 3.5 s, and the first of each process 3.5 s more."""
    shown: list[float | None] = []
    monkeypatch.setattr("neuralstyle.painting.forecast.show_left", lambda bar, left: shown.append(left))
    skipped = [Result(Path("a.png"), Path("b.png"), "skipped", seconds=0.01)] * 6
    painted = [
        Result(
            Path("a.png"), Path("b.png"), "painted", seconds=7.0 if n < jobs else 3.5, start=3.7 if n < jobs else 0.2
        )
        for n in range(12)
    ]
    follow(cast(Results, [*skipped, *painted]), argparse.Namespace(quiet=True, output="out", jobs=jobs, json=False))
    passed = [7.0 + 3.5 * (n // jobs) for n in range(12)]
    assert worst(list(zip(passed, shown[6:], strict=True))[jobs - 1 :: jobs], passed[-1]) < 1.5


@pytest.mark.parametrize("opening", [5.8, 0.9])
def test_the_time_left_of_a_film_is_right_though_scenes_open_slowly(
    opening: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames as measured at 192 pixels: 5.8 s for the first, 0.82 s for others; or all nearly alike."""
    clock, found = Clock(), list[tuple[float, float | None]]()
    monkeypatch.setattr("neuralstyle.video.progress.time", clock)
    scenes = [30, 4, 12, 1, 40]
    run = FilmRun(87, 0, 5, 5, lambda p: found.append((p.elapsed, p.left)), show=False)
    for count in scenes:
        run.begin(opens=True)
        for number in range(count):
            clock.now += 0.82 if number else opening
            run.add(lambda: Image.new("RGB", (1, 1)))
    assert found[0][1] is None
    assert worst(found, found[-1][0]) < 1.5
    assert found[-1][1] == 0


def test_the_time_left_of_a_training_is_right_with_what_it_saves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Assumed: the first step takes as long as twenty, and what is saved every 40 steps as long as four."""
    clock, found = Clock(), list[tuple[float, float | None]]()
    monkeypatch.setattr(loop, "time", clock)

    class Fake(loop.Loop):
        def _descend(self, model: nn.Module, images: Tensor) -> dict[str, float]:
            clock.now += 0.3 if self.step else 6.0
            self.step += 1
            return {"style": 1.0}

    class Saving:
        def record(self, run: loop.Loop, epoch: int, terms: dict[str, float], *, last: bool) -> None:
            clock.now += 0.0 if run.step % 40 else 1.2

    network = TransformerNet(width=8)
    training = Fake(
        network, cast(Any, None), torch.device("cpu"), steps=400, lr=1e-3, decay=True, precision=None, seed=0
    )
    batches = ((torch.zeros(1, 3, 8, 8), list[str]()) for _ in range(400))
    training.run(batches, 400, cast(Any, Saving()), lambda p: found.append((p.elapsed, p.left)), show=False)
    assert worst(found, 400 * 0.3 + 5.7 + 12) < 1.5


@pytest.mark.parametrize("schedule", ["draft", "standard"])
def test_an_estimate_is_what_the_run_takes(schedule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations take a fixed time, one in proportion to the pixels, and their targets as long again."""
    clock = Clock()
    monkeypatch.setattr(estimate, "time", clock)

    def seconds(stage: PlannedStage) -> float:
        return 0.008 + (1e-6 if stage.through == "compact19" else 6e-6) * stage.height * stage.width

    class Slow:
        def __init__(self, stage: PlannedStage) -> None:
            self.seconds, self.evaluations = seconds(stage), 0

        def evaluate(self, image: Tensor) -> Evaluation:
            self.evaluations += 1
            clock.now += self.seconds * (2 if self.evaluations == 1 else 1)
            return Evaluation(float(image.square().sum()), {}, 2 * image)

    monkeypatch.setattr(PlannedStage, "objective", lambda stage, *_: Slow(stage))
    planned = plan(samples.photo(), samples.painting("swirl"), size=384, schedule=schedule, device="cpu")
    truth = sum((stage.iterations + 1) * seconds(stage) for stage in planned.stages)
    assert planned.estimate().seconds == pytest.approx(truth, rel=0.15)
