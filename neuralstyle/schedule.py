"""Stages, and the schedules that do not use the compact encoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from neuralstyle._errors import brief, number, takes, whole_number
from neuralstyle.encoders.base import Encoder, check_is_encoder
from neuralstyle.images import MIN_SIDE
from neuralstyle.optimizers.strategies import as_strategy, check_result

if TYPE_CHECKING:
    from neuralstyle._words import Result
    from neuralstyle.losses import LossSum
    from neuralstyle.optimizers import Optimizer
    from neuralstyle.parameters import Parameterization

DEFAULT_ITERATIONS = 60
"""Default evaluations at each size of ``coarse_to_fine``, up to ``FULL_SIZE``."""

FULL_SIZE = 1024
"""Longest side in pixels above which the default number of evaluations falls with the number of pixels."""

FEWEST_ITERATIONS = 10
"""Smallest default number of evaluations, at any size."""

MOST_STAGES = 1000
"""Stages that a schedule may have: each is checked before the work."""


@dataclass(frozen=True)
class Stage:
    """One stage of the work: a size, and the number of evaluations of loss and gradient.

    Args:
        size: longest side of the picture in pixels, at least 16.
        iterations: number of evaluations, at least 1.
        encoder: the encoder of this stage: an ``Encoder`` such as a ``FeatureExtractor``, or a network's name. None:
            the encoder of the call.
        losses: a function from the losses that this stage would minimise to those that it does, both a ``LossSum``. The
            former are the call's, with pixel terms if the encoder's features do not pin colours (``losses_through``).
        cost: time of an evaluation relative to one through VGG-19, for the time left until it is measured.
        parameters: what the optimiser changes, such as ``Smoothed()``, pixels that are smoothed to give the picture.
            None: the pixels of the picture.
        optimizer: the optimiser of this stage where the call names none, as in ``stylize``. None: ``LBFGS()``.
        result: which picture is the stage's result where the call does not say, as in ``stylize``. None: "best". It
            belongs to ``optimizer``: where both are given, and the call has another optimiser, it is "best" too.

    Raises:
        ValueError: ``size``, ``iterations`` or ``cost`` is not a number in its range, or the name of an optimiser or
            of a result is unknown.
        TypeError: ``encoder`` is not an encoder, ``losses`` cannot be called, ``parameters`` has no methods
            ``picture`` and ``gradient``, or ``optimizer`` is none.

    Example:
        ```python
        from neuralstyle import FeatureExtractor, Stage, samples, stylize

        rough = FeatureExtractor("vgg19", pooling="average")
        stages = [Stage(32, 4, rough), Stage(64, 2, losses=lambda losses: losses.scaled("style", 2))]
        image = stylize(samples.photo(), samples.painting("swirl"), size=64, schedule=stages)
        ```

    """

    size: int
    iterations: int
    encoder: Encoder | str | None = None
    losses: Callable[[LossSum], LossSum] | None = None
    cost: float = 1.0
    parameters: Parameterization | None = None
    optimizer: Optimizer | str | None = None
    result: Result | None = None

    def __post_init__(self) -> None:
        size = whole_number("the size of a stage", self.size, MIN_SIDE, hint=" pixels")
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "iterations", whole_number("the iterations of a stage", self.iterations, 1))
        object.__setattr__(self, "cost", number("the cost of a stage", self.cost, above=0))
        if self.encoder is not None and not isinstance(self.encoder, str):
            check_is_encoder(self.encoder)
        if self.parameters is not None and not (
            callable(getattr(self.parameters, "picture", None)) and callable(getattr(self.parameters, "gradient", None))
        ):
            raise TypeError(
                "the parameters of a stage are an object such as Smoothed(), with methods picture and gradient, "
                f"received {brief(self.parameters)}"
            )
        # A loss can be called as well, on feature maps.
        if self.losses is not None and (
            not callable(self.losses) or hasattr(self.losses, "forward") or not takes(self.losses, None)
        ):
            raise TypeError(
                "the losses of a stage are a function from the call's losses to those of the stage, such as "
                f"lambda losses: losses.scaled('style', 2), received {brief(self.losses)}"
            )
        as_strategy(self.optimizer)
        if self.result is not None:
            check_result(self.result)


Schedule: TypeAlias = Callable[[int, "int | None"], Sequence[Stage]]
"""(longest side of the result in pixels, evaluations at that size or None) -> stages, the last of that size."""


def check_stages(stages: object, size: int) -> tuple[Stage, ...]:
    """Check the stages of a schedule, and return them as a tuple.

    Args:
        stages: the stages to check.
        size: longest side of the result in pixels; the last stage has to have it.

    Raises:
        TypeError: ``stages`` is not a sequence of ``Stage``.
        ValueError: it is empty, or its last stage has another size.

    """
    wanted = f"a schedule gives a list such as [Stage({max(size // 2, MIN_SIDE)}, 60), Stage({size}, 30)]"
    if not isinstance(stages, Sequence) or isinstance(stages, str):
        raise TypeError(f"{wanted}, received {brief(stages)}")
    for stage in stages:
        if not isinstance(stage, Stage):
            raise TypeError(f"{wanted}, received an entry {stage!r}")
    if not stages:
        raise ValueError(f"{wanted}, received an empty one; give it a stage at least")
    if len(stages) > MOST_STAGES:
        raise ValueError(f"{wanted}, of at most {MOST_STAGES} stages, received {len(stages)}")
    if stages[-1].size != size:
        raise ValueError(
            f"the last stage has the size of the result, {size} pixels, received {stages[-1].size}; change the last "
            f"stage, or ask for size={stages[-1].size}"
        )
    return tuple(stages)


def coarse_to_fine(size: int, iterations: int | None = None, *, smallest: int = 96) -> list[Stage]:
    r"""Halve the size down to ``smallest``, with the same number of evaluations at each size up to 1024 pixels.

    VGG-19's deepest style layer sees 156 pixels, so large strokes have to be painted while the picture is small. Each
    stage has a quarter of the next one's pixels, so all coarser stages together take a third of the last one's time.

    By default, a stage of s pixels has

    $$
    n(s) = \max\left(10,\; 60 \, \min(1, (1024 / s)^2)\right)
    $$

    evaluations. Above 1024 pixels only fine grain is left to paint, and each stage takes the work of one of 1024
    pixels, until the floor of 10 is reached. The stages up to 4096 pixels take less than 4 times as long as those up to
    1024, in pixels times evaluations; beyond, the time grows with the pixels.

    Args:
        size: longest side of the result in pixels.
        iterations: evaluations at the final size; None: n(size). Coarser stages have the same number, and at least n(s)
            if the result is larger than 1024 pixels. A small number at the end then leaves the large strokes unchanged.
        smallest: least size of a coarser stage in pixels.

    Raises:
        ValueError: ``size`` or ``iterations`` is not a number in its range.

    Example:
        ```python
        from neuralstyle.schedule import coarse_to_fine

        print(coarse_to_fine(512))
        print(coarse_to_fine(4096))
        ```

    After Gatys et al. 2017, arXiv 1611.07865, section 6; the paper of 2015 paints at a single size.

    """
    count = evaluations(iterations, _default_iterations(size))
    smallest = whole_number("smallest", smallest, 1, hint=" pixels")
    stages = [Stage(size, count)]
    while (coarser := stages[0].size // 2) >= smallest:
        stages.insert(0, Stage(coarser, max(count, _default_iterations(coarser)) if size > FULL_SIZE else count))
    return stages


def single_scale(size: int, iterations: int | None = None) -> list[Stage]:
    """Paint at the final size alone, as the paper does, with 300 evaluations by default.

    Raises:
        ValueError: ``size`` or ``iterations`` is not a number in its range.

    Example:
        ```python
        from neuralstyle import Stage
        from neuralstyle.schedule import single_scale

        assert single_scale(512) == [Stage(512, 300)]
        ```

    """
    return [Stage(size, evaluations(iterations, 300))]


def times_default(stages: Sequence[Stage], factor: Fraction | int) -> list[Stage]:
    """Return the stages with their evaluations multiplied by ``factor`` and rounded up."""
    return [replace(stage, iterations=math.ceil(factor * stage.iterations)) for stage in stages]


def evaluations(received: int | None, default: int) -> int:
    """Check a number of evaluations and return it, or the default for None."""
    return default if received is None else whole_number("iterations", received, 1)


def _default_iterations(size: int) -> int:
    whole_number("size", size, 1, hint=" pixels")
    if size <= FULL_SIZE:
        return DEFAULT_ITERATIONS
    return max(FEWEST_ITERATIONS, round(DEFAULT_ITERATIONS * (FULL_SIZE / size) ** 2))
