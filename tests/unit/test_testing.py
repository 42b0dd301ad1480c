"""What neuralstyle.testing says of losses, encoders and strategies that break a rule."""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from doubles import Crossed, Descent
from torch import Tensor, nn

from neuralstyle import LBFGS, Adam, FeatureExtractor, Layer, Loss, ModuleExtractor, PointwiseLoss, StatisticLoss
from neuralstyle.metrics import RandomFilters
from neuralstyle.optimizers.base import Evaluate, State
from neuralstyle.testing import check_encoder, check_loss, check_strategy
from neuralstyle.testing.tools import global_random_numbers

# Losses that keep the rules, to be broken one at a time


class Means(StatisticLoss):
    layers: Any = ("relu2_1",)
    reference: Any = "style"

    def statistic(self, x: Tensor, weight: Tensor) -> Any:
        return (x * weight).sum(2)

    def distance(self, actual: Tensor, target: Any) -> Any:
        return (actual - target).square().mean()


class Lightness(PointwiseLoss):
    layers: Any = ("image",)
    reference: Any = "content"

    def error(self, x: Tensor, target: Any) -> Any:
        return (x - target).mean(1, keepdim=True).square()


class Brightness(Loss):
    layers: Any = ("image", "relu1_1")
    reference: Any = "style"

    def forward(self, x: Any, target: Any) -> Any:
        return (x.mean() - target.mean()).square()


@dataclass(frozen=True)
class Skewness(StatisticLoss):
    """The form with options."""

    layers: tuple[str, ...] = ("relu2_1", "image")
    power: int = 3
    layer_weights: tuple[float, ...] | None = None
    reference: str = "style"

    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
        return torch.stack([(x**power * weight).sum(2) for power in range(1, self.power + 1)], 1)

    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        return (actual - target).square().mean()


class Even(PointwiseLoss):
    """A regulariser that looks around."""

    layers = ("relu1_1",)
    reference = None
    reach = 2

    def error(self, x: Tensor, target: None) -> Tensor:
        around = F.avg_pool2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), 5, stride=1)
        return (x - around).square().mean(1, keepdim=True)


GOOD = [Means(), Lightness(), Brightness(), Crossed(), Skewness(), Skewness(power=2, layer_weights=(1, 0)), Even()]


@pytest.mark.parametrize("loss", GOOD, ids=repr)
def test_losses_that_keep_the_rules_pass(loss: Loss) -> None:
    check_loss(loss)


class Normalised(Means):
    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
        return (x * weight).sum(2) / weight.sum(2)


class Centred(Means):
    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
        return ((x - x.mean(2, keepdim=True)).square() * weight).sum(2)


class Neighbours(Means):
    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
        return (x * x.roll(1, 2) * weight).sum(2)


class Pooled(Means):
    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
        return (x * weight).sum((0, 2))


class Vector(Means):
    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        return (actual - target).square()


class Number(Means):
    def distance(self, actual: Tensor, target: Tensor) -> float:
        return (actual - target).square().mean().item()


class Detached(Means):
    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        return (actual.detach() - target).square().mean()


class HalfDetached(Means):
    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        return ((actual - target) * (actual - target).detach()).mean()


class Rooted(Means):
    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        return (actual - target).square().sum().sqrt()


class Mixed(Means):
    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        return (actual - target).mean(0).square().mean()


class Written(Means):
    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
        return x.mul_(weight).sum(2)


class Single(Means):
    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        return (actual - target).square().mean().float()


class Constant(Means):
    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        return ((actual - target) @ torch.ones(actual.shape[1], dtype=torch.float32)).square().mean()


class Drawing(Means):
    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        return ((actual - target) * torch.rand(actual.shape[1]).to(actual)).square().mean()


class Counting(Means):
    def __init__(self) -> None:
        self.calls = 0

    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        self.calls += 1
        return (actual - target).square().mean()


class Overridden(Means):
    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return 2 * super().forward(x, target)


class AllChannels(Lightness):
    def error(self, x: Tensor, target: Tensor) -> Tensor:
        return (x - target).square()


class Scalar(Lightness):
    def error(self, x: Tensor, target: Tensor) -> Tensor:
        return (x - target).square().mean()


class FarSighted(Lightness):
    def error(self, x: Tensor, target: Tensor) -> Tensor:
        around = F.avg_pool2d(F.pad(x - target, (5, 5, 5, 5), mode="replicate"), 11, stride=1)
        return around.square().mean(1, keepdim=True)


class Everywhere(Lightness):
    def error(self, x: Tensor, target: Tensor) -> Tensor:
        return (x - target - (x - target).mean((2, 3), keepdim=True)).square().mean(1, keepdim=True)


class WholeVector(Brightness):
    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return (x.mean((2, 3)) - target.mean((2, 3))).square()


class Failing(Brightness):
    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return (x - target).square().mean()


class Endless(Brightness):
    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return (x.mean() - target.mean()).square() / 0


class NoReference(Loss):
    layers = ("image",)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return x.mean()


class NoLayers(Loss):
    reference = "style"

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return x.mean()


class Hidden(Means):
    def __init__(self, power: float = 2) -> None:
        self.power = power

    def __repr__(self) -> str:
        return "Hidden()"


@dataclass(frozen=True)
class HiddenField(Means):
    power: float = field(default=2, repr=False)


class Addressed(Means):
    def __init__(self) -> None:
        self.square = lambda x: x**2


class Unpicklable(Means):
    def __init__(self) -> None:
        self.values: Any = Values(iter([1, 2]))


class Values:
    def __init__(self, values: Iterator[int]) -> None:
        self.values = (value for value in values)

    def __repr__(self) -> str:
        return "Values()"


def without_foreign_words(error: BaseException) -> str:
    """A message without addresses, and without what Python or torch say in it."""
    return re.sub(r"(\w+Error:) [^;]*", r"\1 ...", re.sub(r"0x[0-9a-f]+", "0x...", str(error)))


WRONG_LOSSES: dict[type[Any], str] = {
    Normalised: (
        "Normalised.statistic is not linear in the weight: for the weight 2 a + b / 2 it differs by 60% from 2 "
        "statistic(x, a) + statistic(x, b) / 2; return the weighted sum over positions, such as (x * "
        "weight).sum(2), and leave the division by the sum of the weights to the objective"
    ),
    Centred: (
        "Centred.statistic is no sum over positions: with those of two halves of the positions added up it "
        "differs by 2%; compute each summand from one position alone, or derive from Loss, which sees whole "
        "maps"
    ),
    Neighbours: (
        "Neighbours.statistic is no sum over positions: with those of two halves of the positions added up it "
        "differs by 2%; compute each summand from one position alone, or derive from Loss, which sees whole "
        "maps"
    ),
    Pooled: (
        "Pooled.statistic returns the shape (4,) for features (2, 4, 120); return a tensor (2, ...), a sum "
        "over the positions of each picture of the batch, such as (x * weight).sum(2)"
    ),
    Vector: "Vector.distance returns the shape (2, 4); return a scalar, (), such as the mean",
    Number: "Number.distance returns float; return a tensor, computed from x",
    Detached: (
        "Detached has no gradient; compute its value from x with differentiable operations of torch, without "
        "detach(), item() or numpy"
    ),
    HalfDetached: (
        "the gradient of HalfDetached is not the derivative of its value: 5.475e-06 along a direction in which "
        "the value changes by 1.095e-05; do not detach or round anything that depends on x"
    ),
    Rooted: (
        "the gradient of Rooted is not finite for features that are all 0 and a target that is all 0; add a "
        "small number under roots, logarithms and in divisors"
    ),
    Mixed: (
        "Mixed is 0.000185417 for a batch of two pictures, neither the sum nor the mean of its values for "
        "each, 0.000990212 and 0.000495106; do not mix the pictures of a batch"
    ),
    Written: "Written.statistic changes its arguments in place; compute with a copy",
    Single: (
        "Single returns torch.float32 for features of torch.float64; keep their dtype, and make constants with "
        "x.new_tensor(...) or .to(x)"
    ),
    Constant: (
        "Constant.distance fails for (2, 4) and (1, 4) of torch.float64: RuntimeError: ...; "
        "make constants with x.new_tensor(...) or "
        ".to(x)"
    ),
    Drawing: (
        "Drawing draws from the global random numbers of torch; draw from a torch.Generator with a seed of the "
        "loss, the same at every evaluation"
    ),
    Counting: (
        "Counting changes while it is evaluated, from Counting(layers=('relu2_1',), reference='style', "
        "calls=1) to Counting(layers=('relu2_1',), reference='style', calls=3); a loss is a description and "
        "keeps nothing"
    ),
    Overridden: (
        "Overridden is 0.00602943 in an objective and 0.0120589 on the same feature maps; do not override "
        "forward of a StatisticLoss or PointwiseLoss"
    ),
    AllChannels: (
        "AllChannels.error returns the shape (2, 3, 12, 10) for features (2, 3, 12, 10); return one number for "
        "each position, (2, 1, 12, 10), such as (x - target).square().mean(1, keepdim=True)"
    ),
    Scalar: (
        "Scalar.error returns the shape () for features (2, 3, 12, 10); return one number for each position, "
        "(2, 1, 12, 10), such as (x - target).square().mean(1, keepdim=True)"
    ),
    FarSighted: (
        "FarSighted.error uses positions beyond its reach of 0: a piece of the map with 0 positions around it has "
        "another error than in the whole map; the error agrees with a reach of 5; set reach = 5"
    ),
    Everywhere: (
        "Everywhere.error uses positions beyond its reach of 0: a piece of the map with 0 positions around it has "
        "another error than in the whole map; if it uses the whole map, derive it from Loss, which sees whole maps"
    ),
    WholeVector: "WholeVector.forward returns the shape (1, 3); return a scalar, (), such as the mean",
    Failing: ("Failing.forward fails for (1, 3, 12, 10) and (1, 3, 9, 14) of torch.float32: RuntimeError: ..."),
    Endless: "Endless returns inf for random features in [0, 1]; check its formula",
    NoReference: (
        "NoReference names no reference; set reference = 'content', 'style' or 'previous', or None for a "
        "regulariser, which compares with nothing"
    ),
    NoLayers: "NoLayers names no layers; set its layers, for example layers = ('relu4_2',)",
    Hidden: (
        "Hidden does not show its attribute 'power' in repr, Hidden(), so that two settings read alike and a "
        "state file cannot tell them apart; leave __repr__ to Loss or to dataclass"
    ),
    HiddenField: (
        "HiddenField does not show its attribute 'power' in repr, HiddenField(), so that two settings read "
        "alike and a state file cannot tell them apart; leave __repr__ to Loss or to dataclass"
    ),
    Addressed: (
        "Addressed reads Addressed(layers=('relu2_1',), reference='style', square=<function "
        "Addressed.__init__.<locals>.<lambda> at 0x...>), with an address that changes from run to run, so "
        "that a state file cannot tell settings apart; give that attribute a repr, or make it a method"
    ),
    Unpicklable: (
        "Unpicklable cannot be pickled, and so not sent to another process: TypeError: ...; "
        "do not store functions or open files in its attributes"
    ),
}


@pytest.mark.parametrize("kind", WRONG_LOSSES, ids=lambda kind: kind.__name__)
def test_the_rule_that_a_loss_breaks_is_named(kind: type[Any]) -> None:
    with pytest.raises(ValueError, match=re.escape(kind.__name__)) as caught:
        check_loss(kind())
    message = without_foreign_words(caught.value)
    assert message == WRONG_LOSSES[kind]
    assert "\n" not in message


# Encoders


class Patches(nn.Module):
    """Cells of 4 x 4 pixels through random filters, then a filter over 3 x 3 of these cells."""

    layers: Any = {  # noqa: RUF012
        "image": Layer("image", "image", 3, 1, 0),
        "patch": Layer("patch", "conv", channels=6, stride=4, reach=0),
        "deep": Layer("deep", "conv", channels=5, stride=4, reach=4),
    }

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.first = nn.Conv2d(3, 6, kernel_size=4, stride=4).requires_grad_(False)
            self.second = nn.Conv2d(6, 5, kernel_size=3, padding=1).requires_grad_(False)

    def forward(self, image: Tensor, layers: Any) -> Any:
        patch = self.first(image)
        found = {"image": image, "patch": patch, "deep": self.second(patch)}
        return {name: found[name] for name in layers}


def described(**changes: Any) -> dict[str, Layer]:
    """The layers, with "deep" described otherwise."""
    return Patches.layers | {"deep": dataclasses.replace(Patches.layers["deep"], **changes)}


class ShortReach(Patches):
    layers = described(reach=3)


class Placed(Patches):
    """A code of the place: no pixel is seen from further away, and yet tiles differ."""

    def forward(self, image: Tensor, layers: Any) -> dict[str, Tensor]:
        maps = super().forward(image, layers)
        return {n: each + torch.arange(each.shape[3]) if n == "patch" else each for n, each in maps.items()}


class WrongStride(Patches):
    layers = described(stride=8)


class WrongChannels(Patches):
    layers = described(channels=6)


class Misnamed(Patches):
    layers = described(name="patch")


class Bare(Patches):
    layers = Patches.layers | {"deep": (5, 4, 4)}


class Padded(Patches):
    layers = described(channels=0)


class Overwritten(Patches):
    def forward(self, image: Tensor, layers: Any) -> dict[str, Tensor]:
        found = {"image": image, "patch": self.first(image)}
        if "deep" in layers:
            found["deep"] = self.second(found["patch"].relu_())
        return {name: found[name] for name in layers}


class Complete(Patches):
    def forward(self, image: Tensor, layers: Any) -> dict[str, Tensor]:
        return super().forward(image, self.layers)


class Frozen(Patches):
    @torch.no_grad()
    def forward(self, image: Tensor, layers: Any) -> dict[str, Tensor]:
        return super().forward(image, layers)


class Dropping(Patches):
    def forward(self, image: Tensor, layers: Any) -> dict[str, Tensor]:
        return {name: F.dropout(maps, 0.1) for name, maps in super().forward(image, layers).items()}


class OverTheBatch(Patches):
    def forward(self, image: Tensor, layers: Any) -> dict[str, Tensor]:
        maps = super().forward(image, layers)
        return {name: each if name == "image" else each - each.mean(0, keepdim=True) for name, each in maps.items()}


class OverThePicture(Patches):
    def forward(self, image: Tensor, layers: Any) -> dict[str, Tensor]:
        maps = super().forward(image, layers)
        return {name: each - each.mean((2, 3), keepdim=True) if name == "deep" else each for name, each in maps.items()}


class InPlace(Patches):
    def forward(self, image: Tensor, layers: Any) -> dict[str, Tensor]:
        with torch.no_grad():
            image -= 0.5
        return super().forward(image, layers)


class Lightened(Patches):
    def forward(self, image: Tensor, layers: Any) -> dict[str, Tensor]:
        return {n: maps / 2 if n == "image" else maps for n, maps in super().forward(image, layers).items()}


class OnlyOnes(Patches):
    def forward(self, image: Tensor, layers: Any) -> dict[str, Tensor]:
        if len(image) > 1:
            raise RuntimeError("one picture, please")
        return super().forward(image, layers)


NETWORK = nn.Sequential(nn.Conv2d(3, 8, 7, stride=2, padding=3), nn.ReLU(inplace=True), nn.Conv2d(8, 16, 3, padding=1))


@pytest.mark.parametrize(
    ("encoder", "layers"),
    [
        (Patches(), None),
        (FeatureExtractor(), ("image", "conv1_2", "relu1_2", "relu2_1", "pool2")),
        (FeatureExtractor("compact19"), ("image", "relu1_1", "relu2_1", "pool2")),
        (FeatureExtractor(layers=["relu2_1"]).double(), None),
        (ModuleExtractor(NETWORK), None),
        (RandomFilters(filters=8), None),
    ],
    ids=["own", "vgg19", "compact19", "vgg19 in double precision", "module", "random filters"],
)
def test_encoders_that_keep_the_rules_pass(encoder: Any, layers: Any) -> None:
    check_encoder(encoder, layers)


WRONG_ENCODERS: dict[type[Any], str] = {
    ShortReach: (
        "layer 'deep' of ShortReach states a reach of 3 pixels, and its features depend on pixels further "
        "away, so that tiles would not be exact; measured, its stride is 4 and its reach 4"
    ),
    Placed: (
        "layer 'patch' of Placed states a reach of 0 pixels, and its features depend on its place in the "
        "picture, so that tiles would not be exact; measured, it depends on the whole picture: state "
        "reach=WHOLE_PICTURE"
    ),
    WrongStride: (
        "layer 'deep' of WrongStride is (2, 5, 6, 5) for a picture (2, 3, 25, 20), and (2, 5, 3, 2) by its "
        "channels (5) and its stride (8); measured, its stride is 4 and its reach 4"
    ),
    WrongChannels: (
        "layer 'deep' of WrongChannels is (2, 5, 4, 4) for a picture (2, 3, 16, 16), and (2, 6, 4, 4) by its "
        "channels (6) and its stride (4); measured, its stride is 4 and its reach 4"
    ),
    Misnamed: "Misnamed.layers['deep'] is called 'patch'; give both the same name",
    Bare: "Bare.layers['deep'] is tuple; describe it by a Layer",
    Padded: "channels of Padded's layer 'deep' is a whole number of at least 1, received 0",
    Overwritten: (
        "layer 'patch' of Overwritten differs when other layers are requested with it; an operation in place "
        "may overwrite it: return a copy, or use inplace=False"
    ),
    Complete: (
        "Complete gives ['deep', 'image', 'patch'] when asked for the layers ['image']; return a dict with the "
        "features of each of them, by name"
    ),
    Frozen: (
        "layer 'patch' of Frozen has no gradient with respect to the picture; leave no_grad() and detach() out "
        "of the call"
    ),
    Dropping: (
        "layer 'image' of Dropping differs from one call to the next, or draws random numbers; use eval() and "
        "no dropout"
    ),
    OverTheBatch: (
        "layer 'patch' of OverTheBatch differs between a picture in a batch and the same picture alone; use "
        "eval(), so that no normalisation uses the whole batch"
    ),
    OverThePicture: (
        "layer 'deep' of OverThePicture states a reach of 4 pixels, and its features depend on pixels further "
        "away, so that tiles would not be exact; measured, it depends on the whole picture: state "
        "reach=WHOLE_PICTURE"
    ),
    InPlace: "InPlace changes its input picture; compute with a copy",
    Lightened: "layer 'image' of Lightened is not the input picture; return that unchanged",
    OnlyOnes: (
        "OnlyOnes fails for a picture (2, 3, 16, 16) and the layers ['image', 'patch', 'deep']: RuntimeError: ..."
    ),
}


@pytest.mark.parametrize("kind", WRONG_ENCODERS, ids=lambda kind: kind.__name__)
def test_the_rule_that_an_encoder_breaks_is_named(kind: type[Any]) -> None:
    with pytest.raises(ValueError, match=re.escape(kind.__name__)) as caught:
        check_encoder(kind())
    message = without_foreign_words(caught.value)
    assert message == WRONG_ENCODERS[kind]
    assert "\n" not in message


# Strategies


class Unbounded(Descent):
    def step(self, x: Tensor, step: Tensor) -> Tensor:
        return x - step


class Uphill(Descent):
    def step(self, x: Tensor, step: Tensor) -> Tensor:
        return (x + step).clamp(0, 1)


class Flat(Descent):
    def step(self, x: Tensor, step: Tensor) -> Tensor:
        return (x - step).clamp(0, 1).flatten()


class Lost(Descent):
    def step(self, x: Tensor, step: Tensor) -> Tensor:
        return x * torch.nan


class YieldsTensor(Descent):
    def walk(self, image: Tensor, evaluate: Evaluate, state: State | None = None) -> Iterator[Any]:
        for each in super().walk(image, evaluate, state):
            yield each["image"]


class YieldsPicture(Descent):
    def walk(self, image: Tensor, evaluate: Evaluate, state: State | None = None) -> Iterator[Any]:
        for each in super().walk(image, evaluate, state):
            yield {"picture": each["image"]}


class YieldsNothing(Descent):
    def walk(self, image: Tensor, evaluate: Evaluate, state: State | None = None) -> Iterator[Any]:
        for _ in super().walk(image, evaluate, state):
            pass
        yield


class LooksNowhere(Descent):
    def walk(self, image: Tensor, evaluate: Evaluate, state: State | None = None) -> Iterator[Any]:
        while True:
            yield {"image": image}


class WritesInPlace(Descent):
    def step(self, x: Tensor, step: Tensor) -> Tensor:
        return x.sub_(step).clamp_(0, 1)


class Forgetful(Descent):
    """Momentum that is no part of the state."""

    def walk(self, image: Tensor, evaluate: Evaluate, state: State | None = None) -> Iterator[Any]:
        x, momentum = image if state is None else state["image"], torch.zeros_like(image)
        while True:
            momentum = 0.9 * momentum + evaluate(x)[1]
            x = (x - 0.002 * momentum).clamp(0, 1)
            yield {"image": x}


class Unsaved(Descent):
    def walk(self, image: Tensor, evaluate: Evaluate, state: State | None = None) -> Iterator[Any]:
        for each in super().walk(image, evaluate, state):
            yield {**each, "strategy": type(self)}


class Stubborn(Descent):
    """Takes the end of the walk for a failed evaluation."""

    def walk(self, image: Tensor, evaluate: Evaluate, state: State | None = None) -> Iterator[Any]:
        def stubborn(x: Tensor) -> tuple[float, Tensor]:
            while True:
                try:
                    return evaluate(x)
                except Exception:  # noqa: PERF203
                    continue

        return super().walk(image, stubborn, state)


class Broken(Descent):
    def step(self, x: Tensor, step: Tensor) -> Tensor:
        raise KeyError("learning\nrate")


@pytest.mark.parametrize(
    "strategy",
    [
        Descent(),
        LBFGS(),
        LBFGS(history=2),
        Adam(),
        lambda x: torch.optim.RMSprop([x], lr=0.01),
        lambda x: torch.optim.SGD([x], lr=0.05, momentum=0.9),
        lambda x: torch.optim.LBFGS([x], lr=0.5),
    ],
    ids=["own", "LBFGS", "LBFGS of two pairs", "Adam", "RMSprop", "SGD", "torch's LBFGS"],
)
def test_strategies_that_keep_the_rules_pass(strategy: Any) -> None:
    check_strategy(strategy)


WRONG_STRATEGIES: dict[type[Any], str] = {
    Unbounded: (
        "Unbounded.walk yields a picture with values from 0.0379898 to 1.00116, outside of [0, 1]; clip each "
        "step, such as (x - step).clamp(0, 1)"
    ),
    Uphill: (
        "Uphill.walk has not lowered a quadratic function in 60 evaluations: it began at 33.1389, and the "
        "least since is 33.802; step against the gradient"
    ),
    Flat: "Flat.walk yields a picture of the shape (240,); it is given (1, 3, 8, 10) and keeps that shape",
    Lost: (
        "Lost.walk yields a picture with values from nan to nan, outside of [0, 1]; clip each step, such as (x "
        "- step).clamp(0, 1)"
    ),
    YieldsTensor: (
        "YieldsTensor.walk yields Tensor; yield its state, a dict with the current picture under 'image', such "
        "as {'image': x}"
    ),
    YieldsPicture: (
        "YieldsPicture.walk yields a dict with the keys ['picture']; yield its state, a dict with the current "
        "picture under 'image', such as {'image': x}"
    ),
    YieldsNothing: "YieldsNothing.walk has yielded nothing in 60 evaluations; yield the state after each step",
    LooksNowhere: "LooksNowhere.walk evaluates no picture; call evaluate(x) -> (loss, gradient) at each step",
    WritesInPlace: "WritesInPlace.walk changes its start in place; work on a clone of it",
    Forgetful: (
        "Forgetful.walk does not continue from the state that it has yielded: evaluation 2 after it "
        "differs from that of the uninterrupted walk; store everything that the steps depend on in the state"
    ),
    Unsaved: (
        "Unsaved.walk yields a state that cannot be saved: TypeError: ...; "
        "store tensors, numbers, strings, lists and dicts in it"
    ),
    Stubborn: ("Stubborn.walk continues after the exception that ends it; do not catch exceptions of evaluate"),
    Broken: "Broken.walk fails on a quadratic function: KeyError: ...",
}


@pytest.mark.parametrize("kind", WRONG_STRATEGIES, ids=lambda kind: kind.__name__)
def test_the_rule_that_a_strategy_breaks_is_named(kind: type[Any]) -> None:
    with pytest.raises(ValueError, match=re.escape(kind.__name__)) as caught:
        check_strategy(kind())
    message = without_foreign_words(caught.value)
    assert message == WRONG_STRATEGIES[kind]
    assert "\n" not in message


def test_global_random_numbers_are_put_back_and_drawing_from_them_is_noticed() -> None:
    def drawn_afterwards() -> list[float]:
        return [float(torch.rand(())), float(np.random.rand()), random.random()]  # noqa: NPY002

    for draw, name in ((lambda: torch.rand(1), "torch"), (np.random.rand, "numpy"), (random.random, "random")):
        for seed in (0, 1):
            torch.manual_seed(7)
            np.random.seed(7)  # noqa: NPY002
            random.seed(7)
            with global_random_numbers(seed) as drawn:
                draw()
            after = drawn_afterwards()
            assert drawn == [name]
        torch.manual_seed(7)
        np.random.seed(7)  # noqa: NPY002
        random.seed(7)
        assert drawn_afterwards() == after
    with global_random_numbers(0) as drawn:
        pass
    assert drawn == []


@pytest.mark.parametrize(
    ("check", "thing", "message"),
    [
        (check_loss, Means, "check_loss takes an object such as Means(), received the class"),
        (check_loss, 3, "check_loss takes an object of a class derived from Loss, received int"),
        (
            check_encoder,
            NETWORK,
            "check_encoder takes an encoder, which has layers by name and a call (image, names) -> features, received "
            "Sequential; make one with ModuleExtractor(network)",
        ),
        (
            check_encoder,
            3,
            "check_encoder takes an encoder, which has layers by name and a call (image, names) -> features, received "
            "int; see Encoder",
        ),
        (
            check_strategy,
            torch.optim.Adam,
            "check_strategy takes a strategy, received the class Adam; give lambda x: torch.optim.Adam([x], lr=0.02)",
        ),
        (check_strategy, LBFGS, "check_strategy takes a strategy, received the class LBFGS; give LBFGS()"),
        (
            check_strategy,
            3,
            "check_strategy takes an object with a method walk(image, evaluate, state=None), or a function (image "
            "tensor) -> torch.optim.Optimizer, received int",
        ),
    ],
)
def test_what_is_none_of_them_is_refused(check: Any, thing: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        check(thing)
    assert str(caught.value) == message


def test_features_have_the_channels_and_the_size_that_are_asked_for() -> None:
    class Weighted(Means):
        layers = ("relu1_1", "relu2_1")

        def distance(self, actual: Tensor, target: Tensor) -> Tensor:
            return ((actual - target).square() @ actual.new_ones(6)).mean()

    check_loss(Weighted(), channels=6)
    check_loss(Weighted(), channels={"relu1_1": 6, "relu2_1": 6}, size=(3, 4))
    with pytest.raises(ValueError, match=r"Weighted.distance fails for \(2, 4\) and \(1, 4\)"):
        check_loss(Weighted())
    with pytest.raises(ValueError, match=r"fails for \(2, 5\)"):
        check_loss(Weighted(), channels={"relu1_1": 6, "relu2_1": 5})
    with pytest.raises(ValueError, match="channels names no number for layer 'relu2_1'"):
        check_loss(Weighted(), channels={"relu1_1": 6})


def test_only_the_layers_that_are_named_are_checked() -> None:
    check_encoder(ShortReach(), ["image", "patch"])
    with pytest.raises(ValueError, match="unknown layer of ShortReach 'depe': did you mean 'deep'"):
        check_encoder(ShortReach(), ["depe"])
    empty = Patches()
    empty.layers = {}
    with pytest.raises(ValueError, match=r"Patches.layers is empty"):
        check_encoder(empty)
