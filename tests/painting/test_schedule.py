from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from PIL import Image

from neuralstyle import (
    SCHEDULES,
    ContentLoss,
    GramStyleLoss,
    MeanStdLoss,
    Progress,
    Scale,
    Style,
    TotalVariationLoss,
    coarse_to_fine,
    default_encoder,
    load_image,
    reconstruct_content,
    samples,
    stylize,
    synthesize_texture,
)
from neuralstyle.metrics import color_distance
from neuralstyle.schedule import LAST_ITERATIONS, find_schedule


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
def test_through_one_network_schedules_are_shares_of_coarse_to_fine(name: str, share: Fraction, size: int) -> None:
    expected = [Scale(each.size, math.ceil(share * each.iterations)) for each in coarse_to_fine(size)]
    assert find_schedule(name, compact=False)(size, None) == expected


@pytest.mark.parametrize("name", ["draft", "standard", "fine"])
def test_through_one_network_a_number_of_iterations_is_what_it_says(name: str) -> None:
    assert find_schedule(name, compact=False)(400, 7) == coarse_to_fine(400, 7)


def test_a_draft_goes_through_the_compact_encoder_alone() -> None:
    for iterations in (None, 7):
        expected = [Scale(each.size, each.iterations, "compact19") for each in coarse_to_fine(400, iterations)]
        assert SCHEDULES["draft"](400, iterations) == expected


def test_fine_goes_through_the_encoder_of_the_call_alone() -> None:
    assert all(scale.encoder is None for scale in SCHEDULES["fine"](4096, None))


@pytest.mark.parametrize(("iterations", "last"), [(None, LAST_ITERATIONS), (1, 1), (50, 50)])
def test_the_standard_ends_through_the_encoder_of_the_call(iterations: int | None, last: int) -> None:
    assert SCHEDULES["standard"](400, iterations) == [
        Scale(100, 2 * last, "compact19"),
        Scale(200, 2 * last, "compact19"),
        Scale(400, 2 * last, "compact19"),
        Scale(400, last),
    ]


def test_above_1024_pixels_the_standard_goes_through_the_encoder_of_the_call() -> None:
    whole = coarse_to_fine(4096)
    rough = [Scale(scale.size, 2 * LAST_ITERATIONS, "compact19") for scale in whole[:4]]
    assert SCHEDULES["standard"](4096, None) == [*rough, Scale(1024, LAST_ITERATIONS), *whole[4:]]
    # Few iterations at the end do not hurry what comes before.
    assert SCHEDULES["standard"](4096, 3) == [*rough, Scale(1024, LAST_ITERATIONS), whole[4], Scale(4096, 3)]


@pytest.mark.parametrize("iterations", [0, -1, 1.5, True])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_number_of_iterations_that_is_none_is_refused(name: str, iterations: Any) -> None:
    with pytest.raises(ValueError, match=r"iterations is a whole number of at least 1"):
        SCHEDULES[name](256, iterations)


def painted(paint: Callable[..., Image.Image] = stylize, **options: Any) -> bytes:
    pictures = [samples.photo()] if paint is reconstruct_content else [samples.painting("swirl", size=64)]
    if paint is stylize:
        pictures.insert(0, samples.photo())
    options = {"size": 48, "iterations": 2, "device": "cpu", "progress": False, **options}
    return paint(*pictures, **options).tobytes()


STUDENT, TEACHER = "compact19", "vgg19"


@pytest.mark.parametrize("paint", [stylize, synthesize_texture])
def test_the_default_paints_through_the_compact_encoder_first(paint: Callable[..., Image.Image]) -> None:
    plan = [Scale(48, 4, STUDENT), Scale(48, 2, TEACHER)]
    assert painted(paint) == painted(paint, schedule=lambda *_: plan)
    assert painted(paint) != painted(paint, encoder=TEACHER)


@pytest.mark.parametrize("paint", [stylize, synthesize_texture, reconstruct_content])
def test_a_draft_is_painted_through_the_compact_encoder(paint: Callable[..., Image.Image]) -> None:
    assert painted(paint, schedule="draft") == painted(paint, schedule=lambda *_: [Scale(48, 2, STUDENT)])
    assert painted(paint, schedule="draft") != painted(paint, encoder=TEACHER)


@pytest.mark.parametrize("schedule", ["draft", "standard"])
@pytest.mark.parametrize(
    "options",
    [{"encoder": TEACHER}, {"encoder": default_encoder()}, {"losses": GramStyleLoss(("relu3_3",))}],
    ids=["named", "own", "a layer that the compact one lacks"],
)
def test_where_the_compact_encoder_cannot_stand_in_it_is_left_out(schedule: str, options: dict[str, Any]) -> None:
    assert painted(schedule=schedule, **options) == painted(schedule=coarse_to_fine, **options)


def test_reconstruction_is_through_vgg_19_alone_by_default() -> None:
    assert painted(reconstruct_content) == painted(reconstruct_content, encoder=TEACHER)


@pytest.mark.parametrize("schedule", ["draft", "standard"])
def test_tiles_masks_and_losses_of_ones_own_go_with_the_compact_encoder(schedule: str) -> None:
    left = torch.zeros(32, 48)
    left[:, :24] = 1
    painting = samples.painting("embers", size=64)
    options: dict[str, Any] = {
        "losses": ContentLoss("relu4_2") + 10 * MeanStdLoss(("relu2_2", "relu3_1")) + TotalVariationLoss(),
        "schedule": schedule,
        "size": 64,
        "device": "cpu",
        "progress": False,
        "iterations": 3,
    }
    styles = [Style(painting, region=left, mask=left), Style(samples.painting("swirl", size=64), region=1 - left)]
    whole, tiled = (stylize(samples.photo(), styles, tile=tile, **options) for tile in (None, 32))
    difference = (load_image(whole) - load_image(tiled)).abs().max()
    assert difference < 3 / 255
    assert (load_image(whole) - load_image(samples.photo(), 64)).abs().mean() > 5 / 255


def test_the_compact_encoder_has_the_pixels_beside_it_and_vgg_19_has_not() -> None:
    terms: list[set[str]] = []
    weights: list[float] = []

    def watch(progress: Progress) -> None:
        terms.append(set(progress.terms))
        weights.append(progress.terms.get("CovarianceLoss", 0.0))

    for style_weight in (1, 10):
        stylize(
            samples.photo(),
            samples.painting("swirl"),
            size=32,
            iterations=1,
            style_weight=style_weight,
            progress=False,
            callback=watch,
        )
    # A log has the same columns throughout.
    assert terms == [{"ContentLoss", "GramStyleLoss", "TotalVariationLoss", "CovarianceLoss", "MMDLoss"}] * 6
    assert [weight > 0 for weight in weights] == [True, True, False] * 2
    assert weights[2] == weights[5] == 0
    assert weights[3] == pytest.approx(10 * weights[0])  # at the start, of the same picture


def test_a_draft_in_the_style_of_a_grey_or_a_dark_picture_takes_its_colors() -> None:
    grey = samples.painting("woodcut", size=64).convert("L").convert("RGB")
    dark = samples.painting("swirl", size=64).point(lambda level: level // 8)
    for style in (grey, dark):
        before, after = (
            color_distance(picture, style)
            for picture in (
                samples.photo().resize((64, 64)),
                stylize(samples.photo(), style, size=64, schedule="draft", progress=False),
            )
        )
        assert after < 0.03 < 0.1 < before


def test_stages_follow_each_other_in_what_a_callback_sees() -> None:
    seen: list[tuple[int, int, int, int]] = []
    stylize(
        samples.photo(),
        samples.painting("swirl"),
        size=32,
        iterations=1,
        progress=False,
        callback=lambda p: seen.append((p.iteration, p.total, p.scale, p.scales)),
    )
    assert seen == [(1, 3, 1, 2), (2, 3, 1, 2), (3, 3, 2, 2)]


def test_an_unknown_schedule_is_refused_and_the_near_one_named() -> None:
    with pytest.raises(ValueError, match=r"draght.*draft"):
        stylize(samples.photo(), samples.painting("swirl"), schedule="draght")
