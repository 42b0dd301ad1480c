"""Clips: frames with their times, whatever kind of file they come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

from PIL import Image

from neuralstyle.images import Picture


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame of a clip, which is converted to a picture only when it is asked for.

    Attributes:
        time: when it is shown, in seconds from the beginning of the clip.
        duration: how long, in seconds; what the file says, which may be less than until the next frame.
        picture: returns it upright.

    """

    time: Fraction
    duration: Fraction
    picture: Callable[[], Picture] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Finished:
    """A painted frame, with the times at which it is written.

    Attributes:
        time: when it is shown, in seconds from the beginning of the new clip.
        duration: until the next frame, in seconds.
        image: the picture.
        name: the name of the frame, for files.

    """

    time: Fraction
    duration: Fraction
    image: Image.Image
    name: str


class Clip(ABC):
    """A clip that is read. Each kind of file has a class of its own.

    Attributes:
        path: the file or folder.

    """

    path: Path

    @abstractmethod
    def frames(self) -> Iterator[Frame]:
        """The frames in the order in which they are shown, from the first one on.

        Raises:
            ValueError: the clip is broken.

        """

    def name(self, number: int) -> str:
        """The name of a frame by its number from 0, without a suffix."""
        return f"frame-{number + 1:06d}"


class Target(ABC):
    """A clip that is written. Each kind of file has a class of its own.

    Attributes:
        path: the file or folder.

    """

    path: Path
    multiple: ClassVar[int] = 1
    """What both sides of a frame are multiples of."""

    @abstractmethod
    def check(self, clip: Clip, overwrite: bool) -> None:
        """Check before the work that the clip can be written there.

        Raises:
            ValueError: an unknown suffix, or sound that the kind of file cannot hold.
            OSError: it exists and ``overwrite`` is false, or it cannot be written.
            ImportError: something has to be installed; the message says what.

        """

    @abstractmethod
    def write(self, frames: Iterator[Finished], clip: Clip, start: Fraction, end: Fraction | None) -> None:
        """Write the frames, completely or not at all.

        Args:
            frames: the frames.
            clip: the clip that they come from.
            start: the time of the clip at which the new one begins.
            end: the time at which it ends; None: with the clip.

        """
