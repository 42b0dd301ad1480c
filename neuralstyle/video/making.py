"""Making a film: scan the clip, paint scene after scene into a folder, and write the film from there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from neuralstyle import distributed
from neuralstyle._stopping import stopping
from neuralstyle.files import holding
from neuralstyle.images import Size, fit_size, load_image, longest_side, resize_image
from neuralstyle.painting.resume import settings_of
from neuralstyle.video.clips import Clip, Finished, Target
from neuralstyle.video.flow import Flow
from neuralstyle.video.painters import Painter
from neuralstyle.video.progress import FilmCallback, FilmRun
from neuralstyle.video.scan import Part, Scan, even, scan
from neuralstyle.video.scenes import SceneTask, paint_scene
from neuralstyle.video.work import Work, beside


class Executor(Protocol):
    """Whatever runs a function elsewhere, such as those of ``concurrent.futures``."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any:
        """Have a function called; what is returned has ``result()``."""


@dataclass(frozen=True, eq=False)
class Job:
    """What a film is made of, whatever paints its frames.

    Attributes:
        clip: the clip that is read.
        target: the clip that is written.
        part: the part of the clip.
        size: the size at which frames are painted.
        flow: the optical flow; None: frames are painted on their own.
        references: how many frames before a frame each of its references is.
        passes: how often each scene is gone through.
        state: the folder of finished frames; None: beside the film, and removed with the last one.
        overwrite: whether what exists may be replaced.
        executor: where scenes are painted; None: here, one after the other.
        callback: called after each frame.
        progress: whether to show a progress bar.

    """

    clip: Clip
    target: Target
    part: Part
    size: Size
    flow: Flow | None
    references: tuple[int, ...]
    passes: int
    state: Path | None
    overwrite: bool
    executor: Executor | None
    callback: FilmCallback | None
    progress: bool


def make_film(job: Job, begin: Callable[[Tensor, tuple[int, int]], tuple[Painter, Mapping[str, Any]]]) -> Path:
    """Make a film.

    Args:
        job: the job.
        begin: from the first frame, at its size, to the painter and the settings that a continued film has to share. It
            refuses what can be refused.

    Returns:
        The path of the film.

    """
    distributed.check()
    work = Work(beside(job.target.path) if job.state is None else job.state)
    work.check()
    # A run that was killed at the very end has left its film; its settings are compared before that is replaced.
    job.target.check(job.clip, job.overwrite or work.is_begun)
    with holding(job.target.path):
        found = scan(job.clip, job.part)
        shape = shape_of(found.shape, job.size, job.target.multiple)
        first = next(frame for place, frame in enumerate(job.clip.frames()) if place == found.moments[0].number)
        painter, settings = begin(resize_image(load_image(first.picture()), shape), shape)
        work.begin(_settings(job, found, shape, settings))
        tasks = [
            SceneTask(job.clip, moments, shape, painter, job.flow, job.references, job.passes, work.folder)
            for moments in found.scenes
        ]
        _paint(job, tasks, work, found)
        with stopping.shield():
            job.target.write(_finished(job, found, work), job.clip, found.start, found.end)
        if job.state is None:
            work.remove()
    return job.target.path


def shape_of(shape: tuple[int, int], size: Size, multiple: int) -> tuple[int, int]:
    """Return the (height, width) at which frames of a shape are painted."""
    return even(fit_size(*shape, longest_side(size, *shape)), multiple)


def _settings(job: Job, found: Scan, shape: tuple[int, int], settings: Mapping[str, Any]) -> dict[str, str]:
    """The settings that a continued film has to share, as text."""
    own = {
        "clip": found.fingerprint,
        "scenes": [len(scene) for scene in found.scenes],
        "frame size": shape,
        "flow": job.flow,
        "references": job.references,
    }
    return settings_of({**settings, **own})


def _paint(job: Job, tasks: list[SceneTask], work: Work, found: Scan) -> None:
    """Paint all scenes, here or elsewhere."""
    total = len(found.moments) * job.passes
    unopened = [not work.passed(task.moments[0].number, 1) for task in tasks]
    openings = sum(unopened) if job.executor is None else None
    run = FilmRun(total, _painted(job, found, work), len(tasks), openings, job.callback, job.progress)
    try:
        if job.executor is None:
            for task, opens in zip(tasks, unopened, strict=True):
                run.begin(opens)
                paint_scene(task, run.add)
                if run.stopped:
                    return
        else:
            _paint_elsewhere(job.executor, tasks, run, work)
    except KeyboardInterrupt as error:
        done, of_passes = _painted(job, found, work), f" of {job.passes} passes" if job.passes > 1 else ""
        words = f"stopped; {done} of {total} frames{of_passes} are in {work.folder}"
        words += ", and the same call goes on from there"
        error.args = (words,)
        raise
    finally:
        run.close()


def _paint_elsewhere(executor: Executor, tasks: list[SceneTask], run: FilmRun, work: Work) -> None:
    """Paint scenes over an executor, each once more if its worker dies."""
    waiting = [(task, executor.submit(paint_scene, task)) for task in tasks]
    for task, handle in waiting:
        stopping.check()
        try:
            count = handle.result()
        except Exception as error:
            lost = [moment for moment in task.moments if not work.has(moment.number, task.passes)]
            if lost and isinstance(error, (ValueError, TypeError, ArithmeticError)):
                raise
            count = paint_scene(task)  # what is finished is kept
        if count and not run.add(partial(work.load, task.moments[-1].number, task.passes), count):
            return


def _painted(job: Job, found: Scan, work: Work) -> int:
    """The number of finished frames, each counted in every pass."""
    return sum(work.passed(moment.number, job.passes) for moment in found.moments)


def _finished(job: Job, found: Scan, work: Work) -> Iterator[Finished]:
    """The painted frames with their times, up to the first that is missing, as after a callback that said stop."""
    for moment in found.moments:
        passes = work.passed(moment.number, job.passes)
        if not passes:
            return
        image = work.load(moment.number, passes)
        yield Finished(moment.time, moment.duration, image, job.clip.name(moment.number))
