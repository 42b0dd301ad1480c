"""check_loss: checks that a loss keeps the rules that masks, regions, tiles, batches and state files depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neuralstyle.losses import Loss, PointwiseLoss, StatisticLoss
from neuralstyle.losses.base import check_attributes, constant_weight
from neuralstyle.losses.layers import layer_tuple
from neuralstyle.machine.surroundings import plain_torch
from neuralstyle.testing.description import check_description
from neuralstyle.testing.pictures import check_pictures
from neuralstyle.testing.stand_in import StandIn
from neuralstyle.testing.tools import difference, global_random_numbers, leaves, noise, one_line

TOLERANCE = 1e-7  # of sums in double precision, relative
GRADIENT_TOLERANCE = 1e-3  # of differences of values, relative
STEP = 1e-6  # of those differences
CORE = 8  # positions on each side of the piece that is cut out to find the reach of an error
LONGEST_REACH = 14  # in positions; the largest reach that is searched for


@plain_torch()
def check_loss(loss: Loss, *, channels: int | Mapping[str, int] = 4, size: tuple[int, int] = (12, 10)) -> None:
    """Check that a loss keeps the rules, on small random maps and pictures.

    The rules of all losses: ``layers`` and ``reference`` are set; the value is a finite scalar of the features' dtype
    and depends on the features alone; its gradient exists, is its derivative, and is finite where features are 0, do
    not vary, or equal their target; features and attributes do not change; a batch of two works; ``repr`` shows all
    settings; a copy, and a pickled copy, is the same loss; a picture in tiles has the value and gradient of the whole
    picture.

    The rules of a ``StatisticLoss``: ``statistic`` is a sum over positions, linear in the weight, that does not depend
    on their order; ``distance`` is a scalar. Of a ``PointwiseLoss``: ``error`` is (B, 1, h, w) and uses no neighbour
    beyond ``reach``. Of both: no picture of a batch changes the value of another.

    Args:
        loss: an object such as ``MyLoss()``.
        channels: number of channels of the features, for all layers or by layer; layer "image" always has 3.
        size: height and width of the feature maps.

    Raises:
        TypeError: ``loss`` is not a loss.
        ValueError: a rule is broken; the message gives, in one line, the class, the result, and what to do.

    Example:
        ```python
        from neuralstyle import StatisticLoss
        from neuralstyle.testing import check_loss

        class Means(StatisticLoss):
            layers, reference = ("relu2_1", "relu3_1"), "style"
            def statistic(self, x, weight):
                return (x * weight).sum(2)
            def distance(self, actual, target):
                return (actual - target).square().mean()

        check_loss(Means())
        ```

    """
    if isinstance(loss, type) and issubclass(loss, Loss):
        raise TypeError(f"check_loss takes an object such as {loss.__name__}(), received the class")
    if not isinstance(loss, Loss):
        raise TypeError(f"check_loss takes an object of a class derived from Loss, received {type(loss).__name__}")
    check_attributes(loss)
    layers = layer_tuple(loss.layers)
    channels_of = {layer: 3 if layer == "image" else _channels(channels, layer) for layer in layers}
    check_description(loss)
    if loss.joint:
        _check_maps(loss, _Maps(loss, channels_of, size))
    else:
        for number in dict.fromkeys(channels_of.values()):
            _check_maps(loss, _Maps(loss, {"any": number}, size))
    check_pictures(loss, StandIn(layers, channels_of, by_vgg=loss.joint))


def _channels(channels: int | Mapping[str, int], layer: str) -> int:
    if isinstance(channels, int):
        return channels
    if layer not in channels:
        raise ValueError(f"channels names no number for layer {layer!r}; give one for each of the loss's layers")
    return channels[layer]


@dataclass(frozen=True)
class _Maps:
    """Makes random features for a loss: a map, or a dict of maps for a joint one."""

    loss: Loss
    channels: dict[str, int]
    size: tuple[int, int]

    def features(self, batch: int, seed: int, dtype: torch.dtype, size: tuple[int, int] | None = None) -> Any:
        """Return random features (batch, C, h, w)."""
        height, width = size or self.size
        if self.loss.joint:
            stand_in = StandIn(tuple(self.channels), self.channels, by_vgg=True)
            side = stand_in.stride
            picture = noise(batch, 3, 4 * side + height, 4 * side + width, seed=seed)
            return {layer: maps.to(dtype) for layer, maps in stand_in(picture, self.channels).items()}
        (number,) = self.channels.values()
        return noise(batch, number, height, width, seed=seed, dtype=dtype)

    def target(self, batch: int, dtype: torch.dtype) -> Any:
        """Return a target: maps of another size for a style, None for a regulariser."""
        if self.loss.reference is None:
            return None
        height, width = self.size
        other = (max(height - 3, 1), width + 4) if self.loss.reference == "style" else None
        return self.features(batch, 1, dtype, other)

    def pair(self, batch: int = 1, dtype: torch.dtype = torch.float64, target_batch: int | None = None) -> Any:
        """Return features and a target."""
        return self.features(batch, 0, dtype), self.target(target_batch or batch, dtype)


def _check_maps(loss: Loss, maps: _Maps) -> None:
    if isinstance(loss, StatisticLoss):
        _check_statistic(loss, maps)
    elif isinstance(loss, PointwiseLoss):
        _check_error(loss, maps)
    _check_value(loss, maps)
    _check_gradient(loss, maps)
    _check_flat_maps(loss, maps)
    _check_batch(loss, maps)
    if isinstance(loss, PointwiseLoss):
        _check_reach(loss, maps)


def _call(loss: Loss, method: str, *args: Any) -> Any:
    """Call a method of the loss, and check that it does not change its arguments."""
    given = [each for argument in args for each in leaves(argument)]
    before = [each.detach().clone() for each in given]
    try:
        result = getattr(loss, method)(*args)
    except Exception as error:  # user code may raise anything
        shapes = " and ".join(map(_shape, given))
        advice = "; make constants with x.new_tensor(...) or .to(x)" if "dtype" in str(error) else ""
        raise ValueError(
            f"{_name(loss)}.{method} fails for {shapes} of {given[0].dtype}: {one_line(error)}{advice}"
        ) from error
    if not all(map(torch.equal, before, given)):
        raise ValueError(f"{_name(loss)}.{method} changes its arguments in place; compute with a copy")
    return result


def _forward(loss: Loss, x: Any, target: Any) -> Tensor:
    value = _call(loss, "forward", x, target)
    _check_scalar(loss, "forward", value)
    return value  # type: ignore[no-any-return]


def _check_scalar(loss: Loss, method: str, value: object) -> None:
    if not isinstance(value, Tensor):
        raise ValueError(f"{_name(loss)}.{method} returns {type(value).__name__}; return a tensor, computed from x")
    if value.shape != ():
        raise ValueError(
            f"{_name(loss)}.{method} returns the shape {_shape(value)}; return a scalar, (), such as the mean"
        )


def _check_statistic(loss: StatisticLoss, maps: _Maps) -> None:
    x, target = maps.pair(2, target_batch=1)
    positions = x.flatten(2)
    count = positions.shape[2]
    a, b = (noise(2, 1, count, seed=seed) for seed in (2, 3))
    first = _call(loss, "statistic", positions, a)
    is_number = isinstance(first, Tensor) and (first.is_floating_point() or first.is_complex())
    if not is_number or first.shape[:1] != (2,):
        what = f"the shape {_shape(first)}" if isinstance(first, Tensor) else type(first).__name__
        what = what if is_number or not isinstance(first, Tensor) else f"a tensor of {first.dtype}"
        raise ValueError(
            f"{_name(loss)}.statistic returns {what} for features {_shape(positions)}; return a tensor (2, ...), a sum "
            "over the positions of each picture of the batch, such as (x * weight).sum(2)"
        )
    expected = 2 * first + _call(loss, "statistic", positions, b) / 2
    off = difference(_call(loss, "statistic", positions, 2 * a + b / 2), expected)
    if off > TOLERANCE:
        raise ValueError(
            f"{_name(loss)}.statistic is not linear in the weight: for the weight 2 a + b / 2 it differs by {off:.0%} "
            "from 2 statistic(x, a) + statistic(x, b) / 2; return the weighted sum over positions, such as "
            "(x * weight).sum(2), and leave the division by the sum of the weights to the objective"
        )
    half = count // 2
    parts = [_call(loss, "statistic", positions[..., place], a[..., place]) for place in _halves(half)]
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    shuffled = _call(loss, "statistic", positions[..., order], a[..., order])
    others = {"with those of two halves of the positions added up": sum(parts), "in another order": shuffled}
    for what, other in others.items():
        off = difference(other, first)
        if off > TOLERANCE:
            raise ValueError(
                f"{_name(loss)}.statistic is no sum over positions: {what} it differs by {off:.0%}; compute each "
                "summand from one position alone, or derive from Loss, which sees whole maps"
            )
    one = constant_weight(positions)
    expanded, full = (_call(loss, "statistic", positions, weight) for weight in (one, one.contiguous()))
    if difference(expanded, full) > TOLERANCE:
        raise ValueError(
            f"{_name(loss)}.statistic differs between a weight of ones and the same weight expanded from a single "
            "number in memory; do not change the weight in place or use its strides"
        )
    mean = loss.mean_statistic(x)
    _check_scalar(loss, "distance", _call(loss, "distance", mean, target if target is None else first[:1]))


def _halves(half: int) -> tuple[slice, slice]:
    return slice(None, half), slice(half, None)


def _check_error(loss: PointwiseLoss, maps: _Maps) -> None:
    x, target = maps.pair(2, target_batch=1 if loss.reference == "style" else 2)
    error = _call(loss, "error", x, target)
    expected = (2, 1, *x.shape[2:])
    if not isinstance(error, Tensor) or error.shape != expected:
        what = f"the shape {_shape(error)}" if isinstance(error, Tensor) else type(error).__name__
        raise ValueError(
            f"{_name(loss)}.error returns {what} for features {_shape(x)}; return one number for each position, "
            f"{expected}, such as (x - target).square().mean(1, keepdim=True)"
        )


def _check_reach(loss: PointwiseLoss, maps: _Maps) -> None:
    longest = max(LONGEST_REACH, loss.reach + CORE)
    side = CORE + 2 * longest
    large = _Maps(loss, maps.channels, (side, side))
    x, target = large.pair()
    core = slice(longest, longest + CORE)
    whole = _call(loss, "error", x, target)[..., core, core]

    def holds(reach: int) -> bool:
        view = slice(longest - reach, longest + CORE + reach)
        piece = target if loss.reference in ("style", None) else target[..., view, view]
        error = _call(loss, "error", x[..., view, view], piece)
        inner = slice(reach, reach + CORE)
        return error.shape[2:] == (CORE + 2 * reach,) * 2 and difference(error[..., inner, inner], whole) < TOLERANCE

    if holds(loss.reach):
        return
    enough = next((reach for reach in range(loss.reach + 1, longest) if holds(reach)), None)
    advice = (
        "if it uses the whole map, derive it from Loss, which sees whole maps"
        if enough is None
        else f"the error agrees with a reach of {enough}; set reach = {enough}"
    )
    raise ValueError(
        f"{_name(loss)}.error uses positions beyond its reach of {loss.reach}: a piece of the map with {loss.reach} "
        f"positions around it has another error than in the whole map; {advice}"
    )


def _check_value(loss: Loss, maps: _Maps) -> None:
    for dtype in (torch.float32, torch.float64):
        x, target = maps.pair(dtype=dtype)
        attributes = repr(loss)
        with global_random_numbers(0) as drawn:
            first = _forward(loss, x, target)
        with global_random_numbers(1):
            second = _forward(loss, x, target)
        if drawn:
            raise ValueError(
                f"{_name(loss)} draws from the global random numbers of {' and '.join(drawn)}; draw from a "
                "torch.Generator with a seed of the loss, the same at every evaluation"
            )
        if first.dtype != dtype:
            raise ValueError(
                f"{_name(loss)} returns {first.dtype} for features of {dtype}; keep their dtype, and make constants "
                "with x.new_tensor(...) or .to(x)"
            )
        if not torch.isfinite(first):
            raise ValueError(f"{_name(loss)} returns {first.item()} for random features in [0, 1]; check its formula")
        if not torch.equal(first, second):
            raise ValueError(
                f"{_name(loss)} returns {first.item():.6g} and then {second.item():.6g} for the same features; make "
                "it depend on the features alone"
            )
        if repr(loss) != attributes:
            raise ValueError(
                f"{_name(loss)} changes while it is evaluated, from {attributes} to {loss!r}; a loss is a "
                "description and keeps nothing"
            )


def _check_gradient(loss: Loss, maps: _Maps) -> None:
    x, target = maps.pair()
    value, gradient = _differentiate(loss, x, target, "random features")
    directions = [noise(*each.shape, seed=5 + index) - 0.5 for index, each in enumerate(leaves(x))]
    with torch.no_grad():
        above, below = (_forward(loss, _moved(x, directions, step), target) for step in (STEP, -STEP))
    found = sum(float((each * direction).sum()) for each, direction in zip(gradient, directions, strict=True))
    expected = float(above - below) / (2 * STEP)
    steepness = sum(float(each.square().sum()) for each in gradient) ** 0.5
    if abs(found - expected) > GRADIENT_TOLERANCE * max(steepness, abs(expected)) + 1e-8 * abs(value):
        raise ValueError(
            f"the gradient of {_name(loss)} is not the derivative of its value: {found:.4g} along a direction in which "
            f"the value changes by {expected:.4g}; do not detach or round anything that depends on x"
        )


def _moved(x: Any, directions: list[Tensor], step: float) -> Any:
    moved = [each + step * direction for each, direction in zip(leaves(x), directions, strict=True)]
    return dict(zip(x, moved, strict=True)) if isinstance(x, dict) else moved[0]


def _differentiate(loss: Loss, x: Any, target: Any, where: str) -> tuple[float, list[Tensor]]:
    """Return value and gradient, after a check that both are finite and the gradient exists."""
    own = [each.detach().clone().requires_grad_() for each in leaves(x)]
    value = _forward(loss, dict(zip(x, own, strict=True)) if isinstance(x, dict) else own[0], target)
    if not value.requires_grad:
        raise ValueError(
            f"{_name(loss)} has no gradient; compute its value from x with differentiable operations of torch, without "
            "detach(), item() or numpy"
        )
    gradient = torch.autograd.grad(value, own, allow_unused=True, materialize_grads=True)
    if not torch.isfinite(value) or not all(bool(torch.isfinite(each).all()) for each in gradient):
        what = "gradient" if torch.isfinite(value) else "value"
        raise ValueError(
            f"the {what} of {_name(loss)} is not finite for {where}; add a small number under roots, logarithms and in "
            "divisors"
        )
    return value.item(), list(gradient)


def _check_flat_maps(loss: Loss, maps: _Maps) -> None:
    def filled(like: Any, level: float) -> Any:
        flat = [torch.full_like(each, level) for each in leaves(like)]
        return dict(zip(like, flat, strict=True)) if isinstance(like, dict) else flat[0] if flat else None

    x, target = maps.pair()
    for level in (0.0, 0.7):
        flat = filled(x, level)
        _differentiate(loss, flat, target, f"features that are all {level:g}")
        _differentiate(loss, flat, filled(target, 0.0), f"features that are all {level:g} and a target that is all 0")
    if loss.reference is not None:
        _differentiate(loss, x, filled(target, 0.0), "a target that is all 0")
        _differentiate(loss, x, x, "features that equal their target")


def _check_batch(loss: Loss, maps: _Maps) -> None:
    if not isinstance(loss, StatisticLoss | PointwiseLoss):
        _forward(loss, *maps.pair(2))
        return
    x, target = maps.pair(2, target_batch=1 if loss.reference == "style" else 2)
    value = _forward(loss, x, target)
    targets = [target] * 2 if target is None or len(target) == 1 else [target[:1], target[1:]]
    total = _forward(loss, x[:1], targets[0]) + _forward(loss, x[1:], targets[1])
    if min(difference(value, total), difference(value, total / 2)) > TOLERANCE:
        raise ValueError(
            f"{_name(loss)} is {value.item():.6g} for a batch of two pictures, neither the sum nor the mean of its "
            f"values for each, {total.item():.6g} and {total.item() / 2:.6g}; do not mix the pictures of a batch"
        )


def _name(loss: Loss) -> str:
    return type(loss).__name__


def _shape(tensor: object) -> str:
    return str(tuple(tensor.shape)) if isinstance(tensor, Tensor) else repr(tensor)
