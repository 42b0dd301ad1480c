"""Progress of a film, as callbacks and the progress bar receive it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from PIL import Image

from neuralstyle._log import logger


@dataclass(frozen=True, eq=False)
class FilmProgress:
    """Progress of a film after a frame; callbacks receive it.

    Attributes:
        frame: number of frames that are finished; each counts once in every pass.
        frames: number of frames of the film, times its passes.
        scenes: number of scenes.
        seconds_per_frame: seconds for a frame, over those painted in this run; None before there is one.
        left: seconds left, or None.
        elapsed: seconds of this run so far.
        image: function that returns the frame just painted.

    """

    frame: int
    frames: int
    scenes: int
    seconds_per_frame: float | None
    left: float | None
    elapsed: float
    image: Callable[[], Image.Image] = field(repr=False)


FilmCallback: TypeAlias = Callable[[FilmProgress], "bool | None"]
"""Called after each frame; False stops the work, and the film ends there."""


class FilmRun:
    """Counts the frames of a film.

    Args:
        frames: number of frames of the film, times its passes.
        done: number of those that are finished already.
        scenes: number of scenes.
        callback: called after each frame.
        show: whether to show a progress bar.

    """

    def __init__(self, frames: int, done: int, scenes: int, callback: FilmCallback | None, show: bool) -> None:
        from tqdm.auto import tqdm

        self.frames, self.done, self.scenes = frames, done, scenes
        self.callback = callback
        self.painted = 0
        self.started = time.monotonic()
        self.stopped = False
        self._bar: Any = tqdm(total=frames, initial=done, unit="frame", disable=not show, bar_format=_FORMAT)

    def add(self, image: Callable[[], Image.Image], count: int = 1) -> bool:
        """Count finished frames, and return whether the work goes on."""
        self.done += count
        self.painted += count
        elapsed = time.monotonic() - self.started
        rate = elapsed / self.painted
        left = rate * (self.frames - self.done)
        logger.info("frame %d of %d, %.1f s a frame", self.done, self.frames, rate)
        self._bar.set_postfix_str(f"{rate:.2f} s a frame", refresh=False)
        self._bar.update(count)
        if self.callback is not None:
            progress = FilmProgress(self.done, self.frames, self.scenes, rate, left, elapsed, image)
            self.stopped |= self.callback(progress) is False
        return not self.stopped

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()


_FORMAT = "{percentage:3.0f}% |{bar}| frame {n_fmt}/{total_fmt} {elapsed} < {remaining}{postfix}"
