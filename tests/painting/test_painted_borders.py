"""No line along the last row or column of a result, at sizes whose last cells the border cuts."""

from __future__ import annotations

import numpy as np
import pytest
import torch.nn.functional as F
from doubles import painting
from torch import Tensor

from neuralstyle import load_image, samples, stylize
from neuralstyle.feedforward import apply_model

SIZES = [(95, 97), (96, 98), (97, 95)]
PAINTINGS = ("swirl", "mosaic", "woodcut", "embers")

MOST_STEP = 2.0
"""Step from the last row but one to the last, as a multiple of the median step."""

LEAST_VARIATION = 0.65
"""Variation along the last row, as a multiple of that of the 16 before it: a line of one colour has little."""


@pytest.fixture(scope="module")
def photograph() -> Tensor:
    return load_image(samples.photo(), 192)


def at(photograph: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(photograph, size=size, mode="bilinear", antialias=True).clamp(0, 1)


def check_borders(picture: np.ndarray) -> None:
    for lines in (picture, picture.transpose(1, 0, 2)):
        steps, variations = (np.abs(np.diff(lines, axis=axis)).mean((1, 2)) for axis in (0, 1))
        assert steps[-1] <= MOST_STEP * np.median(steps)
        assert variations[-1] >= LEAST_VARIATION * np.median(variations[-17:-1])


@pytest.mark.parametrize("name", PAINTINGS)
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_compact19_draws_no_line_at_the_border(photograph: Tensor, name: str, height: int, width: int) -> None:
    content = at(photograph, (height, width))
    options = {"size": max(height, width), "iterations": 30, "progress": False}
    check_borders(np.asarray(stylize(content, painting(name, 128), schedule="draft", **options), float))


@pytest.mark.parametrize("name", ["swirl", "mosaic"])
def test_vgg19_draws_no_line_at_the_border(photograph: Tensor, name: str) -> None:
    content = at(photograph, (97, 95))
    result = stylize(content, painting(name, 128), size=97, iterations=15, schedule="fine", progress=False)
    check_borders(np.asarray(result, float))


@pytest.mark.parametrize("side", range(95, 99))
def test_a_network_draws_no_line_at_the_border(photograph: Tensor, side: int) -> None:
    check_borders(np.asarray(apply_model("swirl", at(photograph, (side, side + 1))), float))
