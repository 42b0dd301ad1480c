"""A strategy that changes the parameters of a picture instead of its pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from neuralstyle.optimizers.base import Evaluate, State, Strategy
from neuralstyle.parameters import Parameterization


@dataclass(frozen=True)
class InParameters:
    """A strategy that changes the parameters of the picture.

    Args:
        strategy: any strategy; its walk is over the parameters.
        parameterization: how the picture depends on them.

    Example:
        ```python
        import torch
        from neuralstyle import LBFGS
        from neuralstyle.optimizers import InParameters, minimize
        from neuralstyle.parameters import Smoothed

        smooth = InParameters(LBFGS(), Smoothed())
        found = minimize(smooth, torch.rand(1, 3, 16, 16), lambda x: (float(x.square().sum()), 2 * x), 20)
        assert found.loss < 0.1
        ```

    """

    strategy: Strategy
    parameterization: Parameterization

    def walk(self, image: Tensor, evaluate: Evaluate, state: State | None = None) -> Iterator[State]:
        """Minimise from the picture whose parameters are the pixels of ``image``, see ``Strategy``."""

        def evaluate_parameters(parameters: Tensor) -> tuple[float, Tensor]:
            loss, gradient = evaluate(self.parameterization.picture(parameters))
            return loss, self.parameterization.gradient(gradient)

        for inner in self.strategy.walk(image, evaluate_parameters, None if state is None else state["inner"]):
            yield {"image": self.parameterization.picture(inner["image"]), "inner": inner}
