"""check_strategy: checks that an optimiser can be stopped and continued, and keeps the picture in its range."""

from __future__ import annotations

import copy
import inspect
import math
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neuralstyle.checkpoint import load_state, save_state
from neuralstyle.machine.surroundings import plain_torch
from neuralstyle.optimizers import FromFactory, Optimizer, State, Strategy
from neuralstyle.testing.tools import noise, one_line

SHAPE = (1, 3, 8, 10)
EVALUATIONS = 60
RESUME_AFTER = 3  # steps


@plain_torch()
def check_strategy(strategy: Optimizer, *, evaluations: int = EVALUATIONS) -> None:
    """Check that a strategy keeps the rules, on a quadratic function of a small picture.

    The strategy evaluates only finite pictures in [0, 1] of the start's shape, and lowers the loss. After each step it
    yields its state, a dict of tensors and plain data with the current picture under "image", in [0, 1]. From a state
    that was saved to a file and read again, it evaluates the same pictures as an uninterrupted walk. It does not catch
    the exception that ends it, and does not change the start.

    Args:
        strategy: an object with ``walk``, or a function (image tensor) -> ``torch.optim.Optimizer``.
        evaluations: number of evaluations in which to lower the loss.

    Raises:
        TypeError: ``strategy`` is not a strategy.
        ValueError: a rule is broken; the message gives, in one line, the class, what it did, and what to do.

    Example:
        ```python
        from neuralstyle import LBFGS
        from neuralstyle.testing import check_strategy

        check_strategy(LBFGS())
        ```

    """
    if inspect.isclass(strategy):
        way = f"{strategy.__name__}()"
        if issubclass(strategy, torch.optim.Optimizer):
            way = f"lambda x: torch.optim.{strategy.__name__}([x], lr=0.02)"
        raise TypeError(f"check_strategy takes a strategy, received the class {strategy.__name__}; give {way}")
    if not hasattr(strategy, "walk") and not callable(strategy):
        raise TypeError(
            "check_strategy takes an object with a method walk(image, evaluate, state=None), or a function (image "
            f"tensor) -> torch.optim.Optimizer, received {type(strategy).__name__}"
        )
    name = type(strategy).__name__ if hasattr(strategy, "walk") else "the function's optimizer"
    walked: Strategy = strategy if hasattr(strategy, "walk") else FromFactory(strategy)
    start = noise(*SHAPE, dtype=torch.float32)
    given = start.clone()
    first = _Walk(name, evaluations)
    steps = first.run(walked, given)
    if not steps:
        raise ValueError(
            f"{name}.walk has yielded nothing in {evaluations} evaluations; yield the state after each step"
        )
    if not torch.equal(given, start):
        raise ValueError(f"{name}.walk changes its start in place; work on a clone of it")
    if not first.losses:
        raise ValueError(f"{name}.walk evaluates no picture; call evaluate(x) -> (loss, gradient) at each step")
    if not min(first.losses) < first.losses[0]:
        raise ValueError(
            f"{name}.walk has not lowered a quadratic function in {len(first.losses)} evaluations: it began at "
            f"{first.losses[0]:.6g}, and the least since is {min(first.losses[1:], default=math.nan):.6g}; step "
            "against the gradient"
        )
    _check_stop(walked, name, start)
    _check_resuming(walked, name, start, first, steps)


class _Enough(Exception):  # noqa: N818 - a signal, as the loop's own
    """All evaluations have been made."""


class _Walk:
    """A quadratic function that records its evaluations, and a walk that minimises it."""

    def __init__(self, name: str, evaluations: int) -> None:
        self.name, self.evaluations = name, evaluations
        self.losses: list[float] = []
        self.pictures: list[Tensor] = []
        self.stopped = 0
        self.refused: ValueError | None = None
        # Partly outside of [0, 1], so that the bounds matter; steeper in some pixels than in others.
        self.minimum = 2 * noise(*SHAPE, seed=1, dtype=torch.float32) - 0.5
        self.steepness = 0.2 + noise(*SHAPE, seed=2, dtype=torch.float32)

    def evaluate(self, x: Tensor) -> tuple[float, Tensor]:
        """Return value and gradient; raises after the last evaluation."""
        if len(self.losses) >= self.evaluations:
            self.stopped += 1
            if self.stopped == 1:
                raise _Enough
        if self.refused is None:  # raised once; a strategy that catches it continues to its next step
            self.refused = _wrong(x, f"{self.name}.walk evaluates")
            if self.refused is not None:
                raise self.refused
        away = x.detach() - self.minimum
        self.losses.append(float(0.5 * (self.steepness * away.square()).sum()))
        self.pictures.append(x.detach().clone())
        return self.losses[-1], self.steepness * away

    def run(self, strategy: Strategy, image: Tensor, state: State | None = None) -> list[tuple[int, State]]:
        """Return a copy of each yielded state, with the number of evaluations before it."""
        states: list[tuple[int, State]] = []
        try:
            for yielded in strategy.walk(image, self.evaluate, state):
                self.refused = self.refused or self._wrong_state(yielded)
                if self.refused or self.stopped or len(states) > 10 * self.evaluations:  # it caught the exception
                    break
                states.append((len(self.losses), copy.deepcopy(yielded)))
        except _Enough:
            pass
        except Exception as error:  # user code may raise anything
            if self.refused is None:
                raise ValueError(f"{self.name}.walk fails on a quadratic function: {one_line(error)}") from error
        if self.refused is not None:
            raise self.refused
        return states

    def _wrong_state(self, state: Any) -> ValueError | None:
        if isinstance(state, dict) and isinstance(state.get("image"), Tensor):
            return _wrong(state["image"], f"{self.name}.walk yields")
        what = f"a dict with the keys {sorted(map(str, state))}" if isinstance(state, dict) else type(state).__name__
        return ValueError(
            f"{self.name}.walk yields {what}; yield its state, a dict with the current picture under 'image', such as "
            "{'image': x}"
        )


def _wrong(x: Any, what: str) -> ValueError | None:
    """Return the error for a wrong picture, or None."""
    if not isinstance(x, Tensor) or tuple(x.shape) != SHAPE:
        shape = f"the shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        return ValueError(f"{what} a picture of {shape}; it is given {SHAPE} and keeps that shape")
    if x.dtype != torch.float32 or x.device.type != "cpu" or x.layout != torch.strided:
        found = f"{x.dtype}, {x.layout}, on {str(x.device)!r}"
        return ValueError(
            f"{what} a picture of {found}; it is given a dense one of torch.float32 on 'cpu' and keeps that"
        )
    low, high = float(x.detach().min()), float(x.detach().max())
    if not (low >= 0 and high <= 1):
        return ValueError(
            f"{what} a picture with values from {low:.6g} to {high:.6g}, outside of [0, 1]; clip each step, such as "
            "(x - step).clamp(0, 1)"
        )
    return None


def _check_stop(strategy: Strategy, name: str, start: Tensor) -> None:
    """Check that the walk does not catch the exception that ends it."""
    walk = _Walk(name, 2)
    walk.run(strategy, start.clone())
    if walk.stopped > 1:
        raise ValueError(f"{name}.walk continues after the exception that ends it; do not catch exceptions of evaluate")


def _check_resuming(strategy: Strategy, name: str, start: Tensor, first: _Walk, steps: list[tuple[int, State]]) -> None:
    """Check that a walk from a saved state makes the same evaluations as an uninterrupted one."""
    done, state = steps[min(RESUME_AFTER, len(steps)) - 1]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "state.safetensors"
        try:
            save_state(file, state)
        except TypeError as error:
            raise ValueError(
                f"{name}.walk yields a state that cannot be saved: {one_line(error)}; store tensors, numbers, "
                "strings, lists and dicts in it"
            ) from error
        loaded = load_state(file)
    again = _Walk(name, first.evaluations - done)
    again.run(strategy, start.clone(), loaded)
    expected = first.pictures[done:]
    for number, picture in enumerate(expected):
        if number >= len(again.pictures) or not torch.equal(picture, again.pictures[number]):
            raise ValueError(
                f"{name}.walk does not continue from the state that it has yielded: evaluation {number + 1} after it "
                "differs from that of the uninterrupted walk; store everything that the steps depend on in the state"
            )
