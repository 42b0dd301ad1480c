"""Optimisers: strategies that walk a picture downhill inside its range, and the loop that counts, watches and stops."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

Evaluate: TypeAlias = Callable[[Tensor], tuple[float, Tensor]]
"""A picture -> its loss and gradient. Raises when the loop has had enough; a strategy lets that through."""


class Strategy(Protocol):
    """A way of minimising: starts at a picture, evaluates others, and goes on until stopped or out of ideas."""

    def minimize(self, image: Tensor, evaluate: Evaluate) -> None:
        """Walk downhill from ``image``, (1, 3, H, W) in [0, 1], evaluating only pictures within that range."""


OptimizerFactory: TypeAlias = Callable[[Tensor], torch.optim.Optimizer]
Optimizer: TypeAlias = Strategy | OptimizerFactory


@dataclass(frozen=True)
class LBFGS:
    r"""Limited-memory BFGS that keeps every pixel inside [0, 1].

    The direction is $d = -H g$ over the pixels that are free to move (all but those that lie on a bound and
    would be pushed across it), with H from the last ``history`` pairs $s = \Delta x, y = \Delta g$; the step is
    projected, $x \leftarrow \mathrm{clip}(x + t d, 0, 1)$, and t is cut back until the loss has fallen enough.
    A picture that is optimised inside its range loses nothing when it is saved; one that is clipped afterwards has
    been measured to lose a factor of 1.3 to 5.7 of its objective.

    Args:
        history: pairs kept, 2 copies of the picture each; more converge in fewer evaluations.
        first_step: root mean square of the first step, in units of the pixel range.

    Raises:
        ValueError: a history below 1 or a first step that is not positive.

    Example:
        ```python
        from neuralstyle import LBFGS, samples, stylize

        stylize(samples.photo(), samples.painting("swirl"), optimizer=LBFGS(history=10), size=64, iterations=2)
        ```

    Papers: Liu and Nocedal 1989 (L-BFGS); Bertsekas 1982 (projected Newton methods and their active set).

    """

    history: int = 20
    first_step: float = 0.02

    def __post_init__(self) -> None:
        if isinstance(self.history, bool) or not isinstance(self.history, int) or self.history < 1:
            raise ValueError(f"the history of LBFGS is a whole number of at least 1, received {self.history!r}")
        if not (math.isfinite(self.first_step) and self.first_step > 0):
            raise ValueError(f"the first step of LBFGS is a positive number, received {self.first_step!r}")

    def minimize(self, image: Tensor, evaluate: Evaluate) -> None:
        """Walk downhill from ``image``; returns when no step in any direction lowers the loss."""
        x = image
        loss, gradient = evaluate(x)
        pairs: list[tuple[Tensor, Tensor, float]] = []
        while True:
            free = ~(((x <= 0) & (gradient > 0)) | ((x >= 1) & (gradient < 0)))
            steepest = torch.where(free, -gradient, 0)
            direction = torch.where(free, _inverse_hessian(pairs, steepest), 0)
            slope = _dot(direction, steepest)
            if slope <= 0:
                pairs, direction, slope = [], steepest, _dot(steepest, steepest)
            if slope == 0:
                return
            step = 1.0 if pairs else self.first_step * math.sqrt(x.numel() / slope)
            found = _search(x, loss, gradient, direction, step, evaluate)
            if found is None:
                if not pairs:
                    return
                pairs = []  # the curvature has misled: try again along the gradient
                continue
            next_x, next_loss, next_gradient = found
            s, y = next_x - x, next_gradient - gradient
            curvature = _dot(s, y)
            if curvature > 1e-10 * _dot(y, y):
                pairs = [*pairs, (s, y, curvature)][-self.history :]
            x, loss, gradient = next_x, next_loss, next_gradient


@dataclass(frozen=True)
class Adam:
    r"""Adam, each step followed by clipping to [0, 1].

    Lighter on memory than L-BFGS (3 copies of the picture) and indifferent to noise in the loss, but slower to
    converge, with more fine grain.

    Args:
        lr: step size, in units of the pixel range.
        betas: decay of the running mean of gradients and of their squares.
        eps: added to the denominator.

    Raises:
        ValueError: a learning rate that is not positive.

    Example:
        ```python
        from neuralstyle import Adam, samples, stylize

        stylize(samples.photo(), samples.painting("swirl"), optimizer=Adam(lr=0.05), size=64, iterations=2)
        ```

    Paper: Kingma and Ba 2015, arXiv 1412.6980.

    """

    lr: float = 0.02
    betas: tuple[float, float] = (0.9, 0.99)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"the learning rate of Adam is a positive number, received {self.lr!r}")

    def minimize(self, image: Tensor, evaluate: Evaluate) -> None:
        """Walk downhill from ``image``, for ever."""
        FromFactory(lambda x: torch.optim.Adam([x], lr=self.lr, betas=self.betas, eps=self.eps)).minimize(
            image, evaluate
        )


@dataclass(frozen=True)
class FromFactory:
    """Any ``torch.optim`` optimiser as a strategy, from a function (image tensor) -> optimiser.

    The picture is clipped to [0, 1] after each of the optimiser's steps, and before each evaluation, whose gradient
    is that at the clipped picture.
    """

    factory: OptimizerFactory

    def minimize(self, image: Tensor, evaluate: Evaluate) -> None:
        """Step for ever."""
        x = image.clone(memory_format=torch.contiguous_format).requires_grad_()
        optimizer = self.factory(x)
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(f"an optimizer factory returns a torch.optim.Optimizer, received {optimizer!r}")

        def closure() -> float:
            with torch.no_grad():
                loss, gradient = evaluate(x.detach().clamp(0, 1))
            x.grad = gradient
            return loss

        while True:
            optimizer.step(closure)
            with torch.no_grad():
                x.clamp_(0, 1)


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where a minimisation ended: the best picture evaluated, its loss, and whether the watcher stopped it."""

    image: Tensor
    loss: float
    evaluations: int
    stopped: bool


def minimize(
    optimizer: Optimizer,
    image: Tensor,
    evaluate: Evaluate,
    evaluations: int,
    watch: Callable[[int, float, Tensor], bool] = lambda count, loss, best: True,
) -> Minimum:
    """Run an optimiser for a number of evaluations and return the best picture that it evaluated.

    Args:
        optimizer: a strategy such as ``LBFGS()``, or a function (image tensor) -> ``torch.optim.Optimizer``.
        image: the start, (1, 3, H, W) in [0, 1]; not changed.
        evaluate: picture -> (loss, gradient).
        evaluations: how many at most.
        watch: called after each with (count, loss, best picture so far); False stops.

    Returns:
        The best picture. An optimiser that converges ends earlier.

    Raises:
        Exception: whatever ``evaluate`` or ``watch`` raises, with the best picture so far as its ``best`` attribute.

    """
    if not hasattr(optimizer, "minimize") and not callable(optimizer):
        raise TypeError(f"an optimizer is LBFGS(), Adam() or a function of the image tensor, received {optimizer!r}")
    strategy: Strategy = optimizer if hasattr(optimizer, "minimize") else FromFactory(optimizer)
    best, best_loss, count = image, math.inf, 0

    def counted(x: Tensor) -> tuple[float, Tensor]:
        nonlocal best, best_loss, count
        if count >= evaluations:
            raise _Enough
        loss, gradient = evaluate(x)
        count += 1
        if loss < best_loss:
            # A strategy may change its picture in place, so the best one is kept apart.
            best, best_loss = x.detach().clone(), loss
        if watch(count, loss, best) is False:
            raise _Stopped
        return loss, gradient

    stopped = False
    try:
        strategy.minimize(image.detach(), counted)
    except _Stopped:
        stopped = True
    except _Enough:
        pass
    except BaseException as error:
        error.best = best  # type: ignore[attr-defined]
        raise
    return Minimum(best, best_loss, count, stopped)


class _Enough(Exception):  # noqa: N818 - a signal, not an error
    """The evaluations are used up."""


class _Stopped(Exception):  # noqa: N818 - likewise
    """The watcher said stop."""


def _search(
    x: Tensor, loss: float, gradient: Tensor, direction: Tensor, step: float, evaluate: Evaluate
) -> tuple[Tensor, float, Tensor] | None:
    """The first step, of ever smaller ones, that lowers the loss enough (Armijo's rule on the projected path)."""
    for _ in range(12):
        candidate = (x + step * direction).clamp(0, 1)
        predicted = _dot(gradient, candidate - x)
        if predicted >= 0:
            return None
        value, candidate_gradient = evaluate(candidate)
        if value <= loss + 1e-4 * predicted:
            return candidate, value, candidate_gradient
        # The minimum of the parabola through both values and the slope, kept within a sensible share of the step.
        step *= min(max(-predicted / (2 * (value - loss - predicted)), 0.1), 0.5)
    return None


def _inverse_hessian(pairs: list[tuple[Tensor, Tensor, float]], vector: Tensor) -> Tensor:
    """H times a vector, by the two-loop recursion; the vector itself where there are no pairs yet."""
    if not pairs:
        return vector
    result = vector.clone()
    factors: list[float] = []
    for s, y, curvature in reversed(pairs):
        factors.append(_dot(s, result) / curvature)
        result.sub_(y, alpha=factors[-1])
    _, y, curvature = pairs[-1]
    result.mul_(curvature / _dot(y, y))
    for (s, y, curvature), factor in zip(pairs, reversed(factors), strict=True):
        result.add_(s, alpha=factor - _dot(y, result) / curvature)
    return result


def _dot(a: Tensor, b: Tensor) -> float:
    return float(torch.dot(a.flatten(), b.flatten()))
