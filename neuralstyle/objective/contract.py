"""Checks of the contract of losses and pictures; each error names the class, what was received, and the rule."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from neuralstyle._errors import brief
from neuralstyle.encoders.base import Layer
from neuralstyle.images.tensors import FLOATS
from neuralstyle.losses import Loss, PointwiseLoss, StatisticLoss

SAMPLE_POSITIONS = 8
MIN_TOLERANCE = 0.01  # relative; a statistic that divides by its weights is off by 1


def check_picture(image: Any) -> None:
    """Check that a picture is a dense floating (B, 3, H, W) tensor on a device that holds values.

    Raises:
        TypeError: the picture is not a tensor.
        ValueError: a tensor of another shape, dtype, layout or device.

    """
    if not isinstance(image, Tensor):
        raise TypeError(
            f"the image is a (B, 3, H, W) tensor in [0, 1], received {brief(image)}; load_image() makes one"
        )
    if image.layout != torch.strided:
        raise ValueError(f"the image is a dense tensor, received one of layout {image.layout}; call its to_dense()")
    if image.is_meta:
        raise ValueError("the image is on the device 'meta', where tensors hold no numbers; make it on a real device")
    if image.dtype not in FLOATS:
        raise ValueError(
            f"the image is a floating tensor in [0, 1], received {image.dtype}; convert it, for example with .float()"
        )
    if image.ndim != 4 or image.shape[1] != 3 or not image.numel():
        raise ValueError(f"the image is a (B, 3, H, W) tensor in [0, 1], received the shape {tuple(image.shape)}")


def check_error(loss: PointwiseLoss, error: Any, features: Tensor) -> Tensor:
    """Check that a pointwise loss gives one error for each position of the features, and return the errors.

    Raises:
        ValueError: errors of another shape.

    """
    expected = (features.shape[0], 1, *features.shape[2:])
    if not isinstance(error, Tensor) or not error.is_floating_point() or error.shape != expected:
        raise ValueError(
            f"{type(loss).__name__}.error returns one error for each position, (B, 1, h, w) = {expected} for features "
            f"of the shape {tuple(features.shape)}, received {_shape(error)}; add up or average over the channels "
            "alone, for example with .mean(1, keepdim=True)"
        )
    return error


def check_scalar(loss: Loss, method: str, value: Any) -> Tensor:
    """Check that the value of a loss is one number, and return it.

    Raises:
        ValueError: another value.

    """
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.ndim:
        raise ValueError(
            f"{type(loss).__name__}.{method} returns one number, a floating tensor of the shape (), received "
            f"{_shape(value)}; add it up or average it, for example with .mean()"
        )
    return value


def check_gradient(loss: Loss, method: str, value: Tensor) -> None:
    """Check that the value of a loss can be differentiated; one that is 0 need not.

    Raises:
        ValueError: it has no gradient, so that it would change nothing.

    """
    if not value.requires_grad and bool(value.detach().count_nonzero()):
        raise ValueError(
            f"{type(loss).__name__}.{method} has no gradient: it is {float(value.detach().sum()):.4g} whatever the "
            "picture, and would change nothing; compute it from x with operations of torch, without no_grad(), "
            "detach(), item() or numpy"
        )


def check_linear(loss: StatisticLoss, layer: Layer, like: Tensor) -> None:
    """Check on a few positions that a statistic is a sum over them, linear in the weight, for each picture of a batch.

    Args:
        loss: the loss to check.
        layer: the layer whose number of channels x has.
        like: a tensor of the features' dtype and device.

    Raises:
        ValueError: the statistic is not linear in the weight, or not a floating tensor.

    """
    generator = torch.Generator().manual_seed(0)
    shape = (2, layer.channels, SAMPLE_POSITIONS)
    x = torch.rand(shape, generator=generator, dtype=torch.float32).to(like)
    before = x.clone()
    # Sixteenths: their sums are exact in every dtype.
    a, b = torch.randint(1, 17, (2, 2, 1, SAMPLE_POSITIONS), generator=generator, dtype=torch.int64).to(like) / 16
    half = slice(None, SAMPLE_POSITIONS // 2), slice(SAMPLE_POSITIONS // 2, None)
    with torch.no_grad(), forked_random_numbers(like):
        both, first, second = (_statistic(loss, x, weight) for weight in (a + b, a, b))
        if not torch.equal(x, before):
            raise ValueError(
                f"{type(loss).__name__}.statistic changes in place the features that it is given, at layer "
                f"{layer.name!r}; compute with a copy"
            )
        parts = [_statistic(loss, x[..., place], a[..., place]) for place in half]
    tolerance = tolerance_of(x, both)
    off = difference(both, first + second)
    if off > tolerance:
        raise ValueError(
            f"{type(loss).__name__}.statistic is not linear in the weight: for weights a and b, "
            f"statistic(x, a + b) differs from statistic(x, a) + statistic(x, b) by {off:.0%} at layer "
            f"{layer.name!r}; return a sum over positions, such as (x * weight).sum(2), and leave the division by the "
            "weights to the objective"
        )
    off = difference(first, parts[0] + parts[1])
    if off > tolerance:
        raise ValueError(
            f"{type(loss).__name__}.statistic is no sum over positions: those of two halves of the positions add up to "
            f"another one, by {off:.0%} at layer {layer.name!r}; compute each summand from one position alone, or "
            "derive from Loss, which sees whole maps"
        )


def forked_random_numbers(like: Tensor) -> AbstractContextManager[None]:
    """A context that puts torch's global random numbers back at its end, on the CPU and the device of ``like``."""
    return torch.random.fork_rng([like.device] if like.device.type == "cuda" else [])


def tolerance_of(*tensors: Tensor) -> float:
    """The relative difference that counts as rounding; what breaks a rule is off by far more."""
    return max(MIN_TOLERANCE, *(math.sqrt(torch.finfo(each.dtype).eps) for each in tensors))


def difference(one: Tensor, other: Tensor) -> float:
    """The largest difference, relative to the largest number in either; 0 where that is not finite, or nothing."""
    scale = max(_largest(one), _largest(other))
    return _largest(one - other) / scale if 0 < scale < math.inf else 0.0


def _statistic(loss: StatisticLoss, x: Tensor, weight: Tensor) -> Tensor:
    value: Any = loss.statistic(x, weight)
    is_tensor = isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())
    if not is_tensor or value.shape[:1] != x.shape[:1] or not value.numel():
        raise ValueError(
            f"{type(loss).__name__}.statistic returns a floating tensor (B, ...), received {_shape(value)} for "
            f"features (B, C, N) = {tuple(x.shape)}; return one sum over positions for each picture, such as "
            "(x * weight).sum(2)"
        )
    return value  # type: ignore[no-any-return]


def _largest(tensor: Tensor) -> float:
    """The largest absolute value."""
    return float(torch.linalg.vector_norm(tensor.detach(), math.inf)) if tensor.numel() else 0.0


def _shape(value: Any) -> str:
    if not isinstance(value, Tensor):
        return brief(value)
    shape = f"the shape {tuple(value.shape)}"
    return shape if value.is_floating_point() else f"a tensor of {value.dtype} and {shape}"
