"""Requests to stop: what a signal does at each point of a run, and what it may not break."""

from __future__ import annotations

import traceback

import pytest

from neuralstyle import _stopping
from neuralstyle._stopping import Stop, Stopping, interruptible, rescue

INTERRUPTED, TERMINATED = 130, 143


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stopping(clock: Clock) -> Stopping:
    stopping = Stopping(clock)
    stopping.begin()
    return stopping


def test_a_request_at_the_start_ends_the_process_as_nothing_is_lost(clock: Clock) -> None:
    stopping = Stopping(clock)
    assert stopping.receive(INTERRUPTED) == "exit"


def test_the_first_request_raises_and_is_never_lost(stopping: Stopping) -> None:
    stopping.check()
    assert stopping.receive(TERMINATED) == "raise"
    for _ in range(2):  # even if somebody swallows the exception
        with pytest.raises(Stop) as caught:
            stopping.check()
        assert caught.value.code == TERMINATED


def test_a_second_request_within_a_second_changes_nothing(stopping: Stopping, clock: Clock) -> None:
    assert stopping.receive(INTERRUPTED) == "raise"
    for gap in (0.0, 0.03, 0.9):
        clock.now = 100 + gap
        assert stopping.receive(TERMINATED) == "wait"
    assert stopping.code == INTERRUPTED
    clock.now = 101.5  # the exception was swallowed, and the user is impatient
    assert stopping.receive(INTERRUPTED) == "raise"


def test_the_third_request_breaks_what_is_shielded_and_the_second_does_not(stopping: Stopping, clock: Clock) -> None:
    answers = []
    with stopping.shield():
        for _ in range(3):
            answers += [stopping.receive(INTERRUPTED), stopping.receive(INTERRUPTED)]
            stopping.check()
            clock.now += 2
    assert answers == ["wait", "wait", "wait", "wait", "raise", "wait"]
    with pytest.raises(Stop):
        stopping.check()


def test_work_inside_of_a_shield_can_be_interrupted(stopping: Stopping) -> None:
    with stopping.shield():
        with stopping.exposed():
            assert stopping.receive(INTERRUPTED) == "raise"
            with pytest.raises(Stop):
                stopping.check()
        stopping.check()
        with pytest.raises(Stop), stopping.exposed():
            pytest.fail("work begins after a request to stop")
        stopping.check()


def test_a_request_at_the_end_changes_nothing(stopping: Stopping, clock: Clock) -> None:
    stopping.end()
    assert stopping.receive(INTERRUPTED) == "wait"
    assert stopping.code is None


@pytest.mark.parametrize("interruptions", [0, 1, 2])
def test_a_second_ctrl_c_does_not_break_the_rescue_and_a_third_does(interruptions: int) -> None:
    calls = []

    def make() -> str:
        calls.append(None)
        if len(calls) <= interruptions:
            raise KeyboardInterrupt
        return "picture"

    if interruptions < 2:
        assert rescue(make) == "picture"
    else:
        with pytest.raises(KeyboardInterrupt):
            rescue(make)
    _stopping.stopping.check()  # the shield is gone, and nothing was asked


def deep(count: int, error: BaseException) -> None:
    if count:
        deep(count - 1, error)
    raise error


@pytest.mark.parametrize(("error", "frames"), [(KeyboardInterrupt("stopped"), 2), (ValueError("bad"), 13)])
def test_only_the_traceback_of_ctrl_c_is_short(error: BaseException, frames: int) -> None:
    with pytest.raises(type(error)) as caught:
        interruptible(deep)(10, error)
    assert caught.value is error
    assert len(traceback.extract_tb(error.__traceback__)) == frames


def test_the_whole_traceback_is_there_for_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURALSTYLE_TRACEBACK", "1")
    with pytest.raises(KeyboardInterrupt) as caught:
        interruptible(deep)(10, KeyboardInterrupt())
    assert len(traceback.extract_tb(caught.value.__traceback__)) > 10
