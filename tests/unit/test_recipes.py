"""Every style loss by name, at the weight at which it balances the default losses; and published methods."""

import inspect

import pytest
from doubles import Means

from neuralstyle import (
    DEFAULT_LOSSES,
    ContentLoss,
    FeatureExtractor,
    GramStyleLoss,
    Stage,
    default_encoder,
    losses,
    stylize,
    with_style_loss,
)
from neuralstyle.color import Color
from neuralstyle.losses import CovarianceLoss, MMDLoss, WassersteinLoss
from neuralstyle.losses.base import as_sum, weights_in_use
from neuralstyle.recipes import (
    DEFAULT_STYLE_LOSS,
    LUMINANCE_PIXEL_WEIGHT,
    RECIPES,
    STYLE_LOSSES,
    TEXTURE_LOSSES,
    crowson,
    losses_through,
    nnst,
    scales,
    strotss,
    with_pixel_terms,
)


def test_every_style_loss_of_the_package_has_a_name() -> None:
    named = {type(term.loss) for loss in STYLE_LOSSES.values() for term in as_sum(loss)}
    exported = {kind for kind in vars(losses).values() if isinstance(kind, type) and issubclass(kind, losses.Loss)}
    assert named == {kind for kind in exported if getattr(kind, "reference", None) == "style"}


def test_a_style_loss_takes_the_place_and_weight_of_the_sums_own() -> None:
    changed = with_style_loss(DEFAULT_LOSSES, "gram-mean-std")
    assert changed.names == ("ContentLoss", "GramStyleLoss", "MeanStdLoss", "TotalVariationLoss", "GhostLoss")
    of_content, of_style, of_noise, of_ghosts = (term.weight for term in DEFAULT_LOSSES)
    gram, means = (term.weight for term in as_sum(STYLE_LOSSES["gram-mean-std"]))
    weights = [of_content, of_style * gram, of_style * means, of_noise, of_ghosts]
    assert [t.weight for t in changed] == pytest.approx(weights)
    texture, of_noise = (term.weight for term in TEXTURE_LOSSES)
    units = texture / as_sum(STYLE_LOSSES["gram"]).terms[0].weight
    expected = [units * gram, units * means, of_noise]
    assert [t.weight for t in with_style_loss(TEXTURE_LOSSES, "gram-mean-std")] == pytest.approx(expected)


def test_the_default_style_losses_are_those_of_their_names() -> None:
    assert with_style_loss(DEFAULT_LOSSES, DEFAULT_STYLE_LOSS) == DEFAULT_LOSSES
    same = with_style_loss(TEXTURE_LOSSES, "gram")
    assert [term.loss for term in same] == [term.loss for term in TEXTURE_LOSSES]
    assert [term.weight for term in same] == pytest.approx([term.weight for term in TEXTURE_LOSSES])
    there_and_back = with_style_loss(with_style_loss(DEFAULT_LOSSES, "mmd"), DEFAULT_STYLE_LOSS)
    assert [term.loss for term in there_and_back] == [term.loss for term in DEFAULT_LOSSES]
    assert [t.weight for t in there_and_back] == pytest.approx([t.weight for t in DEFAULT_LOSSES])


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown style loss 'wasserstien': did you mean 'wasserstein'"):
        with_style_loss(DEFAULT_LOSSES, "wasserstien")


@pytest.mark.parametrize(
    ("color", "reference", "share"),
    [("style", "style", 1), ("match", "content", 1), ("luminance", "content", LUMINANCE_PIXEL_WEIGHT)],
)
def test_beside_the_compact_encoder_pixels_are_those_whose_colors_the_result_is_to_have(
    color: Color, reference: str, share: float
) -> None:
    summed = with_style_loss(DEFAULT_LOSSES, "gram")
    gram = next(term.weight for term in summed if isinstance(term.loss, GramStyleLoss))
    beside = list(with_pixel_terms(summed, color))[len(summed) :]
    assert [term.loss.reference for term in beside] == [reference] * 2
    assert [term.weight for term in beside] == pytest.approx([share * gram / 3, share * gram / 6])
    assert all(list(weights_in_use(term.loss)) == ["image"] for term in beside)


@pytest.mark.parametrize("color", ["style", "match", "luminance"])
def test_a_distance_that_pins_colors_by_itself_has_no_pixels_beside_it(color: Color) -> None:
    assert with_pixel_terms(DEFAULT_LOSSES, color) is DEFAULT_LOSSES


def unit(name: str) -> float:
    """The weight of the first term of a style loss."""
    return as_sum(STYLE_LOSSES[name]).terms[0].weight


class Gram2(GramStyleLoss):
    """A kind derived from one of the package."""


def pixel_weight(summed: losses.LossSum) -> float:
    """The weight of the covariance of pixels, as a multiple of that beside one unit."""
    added = list(with_pixel_terms(summed))[len(summed) :]
    assert [type(term.loss) for term in added] in ([], [CovarianceLoss, MMDLoss])
    assert {tuple(term.loss.layers) for term in added} <= {("image",)}
    return 3 / unit("gram") * added[0].weight if added else 0.0


@pytest.mark.parametrize(
    ("summed", "units"),
    [
        (as_sum(GramStyleLoss()), 1 / unit("gram")),
        (7 * GramStyleLoss("relu1_1", normalization="paper"), 7 / unit("gram")),
        (7 * Gram2(), 7 / unit("gram")),
        (7 * MMDLoss("relu1_1"), 7 / unit("mmd")),
        (2 * GramStyleLoss() + 3 * MMDLoss(), 2 / unit("gram") + 3 / unit("mmd")),
        (7 * Means(), 7),
        (7 * CovarianceLoss("image"), 0),
        (7 * CovarianceLoss(("image", "relu1_1")), 7 / unit("covariance")),
        (7 * WassersteinLoss(("relu1_2", "relu3_1")), 0),
        (7 * WassersteinLoss(("relu2_1", "relu3_1")), 7),
        (7 * WassersteinLoss(("relu1_1", "relu2_1"), layer_weights=(0, 1)), 7),
        (7 * GramStyleLoss(reference="content"), 0),
        (as_sum(ContentLoss()), 0),
    ],
    ids=str,
)
def test_pixel_terms_depend_on_the_kind_of_loss_and_its_weight(summed: losses.LossSum, units: float) -> None:
    assert pixel_weight(summed) == pytest.approx(units)


def test_pixel_terms_are_there_unless_the_encoder_pins_colors(encoder: FeatureExtractor) -> None:
    class Plain:
        layers = encoder.layers

    assert encoder.pins_colors
    assert losses_through(encoder, DEFAULT_LOSSES) is DEFAULT_LOSSES
    assert losses_through(Plain(), DEFAULT_LOSSES) is DEFAULT_LOSSES  # type: ignore[arg-type]
    narrow = default_encoder("compact19")
    assert not narrow.pins_colors
    summed = with_style_loss(DEFAULT_LOSSES, "gram")
    assert losses_through(encoder, summed) is summed
    assert losses_through(narrow, summed, "match") == with_pixel_terms(summed, "match") != summed


# Published methods


def test_scales_shrink_from_the_last_by_a_factor() -> None:
    assert [stage.size for stage in scales(512, smallest=64)] == [64, 128, 256, 512]
    assert scales(512, 10, levels=2) == [Stage(256, 10), Stage(512, 10)]
    assert scales(60, smallest=64, default=7, first=2) == [Stage(60, 7)]  # the only one is the last one too
    with pytest.raises(ValueError, match="the factor between scales is a finite number above 1"):
        scales(512, factor=1)


def test_style_transfer_pytorch_grows_by_the_root_of_two_and_begins_with_twice_the_evaluations() -> None:
    listed = crowson()["schedule"](512, None)
    assert [(stage.size, stage.iterations) for stage in listed] == [
        (128, 1000), (181, 500), (256, 500), (362, 500), (512, 500)
    ]  # fmt: skip
    assert [stage.iterations for stage in crowson()["schedule"](256, 30)] == [60, 30, 30]
    style = next(term.loss for term in crowson()["losses"] if term.loss.reference == "style")
    assert [round(weight * 341) for weight in style.layer_weights or ()] == [256, 64, 16, 4, 1]


def test_strotss_halves_the_weight_of_the_content_from_size_to_size() -> None:
    recipe = strotss()
    weights = []
    for stage in recipe["schedule"](2048, None):
        assert stage.losses is not None
        content, matched, moments, palette = (term.weight for term in stage.losses(recipe["losses"]))
        assert (stage.iterations, matched, moments) == (200, 1, 1)
        weights.append((stage.size, content, palette))
    assert weights == [
        (64, 16, 1 / 16), (128, 8, 1 / 8), (256, 4, 1 / 4), (512, 2, 1 / 2), (1024, 1, 1), (2048, 0.5, 1)
    ]  # fmt: skip
    # The weight belongs to the size, whatever the sizes before: what is painted at 384 pixels lies between 256 and 512.
    *_, last = recipe["schedule"](384, None)
    assert last.losses is not None
    assert next(iter(last.losses(recipe["losses"]))).weight == pytest.approx(16 * 64 / 384)


def test_nnst_takes_the_layers_apart_at_last() -> None:
    recipe = nnst()
    *stages, last = recipe["schedule"](256, 50)
    assert [(stage.size, stage.iterations, stage.losses) for stage in stages] == [(s, 50, None) for s in (64, 128, 256)]
    assert (last.size, last.iterations) == (256, 50)
    assert last.losses is not None
    content, apart, palette = last.losses(recipe["losses"])
    assert (content, palette) == (recipe["losses"].terms[0], recipe["losses"].terms[2])
    assert apart.loss == losses.NearestNeighborLoss(
        recipe["losses"].terms[1].loss.layers, 1024, (1.0,) * 10, centered=True
    )


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_arguments_of_stylize(name: str) -> None:
    recipe = RECIPES[name]()
    assert set(recipe) <= set(inspect.signature(stylize).parameters)
    if name != "default":
        listed = recipe["schedule"](300, 7)
        assert (listed[-1].size, listed[-1].iterations) == (300, 7)
