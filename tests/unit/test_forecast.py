"""The time left that the progress bar shows: within a factor of 1.5 from a tenth of the time on."""

from __future__ import annotations

import pytest

from neuralstyle.painting.forecast import Forecast
from neuralstyle.recipes import COMPACT_COST

# Seconds of an evaluation and of the first one: those of 320 pixels were measured with ``standard`` on two CPU cores.
MEASURED = {
    320: [(160, COMPACT_COST, 60, 0.161, 2.6), (320, COMPACT_COST, 60, 0.349, 0.75), (320, 1.0, 30, 2.08, 2.75)],
    640: [
        (160, COMPACT_COST, 60, 0.161, 2.6),
        (320, COMPACT_COST, 60, 0.349, 0.75),
        (640, COMPACT_COST, 60, 1.2, 2.5),
        (640, 1.0, 30, 8.2, 11.0),
    ],
    # A GPU, which takes nearly the same time at any of these sizes.
    1: [(256, COMPACT_COST, 60, 0.012, 0.5), (512, COMPACT_COST, 60, 0.013, 0.03), (512, 1.0, 30, 0.02, 0.1)],
}


def forecasts(
    stages: list[tuple[int, float, int, float, float]], pace: float = 1.0
) -> list[tuple[float, float, float]]:
    """Run through stages: (share of the time that has passed, time left as forecast, as it is) at each evaluation."""
    forecast = Forecast([size**2 * cost for size, cost, *_ in stages], [stage[2] for stage in stages])
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
@pytest.mark.parametrize("size", [320, 640])
def test_the_time_left_is_right_within_a_factor_from_a_tenth_on(size: int, pace: float) -> None:
    found = [(shown, left) for share, shown, left in forecasts(MEASURED[size], pace) if 0.1 <= share <= 0.98]
    assert len(found) > 50
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
    for seconds in [1.0] * 30 + [3.0] * 12:
        forecast.add(0, seconds)
    assert forecast.left(0, 42) == pytest.approx(58 * 3)


def test_a_stage_that_took_less_time_for_more_work_leaves_the_guess() -> None:
    forecast = Forecast([100.0, 200.0, 400.0], [2, 2, 2])
    for stage, seconds in ((0, 2.0), (0, 2.0), (1, 1.0), (1, 1.0)):
        forecast.add(stage, seconds)
    left = forecast.left(1, 2)
    assert left is not None
    assert 3 <= left < 6
