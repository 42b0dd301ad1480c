"""What the commands that paint have in common: check the outputs, plan, paint, save."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm.auto import tqdm

from neuralstyle import distributed
from neuralstyle._errors import whole_number
from neuralstyle.callbacks import LossLog, SavePictures, check_plot, plot_losses
from neuralstyle.cli.arguments import painting_arguments
from neuralstyle.cli.options import has_state
from neuralstyle.cli.outcome import FAILED, INTERRUPTED, one_line
from neuralstyle.files import elsewhere, holding
from neuralstyle.images import check_output, resize_image, save_image
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
    form: dict[str, Any] = {"depth": options.depth, "profile": profile}
    watchers: list[Any] = []
    if distributed.is_writer():
        check_output(options.output, overwrite=True, **form)  # whether it may exist, the gate has asked
        watchers = _callbacks(options)
    arguments, notes = painting_arguments(options, recipe)
    planned = make(**arguments)
    planned = replace(planned, notes=(*notes, *planned.notes))
    if options.dry_run:
        return _show(planned)
    if not distributed.is_writer():
        paint(planned)
        return 0
    started = time.monotonic()
    overwrite = options.overwrite or has_state(options)  # a run that was stopped has left its picture
    with holding(options.output):
        image, exact, code = _paint(planned, watchers, options)
        form |= {"overwrite": overwrite, "quality": options.quality}
        place, code = _save(image if exact is None else exact, options.output, form, code)
    if options.plot is not None:
        plot_losses(options.log, options.plot, overwrite=True)
    if options.state is not None and not code:
        Path(options.state).unlink(missing_ok=True)
    print(f"{place}: {image.width} x {image.height} pixels, {time.monotonic() - started:.0f} s")
    return code


def _save(image: Any, output: str, form: Mapping[str, Any], code: int) -> tuple[Path, int]:
    """Save a picture, or save it elsewhere if that fails now; return the place and the exit code."""
    try:
        return save_image(image, output, **form), code
    except OSError as error:
        place = save_image(image, elsewhere(output), **form)
        print(f"neuralstyle: error: {one_line(error)}; the picture is in {place}", file=sys.stderr)
        return place, FAILED


def _show(planned: Plan) -> int:
    estimate = planned.estimate()
    if distributed.is_writer():
        print(planned)
        print(estimate)
    return 0


def _paint(planned: Plan, watchers: list[Any], options: argparse.Namespace) -> tuple[Image.Image, Any, int]:
    """The picture, the same before it is rounded to 8 bits where more are wanted, and the exit code."""
    latest: list[Progress] = []
    code = 0
    try:
        image = paint(planned, callback=[*watchers, lambda progress: latest.__setitem__(slice(None), [progress])])
    except BaseException as error:
        if not isinstance(getattr(error, "image", None), Image.Image):
            raise
        image = error.image  # type: ignore[attr-defined]
        code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else 2
        reason = "stopped" if code == INTERRUPTED else f"error: {one_line(error)}"
        print(f"neuralstyle: {reason}; the best picture so far is in {options.output}", file=sys.stderr)
    full = latest[0].tensor() if latest and options.depth > 8 else None
    # Stopped at a coarser stage, it is smaller.
    return image, None if full is None else resize_image(full, (image.height, image.width)), code


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
        found.append(_printer(whole_number("--print-every", options.print_every, 1)))
    return found


def _printer(every: int) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.iteration % every == 0 or progress.iteration == progress.total:
            terms = "  ".join(f"{name} {value:.6g}" for name, value in progress.terms.items())
            tqdm.write(f"{progress.iteration:5d}  {progress.size} px  loss {progress.loss:.6g}  {terms}")

    return report
