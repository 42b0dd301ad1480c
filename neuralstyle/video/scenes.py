"""Scenes: the frames between two cuts, painted one after the other; scenes need nothing of each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from neuralstyle._stopping import stopping
from neuralstyle.images import load_image, resize_image, to_pil
from neuralstyle.machine.surroundings import plain_torch
from neuralstyle.video.clips import Clip
from neuralstyle.video.flow import Flow
from neuralstyle.video.painters import Painter, Scene
from neuralstyle.video.references import Painted, WarpedFrame, coverage, painted_from, warped_frames
from neuralstyle.video.scan import Moment
from neuralstyle.video.work import Work

RESTART = 0.05
"""Share of a frame below which earlier frames are no help, as after a cut that was not found."""


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
        folder: where the finished frames are.

    """

    clip: Clip
    moments: tuple[Moment, ...]
    shape: tuple[int, int]
    painter: Painter
    flow: Flow | None
    references: tuple[int, ...]
    folder: Path


def paint_scene(task: SceneTask, on_frame: Callable[[int], bool] = lambda number: True) -> int:
    """Paint the frames of a scene that are not finished yet, and return their number.

    Args:
        task: the scene.
        on_frame: called with the number of each frame that was painted; False stops.

    """
    work, painted = Work(task.folder), 0
    earlier: deque[Painted] = deque(maxlen=max(task.references))
    scene: Scene | None = None
    if all(work.has(moment.number) for moment in task.moments):
        return 0
    for moment, content in _contents(task):
        stopping.check()
        scene = task.painter(content) if scene is None else scene
        frames = _earlier(content, earlier, task)
        if not work.has(moment.number):
            result = scene.next(content, frames) if frames else scene.first(content)
            work.save(moment.number, to_pil(result))
            painted += 1
            if not on_frame(moment.number):
                return painted
        if task.flow is not None:
            # The result is that of the file, so that a film that goes on has the same.
            result = load_image(work.load(moment.number))
            earlier.appendleft(painted_from(frames, content, result, holds=scene.holds))
    return painted


@plain_torch()
def _earlier(content: Tensor, earlier: deque[Painted], task: SceneTask) -> list[WarpedFrame]:
    """The earlier frames that a frame is painted from; none where they are no help."""
    if task.flow is None or not earlier:
        return []
    frames = warped_frames(content, [earlier[n - 1] for n in task.references if n <= len(earlier)], task.flow)
    return frames if coverage(frames) >= RESTART else []


def _contents(task: SceneTask) -> Iterator[tuple[Moment, Tensor]]:
    """The frames of a scene at the size at which they are painted."""
    wanted = {moment.number: moment for moment in task.moments}
    last = task.moments[-1].number
    for number, frame in enumerate(task.clip.frames()):
        if number in wanted:
            yield wanted[number], resize_image(load_image(frame.picture()), task.shape)
        if number >= last:
            return
