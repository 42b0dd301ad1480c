from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest

from neuralstyle import SCHEDULES, Scale, coarse_to_fine, samples, stylize


def work(scales: list[Scale]) -> float:
    """Pixels times iterations of a square picture, as a multiple of one evaluation at 1024 pixels."""
    return sum(scale.size**2 * scale.iterations for scale in scales) / 1024**2


@pytest.mark.parametrize("size", [96, 400, 512, 1000, 1024])
@pytest.mark.parametrize("iterations", [None, 1, 25])
def test_up_to_1024_pixels_every_scale_has_the_same_iterations(size: int, iterations: int | None) -> None:
    scales = coarse_to_fine(size, iterations)
    assert scales[-1] == Scale(size, iterations or 60)
    assert all(
        (coarse.size, coarse.iterations) == (fine.size // 2, fine.iterations)
        for coarse, fine in itertools.pairwise(scales)
    )


@pytest.mark.parametrize("size", range(1025, 4097, 256))
def test_sizes_to_4096_cost_less_than_four_times_1024(size: int) -> None:
    assert work(coarse_to_fine(size)) < 4 * work(coarse_to_fine(1024))
    assert coarse_to_fine(size)[-1].iterations >= 10


def test_4096_pixels() -> None:
    assert coarse_to_fine(4096) == [
        Scale(128, 60),
        Scale(256, 60),
        Scale(512, 60),
        Scale(1024, 60),
        Scale(2048, 15),
        Scale(4096, 10),
    ]


@pytest.mark.parametrize("size", [1500, 3000, 4096])
def test_few_iterations_at_a_large_size_leave_the_coarser_scales_theirs(size: int) -> None:
    *coarser, finest = coarse_to_fine(size, 3)
    assert finest == Scale(size, 3)
    assert coarser == coarse_to_fine(size)[:-1]


def test_many_iterations_at_a_large_size_are_no_fewer_at_coarser_ones() -> None:
    counts = [scale.iterations for scale in coarse_to_fine(4096, 200)]
    assert counts == [200, 200, 200, 200, 200, 200]


@pytest.mark.parametrize(
    ("name", "share"), [("draft", Fraction(1, 3)), ("standard", Fraction(1)), ("fine", Fraction(3))]
)
@pytest.mark.parametrize("size", [96, 512, 4096])
def test_schedules_by_name_are_shares_of_the_standard(name: str, share: Fraction, size: int) -> None:
    expected = [(each.size, math.ceil(share * each.iterations)) for each in coarse_to_fine(size)]
    assert [(each.size, each.iterations) for each in SCHEDULES[name](size, None)] == expected


@pytest.mark.parametrize("name", ["draft", "standard", "fine"])
def test_a_number_of_iterations_is_what_it_says(name: str) -> None:
    assert SCHEDULES[name](400, 7) == coarse_to_fine(400, 7)


def test_a_draft_ends_after_its_evaluations() -> None:
    seen: list[tuple[int, int]] = []
    stylize(
        samples.photo(),
        samples.painting("swirl"),
        size=32,
        schedule="draft",
        progress=False,
        callback=lambda progress: seen.append((progress.size, progress.total)),
    )
    assert seen == [(32, 20)] * 20


def test_an_unknown_schedule_is_refused_and_the_near_one_named() -> None:
    with pytest.raises(ValueError, match=r"draght.*draft"):
        stylize(samples.photo(), samples.painting("swirl"), schedule="draght")
