"""Adam inside the range of pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

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
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"the learning rate of Adam is a positive number, received {self.lr!r}")

    def walk(self, image: Tensor, evaluate: Evaluate, state: State | None = None) -> Iterator[State]:
        """Minimise from ``image`` without an end, see ``Strategy``."""
        return FromFactory(self._optimizer).walk(image, evaluate, state)

    def _optimizer(self, x: Tensor) -> torch.optim.Optimizer:
        return torch.optim.Adam([x], lr=self.lr, betas=self.betas, eps=self.eps)
