"""Folders of frames, one picture each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from pathlib import Path

from neuralstyle.files import check_writable
from neuralstyle.images import save_image
from neuralstyle.images.opening import look_at
from neuralstyle.video.clips import Clip, Finished, Frame, Target

DEFAULT_RATE = 25.0
"""Frames a second of a folder, which has no times of its own."""


@dataclass(frozen=True)
class Folder(Clip):
    """A folder of pictures, in the order of the numbers in their names.

    Args:
        path: the folder.
        rate: frames a second.

    Raises:
        ValueError: there is no picture in it.

    """

    path: Path
    rate: Fraction

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError(f"{self.path} has no pictures in it; give a folder of frames")

    @cached_property
    def files(self) -> list[Path]:
        """The pictures in it, in order."""
        found = [path for path in self.path.iterdir() if path.is_file() and not path.name.startswith(".")]
        return sorted((path for path in found if _is_picture(path)), key=_order)

    def frames(self) -> Iterator[Frame]:
        """The frames, at even times."""
        for number, path in enumerate(self.files):
            yield Frame(number / self.rate, 1 / self.rate, partial(Path, path))

    def name(self, number: int) -> str:
        """The name of the frame's own file."""
        return self.files[number].stem


@dataclass(frozen=True)
class FrameFolder(Target):
    """A folder of PNG files that is written, and created if it does not exist."""

    path: Path

    def check(self, clip: Clip, overwrite: bool) -> None:
        """Check that the folder can be written, and is empty or may be changed."""
        if os.path.realpath(self.path) == os.path.realpath(clip.path):
            raise ValueError(f"{self.path} is read too, and an input is never replaced; give another name")
        there = next(path for path in (self.path, *(Path.cwd() / self.path).parents) if path.exists())
        if not there.is_dir():
            raise NotADirectoryError(f"{self.path}: {there} is a file; give the name of a folder")
        check_writable(there, "use another")
        if there == self.path and not overwrite and any(self.path.iterdir()):
            raise FileExistsError(f"{self.path} is not empty; pass overwrite=True (--overwrite) or give another name")

    def write(self, frames: Iterator[Finished], clip: Clip, start: Fraction, end: Fraction | None) -> None:
        """Save the frames under their names."""
        self.path.mkdir(parents=True, exist_ok=True)
        for finished in frames:
            save_image(finished.image, self.path / f"{finished.name}.png", overwrite=True)


def _is_picture(path: Path) -> bool:
    try:
        kind = look_at(path)
    except OSError:
        return False
    return kind is not None and bool(kind.plugin)


def _order(path: Path) -> list[tuple[int, str]]:
    """A key that sorts frame-2 before frame-10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]
