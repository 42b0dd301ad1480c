"""The session: a thread that paints, and the orders that others give it. No HTTP here."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image
from torch import Tensor

from neuralstyle._errors import whole_number
from neuralstyle._log import logger
from neuralstyle.images import fit_size, pixel_limit, resize_image, to_pil
from neuralstyle.painting.paint import paint
from neuralstyle.painting.plan import Plan, plan
from neuralstyle.studio.easel import Easel, Turn
from neuralstyle.studio.news import News
from neuralstyle.studio.passes import Pass, anew, onward
from neuralstyle.studio.scene import Scene, Source
from neuralstyle.studio.shelf import Shelf
from neuralstyle.studio.versions import Painted, Version, Versions, exact_picture

LARGEST_RENDER = 16_384
"""Longest side in pixels of a large picture."""

MOST_JOBS = 4
MOST_UNDONE = 100
WARM_SIZE = 64


@dataclass(frozen=True)
class Shown:
    """The present picture: (1, 3, H, W) in its final colours, what it was painted by, and whether it is a quick look."""

    picture: Tensor
    painted: Painted
    is_look: bool
    final: Image.Image | None = None


@dataclass(frozen=True)
class Job:
    """A large picture that waits to be painted, or is."""

    number: int
    scene: Scene
    size: int
    tile: int | str | None


class Session:
    """One painting at a time, in a thread; every method may be called from any thread and returns at once.

    Args:
        shelf: the files of the session, which ``close`` removes.
        scene: what is painted first.
        prepare: called first in the painter's thread; it returns the scene, where making that takes time.

    Attributes:
        news: the latest frame and curves, for readers.
        versions: the pictures that are kept.
        shelf: the files.

    """

    def __init__(
        self, shelf: Shelf, scene: Scene | None = None, *, prepare: Callable[[Session], Scene] | None = None
    ) -> None:
        self.shelf, self.news, self.versions = shelf, News(), Versions(shelf)
        self._condition = threading.Condition()
        self._scene = Scene() if scene is None else scene
        self._prepare = prepare
        self._undone: tuple[list[Scene], list[Scene]] = ([], [])
        self._order: str | None = "anew"
        self._shown: Shown | None = None
        self._shown_for: Scene | None = None
        self._jobs: deque[Job] = deque()
        self._running_job: Job | None = None
        self._job_number = 0
        self._cancelled: set[int] = set()
        self._keeping: list[threading.Event] = []
        self._paused = self._closing = self._changed = False
        self._error: str | None = None
        self._status, self._turn = "starting", Turn()
        self._easel = Easel(self.news)
        self._thread = threading.Thread(target=self._work, name="neuralstyle-studio", daemon=True)

    def start(self) -> None:
        """Start to paint."""
        self._thread.start()

    def close(self) -> Version | None:
        """Stop after the present evaluation, and return the present picture as a version; None without one.

        The files stay until ``shelf.close``.
        """
        with self._condition:
            self._closing = self._changed = True
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        return None if self._shown is None else self._keep(self._shown)

    @property
    def scene(self) -> Scene:
        """What is painted now."""
        return self._scene

    def turn(self, values: Mapping[str, Any]) -> None:
        """Turn dials, by their names; the painting goes on from the present picture.

        Raises:
            ValueError: an unknown dial, or a value outside of its range.

        """
        self.alter(lambda scene: scene.turned(values))

    def alter(self, change: Callable[[Scene], Scene]) -> None:
        """Replace the scene by another that is made from it."""
        with self._condition:
            scene = change(self._scene)
            if scene == self._scene:
                return
            undo, redo = self._undone
            undo.append(self._scene)
            del undo[:-MOST_UNDONE]
            redo.clear()
            self._set(scene)

    def undo(self) -> None:
        """Go back to the scene before the last change."""
        self._step(*self._undone)

    def redo(self) -> None:
        """Go forward again."""
        self._step(*reversed(self._undone))

    def _step(self, stack: list[Scene], other: list[Scene]) -> None:
        with self._condition:
            if stack:
                other.append(self._scene)
                self._set(stack.pop())

    def _set(self, scene: Scene) -> None:
        if scene.photo != self._scene.photo:
            self._shown = None
        self._scene = scene
        self._paint_on("onward")

    def _paint_on(self, order: str) -> None:
        """Have the painter follow an order: "anew" or "onward"."""
        with self._condition:
            self._order = order
            self._paused, self._changed, self._error = False, True, None
            self._condition.notify_all()

    def repaint(self) -> None:
        """Paint the present scene from the beginning, so that the command gives the same bytes."""
        self._paint_on("anew")

    def pause(self) -> None:
        """Pause after the present evaluation."""
        with self._condition:
            self._paused = True
            self._condition.notify_all()
        self.news.tell()

    def go_on(self) -> None:
        """Go on after a pause, or after ``stop``, where the picture was."""
        with self._condition:
            self._paused = False
            self._condition.notify_all()
        self.news.tell()

    def keep(self, seconds: float = 30) -> Version | None:
        """Keep the present picture as a version, and return it; None if there is no picture yet.

        Args:
            seconds: longest time to wait for the present evaluation.

        """
        done = threading.Event()
        with self._condition:
            self._keeping.append(done)
            self._condition.notify_all()
        return self.versions.last if done.wait(seconds) else None

    def restore(self, number: int) -> None:
        """Go back to a version, its picture and its scene.

        Raises:
            KeyError: there is no such version.

        """
        version = self.versions.find(number)
        picture = exact_picture(version)
        with self._condition:
            self.alter(lambda _: version.painted.scene)
            side = version.painted.scene.dials.size
            if max(picture.shape[-2:]) > side:
                picture = resize_image(picture, fit_size(*picture.shape[-2:], side))
            self._shown = Shown(picture, version.painted, is_look=False)
            self._shown_for = version.painted.scene
            self._order, self._paused, self._changed = None, False, True
            self._easel.show(picture)
            self._condition.notify_all()
        self.news.tell()

    def render(self, size: int, tile: int | str | None) -> int:
        """Queue a large picture of the present scene, and return the number of the job.

        Raises:
            ValueError: a size outside of 128 to 16,384 pixels, a tile that is neither a number nor "auto", too many
                jobs, or nothing to paint.

        """
        size = whole_number("size", size, 128, LARGEST_RENDER, hint=" pixels")
        if tile != "auto" and tile is not None:
            tile = whole_number("tile", tile, 64, LARGEST_RENDER, hint=" pixels, or 'auto'")
        with self._condition:
            if not self._scene.is_complete:
                raise ValueError("there is nothing to paint yet; give a photograph and a painting")
            if len(self._jobs) >= MOST_JOBS:
                raise ValueError(f"{MOST_JOBS} large pictures wait already; wait for one, or cancel one")
            self._job_number += 1
            self._jobs.append(Job(self._job_number, self._scene, size, tile))
            self._changed = True
            self._condition.notify_all()
        self.news.tell()
        return self._job_number

    def cancel(self, number: int) -> None:
        """Cancel a large picture that waits or is painted."""
        with self._condition:
            self._jobs = deque(job for job in self._jobs if job.number != number)
            self._cancelled.add(number)
            self._condition.notify_all()
        self.news.tell()

    def state(self) -> dict[str, Any]:
        """Everything but the frame and the curves, for the page."""
        with self._condition:
            shown, job = self._shown, self._running_job
            waiting = [{"number": each.number, "size": each.size} for each in self._jobs]
            return {
                **self._scene.facts(),
                "status": self._spoken_status(),
                "turn": self._turn.facts(),
                "error": self._error,
                "frame": self.news.frame,
                "shown": shown and {
                    "width": shown.picture.shape[3],
                    "height": shown.picture.shape[2],
                    "look": shown.is_look,
                    "exact": shown.painted.is_exact and shown.painted.scene == self._scene,
                },
                "can_undo": bool(self._undone[0]),
                "can_redo": bool(self._undone[1]),
                "job": job and {"number": job.number, "size": job.size},
                "queue": waiting,
                "readers": self.news.readers,
                "versions": self.versions.facts(),
            }

    def _spoken_status(self) -> str:
        if self._status == "painting" and self._paused and self._running_job is None:
            return "paused"
        return self._status

    # The painter's thread.

    def _work(self) -> None:
        if self._prepare is not None:
            scene = self._guarded(lambda: self._prepare(self))
            with self._condition:
                self._scene = self._scene if self._scene.paintings or scene is None else scene
            self.news.tell()
        self._warm_up()
        while True:
            with self._condition:
                self._say("idle" if self._scene.is_complete else "waiting")
                self._condition.wait_for(lambda: self._closing or self._keeping or self._has_work())
                if self._closing:
                    self._keep_as_asked()
                    return
                self._changed = False
                job = self._jobs.popleft() if self._jobs else None
                order, scene = self._order, self._scene
                if job is None:
                    self._order = None
            self._keep_as_asked()
            if job is not None:
                self._paint_large(job)
            elif order is not None and scene.is_complete:
                self._paint_scene(order, scene)

    def _has_work(self) -> bool:
        return bool(self._jobs) or (self._order is not None and self._scene.is_complete and not self._paused)

    def _say(self, status: str) -> None:
        self._status = status
        self.news.tell()

    def _warm_up(self) -> None:
        """Load the networks and what they need, by a small painting."""
        dots = Image.new("RGB", (WARM_SIZE, WARM_SIZE), "grey")
        try:
            for schedule in ("preview", "single"):
                paint(plan(dots, dots, size=WARM_SIZE, iterations=1, schedule=schedule, progress=False))
        except Exception as error:
            self._error = str(error)

    def _paint_scene(self, order: str, scene: Scene) -> None:
        with self._condition:
            shown, before = self._shown, self._shown_for
        if order == "anew" or shown is None or before is None:
            passes = anew(scene)
        else:
            passes = onward(
                scene, shown.picture, is_look=shown.is_look, new_strokes=scene.needs_new_strokes(before)
            )
        self.news.begin_curves()
        self._easel.begin(len(passes))
        for number, each in enumerate(passes, start=1):
            if not self._run(each, scene, number):
                if not self._closing and self._jobs and not self._order:
                    self._order = "onward"  # after the large picture
                return
        if self._shown is not None and self._shown_for == scene:
            self._keep(self._shown)

    def _run(self, each: Pass, scene: Scene, number: int) -> bool:
        """Paint a pass; return whether it came to its end."""
        finer = self._shown is not None and max(self._shown.picture.shape[-2:]) >= each.shown_from
        painted = Painted(scene, each.size, str(each.schedule), None, each.is_exact)
        if not each.is_exact:
            painted = replace(painted, size=scene.dials.size, schedule=scene.dials.detail)

        def on_evaluation(turn: Turn) -> bool:
            self._turn = turn
            if each.name == "whole" and finer and turn.progress.size < each.shown_from:
                self.news.tell()
            elif self._easel.is_due() or turn.is_last:
                self._show(turn, painted, is_look=each.name == "look" or (each.name == "follow" and self._is_look()))
            return self._may_go_on()

        with self._condition:
            self._say("painting")
        made = self._guarded(lambda: self._plan(scene, **each.options()))
        if made is None:
            return False
        final = self._guarded(lambda: self._easel.paint(made, each.name, number, on_evaluation))
        if final is None or self._changed or self._closing:
            return False
        self._finish(final, painted)
        return True

    def _is_look(self) -> bool:
        return self._shown is None or self._shown.is_look

    def _show(self, turn: Turn, painted: Painted, is_look: bool) -> None:
        """Make the picture of an evaluation the present one."""
        picture = turn.progress.tensor()
        taken = replace(painted, iterations=turn.progress.iteration)
        with self._condition:
            if self._changed and self._scene.photo != painted.scene.photo:
                return
            self._shown, self._shown_for = Shown(picture, taken, is_look), painted.scene
        self._easel.show(picture)
        self.news.tell()

    def _finish(self, final: Image.Image, painted: Painted) -> None:
        with self._condition:
            if self._shown is not None:
                self._shown = replace(self._shown, painted=painted, final=final)
        self._easel.show_finished(final)
        self.news.tell()

    def _may_go_on(self) -> bool:
        """Wait while the painting is paused; return False if it shall stop."""
        self._keep_as_asked()
        while True:
            with self._condition:
                if self._changed or self._closing:
                    return False
                if not self._paused:
                    return True
                self._say("painting")
                self._condition.wait_for(
                    lambda: self._changed or self._closing or not self._paused or bool(self._keeping)
                )
            self._keep_as_asked()

    def _keep_as_asked(self) -> None:
        with self._condition:
            asked, self._keeping = self._keeping, []
            shown = self._shown
        if asked and shown is not None:
            self._guarded(lambda: self._keep(shown))
        for done in asked:
            done.set()

    def _keep(self, shown: Shown) -> Version:
        """Keep a picture, unless it is the last one that was kept."""
        last = self.versions.last
        if last is not None and last.painted == shown.painted:
            return last
        size = shown.painted.size
        height, width = shown.picture.shape[-2:]
        if max(height, width) == size:
            final, exact = shown.final or to_pil(shown.picture), shown.picture
        else:
            exact = resize_image(shown.picture, self._final_shape(shown.painted))
            final = shown.final or to_pil(exact)
        version = self.versions.keep(shown.painted, final, exact)
        self.news.tell()
        return version

    def _final_shape(self, painted: Painted) -> tuple[int, int]:
        photo = painted.scene.photo
        assert photo is not None
        return fit_size(photo.height, photo.width, painted.size)

    def _paint_large(self, job: Job) -> None:
        painted = Painted(job.scene, job.size, job.scene.dials.detail, None, True, job.tile)
        latest: list[Turn] = []

        def on_evaluation(turn: Turn) -> bool:
            self._turn, latest[:] = turn, [turn]
            self._keep_as_asked()
            self.news.tell()
            return not self._closing and job.number not in self._cancelled

        with self._condition:
            self._running_job = job
            self._say("rendering")
        self._easel.begin(1)
        options = {"size": job.size, "schedule": painted.schedule, "tile": job.tile}
        made = self._guarded(lambda: self._plan(job.scene, **options))
        if made is not None and job.number not in self._cancelled:
            final = self._guarded(lambda: self._easel.paint(made, "large", 1, on_evaluation))
            if final is not None and job.number not in self._cancelled and not self._closing:
                exact = latest[0].progress.tensor()
                self._guarded(lambda: self.versions.keep(painted, final, exact))
        with self._condition:
            self._running_job = None

    def _plan(self, scene: Scene, **options: Any) -> Plan:
        assert scene.photo is not None
        with pixel_limit(self.shelf.most_pixels):
            return plan(scene.photo.path, scene.styles(), progress=False, **scene.options(), **options)

    def _guarded(self, work: Callable[[], Any]) -> Any:
        """Do a part of the work; an error becomes the session's, on one line, and the session goes on."""
        try:
            return work()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):  # the program is ending
                self._closing = True
                return None
            logger.info("the studio could not paint: %s", error)
            text = " ".join(str(error).split()) or type(error).__name__
            self._error = text.replace(f"{self.shelf.folder}/", "")
            self._order = None
            return None


def photo_of(scene: Scene, source: Source) -> Scene:
    """Return the scene with another photograph, where regions of the old one mean nothing."""
    return replace(scene, photo=source, paintings=tuple(replace(each, region=None) for each in scene.paintings))

