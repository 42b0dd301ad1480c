"""News of a session for its readers: always the latest, so a slow reader misses some and never holds up the painter."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

MOST_POINTS = 4000
"""Points of the loss curves that are kept; beyond, every second one is dropped."""


class News:
    """The latest frame, state and loss curves, from one thread for many.

    Attributes:
        frame: number of the latest frame; 0 without one.
        jpeg: its bytes.

    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[object, Callable[[], None]] = {}
        self.frame = 0
        self.jpeg = b""
        self.curves: tuple[int, list[dict[str, Any]]] = (0, [])

    def listen(self, on_news: Callable[[], None]) -> Callable[[], None]:
        """Have a function called, in the painter's thread, when there are news; return what ends that."""
        key = object()
        with self._lock:
            self._listeners[key] = on_news

        def end() -> None:
            with self._lock:
                self._listeners.pop(key, None)

        return end

    @property
    def readers(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def tell(self) -> None:
        """Say that something has changed."""
        with self._lock:
            listeners = list(self._listeners.values())
        for on_news in listeners:
            on_news()

    def show(self, jpeg: bytes) -> None:
        """Replace the frame; empty bytes are none."""
        with self._lock:
            self.frame, self.jpeg = self.frame + 1, jpeg

    def begin_curves(self) -> None:
        """Begin the loss curves anew."""
        with self._lock:
            self.curves = (self.curves[0] + 1, [])

    def add_point(self, point: dict[str, Any]) -> None:
        """Add a point to the loss curves."""
        with self._lock:
            number, points = self.curves
            points.append(point)
            if len(points) > MOST_POINTS:
                self.curves = (number + 1, points[::2])

    def points(self, run: int, known: int) -> tuple[int, list[dict[str, Any]]]:
        """Return the number of the curves, and the points that a reader lacks who knows so many of curves ``run``."""
        with self._lock:
            number, points = self.curves
            return number, points[known if run == number else 0 :]

    def latest(self) -> tuple[int, bytes]:
        """Return the latest frame."""
        with self._lock:
            return self.frame, self.jpeg
