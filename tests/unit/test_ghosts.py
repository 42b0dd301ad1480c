"""The measure of ghosts, on made pictures."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from neuralstyle import metrics

SIDE, HORIZON = 192, 128


def disc(row: int, column: int, diameter: float, side: int = SIDE) -> Tensor:
    """A mask (side, side) of a disc."""
    y, x = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="ij")
    return (y - row).square() + (x - column).square() < (diameter / 2) ** 2


def strokes(side: int = SIDE, period: float = 6, contrast: float = 0.15) -> Tensor:
    """A ground of short diagonal strokes, (3, side, side)."""
    y, x = torch.meshgrid(torch.arange(side) * 1.0, torch.arange(side) * 1.0, indexing="ij")
    along = (2 * torch.pi * (x + y) / period).sin() * (2 * torch.pi * (x - y) / 25).cos()
    return (0.6 + contrast * along).expand(3, -1, -1).clone()


@pytest.fixture(scope="module")
def painting() -> Tensor:
    """Things on a ground of strokes."""
    picture = strokes()
    for row in range(24, 192, 48):
        picture[:, disc(row, 140, 26)] = 0.15
        picture[:, disc(row + 20, 175, 20)] = 0.9
    return picture


@pytest.fixture(scope="module")
def photograph() -> Tensor:
    """A sky with a slow gradient over a busy ground."""
    picture = torch.linspace(0.5, 0.9, SIDE).view(1, -1, 1).expand(3, -1, SIDE).clone()
    generator = torch.Generator().manual_seed(0)
    blocks = torch.rand(1, 3, 8, 24, generator=generator)
    picture[:, HORIZON:] = torch.nn.functional.interpolate(blocks, scale_factor=8)[0]
    return picture


@pytest.fixture(scope="module")
def painted(photograph: Tensor) -> Tensor:
    """The photograph with the painting's ground as its sky."""
    picture = photograph.clone()
    picture[:, :HORIZON] = strokes()[:, :HORIZON]
    return picture


def with_ghost(picture: Tensor, diameter: float = 26, value: float = 0.15) -> Tensor:
    ghost = picture.clone()
    ghost[:, disc(60, 80, diameter)] = value
    return ghost


def test_the_photograph_has_no_ghosts(photograph: Tensor, painting: Tensor) -> None:
    assert metrics.ghost_contrast(photograph, painting, photograph) == 0


def test_strokes_of_the_ground_are_no_ghosts(photograph: Tensor, painted: Tensor, painting: Tensor) -> None:
    assert metrics.ghost_contrast(painted, painting, photograph) < 0.005


def test_a_ghost_on_the_sky_is_seen(photograph: Tensor, painted: Tensor, painting: Tensor) -> None:
    assert metrics.ghost_contrast(with_ghost(painted), painting, photograph) > 0.03
    assert metrics.ghost_contrast(with_ghost(photograph), painting, photograph) > 0.03


@pytest.mark.parametrize("diameter", [10, 16, 24, 32])
def test_ghosts_of_all_sizes_are_seen(photograph: Tensor, painted: Tensor, painting: Tensor, diameter: float) -> None:
    # The discs are 1/20 to 1/6 of the longest side.
    assert metrics.ghost_contrast(with_ghost(painted, diameter), painting, photograph) > 0.015


def test_more_and_stronger_ghosts_count_for_more(photograph: Tensor, painted: Tensor, painting: Tensor) -> None:
    faint, strong = with_ghost(painted, value=0.45), with_ghost(painted)
    two = strong.clone()
    two[:, disc(50, 150, 26)] = 0.15
    values = [metrics.ghost_contrast(picture, painting, photograph) for picture in (painted, faint, strong, two)]
    assert values == sorted(values)
    assert values[3] > 1.2 * values[2] > 2 * values[1]


def test_a_ghost_of_colour_alone_is_seen(photograph: Tensor, painting: Tensor) -> None:
    ghost = photograph.clone()
    place = disc(60, 80, 26)
    ghost[0, place] += 0.2
    ghost[1, place] -= 0.1
    assert metrics.ghost_contrast(ghost, painting, photograph) > 0.006


def test_things_where_the_photograph_has_some_are_no_ghosts(
    photograph: Tensor, painted: Tensor, painting: Tensor
) -> None:
    there = painted.clone()
    there[:, disc(165, 80, 26)] = 0.05
    without = metrics.ghost_contrast(painted, painting, photograph)
    assert metrics.ghost_contrast(there, painting, photograph) == pytest.approx(without, abs=2e-3)


def test_fine_strokes_of_any_contrast_are_no_ghosts(photograph: Tensor, painting: Tensor) -> None:
    picture = photograph.clone()
    picture[:, :HORIZON] = strokes(contrast=0.35)[:, :HORIZON]
    assert metrics.ghost_contrast(picture, painting, photograph) < 0.01


def test_things_of_a_painting_that_is_busy_all_over_count_less(photograph: Tensor, painting: Tensor) -> None:
    busy = torch.full((3, SIDE, SIDE), 0.7)
    for row in range(12, SIDE, 24):
        for column in range(12, SIDE, 24):
            busy[:, disc(row, column, 16)] = 0.2
    picture = photograph.clone()
    picture[:, :HORIZON] = busy[:, :HORIZON]
    against_ground = metrics.ghost_contrast(picture, painting, photograph)
    assert metrics.ghost_contrast(picture, busy, photograph) < against_ground / 3


def test_a_photograph_without_empty_places_has_no_ghosts(painting: Tensor) -> None:
    full = torch.nn.functional.interpolate(torch.rand(1, 3, 12, 12), scale_factor=16)
    assert metrics.ghost_contrast(painting, painting, full) == 0


def test_ghosts_grow_with_the_picture(photograph: Tensor, painted: Tensor, painting: Tensor) -> None:
    def larger(picture: Tensor) -> Tensor:
        return torch.nn.functional.interpolate(picture[None], scale_factor=2, mode="bicubic").clamp(0, 1)

    ghost = with_ghost(painted)
    value = metrics.ghost_contrast(ghost, painting, photograph)
    assert metrics.ghost_contrast(larger(ghost), larger(painting), photograph) == pytest.approx(value, rel=0.05)


def test_small_pictures_and_other_aspects_are_refused(photograph: Tensor, painting: Tensor) -> None:
    with pytest.raises(ValueError, match="the picture is 40 x 40 pixels; ghosts need at least 64"):
        metrics.ghost_contrast(torch.rand(3, 40, 40), painting, torch.rand(3, 40, 40))
    with pytest.raises(ValueError, match="another aspect"):
        metrics.ghost_contrast(photograph[:, :100], painting, photograph)
