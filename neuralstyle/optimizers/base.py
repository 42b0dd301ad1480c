"""Optimisers: strategies that minimise over a picture, and any torch optimiser as a strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from neuralstyle._errors import brief

Evaluate: TypeAlias = Callable[[Tensor], tuple[float, Tensor]]
"""A picture -> its loss and gradient. It raises an exception to end the walk; a strategy does not catch it."""

State: TypeAlias = dict[str, Any]
"""State from which a strategy continues: plain data and tensors, with the current picture under "image"."""


class Strategy(Protocol):
    """An optimisation method: it starts at a picture, evaluates others, and continues until stopped or converged."""

    def walk(self, image: Tensor, evaluate: Evaluate, state: State | None = None) -> Iterator[State]:
        """Minimise from a picture, step by step; usually a generator.

        Args:
            image: the start, (1, 3, H, W) in [0, 1]; do not change it.
            evaluate: returns the loss and gradient of a picture of that shape in [0, 1].
            state: a state that an earlier walk yielded; this walk continues it exactly.

        Yields:
            The state after each step of one or several evaluations: a dict with the current picture, of the shape of
            the start and in [0, 1], under "image". The next step may change its tensors in place.

        """


OptimizerFactory: TypeAlias = Callable[[Tensor], torch.optim.Optimizer]
Optimizer: TypeAlias = Strategy | OptimizerFactory


@dataclass(frozen=True, repr=False)
class FromFactory:
    """Any ``torch.optim`` optimiser as a strategy.

    The picture is clipped to [0, 1] after each of the optimiser's steps and before each evaluation. The gradient is
    that at the clipped picture.

    Args:
        factory: makes the optimiser of a tensor, such as ``lambda x: torch.optim.RMSprop([x], lr=0.01)``.

    """

    factory: OptimizerFactory

    def __repr__(self) -> str:
        """Name the factory, in the same way in every process."""
        name = getattr(self.factory, "__qualname__", None)
        return f"FromFactory({self.factory!r})" if name is None else f"FromFactory({self.factory.__module__}.{name})"

    def walk(self, image: Tensor, evaluate: Evaluate, state: State | None = None) -> Iterator[State]:
        """Minimise from ``image`` without an end, see ``Strategy``.

        Raises:
            TypeError: the factory makes no optimiser of torch.
            ValueError: it makes one of other tensors.

        """
        start: Tensor = image if state is None else state["image"]
        x = start.clone(memory_format=torch.contiguous_format).requires_grad_()
        try:
            optimizer = self.factory(x)
        except TypeError as error:
            if "iterable of Tensors" not in str(error):
                raise
            raise TypeError(
                "an optimizer factory is given the picture, one tensor, and torch wants a list of them; put it in one: "
                "lambda x: torch.optim.Adam([x], lr=0.02)"
            ) from error
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(f"an optimizer factory returns a torch.optim.Optimizer, received {brief(optimizer)}")
        if not any(held is x for group in optimizer.param_groups for held in group["params"]):
            raise ValueError(
                f"the {type(optimizer).__name__} of an optimizer factory does not hold the picture, which could not "
                f"change; give it the argument of the factory: lambda x: {type(optimizer).__name__}([x], ...)"
            )
        if state is not None:
            optimizer.load_state_dict(state["optimizer"])

        def closure() -> float:
            with torch.no_grad():
                loss, gradient = evaluate(x.detach().clamp(0, 1))
            x.grad = gradient
            return loss

        while True:
            optimizer.step(closure)
            with torch.no_grad():
                x.clamp_(0, 1)
            yield {"image": x.detach(), "optimizer": optimizer.state_dict()}
