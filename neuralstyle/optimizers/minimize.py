"""The loop around a strategy: it counts and reports evaluations, keeps the result so far, and stops."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from neuralstyle._errors import is_ours, takes, whole_number
from neuralstyle._words import Result
from neuralstyle.machine.surroundings import plain_tensor, plain_torch
from neuralstyle.optimizers.base import Evaluate, Optimizer, State, Strategy
from neuralstyle.optimizers.strategies import as_strategy, check_result

MOST_IDLE_STEPS = 1000  # of a strategy in a row without an evaluation
AVERAGE_DECAY = 0.99  # of the running average, per step


@dataclass(frozen=True, eq=False)
class Minimum:
    """The end of a minimisation.

    Args:
        image: the picture that ``result`` selects.
        loss: the lowest loss of all evaluations.
        evaluations: number of evaluations.
        stopped: whether ``on_evaluation`` stopped the minimisation.

    """

    image: Tensor
    loss: float
    evaluations: int
    stopped: bool


@plain_torch()
def minimize(
    optimizer: Optimizer | str,
    image: Tensor,
    evaluate: Evaluate,
    evaluations: int,
    on_evaluation: Callable[[int, float, Tensor], bool] = lambda count, loss, kept: True,
    *,
    result: Result = "best",
    resume: State | None = None,
    on_step: Callable[[State], None] = lambda state: None,
) -> Minimum:
    """Run an optimiser for a number of evaluations, and return the picture that it found.

    The pictures of a strategy are checked: each has the shape of the start, and lies in [0, 1]. The range is checked at
    evaluations 1, 2, 4, 8, ... and the steps after them only, since each check waits for the accelerator.

    Args:
        optimizer: a strategy such as ``LBFGS()``, a name as in ``as_strategy``, or a function (image tensor) ->
            ``torch.optim.Optimizer``.
        image: the start, (1, 3, H, W) in [0, 1]; not changed.
        evaluate: picture -> (loss, gradient).
        evaluations: largest number of evaluations. An optimiser that converges makes fewer.
        on_evaluation: called after each with (count, loss, result so far); returning False stops.
        result: "best", the evaluated picture with the lowest loss; "last", the picture after the last step; "average",
            the exponential running average of the pictures after each step, with a decay of 0.99.
        resume: a state that ``on_step`` received in another run of this minimisation, to continue it. The optimiser may
            change it in place.
        on_step: called after each step but the last with the state, whose tensors the next step may change in place. So
            a resumed run always has work left.

    Returns:
        The picture that ``result`` selects, with the lowest loss and the number of evaluations.

    Raises:
        TypeError: ``optimizer`` is not an optimiser, or a strategy's step does not yield a dict with a tensor under
            "image".
        ValueError: an unknown result or name, or a strategy's picture of another shape or outside [0, 1].
        Exception: any exception of ``evaluate``, ``on_evaluation`` or ``on_step``, with the result so far as its
            attribute ``kept``.

    Example:
        ```python
        import torch
        from neuralstyle import LBFGS
        from neuralstyle.optimizers import minimize

        found = minimize(LBFGS(), torch.rand(1, 3, 8, 8), lambda x: (float(x.square().sum()), 2 * x), 20)
        assert found.loss < 0.1
        ```

    """
    strategy = as_strategy(optimizer)
    check_result(result)
    _check_start(image)
    image = plain_tensor(image)
    run = _Run(
        type(strategy).__name__, image, evaluate, whole_number("evaluations", evaluations, 1), on_evaluation, result
    )
    if resume is not None:
        run.resume(resume)
    try:
        for state in run.walk(strategy, None if resume is None else resume["walk"]):
            run.step(state)
            if run.count < evaluations:
                on_step({"walk": state, **run.state()})
        run.report()
        run.check_end()
    except _Enough:
        pass
    except _Stopped:
        return Minimum(run.kept, run.lowest, run.count, stopped=True)
    except _Failed as failed:
        failed.error.kept = run.kept  # type: ignore[attr-defined]
        raise failed.error from None
    except BaseException as error:
        error.kept = run.kept  # type: ignore[attr-defined]
        raise
    finally:
        run.forget_error()
    return Minimum(run.kept, run.lowest, run.count, stopped=False)


class _Run:
    """A running minimisation: counts and reports evaluations, keeps the result so far, and checks pictures."""

    def __init__(
        self,
        name: str,
        image: Tensor,
        evaluate: Evaluate,
        limit: int,
        on_evaluation: Callable[[int, float, Tensor], bool],
        result: Result,
    ) -> None:
        self._name, self._start = name, image
        self._evaluate, self._limit = evaluate, limit
        self._on_evaluation, self._result = on_evaluation, result
        self._unreported: float | None = None  # the loss of an evaluation
        self._looks_at_step = True  # whether the range of the next step's picture is checked
        self._failed: BaseException | None = None  # what ``evaluate`` has raised
        self._idle = 0  # steps since the last evaluation
        self.kept, self.lowest, self.count, self.steps = image, math.inf, 0, 0

    def resume(self, state: State) -> None:
        """Continue from the state of another run."""
        self.kept, self.lowest, self.count, self.steps = (state[name] for name in self.state())

    def state(self) -> State:
        """Return the state for ``resume``."""
        return {"kept": self.kept, "lowest": self.lowest, "count": self.count, "steps": self.steps}

    def evaluate(self, x: Tensor) -> tuple[float, Tensor]:
        """Evaluate a picture for the strategy."""
        if self._failed is not None:  # the strategy has not let it through
            raise _Failed(self._failed)
        try:
            self.report()
            if self.count >= self._limit:
                raise _Enough
            self._check(x, "evaluates", has_range=_is_power_of_two(self.count + 1))
            loss, gradient = _checked(self._evaluate(x), x)
        except BaseException as error:
            self._failed = error
            raise
        self.count += 1
        self._idle = 0
        self._looks_at_step |= _is_power_of_two(self.count)
        if loss < self.lowest:
            self.lowest = loss
            if self._result == "best":
                # A strategy may change its picture in place, so the best one is a copy.
                self.kept = x.detach().clone()
        self._unreported = loss
        # A state read from a file is contiguous; with another memory format, sums would be rounded differently.
        return loss, gradient.contiguous()

    def step(self, state: State) -> None:
        """Take note of a strategy's step."""
        if self._failed is not None:
            raise _Failed(self._failed)
        self._idle += 1
        if self._idle > MOST_IDLE_STEPS:
            raise ValueError(
                f"{self._name} has yielded {MOST_IDLE_STEPS} steps in a row without an evaluation; a strategy calls "
                "evaluate(x) -> (loss, gradient) at each step"
            )
        if not isinstance(state, dict) or not isinstance(state.get("image"), Tensor):
            raise TypeError(
                f"each step of a strategy yields a dict with its picture, a tensor, under 'image'; {self._name} yields "
                f"{_shown(state)}"
            )
        image: Tensor = state["image"].detach()
        self._check(image, "yields", has_range=self._looks_at_step)
        self._looks_at_step = False
        self.steps += 1
        if self._result == "last":
            self.kept = image.clone()
        elif self._result == "average":
            # Out of place, since ``on_evaluation`` may have kept the previous average.
            self.kept = self.kept + (image - self.kept) * ((1 - AVERAGE_DECAY) / (1 - AVERAGE_DECAY**self.steps))
        self.report()  # only now, so that the report includes the step

    def report(self) -> None:
        """Report an evaluation that has not been reported yet."""
        loss, self._unreported = self._unreported, None
        if loss is not None and self._on_evaluation(self.count, loss, self.kept) is False:
            raise _Stopped

    def walk(self, strategy: Strategy, state: State | None) -> Iterator[State]:
        """The steps of a strategy, which have to leave the start as it is."""
        start = self._start.detach().contiguous()
        if not callable(strategy.walk) or not takes(strategy.walk, start, self.evaluate, state):
            raise TypeError(
                f"walk of a strategy is a method walk(image, evaluate, state=None); that of {self._name} is "
                f"{strategy.walk!r}"
            )
        walk: object = strategy.walk(start, self.evaluate, state)
        if not isinstance(walk, Iterable) or isinstance(walk, (dict, str, Tensor)):
            raise TypeError(
                "walk of a strategy is a generator that yields its state after each step; "
                f"that of {self._name} returns {_shown(walk)}"
            )
        before = None if is_ours(strategy) else float(start.sum())
        for step in walk if state is None else self._continued(iter(walk)):
            if before is not None and not math.isnan(before) and before != float(start.sum()):
                raise ValueError(
                    f"{self._name} changes the start in place, which is the caller's picture; begin with image.clone()"
                )
            before = None  # once: what a strategy does to its start it does at its first step
            yield step

    def _continued(self, walk: Iterator[State]) -> Iterator[State]:
        """The steps of a walk from a state, which may come from a file that somebody else has written."""
        begun = self.count
        try:
            yield next(walk)
        except StopIteration:
            return
        except Exception as error:
            if self._failed is not None or self.count > begun:
                raise
            raise ValueError(
                f"{self._name} cannot continue from this state, which is not one of its own "
                f"({type(error).__name__}: {error}); start again without it"
            ) from error
        yield from walk

    def forget_error(self) -> None:
        """Let go of what ended the run: its traceback holds the frames of the run, and these all pictures in use."""
        self._failed = None

    def check_end(self) -> None:
        """Whether a strategy that has ended by itself has evaluated anything."""
        if self._failed is not None:
            raise _Failed(self._failed)
        if not self.count:
            raise ValueError(
                f"{self._name} has ended without an evaluation; a strategy calls evaluate(x) -> (loss, gradient) at "
                "each step"
            )

    def _check(self, image: Tensor, verb: str, *, has_range: bool) -> None:
        """Check a picture that a strategy evaluates or yields."""
        if not isinstance(image, Tensor):
            raise TypeError(f"{self._name} {verb} {_shown(image)}; a strategy {verb} pictures, tensors like its start")
        if image.shape != self._start.shape:
            raise ValueError(
                f"{self._name} {verb} a picture of shape {tuple(image.shape)}; the shape of its start is "
                f"{tuple(self._start.shape)}, and all pictures of a strategy have that"
            )
        if _kind(image) != _kind(self._start):
            raise ValueError(
                f"{self._name} {verb} a picture of {_kind(image)}; its start is of {_kind(self._start)}, and all "
                "pictures of a strategy are"
            )
        if has_range:
            low, high = _range(image)
            if low < 0 or high > 1:  # false for NaN, which the objective reports
                if min(_range(self._start)) < 0 or max(_range(self._start)) > 1:
                    raise ValueError(
                        "the start of a minimisation lies in [0, 1], and this one does not; apply clamp(0, 1)"
                    )
                raise ValueError(
                    f"{self._name} {verb} a picture in [{low:.4g}, {high:.4g}]; all pictures of a strategy lie in "
                    "[0, 1], so apply clamp(0, 1) to it first"
                )


def _check_start(image: Tensor) -> None:
    """Whether a minimisation can start at something."""
    what = "the start of a minimisation is a dense floating tensor in [0, 1]"
    if not isinstance(image, Tensor):
        raise TypeError(f"{what}, received {_shown(image)}")
    if (
        image.layout != torch.strided
        or image.is_meta
        or not image.is_floating_point()
        or image.element_size() < 2
        or not image.numel()
    ):
        raise ValueError(f"{what}, received one of {_kind(image)}")


def _checked(found: Any, x: Tensor) -> tuple[float, Tensor]:
    """What ``evaluate`` has returned, if it is a loss and a gradient."""
    rule = "evaluate returns a pair, the loss as a number and the gradient as a tensor of the picture's shape"
    if not isinstance(found, tuple) or len(found) != 2:
        raise TypeError(f"{rule}, received {_shown(found)}")
    loss, gradient = found
    if isinstance(loss, Tensor) or not isinstance(loss, Real):
        raise TypeError(f"{rule}, received {_shown(loss)} as the loss; give float(loss)")
    if not isinstance(gradient, Tensor) or gradient.shape != x.shape:
        shape = f"one of shape {tuple(gradient.shape)}" if isinstance(gradient, Tensor) else _shown(gradient)
        raise TypeError(f"{rule}, {tuple(x.shape)}, received {shape} as the gradient")
    return loss, gradient  # type: ignore[return-value]


def _kind(image: Tensor) -> str:
    """The dtype, layout and device of a tensor in words."""
    layout = "" if image.layout == torch.strided else f" {image.layout}"
    return f"{image.dtype}{layout} on {str(image.device)!r}"


def _is_power_of_two(count: int) -> bool:
    return count & (count - 1) == 0


def _range(image: Tensor) -> tuple[float, float]:
    """Return the lowest and the highest value of a picture, in one transfer from its device."""
    low, high = torch.stack(image.detach().aminmax()).tolist()
    return low, high


def _shown(thing: object) -> str:
    """Describe a wrong object in a few words, for messages."""
    if isinstance(thing, dict):
        return f"a dict with {', '.join(map(repr, thing)) or 'nothing'}"
    return "None" if thing is None else f"a {type(thing).__name__}"


class _Signal(BaseException):  # not an error, and not caught by a strategy's ``except Exception``
    pass


class _Enough(_Signal):
    """All evaluations have been made."""


class _Stopped(_Signal):
    """``on_evaluation`` said stop."""


class _Failed(_Signal):
    """``evaluate`` has raised an error that the strategy did not let through."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
