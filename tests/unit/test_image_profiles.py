"""Colour profiles that go out with a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from icc import CMYK_BLACK_ONLY, GREY_LINEAR, WIDE, profile, srgb_profile, srgb_to_wide, wide_to_srgb
from PIL import Image

from neuralstyle.images import check_output, load_image, save_image

COLORS = np.stack(np.meshgrid(*[np.linspace(0.1, 0.95, 9)] * 3), axis=-1).reshape(27, 27, 3)
IMAGE = torch.tensor(COLORS).permute(2, 0, 1)[None].float()


def values(path: Path) -> np.ndarray:
    """The numbers in a file, whatever they mean, in [0,1]."""
    with Image.open(path) as image:
        if image.tile[0][3] == "RGB" or image.format != "PNG":
            return np.asarray(image) / 255
    pyvips = pytest.importorskip("pyvips")
    pixels: np.ndarray = pyvips.Image.new_from_file(str(path), revalidate=True).numpy() / 65535
    return pixels


@pytest.mark.parametrize(
    ("suffix", "depth", "mean", "most"),
    [(".png", 8, 0.3, 1.1), (".tif", 8, 0.3, 1.1), (".jpg", 8, 1.5, 12), (".png", 16, 0.05, 0.6)],
)
def test_a_saved_picture_is_converted_and_looks_the_same(
    tmp_path: Path, suffix: str, depth: int, mean: float, most: float
) -> None:
    """Errors in levels of 8 bits; 0.25 is what rounding alone makes on the average."""
    if depth == 16:
        pytest.importorskip("pyvips")
    path = save_image(IMAGE, tmp_path / f"a{suffix}", quality=100, depth=depth, profile=WIDE)
    with Image.open(path) as image:
        assert image.info["icc_profile"] == WIDE
    error = np.abs(values(path) - srgb_to_wide(COLORS)) * 255
    assert error.mean() < mean
    assert error.max() < most
    assert np.abs(srgb_to_wide(COLORS) - COLORS).max() * 255 > 20  # there is something to convert
    back = (load_image(path) - IMAGE).abs() * 255
    assert back.mean() < 2 * mean
    assert back.max() < 3 * most


def test_webp_holds_the_profile(tmp_path: Path) -> None:
    path = save_image(IMAGE, tmp_path / "a.webp", profile=WIDE)
    with Image.open(path) as image:
        assert image.info["icc_profile"] == WIDE


@pytest.mark.parametrize("depth", [8, 16])
def test_the_srgb_profile_changes_no_value(tmp_path: Path, depth: int) -> None:
    if depth == 16:
        pytest.importorskip("pyvips")
    plain = save_image(IMAGE, tmp_path / "a.png", depth=depth)
    tagged = save_image(IMAGE, tmp_path / "b.png", depth=depth, profile=srgb_profile())
    assert np.array_equal(values(plain), values(tagged))
    with Image.open(plain) as without, Image.open(tagged) as image:
        assert "icc_profile" not in without.info
        assert image.info["icc_profile"] == srgb_profile()


def test_a_pil_image_is_converted_as_well(tmp_path: Path) -> None:
    image = Image.fromarray((COLORS * 255).round().astype(np.uint8))
    path = save_image(image, tmp_path / "a.png", profile=WIDE)
    assert np.abs(values(path) - srgb_to_wide(COLORS)).max() * 255 < 1.6
    image.info["icc_profile"] = WIDE  # out of its own profile and into it again; what sRGB has not is lost
    again = save_image(image, tmp_path / "b.png", profile=WIDE)
    seen = wide_to_srgb(COLORS)
    kept = ((seen > 0.02) & (seen < 0.98)).all(axis=2)
    assert kept.mean() > 0.5
    assert np.abs(values(again) - np.asarray(image) / 255)[kept].max() * 255 < 3


def test_the_profile_of_a_picture_is_carried_through(tmp_path: Path) -> None:
    tagged, plain, icc = tmp_path / "tagged.jpg", tmp_path / "plain.png", tmp_path / "wide.icc"
    Image.new("RGB", (20, 20)).save(tagged, icc_profile=WIDE)
    Image.new("RGB", (20, 20)).save(plain)
    icc.write_bytes(WIDE)
    expected = save_image(IMAGE, tmp_path / "a.png", profile=WIDE).read_bytes()
    for number, source in enumerate((tagged, str(tagged), icc)):
        assert save_image(IMAGE, tmp_path / f"{number}.png", profile=source).read_bytes() == expected
    untagged = save_image(IMAGE, tmp_path / "b.png", profile=plain)
    assert untagged.read_bytes() == save_image(IMAGE, tmp_path / "c.png").read_bytes()


SCANNER = profile(b"RGB ", {b"rTRC": b"curv\0\0\0\0\0\0\0\0"}, kind=b"scnr")


@pytest.mark.parametrize("function", [check_output, lambda path, **k: save_image(IMAGE, path, **k)])
@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (GREY_LINEAR, ValueError, r"the profile is for GRAY, .*give an RGB profile or leave it out"),
        (CMYK_BLACK_ONLY, ValueError, r"the profile is for CMYK"),
        (b"no profile", ValueError, r"the profile cannot be read .*give a complete ICC profile"),
        (WIDE[:100], ValueError, r"the profile cannot be read"),
        (SCANNER, ValueError, r"colours cannot be converted into the profile "),
        ("absent.jpg", FileNotFoundError, r"no file absent\.jpg to read the profile from"),
        (5, TypeError, r"profile is bytes or a path, received int"),
    ],
)
def test_profiles_that_cannot_be_used(
    tmp_path: Path, function: Any, given: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        function(tmp_path / "a.png", profile=given)
    assert list(tmp_path.iterdir()) == []


def test_files_without_a_usable_profile(tmp_path: Path) -> None:
    text, grey = tmp_path / "text.txt", tmp_path / "grey.png"
    text.write_text("neither a picture nor a profile, and longer than a head")
    Image.new("L", (20, 20)).save(grey, icc_profile=GREY_LINEAR)
    with pytest.raises(ValueError, match=r"text\.txt is neither a picture nor an ICC profile"):
        check_output(tmp_path / "a.png", profile=text)
    with pytest.raises(ValueError, match=r"the profile of .*grey\.png is for GRAY"):
        check_output(tmp_path / "a.png", profile=grey)
