"""The temporal loss, and the earlier frames of an objective: masks, several of them, tiles, the next frame."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from neuralstyle import ContentLoss, FeatureExtractor, GramStyleLoss, Loss, Objective, Style
from neuralstyle.losses import TemporalLoss

Noise = Callable[..., Tensor]
LOSSES = ContentLoss("relu1_1") + GramStyleLoss(("relu1_1", "relu2_1")) + 7 * TemporalLoss()


class Whole(Loss):
    layers = ("image",)
    reference = "previous"

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return (x - target).square().mean()


def masked(x: Tensor, warped: Tensor, mask: Tensor) -> Tensor:
    return (mask * (x - warped).square()).sum() / x.numel()


def test_it_is_the_formula_of_the_paper(encoder64: FeatureExtractor, noise: Noise) -> None:
    x, warped, mask = (noise(1, 3, 24, 40, seed=seed).double() for seed in range(3))
    mask = mask[:, :1]
    objective = Objective(encoder64, TemporalLoss(), previous=Style(warped, region=mask))
    found = objective.evaluate(x)
    assert found.loss == pytest.approx(float(masked(x, warped, mask)))
    assert torch.allclose(found.gradient, 2 * mask * (x - warped) / x.numel())
    assert TemporalLoss(reduction="sum")(x, warped) == pytest.approx(float((x - warped).square().sum()))


def test_a_black_mask_leaves_nothing(encoder64: FeatureExtractor, noise: Noise) -> None:
    x, warped = noise(1, 3, 24, 24).double(), noise(1, 3, 24, 24, seed=1).double()
    found = Objective(encoder64, TemporalLoss(), previous=Style(warped, region=torch.zeros(24, 24))).evaluate(x)
    assert found.loss == 0
    assert not found.gradient.any()


def test_long_term_references_count_each_in_its_region(encoder64: FeatureExtractor, noise: Noise) -> None:
    x, first, second = (noise(1, 3, 24, 40, seed=seed).double() for seed in range(3))
    left = torch.zeros(1, 1, 24, 40, dtype=torch.float64)
    left[..., :13] = 1
    previous = [Style(first, region=left), Style(second, region=1 - left)]
    found = Objective(encoder64, TemporalLoss(), previous=previous).evaluate(x)
    assert found.loss == pytest.approx(float(masked(x, first, left) + masked(x, second, 1 - left)))


def test_masks_of_earlier_frames_in_tiles(encoder64: FeatureExtractor, noise: Noise) -> None:
    x, content, warped = (noise(1, 3, 80, 96, seed=seed).double() for seed in range(3))
    objective = Objective(
        encoder64, LOSSES, content=content, styles=[content], previous=Style(warped, region=content[:, :1])
    )
    whole, tiled = objective.evaluate(x), objective.evaluate(x, tile=48)
    assert tiled.loss == pytest.approx(whole.loss, rel=1e-10)
    assert torch.allclose(tiled.gradient, whole.gradient, rtol=1e-8, atol=1e-12)


def test_the_objective_of_the_next_frame_is_that_of_a_new_one(encoder64: FeatureExtractor, noise: Noise) -> None:
    x, one, two, style = (noise(1, 3, 32, 48, seed=seed).double() for seed in range(4))
    first = Objective(encoder64, LOSSES, content=one, styles=[style], previous=one)
    before = first.evaluate(x)
    pictures = {"content": two, "previous": [Style(one, region=two[:, :1])]}
    found, new = first.with_pictures(**pictures), Objective(encoder64, LOSSES, styles=[style], **pictures)
    assert found.evaluate(x).terms == new.evaluate(x).terms
    assert list(found.evaluate(x).terms) == ["ContentLoss", "GramStyleLoss", "TemporalLoss"]
    assert torch.equal(found.evaluate(x).gradient, new.evaluate(x).gradient)
    assert first.evaluate(x).terms == before.terms  # the first one is as it was


def test_the_next_frame_needs_what_the_losses_compare_with(encoder64: FeatureExtractor, noise: Noise) -> None:
    x = noise(1, 3, 32, 32).double()
    objective = Objective(encoder64, LOSSES, content=x, styles=[x], previous=x)
    with pytest.raises(ValueError, match="no previous was given"):
        objective.with_pictures(content=x)
    with pytest.raises(ValueError, match="give them one size"):
        objective.with_pictures(content=x, previous=x[..., :-1])


def test_a_loss_on_whole_maps_takes_no_mask_of_an_earlier_frame(encoder64: FeatureExtractor, noise: Noise) -> None:
    x = noise(1, 3, 32, 32).double()
    assert Objective(encoder64, Whole(), previous=x).evaluate(x).loss == 0
    with pytest.raises(ValueError, match="cannot be kept inside a region"):
        Objective(encoder64, Whole(), previous=Style(x, region=x[:, :1]))
