"""Scanning a clip: parts, times and cuts."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from neuralstyle.video.clips import Clip, Frame
from neuralstyle.video.scan import Part, find_cuts, scan


class Levels(Clip):
    """Frames of one grey level each, at uneven times."""

    path = Path("levels")

    def __init__(self, levels: list[int], times: list[float] | None = None) -> None:
        self.levels = levels
        self.times = times or [0.04 * number for number in range(len(levels))]

    def frames(self) -> Iterator[Frame]:
        for level, time in zip(self.levels, self.times, strict=True):
            picture = partial(np.full, (32, 48, 3), level, np.uint8)
            yield Frame(Fraction(str(round(time, 3))), Fraction(1, 25), picture)


def test_times_of_all_frames_and_the_last_duration() -> None:
    found = scan(Levels([9, 9, 9], [0, 0.1, 0.5]), Part())
    assert [m.time for m in found.moments] == [0, Fraction(1, 10), Fraction(1, 2)]
    assert [m.duration for m in found.moments] == [Fraction(1, 10), Fraction(2, 5), Fraction(1, 25)]
    assert found.shape == (32, 48)


def test_a_part_begins_at_zero_and_ends_before_its_end() -> None:
    found = scan(Levels([9] * 10), Part(start=0.08, end=0.2))
    assert [m.number for m in found.moments] == [2, 3, 4]
    assert found.moments[0].time == 0
    assert found.start == Fraction("0.08")
    assert sum(m.duration for m in found.moments) == Fraction("0.12")


def test_every_third_frame_lasts_until_the_next() -> None:
    found = scan(Levels([9] * 7), Part(every=3))
    assert [m.number for m in found.moments] == [0, 3, 6]
    assert [m.duration for m in found.moments] == [Fraction("0.12"), Fraction("0.12"), Fraction("0.04")]


def test_cuts_begin_scenes_and_motion_and_fades_do_not() -> None:
    found = scan(Levels([10, 12, 10, 90, 91, 90, 90, 200, 200]), Part())
    assert [[m.number for m in scene] for scene in found.scenes] == [[0, 1, 2], [3, 4, 5, 6], [7, 8]]
    assert len(scan(Levels([10 * number for number in range(20)]), Part()).scenes) == 1
    noise = [torch.rand(1, 3, 24, 32) for _ in range(6)]  # all change by as much: an unsteady shot
    assert find_cuts(noise) == []
    assert find_cuts([noise[0]]) == []


def test_the_fingerprint_tells_other_frames_and_other_times() -> None:
    same = scan(Levels([9, 20, 30]), Part()).fingerprint
    assert scan(Levels([9, 20, 30]), Part()).fingerprint == same
    assert scan(Levels([9, 21, 30]), Part()).fingerprint != same
    assert scan(Levels([9, 20, 30], [0, 0.04, 0.09]), Part()).fingerprint != same


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"start": -1}, "the start is a finite number of at least 0 seconds, received -1"),
        ({"start": 2, "end": 1}, "the end is a finite number above 2 seconds, after the start, received 1"),
        ({"every": 0}, "every is a whole number of at least 1, received 0"),
    ],
)
def test_a_bad_part_is_refused(part: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Part(**part)  # type: ignore[arg-type]


def test_a_part_without_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="levels has no frame from 9 to its end seconds"):
        scan(Levels([9, 9]), Part(start=9))


def test_frames_of_several_sizes_are_refused() -> None:
    class Growing(Levels):
        def frames(self) -> Iterator[Frame]:
            for number, frame in enumerate(super().frames()):
                yield Frame(frame.time, frame.duration, partial(np.zeros, (32, 48 + number, 3), np.uint8))

    with pytest.raises(ValueError, match="frame 2 is 49 x 32 pixels, and those before it are 48 x 32"):
        scan(Growing([9, 9]), Part())
