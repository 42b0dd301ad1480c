"""Regions and scales that are not painted as they were given are refused or said once."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doubles import painting
from PIL import Image

from neuralstyle import FeatureExtractor, GramStyleLoss, Style, plan, samples, stylize, synthesize_texture

LAYERS = ("relu1_1", "relu2_1")
SHALLOW: dict[str, Any] = {"losses": GramStyleLoss(LAYERS), "size": 48, "iterations": 3, "progress": False}


@pytest.fixture
def encoder() -> FeatureExtractor:
    return FeatureExtractor(layers=LAYERS)


@pytest.fixture
def left(tmp_path: Path) -> str:
    """White in the left half, black in the right one."""
    image = Image.new("L", (48, 32))
    image.paste(255, (0, 0, 24, 32))
    image.save(tmp_path / "left.png")
    return str(tmp_path / "left.png")


def test_a_region_for_two_styles_leaves_half_of_the_photograph_and_says_so(
    left: str, encoder: FeatureExtractor
) -> None:
    photo = samples.photo().resize((48, 32))
    styles = [Style(painting(), region=left), Style(painting("embers"), region=left)]
    with pytest.warns(UserWarning, match="50% of the picture is in no region: there it follows the photograph") as said:
        image = stylize(photo, styles, encoder=encoder, **SHALLOW)
    assert len(said) == 1
    changed = np.abs(np.asarray(image).astype(int) - np.asarray(photo).astype(int)).max(2) > 2
    assert changed[:, :20].mean() > 0.5
    assert not changed[:, 36:].any()


def test_a_colour_and_its_rest_cover_the_picture(tmp_path: Path, encoder: FeatureExtractor) -> None:
    image = Image.new("RGB", (48, 32), "red")
    image.paste("blue", (0, 0, 24, 32))
    image.save(tmp_path / "map.png")
    left, right = (Style(painting(name), region=f"{tmp_path}/map.png#blue") for name in ("swirl", "embers"))
    rest = Style(right.image, region=f"~{tmp_path}/map.png#blue")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = plan(samples.photo(), [left, rest], encoder=encoder, **SHALLOW)
    first, second = (style.region for style in found.styles)
    assert (first + second == 1).all()  # type: ignore[operator]
    assert first.mean() == 0.5  # type: ignore[union-attr]


def test_black_all_over_is_refused_before_the_work(tmp_path: Path, encoder: FeatureExtractor) -> None:
    Image.new("L", (48, 32)).save(tmp_path / "night.png")
    for style in (Style(painting(), region=tmp_path / "night.png"), Style(painting(), mask=tmp_path / "night.png")):
        with pytest.raises(ValueError, match=r"night\.png is black all over, so that nothing counts"):
            stylize(samples.photo(), style, encoder=encoder, **SHALLOW)


def test_a_texture_with_a_bare_part_and_a_scale_that_is_capped_is_said(left: str, encoder: FeatureExtractor) -> None:
    styles = [Style(painting(), region=left, scale=3), Style(painting("embers"), region=left)]
    with pytest.warns(UserWarning, match="scale of a style|no region") as said:
        synthesize_texture(styles, encoder=encoder, **{**SHALLOW, "size": (32, 48)})
    assert [str(each.message).partition(":")[0] for each in said] == [
        "the scale of a style is 1.33 and not 3",
        "50% of the picture is in no region",
    ]
