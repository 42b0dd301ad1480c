"""Scenes: the frames between two cuts, painted one after the other, in one pass or several.

Scenes need nothing of each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image
from torch import Tensor

from neuralstyle._stopping import stopping
from neuralstyle.images import load_image, resize_image, to_pil
from neuralstyle.machine.surroundings import plain_torch
from neuralstyle.video.clips import Clip
from neuralstyle.video.flow import Flow
from neuralstyle.video.painters import Painter, Scene
from neuralstyle.video.references import RIPE_AFTER, Painted, WarpedFrame, coverage, painted_from, warped_frames
from neuralstyle.video.scan import Moment
from neuralstyle.video.work import Work

RESTART = 0.05
"""Share of a frame below which earlier frames are no help, as after a cut that was not found."""

HELD_BYTES = 2**28
"""Bytes of frames that are read at a time for a pass backwards, since clips are read forwards."""


@dataclass(frozen=True, eq=False)
class SceneTask:
    """All that a process needs to paint a scene: files in, files out. It may run twice.

    Attributes:
        clip: the clip.
        moments: the frames of the scene.
        shape: (height, width) at which they are painted.
        painter: how.
        flow: the optical flow; None: every frame is painted on its own.
        references: how many frames before a frame each of its references is.
        passes: how often the scene is gone through: forwards, backwards, forwards and so on.
        folder: where the finished frames are.

    """

    clip: Clip
    moments: tuple[Moment, ...]
    shape: tuple[int, int]
    painter: Painter
    flow: Flow | None
    references: tuple[int, ...]
    passes: int
    folder: Path


def paint_scene(task: SceneTask, on_frame: Callable[[Callable[[], Image.Image]], bool] = lambda image: True) -> int:
    """Paint the frames of a scene that are not finished yet, and return their number, each counted in every pass.

    Args:
        task: the scene.
        on_frame: called after each frame that was painted, with a function that returns it; False stops.

    """
    work, painted = Work(task.folder), 0
    scene: Scene | None = None
    for passes in range(1, task.passes + 1):
        earlier: deque[Painted] = deque(maxlen=max(task.references))
        backwards = passes % 2 == 0
        if all(work.has(moment.number, passes) for moment in task.moments):
            continue
        for moment, content in _contents(task, backwards=backwards):
            stopping.check()
            scene = task.painter(_begin(task) if backwards else content) if scene is None else scene
            frames = _earlier(content, earlier, task)
            if not work.has(moment.number, passes):
                if passes > 1:
                    result = scene.again(content, load_image(work.load(moment.number, passes - 1)), frames)
                else:
                    result = scene.next(content, frames) if frames else scene.first(content)
                work.save(moment.number, to_pil(result), passes)
                painted += 1
                if not on_frame(partial(work.load, moment.number, passes)):
                    return painted
            if task.flow is not None:
                # The result is that of the file, so that a film that goes on has the same.
                result = load_image(work.load(moment.number, passes))
                ripening = 1 / RIPE_AFTER if passes == 1 else 1
                earlier.appendleft(painted_from(frames, content, result, holds=scene.holds, ripening=ripening))
    return painted


@plain_torch()
def _earlier(content: Tensor, earlier: deque[Painted], task: SceneTask) -> list[WarpedFrame]:
    """The earlier frames that a frame is painted from; none where they are no help."""
    if task.flow is None or not earlier:
        return []
    frames = warped_frames(content, [earlier[n - 1] for n in task.references if n <= len(earlier)], task.flow)
    return frames if coverage(frames) >= RESTART else []


def _begin(task: SceneTask) -> Tensor:
    """The first frame of a scene, from which its painter begins, whichever way a pass goes."""
    return next(content for _, content in _read(task, task.moments[:1]))


def _contents(task: SceneTask, *, backwards: bool) -> Iterator[tuple[Moment, Tensor]]:
    """The frames of a scene at the size at which they are painted, in the order of a pass."""
    if not backwards:
        yield from _read(task, task.moments)
        return
    count = max(1, HELD_BYTES // (12 * task.shape[0] * task.shape[1]))
    for end in range(len(task.moments), 0, -count):
        yield from reversed(list(_read(task, task.moments[max(end - count, 0) : end])))


def _read(task: SceneTask, moments: Sequence[Moment]) -> Iterator[tuple[Moment, Tensor]]:
    """Some of the frames of a scene, in their order in the clip."""
    wanted = {moment.number: moment for moment in moments}
    last = moments[-1].number
    for number, frame in enumerate(task.clip.frames()):
        if number in wanted:
            yield wanted[number], resize_image(load_image(frame.picture()), task.shape)
        if number >= last:
            return
