"""The loop around a strategy: it counts evaluations, reports them, keeps a picture, and stops."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from neuralstyle._errors import unknown
from neuralstyle.optimizers.base import Evaluate, FromFactory, Optimizer, State, Strategy

Keep = Literal["best", "last", "average"]
"""Which picture a minimisation returns."""

KEEPS: tuple[Keep, ...] = get_args(Keep)
AVERAGE_DECAY = 0.99


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where a minimisation ended: the picture kept, the lowest loss met, and whether the watcher stopped it."""

    image: Tensor
    loss: float
    evaluations: int
    stopped: bool


def minimize(
    optimizer: Optimizer,
    image: Tensor,
    evaluate: Evaluate,
    evaluations: int,
    watch: Callable[[int, float, Tensor], bool] = lambda count, loss, kept: True,
    *,
    keep: Keep = "best",
    resume: State | None = None,
    pause: Callable[[State], None] = lambda state: None,
) -> Minimum:
    """Run an optimiser for a number of evaluations and return the best picture that it evaluated.

    Args:
        optimizer: a strategy such as ``LBFGS()``, or a function (image tensor) -> ``torch.optim.Optimizer``.
        image: the start, (1, 3, H, W) in [0, 1]; not changed.
        evaluate: picture -> (loss, gradient).
        evaluations: how many at most.
        watch: called after each with (count, loss, picture kept so far); False stops.
        keep: "best", the evaluated picture with the lowest loss; "last", where the last step ended; "average", the
            exponential running average of the pictures after each step, with a decay of 0.99.
        resume: a state that ``pause`` was given in another run of the same minimisation, to go on from there; the
            optimiser may change it in place.
        pause: called after each step but the last with the state, whose tensors the next step may change in place.
            What is continued therefore has at least one evaluation to make, and to show.

    Returns:
        The picture that ``keep`` says. An optimiser that converges ends earlier.

    Raises:
        Exception: whatever ``evaluate``, ``watch`` or ``pause`` raises, with the picture kept so far as its ``kept``
            attribute.

    """
    if not hasattr(optimizer, "walk") and not callable(optimizer):
        raise TypeError(f"an optimizer is LBFGS(), Adam() or a function of the image tensor, received {optimizer!r}")
    if keep not in KEEPS:
        raise unknown("keep", keep, KEEPS)
    strategy: Strategy = optimizer if hasattr(optimizer, "walk") else FromFactory(optimizer)
    kept, lowest, count, steps = image, math.inf, 0, 0
    unseen: list[float] = []  # the loss of an evaluation that the watcher has yet to hear of
    if resume is not None:
        kept, lowest, count, steps = (resume[name] for name in ("kept", "lowest", "count", "steps"))

    def report() -> None:
        if unseen and watch(count, unseen.pop(), kept) is False:
            raise _Stopped

    def counted(x: Tensor) -> tuple[float, Tensor]:
        nonlocal kept, lowest, count
        report()
        if count >= evaluations:
            raise _Enough
        loss, gradient = evaluate(x)
        count += 1
        if loss < lowest:
            lowest = loss
            if keep == "best":
                # A strategy may change its picture in place, so the best one is kept apart.
                kept = x.detach().clone()
        unseen.append(loss)
        # A state read from a file is contiguous; in another order in memory, sums are rounded differently.
        return loss, gradient.contiguous()

    stopped = False
    try:
        for state in strategy.walk(image.detach().contiguous(), counted, None if resume is None else resume["walk"]):
            steps += 1
            if keep == "last":
                kept = state["image"].clone()
            elif keep == "average":
                # Out of place: the watcher may have kept the one before.
                kept = kept + (state["image"] - kept) * ((1 - AVERAGE_DECAY) / (1 - AVERAGE_DECAY**steps))
            report()  # only now, so that the watcher sees what the step has come to
            if count < evaluations:
                pause({"walk": state, "kept": kept, "lowest": lowest, "count": count, "steps": steps})
        report()
    except _Stopped:
        stopped = True
    except _Enough:
        pass
    except BaseException as error:
        error.kept = kept  # type: ignore[attr-defined]
        raise
    return Minimum(kept, lowest, count, stopped)


class _Enough(Exception):  # noqa: N818 - a signal, not an error
    """The evaluations are used up."""


class _Stopped(Exception):  # noqa: N818 - likewise
    """The watcher said stop."""
