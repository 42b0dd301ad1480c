"""Adam inside the range of pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from neuralstyle._errors import brief, number
from neuralstyle.optimizers.base import Evaluate, FromFactory, State


@dataclass(frozen=True)
class Adam:
    r"""Adam, each step followed by clipping to [0, 1].

    It takes less memory than L-BFGS (3 copies of the picture) and tolerates noise in the loss, but converges more
    slowly and leaves more fine grain.

    Args:
        lr: step size, in units of the pixel range.
        betas: decay of the running means of the gradient and of its square.
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
        object.__setattr__(self, "lr", number("the learning rate of Adam", self.lr, above=0))
        object.__setattr__(self, "eps", number("eps of Adam", self.eps, least=0))
        if not isinstance(self.betas, (tuple, list)) or len(self.betas) != 2:
            raise ValueError(f"betas of Adam are two numbers, received {brief(self.betas)}")
        betas = tuple(number("a beta of Adam", beta, least=0, most=1) for beta in self.betas)
        if max(betas) == 1:
            raise ValueError(f"betas of Adam are below 1, received {betas}")
        object.__setattr__(self, "betas", betas)

    def walk(self, image: Tensor, evaluate: Evaluate, state: State | None = None) -> Iterator[State]:
        """Minimise from ``image`` without an end, see ``Strategy``."""
        return FromFactory(self._optimizer).walk(image, evaluate, state)

    def _optimizer(self, x: Tensor) -> torch.optim.Optimizer:
        return torch.optim.Adam([x], lr=self.lr, betas=self.betas, eps=self.eps)
