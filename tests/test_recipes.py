"""Every style loss by name: all are there, and each stands at the weight at which it balances the default losses."""

import pytest

from neuralstyle import DEFAULT_LOSSES, STYLE_LOSSES, TEXTURE_LOSSES, losses, with_style_loss
from neuralstyle.color import Color
from neuralstyle.losses.base import as_sum, weights_in_use
from neuralstyle.recipes import with_pixels


def test_every_style_loss_of_the_package_has_a_name() -> None:
    named = {type(term.loss) for loss in STYLE_LOSSES.values() for term in as_sum(loss)}
    exported = {kind for kind in vars(losses).values() if isinstance(kind, type) and issubclass(kind, losses.Loss)}
    assert named == {kind for kind in exported if getattr(kind, "reference", None) == "style"}


def test_a_style_loss_takes_the_place_and_weight_of_the_sums_own() -> None:
    changed = with_style_loss(DEFAULT_LOSSES, "gram-mean-std")
    assert changed.names == ("ContentLoss", "GramStyleLoss", "MeanStdLoss", "TotalVariationLoss")
    assert [term.weight for term in changed] == [1, 21, 21, 2]
    assert [term.weight for term in with_style_loss(TEXTURE_LOSSES, "gram-mean-std")] == [0.7, 0.7, 0.2]


def test_the_default_style_loss_is_gram() -> None:
    assert with_style_loss(DEFAULT_LOSSES, "gram") == DEFAULT_LOSSES
    assert with_style_loss(TEXTURE_LOSSES, "gram") == TEXTURE_LOSSES


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown style loss 'wasserstien': did you mean 'wasserstein'"):
        with_style_loss(DEFAULT_LOSSES, "wasserstien")


@pytest.mark.parametrize(
    ("color", "reference", "share"), [("style", "style", 1), ("match", "content", 1), ("luminance", "content", 0.1)]
)
def test_beside_the_compact_encoder_pixels_are_those_whose_colors_the_result_is_to_have(
    color: Color, reference: str, share: float
) -> None:
    beside = list(with_pixels(DEFAULT_LOSSES, color))[len(DEFAULT_LOSSES) :]
    assert [term.loss.reference for term in beside] == [reference] * 2
    assert [term.weight for term in beside] == pytest.approx([share * 10, share * 5])  # the Gram matrices have 30
    assert all(list(weights_in_use(term.loss)) == ["image"] for term in beside)
