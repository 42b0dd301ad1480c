"""The extension contract: what is said of a loss, an encoder, a strategy, a schedule or a callback that is wrong.

Each row is a mistake, by its id, with the whole of its one-line message. The mistakes of ``check_loss``,
``check_encoder`` and ``check_strategy`` are in test_testing.py, those of a ``Stage`` in painting/test_schedule.py,
those of a single loss in test_losses.py, and those of an objective that is evaluated alone in test_contract.py.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralstyle import (
    FeatureExtractor,
    Layer,
    Loss,
    LossSum,
    Objective,
    PointwiseLoss,
    SavePictures,
    Stage,
    StateFile,
    StatisticLoss,
    Style,
    TotalVariationLoss,
    plan,
    save_image,
    stylize,
)
from neuralstyle.encoders.base import WHOLE_PICTURE
from neuralstyle.feedforward.criterion import Criterion
from neuralstyle.losses import Term
from neuralstyle.optimizers import minimize
from neuralstyle.optimizers.base import Evaluate, State
from neuralstyle.testing import check_encoder, check_loss, check_strategy

PHOTO = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
PAINTING = torch.rand(1, 3, 48, 56, generator=torch.Generator().manual_seed(1))
LEFT = F.pad(torch.ones(48, 1), (0, 55))  # a mask of one column


class Cells(nn.Module):
    """An encoder: cells of 4 x 4 pixels through random filters."""

    def __init__(self, change: Callable[[Tensor], Any] = lambda maps: {"cell": maps}, **layer: Any) -> None:
        super().__init__()
        described: Any = {"name": "cell", "kind": "conv", "channels": 8, "stride": 4, "reach": 0, **layer}
        self.layers: Any = {"cell": Layer(**described)}
        self.change = change
        weight = torch.rand(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))
        self.filters = nn.Parameter(weight - 0.5, requires_grad=False)

    def forward(self, image: Tensor, layers: Any) -> Any:
        return self.change(F.conv2d(image, self.filters, stride=4).relu())


def blurred(maps: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(maps, (2, 2, 2, 2), mode="replicate"), 5, stride=1)


class Mean(StatisticLoss):
    layers: Any = ("cell",)
    reference: Any = "style"

    def statistic(self, x: Tensor, weight: Tensor) -> Any:
        return (x * weight).sum(2)

    def distance(self, actual: Tensor, target: Tensor) -> Any:
        return (actual - target).square().mean()


class Error(PointwiseLoss):
    layers: Any = ("cell",)
    reference: Any = "content"

    def error(self, x: Tensor, target: Tensor) -> Any:
        return (x - target).square().mean(1, keepdim=True)


class Whole(Loss):
    layers: Any = ("cell",)
    reference: Any = "content"

    def forward(self, x: Tensor, target: Tensor) -> Any:
        return (x - target).square().mean()


class NoReference(Loss):
    layers = ("cell",)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return x.mean()


class Counting(Mean):
    def __init__(self) -> None:
        self.calls: list[int] = []

    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        self.calls.append(1)
        return (actual - target).square().mean()


def own(kind: type[Any], **members: Any) -> Any:
    """An object of a class of somebody's with these members, which its messages have to name."""
    return type("Mine", (kind,), members)()


def work(losses: Any = None, *, content: Any = PHOTO, style: Any = PAINTING, **options: Any) -> Callable[[], object]:
    """Three stages of work, of which not one evaluation is to be made."""
    stages = [Stage(24, 2), Stage(32, 2), Stage(64, 2)]

    def begin() -> object:
        chosen = {"size": 64, "schedule": stages, "encoder": Cells(), "progress": False, **options}
        chosen.setdefault("callback", lambda progress: pytest.fail("the work has begun"))
        return stylize(content, style, losses=Error() + Mean() if losses is None else losses, **chosen)

    return begin


# Losses


LOSSES: dict[str, tuple[Any, type[Exception], str]] = {
    "statistic divides by the weight": (
        own(Mean, statistic=lambda self, x, weight: (x * weight).sum(2) / weight.sum(2)),
        ValueError,
        "Mine.statistic is not linear in the weight: for weights a and b, statistic(x, a + b) differs from "
        "statistic(x, a) + statistic(x, b) by 50% at layer 'cell'; return a sum over positions, such as (x * "
        "weight).sum(2), and leave the division by the weights to the objective",
    ),
    "statistic looks at other positions": (
        own(Mean, statistic=lambda self, x, weight: (x * weight).sum(2) / x.shape[2]),
        ValueError,
        "Mine.statistic is no sum over positions: those of two halves of the positions add up to another one, by 50% "
        "at layer 'cell'; compute each summand from one position alone, or derive from Loss, which sees whole maps",
    ),
    "statistic mixes the batch": (
        own(Mean, statistic=lambda self, x, weight: (x * weight).sum((0, 2))),
        ValueError,
        "Mine.statistic returns a floating tensor (B, ...), received the shape (8,) for features (B, C, N) = (2, 8, "
        "8); return one sum over positions for each picture, such as (x * weight).sum(2)",
    ),
    "statistic of whole numbers": (
        own(Mean, statistic=lambda self, x, weight: (x * weight).sum(2).long()),
        ValueError,
        "Mine.statistic returns a floating tensor (B, ...), received a tensor of torch.int64 and the shape (2, 8) for "
        "features (B, C, N) = (2, 8, 8); return one sum over positions for each picture, such as (x * weight).sum(2)",
    ),
    "statistic returns nothing": (
        own(Mean, statistic=lambda self, x, weight: None),
        ValueError,
        "Mine.statistic returns a floating tensor (B, ...), received None for features (B, C, N) = (2, 8, 8); return "
        "one sum over positions for each picture, such as (x * weight).sum(2)",
    ),
    "statistic in place": (
        own(Mean, statistic=lambda self, x, weight: x.mul_(weight).sum(2)),
        ValueError,
        "Mine.statistic changes in place the features that it is given, at layer 'cell'; compute with a copy",
    ),
    "statistic without gradient": (
        own(Mean, statistic=lambda self, x, weight: (x.detach() * weight).sum(2)),
        ValueError,
        "Mine.distance has no gradient: it is 0.01139 whatever the picture, and would change nothing; compute it from "
        "x with operations of torch, without no_grad(), detach(), item() or numpy",
    ),
    "distance is a vector": (
        own(Mean, distance=lambda self, actual, target: (actual - target).square()),
        ValueError,
        "Mine.distance returns one number, a floating tensor of the shape (), received the shape (1, 8); add it up or "
        "average it, for example with .mean()",
    ),
    "distance is complex": (
        own(Mean, distance=lambda self, actual, target: (actual - target).mean() * 1j),
        ValueError,
        "Mine.distance returns one number, a floating tensor of the shape (), received a tensor of torch.complex64 and "
        "the shape (); add it up or average it, for example with .mean()",
    ),
    "distance is a float": (
        own(Mean, distance=lambda self, actual, target: 0.5),
        ValueError,
        "Mine.distance returns one number, a floating tensor of the shape (), received 0.5; add it up or average it, "
        "for example with .mean()",
    ),
    "error of all channels": (
        own(Error, error=lambda self, x, target: (x - target).square()),
        ValueError,
        "Mine.error returns one error for each position, (B, 1, h, w) = (1, 1, 16, 16) for features of the shape (1, "
        "8, 16, 16), received the shape (1, 8, 16, 16); add up or average over the channels alone, for example with "
        ".mean(1, keepdim=True)",
    ),
    "error is a scalar": (
        own(Error, error=lambda self, x, target: (x - target).square().mean()),
        ValueError,
        "Mine.error returns one error for each position, (B, 1, h, w) = (1, 1, 16, 16) for features of the shape (1, "
        "8, 16, 16), received the shape (); add up or average over the channels alone, for example with .mean(1, "
        "keepdim=True)",
    ),
    "reach is forgotten": (
        own(Error, error=lambda self, x, target: blurred(x - target).square().mean(1, keepdim=True)),
        ValueError,
        "Mine.error looks further than its reach of 0 positions: at layer 'cell' a piece of a map with 0 positions "
        "around it has another error than in the whole map, so that tiles would not be exact; set reach to how far it "
        "looks, or derive it from Loss, which sees whole maps",
    ),
    "reach is too short": (
        own(Error, reach=1, error=lambda self, x, target: blurred(x - target).square().mean(1, keepdim=True)),
        ValueError,
        "Mine.error looks further than its reach of 1 positions: at layer 'cell' a piece of a map with 1 positions "
        "around it has another error than in the whole map, so that tiles would not be exact; set reach to how far it "
        "looks, or derive it from Loss, which sees whole maps",
    ),
    "forward is a tuple": (
        own(Whole, forward=lambda self, x, target: (1.5,)),
        ValueError,
        "Mine.forward returns one number, a floating tensor of the shape (), received (1.5,); add it up or average it, "
        "for example with .mean()",
    ),
    "forward without gradient": (
        own(Whole, forward=lambda self, x, target: (x - target).detach().square().mean()),
        ValueError,
        "Mine.forward has no gradient: it is 0.1655 whatever the picture, and would change nothing; compute it from x "
        "with operations of torch, without no_grad(), detach(), item() or numpy",
    ),
    "joint forward is a vector": (
        own(Whole, joint=True, forward=lambda self, x, target: (x["cell"] - target["cell"]).mean((2, 3))),
        ValueError,
        "Mine.forward returns one number, a floating tensor of the shape (), received the shape (1, 8); add it up or "
        "average it, for example with .mean()",
    ),
    "state of its own": (
        Counting(),
        ValueError,
        "Counting changes while it is evaluated, from Counting(layers=('cell',), reference='style', calls=[]) to "
        "Counting(layers=('cell',), reference='style', calls=[1]); a loss is a description and keeps nothing",
    ),
    "an unknown layer": (
        own(Mean, layers=("cel",)),
        ValueError,
        "unknown layer of Cells 'cel': did you mean 'cell'? known are image, cell",
    ),
    "a reference that is missing": (
        own(Mean, reference="previous"),
        ValueError,
        "Mine compares with the previous, and no previous was given",
    ),
    "a class": (
        Mean,
        TypeError,
        "losses are a loss or a sum of losses such as ContentLoss() + 2 * MyLoss(), received <class "
        "'test_extension_contract.Mean'>; give Mean()",
    ),
    "a list": (
        [Mean()],
        TypeError,
        "losses are a loss or a sum of losses such as ContentLoss() + 2 * MyLoss(), received [Mean(layers=('cell',), "
        "reference='style')]",
    ),
    "torch's": (
        nn.MSELoss(),
        TypeError,
        "losses are a loss or a sum of losses such as ContentLoss() + 2 * MyLoss(), received MSELoss()",
    ),
}


@pytest.mark.parametrize(("losses", "error", "message"), LOSSES.values(), ids=LOSSES)
def test_a_wrong_loss_is_told_so_before_the_work(losses: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        work(losses)()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "name", [name for name, (loss, *_) in LOSSES.items() if isinstance(loss, Loss) and name != "state of its own"]
)
def test_an_objective_a_criterion_and_check_loss_say_it_too(name: str) -> None:
    losses, error, message = LOSSES[name]
    with pytest.raises(error) as caught:
        Objective(Cells(), losses, content=PHOTO, styles=[PAINTING])
    assert str(caught.value) == message
    with pytest.raises(error) as caught:
        Criterion(Cells(), losses, [Style(PAINTING)])
    assert str(caught.value) == message
    if name not in ("an unknown layer", "a reference that is missing"):  # no mistakes of the loss alone
        with pytest.raises(ValueError, match=type(losses).__name__):
            check_loss(losses)


NO_TERM = (
    "a LossSum is made of terms such as Term(ContentLoss(), 1.0), received {}; or write ContentLoss() + 2 * MyLoss()"
)
LAYERS = "layers of Mine are one or more names such as 'relu4_2', received {}"

SUMS: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "no reference": (
        lambda: 2 * NoReference(),
        ValueError,
        "NoReference names no reference; set reference = 'content', 'style' or 'previous', or None for a regulariser, "
        "which compares with nothing",
    ),
    "no layers": (
        lambda: 2 * own(Mean, layers=None),
        ValueError,
        "Mine names no layers; set its layers, for example layers = ('relu4_2',)",
    ),
    "layers of a number": (lambda: 2 * own(Mean, layers=3), ValueError, LAYERS.format(3)),
    "layers of bytes": (lambda: 2 * own(Mean, layers=(b"cell",)), ValueError, LAYERS.format("(b'cell',)")),
    "layers of a set": (lambda: 2 * own(Mean, layers={"cell"}), ValueError, LAYERS.format("{'cell'}")),
    "a layer weight that is no number": (
        lambda: 2 * own(Mean, layer_weights=[float("nan")]),
        ValueError,
        "the weight of layer 'cell' of Mine is a finite number, received nan",
    ),
    "layer weights as text": (
        lambda: 2 * own(Mean, layer_weights="1"),
        TypeError,
        "the weight of layer 'cell' of Mine is a number, received '1'",
    ),
    "joint as text": (
        lambda: 2 * own(Whole, joint="yes"),
        ValueError,
        "Mine.joint is True or False, received 'yes'",
    ),
    "an unknown reduction": (
        lambda: 2 * own(Error, reduction="max"),
        ValueError,
        "unknown reduction of Mine 'max': did you mean 'mean'? known are mean, sum",
    ),
    "a weight that is no number": (
        lambda: float("nan") * Mean(),
        ValueError,
        "the weight of a loss is a finite number, received nan",
    ),
    "a sum of None": (lambda: LossSum((None,)), TypeError, NO_TERM.format("None")),  # type: ignore[arg-type]
    "a sum of a loss": (
        lambda: LossSum([Mean()]),  # type: ignore[arg-type,list-item]
        TypeError,
        NO_TERM.format("Mean(layers=('cell',), reference='style')"),
    ),
    "no sum": (lambda: LossSum(None), TypeError, NO_TERM.format("None")),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("make", "error", "message"), SUMS.values(), ids=SUMS)
def test_a_loss_or_a_sum_that_cannot_be_is_refused_when_it_is_made(
    make: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == message


def test_a_sum_of_a_list_of_terms_is_a_value() -> None:
    terms = [Term(Mean(), 1.0)]
    assert isinstance(LossSum(terms).terms, tuple)  # type: ignore[arg-type]
    assert list(LossSum(terms)) == terms  # type: ignore[arg-type]


def test_a_loss_for_pictures_of_one_size_is_left_to_its_work() -> None:
    ones = torch.ones(1, 1, 12, 16)
    losses = own(Error, error=lambda self, x, target: ones * (x - target).square().mean(1, keepdim=True)) + own(
        Whole, forward=lambda self, x, target: (ones * (x - target)).square().mean()
    )
    plan(PHOTO, PAINTING, losses=losses, encoder=Cells(), size=64, schedule="single")
    assert Objective(Cells(), losses, content=PHOTO).evaluate(PHOTO.flip(3)).loss > 0


# Encoders


class Aliased(Cells):
    """Returns the same memory every time that no gradient is wanted."""

    memory: Tensor | None = None

    def forward(self, image: Tensor, layers: Any) -> Any:
        maps = super().forward(image, layers)["cell"]
        if maps.requires_grad or self.memory is None or self.memory.shape != maps.shape:
            self.memory = maps
        return {"cell": self.memory if maps is self.memory else self.memory.copy_(maps)}


class Lightened(Cells):
    def forward(self, image: Tensor, layers: Any) -> Any:
        return {**super().forward(image, layers), "image": image / 2}


class InPlace(Cells):
    def forward(self, image: Tensor, layers: Any) -> Any:
        with torch.no_grad():
            image.mul_(0.5)
        return super().forward(image, layers)


def described(encoder: Cells, layers: Any) -> Cells:
    encoder.layers = layers
    return encoder


DENSE = (
    "layer 'cell' of Cells has features of {} for a picture on 'cpu'; return dense floating tensors on the picture's "
    "device"
)
SHAPE = (
    "layer 'cell' of Cells has features of the shape {}, and its Layer says (B, C, h, w) = (1, 8, 4, 6) for a picture "
    "of 24 x 16 pixels (stride 4); correct the Layer, or cut or pad the features"
)

ENCODERS: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "a bare module": (
        nn.Conv2d(3, 4, 3),
        {},
        TypeError,
        "Conv2d is a network and not an encoder, as it has no 'layers', a mapping from names to Layer; give "
        "ModuleExtractor(network), which finds the layers of any network",
    ),
    "a class": (
        Cells,
        {},
        TypeError,
        "an encoder is an object, received the class Cells; make one of that class",
    ),
    "a number": (
        3,
        {},
        TypeError,
        "an encoder has 'layers', a mapping from names to Layer, and is called with a picture and names of layers; "
        "received 3; give FeatureExtractor() or ModuleExtractor(network)",
    ),
    "layers that are a list": (
        described(Cells(), ["cell"]),
        {},
        TypeError,
        "Cells is a network and not an encoder, as it has no 'layers', a mapping from names to Layer; give "
        "ModuleExtractor(network), which finds the layers of any network",
    ),
    "a layer under another name": (
        described(Cells(), {"cell": Layer("other", "conv", 8, 4, 0)}),
        {},
        ValueError,
        "Cells.layers['cell'] is called 'other'; give both the same name",
    ),
    "a stride of 0": (
        Cells(stride=0),
        {},
        ValueError,
        "stride of Cells's layer 'cell' is a whole number of at least 1, received 0",
    ),
    "a reach of None": (
        Cells(reach=None),
        {},
        ValueError,
        "reach of Cells's layer 'cell' is a whole number of at least 0, received None",
    ),
    "other channels": (Cells(lambda maps: {"cell": maps[:, :4]}), {}, ValueError, SHAPE.format("(1, 4, 4, 6)")),
    "another batch": (
        Cells(lambda maps: {"cell": torch.cat([maps, maps])}),
        {},
        ValueError,
        SHAPE.format("(2, 8, 4, 6)"),
    ),
    "an array": (Cells(lambda maps: {"cell": maps.detach().numpy()}), {}, ValueError, SHAPE.format("ndarray")),
    "no names": (
        Cells(lambda maps: maps),
        {},
        TypeError,
        "Cells returns a Tensor; an encoder returns features by layer name, a dict such as {'relu1_1': features}",
    ),
    "other names": (
        Cells(lambda maps: {"cells": maps}),
        {},
        ValueError,
        "Cells returns no features of layer 'cell', which is among its layers; return the features of every layer "
        "that is asked for",
    ),
    "whole numbers": (
        Cells(lambda maps: {"cell": (10 * maps).long()}),
        {},
        ValueError,
        DENSE.format("torch.int64, torch.strided and on 'cpu'"),
    ),
    "complex numbers": (
        Cells(lambda maps: {"cell": maps + 1j}),
        {},
        ValueError,
        DENSE.format("torch.complex64, torch.strided and on 'cpu'"),
    ),
    "another device": (
        Cells(lambda maps: {"cell": maps.to("meta")}),
        {},
        ValueError,
        DENSE.format("torch.float32, torch.strided and on 'meta'"),
    ),
    "sparse features": (
        Cells(lambda maps: {"cell": maps.to_sparse()}),
        {},
        ValueError,
        DENSE.format("torch.float32, torch.sparse_coo and on 'cpu'"),
    ),
    "no gradient": (
        Cells(lambda maps: {"cell": maps.detach()}),
        {},
        ValueError,
        "layer 'cell' of Cells has no gradient with respect to the picture, which could not change; leave no_grad() "
        "and detach() out of the call",
    ),
    "no numbers": (
        Cells(lambda maps: {"cell": maps / 0}),
        {},
        ValueError,
        "layer 'cell' of Cells is not finite for a picture of random numbers in [0, 1]",
    ),
    "memory that is used again": (
        Aliased(),
        {},
        ValueError,
        "Aliased returns features of layer 'cell' in memory that its next call overwrites; return new tensors",
    ),
    "the picture changed in place": (
        InPlace(),
        {},
        ValueError,
        "InPlace changes the picture that it is given in place; compute with a copy",
    ),
    "another picture": (
        described(Lightened(), {**Cells().layers, "image": Layer("image", "image", 3, 1, 0)}),
        {"losses": Error() + TotalVariationLoss()},
        ValueError,
        "layer 'image' of Lightened is not the picture that was given; return it as it is",
    ),
    "random numbers": (
        Cells(lambda maps: {"cell": F.dropout(maps, 0.5)}),
        {},
        ValueError,
        "layer 'cell' of Cells differs by 75% from one call to the next for the same picture; use eval(), and draw no "
        "random numbers",
    ),
    "a reach too short in tiles": (
        Cells(lambda maps: {"cell": blurred(maps)}, reach=4),
        {"tile": 16},
        ValueError,
        "layer 'cell' of Cells states a reach of 4 pixels, and pixels further away change its features by 20%, so that "
        "tiles would not be exact; state the reach that it has, which neuralstyle.testing.check_encoder measures",
    ),
    "a global layer in tiles": (
        Cells(reach=WHOLE_PICTURE),
        {"tile": 16},
        ValueError,
        "tiles cannot be exact with layer 'cell': its positions depend on the whole picture (attention, global "
        "pooling or instance normalisation before it); leave tile out, or use earlier layers",
    ),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_a_wrong_encoder_is_told_so_before_the_work(name: str) -> None:
    encoder, options, error, message = ENCODERS[name]
    with pytest.raises(error) as caught:
        work(encoder=encoder, **options)()
    assert str(caught.value) == message


@pytest.mark.parametrize("name", [name for name in ENCODERS if "tiles" not in name and name != "another picture"])
def test_check_encoder_refuses_it_too(name: str) -> None:
    encoder, _, error, _ = ENCODERS[name]
    with pytest.raises((ValueError, TypeError)):
        check_encoder(encoder)
    if name not in ("a class", "a number"):
        with pytest.raises(error):
            work(schedule=[Stage(32, 1), Stage(64, 1, encoder)])()


def test_half_features_and_features_of_any_layout_of_memory_are_taken() -> None:
    expected = Objective(Cells(), Mean(), styles=[PAINTING]).evaluate(PHOTO)
    turned = Cells(lambda maps: {"cell": maps.transpose(2, 3).contiguous().transpose(2, 3)})
    found = Objective(turned, Mean(), styles=[PAINTING]).evaluate(PHOTO)
    assert found.loss == pytest.approx(expected.loss, rel=1e-6)
    half = Objective(Cells(lambda maps: {"cell": maps.half()}), Mean(), styles=[PAINTING]).evaluate(PHOTO)
    assert half.loss == pytest.approx(expected.loss, rel=1e-2)


def test_a_picture_of_another_dtype_than_the_encoder_is_refused() -> None:
    objective = Objective(Cells(), Error(), content=PHOTO)
    with pytest.raises(
        ValueError, match=r"^the image is torch.float64 on 'cpu', and Cells torch.float32 on 'cpu'; conv"
    ):
        objective.evaluate(PHOTO.double())
    with pytest.raises(ValueError, match=r"received the shape \(0, 3, 48, 64\)"):
        objective.evaluate(PHOTO[:0])
    with pytest.raises(ValueError, match=r"map_dtype is a floating dtype .*, received 'bfloat16'"):
        Objective(Cells(), Error(), content=PHOTO, map_dtype="bfloat16")  # type: ignore[arg-type]


# Styles, masks and regions


BLACK = (
    "the mask of a style is black all over, or too narrow for any position to see it alone, so nothing of its picture "
    "counts; draw it white where it is to count"
)
WHOLE = own(Whole, reference="style", forward=lambda self, x, target: (x.mean() - target.mean()).square())
FAR = Cells(reach=WHOLE_PICTURE)

STYLES: dict[str, tuple[Callable[[], Any], dict[str, Any], type[Exception], str]] = {
    "a weight that is no number": (
        lambda: Style(PAINTING, weight=float("nan")),
        {},
        ValueError,
        "the weight of a style is a finite number of at least 0, received nan",
    ),
    "a weight as text": (
        lambda: Style(PAINTING, weight="1"),  # type: ignore[arg-type]
        {},
        ValueError,
        "the weight of a style is a finite number of at least 0, received '1'",
    ),
    "a softness as text": (
        lambda: Style(PAINTING, softness="a"),  # type: ignore[arg-type]
        {},
        ValueError,
        "the softness of a region is a finite number from 0 to 1, received 'a'",
    ),
    "a scale beyond memory": (
        lambda: Style(PAINTING, scale=1e308, enlarge=True),
        {},
        ValueError,
        "the scale of a style is 1e+308, which for a result of 64 pixels would enlarge it to inf pixels; give a "
        "smaller scale, or leave enlarge out",
    ),
    "weights of 0 in a region": (
        lambda: [Style(PAINTING, weight=0, region=torch.ones(48, 64)), Style(PAINTING)],
        {},
        ValueError,
        "the weights of the styles of a region are all 0; give one of them a positive weight",
    ),
    "weights beyond all numbers": (
        lambda: [Style(PAINTING, weight=1.7e308), Style(PAINTING, weight=1.7e308)],
        {},
        ValueError,
        "the weights of the styles of a region add up to infinity; divide them all by one number",
    ),
    "a black mask": (
        lambda: Style(PAINTING, mask=torch.zeros(48, 56)),
        {},
        ValueError,
        "the mask of a style is black all over, so that nothing counts; draw it white where it is to count",
    ),
    "a mask too narrow at the last stage alone": (
        lambda: Style(PAINTING, mask=LEFT, edges="strict"),
        {"schedule": [Stage(64, 2, losses=lambda losses: Error() + own(Mean, layers=("image",))), Stage(64, 2)]},
        ValueError,
        BLACK,
    ),
    "a mask of a loss that sees whole maps": (
        lambda: Style(PAINTING, mask=torch.ones(48, 56)),
        {"losses": WHOLE},
        ValueError,
        "Mine compares with whole maps of the style and cannot use a mask; take CovarianceLoss, GramStyleLoss, "
        "MMDLoss, MeanStdLoss or WassersteinLoss, derive it from StatisticLoss, or give its styles no mask",
    ),
    "a region of a loss that sees whole maps": (
        lambda: Style(PAINTING, region=torch.ones(48, 64)),
        {"losses": WHOLE},
        ValueError,
        "Mine sees whole maps and cannot be kept inside a region; take CovarianceLoss, GramStyleLoss, MMDLoss, "
        "MRFLoss, MeanStdLoss, NearestNeighborLoss or WassersteinLoss, derive it from StatisticLoss or PointwiseLoss, "
        "or give its styles no region",
    ),
    "strict edges at a global layer": (
        lambda: Style(PAINTING, region=torch.ones(48, 64), edges="strict"),
        {"schedule": [Stage(32, 2), Stage(64, 2, FAR)]},
        ValueError,
        "edges='strict' leaves nothing at layer 'cell', whose positions see the whole picture; give the style "
        "edges='blended', or use earlier layers",
    ),
    "edges that differ in a region": (
        lambda: [
            Style(PAINTING, region=torch.ones(16, 24), edges="strict"),
            Style(PAINTING, region=torch.ones(16, 24)),
        ],
        {},
        ValueError,
        "styles of one region are blended and need the same softness and edges, received 0.0, 'strict' and 0.0, "
        "'blended'",
    ),
    "a mask that is no picture": (
        lambda: Style(PAINTING, mask=3),  # type: ignore[arg-type]
        {},
        TypeError,
        "a mask or region is a path, a PIL image, a numpy array or a tensor, received int",
    ),
    "a mask that does not exist": (
        lambda: Style(PAINTING, mask="no/mask.png"),
        {},
        FileNotFoundError,
        "there is no file no/mask.png; check the name and the folder",
    ),
    "a mask of complex numbers": (
        lambda: Style(PAINTING, mask=torch.ones(1, 1, 48, 56) + 0j),
        {},
        TypeError,
        "the tensor holds torch.complex64; give its real part",
    ),
    "no style": (lambda: [], {}, ValueError, "Mean compares with the style, and no style was given"),
}


@pytest.mark.parametrize("name", STYLES)
def test_a_style_that_does_not_fit_is_refused_before_the_work(name: str) -> None:
    make, options, error, message = STYLES[name]
    with pytest.raises(error) as caught:
        work(style=make(), **{"losses": Error() + Mean(), **options})() if callable(make) else None
    assert str(caught.value) == message


# Strategies


class Walk:
    """A strategy that keeps the rules, but for what its functions do."""

    def __init__(
        self, step: Callable[[Tensor], Any] = lambda x: {"image": x}, look: Callable[[Tensor], Any] = lambda x: x
    ) -> None:
        self.step, self.look = step, look

    def walk(self, image: Tensor, evaluate: Evaluate, state: State | None = None) -> Iterator[Any]:
        while True:
            evaluate(self.look(image))
            yield self.step(image)


class Idle(Walk):
    def walk(self, image: Tensor, evaluate: Evaluate, state: State | None = None) -> Iterator[Any]:
        while True:
            yield {"image": image}


class Ended(Walk):
    def walk(self, image: Tensor, evaluate: Evaluate, state: State | None = None) -> Any:
        return iter([{"image": image}])


class TakesTwo(Walk):
    def walk(self, image: Tensor, evaluate: Evaluate) -> Iterator[Any]:  # type: ignore[override]
        yield {"image": image}


class ReturnsDict(Walk):
    def walk(self, image: Tensor, evaluate: Evaluate, state: State | None = None) -> Any:
        return {"image": image}


class Deaf(Walk):
    """Takes any exception for a failed evaluation."""

    def walk(self, image: Tensor, evaluate: Evaluate, state: State | None = None) -> Iterator[Any]:
        while True:
            with contextlib.suppress(Exception):
                evaluate(image)
            yield {"image": image}


KIND = "a picture of {}; its start is of torch.float32 on 'cpu', and all pictures of a strategy are"

STRATEGIES: dict[str, tuple[Any, type[Exception], str]] = {
    "leaves the range": (
        Walk(lambda x: {"image": x + 1.5}),
        ValueError,
        "Walk yields a picture in [1.504, 2.5]; all pictures of a strategy lie in [0, 1], so apply clamp(0, 1) to it "
        "first",
    ),
    "evaluates outside the range": (
        Walk(look=lambda x: x + 1.5),
        ValueError,
        "Walk evaluates a picture in [1.504, 2.5]; all pictures of a strategy lie in [0, 1], so apply clamp(0, 1) to "
        "it first",
    ),
    "yields a tensor": (
        Walk(lambda x: x),
        TypeError,
        "each step of a strategy yields a dict with its picture, a tensor, under 'image'; Walk yields a Tensor",
    ),
    "evaluates another shape": (
        Walk(look=lambda x: x[..., :10]),
        ValueError,
        "Walk evaluates a picture of shape (1, 3, 12, 10); the shape of its start is (1, 3, 12, 16), and all pictures "
        "of a strategy have that",
    ),
    "evaluates another dtype": (
        Walk(look=lambda x: x.double()),
        ValueError,
        "Walk evaluates " + KIND.format("torch.float64 on 'cpu'"),
    ),
    "evaluates complex numbers": (
        Walk(look=lambda x: x + 0j),
        ValueError,
        "Walk evaluates " + KIND.format("torch.complex64 on 'cpu'"),
    ),
    "evaluates nowhere": (
        Walk(look=lambda x: x.to("meta")),
        ValueError,
        "Walk evaluates " + KIND.format("torch.float32 on 'meta'"),
    ),
    "yields another dtype": (
        Walk(lambda x: {"image": x.double()}),
        ValueError,
        "Walk yields " + KIND.format("torch.float64 on 'cpu'"),
    ),
    "changes its start": (
        Walk(lambda x: {"image": x.mul_(0.5)}),
        ValueError,
        "Walk changes the start in place, which is the caller's picture; begin with image.clone()",
    ),
    "never evaluates": (
        Idle(),
        ValueError,
        "Idle has yielded 1000 steps in a row without an evaluation; a strategy calls evaluate(x) -> (loss, gradient) "
        "at each step",
    ),
    "ends at once": (
        Ended(),
        ValueError,
        "Ended has ended without an evaluation; a strategy calls evaluate(x) -> (loss, gradient) at each step",
    ),
    "a walk of two arguments": (
        TakesTwo(),
        TypeError,
        "walk of a strategy is a method walk(image, evaluate, state=None); that of TakesTwo is <bound method ...>",
    ),
    "a walk that is no generator": (
        ReturnsDict(),
        TypeError,
        "walk of a strategy is a generator that yields its state after each step; that of ReturnsDict returns a dict "
        "with 'image'",
    ),
    "an optimiser of other tensors": (
        lambda x: torch.optim.SGD([torch.zeros(3, requires_grad=True)], lr=1),
        ValueError,
        "the SGD of an optimizer factory does not hold the picture, which could not change; give it the argument of "
        "the factory: lambda x: SGD([x], ...)",
    ),
    "torch's class": (
        torch.optim.Adam,
        TypeError,
        "the class Adam does not know the picture yet; give a function of it, such as lambda x: torch.optim.Adam([x], "
        "lr=0.02)",
    ),
    "a factory of nothing": (
        lambda x: None,
        TypeError,
        "an optimizer factory returns a torch.optim.Optimizer, received None",
    ),
}


@pytest.mark.parametrize("result", ["best", "last"])
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_wrong_strategy_is_told_so_at_its_first_step(name: str, result: Any) -> None:
    strategy, error, message = STRATEGIES[name]
    start = PHOTO[..., :12, :16].clone()
    with pytest.raises(error) as caught:
        minimize(strategy, start, lambda x: (float(x.real.double().sum()), torch.ones_like(x)), 3, result=result)
    assert re.sub(r"<bound method .*>$", "<bound method ...>", str(caught.value)) == message
    with pytest.raises((ValueError, TypeError)):
        check_strategy(strategy)


def test_a_wrong_strategy_is_told_so_by_stylize() -> None:
    for result in ("best", "last", "average"):
        with pytest.raises(TypeError, match="under 'image'; Walk yields a Tensor"):
            work(optimizer=Walk(lambda x: x), result=result, callback=None)()


def test_a_strategy_that_lets_no_exception_through_is_stopped() -> None:
    start = PHOTO[..., :12, :16]
    assert minimize(Deaf(), start, lambda x: (1.0, x), 3).evaluations == 3
    assert minimize(Deaf(), start, lambda x: (1.0, x), 9, lambda count, *_: count < 2).stopped

    def failing(x: Tensor) -> tuple[float, Tensor]:
        raise FloatingPointError("the loss is nan")

    with pytest.raises(FloatingPointError, match="the loss is nan") as caught:
        minimize(Deaf(), start, failing, 3)
    assert torch.equal(caught.value.kept, start)  # type: ignore[attr-defined]


PAIR = "evaluate returns a pair, the loss as a number and the gradient as a tensor of the picture's shape"

MINIMISATIONS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no picture": (
        {"image": "x"},
        TypeError,
        "the start of a minimisation is a dense floating tensor in [0, 1], received a str",
    ),
    "a sparse picture": (
        {"image": PHOTO.to_sparse()},
        ValueError,
        "the start of a minimisation is a dense floating tensor in [0, 1], received one of torch.float32 "
        "torch.sparse_coo on 'cpu'",
    ),
    "a picture without numbers": (
        {"image": PHOTO.to("meta")},
        ValueError,
        "the start of a minimisation is a dense floating tensor in [0, 1], received one of torch.float32 on 'meta'",
    ),
    "a complex picture": (
        {"image": PHOTO + 0j},
        ValueError,
        "the start of a minimisation is a dense floating tensor in [0, 1], received one of torch.complex64 on 'cpu'",
    ),
    "a picture of 8 bits a number": (
        {"image": PHOTO.to(torch.float8_e4m3fn)},
        ValueError,
        "the start of a minimisation is a dense floating tensor in [0, 1], received one of torch.float8_e4m3fn on "
        "'cpu'",
    ),
    "no evaluations": ({"evaluations": 0}, ValueError, "evaluations is a whole number of at least 1, received 0"),
    "endless evaluations": (
        {"evaluations": float("nan")},
        ValueError,
        "evaluations is a whole number of at least 1, received nan",
    ),
    "no gradient": ({"evaluate": lambda x: 1.0}, TypeError, f"{PAIR}, received a float"),
    "a loss as a tensor": (
        {"evaluate": lambda x: (x.sum(), x)},
        TypeError,
        f"{PAIR}, received a Tensor as the loss; give float(loss)",
    ),
    "a gradient of another shape": (
        {"evaluate": lambda x: (1.0, x[..., :2])},
        TypeError,
        f"{PAIR}, (1, 3, 48, 64), received one of shape (1, 3, 48, 2) as the gradient",
    ),
}


@pytest.mark.parametrize("name", MINIMISATIONS)
def test_what_cannot_be_minimised_is_refused(name: str) -> None:
    changes, error, message = MINIMISATIONS[name]
    options = {"optimizer": "lbfgs", "image": PHOTO, "evaluate": lambda x: (1.0, x), "evaluations": 3, **changes}
    with pytest.raises(error) as caught:
        minimize(**options)
    assert str(caught.value) == message


# Schedules, callbacks and states


LIST = "a schedule gives a list such as [Stage(32, 60), Stage(64, 30)], "
CALLBACK = (
    "a callback is a function that takes one argument, the Progress, such as lambda progress: print(progress.loss), "
    "received {}"
)

OPTIONS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "an empty schedule": ({"schedule": []}, ValueError, LIST + "received an empty one; give it a stage at least"),
    "a schedule of pairs": ({"schedule": [(64, 2)]}, TypeError, LIST + "received an entry (64, 2)"),
    "a schedule that is a generator": (
        {"schedule": lambda size, iterations: (Stage(size, 2) for _ in "a")},
        TypeError,
        LIST + "received <generator ...>",
    ),
    "a schedule without end": (
        {"schedule": [Stage(64, 1)] * 100_000},
        ValueError,
        LIST + "of at most 1000 stages, received 100000",
    ),
    "a last stage of another size": (
        {"schedule": [Stage(48, 2)]},
        ValueError,
        "the last stage has the size of the result, 64 pixels, received 48; change the last stage, or ask for size=48",
    ),
    "a schedule of one argument": (
        {"schedule": lambda size: [Stage(size, 1)]},
        TypeError,
        "a schedule is called with two arguments, the size and the iterations (or None); <function ...> cannot be: "
        "give a function such as lambda size, iterations: [Stage(size, iterations or 60)]",
    ),
    "losses of a stage that are none": (
        {"schedule": [Stage(32, 1), Stage(64, 1, losses=lambda losses: None)]},  # type: ignore[arg-type,return-value]
        TypeError,
        "the losses of a stage of 64 pixels are a loss or a sum of losses such as ContentLoss() + 2 * MyLoss(), "
        "received None",
    ),
    "a callback that is a number": ({"callback": 3}, TypeError, CALLBACK.format(3)),
    "a callback that is text": ({"callback": "x"}, TypeError, CALLBACK.format("'x'")),
    "one of several that is a number": ({"callback": [print, 3]}, TypeError, CALLBACK.format(3)),
    "a callback without an argument": ({"callback": lambda: None}, TypeError, CALLBACK.format("<function ...>")),
    "a class as callback": (
        {"callback": SavePictures},
        TypeError,
        "a callback is an object, received the class SavePictures; make one of that class",
    ),
    "a precision that the device has not": (
        {"encoder": lambda: FeatureExtractor(layers=["relu1_1"]), "precision": "tf32"},
        ValueError,
        "precision='tf32' is an arithmetic of CUDA devices, and the network is on 'cpu'; use 'float32', 'bfloat16', or "
        "device='cuda'",
    ),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_that_is_wrong_is_refused_before_the_work(name: str) -> None:
    changes, error, message = OPTIONS[name]
    options: dict[str, Any] = {"losses": None, **changes}
    if "precision" in options:
        from neuralstyle.encoders.precision import InPrecision

        options = {
            "losses": own(Mean, layers=("relu1_1",)),
            "encoder": InPrecision(options["encoder"](), options["precision"]),
            "device": "cpu",
        }
    with pytest.raises(error) as caught:
        work(**options)()
    assert re.sub(r"<(function|generator) [^;]*>(?= |$)", r"<\1 ...>", str(caught.value)) == message


def test_a_stage_of_a_class_of_ones_own_is_a_stage() -> None:
    kind = type("Mine", (Stage,), {})
    assert plan(PHOTO, PAINTING, losses=Error(), encoder=Cells(), size=64, schedule=[kind(64, 2)]).stages[0].size == 64


def test_an_exception_of_a_callback_goes_through_with_the_picture() -> None:
    def failing(progress: Any) -> None:
        raise KeyError("of the callback")

    with pytest.raises(KeyError, match="of the callback") as caught:
        work(callback=failing)()
    assert caught.value.image.size == (64, 48)  # type: ignore[attr-defined]


class Powered(Mean):
    def __init__(self, power: Any) -> None:
        self.power = power


def test_a_state_of_another_option_is_refused_and_so_is_one_that_cannot_be_described(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "run.safetensors", every=0)
    work(Powered(2) + Error(), state=state, callback=lambda progress: progress.iteration < 2)()
    with pytest.raises(ValueError, match=r"belongs to a run with another losses \(.*power=2.*, now .*power=4"):
        work(Powered(4) + Error(), state=state)()
    with pytest.raises(ValueError, match=r"losses.*Powered|power cannot be described: .*give lock a __repr__"):
        work(Powered(threading.Lock()) + Error(), state=tmp_path / "other.safetensors")()


def test_a_state_that_cannot_be_saved_is_refused_at_the_first_step(tmp_path: Path) -> None:
    counts: list[int] = []
    strategy = Walk(lambda x: {"image": x, "function": print})
    with pytest.raises(
        TypeError, match=r"^Walk yields a state that cannot be saved: a state holds .* received builtin"
    ):
        work(optimizer=strategy, state=tmp_path / "s", callback=lambda progress: counts.append(progress.iteration))()
    assert counts == [1]


# Tensors that are no pictures


TENSORS: dict[str, tuple[Tensor, str]] = {
    "sparse": (PHOTO.to_sparse(), "has the layout torch.sparse_coo; convert it with .to_dense()"),
    "meta": (PHOTO.to("meta"), "is on the meta device and holds no values; compute it on a real device"),
    "complex": (PHOTO + 0j, "holds torch.complex64; give its real part"),
    "float8": (
        PHOTO.to(torch.float8_e4m3fn),
        "holds torch.float8_e4m3fn; convert it to torch.float32 with values in [0, 1]",
    ),
}


@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor_that_is_no_picture_is_refused(name: str, tmp_path: Path) -> None:
    tensor, words = TENSORS[name]
    uses: list[tuple[str, Callable[[], object]]] = [
        ("the tensor", work(content=tensor)),
        ("the tensor", work(style=tensor)),
        ("the tensor", work(init=tensor)),
        ("the tensor", work(style=Style(PAINTING, mask=tensor))),
        ("the tensor", lambda: Objective(Cells(), Error(), content=tensor)),
        ("the image", lambda: save_image(tensor, tmp_path / "x.png")),
    ]
    for subject, use in uses:
        with pytest.raises(TypeError, match=f"^{re.escape(f'{subject} {words}')}$"):
            use()


def test_what_is_no_tensor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"^save_image takes a tensor or a PIL image, received str; "):
        save_image("x", tmp_path / "x.png")  # type: ignore[arg-type]
    with pytest.raises(
        TypeError, match=r"^an image is a floating \(B, 3, H, W\) tensor in \[0, 1\], received 0; load_i"
    ):
        FeatureExtractor(layers=["relu1_1"])(0, ["relu1_1"])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^the image is a \(B, 3, H, W\) tensor in \[0, 1\], received 'x'; load_image"):
        Objective(Cells(), Error(), content=PHOTO).evaluate("x")  # type: ignore[arg-type]


# What is right is tried as little as can be


def test_what_the_package_defines_is_not_tried() -> None:
    shapes: list[tuple[int, ...]] = []

    class Seen(Cells):
        def forward(self, image: Tensor, layers: Any) -> Any:
            shapes.append(tuple(image.shape[2:]))
            return super().forward(image, layers)

    plan(PHOTO, PAINTING, losses=Error(), encoder=Seen(), size=64, schedule="single")
    assert shapes
    assert max(height * width for height, width in shapes) <= 16 * 24
    before = torch.get_rng_state()
    plan(PHOTO, PAINTING, size=64, schedule="fine")
    assert torch.equal(torch.get_rng_state(), before)


def test_an_encoder_elsewhere_is_copied_and_stays_where_it_is() -> None:
    encoder = Cells()
    assert plan(PHOTO, PAINTING, losses=Error(), encoder=encoder, size=64, device="cpu").stages[-1].encoder is encoder
    with torch.device("cpu"):
        from neuralstyle.painting.stages import encoder_on

        there: Any = encoder_on(encoder, torch.device("meta"))
    assert there is not encoder
    assert there.filters.is_meta
    assert not encoder.filters.is_meta
    encoder.lock = threading.Lock()  # type: ignore[assignment]
    with pytest.raises(
        ValueError, match=r"^Cells is not on 'meta', and it cannot be copied there .*move it with .to\('me"
    ):
        encoder_on(encoder, torch.device("meta"))
