"""How a picture depends on what an optimiser changes: its pixels themselves, or pixels that are smoothed first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from neuralstyle._errors import whole_number
from neuralstyle.optimizers.base import Evaluate, State, Strategy


class Parameterization(Protocol):
    """A linear map from parameters to a picture, both (1, 3, H, W) with values in [0, 1]."""

    def picture(self, parameters: Tensor) -> Tensor:
        """Return the picture of these parameters; parameters in [0, 1] give a picture in [0, 1]."""

    def gradient(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the parameters from that of the picture: the transposed map."""


@dataclass(frozen=True)
class Smoothed:
    r"""Pixels under a binomial filter.

    The picture is $x = B^n z$. B is the 3x3 filter with weights 1/4, 1/2, 1/4 in each direction, and n the number of
    ``passes``. At the border, the outermost pixels are repeated. The filter removes a checker of single pixels
    altogether and one of two pixels to a quarter, so an optimiser cannot paint them.

    Args:
        passes: number of times that the filter is applied.

    Raises:
        ValueError: ``passes`` is not a positive whole number.

    Example:
        ```python
        import torch
        from neuralstyle.optimizers import Smoothed

        checker = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(8, 8).expand(1, 3, 16, 16)
        assert Smoothed().picture(checker)[..., 1:-1, 1:-1].sub(0.5).abs().max() < 1e-6
        ```

    """

    passes: int = 1

    def __post_init__(self) -> None:
        whole_number("passes", self.passes, 1)

    def picture(self, parameters: Tensor) -> Tensor:
        """Return the filtered pixels."""
        for _ in range(self.passes):
            parameters = _along(_along(parameters, -1), -2)
        return parameters

    def gradient(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the unfiltered pixels."""
        for _ in range(self.passes):  # with repeated borders the filter is symmetric
            gradient = _along(_along(gradient, -2), -1)
        return gradient


@dataclass(frozen=True)
class InParameters:
    """A strategy that changes the parameters of the picture.

    Args:
        strategy: any strategy; its walk is over the parameters.
        parameterization: how the picture depends on them.

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


def _along(image: Tensor, dimension: int) -> Tensor:
    """Filter by 1/4, 1/2, 1/4 along one dimension, with the outermost values repeated."""
    size = image.shape[dimension]
    pad = (1, 1, 0, 0) if dimension == -1 else (0, 0, 1, 1)
    wide = functional.pad(image, pad, mode="replicate")
    before, after = wide.narrow(dimension, 0, size), wide.narrow(dimension, 2, size)
    return torch.add(before, after).mul_(0.25).add_(image, alpha=0.5)
