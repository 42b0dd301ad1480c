"""The strategy for an ``optimizer=`` argument: a strategy, a name, or a function that makes an optimiser of torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from neuralstyle._errors import brief, is_word, unknown
from neuralstyle._words import RESULTS
from neuralstyle.optimizers.adam import Adam
from neuralstyle.optimizers.base import FromFactory, Optimizer, Strategy
from neuralstyle.optimizers.lbfgs import LBFGS

OPTIMIZERS: Mapping[str, Callable[[], Strategy]] = {"lbfgs": LBFGS, "adam": Adam}
"""Optimisers by name, with their default settings."""


def as_strategy(optimizer: Optimizer | str | None) -> Strategy:
    """Return the strategy for an ``optimizer=`` argument.

    Args:
        optimizer: a strategy such as ``LBFGS()``; a name, "lbfgs" or "adam"; a function (image tensor) ->
            ``torch.optim.Optimizer``; None: ``LBFGS()``.

    Raises:
        ValueError: an unknown name; the closest match is suggested.
        TypeError: another object; the message says what to give instead.

    Example:
        ```python
        import torch
        from neuralstyle import LBFGS
        from neuralstyle.optimizers import as_strategy

        assert as_strategy("lbfgs") == as_strategy(None) == LBFGS()
        as_strategy(lambda x: torch.optim.RMSprop([x], lr=0.01))
        ```

    """
    if optimizer is None:
        return LBFGS()
    if isinstance(optimizer, str):
        if optimizer not in OPTIMIZERS:
            raise unknown("optimizer", optimizer, OPTIMIZERS)
        return OPTIMIZERS[optimizer]()
    _check_is_object(optimizer)
    if hasattr(optimizer, "walk"):
        return optimizer
    if callable(optimizer):
        return FromFactory(optimizer)
    names = ", ".join(map(repr, OPTIMIZERS))
    raise TypeError(
        f"an optimizer is LBFGS(), Adam(), one of the names {names}, an object with a method walk, or a function of "
        f"the image tensor; received {brief(optimizer)}"
    )


def check_result(result: object) -> None:
    """Check a ``result=`` argument.

    Raises:
        ValueError: none of the words "best", "last" and "average"; the closest match is suggested.

    """
    if not is_word(result, RESULTS):
        raise unknown("result", result, RESULTS)


def _check_is_object(optimizer: object) -> None:
    """Refuse a class instead of its object, and an optimiser of torch, which already has its tensors."""
    if isinstance(optimizer, type) and issubclass(optimizer, torch.optim.Optimizer):
        home = "torch.optim." if optimizer.__module__.startswith("torch.optim") else ""
        raise TypeError(
            f"the class {optimizer.__name__} does not know the picture yet; give a function of it, such as "
            f"lambda x: {home}{optimizer.__name__}([x], lr=0.02)"
        )
    if isinstance(optimizer, torch.optim.Optimizer):
        name = type(optimizer).__name__
        raise TypeError(
            f"this {name} optimises other tensors; give a function of the picture, such as "
            f"lambda x: torch.optim.{name}([x], lr=0.02)"
        )
    if isinstance(optimizer, type) and hasattr(optimizer, "walk"):
        raise TypeError(f"an optimizer is an object, received the class; give {optimizer.__name__}()")
