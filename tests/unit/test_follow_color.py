"""Results that keep the photograph's colours: dark and grey paintings, fringes, what is seen, pictures that repeat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neuralstyle import load_image, samples
from neuralstyle.color import (
    MATCHINGS,
    follow_color,
    match_histogram,
    oklab_to_rgb,
    recolor_style,
    rgb_to_oklab,
)
from neuralstyle.color.grey import to_grey


@pytest.fixture(scope="module")
def photo() -> Tensor:
    """The photograph, in the range that leaves room for changes."""
    return 0.25 + 0.5 * load_image(samples.photo(), 96)


def moments(image: Tensor) -> tuple[Tensor, Tensor]:
    pixels = image[0].double().flatten(1)
    return pixels.mean(1), torch.cov(pixels, correction=0)


def chroma(image: Tensor) -> Tensor:
    return rgb_to_oklab(image)[:, 1:]


def with_chroma(image: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    lab = rgb_to_oklab(image)
    changed = oklab_to_rgb(torch.cat((lab[:, :1], change(lab[:, 1:])), 1))
    assert changed.min() >= 0
    assert changed.max() <= 1
    return changed


@pytest.mark.parametrize("method", MATCHINGS)
def test_the_distribution_is_the_contents(photo: Tensor, noise: Callable[..., Tensor], method: Any) -> None:
    followed = follow_color(0.6 * photo + 0.2 * noise(*photo.shape), photo, method)
    if method == "histogram":
        torch.testing.assert_close(followed.flatten(2).sort().values, photo.flatten(2).sort().values, atol=0.01, rtol=0)
    else:
        for actual, expected in zip(moments(followed), moments(photo), strict=True):
            torch.testing.assert_close(actual, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kept", [0.0, 0.3, 1.0])
def test_colours_that_a_grey_painting_lacks_are_the_contents_at_their_places(photo: Tensor, kept: float) -> None:
    weak = with_chroma(photo, lambda ab: kept * ab)
    torch.testing.assert_close(chroma(follow_color(weak, photo)), chroma(photo), atol=0.005, rtol=0)


def test_fringes_go_and_areas_of_another_colour_stay(photo: Tensor) -> None:
    rows, columns = torch.meshgrid(*(torch.arange(side) for side in photo.shape[2:]), indexing="ij")
    weave = 0.02 * (1 - 2 * ((rows + columns) % 2))
    fringed = follow_color(with_chroma(photo, lambda ab: ab + weave), photo)
    assert (chroma(fringed) - chroma(photo)).square().mean().sqrt() < 0.1 * 0.02
    patch = torch.zeros(photo.shape[2:])
    patch[20:44, 30:60] = 0.02
    added = (chroma(follow_color(with_chroma(photo, lambda ab: ab + patch), photo)) - chroma(photo))[0]
    inside, outside = (added[:, places].mean() for places in (patch > 0, patch == 0))
    assert inside - outside > 0.01


def test_lightness_stays_the_paintings(photo: Tensor) -> None:
    painted = photo.flip(3)  # of the content's colours, elsewhere
    lightness = [rgb_to_oklab(picture)[0, 0].flatten().numpy() for picture in (follow_color(painted, photo), painted)]
    assert np.corrcoef(*lightness)[0, 1] > 0.97


def test_a_grey_content_gives_a_grey_result(photo: Tensor) -> None:
    followed = follow_color(photo, to_grey(photo).flip(3))
    assert torch.equal(followed.amax(1), followed.amin(1))
    assert float(followed.std()) == pytest.approx(float(to_grey(photo).std()), rel=0.01)


def test_a_content_of_one_colour_gives_one_colour(photo: Tensor) -> None:
    plain = torch.tensor([0.2, 0.5, 0.3]).view(1, 3, 1, 1).expand_as(photo)
    torch.testing.assert_close(follow_color(photo, plain), plain, atol=0.01, rtol=0)


def test_what_is_not_seen_does_not_count(photo: Tensor) -> None:
    seen = torch.ones(photo.shape[2:], dtype=torch.bool)
    seen[:, 60:] = False
    other = torch.where(seen, photo, 1 - photo.flip(1))
    painted = photo.sqrt()
    one, two = (follow_color(painted, each, seen=seen)[..., :60] for each in (photo, other))
    assert torch.equal(one, two)
    torch.testing.assert_close(one.mean((2, 3)), photo[..., :60].mean((2, 3)), atol=1e-4, rtol=0)
    assert not torch.equal(follow_color(painted, photo), follow_color(painted, other))


def test_a_picture_that_repeats_has_no_border(photo: Tensor, noise: Callable[..., Tensor]) -> None:
    painted = 0.5 * photo + 0.5 * noise(*photo.shape)
    for wraps, close in ((True, True), (False, False)):
        rolled = follow_color(painted.roll(17, 3), photo.roll(17, 3), wraps=wraps).roll(-17, 3)
        assert torch.allclose(rolled, follow_color(painted, photo, wraps=wraps), atol=1e-5) == close


def test_batches_share_a_content(photo: Tensor, noise: Callable[..., Tensor]) -> None:
    painted = torch.cat((photo.sqrt(), 0.5 * photo + 0.2 * noise(*photo.shape)))
    together = follow_color(painted, photo)
    alone = torch.cat([follow_color(each[None], photo) for each in painted])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


# Styles


def test_a_histogram_makes_no_colours_that_neither_picture_has(photo: Tensor, noise: Callable[..., Tensor]) -> None:
    """A grey content but for a tint, and a style in strong colours: each channel alone would keep them."""
    content = to_grey(photo) + 0.2 * (photo - to_grey(photo))
    style = noise(1, 3, 64, 64)
    widest = chroma(content).norm(dim=1).max()
    assert chroma(match_histogram(style, content)).norm(dim=1).max() > 5 * widest
    assert chroma(recolor_style(style, content, "histogram")).norm(dim=1).max() < 2.5 * widest


def test_pictures_that_do_not_go_together(photo: Tensor) -> None:
    with pytest.raises(ValueError, match="resize the content"):
        follow_color(photo, photo[..., :50])
    with pytest.raises(ValueError, match="unknown method 'luminance'"):
        follow_color(photo, photo, "luminance")  # type: ignore[arg-type]
