"""Progress of a film, as callbacks and the progress bar receive it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from PIL import Image

from neuralstyle._log import logger
from neuralstyle.painting.forecast import Pace, show_left


@dataclass(frozen=True, eq=False)
class FilmProgress:
    """Progress of a film after a frame; callbacks receive it.

    Attributes:
        frame: number of frames that are finished; each counts once in every pass.
        frames: number of frames of the film, times its passes.
        scenes: number of scenes.
        seconds_per_frame: seconds for a frame, over those painted in this run; None before there is one.
        left: seconds left, or None before a frame was painted that does not open a scene, as those take longest.
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
        openings: number of frames that open a scene and are not finished; None: scenes are painted side by side.
        callback: called after each frame.
        show: whether to show a progress bar.

    """

    def __init__(
        self, frames: int, done: int, scenes: int, openings: int | None, callback: FilmCallback | None, show: bool
    ) -> None:
        from tqdm.auto import tqdm

        self.frames, self.done, self.scenes = frames, done, scenes
        self.callback = callback
        self.painted = 0
        self.started = self._ticked = time.monotonic()
        self._openings, self._opens = openings, False
        self._paces = {True: Pace(starts=0), False: Pace(starts=0)}  # of frames that open a scene, and of the others
        self.stopped = False
        self._bar: Any = tqdm(
            total=frames, initial=done, unit="frame", disable=not show, bar_format=_FORMAT.replace("{remaining}", "?")
        )

    def begin(self, opens: bool) -> None:
        """Begin a scene, whose next frame opens it or was painted before."""
        self._opens = opens

    def add(self, image: Callable[[], Image.Image], count: int = 1) -> bool:
        """Count finished frames, and return whether the work goes on."""
        self.done += count
        self.painted += count
        now = time.monotonic()
        elapsed = now - self.started
        rate = elapsed / self.painted
        left = rate * (self.frames - self.done) if self._openings is None else self._left(now - self._ticked)
        self._ticked = now
        logger.info("frame %d of %d, %.1f s a frame", self.done, self.frames, rate)
        show_left(self._bar, left, _FORMAT)
        self._bar.set_postfix_str(f"{rate:.2f} s a frame", refresh=False)
        self._bar.update(count)
        if self.callback is not None:
            progress = FilmProgress(self.done, self.frames, self.scenes, rate, left, elapsed, image)
            self.stopped |= self.callback(progress) is False
        return not self.stopped

    def _left(self, seconds: float) -> float | None:
        """Count a frame of scenes that are painted one after the other, and return the seconds left."""
        self._paces[self._opens].add(seconds)
        self._openings = (self._openings or 0) - self._opens
        self._opens = False
        openings, others = self._openings, self.frames - self.done - self._openings
        opening = self._paces[True].left(openings) if self._paces[True].seconds else self._paces[False].left(openings)
        other = self._paces[False].left(others)
        return None if opening is None or other is None else opening + other

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()


_FORMAT = "{percentage:3.0f}% |{bar}| frame {n_fmt}/{total_fmt} {elapsed} < {remaining}{postfix}"
