"""The gate for a command's paths: what its table of options reads and writes, checked before the command runs."""

from __future__ import annotations

import argparse
import glob
from collections.abc import Iterator
from pathlib import Path

from neuralstyle.cli.parsing import Command, Option
from neuralstyle.files import Read, Write, check_paths

STANDARD = "-"  # what other programs call the standard input or output


def expand(command: Command, options: argparse.Namespace) -> None:
    """Expand wildcards in the arguments, where the shell has not; a file of that very name goes first."""
    for argument in command.arguments:
        if argument.reads and argument.nargs is not None:
            setattr(options, argument.key, [path for name in getattr(options, argument.key) for path in _found(name)])


def check(command: Command, options: argparse.Namespace, *, may_continue: bool) -> None:
    """Check all paths of a command against each other and the disk.

    Args:
        command: the command.
        options: its parsed options.
        may_continue: whether files that a run continues may exist. False: as if the run were a new one.

    Raises:
        ValueError: a path is read and written, or written twice, or has a suffix that is not written.
        OSError: a file exists and may not be replaced, a folder is missing or cannot be written.

    """
    table = list(command.table())
    continues = may_continue and command.continues is not None and command.continues(options)
    reads = [
        Read(path, option.label, _is_picture) for option in table if option.reads for path in _read(option, options)
    ]
    writes = [_write(option, path, continues) for option in table if option.writes for path in _values(option, options)]
    check_paths(reads, writes, overwrite=getattr(options, "overwrite", False))


def _found(name: str) -> list[str]:
    if not glob.has_magic(name) or Path(name).exists():
        return [name]
    return sorted(glob.glob(name)) or [name]  # noqa: PTH207 - the pattern may begin with a root


def _read(option: Option, options: argparse.Namespace) -> Iterator[Path]:
    for name in _values(option, options):
        if name == STANDARD and not option.dash_is_none:
            raise ValueError(f"{option.label} - : the standard input is not read; give a file, or /dev/stdin")
        if name != STANDARD and name not in option.words:
            # A region may be the inverse of a file, or one colour of it.
            plain = name.removeprefix("~")
            yield Path(name) if Path(name).exists() else Path(plain.rpartition("#")[0] or plain)


def _is_picture(path: Path) -> bool:
    """Tell whether a file in a folder is one of the pictures that are read there."""
    from neuralstyle.images.opening import look_at

    try:
        kind = look_at(path)
    except OSError:
        return False
    return kind is not None and bool(kind.plugin)


def _write(option: Option, name: str, continues: bool) -> Write:
    if name == STANDARD:
        raise ValueError(f"{option.label} - : nothing is written to the standard output; give the name of a file")
    path = Path(name)
    kind = option.writes or "file"
    if kind == "either":
        kind = "file" if path.suffix and not path.is_dir() else "folder"
    return Write(path, option.label, kind, option.suffixes, continues or option.may_exist)


def _values(option: Option, options: argparse.Namespace) -> list[str]:
    value = getattr(options, option.key, None)
    return [] if value is None else [value] if isinstance(value, str) else list(value)
