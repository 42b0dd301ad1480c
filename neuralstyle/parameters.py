"""How a picture depends on what the optimiser changes: its pixels themselves, or pixels that are smoothed first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from neuralstyle._errors import whole_number


class Parameterization(Protocol):
    """A linear map from parameters z to a picture x, both (1, 3, H, W) with values in [0, 1]."""

    def picture(self, parameters: Tensor) -> Tensor:
        """Return the picture of these parameters; parameters in [0, 1] give a picture in [0, 1]."""

    def gradient(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the parameters from that of the picture: the transposed map."""


@dataclass(frozen=True)
class Smoothed:
    r"""Pixels under a binomial filter.

    $$
    x = B^n z
    $$

    B is the 3x3 filter with the weights 1/4, 1/2, 1/4 in each direction, and n the number of ``passes``. At the border
    the outermost pixels are repeated; in a picture that repeats, those of the other end follow. The filter removes a
    checker of single pixels altogether, and half of stripes of two. So an optimiser cannot paint the weave that some
    encoders ask for: the compact one's gradient has a grid of two pixels, which later stages do not clear.

    Args:
        passes: number of times that the filter is applied.
        wraps: whether the picture repeats, as ``stylize(seamless=True)`` sets it.

    Raises:
        ValueError: ``passes`` is not a positive whole number.

    Example:
        ```python
        from neuralstyle import Stage, samples, stylize
        from neuralstyle.parameters import Smoothed

        stages = [Stage(64, 10, "compact19", parameters=Smoothed()), Stage(64, 5)]
        stylize(samples.photo(), samples.painting("swirl"), size=64, schedule=stages)
        ```

    """

    passes: int = 1
    wraps: bool = False

    def __post_init__(self) -> None:
        whole_number("passes", self.passes, 1)

    def picture(self, parameters: Tensor) -> Tensor:
        """Return the filtered pixels."""
        for _ in range(self.passes):
            parameters = _along(_along(parameters, -1, self.wraps), -2, self.wraps)
        return parameters

    def gradient(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the pixels before the filter."""
        return self.picture(gradient)  # with either border the filter is symmetric


def wrapping(parameters: Parameterization | None) -> Parameterization | None:
    """Return parameters for a picture that repeats; those of one's own stay as they are."""
    return replace(parameters, wraps=True) if isinstance(parameters, Smoothed) else parameters


def _along(image: Tensor, dimension: int, wraps: bool) -> Tensor:
    """Filter by 1/4, 1/2, 1/4 along one dimension, with the outermost values repeated or taken from the other end."""
    size = image.shape[dimension]
    mode = "circular" if wraps else "replicate"
    wide = functional.pad(image, (1, 1, 0, 0) if dimension == -1 else (0, 0, 1, 1), mode=mode)
    before, after = wide.narrow(dimension, 0, size), wide.narrow(dimension, 2, size)
    return torch.add(before, after).mul_(0.25).add_(image, alpha=0.5)
