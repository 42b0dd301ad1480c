"""Checks of the contract of losses and pictures; each error names the class, what was received, and the rule."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from neuralstyle.encoders.base import Layer
from neuralstyle.losses import Loss, PointwiseLoss, StatisticLoss

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
SAMPLE_POSITIONS = 16
MIN_LINEARITY_TOLERANCE = 0.01  # relative; a statistic that divides by its weights is off by 1


def check_picture(image: Any) -> None:
    """Check that a picture is a dense floating (B, 3, H, W) tensor on a device that holds values.

    Raises:
        TypeError: the picture is not a tensor.
        ValueError: a tensor of another shape, dtype, layout or device.

    """
    if not isinstance(image, Tensor):
        raise TypeError(
            f"the image is a (B, 3, H, W) tensor in [0, 1], received {_brief(image)}; load_image() makes one"
        )
    if image.layout != torch.strided:
        raise ValueError(f"the image is a dense tensor, received one of layout {image.layout}; call its to_dense()")
    if image.is_meta:
        raise ValueError("the image is on the device 'meta', where tensors hold no numbers; make it on a real device")
    if image.dtype not in DTYPES:
        raise ValueError(
            f"the image is a floating tensor in [0, 1], received {image.dtype}; convert it, for example with .float()"
        )
    if image.ndim != 4 or image.shape[1] != 3:
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
            f"{type(loss).__name__}.{method} returns one number, a tensor of the shape (), received {_shape(value)}; "
            "add it up or average it, for example with .mean()"
        )
    return value


def check_linear(loss: StatisticLoss, layer: Layer, like: Tensor) -> None:
    """Check on random positions that ``statistic(x, a + b)`` equals ``statistic(x, a) + statistic(x, b)``.

    Args:
        loss: the loss to check.
        layer: the layer whose number of channels x has.
        like: a tensor of the features' dtype and device.

    Raises:
        ValueError: the statistic is not linear in the weight, or not a floating tensor.

    """
    generator = torch.Generator().manual_seed(0)
    shape = (1, layer.channels, SAMPLE_POSITIONS)
    x = torch.rand(shape, generator=generator).to(like)
    # Multiples of 1/16, whose sums are exact in every dtype.
    a, b = (torch.randint(1, 17, (2, 1, 1, SAMPLE_POSITIONS), generator=generator) / 16).to(like)
    devices = [like.device] if like.device.type == "cuda" else []
    with torch.no_grad(), torch.random.fork_rng(devices):
        both, first, second = (_statistic(loss, x, weight) for weight in (a + b, a, b))
    scale, error = max(_largest(both), _largest(first)), _largest(both - first - second)
    tolerance = max(MIN_LINEARITY_TOLERANCE, max(torch.finfo(each.dtype).eps for each in (x, both)) ** 0.5)
    if math.isfinite(scale) and error > tolerance * scale:
        raise ValueError(
            f"{type(loss).__name__}.statistic is not linear in the weight: for weights a and b, "
            f"statistic(x, a + b) differs from statistic(x, a) + statistic(x, b) by {error / scale:.0%} at layer "
            f"{layer.name!r}; return a sum over positions, such as (x * weight).sum(2), and leave the division by the "
            "weights to the objective"
        )


def _statistic(loss: StatisticLoss, x: Tensor, weight: Tensor) -> Tensor:
    value: Any = loss.statistic(x, weight)
    if not isinstance(value, Tensor) or not (value.is_floating_point() or value.is_complex()):
        raise ValueError(
            f"{type(loss).__name__}.statistic returns a floating tensor (B, ...), received {_shape(value)}"
        )
    return value


def _largest(tensor: Tensor) -> float:
    """The largest absolute value."""
    return float(torch.linalg.vector_norm(tensor, math.inf)) if tensor.numel() else 0.0


def _shape(value: Any) -> str:
    if not isinstance(value, Tensor):
        return _brief(value)
    return f"the shape {tuple(value.shape)}" if value.is_floating_point() else f"a tensor of {value.dtype}"


def _brief(value: Any) -> str:
    """The beginning of an object's repr."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}... ({type(value).__name__})"
