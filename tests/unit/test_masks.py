"""What is read as a mask or region: grey pictures, one colour of a map, the rest of one; everything else is said."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from neuralstyle import Style, samples
from neuralstyle.images import region_of_color, region_of_lightness, region_of_opacity
from neuralstyle.images.masks import check_selects, load_mask
from neuralstyle.objective.regions import warn_of_bare_parts, with_masks
from neuralstyle.styles import warn_of_scale

RED, GREEN, BLUE = (255, 0, 0), (0, 128, 0), (0, 0, 255)


def colour_map() -> Image.Image:
    """A quarter of red on the left, half of green, a quarter of blue."""
    image = Image.new("RGB", (32, 24), GREEN)
    image.paste(RED, (0, 0, 8, 24))
    image.paste(BLUE, (24, 0, 32, 24))
    return image


def columns(start: int, stop: int) -> Tensor:
    mask = torch.zeros(1, 1, 24, 32)
    mask[..., start:stop] = 1
    return mask


def drawing(color: tuple[int, ...]) -> Image.Image:
    """A shape of one colour on nothing: columns 8 to 20, one of them half transparent."""
    image = Image.new("RGBA", (32, 24), (0, 0, 0, 0))
    image.paste((*color, 255), (8, 0, 20, 24))
    image.paste((*color, 128), (20, 0, 21, 24))
    return image


@pytest.fixture
def map_file(tmp_path: Path) -> str:
    colour_map().save(tmp_path / "map.png")
    return str(tmp_path / "map.png")


# Colours of a map


@pytest.mark.parametrize(
    ("color", "start", "stop"),
    [
        ("red", 0, 8),
        ("#ff0000", 0, 8),
        (RED, 0, 8),
        ("ff0000", 0, 8),
        ("f00", 0, 8),
        ("green", 8, 24),
        ("#0000ff", 24, 32),
    ],
)
def test_a_colour_of_a_map_is_a_region(map_file: str, color: Any, start: int, stop: int) -> None:
    expected = columns(start, stop)
    pixels = np.asarray(colour_map())
    for picture in (map_file, colour_map(), pixels, torch.from_numpy(pixels.copy()).permute(2, 0, 1)):
        assert torch.equal(region_of_color(picture, color), expected)
    if isinstance(color, str):
        name = color.removeprefix("#")
        assert torch.equal(load_mask(f"{map_file}#{name}"), expected)  # type: ignore[arg-type]
        assert torch.equal(load_mask(f"~{map_file}#{name}"), 1 - expected)  # type: ignore[arg-type]


def test_maps_saved_as_jpeg_keep_their_colours(tmp_path: Path) -> None:
    colour_map().resize((320, 240), 0).save(tmp_path / "map.jpg", quality=75)
    found = region_of_color(tmp_path / "map.jpg", "red")
    assert float(found.mean()) == pytest.approx(0.25, abs=0.01)
    with pytest.raises(ValueError, match="no pixel of the colour 'red'; its colours are #00800"):
        region_of_color(tmp_path / "map.jpg", "red", tolerance=0)


def test_transparent_pixels_have_no_colour() -> None:
    assert torch.equal(region_of_color(drawing((255, 255, 255)), "white"), columns(8, 21))
    assert torch.equal(region_of_color(drawing((0, 0, 0)), "black"), columns(8, 21))


def test_lightness_is_a_mask(tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(np.stack([ramp] * 3, -1)).save(tmp_path / "ramp.png")
    found, rest = load_mask(f"{tmp_path}/ramp.png#lightness"), load_mask(f"~{tmp_path}/ramp.png#lightness")
    assert found is not None
    assert rest is not None
    assert torch.equal(rest, 1 - found)
    lightness = found.flatten()
    assert (lightness[0], lightness[-1]) == (0, pytest.approx(1, abs=1e-6))
    assert bool((lightness.diff() > 0).all())
    assert float(lightness[119]) == pytest.approx(0.5003, abs=2e-3)  # the middle grey of CIELAB
    colours = torch.eye(3).view(3, 3, 1, 1).expand(3, 3, 16, 16)
    pure = [float(region_of_lightness(colour).mean()) for colour in colours]
    assert pure == pytest.approx([0.5324, 0.8774, 0.3230], abs=1e-3)


def test_transparent_pixels_are_not_light() -> None:
    assert torch.equal(region_of_lightness(drawing((255, 255, 255))) > 0.9, columns(8, 20).bool())


def test_alpha_is_a_mask_whatever_the_colours(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "cutout.png")
    found = load_mask(f"{tmp_path}/cutout.png#alpha")
    assert found is not None
    assert torch.allclose(found[0, 0], torch.from_numpy(pixels[..., 3]).float() / 255)
    assert torch.equal(region_of_opacity(tmp_path / "cutout.png"), found)
    Image.fromarray(pixels[..., :3]).save(tmp_path / "photo.png")
    with pytest.raises(ValueError, match=r"photo.png has no transparent part.*'lightness'"):
        load_mask(f"{tmp_path}/photo.png#alpha")


def test_the_rest_of_a_grey_file(tmp_path: Path) -> None:
    levels = np.arange(24 * 32, dtype=np.uint8).reshape(24, 32) // 3
    Image.fromarray(levels).save(tmp_path / "grey.png")
    grey, rest = load_mask(str(tmp_path / "grey.png")), load_mask(f"~{tmp_path / 'grey.png'}")
    assert grey is not None
    assert rest is not None
    assert torch.equal(rest, 1 - grey)


def test_a_file_whose_name_has_the_signs_is_that_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("map.png#red", "~map.png", "map.png"):
        Image.new("L", (16, 16), 255).save(name, format="PNG")
    for name in ("map.png#red", "~map.png"):
        assert torch.equal(load_mask(name), torch.ones(1, 1, 16, 16))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["{map}#purple", "{map}#ff00ff"])
def test_a_colour_that_a_map_lacks_is_answered_with_those_that_it_has(map_file: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"no pixel of the colour .*#008000 50%, #.* 25%, #.* 25%"):
        load_mask(text.format(map=map_file))


@pytest.mark.parametrize("color", ["ultrared", "#12", "", (1, 2), (0, 0, 256), (0.5, 0, 0), 7, None])
def test_what_is_no_colour_is_refused(map_file: str, color: Any) -> None:
    with pytest.raises(ValueError, match="a colour is '#ff0000', a name such as 'red', or three whole numbers"):
        region_of_color(map_file, color)


def test_a_missing_file_is_named_as_it_was_written(tmp_path: Path) -> None:
    for text in (f"{tmp_path}/none.png#red", f"~{tmp_path}/none.png"):
        with pytest.raises(FileNotFoundError, match=text):
            load_mask(text)


# Pictures that are no grey masks


@pytest.mark.parametrize("what", ["mask", "region"])
def test_a_map_as_a_whole_is_refused_with_its_colours(map_file: str, what: str) -> None:
    with pytest.raises(
        ValueError, match=rf"the {what} .*map.png is in colour \(#008000 50%, .*'FILE#ff0000'"
    ) as caught:
        load_mask(map_file, what)
    assert len(str(caught.value)) < 300 + len(map_file)
    with pytest.raises(ValueError, match="in colour"):
        load_mask(samples.painting("embers", size=64))


@pytest.mark.parametrize("tint", [(255, 250, 240), (200, 190, 180)])
def test_a_tinted_grey_is_a_mask(tint: tuple[int, int, int]) -> None:
    mask = load_mask(Image.new("RGB", (16, 16), tint))
    assert mask is not None
    assert float(mask.mean()) == pytest.approx(sum(tint) / 765)


@pytest.mark.parametrize("color", [(0, 0, 0), (128, 128, 128), (255, 0, 0)])
def test_a_shape_of_one_colour_on_nothing_is_what_is_opaque_with_a_warning(
    color: tuple[int, int, int], tmp_path: Path
) -> None:
    drawing(color).save(tmp_path / "shape.png")
    expected = columns(8, 20)
    expected[..., 20] = 128 / 255
    with pytest.warns(UserWarning, match="shape.png has one colour and transparent parts: what is opaque is taken"):
        found = load_mask(tmp_path / "shape.png")
    torch.testing.assert_close(found, expected)


def test_white_on_nothing_needs_no_warning(tmp_path: Path) -> None:
    drawing((255, 255, 255)).save(tmp_path / "shape.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = load_mask(tmp_path / "shape.png")
    assert found is not None
    assert torch.equal(found > 0.9, columns(8, 20).bool())


def test_black_all_over_selects_nothing_and_is_refused_by_name(tmp_path: Path) -> None:
    Image.new("L", (32, 24)).save(tmp_path / "night.png")
    picture = samples.painting("embers", size=64)
    for what in ("mask", "region"):
        with pytest.raises(ValueError, match=rf"the {what} .*night.png is black all over, so that nothing counts"):
            with_masks(Style(picture, **{what: tmp_path / "night.png"}))
        with pytest.raises(ValueError, match=f"the {what} of a style is black all over"):
            with_masks(Style(picture, **{what: np.zeros((20, 20))}))
    assert with_masks(Style(picture, region=f"~{tmp_path / 'night.png'}")).region is not None
    check_selects(torch.full((1, 1, 4, 4), 1 / 255), "faint.png", "mask")


@pytest.mark.parametrize("side", [1, 3, 8])
def test_masks_may_be_smaller_than_pictures(side: int, tmp_path: Path) -> None:
    levels = (torch.arange(side * side).view(side, side) * 255 // (side * side)).to(torch.uint8)
    Image.fromarray(levels.numpy()).save(tmp_path / "small.png")
    for mask in (levels, levels.numpy(), tmp_path / "small.png", Image.fromarray(levels.numpy())):
        torch.testing.assert_close(load_mask(mask), levels[None, None] / 255)


def test_loading_what_was_loaded_changes_nothing() -> None:
    once = load_mask(torch.rand(1, 24, 32))
    assert once is not None
    assert torch.equal(load_mask(once), once)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "mask", [7, [1, 2], torch.zeros(2, 3, 4, 5, 6), torch.rand(20, 20).to_sparse(), np.full((20, 20), np.nan)]
)
def test_what_is_no_picture_is_refused(mask: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        load_mask(mask)


# What is not painted as it was said


def test_several_styles_that_leave_a_part_bare_are_warned_of() -> None:
    styles = [Style("a.png", region=columns(0, 8)), Style("b.png", region=columns(8, 16))]
    with pytest.warns(
        UserWarning, match="50% of the picture is in no region: nothing is painted there; a style without"
    ):
        warn_of_bare_parts(styles, (24, 32), "nothing is painted there")


@pytest.mark.parametrize(
    "styles",
    [
        [Style("a.png", region=columns(0, 8))],
        [Style("a.png", region=columns(0, 8)), Style("b.png")],
        [Style("a.png", region=columns(0, 8)), Style("b.png", region=1 - columns(0, 8))],
        [Style("a.png", region=columns(0, 8)), Style("b.png", weight=0, region=columns(0, 8))],
        [],
    ],
)
def test_other_regions_are_not_warned_of(styles: list[Style]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_bare_parts(styles, (24, 32), "nothing is painted there")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"scale": 4},
            r"scale of a style is 0.64 and not 4: its picture has 64 pixels; enlarge=True .--enlarge-styles. makes",
        ),
        ({"scale": 1e308}, r"is 0.64 and not 1e\+308: its picture has 64 pixels"),
        ({"scale": 0.9}, "is 0.64 and not 0.9"),
        ({"scale": 0.001}, "is 0.16 and not 0.001: its short side needs 16 pixels"),
    ],
)
def test_a_scale_that_cannot_be_had_is_warned_of(options: dict[str, Any], message: str) -> None:
    with pytest.warns(UserWarning, match=message):
        warn_of_scale(Style(samples.painting("embers", size=64), **options), 100)


@pytest.mark.parametrize("options", [{}, {"scale": 0.5}, {"scale": 0.333}, {"scale": 4, "enlarge": True}])
def test_a_scale_that_is_had_is_not_warned_of(options: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_scale(Style(samples.painting("embers", size=64), **options), 100)
