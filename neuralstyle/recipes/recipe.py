"""What a recipe is, and the schedule that the recipes of multi-scale methods have."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypedDict

from torch import Tensor
from typing_extensions import NotRequired

from neuralstyle._errors import number
from neuralstyle._words import Result
from neuralstyle.encoders import FeatureExtractor
from neuralstyle.images import MIN_SIDE
from neuralstyle.losses import LossSum
from neuralstyle.optimizers.base import Optimizer
from neuralstyle.schedule import Schedule, Stage, evaluations


class Recipe(TypedDict):
    """Keyword arguments of ``stylize``."""

    losses: LossSum
    encoder: NotRequired[FeatureExtractor]
    init: NotRequired[str | Callable[[Tensor], Tensor]]
    schedule: NotRequired[Schedule]
    optimizer: NotRequired[Optimizer]
    result: NotRequired[Result]


def scales(
    size: int,
    iterations: int | None = None,
    *,
    smallest: int = MIN_SIDE,
    factor: float = 2.0,
    levels: int | None = None,
    default: int = 200,
    first: float = 1.0,
) -> list[Stage]:
    r"""Paint at sizes that shrink from the last by a factor, with the same number of evaluations at each.

    $$ s_k = \operatorname{round}(s / q^k), \qquad s_k \ge \text{smallest} $$

    Args:
        size: longest side of the result in pixels.
        iterations: evaluations at the final size; None: ``default``.
        smallest: least size of a coarser stage in pixels.
        factor: q, above 1.
        levels: largest number of stages; None: as many as there are.
        default: evaluations at each size.
        first: factor of the evaluations of the first stage, if it is not the last too.

    Raises:
        ValueError: a number that is not in its range.

    Example:
        ```python
        from neuralstyle import Stage
        from neuralstyle.recipes import scales

        assert scales(256, smallest=64, default=100) == [Stage(64, 100), Stage(128, 100), Stage(256, 100)]
        ```

    """
    count = evaluations(iterations, default)
    number("the factor between scales", factor, above=1)
    stages = [Stage(size, count)]
    while levels is None or len(stages) < levels:
        coarser = round(size / factor ** len(stages))
        if coarser < smallest:
            break
        stages.insert(0, Stage(coarser, count))
    if len(stages) > 1:
        stages[0] = replace(stages[0], iterations=math.ceil(first * count))
    return stages
