"""Keeping: what one picture needed and the next one needs again, such as an encoder and the targets of a style.

Outside of ``keeping`` nothing is kept, and what is made belongs to its caller alone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")


class Same:
    """An object as part of a key: equal only to itself, and alive as long as the key is.

    Args:
        thing: the object; it need not be hashable.

    """

    def __init__(self, thing: object) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.thing is self.thing

    def __hash__(self) -> int:
        return id(self.thing)


class Kept:
    """What is kept: of each kind the things used last. Threads may share it.

    Args:
        most: the most things of a kind.

    """

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._things: dict[str, OrderedDict[Hashable, Any]] = {}
        self._lock = threading.Lock()

    def get(self, kind: str, key: Hashable, make: Callable[[], T]) -> T:
        """Return what was made for a key, or make it. Two threads may both make it; one of the two is kept."""
        with self._lock:
            things = self._things.setdefault(kind, OrderedDict())
            if key in things:
                things.move_to_end(key)
                return things[key]  # type: ignore[no-any-return]
        made = make()
        with self._lock:
            found: T = things.setdefault(key, made)
            if len(things) > self._most:
                things.popitem(last=False)
        return found

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._things.clear()


_kept: ContextVar[Kept | None] = ContextVar("kept", default=None)


@contextmanager
def keeping(kept: Kept) -> Iterator[None]:
    """Within a ``with`` block, in this thread, keep what is made for the pictures that follow, and use what is kept."""
    token = _kept.set(kept)
    try:
        yield
    finally:
        _kept.reset(token)


def keep(kind: str, key: Callable[[], Hashable | None], make: Callable[[], T]) -> T:
    """Return what was kept under a key, or make it and keep it; outside of ``keeping`` make it.

    Args:
        kind: what it is, such as "encoder".
        key: returns all that it depends on, or None if that cannot be said; called only where something is kept.
        make: makes it. It must not be changed afterwards.

    """
    store = _kept.get()
    found = None if store is None else key()
    return make() if store is None or found is None else store.get(kind, found, make)
