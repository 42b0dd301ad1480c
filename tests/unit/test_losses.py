from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass
from typing import Any

import numpy as np
import pytest
import torch
from doubles import Crossed
from torch import Tensor

from neuralstyle import (
    ContentLoss,
    FeatureExtractor,
    GramStyleLoss,
    Loss,
    LossSum,
    Objective,
    PointwiseLoss,
    StatisticLoss,
    Style,
    TotalVariationLoss,
)
from neuralstyle.losses import (
    GhostLoss,
    LaplacianLoss,
    MMDLoss,
    NearestNeighborLoss,
    SelfSimilarityLoss,
    Term,
    WassersteinLoss,
    geometric_weights,
)
from neuralstyle.losses.base import as_sum
from neuralstyle.schedule import Stage

Noise = Callable[..., Tensor]

LOSSES: dict[str, Any] = {
    "content": ContentLoss("image"),
    "content, sum": ContentLoss("image", reduction="sum"),
    "gram": GramStyleLoss("image"),
    "gram, relative": GramStyleLoss("image", normalization="relative"),
    "tv": TotalVariationLoss(),
    "tv, power 1.5": TotalVariationLoss(power=1.5),
    "tv, sum": TotalVariationLoss(reduction="sum"),
}


def each(kind: type[Loss]) -> pytest.MarkDecorator:
    chosen = {name: loss for name, loss in LOSSES.items() if isinstance(loss, kind)}
    return pytest.mark.parametrize("loss", chosen.values(), ids=chosen)


def target_for(loss: Loss, target: Tensor) -> Tensor | None:
    return None if loss.reference is None else target


# The paper's formulas, written out anew


def paper_content(F: np.ndarray, P: np.ndarray) -> float:
    """Equation 1, from features (N, M)."""
    return 0.5 * ((F - P) ** 2).sum()


def paper_style(F: np.ndarray, S: np.ndarray) -> float:
    """Equations 3 and 4, from features (N, M) of one size."""
    N, M = F.shape
    G, A = (np.einsum("ik,jk->ij", X, X) for X in (F, S))
    return ((G - A) ** 2).sum() / (4 * N**2 * M**2)


def test_content_loss_is_the_papers(noise: Noise) -> None:
    F, P = noise(2, 1, 5, 3, 4, dtype=torch.float64)
    expected = 0.0
    for i in range(5):
        for y in range(3):
            for x in range(4):
                expected += 0.5 * float(F[0, i, y, x] - P[0, i, y, x]) ** 2
    assert float(ContentLoss(reduction="sum").forward(F, P)) == pytest.approx(expected, rel=1e-6)
    assert float(ContentLoss(reduction="mean").forward(F, P)) == pytest.approx(expected / (5 * 12), rel=1e-6)


def test_gram_loss_is_the_papers(noise: Noise) -> None:
    F, S = noise(2, 1, 4, 3, 5, dtype=torch.float64)
    f, s = F.reshape(4, 15).tolist(), S.reshape(4, 15).tolist()
    expected = 0.0
    for i in range(4):
        for j in range(4):
            G = sum(f[i][k] * f[j][k] for k in range(15))
            A = sum(s[i][k] * s[j][k] for k in range(15))
            expected += (G - A) ** 2 / (4 * 4**2 * 15**2)
    assert float(GramStyleLoss().forward(F, S)) == pytest.approx(expected, rel=1e-6)


def test_total_loss_on_the_network_is_the_papers(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, content, style = noise(3, 1, 3, 32, 48, dtype=torch.float64)
    styles = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    F, P, S = (
        {layer: x.numpy()[0].reshape(x.shape[1], -1) for layer, x in encoder64(picture, [*styles, "relu4_2"]).items()}
        for picture in (image, content, style)
    )
    L_content = paper_content(F["relu4_2"], P["relu4_2"])
    L_style = sum(1 / 5 * paper_style(F[layer], S[layer]) for layer in styles)
    alpha, beta = 1e-3, 7.0
    losses = alpha * ContentLoss(reduction="sum") + beta * GramStyleLoss()
    evaluation = Objective(encoder64, losses, content=content, styles=[style]).evaluate(image)
    assert evaluation.terms == pytest.approx(
        {"ContentLoss": alpha * L_content, "GramStyleLoss": beta * L_style}, rel=1e-6
    )
    assert evaluation.loss == pytest.approx(alpha * L_content + beta * L_style, rel=1e-6)


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0])
def test_total_variation_is_the_sum_over_right_and_lower_neighbours(noise: Noise, power: float) -> None:
    x = noise(1, 2, 4, 5, dtype=torch.float64)
    expected = 0.0
    for c in range(2):
        for i in range(4):
            for j in range(5):
                if j + 1 < 5:
                    expected += abs(float(x[0, c, i, j + 1] - x[0, c, i, j])) ** power
                if i + 1 < 4:
                    expected += abs(float(x[0, c, i + 1, j] - x[0, c, i, j])) ** power
    assert float(TotalVariationLoss(power=power, reduction="sum").forward(x, None)) == pytest.approx(expected)
    assert float(TotalVariationLoss(power=power).forward(x, None)) == pytest.approx(expected / (2 * 4 * 5))


@pytest.mark.parametrize("power", [1.0, 1.2, 2.0])
def test_total_variation_of_a_flat_picture_has_no_gradient(power: float) -> None:
    x = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(TotalVariationLoss(power=power).forward(x, None), x)
    assert torch.equal(gradient, torch.zeros_like(x))


@pytest.mark.parametrize("channels", [16, 128, 512])
def test_the_gradient_between_gaussians_is_exact_with_fewer_positions_than_channels(
    channels: int, noise: Noise
) -> None:
    """There the covariance is singular, and rounding makes some of its eigenvalues negative."""

    def gradient(dtype: torch.dtype) -> Tensor:
        x, target = noise(2, 1, channels, 2, 5).to(dtype)
        x.requires_grad_()
        return torch.autograd.grad(WassersteinLoss("relu4_1").forward(x, target), x)[0].double()

    exact = gradient(torch.float64)
    assert (gradient(torch.float32) - exact).norm() < 1e-3 * exact.norm()


# Every loss


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("uniform", [False, True])
def test_sums_of_products_are_exact_and_can_be_differentiated_twice(
    channels_last: bool, uniform: bool, noise: Noise
) -> None:
    x, weight = noise(2, 3, 5, dtype=torch.float64), noise(2, 1, 5, dtype=torch.float64)
    if channels_last:
        x = x.transpose(1, 2).contiguous().transpose(1, 2)
    if uniform:
        weight = weight[:, :, :1].expand(2, 1, 5)
    x.requires_grad_()
    gram = GramStyleLoss("relu1_1").statistic(x, weight)
    moments = WassersteinLoss("relu1_1").statistic(x, weight)
    torch.testing.assert_close(gram, torch.einsum("bin,bjn,bn->bij", x, x, weight[:, 0]))
    torch.testing.assert_close(moments, torch.cat([gram, (x * weight).sum(2)[:, None]], 1))
    for loss in (GramStyleLoss("relu1_1"), WassersteinLoss("relu1_1")):
        assert torch.autograd.gradcheck(lambda x, loss=loss: loss.statistic(x, weight), x)
        assert torch.autograd.gradgradcheck(lambda x, loss=loss: loss.statistic(x, weight), x)


@each(Loss)
def test_loss_is_zero_at_its_target_and_positive_elsewhere(loss: Loss, noise: Noise) -> None:
    x, other = noise(2, 1, 3, 6, 5)
    if loss.reference is None:
        assert loss.forward(torch.full_like(x, 0.3), None) == 0
    else:
        assert loss.forward(x, x) == 0
    assert loss.forward(x, target_for(loss, other)) > 0


@each(Loss)
def test_a_call_is_the_forward_pass(loss: Loss, noise: Noise) -> None:
    x, target = noise(2, 1, 3, 6, 5)
    assert torch.equal(loss(x, target_for(loss, target)), loss.forward(x, target_for(loss, target)))
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(x, target_for(loss, target)), x)
    assert gradient.abs().max() > 0


def test_only_a_regulariser_is_called_without_a_target(noise: Noise) -> None:
    x = noise(1, 3, 6, 5)
    assert torch.equal(TotalVariationLoss()(x), TotalVariationLoss()(x, None))
    with pytest.raises(TypeError) as caught:
        GramStyleLoss("image")(x)
    assert str(caught.value) == (
        "GramStyleLoss compares with the style; call it as loss(x, target) with the features of both"
    )


def test_a_loss_is_not_taken_for_a_function_of_losses() -> None:
    with pytest.raises(TypeError, match=r"the losses of a stage are a function .*received ContentLoss"):
        Stage(32, 1, losses=ContentLoss())  # type: ignore[arg-type]


def test_a_joint_loss_is_called_with_dicts(noise: Noise) -> None:
    class Both(Loss):
        layers, reference, joint = ("relu1_1", "relu2_1"), "content", True

        def forward(self, x: dict[str, Tensor], target: dict[str, Tensor]) -> Tensor:
            return torch.stack([(x[name] - target[name]).square().mean() for name in self.layers]).sum()

    x, target = ({name: noise(1, 3, 4, 4, seed=seed) for name in Both.layers} for seed in (0, 1))
    assert Both()(x, target) == Both().forward(x, target) > 0


@pytest.mark.parametrize("kind", [ContentLoss, GramStyleLoss, TotalVariationLoss])
def test_losses_with_different_options_differ(kind: Any) -> None:
    assert kind("relu1_1") == kind(["relu1_1"]) == kind(layers=("relu1_1",))
    assert len({kind("relu1_1"), kind("relu2_1"), kind("relu1_1", layer_weights=(2,))}) == 3


@pytest.mark.parametrize("kind", [ContentLoss, GramStyleLoss, TotalVariationLoss])
def test_loss_keeps_no_hold_on_the_lists_it_was_given(kind: Any) -> None:
    layers, layer_weights = ["relu1_1", "relu2_1"], [1.0, 2.0]
    loss = kind(layers, layer_weights=layer_weights)
    layers.append("relu3_1")
    layer_weights.append(3.0)
    assert loss == kind(("relu1_1", "relu2_1"), layer_weights=(1.0, 2.0))


@each(PointwiseLoss)
def test_errors_of_positions_make_up_the_loss(loss: Any, noise: Noise) -> None:
    x, target = noise(2, 2, 3, 6, 5, dtype=torch.float64)
    error = loss.error(x, target_for(loss, target))
    assert error.shape == (2, 1, 6, 5)
    expected = error.sum() / (2 if loss.reduction == "sum" else 2 * 6 * 5)
    torch.testing.assert_close(loss.forward(x, target_for(loss, target)), expected)


@each(StatisticLoss)
def test_statistics_of_different_sizes_compare(loss: StatisticLoss, encoder64: FeatureExtractor, noise: Noise) -> None:
    x = noise(1, 3, 16, 18, dtype=torch.float64)
    assert loss.forward(x, x.tile(1, 1, 2, 2)) == pytest.approx(0, abs=1e-24)
    objective = Objective(encoder64, loss, styles=[x.tile(1, 1, 2, 2)])
    assert objective.evaluate(x).loss == pytest.approx(0, abs=1e-24)
    assert objective.evaluate(x.square()).loss > 1e-4


# Options


def test_layer_weights_default_to_one_over_the_number_of_layers(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, style = noise(2, 1, 3, 16, 16, dtype=torch.float64)
    layers = ("image", "relu1_1", "relu2_1")

    def value(loss: Loss) -> float:
        return Objective(encoder64, loss, styles=[style]).evaluate(image, with_gradient=False).loss

    alone = [value(GramStyleLoss(layer)) for layer in layers]
    assert value(GramStyleLoss(layers)) == pytest.approx(sum(alone) / 3)
    assert value(GramStyleLoss(layers, layer_weights=(1, 0, 5))) == pytest.approx(alone[0] + 5 * alone[2])


@pytest.mark.parametrize("ratio", [0.3, 0.5, 1, 2, 7.5, 1e-200, 1e200])
def test_geometric_weights_keep_a_ratio_and_add_up_to_one(ratio: float) -> None:
    layers = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
    weights = geometric_weights(layers, ratio)
    assert sum(weights) == pytest.approx(1)
    for before, after in itertools.pairwise(weights):
        assert after == pytest.approx(ratio * before) or min(before, after) < 1e-150
    assert (weights[-1] > weights[0]) == (ratio > 1)


def test_geometric_weights_of_one_layer_of_no_growth_and_of_none_but_the_first() -> None:
    assert geometric_weights("relu4_2", 3) == (1.0,)
    assert geometric_weights(("relu1_1", "relu2_1"), 1) == (0.5, 0.5)
    assert geometric_weights(("relu1_1", "relu2_1"), 0) == (1.0, 0.0)
    layers = ("relu1_1", "relu2_1", "relu3_1")
    assert GramStyleLoss(layers, layer_weights=geometric_weights(layers, 2)).layer_weights == (1 / 7, 2 / 7, 4 / 7)


@pytest.mark.parametrize("ratio", [-1, float("nan"), float("inf"), "2", True, None])
def test_ratios_that_give_no_weights_are_refused(ratio: Any) -> None:
    with pytest.raises(ValueError, match=f"finite number of at least 0, received {ratio!r}"):
        geometric_weights(("relu1_1", "relu2_1"), ratio)
    with pytest.raises(ValueError, match="one or more names"):
        geometric_weights((), 2)


@pytest.mark.parametrize("loss", [ContentLoss, GramStyleLoss, TotalVariationLoss])
@pytest.mark.parametrize(
    ("layer_weights", "message"),
    [((1.0,), r"2 layers .* and 1 layer_weights"), ((1.0, float("nan")), "finite"), ((1, 2, 3), "one weight for each")],
)
def test_wrong_layer_weights_are_refused(
    encoder: FeatureExtractor, noise: Noise, loss: Any, layer_weights: Any, message: str
) -> None:
    picture = noise(1, 3, 16, 16)
    with pytest.raises(ValueError, match=message):
        Objective(
            encoder, loss(("relu1_1", "relu2_1"), layer_weights=layer_weights), content=picture, styles=[Style(picture)]
        )


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (ContentLoss, {"reduction": "men"}, "unknown reduction of ContentLoss 'men': did you mean 'mean'"),
        (
            TotalVariationLoss,
            {"reduction": "men"},
            "unknown reduction of TotalVariationLoss 'men': did you mean 'mean'",
        ),
        (ContentLoss, {"reference": "style"}, "unknown reference of ContentLoss 'style'"),
        (ContentLoss, {"reference": None}, "unknown reference of ContentLoss None"),
        (GhostLoss, {"reference": "style"}, "unknown reference of GhostLoss 'style'"),
        (LaplacianLoss, {"reference": None}, "unknown reference of LaplacianLoss None"),
        (SelfSimilarityLoss, {"reference": "style"}, "unknown reference of SelfSimilarityLoss 'style'"),
        (TotalVariationLoss, {"power": 0.5}, "at least 1, received 0.5"),
        (TotalVariationLoss, {"power": float("nan")}, "at least 1, received nan"),
        (ContentLoss, {"layers": ()}, r"one or more names .*received \(\)"),
        (GramStyleLoss, {"layers": []}, "one or more names"),
        (TotalVariationLoss, {"layers": [3]}, "one or more names"),
        (GramStyleLoss, {"layers": ("relu1_1", "relu1_1")}, "relu1_1"),
    ],
)
def test_wrong_options_are_refused(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**options)


@pytest.mark.parametrize(
    ("loss", "given"),
    [
        (ContentLoss("relu1_1"), "content"),
        (ContentLoss("relu1_1", reference="previous"), "previous"),
        (GramStyleLoss("relu1_1"), "styles"),
        (GramStyleLoss("relu1_1", reference="content"), "content"),
        (GramStyleLoss("relu1_1", reference="previous"), "previous"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_reference_says_what_a_loss_compares_with(
    encoder64: FeatureExtractor, noise: Noise, loss: Loss, given: str
) -> None:
    pictures = dict(zip(("content", "styles", "previous"), noise(3, 1, 3, 16, 16, dtype=torch.float64), strict=True))
    references: dict[str, Any] = {key: [value] if key == "styles" else value for key, value in pictures.items()}
    objective = Objective(encoder64, loss, **references)
    assert objective.evaluate(pictures[given]).loss == pytest.approx(0, abs=1e-24)
    assert all(objective.evaluate(value).loss > 1e-6 for key, value in pictures.items() if key != given)


# Arithmetic

A, B, C = ContentLoss(), GramStyleLoss(), TotalVariationLoss()


@pytest.mark.parametrize(
    ("total", "terms"),
    [
        (2 * A, [(A, 2)]),
        (A * 2, [(A, 2)]),
        (A + B, [(A, 1), (B, 1)]),
        (A + 2 * B, [(A, 1), (B, 2)]),
        (2 * B + A, [(B, 2), (A, 1)]),
        (3 * (A + 2 * B) * 0.5, [(A, 1.5), (B, 3)]),
        ((A + B) + (C + A), [(A, 1), (B, 1), (C, 1), (A, 1)]),
        (A + A, [(A, 1), (A, 1)]),
        (sum([A, 2 * B, C]), [(A, 1), (B, 2), (C, 1)]),
        (sum([2 * A]), [(A, 2)]),
        (2 * (3 * (A + 0 * B) + C), [(A, 6), (B, 0), (C, 2)]),
        (np.float64(2) * A, [(A, 2)]),
        ((A + B) * -1, [(A, -1), (B, -1)]),
    ],
)
def test_arithmetic_gives_a_sum_of_terms(total: Any, terms: list[tuple[Loss, float]]) -> None:
    assert isinstance(total, LossSum)
    assert [(term.loss, term.weight) for term in total] == terms
    assert len(total) == len(terms)
    assert all(isinstance(term, Term) and isinstance(term.weight, float) for term in total)


def test_sums_are_values_that_arithmetic_leaves_unchanged() -> None:
    total = A + 2 * B
    same = A + 2 * B
    assert total == same
    assert hash(total) == hash(same)
    _ = 5 * total, total + C, total.scaled("style", 3)
    assert total == same
    assert total != 2 * total
    with pytest.raises(FrozenInstanceError):
        total.terms = ()  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        total.terms[0].weight = 3.0  # type: ignore[misc]


def test_names_number_terms_of_a_kind_from_the_second() -> None:
    assert (A + B + C + 2 * A + A).names == (
        "ContentLoss",
        "GramStyleLoss",
        "TotalVariationLoss",
        "ContentLoss#2",
        "ContentLoss#3",
    )


@pytest.mark.parametrize("reference", ["content", "style", "previous", None])
def test_scaled_multiplies_the_terms_of_one_reference(reference: Any) -> None:
    total = A + 2 * B + 3 * TotalVariationLoss() + 4 * ContentLoss(reference="previous")
    expected = [t.weight * (10 if t.loss.reference == reference else 1) for t in total]
    scaled = total.scaled(reference, 10)
    assert [term.weight for term in scaled] == expected != [term.weight for term in total]
    assert [term.loss for term in scaled] == [term.loss for term in total]


@pytest.mark.parametrize(
    "total", [A + 1e3 * B, (1 / 3) * A + 1234567.0 * B, LossSum(())], ids=["round", "exact", "empty"]
)
def test_repr_of_a_sum_evaluates_back_to_an_equal_sum(total: LossSum) -> None:
    assert eval(repr(total)) == total


@pytest.mark.parametrize("factor", ["2", None, True, [2], 1j, A])
@pytest.mark.parametrize("total", [A, A + B], ids=["loss", "sum"])
def test_factors_that_are_no_numbers_are_refused(total: Any, factor: Any) -> None:
    with pytest.raises(TypeError):
        total * factor
    with pytest.raises(TypeError):
        factor * total


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), -float("inf")])
def test_factors_that_are_not_finite_are_refused(factor: float) -> None:
    for multiply in (lambda: factor * A, lambda: (A + B) * factor, lambda: (A + B).scaled("style", factor)):
        with pytest.raises(ValueError, match="finite"):
            multiply()


@pytest.mark.parametrize("other", [1, "loss", None, 0.5])
def test_summands_that_are_no_losses_are_refused(other: Any) -> None:
    for total in (A, A + B):
        with pytest.raises(TypeError):
            total + other
        with pytest.raises(TypeError):
            other + total


@pytest.mark.parametrize("number", [2, 2.0, np.float64(2), np.float32(2), np.int64(2)], ids=lambda n: type(n).__name__)
def test_numbers_multiply_from_either_side(number: Any) -> None:
    assert number * A == A * number == LossSum((Term(A, 2.0),))


def test_relative_gram_is_the_papers_over_its_value_without_features(noise: Noise) -> None:
    x, target = noise(1, 5, 6, 7, dtype=torch.float64), noise(1, 5, 4, 9, seed=1, dtype=torch.float64)
    paper, relative = GramStyleLoss("image"), GramStyleLoss("image", normalization="relative")
    expected = paper.forward(x, target) / paper.forward(torch.zeros_like(x), target)
    torch.testing.assert_close(relative.forward(x, target), expected, rtol=1e-12, atol=0)
    assert torch.isfinite(relative.forward(x, torch.zeros_like(target)))


def test_relative_gram_does_not_depend_on_the_contrast(noise: Noise) -> None:
    x, target = noise(1, 5, 6, 7), noise(1, 5, 6, 7, seed=1)
    loss = GramStyleLoss("image", normalization="relative")
    torch.testing.assert_close(loss.forward(10 * x, 10 * target), loss.forward(x, target))


def test_an_unknown_normalization_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown normalization 'relativ': did you mean 'relative'"):
        GramStyleLoss(normalization="relativ")  # type: ignore[arg-type]


# Losses of one's own


class Plain(Loss):
    layers: Any = ("image",)
    reference: Any = "style"

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return (x.mean() - target.mean()).square()


class Nowhere(Loss):
    reference: Any = "style"

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return (x.mean() - target.mean()).square()


class Nothing(Loss):
    layers: Any = ("image",)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return (x.mean() - target.mean()).square()


class Jointly(PointwiseLoss):
    layers: Any = ("image",)
    reference: Any = "style"
    joint = True

    def error(self, x: Tensor, target: Tensor) -> Tensor:
        return x


def with_attributes(**attributes: Any) -> Loss:
    return type("Mine", (Plain,), attributes)()  # type: ignore[no-any-return]


NO_REFERENCE = (
    "Nothing names no reference; set reference = 'content', 'style' or 'previous', or None for a regulariser, which "
    "compares with nothing"
)
NO_LAYERS = "Nowhere names no layers; set its layers, for example layers = ('relu4_2',)"


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (Nothing(), NO_REFERENCE),
        (Nowhere(), NO_LAYERS),
        (Jointly(), "Jointly is joint, which only a general Loss can be; derive it from Loss"),
        (with_attributes(layers=()), "layers of Mine are one or more names such as 'relu4_2', received ()"),
        (with_attributes(layers=3), "layers of Mine are one or more names such as 'relu4_2', received 3"),
        (
            with_attributes(layers=["a", "b"], layer_weights=[1]),
            "Mine has 2 layers ('a', 'b') and 1 layer_weights (1,); give one weight for each layer",
        ),
        (
            with_attributes(layers=["a", "b"], layer_weights=0.5),
            "Mine has 2 layers ('a', 'b') and 1 layer_weights (0.5,); give one weight for each layer",
        ),
        (
            with_attributes(layer_weights=[float("nan")]),
            "the weight of layer 'image' of Mine is a finite number, received nan",
        ),
        (
            with_attributes(reference="stile"),
            "Mine.reference is 'stile'; known are 'content', 'style', 'previous' and None",
        ),
        (with_attributes(reach=-1), "reach of Mine is a whole number of at least 0 positions, received -1"),
        (with_attributes(reach=1.5), "reach of Mine is a whole number of at least 0 positions, received 1.5"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_loss_that_lacks_something_is_refused_where_it_is_used(loss: Any, message: str) -> None:
    for use in (
        lambda: 2 * loss,
        lambda: loss * 2,
        lambda: loss + ContentLoss(),
        lambda: ContentLoss() + loss,
        lambda: 2 * ContentLoss() + loss,
        lambda: sum([loss]),
        lambda: Term(loss, 1),
        lambda: as_sum(loss),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            use()


@pytest.mark.parametrize(
    ("loss", "weight", "message"),
    [
        (3, 1, "a term is a loss and its weight, received 3 for the loss"),
        (ContentLoss(), "1", "the weight of a loss is a number, received '1'"),
    ],
)
def test_a_term_is_a_loss_and_a_number(loss: Any, weight: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        Term(loss, weight)
    assert str(caught.value) == message


@dataclass(frozen=True)
class Own(StatisticLoss):
    """A dataclass of a user's, without a line about its layers."""

    layers: Any = ("relu2_1",)
    layer_weights: Any = None
    reference: Any = "style"
    power: float = 3

    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
        return (x**self.power * weight).sum(2)

    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        return (actual - target).square().mean()


def test_a_dataclass_of_ones_own_is_checked_when_it_is_made() -> None:
    assert Own("relu1_1").layers == ("relu1_1",)
    assert Own(["a", "b"], [1, 2]) == Own(("a", "b"), (1.0, 2.0))
    assert Own("relu1_1", power=2) != Own("relu1_1")
    for options, message in (
        ({"layers": ()}, "one or more names"),
        ({"layers": ("a", "a")}, "layer 'a' is named twice"),
        ({"layer_weights": (1, 2)}, "Own has 1 layers"),
        ({"reference": "stile"}, "Own.reference is 'stile'"),
    ):
        with pytest.raises(ValueError, match=message):
            Own(**options)


class Powered(Plain):
    power: Any = 2

    def __init__(self, values: Any = 1, **others: Any) -> None:
        self.values = values
        vars(self).update(others)


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (Plain(), "Plain(layers=('image',), reference='style')"),
        (Powered(), "Powered(layers=('image',), reference='style', power=2, values=1)"),
        (
            Powered([0.5, {"a": (1,)}], power=3, _hidden="x", reach=1),
            "Powered(layers=('image',), reference='style', power=3, values=[0.5, {'a': (1,)}], _hidden='x', reach=1)",
        ),
        (Jointly(), "Jointly(layers=('image',), reference='style', joint=True)"),
        (type("Bare", (Nowhere,), {"reference": None, "reach": 0, "joint": False})(), "Bare(reference=None)"),
        (Own(power=2), "Own(layers=('relu2_1',), layer_weights=None, reference='style', power=2)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_attribute_is_shown(loss: Loss, text: str) -> None:
    assert repr(loss) == text
    assert repr(copy.deepcopy(loss)) == text


def test_numbers_that_repr_would_round_or_leave_out_are_told_apart() -> None:
    large = torch.zeros(2000)
    other = large.clone()
    other[1000] = 1
    rounded = torch.tensor([1 / 3]), torch.tensor([1 / 3 + 1e-7])
    arrays = large.numpy(), other.numpy()
    for one, two in ((large, other), rounded, arrays, ([large], [other]), ({"a": large}, {"a": other})):
        assert repr(Powered(one)) != repr(Powered(two))
        assert repr(Powered(one)) == repr(Powered(copy.deepcopy(one)))
    assert repr(Powered(large)).startswith(
        "Powered(layers=('image',), reference='style', power=2, values=Tensor((2000,), torch.float32, "
    )
    assert "\n" not in repr(Powered(large.bfloat16()))


def test_slots_are_shown() -> None:
    class Slotted(Plain):
        __slots__ = ("power",)

        def __init__(self, power: float) -> None:
            self.power = power

    assert repr(Slotted(2)) == "Slotted(layers=('image',), reference='style', power=2)"


@pytest.mark.parametrize("loss", [GramStyleLoss(), MMDLoss(), NearestNeighborLoss(), ContentLoss()])
def test_maps_of_other_layers_cannot_be_compared(loss: Loss, noise: Noise) -> None:
    with pytest.raises(ValueError, match=r"compares \(2, 8, 6, 5\) with \(2, 4, 6, 5\).* same number of channels"):
        loss(noise(2, 8, 6, 5), noise(2, 4, 6, 5))
    with pytest.raises(ValueError, match="as many pictures, or one for all"):
        loss(noise(2, 8, 6, 5), noise(3, 8, 6, 5))
    x, target = noise(2, 8, 6, 5), noise(1, 8, 6, 5, seed=1)
    torch.testing.assert_close(loss(x, target), loss(x, target.expand(2, -1, -1, -1)))


def test_a_loss_that_compares_positions_takes_maps_of_one_size(noise: Noise) -> None:
    with pytest.raises(ValueError, match="the same height and width, as it compares position by position"):
        ContentLoss()(noise(1, 4, 6, 5), noise(1, 4, 6, 4))
    assert GramStyleLoss()(noise(1, 4, 6, 5), noise(1, 4, 6, 4)).isfinite()


def test_a_joint_loss_takes_the_same_layers_of_both(noise: Noise) -> None:
    maps = {"relu1_1": noise(1, 4, 6, 6), "relu2_1": noise(1, 4, 3, 3)}
    with pytest.raises(ValueError, match="takes the same layers of both"):
        Crossed()(maps, {"relu1_1": maps["relu1_1"]})
