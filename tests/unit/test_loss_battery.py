"""What each loss of the package has to do. A new one is in here as soon as it is in ``losses.__all__``."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import torch
from torch import Tensor

from neuralstyle import FeatureExtractor, Objective, Style, losses
from neuralstyle.checkpoint import describe
from neuralstyle.losses import *  # noqa: F403  what repr() names
from neuralstyle.losses import Loss, PointwiseLoss, StatisticLoss
from neuralstyle.losses.tools import nearest
from neuralstyle.testing import check_loss

Noise = Callable[..., Tensor]
EXPORTED = {name: getattr(losses, name) for name in losses.__all__}
KINDS = {
    name: kind
    for name, kind in EXPORTED.items()
    if isinstance(kind, type) and issubclass(kind, Loss) and kind not in (Loss, PointwiseLoss, StatisticLoss)
    if not kind.joint  # tests/unit/test_hypercolumns.py
}
SMALL: dict[str, dict[str, Any]] = {  # what fits maps of a few positions
    "GhostLoss": {"empty": 1, "busy": 2},
    "LaplacianLoss": {"pool": 2},
    "LongRangeLoss": {"shifts": (1, 2)},
}
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "ContentLoss": [{"reduction": "sum"}],
    "ContextualLoss": [{"bandwidth": 0.1}, {"samples": 7, "seed": 3}],
    "GhostLoss": [{"busy": 3}],
    "GramStyleLoss": [{"normalization": "relative"}],
    "LaplacianLoss": [{"pool": 1}, {"pool": 4}, {"smooth": True}],
    "MMDLoss": [{"bandwidth": 0.3, "frequencies": 16}],
    "MRFLoss": [{"samples": 7, "seed": 3}],
    "NearestNeighborLoss": [{"samples": None}, {"samples": 7, "seed": 3}, {"centered": True}],
    "RelaxedEMDLoss": [{"samples": 7, "seed": 3}, {"metric": "euclidean"}],
    "SelfSimilarityLoss": [{"samples": 7, "seed": 3}],
    "SlicedWassersteinLoss": [{"directions": 16, "seed": 1}],
    "TotalVariationLoss": [{"power": 1.5}, {"reduction": "sum"}],
    "WassersteinLoss": [{"normalization": "channels"}],
}
CASES: dict[str, Any] = {}
for _name, _kind in KINDS.items():
    for _options in [{}, *OPTIONS.get(_name, [])]:
        _given = {**SMALL.get(_name, {}), **_options}
        CASES[", ".join([_name, *(f"{key}={value}" for key, value in _options.items())])] = _kind("image", **_given)
# A search among some of the style's positions may miss the very same one.
INCOMPLETE = [name for name in CASES if name.startswith(("MRFLoss, samples", "NearestNeighborLoss, samples=7"))]


def each(kind: type[Loss], but: Any = ()) -> pytest.MarkDecorator:
    chosen = {name: loss for name, loss in CASES.items() if isinstance(loss, kind) and name not in but}
    return pytest.mark.parametrize("loss", chosen.values(), ids=chosen)


def target_for(loss: Loss, target: Tensor) -> Tensor | None:
    return None if loss.reference is None else target


def away(loss: Loss, x: Tensor) -> Tensor:
    """Where the loss is positive: outside of [0, 1] for a loss that is zero inside; strong, where size counts."""
    return {"RangeLoss": 3 * x - 1, "GhostLoss": 10 * x}.get(type(loss).__name__, x)


def test_losses_are_found() -> None:
    assert {kind().reference for kind in KINDS.values()} == {"style", "content", "previous", None}
    assert set(OPTIONS) | set(SMALL) <= set(KINDS)


@pytest.mark.parametrize("loss", [*CASES.values(), *(kind() for kind in KINDS.values())], ids=repr)
def test_loss_keeps_the_rules(loss: Loss) -> None:
    check_loss(loss)


@each(Loss)
def test_gradient_is_the_derivative(loss: Loss, noise: Noise) -> None:
    x, target = away(loss, noise(2, 3, 4, 5, dtype=torch.float64)), noise(2, 3, 3, 6, seed=1, dtype=torch.float64)
    aligned = loss.reference in ("content", "previous")
    target = noise(2, 3, 4, 5, seed=1, dtype=torch.float64) if aligned else target
    assert torch.autograd.gradcheck(lambda x: loss.forward(x, target_for(loss, target)), x.requires_grad_())


@each(Loss, but=INCOMPLETE)
def test_a_copy_of_the_target_has_the_least_loss(loss: Loss, noise: Noise) -> None:
    x, other = noise(2, 1, 3, 6, 5, dtype=torch.float64)
    if loss.reference is None:
        x = torch.full_like(x, 0.3)
    x.requires_grad_()
    copied = loss.forward(x, target_for(loss, x.detach()))
    assert copied.item() == pytest.approx(0, abs=1e-9)
    assert float(torch.autograd.grad(copied, x)[0].abs().max()) < 1e-6
    assert loss.forward(away(loss, other), target_for(loss, x.detach())) > 1e-3


@each(Loss)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_value_and_gradient_are_of_the_features_dtype(loss: Loss, noise: Noise, dtype: torch.dtype) -> None:
    x, target = noise(2, 1, 3, 6, 5, dtype=dtype)
    value = loss.forward(x.requires_grad_(), target_for(loss, target))
    assert (value.dtype, value.shape) == (dtype, ())
    assert torch.autograd.grad(value, x)[0].dtype == dtype
    exact = loss.forward(x.detach().double(), target_for(loss, target.double()))
    assert value.item() == pytest.approx(exact.item(), rel=1e-3)


@each(Loss)
def test_loss_of_a_batch_is_the_mean_of_its_pictures(loss: Loss, noise: Noise) -> None:
    x, target = noise(2, 3, 3, 6, 5, dtype=torch.float64)
    singles = [loss.forward(a[None], target_for(loss, b[None])) for a, b in zip(x, target, strict=True)]
    torch.testing.assert_close(loss.forward(x, target_for(loss, target)), sum(singles) / 3)
    one = sum(loss.forward(a[None], target_for(loss, target[:1])) for a in x)
    torch.testing.assert_close(loss.forward(x, target_for(loss, target[:1])), one / 3)


WITHOUT_SCALE = [
    "TemporalLoss",  # in the paper's units, those of pixels
    "GhostLoss",
    "GhostLoss, busy=3",
    "GramStyleLoss",
    "NearestNeighborLoss, centered=True",
    "RelaxedEMDLoss, metric=euclidean",
    "WassersteinLoss, normalization=channels",
]


@each(Loss, but=[*WITHOUT_SCALE, *(name for name in CASES if name.startswith("ContentLoss"))])
def test_a_result_without_features_costs_about_one_for_any_size_and_contrast(loss: Loss, noise: Noise) -> None:
    if loss.reference is None:
        return
    for size, contrast in ((8, 1.0), (24, 1.0), (24, 0.1), (24, 10.0)):
        target = contrast * noise(1, 3, size, size, dtype=torch.float64)
        value = loss.forward(0 * target, target)
        assert 0.4 < value < 1.6


@each(Loss)
def test_steps_down_the_gradient_lower_the_loss(loss: Loss, noise: Noise) -> None:
    x, target = away(loss, noise(1, 3, 8, 8)), noise(1, 3, 8, 8, seed=1).square()
    x.requires_grad_()
    optimizer = torch.optim.Adam([x], lr=0.02)
    values = []
    for _ in range(40):
        optimizer.zero_grad()
        value = loss.forward(x, target_for(loss, target))
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.7 * values[0]


# Descriptions


@each(Loss)
def test_a_description_survives_as_json_and_as_text(loss: Any) -> None:
    fields = {field.name: getattr(loss, field.name) for field in dataclasses.fields(loss) if field.init}
    assert type(loss)(**json.loads(json.dumps(fields))) == loss
    assert eval(describe(loss)) == loss
    assert eval(repr(3 * loss + loss)) == 3 * loss + loss
    assert len({loss, copy.deepcopy(loss)}) == 1
    with pytest.raises(FrozenInstanceError):
        loss.layers = ("relu1_1",)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_layers_are_kept_as_a_tuple_and_their_weights_checked(kind: Any) -> None:
    layers = ["relu1_1", "relu2_1"]
    loss = kind(layers, layer_weights=[1, 2])
    layers.append("relu3_1")
    assert loss == kind(("relu1_1", "relu2_1"), layer_weights=(1.0, 2.0))
    assert kind("relu1_1") == kind(["relu1_1"]) != kind("relu1_1", layer_weights=(2,))
    with pytest.raises(ValueError, match=r"2 layers .* and 1 layer_weights"):
        kind(("relu1_1", "relu2_1"), layer_weights=(1,))
    with pytest.raises(ValueError, match="one or more names"):
        kind(())


COUNTS = [
    (kind, option)
    for kind in KINDS.values()
    for option in ("samples", "directions", "frequencies", "pool")
    if option in kind.__dataclass_fields__
]
SEEDED = [kind for kind in KINDS.values() if "seed" in kind.__dataclass_fields__]


@pytest.mark.parametrize(("kind", "option"), COUNTS, ids=lambda value: getattr(value, "__name__", value))
@pytest.mark.parametrize("value", [0, -3, 2.5, "7", True])
def test_options_that_are_no_counts_are_refused(kind: Any, option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"{option} of {kind.__name__} is a whole number of at least 1.*{value!r}"):
        kind(**{option: value})


@pytest.mark.parametrize("kind", SEEDED)
@pytest.mark.parametrize("seed", [-1, 0.5, None, True])
def test_seeds_that_are_none_are_refused(kind: Any, seed: Any) -> None:
    with pytest.raises(ValueError, match=f"the seed of {kind.__name__} is a whole number of at least 0"):
        kind(seed=seed)


@pytest.mark.parametrize("kind", SEEDED)
def test_another_seed_draws_others(kind: Any, noise: Noise) -> None:
    x, target = noise(2, 1, 3, 9, 8)
    options = {"samples": 40} if "samples" in kind.__dataclass_fields__ else {}
    first, second = (kind("image", **options, seed=seed).forward(x, target) for seed in (0, 1))
    assert first != second
    assert first == pytest.approx(second.item(), rel=0.7)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("MMDLoss", {"bandwidth": 0}, "bandwidth of MMDLoss is a finite number above 0, received 0"),
        (
            "ContextualLoss",
            {"bandwidth": float("nan")},
            "bandwidth of ContextualLoss is a finite number above 0, received nan",
        ),
        ("LongRangeLoss", {"shifts": ()}, "shifts of LongRangeLoss are whole numbers of at least 1"),
        ("LongRangeLoss", {"shifts": (2, 0)}, r"shifts of LongRangeLoss .*received \(2, 0\)"),
    ],
)
def test_wrong_options_are_refused(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KINDS[kind](**options)


# Statistics


@each(StatisticLoss)
def test_one_weight_for_all_positions_is_as_good_as_a_weight_for_each(loss: StatisticLoss, noise: Noise) -> None:
    x = noise(2, 3, 20, dtype=torch.float64).requires_grad_()
    one = torch.full((2, 1, 1), 0.3, dtype=torch.float64).expand(2, 1, 20)
    values = [loss.statistic(x, weight) for weight in (one, one.contiguous())]
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*(torch.autograd.grad(value.pow(3).sum(), x)[0] for value in values))


@each(StatisticLoss)
def test_a_mask_is_a_crop(loss: StatisticLoss, encoder64: FeatureExtractor, noise: Noise) -> None:
    image, style = noise(2, 1, 3, 20, 24, dtype=torch.float64)
    mask = torch.zeros(1, 20, 24, dtype=torch.float64)
    mask[..., 2:18, 5:23] = 1
    masked = Objective(encoder64, loss, styles=[Style(style, mask=mask)]).evaluate(image)
    cropped = Objective(encoder64, loss, styles=[style[..., 2:18, 5:23]]).evaluate(image)
    assert masked.loss == pytest.approx(cropped.loss, rel=1e-9)
    torch.testing.assert_close(masked.gradient, cropped.gradient)


# Whole maps


@each(Loss, but=INCOMPLETE)
def test_styles_of_another_size_compare(loss: Loss, noise: Noise) -> None:
    if loss.reference != "style":
        return
    x = noise(1, 3, 8, 9, dtype=torch.float64)
    tiled = loss.forward(x, x.tile(1, 1, 2, 2))
    # What looks at neighbours, or draws other positions of another picture, sees a difference; not a large one.
    local = "samples=7" in repr(loss) or type(loss).__name__ in ("LongRangeLoss", "ContextualLoss")
    assert tiled.item() == pytest.approx(0, abs=1e-9) or local
    assert tiled < loss.forward(1.5 * x.square(), x.tile(1, 1, 2, 2))


@each(Loss)
def test_pairs_are_compared_in_parts_without_a_difference(
    loss: Loss, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, target = noise(2, 2, 3, 6, 5, dtype=torch.float64)
    x.requires_grad_()
    whole = loss.forward(x, target_for(loss, target))
    for module in (nearest, losses.contextual):
        monkeypatch.setattr(module, "PAIRS_PER_CHUNK", 130)
    parts = loss.forward(x, target_for(loss, target))
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(torch.autograd.grad(parts, x)[0], torch.autograd.grad(whole, x)[0])
