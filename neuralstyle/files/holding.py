"""Holding: one process at a time works at a file, and a process that is killed lets go."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def holding(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold a path against other processes of this user on this machine, for as long as the block runs.

    The system keeps the lock, so it ends with the process, however that ends. The file of the lock lies in the system's
    temporary folder, and nothing is left beside ``path``.

    Args:
        path: the file or folder that is written; it need not exist.

    Raises:
        BlockingIOError: another process holds it.

    """
    from filelock import Timeout

    try:
        lock = _lock(Path(path))
        if lock is not None:
            lock.acquire()
    except Timeout:
        raise BlockingIOError(
            f"{path} is being written by another run; wait until that one has ended, or give another name"
        ) from None
    except OSError:  # no such folder for the lock, or a file system without locks
        lock = None
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _lock(path: Path) -> Any:
    """The lock of a path, the same for all names of one file; None where there is no place of our own for it."""
    from filelock import FileLock

    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"neuralstyle-locks-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and folder.lstat().st_uid != user:
        return None  # somebody else's, who could keep it locked
    name = hashlib.sha256(os.path.normcase(os.path.realpath(path)).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return FileLock(folder / f"{name}.lock", timeout=0, thread_local=False)
