"""The checks that errors share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuralstyle._errors import is_word, number, unknown, whole_number


@pytest.mark.parametrize("value", [1, 7, 2**70, np.int64(3), np.uint8(200)])
def test_whole_numbers_come_back_as_int(value: object) -> None:
    checked = whole_number("steps", value, 1)
    assert checked == value
    assert type(checked) is int


@pytest.mark.parametrize("value", [0, -3, 1.0, 1.5, "2", None, True, np.bool_(True), float("nan"), [1]])
def test_no_whole_number_is_refused_with_what_was_received(value: object) -> None:
    with pytest.raises(ValueError, match="steps is a whole number of at least 1, received ") as caught:
        whole_number("steps", value, 1)
    assert repr(value)[:90] in str(caught.value)


def test_whole_numbers_have_an_upper_limit_and_a_hint() -> None:
    assert whole_number("quality", 100, 1, 100) == 100
    with pytest.raises(ValueError, match="quality is a whole number from 1 to 100, received 101"):
        whole_number("quality", 101, 1, 100)
    with pytest.raises(ValueError, match="size is a whole number of at least 16 pixels, received 3"):
        whole_number("size", 3, 16, hint=" pixels")


@pytest.mark.parametrize(
    ("value", "limits", "words"),
    [
        (float("nan"), {}, "a finite number"),
        (10**400, {}, "a finite number"),
        (True, {}, "a finite number"),
        ("1", {}, "a finite number"),
        (1j, {}, "a finite number"),
        (2, {"least": 0, "most": 1}, "a finite number from 0 to 1"),
        (0, {"above": 0}, "a finite number above 0"),
        (4, {"above": 0, "most": 3}, "a finite number above 0 and of at most 3"),
        (-1, {"least": 0, "hint": " seconds"}, "a finite number of at least 0 seconds"),
    ],
)
def test_numbers_outside_the_limits_are_refused(value: object, limits: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^weight is {words}, received ") as caught:
        number("weight", value, **limits)
    assert repr(value)[:90] in str(caught.value)


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.25), np.int64(1)])
def test_numbers_within_the_limits_come_back_as_float(value: float) -> None:
    checked = number("strength", value, least=0, most=1)
    assert checked == value
    assert type(checked) is float


def test_an_unknown_name_is_answered_with_the_closest_match() -> None:
    assert str(unknown("color", "mach", ["style", "match"])) == (
        "unknown color 'mach': did you mean 'match'? known are style, match"
    )


def test_an_array_is_no_word() -> None:
    assert is_word("a", ("a", "b"))
    assert not is_word("c", ("a", "b"))
    assert not is_word(np.array(["a", "b"]), ("a", "b"))
    assert not is_word(["a"], ("a", "b"))
