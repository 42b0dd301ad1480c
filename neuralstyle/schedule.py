"""Stages of the work, and the plainest functions that list them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from neuralstyle._errors import number, takes, whole_number

if TYPE_CHECKING:
    from neuralstyle.encoders.base import Encoder
    from neuralstyle.losses import LossSum

DEFAULT_ITERATIONS = 60
"""Evaluations at each size of ``coarse_to_fine``, up to ``FULL_SIZE``."""

FULL_SIZE = 1024
"""Longest side in pixels above which a size gets fewer evaluations the more pixels it has."""

FEWEST_ITERATIONS = 10
"""Evaluations by default at the final size, however large."""

MOST_STAGES = 1000
"""Stages that a schedule may have: each is checked before the work."""

SMALLEST_SIZE = 16
"""Shortest side of a picture in pixels, as in ``load_image``."""


@dataclass(frozen=True)
class Stage:
    """One stage of the work: a size, and how often loss and gradient are evaluated there.

    Args:
        size: longest side of the picture in pixels, at least 16.
        iterations: number of evaluations, at least 1.
        encoder: the encoder of this stage: an ``Encoder`` such as a ``FeatureExtractor``, or a network's name. None:
            the encoder of the call.
        losses: a function from the call's losses to those that this stage minimises, both a ``LossSum``. None: the
            call's losses, with pixel terms if the encoder's features do not pin colours (``losses_through``).
        cost: time of an evaluation relative to one through VGG-19; the progress bar forecasts with it.

    Raises:
        ValueError: ``size``, ``iterations`` or ``cost`` is not such a number.
        TypeError: ``encoder`` is not an encoder, or ``losses`` cannot be called.

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

    def __post_init__(self) -> None:
        size = whole_number("the size of a stage", self.size, SMALLEST_SIZE, hint=" pixels")
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "iterations", whole_number("the iterations of a stage", self.iterations, 1))
        object.__setattr__(self, "cost", number("the cost of a stage", self.cost, above=0))
        check_is_encoder(self.encoder)
        # A loss can be called as well, on feature maps.
        if self.losses is not None and (
            not callable(self.losses) or hasattr(self.losses, "forward") or not takes(self.losses, None)
        ):
            raise TypeError(
                "the losses of a stage are a function from the call's losses to those of the stage, such as "
                f"lambda losses: losses.scaled('style', 2), received {self.losses!r}"
            )


Schedule: TypeAlias = Callable[[int, "int | None"], Sequence[Stage]]
"""(longest side of the result in pixels, evaluations at that size or None) -> stages, the last of that size."""


def check_is_encoder(encoder: object) -> None:
    """Check that an argument may stand for an encoder: None, a network's name, or an object with ``layers``.

    Raises:
        TypeError: it may not; the message says how to make an encoder of a module.

    """
    if isinstance(encoder, type):
        received = f"the class {encoder.__name__}"
    elif encoder is None or isinstance(encoder, str) or (hasattr(encoder, "layers") and callable(encoder)):
        return
    else:
        received = type(encoder).__name__
    raise TypeError(
        f"an encoder is a network's name such as 'vgg19', or has `layers` and a call, received {received}; wrap a "
        "torch module of your own: ModuleExtractor(module)"
    )


def check_stages(stages: object, size: int) -> tuple[Stage, ...]:
    """Check what a schedule gives, and return it as a tuple.

    Args:
        stages: the list of a schedule.
        size: longest side of the result in pixels, which is that of the last stage.

    Raises:
        TypeError: ``stages`` is not a sequence of ``Stage``.
        ValueError: it is empty, or its last stage has another size.

    """
    wanted = f"a schedule gives a list such as [Stage({max(size // 2, SMALLEST_SIZE)}, 60), Stage({size}, 30)]"
    if not isinstance(stages, Sequence) or isinstance(stages, str):
        raise TypeError(f"{wanted}, received {stages!r}")
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


def encoder_name(encoder: Encoder | str) -> str:
    """Return the name by which messages call an encoder: that of its network, or its class."""
    if isinstance(encoder, str):
        return encoder
    names = (getattr(encoder, attribute, None) for attribute in ("network", "name"))
    return next((name for name in names if isinstance(name, str)), type(encoder).__name__)


def coarse_to_fine(size: int, iterations: int | None = None, *, smallest: int = 96) -> list[Stage]:
    r"""Halve the size down to ``smallest``, with the same number of evaluations at each size up to 1024 pixels.

    VGG-19's deepest style layer sees 156 pixels, so large strokes have to be laid while the picture is small. A
    coarser stage has a quarter of the pixels: all of them together take a third of the finest's time.

    Above 1024 pixels only fine grain is left to paint. A stage of s pixels has by default

    $$
    n(s) = \max\left(10,\; 60 \, (1024 / s)^2\right)
    $$

    evaluations: the work of 1024 pixels, until the floor of 10 is reached. All stages to 4096 pixels take less than 4
    times as long as all to 1024, in pixels times evaluations; beyond, the time grows with the pixels.

    Args:
        size: longest side of the result in pixels.
        iterations: evaluations at the final size; None: 60, or n(size) above 1024 pixels. If the result is larger than
            1024 pixels, the coarser stages have this number or n(s), whichever is more, down to the first of at most
            1024 pixels; from there on all have the same. So a few evaluations at the end leave the large strokes as
            they are in a smaller result.
        smallest: no coarser stage is smaller than this, in pixels.

    Raises:
        ValueError: ``size`` or ``iterations`` is not such a number.

    Example:
        ```python
        from neuralstyle import coarse_to_fine

        print(coarse_to_fine(512))
        print(coarse_to_fine(4096))
        ```

    After Gatys et al. 2017, arXiv 1611.07865, section 6; the paper of 2015 paints at a single size.

    """
    count = evaluations(iterations, _default_iterations(size))
    stages = [Stage(size, count)]
    while (coarser := stages[0].size // 2) >= smallest:
        stages.insert(0, Stage(coarser, max(count, _default_iterations(coarser)) if size > FULL_SIZE else count))
    return stages


def single_scale(size: int, iterations: int | None = None) -> list[Stage]:
    """Do the whole work at the final size, as the paper does; by default in 300 evaluations.

    Raises:
        ValueError: ``size`` or ``iterations`` is not such a number.

    Example:
        ```python
        from neuralstyle import Stage, single_scale

        assert single_scale(512) == [Stage(512, 300)]
        ```

    """
    return [Stage(size, evaluations(iterations, 300))]


def fine(size: int, iterations: int | None = None) -> list[Stage]:
    """Take three times the evaluations of ``coarse_to_fine`` at every size, for the last bit of quality.

    With ``iterations`` it is ``coarse_to_fine`` itself.

    Raises:
        ValueError: ``size`` or ``iterations`` is not such a number.

    Example:
        ```python
        from neuralstyle.schedule import fine

        assert [stage.iterations for stage in fine(256)] == [180, 180]
        ```

    """
    stages = coarse_to_fine(size, iterations)
    return stages if iterations is not None else times_default(stages, 3)


def times_default(stages: Sequence[Stage], factor: Fraction | int) -> list[Stage]:
    """Return the stages with their evaluations multiplied by ``factor`` and rounded up."""
    return [replace(stage, iterations=math.ceil(factor * stage.iterations)) for stage in stages]


def evaluations(received: int | None, default: int) -> int:
    """Return a number of evaluations, checked, or the default for None."""
    return default if received is None else whole_number("iterations", received, 1)


def _default_iterations(size: int) -> int:
    if size <= FULL_SIZE:
        return DEFAULT_ITERATIONS
    return max(FEWEST_ITERATIONS, round(DEFAULT_ITERATIONS * (FULL_SIZE / size) ** 2))
