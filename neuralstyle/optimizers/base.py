"""What an optimiser is: a strategy that walks a picture downhill, or any torch optimiser made into one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

Evaluate: TypeAlias = Callable[[Tensor], tuple[float, Tensor]]
"""A picture -> its loss and gradient. Raises when the loop has had enough; a strategy lets that through."""


State: TypeAlias = dict[str, Any]
"""Where a strategy stands: plain data and tensors, its present picture under "image"."""


class Strategy(Protocol):
    """A way of minimising: starts at a picture, evaluates others, and goes on until stopped or out of ideas."""

    def walk(self, image: Tensor, evaluate: Evaluate, state: State | None = None) -> Iterator[State]:
        """Walk downhill from ``image``, (1, 3, H, W) in [0, 1], evaluating only pictures within that range.

        Yields its state after each step, of one or several evaluations. Started with a state that it has yielded, it
        goes on from there as if it had never stopped.
        """


OptimizerFactory: TypeAlias = Callable[[Tensor], torch.optim.Optimizer]
Optimizer: TypeAlias = Strategy | OptimizerFactory


@dataclass(frozen=True)
class FromFactory:
    """Any ``torch.optim`` optimiser as a strategy, from a function (image tensor) -> optimiser.

    The picture is clipped to [0, 1] after each of the optimiser's steps, and before each evaluation, whose gradient
    is that at the clipped picture.
    """

    factory: OptimizerFactory

    def walk(self, image: Tensor, evaluate: Evaluate, state: State | None = None) -> Iterator[State]:
        """Step for ever."""
        start: Tensor = image if state is None else state["image"]
        x = start.clone(memory_format=torch.contiguous_format).requires_grad_()
        optimizer = self.factory(x)
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(f"an optimizer factory returns a torch.optim.Optimizer, received {optimizer!r}")
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
