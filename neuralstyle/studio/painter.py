"""The painter: a thread that paints the scene, goes on when a dial turns, and paints large pictures in between."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image
from torch import Tensor

from neuralstyle._log import logger
from neuralstyle.images import fit_size, load_image, pixel_limit, resize_image, to_pil
from neuralstyle.painting.paint import paint
from neuralstyle.painting.plan import plan
from neuralstyle.studio.easel import Easel, Turn
from neuralstyle.studio.news import News
from neuralstyle.studio.painted import Painted
from neuralstyle.studio.passes import Pass, anew, onward, with_detail_of
from neuralstyle.studio.scene import Scene
from neuralstyle.studio.shelf import Shelf
from neuralstyle.studio.versions import Version, Versions

WARM_SIZE = 64

TILE = 1024
"""Longest side in pixels of a tile of a live picture, and of the largest one that is painted whole."""


@dataclass(frozen=True)
class Shown:
    """The present picture.

    Attributes:
        picture: (1, 3, H, W) in its final colours.
        painted: what it was painted by.
        is_look: whether it is no more than a quick look.
        final: the finished picture with 8 bits a channel, or None on the way.
        number: that of the version it is kept as already, or None.

    """

    picture: Tensor
    painted: Painted
    is_look: bool
    final: Image.Image | None = None
    number: int | None = None

    @property
    def side(self) -> int:
        """Its longest side in pixels."""
        return max(self.picture.shape[-2:])


@dataclass(frozen=True)
class Job:
    """A large picture that waits to be painted, or is."""

    number: int
    scene: Scene
    size: int
    tile: int | str | None


class Wish:
    """The wish to keep the present picture, and the version when it is fulfilled."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.version: Version | None = None


class Painter:
    """Paints in a thread of its own what others ask for under ``condition``.

    Args:
        shelf: the files of the session.
        prepare: called first in the thread; it returns the scene, where making that takes time.

    Attributes:
        condition: held to read or write what follows, and notified after a change.
        scene: what is painted.
        order: "anew", "onward" or None: what to do next.
        shown: the present picture, or None.
        jobs: large pictures that wait.
        job: the one that is painted.
        cancelled: numbers of those that nobody wants any more.
        paused: whether to wait after the present evaluation.
        changed: whether to leave the present work, as there is another order.
        closing: whether to end.
        error: what went wrong, on one line.
        status: "starting", "waiting", "painting", "rendering" or "idle".
        turn: the present evaluation.

    """

    def __init__(self, shelf: Shelf, scene: Scene, prepare: Callable[[], Scene] | None) -> None:
        self.news, self.versions = News(), Versions(shelf)
        self.condition = threading.Condition()
        self.scene, self.order = scene, "anew"
        self.shown: Shown | None = None
        self.jobs: deque[Job] = deque()
        self.job: Job | None = None
        self.cancelled: set[int] = set()
        self.paused = self.changed = self.closing = False
        self.error: str | None = None
        self.status, self.turn = "starting", Turn()
        self.asked_to_keep: list[Wish] = []
        self._shelf, self._prepare = shelf, prepare
        self._easel = Easel(self.news)
        self._thread = threading.Thread(target=self._work, name="neuralstyle-studio", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> Version | None:
        """End the thread after the present evaluation, and return the present picture as a version."""
        with self.condition:
            self.closing = True
            self.condition.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        return None if self.shown is None else self._keep(self.shown)

    def show(self, shown: Shown) -> None:
        """Make a picture the present one, and show it; called with the condition held."""
        self.shown = shown
        self._easel.show(shown.picture)

    # All that follows runs in the thread.

    def _work(self) -> None:
        self._begin()
        while True:
            with self.condition:
                self._say("idle" if self.scene.is_complete else "waiting")
                self.condition.wait_for(lambda: self.closing or self.asked_to_keep or self._has_work())
                if self.closing:
                    break
                self.changed = False
                order, scene = self.order, self.scene
                has_order = bool(order) and scene.is_complete and not self.paused
                self.order = "" if has_order else self.order
            self._keep_as_asked()
            self._paint_jobs()
            if has_order:
                self._paint_scene(order, scene)
        self._keep_as_asked()

    def _begin(self) -> None:
        prepare = self._prepare
        if prepare is not None:
            scene = self._guarded(prepare)
            with self.condition:
                if scene is not None and not self.scene.paintings:
                    self.scene = replace(self.scene, paintings=scene.paintings)
            self.news.tell()
        self._guarded(_warm_up)

    def _has_work(self) -> bool:
        return bool(self.jobs) or (bool(self.order) and self.scene.is_complete and not self.paused)

    def _say(self, status: str) -> None:
        self.status = status
        self.news.tell()

    def _paint_scene(self, order: str, scene: Scene) -> None:
        with self.condition:
            shown = self.shown
        if order == "anew" or shown is None:
            passes = anew(scene)
        else:
            passes = onward(scene, shown.painted.scene, shown.side, is_look=shown.is_look)
        self.news.begin_curves()
        for number, each in enumerate(passes, start=1):
            if not self._run(each, scene, number, len(passes)):
                return
        if self.shown is not None and self.shown.painted.scene == scene:
            self._keep(self.shown)

    def _run(self, each: Pass, scene: Scene, number: int, passes: int) -> bool:
        """Paint a pass; return whether it came to its end."""
        painted = Painted(scene, each.size, str(each.schedule), None, True, tile_of(each.size))
        if not each.is_exact:
            size = scene.dials.size
            painted = Painted(scene, size, scene.dials.schedule, None, False, tile_of(size))
        present = self.shown
        was_look = present is None or present.is_look
        hidden_below = each.shown_from if present is not None and present.side >= each.shown_from else 0
        start = present.picture if each.goes_on and present is not None else None

        def seen(picture: Tensor) -> Tensor:
            if not each.keeps_detail or start is None:
                return picture
            small = resize_image(start, (picture.shape[2], picture.shape[3]))
            return with_detail_of(picture, small, start)

        def on_evaluation(turn: Turn) -> bool:
            self.turn = turn
            if turn.progress.size >= hidden_below and (self._easel.is_due() or turn.is_last):
                taken = replace(painted, iterations=turn.progress.iteration)
                is_look = turn.is_look(each.later) if each.name == "whole" else was_look
                self._show(Shown(seen(turn.progress.tensor()), taken, is_look))
            self.news.tell()
            return self._may_go_on()

        with self.condition:
            self._say("painting")
        begin = {} if start is None else {"init": start}
        made = self._guarded(lambda: self._plan(scene, **each.options(), **begin, tile=tile_of(each.size)))
        if made is None:
            return False
        final = self._guarded(lambda: self._easel.paint(made, Turn(each.name, number, passes), on_evaluation))
        if final is None or self.changed or self.closing:
            return False
        if not each.keeps_detail:
            self._finish(final, painted)
        return True

    def _show(self, shown: Shown) -> None:
        """Make the picture of an evaluation the present one, unless something else is wanted by now."""
        with self.condition:
            if not self.changed and self.scene.photo == shown.painted.scene.photo:
                self.show(shown)

    def _finish(self, final: Image.Image, painted: Painted) -> None:
        with self.condition:
            if self.shown is None or self.changed:
                return
            self.shown = replace(self.shown, painted=painted, final=final, number=None)
        self._easel.show_finished(final)
        self.news.tell()

    def _may_go_on(self) -> bool:
        """Do what others ask for between two evaluations, and wait during a pause; False: leave the work."""
        while True:
            self._keep_as_asked()
            self._paint_jobs()
            with self.condition:
                if self.changed or self.closing:
                    return False
                if not self.paused:
                    return True
                self._say("painting")
                self.condition.wait_for(
                    lambda: self.changed or self.closing or not self.paused or self.asked_to_keep or self.jobs
                )

    def _keep_as_asked(self) -> None:
        with self.condition:
            asked, self.asked_to_keep = self.asked_to_keep, []
            shown = self.shown
        if asked and shown is not None:
            kept = self._guarded(lambda: self._keep(shown))
            for each in asked:
                each.version = kept
        for each in asked:
            each.done.set()

    def _keep(self, shown: Shown) -> Version:
        """Keep a picture, unless it is kept already."""
        known, painted = self.versions.get(shown.number), shown.painted
        if known is not None:
            return known
        exact = shown.picture
        if shown.side != painted.size:
            photo = painted.scene.photo
            assert photo is not None
            exact = resize_image(exact, fit_size(photo.height, photo.width, painted.size))
        version = self.versions.keep(painted, shown.final or to_pil(exact), exact)
        with self.condition:
            if self.shown is shown:
                self.shown = replace(shown, number=version.number)
        self.news.tell()
        return version

    def _paint_jobs(self) -> None:
        """Paint the large pictures that wait. The live one goes on afterwards as if nothing had been."""
        while not self.closing:
            with self.condition:
                if not self.jobs:
                    return
                self.job = self.jobs.popleft()
                before = self.status, self.turn
                self._say("rendering")
            self._paint_large(self.job)
            with self.condition:
                self.job = None
                self.status, self.turn = before
            self.news.tell()

    def _paint_large(self, job: Job) -> None:
        # What is automatic follows the free memory, and other tiles round in other places.
        painted = Painted(job.scene, job.size, job.scene.dials.schedule, None, job.tile != "auto", job.tile)

        def on_evaluation(turn: Turn) -> bool:
            self.turn = turn
            self._keep_as_asked()
            self.news.tell()
            return not self.closing and job.number not in self.cancelled

        options = {"size": job.size, "schedule": painted.schedule, "tile": job.tile}
        made = self._guarded(lambda: self._plan(job.scene, **options))
        if made is None or job.number in self.cancelled:
            return
        final = self._guarded(lambda: self._easel.paint(made, Turn("large", 1, 1), on_evaluation))
        if final is not None and job.number not in self.cancelled and not self.closing:
            exact = self.turn.progress.tensor()
            self._guarded(lambda: self.versions.keep(painted, final, exact))

    def _plan(self, scene: Scene, **options: Any) -> Any:
        assert scene.photo is not None
        with pixel_limit(self._shelf.most_pixels):
            return plan(scene.photo.path, scene.styles(), progress=False, **scene.options(), **options)

    def _guarded(self, work: Callable[[], Any]) -> Any:
        """Do a part of the work; an error becomes the session's, on one line, and the session goes on."""
        try:
            return work()
        except KeyboardInterrupt:  # the program is ending
            self.closing = True
        except BaseException as error:
            logger.info("the studio could not paint: %s", error)
            text = " ".join(str(error).split()) or type(error).__name__
            self.error = text.replace(f"{self._shelf.folder}/", "")
            self.order = ""
        return None


def tile_of(size: int) -> int | None:
    """The tile of a live picture: none where its memory is small, and one that every machine takes alike."""
    return TILE if size > TILE else None


def fitted(picture: Tensor, side: int) -> Tensor:
    """Return a picture whose longest side has at most so many pixels."""
    return load_image(picture, side) if max(picture.shape[-2:]) > side else picture


def _warm_up() -> None:
    """Load the networks and what they need, by a small painting."""
    dots = Image.new("RGB", (WARM_SIZE, WARM_SIZE), "grey")
    for schedule in ("preview", "single"):
        paint(plan(dots, dots, size=WARM_SIZE, iterations=1, schedule=schedule, progress=False))
