"""Evaluations: the values of an objective's terms, checked, with their gradient."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neuralstyle import distributed


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A value of the objective.

    Attributes:
        loss: the weighted sum of all losses.
        terms: the weighted value of each term by name; they add up to ``loss``.
        gradient: the gradient, in the shape of the image, or None.

    """

    loss: float
    terms: dict[str, float]
    gradient: Tensor | None


class Terms:
    """The values of terms, added up by name."""

    def __init__(self) -> None:
        self._values: dict[str, Tensor] = {}

    def add(self, name: str, value: Tensor) -> None:
        """Add a value to those of this name."""
        self._values[name] = self._values[name] + value if name in self._values else value

    def stack(self) -> Tensor:
        """The values of all terms, (K,)."""
        return torch.stack(list(self._values.values()))

    def agreed(self) -> Tensor:
        """The values, detached, and the same in all processes."""
        values = torch.stack([value.detach() for value in self._values.values()])
        distributed.send([values])
        return values


def evaluation_of(names: Iterable[str], values: Tensor, gradient: Tensor | None) -> Evaluation:
    """Check that values and gradient are finite, and return them as an evaluation."""
    if gradient is None:
        terms = _finite(names, values.tolist())
        return Evaluation(sum(terms.values()), terms, None)
    # Its extremes, as isfinite() would take more memory than the gradient. They are read together with the values,
    # since each read waits for the accelerator.
    *found, least, most = torch.cat([values, torch.stack(gradient.aminmax())]).tolist()
    terms = _finite(names, found)
    if not (math.isfinite(least) and math.isfinite(most)):
        raise FloatingPointError(
            f"the gradient of {' + '.join(terms)} is not finite at a finite loss; check that the derivatives of "
            "the losses exist where features are zero or equal their target"
        )
    return Evaluation(sum(terms.values()), terms, gradient)


def _finite(names: Iterable[str], found: Sequence[float]) -> dict[str, float]:
    """Check that the values of terms are finite, and return them by name."""
    values = dict(zip(names, found, strict=True))
    for name, value in values.items():
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the loss term {name} is {value}; lower its weight or the learning rate, or check its formula"
            )
    return values
