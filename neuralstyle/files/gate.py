"""The gate for paths: everything that a command reads and writes, checked against each other before the work."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from neuralstyle.files.folders import check_writable
from neuralstyle.files.numbered import NumberedFiles

MAX_NAME_BYTES = 255
"""Most bytes of a name of a file or folder, on nearly every file system."""

Kind: TypeAlias = Literal["file", "numbered", "folder"]


@dataclass(frozen=True)
class Read:
    """A path that a command reads.

    Args:
        path: a file, or a folder with all below it. What does not exist, such as the name of a sample, is ignored.
        name: what a message calls it, such as "CONTENT".
        takes: which of the files below a folder are read.

    """

    path: Path
    name: str
    takes: Callable[[Path], bool] = lambda path: True


@dataclass(frozen=True)
class Write:
    """A path that a command writes.

    Args:
        path: the file; the pattern of numbered files, see ``NumberedFiles``; or the folder, which is created.
        name: what a message calls it, such as "--log".
        kind: "file", "numbered" or "folder".
        suffixes: those that a file may have, in lower case; empty: any.
        may_exist: whether the file may exist without ``overwrite``, since it is continued or checked later.

    """

    path: Path
    name: str
    kind: Kind = "file"
    suffixes: Collection[str] = ()
    may_exist: bool = False


def check_paths(reads: Sequence[Read], writes: Sequence[Write], overwrite: bool = False) -> None:
    """Check all paths of a command, before any work.

    Args:
        reads: what it reads.
        writes: what it writes.
        overwrite: whether files that exist may be replaced. What is read is never replaced.

    Raises:
        ValueError: a path is written and read, or written twice, has a suffix that is not written, or is no name of a
            file.
        FileExistsError: a file exists, and ``overwrite`` is false.
        OSError: a folder is missing or cannot be written, or a folder stands where a file is to be.

    """
    for write in writes:
        _check_name(write)
    for number, write in enumerate(writes):
        for read in reads:
            _check_not_read(write, read)
        for other in writes[:number]:
            _check_apart(other, write)
    for write in writes:
        if write.kind == "file":
            check_target(write.path, overwrite or write.may_exist, suffixes=write.suffixes)
        elif write.kind == "numbered":
            files = NumberedFiles(write.path)
            check_target(files.path(1), overwrite=True, suffixes=write.suffixes)
            check_no_others(files, overwrite or write.may_exist)
        else:
            _check_folder(write)


def check_target(path: str | os.PathLike[str], overwrite: bool = False, *, suffixes: Collection[str] = ()) -> Path:
    """Check that a file can be written, and return its path.

    Args:
        path: the file.
        overwrite: whether it may exist.
        suffixes: those that it may have, in lower case; empty: any.

    Raises:
        ValueError: another suffix.
        IsADirectoryError: the path is a folder.
        FileNotFoundError: the folder of the file does not exist.
        FileExistsError: the file exists, and ``overwrite`` is false.
        PermissionError: the folder cannot be written.

    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file in it")
    if suffixes and path.suffix.lower() not in suffixes:
        raise ValueError(f"{path}: unknown suffix {path.suffix!r}; use one of {' '.join(suffixes)}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to save {path.name} in; create it first")
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(f"{path} exists; pass overwrite=True (--overwrite) or give another name")
    check_writable(path.parent, "use another")
    return path


def is_same_file(one: Path, other: Path) -> bool:
    """Tell whether two paths lead to one file, also through links; files that do not exist are compared by path."""
    if os.path.normcase(os.path.realpath(one)) == os.path.normcase(os.path.realpath(other)):
        return True
    try:
        return one.samefile(other)
    except OSError:
        return False


def is_below(path: Path, folder: Path) -> bool:
    """Tell whether a path lies in a folder or below it."""
    return Path(os.path.realpath(folder)) in Path(os.path.realpath(path)).parents


def _check_name(write: Write) -> None:
    """Check that a file can have this name at all."""
    try:
        longest = max((len(os.fsencode(part)) for part in write.path.parts), default=0)
        is_name = "\0" not in str(write.path)
    except UnicodeEncodeError:
        is_name = False
    if not is_name:
        raise ValueError(f"{write.name}: no file can have the name {ascii(str(write.path))[:80]}; give another")
    if longest > MAX_NAME_BYTES:
        raise ValueError(
            f"{write.name}: a name in {str(write.path)[:40]}... has {longest} bytes, and {MAX_NAME_BYTES} are the most"
        )


def _check_not_read(write: Write, read: Read) -> None:
    for path in _existing(write):
        if not read.path.exists():
            continue
        is_one_of_many = read.path.is_dir() and path.is_file() and is_below(path, read.path) and read.takes(path)
        if is_same_file(path, read.path) or is_one_of_many:
            raise ValueError(
                f"{write.name} {path} is read too, as {read.name}, and an input is never replaced; give another name"
            )


def _check_apart(one: Write, other: Write) -> None:
    for a, b in ((one, other), (other, one)):
        if is_same_file(a.path, b.path) or (a.kind == "numbered" and NumberedFiles(a.path).is_one(b.path)):
            raise ValueError(f"{one.name} and {other.name} both write {b.path}; give each a name of its own")


def _existing(write: Write) -> list[Path]:
    """The files and folders that are there and would be written."""
    if write.kind == "numbered":
        return NumberedFiles(write.path).existing()
    return [write.path] if os.path.lexists(write.path) else []


def check_no_others(files: NumberedFiles, overwrite: bool) -> None:
    """Check that there are no files of a pattern yet. Any number counts: another run's would look like this one's.

    Raises:
        FileExistsError: there is one, and ``overwrite`` is false.

    """
    there = [] if overwrite else files.existing()
    if there:
        raise FileExistsError(f"{there[0]} exists; pass overwrite=True (--overwrite) or give another pattern")


def _check_folder(write: Write) -> None:
    """Check that a folder can be created and written."""
    there = next(path for path in (write.path, *(Path.cwd() / write.path).parents) if path.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"{write.name} {write.path}: {there} is a file; give the name of a folder")
    check_writable(there, "use another")
