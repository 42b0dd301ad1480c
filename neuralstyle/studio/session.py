"""The session: what others may ask of the painter, from any thread. No HTTP here."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from neuralstyle._errors import whole_number
from neuralstyle.studio.news import News
from neuralstyle.studio.painter import Job, Painter, Shown, Wish, fitted
from neuralstyle.studio.scene import SMALLEST, Scene, Source
from neuralstyle.studio.shelf import Shelf
from neuralstyle.studio.versions import Version, Versions, exact_picture

LARGEST_RENDER = 16_384
"""Longest side in pixels of a large picture."""

SMALLEST_TILE = 64
MOST_JOBS = 4
MOST_UNDONE = 100
SAME_TURN_SECONDS = 1.0


class Session:
    """One painting at a time, in a thread; every method may be called from any thread.

    Args:
        shelf: the files of the session.
        scene: what is painted first.
        prepare: called first in the painter's thread; it returns the scene, where making that takes time.

    Attributes:
        shelf: the files.

    """

    def __init__(
        self, shelf: Shelf, scene: Scene | None = None, *, prepare: Callable[[Session], Scene] | None = None
    ) -> None:
        self.shelf = shelf
        self._painter = Painter(shelf, scene or Scene(), None if prepare is None else lambda: prepare(self))
        self._condition = self._painter.condition
        self._undone: tuple[list[Scene], list[Scene]] = ([], [])
        self._jobs = 0
        self._turned: tuple[float, frozenset[str]] = (0.0, frozenset())

    def start(self) -> None:
        """Start to paint."""
        self._painter.start()

    def close(self) -> Version | None:
        """Stop after the present evaluation, and return the present picture as a version; None without one.

        The files stay until ``shelf.close``.
        """
        return self._painter.close()

    @property
    def news(self) -> News:
        """The latest frame and curves, for readers."""
        return self._painter.news

    @property
    def versions(self) -> Versions:
        """The pictures that are kept."""
        return self._painter.versions

    @property
    def scene(self) -> Scene:
        """What is painted now."""
        return self._painter.scene

    def turn(self, values: Mapping[str, Any]) -> None:
        """Turn dials, by their names; the painting goes on from the present picture.

        Raises:
            ValueError: an unknown dial, or a value outside of its range.

        """
        with self._condition:
            now, dials = time.monotonic(), frozenset(values)
            before, last = self._turned
            # While a hand turns a dial it is told many times, and undone once.
            self.alter(lambda scene: scene.turned(values), again=dials == last and now - before < SAME_TURN_SECONDS)
            self._turned = now, dials

    def alter(self, change: Callable[[Scene], Scene], *, again: bool = False) -> None:
        """Replace the scene by another that is made from it.

        Args:
            change: makes it.
            again: whether this is one with the change before, so that both are undone together.

        """
        with self._condition:
            before = self.scene
            scene = change(before)
            if scene == before:
                return
            undo, redo = self._undone
            if not (again and undo):
                undo.append(before)
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
                other.append(self.scene)
                self._set(stack.pop())

    def _set(self, scene: Scene) -> None:
        if scene.photo != self.scene.photo:
            self._painter.shown = None
            self.news.show(b"")  # nobody sees the old one under the new name
        self._painter.scene = scene
        self._order("onward")

    def _order(self, order: str) -> None:
        with self._condition:
            painter = self._painter
            painter.order, painter.changed, painter.paused, painter.error = order, True, False, None
            self._condition.notify_all()
        self.news.tell()

    def repaint(self) -> None:
        """Paint the present scene from the beginning, so that the command gives the same bytes."""
        self._order("anew")

    def pause(self) -> None:
        """Pause after the present evaluation."""
        self._pause(True)

    def go_on(self) -> None:
        """Go on after a pause."""
        self._pause(False)

    def _pause(self, paused: bool) -> None:
        with self._condition:
            self._painter.paused = paused
            self._condition.notify_all()
        self.news.tell()

    def keep(self, seconds: float = 60) -> Version | None:
        """Keep the present picture as a version, and return it; None if there is no picture yet.

        Args:
            seconds: longest time to wait for the present evaluation.

        """
        wish = Wish()
        with self._condition:
            if self._painter.shown is None:
                return None
            self._painter.asked_to_keep.append(wish)
            self._condition.notify_all()
        wish.done.wait(seconds)
        return wish.version

    def restore(self, number: int) -> None:
        """Go back to a version, its picture and its scene; the painting rests until a dial turns.

        Raises:
            KeyError: there is no such version.

        """
        version = self.versions.find(number)
        scene = version.painted.scene
        picture = fitted(exact_picture(version), scene.dials.size)
        with self._condition:
            self.alter(lambda _: scene)
            self._painter.show(Shown(picture, version.painted, is_look=False, number=number))
            self._order("")

    def render(self, size: int, tile: int | str | None) -> int:
        """Queue a large picture of the present scene, and return the number of the job.

        Raises:
            ValueError: a size outside of 128 to 16,384 pixels, a tile that is neither a number nor "auto", too many
                jobs, or nothing to paint.

        """
        size = whole_number("size", size, SMALLEST, LARGEST_RENDER, hint=" pixels")
        if tile != "auto" and tile is not None:
            tile = whole_number("tile", tile, SMALLEST_TILE, LARGEST_RENDER, hint=" pixels, or 'auto'")
        with self._condition:
            if not self.scene.is_complete:
                raise ValueError("there is nothing to paint yet; give a photograph and a painting")
            if len(self._painter.jobs) >= MOST_JOBS:
                raise ValueError(f"{MOST_JOBS} large pictures wait already; wait for one, or cancel one")
            self._jobs += 1
            self._painter.jobs.append(Job(self._jobs, self.scene, size, tile))
            self._condition.notify_all()
        self.news.tell()
        return self._jobs

    def cancel(self, number: int) -> None:
        """Cancel a large picture that waits or is painted."""
        with self._condition:
            self._painter.jobs = deque(job for job in self._painter.jobs if job.number != number)
            self._painter.cancelled.add(number)
            self._condition.notify_all()
        self.news.tell()

    def state(self) -> dict[str, Any]:
        """Everything but the frame and the curves, for the page."""
        painter = self._painter
        with self._condition:
            return {
                **painter.scene.facts(),
                "status": "paused" if painter.paused and painter.status == "painting" else painter.status,
                "turn": painter.turn.facts(),
                "error": painter.error,
                "frame": self.news.frame,
                "shown": self._shown_facts(),
                "can_undo": bool(self._undone[0]),
                "can_redo": bool(self._undone[1]),
                "job": painter.job and {"number": painter.job.number, "size": painter.job.size},
                "queue": [{"number": job.number, "size": job.size} for job in painter.jobs],
                "versions": self.versions.facts(),
            }

    def _shown_facts(self) -> dict[str, Any] | None:
        shown = self._painter.shown
        if shown is None:
            return None
        height, width = shown.picture.shape[-2:]
        current = shown.painted.scene == self.scene
        facts = {"width": width, "height": height, "look": shown.is_look, "current": current}
        return {**facts, "exact": current and shown.painted.is_exact}


def photo_of(scene: Scene, source: Source) -> Scene:
    """Return the scene with another photograph, where regions of the old one mean nothing."""
    return replace(scene, photo=source, paintings=tuple(replace(each, region=None) for each in scene.paintings))
