"""How a picture depends on what the optimiser changes: its pixels themselves, or pixels that are smoothed first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from neuralstyle._errors import whole_number


class Parameterization(Protocol):
    """A map from parameters z to a picture x, both (1, 3, H, W) with values in [0, 1]."""

    def picture(self, parameters: Tensor) -> Tensor:
        """Return the picture of these parameters; parameters in [0, 1] give a picture in [0, 1]."""

    def gradient(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the parameters from that of the picture: a linear map's transpose."""


BINOMIAL = (1 / 4, 1 / 2, 1 / 4)
SHARP = (-1 / 16, 4 / 16, 10 / 16, 4 / 16, -1 / 16)


@dataclass(frozen=True)
class Smoothed:
    r"""Pixels under a small low-pass filter.

    $$
    x = \mathrm{clip}(B^n z, 0, 1)
    $$

    B filters each direction by the weights (1, 2, 1) / 4, or sharply by (-1, 4, 10, 4, -1) / 16; n is the number of
    ``passes``. Beyond the border the picture is mirrored; in a picture that repeats, the other end follows. Both
    filters remove stripes and checkers of single pixels altogether. Of stripes of two pixels the first keeps a half,
    the second three quarters. So an optimiser cannot paint the weave that some encoders ask for: the compact one's
    gradient has a grid of two pixels, which later stages do not clear.

    Args:
        passes: number of times that the filter is applied.
        wraps: whether the picture repeats, as ``stylize(seamless=True)`` sets it.
        sharp: whether the filter keeps more of the detail. It overshoots at edges, so the picture is clipped; the
            gradient ignores that.

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
    sharp: bool = False

    def __post_init__(self) -> None:
        whole_number("passes", self.passes, 1)

    def picture(self, parameters: Tensor) -> Tensor:
        """Return the filtered pixels."""
        filtered = self.gradient(parameters)
        return filtered.clamp_(0, 1) if self.sharp else filtered

    def gradient(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the pixels before the filter."""
        weights = SHARP if self.sharp else BINOMIAL
        for _ in range(self.passes):  # with either border the filter is symmetric
            gradient = _along(_along(gradient, weights, -1, self.wraps), weights, -2, self.wraps)
        return gradient


def wrapping(parameters: Parameterization | None) -> Parameterization | None:
    """Return parameters for a picture that repeats; those of one's own stay as they are."""
    return replace(parameters, wraps=True) if isinstance(parameters, Smoothed) else parameters


def _along(image: Tensor, weights: Sequence[float], dimension: int, wraps: bool) -> Tensor:
    """Filter along one dimension, with the picture mirrored beyond its border, or taken from the other end."""
    size, reach = image.shape[dimension], len(weights) // 2
    first, last = image.narrow(dimension, 0, reach), image.narrow(dimension, size - reach, reach)
    before, after = (last, first) if wraps else (first.flip(dimension), last.flip(dimension))
    wide = torch.cat([before, image, after], dimension)
    filtered = image * weights[reach]
    for step, weight in enumerate(weights[:reach]):
        for start in (step, 2 * reach - step):
            filtered.add_(wide.narrow(dimension, start, size), alpha=weight)
    return filtered
