from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from neuralstyle import Pixels, Width, load_image
from neuralstyle.images import check_size, fit_size, longest_side

SHAPES = [(60, 80), (80, 60), (50, 50), (301, 150), (1080, 1920), (6000, 4001), (99, 100), (100, 99), (400, 100)]


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_width_is_met_exactly(height: int, width: int) -> None:
    for wanted in [*range(64, 300), 1000, 7999]:
        rows, columns = fit_size(height, width, longest_side(Width(wanted), height, width))
        assert columns == wanted
        assert abs(rows - wanted * height / width) <= max(0.5 * height / width, 0.5) + 0.5


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_pixels_are_as_many_as_fit(height: int, width: int) -> None:
    for wanted in [1024, 1025, 2000, 5000, 40_000, 123_457, 2_000_000, 10**9]:
        longest = longest_side(Pixels(wanted), height, width)
        assert math.prod(fit_size(height, width, longest)) <= wanted
        assert math.prod(fit_size(height, width, longest + 1)) > wanted
        if wanted >= 100_000:
            assert math.prod(fit_size(height, width, longest)) > 0.98 * wanted


def test_pixels_of_a_banner_are_as_many_as_fit() -> None:
    for wanted in range(9000, 12000, 37):
        longest = longest_side(Pixels(wanted), 30, 900)
        assert math.prod(fit_size(30, 900, longest)) <= wanted
        assert math.prod(fit_size(30, 900, longest + 1)) > wanted


@pytest.mark.parametrize("size", [16, 640, np.int64(640)])
def test_a_number_is_the_longest_side(size: Any) -> None:
    longest = longest_side(size, 50, 50)
    assert (longest, type(longest)) == (size, int)
    assert check_size(size) is size


@pytest.mark.parametrize("size", [Width(64), Width(30), Pixels(1200), 60])
def test_load_image_takes_every_size(size: Any) -> None:
    expected = {Width(64): (85, 64), Width(30): (40, 30), Pixels(1200): (40, 30), 60: (60, 45)}[size]
    assert load_image(torch.rand(3, 40, 30), size).shape[2:] == expected
    assert load_image(np.zeros((40, 30)), size).shape[2:] == expected


@pytest.mark.parametrize("value", [15, 0, -3, 64.0, "64", True, None, (64, 64)])
def test_bad_sizes(value: Any) -> None:
    with pytest.raises(ValueError, match=r"size is a whole number of at least 16 pixels .*Width.*received"):
        check_size(value)
    with pytest.raises(ValueError, match=r"size is a whole number of at least 16 pixels"):
        longest_side(value, 100, 100)
    with pytest.raises(ValueError, match=r"size Width is a whole number of at least 16 pixels, received"):
        Width(value)
    with pytest.raises(ValueError, match=r"size Pixels is a whole number of at least 256 pixels, received"):
        Pixels(value)


def test_the_least_sizes() -> None:
    assert (Width(16).pixels, Pixels(256).pixels) == (16, 256)
    assert longest_side(Pixels(256), 100, 100) == longest_side(Width(16), 100, 100) == 16


@pytest.mark.parametrize("size", [64, Width(64), Pixels(2000)])
def test_a_side_that_would_be_too_short_names_a_size_that_serves(size: Any) -> None:
    with pytest.raises(ValueError, match=r"333 x 20 pixels, would be \d+ x \d+ pixels at size=") as caught:
        longest_side(size, 20, 333)
    suggestion = str(caught.value).split("use size=")[1].split(" or more")[0]
    serving = eval(suggestion, {"Width": Width, "Pixels": Pixels})
    assert type(serving) is type(size)
    assert min(fit_size(20, 333, longest_side(serving, 20, 333))) == 16
    less = serving * 9 // 10 if isinstance(serving, int) else type(size)(serving.pixels * 9 // 10)
    with pytest.raises(ValueError, match="under 16 pixels"):
        longest_side(less, 20, 333)


def len_of(value: int) -> str:
    return f"{value.bit_length()} bits"


@pytest.mark.parametrize("value", [2**16 + 1, 99999999999999999999, 10**400, 10**5000], ids=len_of)
def test_sizes_that_no_picture_has_are_refused_before_anything_is_made(value: int) -> None:
    with pytest.raises(ValueError, match="size is at most 65536 pixels, received ") as caught:
        load_image(np.zeros((40, 30)), value)
    assert len(str(caught.value)) < 200
    with pytest.raises(ValueError, match="size Width is at most 65536 pixels, received "):
        Width(value)
    with pytest.raises(ValueError, match="size Pixels is at most 4294967296 pixels, received "):
        Pixels(value**2)


def test_a_side_that_follows_from_the_size_is_not_too_long_either() -> None:
    with pytest.raises(ValueError, match=r"would be 60000 x 80000 pixels at size=Width.60000., over 65536 pixels"):
        longest_side(Width(60_000), 80, 60)
    assert longest_side(Width(60_000), 60, 80) == 60_000
