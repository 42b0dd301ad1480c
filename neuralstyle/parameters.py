"""How a picture depends on what the optimiser changes: its pixels themselves, or pixels that are smoothed first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

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
    ``passes``. At the outermost pixels the picture is mirrored; in a picture that repeats, the other end follows. Both
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
        for dimension in (-1, -2) * self.passes:
            parameters = _filtered(self._continued(parameters, dimension), self._weights, dimension)
        return parameters.clamp(0, 1) if self.sharp else parameters

    def gradient(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the pixels before the filter."""
        reach = len(self._weights) // 2
        for dimension in (-1, -2) * self.passes:
            wide = _filtered(_with_zeros(gradient, 2 * reach, dimension), self._weights, dimension)
            gradient = self._gathered(wide, reach, dimension)
        return gradient

    @property
    def _weights(self) -> tuple[float, ...]:
        return SHARP if self.sharp else BINOMIAL

    def _continued(self, image: Tensor, dimension: int) -> Tensor:
        """The picture with as many pixels beyond its borders as the filter sees."""
        size, reach = image.shape[dimension], len(self._weights) // 2
        if self.wraps:
            before, after = image.narrow(dimension, size - reach, reach), image.narrow(dimension, 0, reach)
        else:
            before = image.narrow(dimension, 1, reach).flip(dimension)
            after = image.narrow(dimension, size - 1 - reach, reach).flip(dimension)
        return torch.cat([before, image, after], dimension)

    def _gathered(self, wide: Tensor, reach: int, dimension: int) -> Tensor:
        """What lies beyond the borders added to the pixels that it continues: the transpose of ``_continued``."""
        size = wide.shape[dimension] - 2 * reach
        before, after = wide.narrow(dimension, 0, reach), wide.narrow(dimension, size + reach, reach)
        image = wide.narrow(dimension, reach, size).clone()
        if self.wraps:
            image.narrow(dimension, size - reach, reach).add_(before)
            image.narrow(dimension, 0, reach).add_(after)
        else:
            image.narrow(dimension, 1, reach).add_(before.flip(dimension))
            image.narrow(dimension, size - 1 - reach, reach).add_(after.flip(dimension))
        return image


def wrapping(parameters: Parameterization | None) -> Parameterization | None:
    """Return parameters for a picture that repeats; those of one's own stay as they are."""
    return replace(parameters, wraps=True) if isinstance(parameters, Smoothed) else parameters


def _with_zeros(image: Tensor, count: int, dimension: int) -> Tensor:
    """The picture with so many zeros on both sides along a dimension."""
    return functional.pad(image, (count, count) if dimension == -1 else (0, 0, count, count))


def _filtered(wide: Tensor, weights: Sequence[float], dimension: int) -> Tensor:
    """Filter along one dimension, at all places where the picture has every pixel that the filter sees."""
    size, reach = wide.shape[dimension] - len(weights) + 1, len(weights) // 2
    filtered = wide.narrow(dimension, reach, size) * weights[reach]
    for step, weight in enumerate(weights[:reach]):
        for start in (step, 2 * reach - step):
            filtered.add_(wide.narrow(dimension, start, size), alpha=weight)
    return filtered
