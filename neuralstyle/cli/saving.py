"""What the commands that paint have in common: check the outputs, plan, paint, save."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from neuralstyle import distributed
from neuralstyle._errors import whole_number
from neuralstyle._stopping import stopping
from neuralstyle.callbacks import LossLog, SavePictures, check_plot, plot_losses
from neuralstyle.cli import paths
from neuralstyle.cli.arguments import painting_arguments
from neuralstyle.cli.options import has_state
from neuralstyle.cli.outcome import FAILED, exit_code, one_line
from neuralstyle.cli.printing import note, report, say
from neuralstyle.cli.settings import settings_of
from neuralstyle.files import holding, somewhere
from neuralstyle.images import check_output, save_image
from neuralstyle.painting.paint import paint
from neuralstyle.painting.plan import Plan
from neuralstyle.painting.progress import Progress

NEEDED = {"plot": "log", "snapshots_every": "snapshots", "state_every": "state"}


def save(
    options: argparse.Namespace,
    make: Callable[..., Plan],
    recipe: Mapping[str, Any],
    profile: str | None = None,
) -> int:
    """Check the outputs, plan, paint, save; on Ctrl-C or an error midway save the best picture so far.

    With ``--dry-run`` the plan is printed, and nothing is painted or written.

    Args:
        options: the parsed options.
        make: from keyword arguments to a plan.
        recipe: "losses", and what else the command's defaults are replaced by.
        profile: the picture whose colour profile the result gets.

    Returns:
        The exit code.

    """
    form: dict[str, Any] = {"depth": options.depth, "profile": profile, "dpi": options.dpi}
    watchers: list[Any] = []
    if distributed.is_writer():
        check_output(options.output, overwrite=True, **form)  # whether it may exist, the gate has asked
        watchers = _callbacks(options)
    arguments, notes = painting_arguments(options, recipe)
    planned = make(**arguments)
    planned = replace(planned, notes=(*notes, *planned.notes))
    made_by = settings_of(options, recipe) if distributed.is_writer() else None
    # Only the state of this very run excuses files that exist; the gate did not know the settings yet.
    continues = planned.continues
    if distributed.is_writer() and has_state(options) and not continues:
        paths.check(options.command, options, may_continue=False)
    if options.dry_run:
        return _show(options, planned)
    stopping.begin()
    if not distributed.is_writer():
        paint(planned)
        return 0
    started = time.monotonic()
    form |= {"overwrite": options.overwrite or continues}  # a run that was stopped has left its picture
    with holding(options.output), stopping.shield():  # a second Ctrl-C does not break the saving after the first
        end = _paint(planned, watchers, wants_exact=options.depth > 8)
        unfinished = None if end.reason == "finished" else end.error or "stopped"
        settings = None if made_by is None else replace(made_by, unfinished=unfinished).note()
        end, saved = _save(end, options.output, {**form, "quality": options.quality, "note": settings})
        if options.plot is not None and end.progress is not None:
            plot_losses(options.log, options.plot, overwrite=True)
        if options.state is not None and not end.code:
            Path(options.state).unlink(missing_ok=True)
        _report(options, end, saved, time.monotonic() - started)
    return end.code


@dataclass(frozen=True)
class _End:
    """How a painting has ended.

    Attributes:
        image: the picture.
        exact: the same before it is rounded to 8 bits, or None.
        progress: that of the last evaluation, or None without one.
        reason: "finished"; "stopped"; "error"; or "elsewhere", if the picture cannot be saved where it was to be.
        error: the message of the error, or None.
        code: the exit code.

    """

    image: Image.Image
    exact: Tensor | None
    progress: Progress | None
    reason: str
    error: str | None
    code: int


def _show(options: argparse.Namespace, planned: Plan) -> int:
    estimate = planned.estimate()
    if distributed.is_writer():
        last = planned.stages[-1]
        facts = {"reason": "planned", "exit_code": 0, "width": last.width, "height": last.height, **asdict(estimate)}
        report(options, f"{planned}\n{estimate}", facts)
    return 0


def _paint(planned: Plan, watchers: list[Any], wants_exact: bool) -> _End:
    """Paint; after Ctrl-C or an error midway, the end has the picture so far."""
    latest: list[Progress] = []
    reason, code, error = "finished", 0, None
    try:
        with stopping.exposed():
            image = paint(planned, callback=[*watchers, lambda progress: latest.__setitem__(slice(None), [progress])])
    except BaseException as raised:
        if not latest and not hasattr(raised, "image"):
            raise
        image = raised.image if hasattr(raised, "image") else planned.picture(latest[0].tensor())
        if isinstance(raised, KeyboardInterrupt) or stopping.code is not None:
            reason, code = "stopped", stopping.code or exit_code(raised)
        else:
            reason, code, error = "error", FAILED, one_line(raised)
    progress = latest[0] if latest else None
    # Stopped at a coarser stage, the exact picture is smaller.
    exact = planned.stages[-1].resized(progress.tensor()) if progress and wants_exact else None
    return _End(image, exact, progress, reason, error, code)


def _save(end: _End, output: str, form: Mapping[str, Any]) -> tuple[_End, Path]:
    """Save the picture, or save it elsewhere if that fails now; return the end and the place."""
    picture = end.image if end.exact is None else end.exact
    place, failure = somewhere(partial(save_image, picture, **form), output, "picture")
    if failure is not None:
        reason = end.reason if end.code else "elsewhere"
        end = replace(end, reason=reason, error=end.error or one_line(failure), code=end.code or FAILED)
    return end, place


def _report(options: argparse.Namespace, end: _End, saved: Path, seconds: float) -> None:
    """Say where the picture is, and after an early end how to go on."""
    if end.code:
        goes_on = has_state(options)
        more = f"; the same command goes on from {options.state}" if goes_on else ""
        why = "stopped" if end.error is None else f"error: {end.error}"
        note(f"{why}; the {'picture' if end.reason == 'elsewhere' else 'best picture so far'} is in {saved}{more}")
    facts: dict[str, Any] = {"reason": end.reason, "exit_code": end.code, "output": str(saved)}
    facts |= {"width": end.image.width, "height": end.image.height, "seconds": round(seconds, 3)}
    if end.progress is not None:
        facts |= {"iterations": end.progress.iteration, "loss": end.progress.loss, "terms": end.progress.terms}
    if end.error is not None:
        facts["message"] = end.error
    report(options, f"{saved}: {end.image.width} x {end.image.height} pixels, {seconds:.0f} s", facts)


def _callbacks(options: argparse.Namespace) -> list[Any]:
    """What is called after each evaluation, checked before the work.

    Raises:
        ValueError: an option without another that it needs.
        OSError: a file that exists, or cannot be written.

    """
    for option, needed in NEEDED.items():
        if getattr(options, option) is not None and getattr(options, needed) is None:
            raise ValueError(f"--{option.replace('_', '-')} needs --{needed}; give both or neither")
    is_resuming = has_state(options)
    overwrite = options.overwrite or is_resuming
    found: list[Any] = []
    if options.snapshots is not None:
        every = {} if options.snapshots_every is None else {"every": options.snapshots_every}
        found.append(SavePictures(options.snapshots, overwrite=overwrite, **every))
    if options.log is not None:
        found.append(LossLog(options.log, options.overwrite, resume=is_resuming))
    if options.plot is not None:
        check_plot()
        check_output(options.plot, overwrite=True)
    if options.print_every is not None:
        found.append(_printer(whole_number("--print-every", options.print_every, 1), options))
    if options.stop_after is not None:
        last = whole_number("--stop-after", options.stop_after, 1)
        found.append(lambda progress: progress.iteration < last)
    return found


def _printer(every: int, options: argparse.Namespace) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.iteration % every == 0 or progress.iteration == progress.total:
            terms = "  ".join(f"{name} {value:.6g}" for name, value in progress.terms.items())
            say(f"{progress.iteration:5d}  {progress.size} px  loss {progress.loss:.6g}  {terms}", options)

    return report
