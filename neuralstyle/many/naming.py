"""Naming: the pictures that were given, and for each the file of its result below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from neuralstyle.feedforward.data import find_pictures
from neuralstyle.feedforward.options import Paths
from neuralstyle.images.formats import WRITTEN


def name_results(
    pictures: Paths,
    output: Path,
    folders: Sequence[str],
    others: Sequence[str | os.PathLike[str]] = (),
    *,
    recursive: bool = False,
    suffix: str | None = None,
) -> dict[str, dict[Path, Path]]:
    """Find the pictures, and for each the file of its result in every one of some folders.

    A result keeps the name of its picture, and its subfolder below the folder that was given.

    Args:
        pictures: files and folders. One that is given twice counts once.
        output: the folder of the results.
        folders: names of folders in it; "" is ``output`` itself.
        others: what else is read, which no result may replace.
        recursive: search folders with their subfolders.
        suffix: the suffix of the results; None: that of the picture, or .png where it cannot be written.

    Raises:
        ValueError: no picture, two with one result, or a result that would replace what is read.
        OSError: a path that does not exist, or a folder that cannot be read.

    """
    if output.suffix.lower() in WRITTEN and not output.is_dir():
        raise ValueError(f"{output} is the name of a picture, and many are painted; give the name of a folder")
    given = [Path(path) for path in ([pictures] if isinstance(pictures, (str, os.PathLike)) else pictures)]
    if not given:
        raise ValueError("no picture was given; give a file or a folder")
    found = dict(_inner_names(given, output, recursive))
    read = {os.path.realpath(path): path for path in (*found, *others)}
    named: dict[str, dict[Path, Path]] = {}
    sources: dict[str, Path] = {}
    for folder in folders:
        named[folder] = {}
        for picture, inner in found.items():
            result = output / folder / _with_suffix(inner, suffix)
            place = os.path.realpath(result)
            if place in read:
                raise ValueError(
                    f"the result of {picture} would replace {read[place]}, and an input is never replaced; give "
                    "another folder"
                )
            if place in sources:
                raise ValueError(
                    f"{sources[place]} and {picture} would both become {result}; paint them into two folders, or give "
                    "the folder above them with recursive=True (--recursive)"
                )
            sources[place] = picture
            named[folder][picture] = result
    return named


def _inner_names(given: Sequence[Path], output: Path, recursive: bool) -> Iterator[tuple[Path, Path]]:
    """The pictures, each once, with their names below the folder of the results."""
    seen: set[str] = set()
    for path in given:
        for file in find_pictures(path, output, recursive=recursive):
            place = os.path.realpath(file)
            if place not in seen:
                seen.add(place)
                yield file, file.relative_to(path) if path.is_dir() else Path(file.name)


def _with_suffix(name: Path, suffix: str | None) -> Path:
    if suffix is not None:
        return name.with_suffix(suffix)
    return name if name.suffix.lower() in WRITTEN else name.with_suffix(".png")
