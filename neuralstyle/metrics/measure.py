"""Measures as functions that give a number, and as tensors that torch differentiates."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, cast

import torch
from torch import Tensor
from typing_extensions import ParamSpec

from neuralstyle.machine.surroundings import plain_torch

P = ParamSpec("P")

Measured: TypeAlias = Tensor
"""What a measure gives: a float if it is called, and a tensor () with its gradient from ``measure.tensor(...)``."""


class Measure(Protocol[P]):
    """A measure: called it gives a float, and ``tensor`` gives the same number as a tensor with its gradient.

    Example:
        ```python
        from neuralstyle import load_image, samples
        from neuralstyle.metrics import structure

        photo = load_image(samples.photo(), 96)
        picture = photo.clone().requires_grad_()
        structure.tensor(picture, photo).backward()  # into picture.grad
        assert structure(picture, photo) > 0.999
        ```

    """

    __name__: str

    def __call__(self, *arguments: P.args, **options: P.kwargs) -> float:
        """Return the number."""
        ...

    def tensor(self, *arguments: P.args, **options: P.kwargs) -> Tensor:
        """Return the number as a tensor (); its gradient flows to a picture that is a tensor and requires it."""
        ...


def measure(function: Callable[P, Measured]) -> Measure[P]:
    """Make a measure of a function that computes its tensor."""

    @functools.wraps(function)
    @plain_torch()
    def value(*arguments: P.args, **options: P.kwargs) -> float:
        with torch.no_grad():
            return float(function(*arguments, **options))

    found: Any = value
    found.tensor = plain_torch()(function)
    found.__signature__ = inspect.signature(function).replace(return_annotation="float")
    return cast("Measure[P]", found)


def root(x: Tensor) -> Tensor:
    """The square root of what is not negative; its derivative at 0 is 0 instead of infinite."""
    inside = x > 0
    return torch.where(inside, torch.where(inside, x, torch.ones_like(x)).sqrt(), torch.zeros_like(x))
