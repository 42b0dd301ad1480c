"""An objective in somebody's own loop: values that torch differentiates, batches of contents, several encoders."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
import torch
from doubles import Crossed, Means, Noise, Spread
from torch import Tensor, nn

from neuralstyle import (
    ContentLoss,
    FeatureExtractor,
    GramStyleLoss,
    Layer,
    Loss,
    LossSum,
    ModuleExtractor,
    Objective,
    Style,
    TotalVariationLoss,
    losses,
)
from neuralstyle.losses import MeanStdLoss, MMDLoss, NearestNeighborLoss, SlicedWassersteinLoss
from neuralstyle.machine.peak_memory import peak_memory

GRAM = GramStyleLoss(("relu1_1", "relu2_1"))
LOSSES = ContentLoss("relu2_2") + 3 * GRAM + 0.5 * TotalVariationLoss() + Spread() + Crossed() + Means()
NEAREST = NearestNeighborLoss("relu2_1") + MeanStdLoss("relu1_1") + SlicedWassersteinLoss(("relu1_1", "relu2_1"))


class SpreadOfFirst(Spread):
    layers = ("first",)


class Smooth(nn.Module):
    """A small network with second derivatives everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh())
        self.second = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(4, 5, 3, padding=1), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.second(self.first(x))
        return result


@pytest.fixture(scope="module")
def smooth() -> ModuleExtractor:
    torch.manual_seed(3)
    return ModuleExtractor(Smooth(), mean=(0.5,) * 3, std=(0.5,) * 3).double()


def pictures(noise: Noise, count: int = 3, height: int = 20, width: int = 26) -> Tensor:
    return noise(count, 1, 3, height, width, dtype=torch.float64)


def objective_of(encoder: Any, losses: Any, noise: Noise, **options: Any) -> Objective:
    _, content, style = pictures(noise)
    return Objective(encoder, losses, content=content, styles=[style], **options)


# The gradient


@pytest.mark.parametrize("tile", [None, 8], ids=["whole", "tiles"])
@pytest.mark.parametrize("losses", [LOSSES, NEAREST, MMDLoss("relu1_1")], ids=["every kind", "nearest", "waves"])
def test_backward_gives_the_gradient_of_evaluate(
    encoder64: FeatureExtractor, noise: Noise, losses: LossSum, tile: int | None
) -> None:
    objective = objective_of(encoder64, losses, noise)
    image = pictures(noise)[0].clone().requires_grad_()
    value = objective(image, tile)
    value.backward()
    expected = objective.evaluate(image, tile)
    assert value.shape == ()
    assert value.item() == pytest.approx(expected.loss, rel=1e-12)
    torch.testing.assert_close(image.grad, expected.gradient, rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize("tile", [None, 8], ids=["whole", "tiles"])
def test_backward_gives_the_gradient_of_a_seamless_picture(
    encoder64: FeatureExtractor, smooth: ModuleExtractor, noise: Noise, tile: int | None
) -> None:
    for encoder, total in ((encoder64, LOSSES), (smooth, ContentLoss("second") + GramStyleLoss("second"))):
        objective = objective_of(encoder, total, noise, seamless=True)
        image = pictures(noise)[0].clone().requires_grad_()
        objective(image, tile).backward()
        torch.testing.assert_close(image.grad, objective.evaluate(image, tile).gradient, rtol=1e-6, atol=1e-15)
    torch.autograd.gradgradcheck(lambda x: objective(x, tile), image, fast_mode=True)


@pytest.mark.parametrize("tile", [None, 32], ids=["whole", "tiles"])
def test_backward_gives_the_gradient_in_single_precision(
    encoder: FeatureExtractor, noise: Noise, tile: int | None
) -> None:
    image, content, style = noise(3, 1, 3, 48, 64)
    losses = ContentLoss("relu3_1") + 10 * GramStyleLoss(("relu1_1", "relu2_1", "relu3_1"))
    objective = Objective(encoder, losses, content=content, styles=[style], tile=tile)
    image.requires_grad_()
    objective(image).backward()
    expected = objective.evaluate(image).gradient
    assert expected is not None
    torch.testing.assert_close(image.grad, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize("tile", [None, 8], ids=["whole", "tiles"])
@pytest.mark.parametrize(
    "losses",
    [
        ContentLoss("second") + 3 * GramStyleLoss(("first", "second")) + SpreadOfFirst(),
        MeanStdLoss(("first", "second")) + MMDLoss("second") + 0.1 * TotalVariationLoss(),
    ],
    ids=["content and Gram", "moments and waves"],
)
def test_derivatives_are_those_of_differences_once_and_twice(
    smooth: ModuleExtractor, noise: Noise, losses: LossSum, tile: int | None
) -> None:
    _, content, style = noise(3, 1, 3, 16, 18, dtype=torch.float64)
    objective = Objective(smooth, losses, content=content, styles=[style])
    image = noise(1, 3, 16, 18, seed=1, dtype=torch.float64).requires_grad_()
    torch.autograd.gradcheck(lambda x: objective(x, tile), image, fast_mode=True)
    torch.autograd.gradgradcheck(lambda x: objective(x, tile), image, fast_mode=True)


@pytest.mark.parametrize("tile", [None, 8], ids=["whole", "tiles"])
def test_second_derivatives_pass_through_vgg(encoder64: FeatureExtractor, noise: Noise, tile: int | None) -> None:
    objective = objective_of(encoder64, ContentLoss("relu2_2") + 3 * GRAM, noise)
    image = pictures(noise)[0].clone().requires_grad_()
    direction = noise(*image.shape, seed=4, dtype=torch.float64) - 0.5
    (gradient,) = torch.autograd.grad(objective(image, tile), image, create_graph=True)
    (found,) = torch.autograd.grad((gradient * direction).sum(), image)
    step = 1e-7
    ends = [objective.evaluate(image.detach() + sign * step * direction).gradient for sign in (1, -1)]
    expected = (ends[0] - ends[1]) / (2 * step)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_gradients_reach_what_has_made_the_picture(encoder64: FeatureExtractor, noise: Noise) -> None:
    objective = objective_of(encoder64, LOSSES, noise)
    image = pictures(noise)[0]
    scale = torch.tensor(0.9, dtype=torch.float64, requires_grad=True)
    (2 * objective(image * scale)).backward()
    gradient = objective.evaluate(image * scale.detach()).gradient
    assert gradient is not None
    assert scale.grad.item() == pytest.approx(2 * float((gradient * image).sum()))


def test_a_graph_that_is_kept_can_be_used_twice_and_another_is_refused(
    encoder64: FeatureExtractor, noise: Noise
) -> None:
    image = pictures(noise)[0].clone().requires_grad_()
    value = objective_of(encoder64, LOSSES, noise)(image)
    first, second = (torch.autograd.grad(value, image, retain_graph=keep)[0] for keep in (True, False))
    torch.testing.assert_close(first, second)
    with pytest.raises(RuntimeError, match="a second time"):
        value.backward()


@pytest.mark.parametrize("tile", [None, 8], ids=["whole", "tiles"])
def test_terms_add_up_and_have_gradients_of_their_own(
    encoder64: FeatureExtractor, noise: Noise, tile: int | None
) -> None:
    objective = objective_of(encoder64, LOSSES, noise)
    image = pictures(noise)[0].clone().requires_grad_()
    terms = objective.terms(image, tile)
    expected = objective.evaluate(image)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected.terms)
    _, content, style = pictures(noise)
    for term, name in zip(LOSSES, LOSSES.names, strict=True):
        alone = Objective(encoder64, term.loss, content=content, styles=[style]).evaluate(image).gradient
        (found,) = torch.autograd.grad(terms[name], image, retain_graph=True)
        torch.testing.assert_close(found, term.weight * alone)


def test_without_gradients_nothing_is_kept(encoder64: FeatureExtractor, noise: Noise) -> None:
    objective, image = objective_of(encoder64, LOSSES, noise), pictures(noise)[0]
    assert not objective(image).requires_grad
    with torch.no_grad():
        assert not objective(image.clone().requires_grad_()).requires_grad
    with torch.inference_mode():
        value = objective(image.clone())
    assert value.item() == pytest.approx(objective.evaluate(image).loss)


def test_autocast_around_it_changes_no_byte(encoder: FeatureExtractor, noise: Noise) -> None:
    image, content, style = noise(3, 1, 3, 32, 32)
    objective = Objective(encoder, ContentLoss("relu2_1") + GRAM, content=content, styles=[style])
    image.requires_grad_()
    (expected,) = torch.autograd.grad(objective(image), image)
    with torch.autocast("cpu", torch.bfloat16):
        (found,) = torch.autograd.grad(objective(image), image)
    assert torch.equal(found, expected)


class Observed(torch.autograd.Function):
    """Notes whether the encoder's arithmetic is on, forward and backward."""

    seen: ClassVar[list[bool]] = []
    on = False

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        Observed.seen.append(Observed.on)
        return 2 * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        Observed.seen.append(Observed.on)
        return 2 * gradient


class WithArithmetic:
    layers: ClassVar = {"any": Layer("any", "module", 3, 1, 0)}

    def __call__(self, image: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
        return {name: Observed.apply(image) for name in names}  # type: ignore[no-untyped-call]

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        Observed.on = True
        yield
        Observed.on = False


@pytest.mark.parametrize("tile", [None, 8], ids=["whole", "tiles"])
def test_the_encoders_arithmetic_is_on_in_the_backward_pass_too(noise: Noise, tile: int | None) -> None:
    image, content = noise(2, 1, 3, 16, 16)
    objective = Objective(WithArithmetic(), ContentLoss("any"), content=content)
    Observed.seen.clear()
    image.requires_grad_()
    (gradient,) = torch.autograd.grad(objective(image, tile), image, create_graph=True)
    gradient.sum().backward()
    objective(image, tile).backward()
    tiles = 1 if tile is None else 4
    assert len(Observed.seen) >= 2 * tiles
    assert Observed.seen.count(False) <= tiles  # of the second derivative, which is torch's own
    Observed.seen.clear()
    objective(image, tile).backward()
    assert all(Observed.seen)


LOSSES_BY_NAME = {name: kind for name in losses.__all__ if inspect.isclass(kind := getattr(losses, name))}
CONCRETE = [name for name, kind in LOSSES_BY_NAME.items() if issubclass(kind, Loss) and not inspect.isabstract(kind)]


@pytest.mark.parametrize("name", CONCRETE)
def test_every_loss_can_be_differentiated_twice(smooth: ModuleExtractor, noise: Noise, name: str) -> None:
    kind = LOSSES_BY_NAME[name]
    image, content, style = noise(3, 1, 3, 16, 18, dtype=torch.float64)
    loss = kind(("first", "second") if kind.joint else "second")
    objective = Objective(smooth, loss, content=content, styles=[style], previous=content.flip(3))
    for tile in (None, 8):
        torch.autograd.gradgradcheck(lambda x, tile=tile: objective(x, tile), image.requires_grad_(), fast_mode=True)


def test_tiles_keep_the_features_of_one_in_memory(encoder: FeatureExtractor, noise: Noise) -> None:
    image, style = noise(2, 1, 3, 64, 1024)
    objective = Objective(encoder, GramStyleLoss(("relu1_1", "relu2_1")), styles=[style])
    image.requires_grad_()
    whole, tiled = (
        peak_memory(image.device, lambda tile=tile: objective(image, tile).backward()) for tile in (None, 64)
    )
    assert tiled < whole / 3


def test_a_loss_that_ignores_the_picture_has_a_gradient_of_zero(smooth: ModuleExtractor, noise: Noise) -> None:
    class Nothing(SpreadOfFirst):
        def forward(self, x: Tensor, target: Tensor) -> Tensor:
            return x.new_zeros(())

    image = pictures(noise)[0].clone().requires_grad_()
    objective_of(smooth, Nothing(), noise)(image).backward()
    assert image.grad is not None
    assert not image.grad.any()


def test_what_evaluate_refuses_is_refused(encoder64: FeatureExtractor, noise: Noise) -> None:
    objective = objective_of(encoder64, LOSSES, noise)
    with pytest.raises(ValueError, match="give them one size"):
        objective(noise(1, 3, 32, 32, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"float32 on .*float64"):
        objective.terms(noise(1, 3, 20, 26))


# Batches


@pytest.mark.parametrize("tile", [None, 8], ids=["whole", "tiles"])
def test_a_batch_of_two_contents_and_results_is_two_singles(
    encoder64: FeatureExtractor, noise: Noise, tile: int | None
) -> None:
    first, second, one, other, style = pictures(noise, 5)
    losses = ContentLoss("relu2_2", reduction="sum") + 3 * GRAM + Spread() + Crossed() + TotalVariationLoss()
    styles = [Style(style)]
    both = torch.cat([first, second])
    together = Objective(encoder64, losses, content=torch.cat([one, other]), styles=styles, tile=tile)
    singles = [
        Objective(encoder64, losses, content=content, styles=styles).evaluate(image)
        for content, image in ((one, first), (other, second))
    ]
    expected = torch.cat([single.gradient for single in singles]) / 2
    found = together.evaluate(both)
    assert found.loss == pytest.approx(sum(single.loss for single in singles) / 2)
    torch.testing.assert_close(found.gradient, expected)
    both.requires_grad_()
    together(both).backward()
    torch.testing.assert_close(both.grad, expected)


def test_one_content_serves_a_batch_and_another_number_is_refused(encoder64: FeatureExtractor, noise: Noise) -> None:
    first, second, content, _ = pictures(noise, 4)
    both = torch.cat([first, second])
    one = Objective(encoder64, ContentLoss("relu2_2"), content=content)
    two = Objective(encoder64, ContentLoss("relu2_2"), content=content.expand(2, -1, -1, -1))
    assert one.evaluate(both).loss == pytest.approx(two.evaluate(both).loss)
    with pytest.raises(ValueError, match="a batch of 1, the content one of 2; give as many, or one"):
        two.evaluate(first)
    with pytest.raises(ValueError, match=r"batches of \[2, 3\]"):
        Objective(encoder64, ContentLoss("relu2_2"), content=both, previous=noise(3, 3, 20, 26, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"not in \[0, 1\]"):
        Objective(encoder64, ContentLoss("relu2_2"), content=both + 2)


@pytest.mark.parametrize("tile", [None, 8], ids=["whole", "tiles"])
def test_another_content_keeps_the_styles_targets(
    encoder64: FeatureExtractor, noise: Noise, tile: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, style, previous = pictures(noise, 4)
    half = (torch.arange(26) < 13).expand(20, 26).double()
    styles = [Style(style, region=half), Style(style.flip(3), region=1 - half)]
    losses = ContentLoss("relu2_2") + 3 * GRAM + ContentLoss("relu1_1", reference="previous") + GRAM
    options: dict[str, Any] = {"styles": styles, "previous": previous, "tile": tile}
    old = Objective(encoder64, losses, content=first, **options)
    before = old.evaluate(second)
    seen: list[Tensor] = []
    walk = FeatureExtractor.walk
    monkeypatch.setattr(
        FeatureExtractor, "walk", lambda self, image, *rest: seen.append(image) or walk(self, image, *rest)
    )
    new = old.with_pictures(content=torch.cat([second, first]), previous=previous)
    assert len(seen) == (2 if tile is None else 24)  # the content and the frame before, not the styles
    both = torch.cat([first, second])
    found = new.evaluate(both)
    expected = Objective(encoder64, losses, content=torch.cat([second, first]), **options).evaluate(both)
    assert found.terms == expected.terms
    assert torch.equal(found.gradient, expected.gradient)
    assert old.evaluate(second).terms == before.terms
    with pytest.raises(ValueError, match="content and previous have the sizes"):
        old.with_pictures(content=noise(1, 3, 32, 32, dtype=torch.float64), previous=previous)
    other = Objective(encoder64, ContentLoss("relu2_2") + GRAM, content=first, styles=[style])
    larger = noise(1, 3, 32, 30, dtype=torch.float64)
    assert other.with_pictures(content=larger).evaluate(larger).terms["ContentLoss"] == 0


# Losses on feature maps


def test_a_loss_on_feature_maps_is_the_objectives(encoder64: FeatureExtractor, noise: Noise) -> None:
    image, content, style = pictures(noise, 3, 16, 24)
    layers = ("relu1_1", "relu2_1")
    objective = Objective(encoder64, GRAM + ContentLoss("relu2_1"), content=content, styles=[style])
    x, of_content, of_style = (encoder64(each, layers) for each in (image, content, style))
    by_hand = sum(GRAM(x[layer], of_style[layer]) / 2 for layer in layers)
    by_hand = by_hand + ContentLoss("relu2_1")(x["relu2_1"], of_content["relu2_1"])
    assert objective(image).item() == pytest.approx(by_hand.item(), rel=1e-12)


@pytest.mark.parametrize(
    "loss", [ContentLoss("any", reduction="sum"), GramStyleLoss("any"), NearestNeighborLoss("any")]
)
def test_a_loss_on_a_batch_of_feature_maps_is_the_mean(noise: Noise, loss: Any) -> None:
    x, target = noise(2, 2, 4, 6, 5, dtype=torch.float64)
    singles = [loss(x[index : index + 1], target[index : index + 1]) for index in range(2)]
    torch.testing.assert_close(loss(x, target), sum(singles) / 2)


def test_a_statistic_is_there_for_a_loop_of_ones_own(noise: Noise) -> None:
    x, target = noise(2, 1, 4, 6, 5, dtype=torch.float64)
    weight = torch.ones(1, 1, 30, dtype=torch.float64)
    sums = [GRAM.statistic(each.flatten(2), weight) / 30 for each in (x, target)]
    torch.testing.assert_close(GRAM.distance(*sums), GRAM(x, target))
