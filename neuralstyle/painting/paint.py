"""Painting a plan: the picture is optimised stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PIL import Image
from torch import Tensor

from neuralstyle._errors import brief
from neuralstyle._stopping import interruptible, rescue, stopping
from neuralstyle.checkpoint import held
from neuralstyle.encoders.base import on_encoder
from neuralstyle.machine.surroundings import plain_torch
from neuralstyle.optimizers.base import State
from neuralstyle.optimizers.minimize import Minimum, minimize
from neuralstyle.painting.plan import Plan, as_callbacks
from neuralstyle.painting.progress import Callback, Run
from neuralstyle.painting.resume import RunState

_last_image: Image.Image | None = None


def last_image() -> Image.Image:
    """Return the picture that this process has painted last, finished or not.

    In a notebook this is where the picture is after ``image = stylize(...)`` was interrupted or has failed.

    Raises:
        LookupError: nothing has been painted yet.

    Example:
        ```python
        from neuralstyle import last_image, samples, stylize

        stylize(samples.photo(), samples.painting("swirl"), size=64, iterations=2)
        assert max(last_image().size) == 64
        ```

    """
    if _last_image is None:
        raise LookupError("nothing has been painted in this process yet")
    return _last_image


@interruptible
@plain_torch()
def paint(plan: Plan, *, callback: Callback | Sequence[Callback] | None = None) -> Image.Image:
    """Paint a plan.

    Args:
        plan: the plan, from ``plan``.
        callback: one callback or several, called after those of the plan.

    Returns:
        An 8-bit RGB picture; RGBA if the content is transparent somewhere.

    Raises:
        ValueError: the state file now belongs to another run, a mask or region does not suit a loss, or a loss or an
            encoder breaks its contract.
        BlockingIOError: another process uses the state file.
        FloatingPointError: a loss is not finite; the message names it.
        Exception: any exception after the first evaluation, KeyboardInterrupt too, has the result so far as its
            attribute ``image``.

    Example:
        ```python
        from neuralstyle import paint, plan, samples

        image = paint(plan(samples.photo(), samples.painting("swirl"), size=64, iterations=2))
        assert max(image.size) == 64
        ```

    """
    if not isinstance(plan, Plan):
        raise TypeError(f"a plan to paint is what plan(content, style, ...) returns, received {brief(plan)}")
    with held(None if plan.state is None else plan.state.path):
        return _paint(plan, [*plan.callbacks, *as_callbacks(callback)])


def _paint(plan: Plan, callbacks: Sequence[Callback]) -> Image.Image:
    """Paint a plan, from its state if there is one."""
    state = RunState(plan.state, plan.settings() if plan.state else {}, plan.start.device)
    run = Run(plan.stages, callbacks, plan.progress, plan.render, plan.notes, plan.tile)
    image, saved = plan.start, state.found
    if saved is not None:
        run.resume(saved["iteration"], saved["elapsed"])
        image = saved["minimum"]["kept"]  # the result so far, for an error before the next evaluation
    try:
        for number in range(0 if saved is None else saved["stage"], len(plan.stages)):
            found = _paint_stage(plan, number, image, run, state, None if saved is None else saved["minimum"])
            image, saved = found.image, None
            if found.stopped:
                break
    except BaseException as error:
        if run.iteration:
            error.image = rescue(partial(_picture, plan, getattr(error, "kept", image)))  # type: ignore[attr-defined]
            if isinstance(error, KeyboardInterrupt) and not error.args:
                where = "neuralstyle.last_image() is the picture so far"
                error.args = (f"stopped after {run.iteration} evaluations; {where}",)
        raise
    finally:
        run.close()
    return _picture(plan, image)


def _picture(plan: Plan, image: Tensor) -> Image.Image:
    """The result, which ``last_image`` returns too."""
    global _last_image
    _last_image = plan.picture(image)
    return _last_image


def _paint_stage(plan: Plan, number: int, image: Tensor, run: Run, state: RunState, resume: State | None) -> Minimum:
    """Minimise the objective of a stage, from a picture or from a state within the stage."""
    stage = plan.stages[number]
    image = on_encoder(stage.encoder, stage.resized(image))
    objective = stage.objective(plan.content, plan.styles, plan.tile, plan.opacity)
    run.enter(number, 0 if resume is None else resume["count"])

    def evaluate(x: Tensor) -> tuple[float, Tensor]:
        stopping.check()
        loss, gradient = run.record(objective.evaluate(x, on_tile=run.on_tile))
        return loss, plan.constrained(gradient)

    def save(minimum: State) -> None:
        found = {"stage": number, "iteration": run.iteration, "elapsed": run.elapsed, "minimum": minimum}
        try:
            state.save_if_due(found)
        except TypeError as error:
            raise TypeError(f"{type(stage.optimizer).__name__} yields a state that cannot be saved: {error}") from error

    return minimize(
        stage.strategy,
        image,
        evaluate,
        stage.iterations,
        run.on_evaluation,
        result=stage.result,
        resume=resume,
        on_step=save,
    )
