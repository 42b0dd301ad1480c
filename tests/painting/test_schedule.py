from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import pytest
import torch
from doubles import painting
from PIL import Image

from neuralstyle import (
    DEFAULT_LOSSES,
    LBFGS,
    Adam,
    ContentLoss,
    GramStyleLoss,
    Loss,
    Plan,
    Progress,
    Stage,
    Style,
    TotalVariationLoss,
    default_encoder,
    load_image,
    plan,
    reconstruct_content,
    samples,
    stylize,
    synthesize_texture,
    with_style_loss,
)
from neuralstyle.losses import HypercolumnLoss, LossSum, MeanStdLoss, RelaxedEMDLoss
from neuralstyle.losses.base import as_sum
from neuralstyle.metrics import color_distance
from neuralstyle.recipes import (
    DRAFT_ITERATIONS,
    FINE_ITERATIONS,
    PREVIEW_ITERATIONS,
    SCHEDULES,
    STANDARD_ITERATIONS,
    STYLE_LOSSES,
    compact_stage,
    draft,
    fine,
    grain_losses,
    preview,
    standard,
    with_detail,
    with_pixel_terms,
)
from neuralstyle.recipes.schedules import COARSE_ITERATIONS, COMPACT_GRAIN_COST, GRAIN_COST, HALF_ITERATIONS, SMOOTHEST
from neuralstyle.schedule import check_stages, coarse_to_fine

MANY, HALF, FEW = COARSE_ITERATIONS, HALF_ITERATIONS, PREVIEW_ITERATIONS


def work(stages: list[Stage]) -> float:
    """Pixels times iterations of a square picture, as a multiple of one evaluation at 1024 pixels."""
    return sum(stage.size**2 * stage.iterations for stage in stages) / 1024**2


@pytest.mark.parametrize("size", [96, 400, 512, 1000, 1024])
@pytest.mark.parametrize("iterations", [None, 1, 25])
def test_up_to_1024_pixels_every_size_has_the_same_iterations(size: int, iterations: int | None) -> None:
    scales = coarse_to_fine(size, iterations)
    assert scales[-1] == Stage(size, iterations or 60)
    assert all(
        (coarse.size, coarse.iterations) == (finer.size // 2, finer.iterations)
        for coarse, finer in itertools.pairwise(scales)
    )


@pytest.mark.parametrize("size", range(1025, 4097, 256))
def test_sizes_to_4096_cost_less_than_four_times_1024(size: int) -> None:
    assert work(coarse_to_fine(size)) < 4 * work(coarse_to_fine(1024))
    assert coarse_to_fine(size)[-1].iterations >= 10


def test_4096_pixels() -> None:
    assert coarse_to_fine(4096) == [
        Stage(128, 60),
        Stage(256, 60),
        Stage(512, 60),
        Stage(1024, 60),
        Stage(2048, 15),
        Stage(4096, 10),
    ]


@pytest.mark.parametrize("size", [1500, 3000, 4096])
def test_few_iterations_at_a_large_size_leave_the_coarser_scales_theirs(size: int) -> None:
    *coarser, finest = coarse_to_fine(size, 3)
    assert finest == Stage(size, 3)
    assert coarser == coarse_to_fine(size)[:-1]


def test_many_iterations_at_a_large_size_are_no_fewer_at_coarser_ones() -> None:
    counts = [scale.iterations for scale in coarse_to_fine(4096, 200)]
    assert counts == [200, 200, 200, 200, 200, 200]


def averaged(stage: Stage) -> Stage:
    return replace(stage, optimizer=Adam(), result="average")


def grain_stage(size: int, iterations: int) -> Stage:
    return replace(compact_stage(size, iterations), losses=grain_losses, cost=COMPACT_GRAIN_COST)


WITHOUT_COMPACT: dict[str, Callable[..., list[Stage]]] = {
    "draft": partial(draft, compact=None),
    "standard": partial(standard, compact=None),
    "fine": partial(fine, compact=None),
}


@pytest.mark.parametrize(
    ("name", "share"), [("draft", Fraction(1, 3)), ("standard", Fraction(1)), ("fine", Fraction(3))]
)
@pytest.mark.parametrize("size", [96, 512, 4096])
def test_through_one_network_schedules_are_shares_of_coarse_to_fine(name: str, share: Fraction, size: int) -> None:
    expected = [Stage(each.size, math.ceil(share * each.iterations)) for each in coarse_to_fine(size)]
    assert WITHOUT_COMPACT[name](size) == expected


@pytest.mark.parametrize("name", WITHOUT_COMPACT)
def test_through_one_network_a_number_of_iterations_is_what_it_says(name: str) -> None:
    assert WITHOUT_COMPACT[name](400, 7) == coarse_to_fine(400, 7)


def of_draft(count: int) -> int:
    """A preview's evaluations at a size above 1024 pixels, where a draft has so many."""
    return math.ceil(count * Fraction(PREVIEW_ITERATIONS, DRAFT_ITERATIONS))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (96, [(96, MANY)]),
        (200, [(100, MANY), (200, FEW)]),
        (512, [(128, MANY), (256, HALF), (512, FEW)]),
        (1024, [(128, MANY), (256, MANY), (512, HALF), (1024, FEW)]),
        (4096, [(128, MANY), (256, MANY), (512, HALF), (1024, FEW), (2048, of_draft(15)), (4096, of_draft(10))]),
    ],
)
def test_a_preview_is_a_few_evaluations_at_each_size(size: int, expected: list[tuple[int, int]]) -> None:
    assert preview(size) == [compact_stage(*each) if each[0] <= 1024 else grain_stage(*each) for each in expected]
    assert preview(size, compact=None) == [Stage(*each) for each in expected]
    assert [stage.size for stage in preview(size)] == [stage.size for stage in coarse_to_fine(size)]


def test_iterations_scale_a_preview() -> None:
    assert [stage.iterations for stage in preview(512, 2 * FEW)] == [2 * MANY, 2 * HALF, 2 * FEW]
    assert [stage.iterations for stage in preview(512, 1)] == [math.ceil(MANY / FEW), math.ceil(HALF / FEW), 1]


@pytest.mark.parametrize("size", [32, 96, 400, 512, 1000, 1024])
def test_schedules_are_one_sequence(size: int) -> None:
    stages: list[Stage] = []
    for schedule in (preview, draft, standard, fine):
        begun, stages = stages, schedule(size)
        assert stages[: len(begun)] == begun
        assert len(stages) == len(begun) + 1 or not begun
        assert stages[-1].size == size


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("preview", FEW),
        ("draft", DRAFT_ITERATIONS),
        ("standard", STANDARD_ITERATIONS),
        ("fine", FINE_ITERATIONS),
    ],
)
@pytest.mark.parametrize("iterations", [None, 1, 7, 50])
def test_iterations_are_those_at_the_size_of_the_result(name: str, total: int, iterations: int | None) -> None:
    through = "compact19" if name in ("preview", "draft") else None
    stages = [stage for stage in SCHEDULES[name](400, iterations) if (stage.size, stage.encoder) == (400, through)]
    assert sum(stage.iterations for stage in stages) == (iterations or total)


@pytest.mark.parametrize("detail", [1, 0.5, 0.01])
def test_detail_is_a_share_of_the_evaluations_at_the_last_size(detail: float) -> None:
    for before, after in zip(standard(400), with_detail(standard(400), detail), strict=True):
        share = Fraction(detail).limit_denominator(100) if before.size == 400 else 1
        assert after == replace(before, iterations=math.ceil(share * before.iterations))


@pytest.mark.parametrize("detail", [0, -1, 1.5, "much", None, math.nan])
def test_a_detail_that_is_none_is_refused(detail: Any) -> None:
    with pytest.raises(ValueError, match="detail"):
        with_detail(standard(400), detail)


def test_another_compact_encoder_takes_the_place_of_the_packages_own() -> None:
    other = default_encoder("compact19")
    for schedule in (preview, draft, standard):
        own = [stage if stage.encoder is None else replace(stage, encoder=other) for stage in schedule(256)]
        assert schedule(256, compact=other) == own
        assert any(stage.encoder is other for stage in own)


def test_a_draft_goes_through_the_compact_encoder_alone() -> None:
    counts = [(100, MANY), (200, HALF), (400, FEW), (400, DRAFT_ITERATIONS - FEW)]
    *first, last = counts
    assert draft(400) == [
        *(compact_stage(*each) for each in first),
        averaged(compact_stage(*last, parameters=SMOOTHEST)),
    ]
    assert draft(400, 1) == [compact_stage(*each) for each in [(100, 1), (200, 1), (400, 1)]]


def test_what_is_painted_at_the_end_goes_through_the_encoder_of_the_call() -> None:
    assert standard(400) == [*draft(400), averaged(Stage(400, 30))]
    assert fine(400) == [*draft(400), averaged(Stage(400, 30)), averaged(Stage(400, 150))]


def test_above_1024_pixels_the_encoder_of_the_call_paints_a_little_at_the_end() -> None:
    def last(size: int, iterations: int) -> Stage:
        return Stage(size, iterations, losses=grain_losses, cost=GRAIN_COST)

    grain = [grain_stage(2048, 9), grain_stage(4096, 6)]
    assert standard(4096) == [*standard(1024), *grain, last(4096, 3)]
    assert fine(4096) == [*standard(4096), Stage(4096, 7)]
    assert standard(4096, 2) == [*standard(1024), *grain, last(4096, 2)]
    assert fine(4096, 2) == standard(4096, 2)
    assert fine(4096, 5) == [*standard(4096), Stage(4096, 2)]
    assert standard(1500) == [*standard(750), grain_stage(1500, 17), last(1500, 3)]
    assert draft(4096) == [*draft(1024), *grain]


CUT = ContentLoss(("relu2_1", "relu4_2")) + 3 * GramStyleLoss(("relu3_1", "relu3_2"), (0.2, 0.8)) + TotalVariationLoss()


def test_grain_is_compared_at_shallow_layers_at_their_weights() -> None:
    shallow = ContentLoss("relu2_1", layer_weights=(0.5,)) + 3 * GramStyleLoss("relu3_1", (0.2,)) + TotalVariationLoss()
    assert grain_losses(CUT) == shallow
    assert grain_losses(TotalVariationLoss()) == as_sum(TotalVariationLoss())


@dataclass(frozen=True)
class TwoLayers(ContentLoss):
    """A loss of somebody's own, which nobody knows with one layer alone."""

    layers: Any = ("relu2_1", "relu4_2")


@pytest.mark.parametrize(
    "deep",
    [
        ContentLoss("relu4_2"),
        HypercolumnLoss(("relu2_1", "relu4_1"), RelaxedEMDLoss(), grid="relu2_1"),
        TwoLayers(),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_where_one_loss_needs_deep_layers_grain_is_compared_at_all(deep: Loss) -> None:
    assert grain_losses(CUT + deep) == CUT + deep


@pytest.mark.parametrize("iterations", [0, -1, 1.5, True])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_number_of_iterations_that_is_none_is_refused(name: str, iterations: Any) -> None:
    with pytest.raises(ValueError, match=r"iterations is a whole number of at least 1"):
        SCHEDULES[name](256, iterations)


def painted(paint: Callable[..., Image.Image] = stylize, **options: Any) -> bytes:
    pictures = [samples.photo()] if paint is reconstruct_content else [painting()]
    if paint is stylize:
        pictures.insert(0, samples.photo())
    options = {"size": 48, "iterations": 2, "device": "cpu", "progress": False, **options}
    return paint(*pictures, **options).tobytes()


STUDENT, TEACHER = "compact19", "vgg19"


@pytest.mark.parametrize("paint", [stylize, synthesize_texture])
def test_the_default_paints_through_the_compact_encoder_first(paint: Callable[..., Image.Image]) -> None:
    assert painted(paint) == painted(
        paint,
        schedule=[
            compact_stage(48, 2),
            averaged(compact_stage(48, 2, parameters=SMOOTHEST)),
            averaged(Stage(48, 2, TEACHER)),
        ],
    )
    assert painted(paint) != painted(paint, encoder=TEACHER)


@pytest.mark.parametrize("paint", [stylize, synthesize_texture, reconstruct_content])
def test_a_draft_is_painted_through_the_compact_encoder(paint: Callable[..., Image.Image]) -> None:
    assert painted(paint, schedule="draft") == painted(
        paint, schedule=lambda *_: [compact_stage(48, 1), averaged(compact_stage(48, 1, parameters=SMOOTHEST))]
    )
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
    options: dict[str, Any] = {
        "losses": ContentLoss("relu4_2") + 10 * MeanStdLoss(("relu2_2", "relu3_1")) + TotalVariationLoss(),
        "schedule": schedule,
        "size": 64,
        "device": "cpu",
        "progress": False,
        "iterations": {"draft": 3, "standard": 2}[schedule],  # more let rounding grow
        "optimizer": LBFGS(),  # Adam's first steps go by a gradient's sign, which rounding decides where it is nearly 0
    }
    styles = [Style(painting("embers"), region=left, mask=left), Style(painting(), region=1 - left)]
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
            painting(),
            losses=with_style_loss(DEFAULT_LOSSES, "gram").scaled("style", style_weight),
            size=32,
            iterations=1,
            progress=False,
            callback=watch,
        )
    # A log has the same columns throughout.
    own = {"ContentLoss", "GramStyleLoss", "TotalVariationLoss", "GhostLoss"}
    assert terms == [own | {"CovarianceLoss", "MMDLoss"}] * 6
    assert [weight > 0 for weight in weights] == [True, True, False] * 2
    assert weights[2] == weights[5] == 0
    assert weights[3] == pytest.approx(10 * weights[0])  # at the start, of the same picture


def test_a_draft_in_the_style_of_a_grey_or_a_dark_picture_takes_its_colors() -> None:
    grey = painting("woodcut").convert("L").convert("RGB")
    dark = painting().point(lambda level: level // 8)
    for style in (grey, dark):
        before, after = (
            color_distance(picture, style)
            for picture in (
                samples.photo().resize((64, 64)),
                stylize(samples.photo(), style, size=64, schedule="draft", progress=False),
            )
        )
        assert after < 0.042 < 0.1 < before


def test_stages_follow_each_other_in_what_a_callback_sees() -> None:
    seen: list[tuple[int, int, int, int]] = []
    stylize(
        samples.photo(),
        painting(),
        size=32,
        iterations=1,
        progress=False,
        callback=lambda p: seen.append((p.iteration, p.total, p.stage, p.stages)),
    )
    assert seen == [(1, 3, 1, 3), (2, 3, 2, 3), (3, 3, 3, 3)]


def minimised(**options: Any) -> list[list[str]]:
    """The terms of each stage, without their weights' last digits."""
    photo, style = samples.photo(), painting()
    planned: Plan = plan(photo, style, **{"size": 96, "device": "cpu", **options})
    return [[f"{term.weight:.6g} * {term.loss}" for term in stage.losses] for stage in planned.stages]


FIVE_WAYS: dict[str, Callable[[], dict[str, Any]]] = {
    "a schedule by name": lambda: {"schedule": "draft"},
    "the encoder's name": lambda: {"encoder": STUDENT, "schedule": "single"},
    "the encoder": lambda: {"encoder": default_encoder(STUDENT), "schedule": coarse_to_fine},
    "a stage with its name": lambda: {"schedule": [Stage(96, 10, STUDENT)]},
    "a stage with the encoder": lambda: {"schedule": lambda size, _: [Stage(size, 10, default_encoder(STUDENT))]},
}


@pytest.mark.parametrize("color", ["style", "luminance", "match"])
@pytest.mark.parametrize("losses", ["gram", "equal weights", "three layers", "mmd", "mrf"])
def test_all_ways_to_ask_for_the_compact_encoder_minimise_the_same_terms(losses: str, color: str) -> None:
    gram = GramStyleLoss(normalization="relative")
    few = GramStyleLoss(("relu1_1", "relu2_1", "relu3_1"), normalization="relative")
    own = {"equal weights": ContentLoss("relu2_1") + 30 * gram, "three layers": ContentLoss("relu2_1") + 30 * few}
    summed = own[losses] if losses in own else with_style_loss(DEFAULT_LOSSES, losses)
    found = [minimised(losses=summed, color=color, **way()) for way in FIVE_WAYS.values()]
    expected = found[0][0]
    assert all(terms == expected for stages in found for terms in stages)
    assert len(expected) == len(summed) + 2
    assert "CovarianceLoss(layers=('image',)" in expected[-2]
    assert "MMDLoss(layers=('image',)" in expected[-1]


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_pixel_terms_weigh_the_same_beside_every_kind_of_style_loss(name: str) -> None:
    through_vgg, through_compact = (
        minimised(losses=with_style_loss(DEFAULT_LOSSES, name), encoder=encoder, schedule="single")[0]
        for encoder in (TEACHER, STUDENT)
    )
    if name == "wasserstein":  # it pins colours by itself
        assert through_compact == through_vgg
        return
    assert through_compact[:-2] == through_vgg
    kinds = len([term for term in with_style_loss(DEFAULT_LOSSES, name) if term.loss.reference == "style"])
    weight = float(through_compact[-2].split(" * ")[0])
    units = DEFAULT_LOSSES.terms[1].weight * as_sum(STYLE_LOSSES["gram"]).terms[0].weight
    assert weight == pytest.approx(units / 3, rel=0.35 if kinds > 1 else 1e-5)


def test_a_stage_may_say_what_it_minimises() -> None:
    stages = [
        Stage(48, 1, STUDENT),
        Stage(48, 1, STUDENT, losses=lambda losses: LossSum(losses.terms[:-2])),
        Stage(48, 1, STUDENT, losses=grain_losses),
        Stage(64, 1, losses=lambda losses: with_pixel_terms(losses.scaled("content", 0.5))),
        Stage(96, 1),
    ]
    student, without, grain, first, last = minimised(schedule=stages, losses=with_style_loss(DEFAULT_LOSSES, "gram"))
    assert len(without) == len(last) == len(DEFAULT_LOSSES)
    assert without == last
    assert student == [*last, *first[-2:]]
    assert grain[-2:] == student[-2:]
    assert "layers=('relu2_1',)" in grain[0]
    assert first[0].startswith("0.5 * ContentLoss")


def test_terms_that_some_stages_lack_are_reported_as_zero_in_one_order() -> None:
    seen: list[dict[str, float]] = []
    stages = [Stage(32, 1), Stage(32, 1, losses=lambda losses: 1e-3 * GramStyleLoss() + losses), Stage(48, 1, STUDENT)]
    options: dict[str, Any] = {"size": 48, "schedule": stages, "progress": False, "device": "cpu"}
    options["losses"] = with_style_loss(DEFAULT_LOSSES, "gram")
    stylize(samples.photo(), painting(), callback=lambda p: seen.append(p.terms), **options)
    assert len({tuple(terms) for terms in seen}) == 1
    assert [len([name for name, value in terms.items() if value]) for terms in seen] == [2, 3, 6]


# --- stages


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, 1), ValueError, "the size of a stage is a whole number of at least 16 pixels, received 0"),
        ((15, 1), ValueError, "size of a stage"),
        ((math.nan, 1), ValueError, "size of a stage"),
        ((64.0, 1), ValueError, "size of a stage"),
        ((True, 1), ValueError, "size of a stage"),
        ((64, 0), ValueError, "the iterations of a stage is a whole number of at least 1, received 0"),
        ((64, -1), ValueError, "iterations of a stage"),
        ((64, math.nan), ValueError, "iterations of a stage"),
        ((64, True), ValueError, "iterations of a stage"),
        ((64, "x"), ValueError, "iterations of a stage"),
        ((64, 1, 7), TypeError, "received 7; give FeatureExtractor"),
        (
            (64, 1, torch.nn.Sequential()),
            TypeError,
            r"Sequential is a network and .* ModuleExtractor\(network\)",
        ),
        ((64, 1, None, DEFAULT_LOSSES), TypeError, "the losses of a stage are a function from the call's losses"),
        ((64, 1, None, None, 0), ValueError, "the cost of a stage is a finite number above 0, received 0"),
        ((64, 1, None, None, math.inf), ValueError, "cost of a stage"),
        ((64, 1, None, None, True), ValueError, "cost of a stage"),
        ((64, 1, None, None, 1, None, "sgd"), ValueError, "unknown optimizer 'sgd'"),
        ((64, 1, None, None, 1, None, 3), TypeError, "an optimizer is LBFGS.*received 3"),
        ((64, 1, None, None, 1, None, None, "worst"), ValueError, "unknown result 'worst'"),
    ],
    ids=str,
)
def test_a_bad_stage_is_refused_when_it_is_made(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Stage(*arguments)


def test_what_a_schedule_gives_is_checked_in_one_place() -> None:
    assert check_stages([Stage(32, 1), Stage(64, 1)], 64) == (Stage(32, 1), Stage(64, 1))
    for stages in (None, "draft", Stage(64, 1), [Stage(64, 1), 64]):
        with pytest.raises(TypeError, match=r"a schedule gives a list such as \[Stage\(32, 60\), Stage\(64, 30\)\]"):
            check_stages(stages, 64)
    with pytest.raises(ValueError, match="received an empty one"):
        check_stages([], 64)
    with pytest.raises(ValueError, match=r"the size of the result, 64 pixels, received 48; .* ask for size=48"):
        check_stages([Stage(48, 1)], 64)


def test_a_stage_has_its_optimiser_and_result_where_the_call_names_none() -> None:
    stages = [Stage(32, 2), Stage(48, 3, optimizer=Adam(lr=0.1), result="average")]
    pictures, options = (samples.photo(), painting()), {"size": 48, "device": "cpu"}

    def chosen(**call: Any) -> list[tuple[Any, Any]]:
        return [(each.optimizer, each.result) for each in plan(*pictures, schedule=stages, **options, **call).stages]

    assert chosen() == [(LBFGS(), "best"), (Adam(lr=0.1), "average")]
    assert chosen(optimizer="adam") == [(Adam(), "best"), (Adam(), "best")]
    assert chosen(optimizer="adam", result="average") == [(Adam(), "average"), (Adam(), "average")]
    assert chosen(result="last") == [(LBFGS(), "last"), (Adam(lr=0.1), "last")]
    one = Stage(48, 3)
    assert painted(schedule=[averaged(one)]) == painted(schedule=[one], optimizer="adam", result="average")
    assert painted(schedule=[averaged(one)]) != painted(schedule=[one], optimizer="adam")


def test_an_unknown_schedule_is_refused_and_the_near_one_named() -> None:
    with pytest.raises(ValueError, match=r"draght.*draft"):
        stylize(samples.photo(), painting(), schedule="draght")
