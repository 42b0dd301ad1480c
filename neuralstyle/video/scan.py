"""Scanning: one look at all frames before the work, for their times and the cuts between scenes."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from torch import Tensor

from neuralstyle._errors import brief, number, whole_number
from neuralstyle._stopping import stopping
from neuralstyle.images import load_image, resize_image
from neuralstyle.video.clips import Clip

THUMBNAIL = (24, 32)
"""Height and width at which frames are compared, in pixels: motion changes little there, and a cut nearly all."""

CUT = 0.06
"""Least mean difference of two thumbnails at a cut, for values in [0, 1]."""

CUT_FACTOR = 3.0
"""How many times the usual difference of the frames around it a cut exceeds."""

NEIGHBOURS = 8
"""Frames on each side that say what is usual."""


@dataclass(frozen=True)
class Part:
    """The part of a clip that is painted.

    Args:
        start: seconds from its beginning; None: from there.
        end: seconds from its beginning; None: to its end.
        every: take every nth frame.

    Raises:
        ValueError: a number out of its range.

    """

    start: float | None = None
    end: float | None = None
    every: int = 1

    def __post_init__(self) -> None:
        start = 0.0 if self.start is None else number("the start", self.start, least=0, hint=" seconds")
        if self.end is not None:
            number("the end", self.end, above=start, hint=" seconds, after the start")
        whole_number("every", self.every, 1)


@dataclass(frozen=True)
class Moment:
    """A frame that is painted: its number in the clip from 0, when it is shown in the new clip, and how long."""

    number: int
    time: Fraction
    duration: Fraction


@dataclass(frozen=True)
class Scan:
    """What a look at all frames has found.

    Attributes:
        scenes: the frames that are painted, scene by scene.
        start: the time of the clip at which the new one begins.
        end: the time at which it ends; None: with the clip.
        shape: (height, width) of the first frame.
        fingerprint: digits that stand for what was seen.

    """

    scenes: tuple[tuple[Moment, ...], ...]
    start: Fraction
    end: Fraction | None
    shape: tuple[int, int]
    fingerprint: str

    @property
    def moments(self) -> list[Moment]:
        """All frames that are painted."""
        return [moment for scene in self.scenes for moment in scene]


def scan(clip: Clip, part: Part, *, cuts: bool = True) -> Scan:
    """Look at all frames of a part of a clip.

    Args:
        clip: the clip.
        part: the part.
        cuts: whether to look for cuts; else there is one scene.

    Raises:
        ValueError: no frame is in the part, the clip is broken, or the size of its frames changes.

    """
    first = None if part.start is None else Fraction(str(part.start))
    last = None if part.end is None else Fraction(str(part.end))
    times: list[tuple[int, Fraction, Fraction]] = []
    thumbnails: list[Tensor] = []
    shape: tuple[int, int] | None = None
    seen = hashlib.sha256()
    for place, frame in enumerate(clip.frames()):
        stopping.check()
        if last is not None and frame.time >= last:
            break
        if first is not None and frame.time < first:
            continue
        if (len(times)) % part.every == 0:
            picture = load_image(frame.picture())
            size = (picture.shape[2], picture.shape[3])
            if shape not in (None, size):
                raise ValueError(
                    f"{clip.path}: frame {place + 1} is {size[1]} x {size[0]} pixels, and those before it are "
                    f"{shape[1] if shape else 0} x {shape[0] if shape else 0}; give frames of one size"
                )
            shape = size
            thumbnails.append(resize_image(picture, THUMBNAIL))
            seen.update((thumbnails[-1] * 255).round().byte().numpy().tobytes())
        times.append((place, frame.time, frame.duration))
        seen.update(f"{frame.time} {frame.duration};".encode())
    if shape is None:
        raise ValueError(f"{clip.path} has no frame {_between(part)}; give an earlier start")
    moments = _moments(times, part.every, last)
    starts = [0, *(find_cuts(thumbnails) if cuts else []), len(moments)]
    scenes = tuple(tuple(moments[a:b]) for a, b in pairwise(starts))
    begins = times[0][1] if first is not None else Fraction(0)
    return Scan(scenes, begins, last, shape, seen.hexdigest()[:32])


def _moments(times: Sequence[tuple[int, Fraction, Fraction]], every: int, last: Fraction | None) -> list[Moment]:
    """The frames that are painted; each lasts until the next one."""
    kept = times[::every]
    zero = kept[0][1]
    end = times[-1][1] + times[-1][2]
    end = end if last is None else min(end, last)
    untils = [*(time for _, time, _ in kept[1:]), max(end, kept[-1][1] + Fraction(1, 1000))]
    return [Moment(place, time - zero, until - time) for (place, time, _), until in zip(kept, untils, strict=True)]


def find_cuts(thumbnails: Sequence[Tensor]) -> list[int]:
    """Return the numbers of the frames that begin another scene, from 1 on.

    A frame does if it differs from the one before by ``CUT``, and by ``CUT_FACTOR`` times more than is usual around it.

    Args:
        thumbnails: the frames, small, (1, 3, h, w) in [0, 1] each.

    Example:
        ```python
        import torch
        from neuralstyle.video import find_cuts

        dark, light = torch.zeros(1, 3, 24, 32), torch.ones(1, 3, 24, 32)
        assert find_cuts([dark, dark, light, light]) == [2]
        ```

    """
    changes = [float((b - a).abs().mean()) for a, b in pairwise(thumbnails)]
    found = []
    for number_, change in enumerate(changes):
        around = changes[max(0, number_ - NEIGHBOURS) : number_] + changes[number_ + 1 : number_ + 1 + NEIGHBOURS]
        usual = statistics.median(around) if around else 0.0
        if change >= CUT and change >= CUT_FACTOR * usual:
            found.append(number_ + 1)
    return found


def _between(part: Part) -> str:
    if part.start is None and part.end is None:
        return "in it"
    return f"from {brief(part.start or 0)} to {'its end' if part.end is None else brief(part.end)} seconds"


def even(shape: tuple[int, int], multiple: int) -> tuple[int, int]:
    """Return (height, width), each rounded to a multiple."""
    height, width = (max(multiple, round(side / multiple) * multiple) for side in shape)
    return height, width
