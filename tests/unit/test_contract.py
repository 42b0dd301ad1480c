"""What a loss, an encoder and a picture have to be; each mistake is told: the class, what was received, the rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from neuralstyle import (
    ContentLoss,
    FeatureExtractor,
    GramStyleLoss,
    Loss,
    Objective,
    PointwiseLoss,
    StatisticLoss,
    Style,
    TotalVariationLoss,
)
from neuralstyle.encoders.base import Layer
from neuralstyle.feedforward.criterion import Criterion
from neuralstyle.objective.contract import check_linear
from neuralstyle.recipes import STYLE_LOSSES

Noise = Callable[..., Tensor]
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
STATISTICS = {
    repr(term.loss): term.loss
    for name in STYLE_LOSSES
    for term in 1.0 * STYLE_LOSSES[name]
    if isinstance(term.loss, StatisticLoss)
}


class Mean(StatisticLoss):
    layers = ("relu1_1",)
    reference: Any = "style"

    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
        return (x * weight).sum(2)

    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        return (actual - target).square().mean()


class Divided(Mean):
    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
        return (x * weight).sum(2) / weight.sum(2)


class Squared(Mean):
    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
        return (x * weight.square()).sum(2)


class Shifted(Mean):
    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
        return (x * weight).sum(2) + 1


class Vector(Mean):
    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        return (actual - target).square()


class Later(Vector):
    def __init__(self, begun: list[bool]) -> None:
        self.wrong = lambda: bool(begun)

    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        return super().distance(actual, target) if self.wrong() else (actual - target).square().mean()


class Listed(Mean):
    def statistic(self, x: Tensor, weight: Tensor) -> Any:
        return [(x * weight).sum(2)]


class Error(PointwiseLoss):
    layers = ("relu1_1",)
    reference = "content"

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        self.function = function

    def error(self, x: Tensor, target: Tensor) -> Any:
        return self.function((x - target).square())


class Whole(Loss):
    layers = ("relu1_1",)
    reference = "content"

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        self.function = function

    def forward(self, x: Tensor, target: Tensor) -> Any:
        return self.function((x - target).square())


class Cells(nn.Module):
    """An encoder of one's own, without the layer "image": cells of 4 x 4 pixels through random filters."""

    def __init__(
        self, layer: Layer | None = None, change: Callable[[Tensor], Any] = lambda maps: {"cell": maps}
    ) -> None:
        super().__init__()
        self.layers = {"cell": Layer("cell", "conv", 8, 4, 0) if layer is None else layer}
        self.change = change
        weight = torch.rand(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))
        self.filters = nn.Parameter(weight - 0.5, requires_grad=False)

    def forward(self, image: Tensor, layers: Any) -> Any:
        assert set(layers) <= self.layers.keys()
        return self.change(nn.functional.conv2d(image, self.filters, stride=4).relu())


# Losses


@pytest.mark.parametrize("loss", [Divided(), Squared(), Shifted()], ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_statistic_that_is_not_linear_in_the_weight_is_refused(loss: StatisticLoss, dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=rf"{type(loss).__name__}\.statistic is not linear in the weight.*'relu1_1'"):
        check_linear(loss, Layer("relu1_1", "relu", 64, 1, 2), torch.empty(0, dtype=dtype))


@pytest.mark.parametrize("loss", STATISTICS.values(), ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_packages_statistics_are_linear_in_the_weight(loss: StatisticLoss, dtype: torch.dtype) -> None:
    for channels in (3, 64, 512):
        check_linear(loss, Layer("relu1_1", "relu", channels, 1, 2), torch.empty(0, dtype=dtype))


@pytest.mark.parametrize("reference", ["style", "content", None])
def test_an_objective_and_a_criterion_check_statistics_before_the_first_evaluation(
    encoder: FeatureExtractor, noise: Noise, reference: Any
) -> None:
    image = noise(1, 3, 16, 16)
    loss = Divided()
    loss.reference = reference
    with pytest.raises(ValueError, match=r"Divided\.statistic is not linear"):
        Objective(encoder, ContentLoss("relu1_1") + loss, content=image, styles=[image])
    with pytest.raises(ValueError, match=r"Divided\.statistic is not linear"):
        Criterion(encoder, loss, [Style(image)])


def test_a_statistic_is_checked_once_and_draws_no_random_numbers(encoder: FeatureExtractor, noise: Noise) -> None:
    positions: list[int] = []

    class Drawing(Mean):
        def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
            torch.rand(3)
            positions.append(x.shape[2])
            return super().statistic(x, weight)

    image = noise(1, 3, 16, 20)
    before = torch.get_rng_state()
    objective = Objective(encoder, Drawing(), styles=[image.flip(3)])
    torch.set_rng_state(before)
    torch.rand(3)  # for the target
    after = torch.get_rng_state()
    torch.set_rng_state(before)
    objective = Objective(encoder, Drawing(), styles=[image.flip(3)])
    assert torch.equal(torch.get_rng_state(), after)
    assert max(positions) == 320
    positions.clear()
    for _ in range(3):
        objective.evaluate(image)
    assert positions == [320] * 3


def test_a_statistic_that_is_no_tensor_is_refused(encoder: FeatureExtractor, noise: Noise) -> None:
    with pytest.raises(ValueError, match=r"Listed\.statistic returns a floating tensor \(B, \.\.\.\), received \["):
        check_linear(Listed(), Layer("relu1_1", "relu", 4, 1, 2), torch.empty(0))


@pytest.mark.parametrize("tile", [None, 16])
@pytest.mark.parametrize(
    ("function", "received"),
    [
        (lambda squares: squares, r"the shape \(1, 64, \d+, \d+\)"),
        (lambda squares: squares.mean(), r"the shape \(\)"),
        (lambda squares: squares.mean(1), r"the shape \(1, \d+, \d+\)"),
        (lambda squares: squares.mean(1, keepdim=True)[..., 1:], r"the shape \(1, 1, \d+, \d+\)"),
        (lambda squares: (squares > 0).any(1, keepdim=True), "a tensor of torch.bool"),
        (lambda squares: 0.5, "0.5"),
    ],
    ids=["channels", "scalar", "no channel", "narrow", "bool", "number"],
)
def test_an_error_is_one_number_for_each_position(
    encoder: FeatureExtractor, noise: Noise, function: Any, received: str, tile: int | None
) -> None:
    content, image = noise(2, 1, 3, 32, 40)
    with pytest.raises(ValueError, match=rf"Error\.error returns .*\(B, 1, h, w\) = .*received {received}"):
        Objective(encoder, Error(function), content=content)

    begun: list[bool] = []  # an error may be wrong for some pictures alone
    later = Error(lambda squares: function(squares) if begun else squares.mean(1, keepdim=True))
    objective = Objective(encoder, later, content=content)
    begun.append(True)
    with pytest.raises(ValueError, match=rf"Error\.error returns .*\(B, 1, h, w\) = .*received {received}"):
        objective.evaluate(image, tile)


@pytest.mark.parametrize("tile", [None, 16])
@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (Vector(), r"Vector\.distance returns one number, .*received the shape \(1, 64\)"),
        (Whole(lambda squares: squares.mean((2, 3))), r"Whole\.forward returns one number, .*received .* \(1, 64\)"),
        (
            Whole(lambda squares: squares.mean()[None]),
            r"Whole\.forward returns one number, .*received the shape \(1,\)",
        ),
        (Whole(lambda squares: 0.5), r"Whole\.forward returns one number, .*received 0\.5"),
    ],
    ids=["distance", "forward", "one in a list", "number"],
)
def test_a_loss_is_one_number(
    encoder: FeatureExtractor, noise: Noise, loss: Loss, message: str, tile: int | None
) -> None:
    content, image = noise(2, 1, 3, 32, 40)
    with pytest.raises(ValueError, match=message):
        Objective(encoder, loss, content=content, styles=[content])
    begun: list[bool] = []  # a loss may be wrong for some pictures alone
    wrong = loss.function if isinstance(loss, Whole) else None
    later = Whole(lambda squares: wrong(squares) if begun else squares.mean()) if wrong else Later(begun)
    objective = Objective(encoder, later, content=content, styles=[content])
    begun.append(True)
    with pytest.raises(ValueError, match=message.replace("Vector", "Later")):
        objective.evaluate(image, tile)


@pytest.mark.parametrize("tile", [None, 16])
def test_a_loss_that_is_0_whatever_the_picture_has_no_gradient(
    encoder: FeatureExtractor, noise: Noise, tile: int | None
) -> None:
    content, image = noise(2, 1, 3, 32, 40)
    loss = Whole(lambda squares: torch.tensor(0.0))
    evaluation = Objective(encoder, loss, content=content).evaluate(image, tile)
    assert evaluation.loss == 0
    assert torch.equal(evaluation.gradient, torch.zeros_like(image))  # type: ignore[arg-type]


# Encoders


def test_a_bare_module_is_no_encoder() -> None:
    class Layered(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Conv2d(3, 4, 3)])

    for network in (nn.Conv2d(3, 4, 3), Layered()):
        with pytest.raises(TypeError, match=rf"{type(network).__name__} .*ModuleExtractor\(network\)"):
            Objective(network, TotalVariationLoss())  # type: ignore[arg-type]
    for thing, shown in (("vgg19", "'vgg19'"), (None, "None"), (lambda image, layers: {}, "a function")):
        with pytest.raises(TypeError, match=rf"an encoder has 'layers'.*received {shown}; give"):
            Objective(thing, TotalVariationLoss())  # type: ignore[arg-type]


@pytest.mark.parametrize("tile", [None, 8])
def test_every_encoder_has_the_layer_image(noise: Noise, tile: int | None) -> None:
    content, image, style = noise(3, 1, 3, 16, 24)
    losses = ContentLoss("cell") + TotalVariationLoss() + 3 * GramStyleLoss(("image", "cell"))
    found = Objective(Cells(), losses, content=content, styles=[style]).evaluate(image, tile)
    alone = Objective(FeatureExtractor(), TotalVariationLoss() + 1.5 * GramStyleLoss("image"), styles=[style])
    deep = Objective(Cells(), ContentLoss("cell") + 1.5 * GramStyleLoss("cell"), content=content, styles=[style])
    assert found.terms["TotalVariationLoss"] == alone.evaluate(image).terms["TotalVariationLoss"] or tile
    expected = [each.evaluate(image) for each in (alone, deep)]
    assert found.loss == pytest.approx(sum(each.loss for each in expected), rel=1e-5)
    torch.testing.assert_close(found.gradient, sum(each.gradient for each in expected), rtol=1e-4, atol=1e-7)
    terms = Criterion(Cells(), losses, [Style(style)])(image, content)
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(found.terms, rel=1e-5)


@pytest.mark.parametrize(
    ("layer", "change", "received"),
    [
        (Layer("cell", "conv", 9, 4, 0), None, r"\(1, 8, 4, 6\).*= \(1, 9, 4, 6\)"),
        (Layer("cell", "conv", 8, 2, 0), None, r"\(1, 8, 4, 6\).*= \(1, 8, 8, 12\).*stride 2"),
        (None, lambda maps: {"cell": maps[0]}, r"\(8, 4, 6\).*= \(1, 8, 4, 6\)"),
        (None, lambda maps: {"cell": None}, r"NoneType.*= \(1, 8, 4, 6\)"),
    ],
    ids=["channels", "stride", "batch", "nothing"],
)
def test_features_of_another_shape_than_the_layer_says_are_refused(
    noise: Noise, layer: Layer | None, change: Any, received: str
) -> None:
    encoder = Cells(layer, *([] if change is None else [change]))
    message = rf"layer 'cell' of Cells has features of the shape {received}"
    with pytest.raises(ValueError, match=message):
        Objective(encoder, GramStyleLoss("cell"), styles=[noise(1, 3, 16, 24)])
    with pytest.raises(ValueError, match=message):
        Objective(encoder, TotalVariationLoss("cell")).evaluate(noise(1, 3, 16, 24))


def test_features_that_are_missing_or_have_no_names_are_refused(noise: Noise) -> None:
    image = noise(1, 3, 16, 24)
    with pytest.raises(ValueError, match="Cells returns no features of layer 'cell'"):
        Objective(Cells(change=lambda maps: {"other": maps}), GramStyleLoss("cell"), styles=[image])
    with pytest.raises(TypeError, match="Cells returns a Tensor; an encoder returns features by layer name"):
        Objective(Cells(change=lambda maps: maps), GramStyleLoss("cell"), styles=[image])


def test_a_picture_smaller_than_a_cell_is_refused(noise: Noise) -> None:
    losses = GramStyleLoss("deep")
    encoder = Cells()
    encoder.layers = {"deep": Layer("deep", "conv", 8, 32, 0)}
    encoder.change = lambda maps: {"deep": maps[..., ::8, ::8]}
    objective = Objective(encoder, losses, styles=[noise(1, 3, 64, 64)])
    with pytest.raises(ValueError, match="24 x 40 pixels is too small for layer 'deep', which needs 32 on each side"):
        objective.evaluate(noise(1, 3, 40, 24))


# Pictures


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("x", r"received 'x'; load_image\(\)"),
        (None, "received None"),
        (torch.zeros(1, 3, 32, 32).to_sparse(), r"dense tensor, received one of layout torch.sparse_coo; .*to_dense"),
        (torch.zeros(1, 3, 32, 32, device="meta"), "'meta', where tensors hold no numbers"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.complex64), "received torch.complex64"),
        (torch.zeros(1, 3, 32, 32).to(torch.float8_e4m3fn), "received torch.float8_e4m3fn"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "received torch.uint8"),
        (torch.zeros(3, 32, 32), r"\(B, 3, H, W\).*received the shape \(3, 32, 32\)"),
        (torch.zeros(1, 1, 32, 32), r"\(B, 3, H, W\).*received the shape \(1, 1, 32, 32\)"),
    ],
    ids=["string", "none", "sparse", "meta", "complex", "float8", "integers", "no batch", "grey"],
)
@pytest.mark.parametrize("tile", [None, 16])
def test_what_is_no_picture_is_refused(encoder: FeatureExtractor, image: Any, message: str, tile: int | None) -> None:
    objective = Objective(encoder, TotalVariationLoss())
    with pytest.raises(TypeError if "received 'x'" in message or image is None else ValueError, match=message):
        objective.evaluate(image, tile)


def test_autocast_around_it_changes_nothing(encoder: FeatureExtractor, noise: Noise) -> None:
    content, image = noise(2, 1, 3, 32, 40)
    losses = ContentLoss("relu2_1") + GramStyleLoss(("relu1_1", "relu2_1"))

    def evaluate() -> Any:
        return Objective(encoder, losses, content=content, styles=[content]).evaluate(image)

    plain = evaluate()
    with torch.autocast("cpu", torch.bfloat16):
        inside = evaluate()
    assert inside.terms == plain.terms
    assert torch.equal(inside.gradient, plain.gradient)
