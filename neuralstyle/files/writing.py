"""Writing: a file appears under its name when it is complete, or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import socket
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_TEMPORARY = re.compile(r"\.neuralstyle-(?P<name>[0-9a-f]{12})-(?P<host>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{8}\.tmp")


@contextmanager
def writing(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[Path]:
    """Give a new, empty file to write to, and rename it to ``path`` when the block ends without an error.

    The file lies in a hidden folder beside ``path``, which only this user can enter and whose name nobody can guess. It
    has the name of ``path``, so a writer that chooses the format by the suffix finds it. Before it is renamed it is
    flushed to the disk. What a killed process left for the same ``path`` is removed.

    Args:
        path: the file.
        overwrite: replace ``path`` if it exists, or has appeared when the block ends.

    Yields:
        The path of the new file.

    Raises:
        IsADirectoryError: ``path`` is a folder.
        FileExistsError: ``path`` exists, and ``overwrite`` is false; what was written is lost.
        OSError: the file cannot be written. If the disk is full, the message tells how much was written.

    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file in it")
    remove_leftovers(path)
    folder = path.with_name(f".neuralstyle-{_token(path.name, 12)}-{_host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    temporary = folder / path.name
    try:
        folder.mkdir(mode=0o700)
        temporary.touch(exist_ok=False)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        _publish(temporary, path, overwrite)
    except OSError as error:
        if error.errno in _FULL:
            raise OSError(error.errno, _full(path, temporary)) from error
        if error.errno is None and path.name not in str(error):  # of a writer that does not say which file, or why
            raise OSError(f"{path} cannot be written ({error}); the disk may be full") from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def elsewhere(path: str | os.PathLike[str]) -> Path:
    """Return a path in the system's temporary folder, for a result that cannot be saved where it was asked for.

    The name is that of ``path``, in a new folder that only this user can enter.
    """
    return Path(tempfile.mkdtemp(prefix="neuralstyle-")) / Path(path).name


def somewhere(save: Callable[[Path], Path], path: str | os.PathLike[str], what: str) -> tuple[Path, OSError | None]:
    """Save a result where it was asked for, or if that fails in the system's temporary folder.

    Args:
        save: saves the result at a path, and returns the path.
        path: where it was asked for.
        what: what a message calls the result, such as "picture".

    Returns:
        Where it is, and why it is not at ``path``.

    Raises:
        OSError: it cannot be saved in either place.

    """
    try:
        return save(Path(path)), None
    except OSError as error:
        place = elsewhere(path)
        try:
            return save(place), error
        except OSError as other:
            place.parent.rmdir()
            raise OSError(f"{error}; nor can the {what} be saved in {place.parent}") from other


def is_temporary(path: Path) -> bool:
    """Tell whether a path is one of the folders that ``writing`` makes."""
    return _TEMPORARY.fullmatch(path.name) is not None


def remove_leftovers(path: Path) -> None:
    """Remove what processes of this machine that no longer run have left beside ``path``, while writing it.

    Anything else stays: other names, other machines, and processes that may still write.
    """
    if not path.parent.is_dir():
        return
    for folder in path.parent.glob(f".neuralstyle-{_token(path.name, 12)}-*.tmp"):
        found = _TEMPORARY.fullmatch(folder.name)
        if found is None or found["host"] != _host() or folder.is_symlink():
            continue
        if not _may_run(int(found["process"]), folder):
            shutil.rmtree(folder, ignore_errors=True)


def _may_run(process: int, folder: Path) -> bool:
    """Tell whether a process may be the one that made a folder: it runs, and is older than the folder."""
    import psutil

    try:
        return bool(psutil.Process(process).create_time() <= folder.stat().st_mtime + 1)
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, OSError):
        return True


def _publish(temporary: Path, path: Path, overwrite: bool) -> None:
    if not overwrite:
        try:
            os.link(temporary, path)  # unlike replace, this fails if the file has appeared meanwhile
            return
        except OSError:  # it has appeared, or this file system has no hard links
            if os.path.lexists(path):
                raise FileExistsError(
                    f"{path} exists, it has appeared meanwhile; pass overwrite=True (--overwrite) or give another name"
                ) from None
    temporary.replace(path)


def _full(path: Path, temporary: Path) -> str:
    """Say that the disk is full, how much was written and how much would still fit."""
    try:
        written, left = temporary.stat().st_size, shutil.disk_usage(path.parent).free
    except OSError:
        return f"{path} cannot be written: the disk or the quota is full; free some space, or write elsewhere"
    return (
        f"{path} cannot be written: no more space after {written:,} bytes, and {left:,} bytes are free on the disk; "
        "free some space, raise the quota, or write elsewhere"
    )


def _host() -> str:
    return _token(socket.gethostname(), 8)


def _token(text: str, digits: int) -> str:
    """Return some hexadecimal digits that stand for a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:digits]
