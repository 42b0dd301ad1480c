"""Tasks: one picture each, files in and files out. A task is small, can be pickled and may run twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from neuralstyle._stopping import stopping
from neuralstyle.files import holding
from neuralstyle.images import check_output, pixel_limit, save_image
from neuralstyle.machine.keeping import Kept, keeping
from neuralstyle.many.executors import Executor
from neuralstyle.many.running import run_tasks
from neuralstyle.many.settings import Settings, digest, read_settings
from neuralstyle.painting.paint import paint
from neuralstyle.painting.plan import plan
from neuralstyle.painting.progress import Progress
from neuralstyle.styles import Style

KEPT = Kept()
"""What this process keeps from one task to the next: encoders, paintings and their targets."""


@dataclass(frozen=True)
class Task:
    """A picture to be painted.

    Args:
        picture: the file of the photograph.
        styles: the paintings, whose pictures are files.
        output: the file of the result; its folder is created.
        make: returns the options of ``plan``; called in the worker.
        settings: what made the picture, without the digests of its content and styles.
        form: "depth", "quality", "dpi" and "overwrite" of ``save_image``.
        keep_profile: whether the result has the photograph's colour profile.
        skip_existing: whether a result that was painted with these settings is left as it is.
        most_pixels: the limit of the pictures that are read; None: the default.

    """

    picture: Path
    styles: tuple[Style, ...]
    output: Path
    make: Callable[[], Mapping[str, Any]]
    settings: Settings
    form: Mapping[str, Any] = field(default_factory=dict)
    keep_profile: bool = False
    skip_existing: bool = False
    most_pixels: int | None = None

    def __str__(self) -> str:
        return str(self.picture)


@dataclass(frozen=True)
class Result:
    """What became of a picture.

    Attributes:
        picture: the file of the photograph.
        output: the file of the result.
        status: "painted"; "skipped": it was there; or "failed".
        reason: in one line why it failed or was skipped, or None.
        lost: in one line why it was painted twice, such as a worker that died, or None.
        seconds: the time that it took.
        start: the part of it before the first evaluation, which is longer for the first picture of a process.

    """

    picture: Path
    output: Path
    status: Literal["painted", "skipped", "failed"]
    reason: str | None = None
    lost: str | None = None
    seconds: float = 0.0
    start: float = 0.0


def paint_task(task: Task) -> Result:
    """Paint the picture of a task and save it.

    Raises:
        ValueError: a picture or an option that cannot be used.
        OSError: a file that exists and was not painted with these settings, or cannot be read or written.

    """
    started = time.monotonic()
    with keeping(KEPT), _limit(task.most_pixels):
        styles = tuple(digest(style.image) for style in task.styles)
        settings = replace(task.settings, content=digest(task.picture), styles=styles)
        try:
            with holding(task.output):
                form = task.form
                skipped = why_skipped(
                    task.output, settings, form.get("overwrite", False), task.skip_existing, form.get("depth", 8)
                )
                start = _paint(task, settings) if skipped is None else 0.0
        except BlockingIOError as error:
            if not task.skip_existing:
                raise
            skipped, start = str(error), 0.0
    status: Literal["painted", "skipped"] = "painted" if skipped is None else "skipped"
    return Result(task.picture, task.output, status, skipped, seconds=time.monotonic() - started, start=start)


def why_skipped(output: Path, settings: Settings, overwrite: bool, skip_existing: bool, depth: int = 8) -> str | None:
    """Say why a picture need not be painted, or None; then its folder is there.

    Raises:
        FileExistsError: the result exists, and may not be replaced.
        OSError: it cannot be written.

    """
    if output.exists() and skip_existing:
        difference = settings.difference(_settings_in(output))
        if difference is None:
            return "it was painted before with these settings"
        if not overwrite:
            raise FileExistsError(
                f"{output} {difference}; pass overwrite=True (--overwrite) to replace it, or give another folder"
            )
    output.parent.mkdir(parents=True, exist_ok=True)
    check_output(output, overwrite, depth=depth)
    return None


def _settings_in(path: Path) -> dict[str, Any] | None:
    try:
        return read_settings(path)
    except ValueError:
        return None


def _paint(task: Task, settings: Settings) -> float:
    """Paint and save, and return the seconds until the first evaluation was made."""
    profile = task.picture if task.keep_profile else None
    latest: list[Progress] = []
    begun, times = time.monotonic(), list[float]()

    def keep(progress: Progress) -> None:
        latest[:] = [progress]
        times[:] = times or [time.monotonic() - begun]

    planned = plan(task.picture, list(task.styles), **{**task.make(), "progress": False})
    image = paint(planned, callback=keep)
    exact = None
    if task.form.get("depth", 8) > 8 and latest:
        exact = planned.stages[-1].resized(latest[0].tensor())
    with stopping.shield():
        save_image(image if exact is None else exact, task.output, profile=profile, note=settings.note(), **task.form)
    return times[0] if times else 0.0


def _limit(most: int | None) -> AbstractContextManager[None]:
    return nullcontext() if most is None else pixel_limit(most)


class Results(Iterator[Result]):
    """The results of many pictures, as they come; ``len`` is the number of all of them.

    Args:
        function: paints the picture of a task, and may raise why it cannot.
        tasks: each with "picture" and "output".
        executor: as in ``run_tasks``.

    """

    def __init__(self, function: Callable[[Any], Result], tasks: Sequence[Any], executor: Executor | None) -> None:
        self._total = len(tasks)
        self._results = _results(function, tasks, executor)

    def __len__(self) -> int:
        return self._total

    def __next__(self) -> Result:
        return next(self._results)

    def close(self) -> None:
        """Stop the work: what has not begun is not painted."""
        self._results.close()


def _results(
    function: Callable[[Any], Result], tasks: Sequence[Any], executor: Executor | None
) -> Generator[Result, None, None]:
    done = 0
    try:
        for answer in run_tasks(function, tasks, executor):
            done += 1
            if answer.value is not None:
                yield replace(answer.value, lost=answer.lost)
            else:
                yield Result(answer.task.picture, answer.task.output, "failed", answer.error, answer.lost)
    except KeyboardInterrupt as error:
        error.args = error.args or (f"stopped; {done} of {len(tasks)} pictures are done",)
        raise
    finally:
        KEPT.clear()
