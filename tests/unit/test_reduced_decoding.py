"""Large pictures at small sizes: fewer pixels are decoded, and the result is nearly that of all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from neuralstyle import Style, Width, plan, samples
from neuralstyle.images import deep, load_image, reading, resize_image
from neuralstyle.images.reading import WHOLE_PIXELS, load_spare

WIDTH, HEIGHT = 1500, 1000
LEVELS = 255


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    """The sample photograph with grain, so that there is something to lose."""
    picture = np.asarray(samples.photo().resize((WIDTH, HEIGHT))).astype(float)
    grain = np.random.default_rng(0).normal(0, 10, picture.shape)
    return Image.fromarray((picture + grain).clip(0, 255).astype(np.uint8))


def saved(photograph: Image.Image, path: Path, **options: Any) -> Path:
    photograph.save(path, **{"quality": 92, **options})
    return path


def decoded_sizes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The (width, height) of every picture that Pillow decodes from now on."""
    sizes: list[tuple[int, int]] = []
    load = ImageFile.ImageFile.load

    def watched(self: ImageFile.ImageFile) -> Any:
        done = load(self)
        sizes.append(self.size)
        return done

    monkeypatch.setattr(ImageFile.ImageFile, "load", watched)
    return sizes


def mean_error(path: Path, size: Any) -> float:
    """How far, in levels, a picture loaded at a size is from all of it resized."""
    small = load_image(path, size)
    whole = resize_image(load_image(path), tuple(small.shape[2:]))  # type: ignore[arg-type]
    return float((small - whole).abs().mean()) * LEVELS


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_jpeg_is_decoded_at_a_fraction(
    tmp_path: Path, photograph: Image.Image, monkeypatch: pytest.MonkeyPatch, mode: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(photograph.convert(mode), tmp_path / "a.jpg", exif=exif)
    sizes = decoded_sizes(monkeypatch)
    small = load_image(path, 150)
    assert small.shape[2:] == ((100, 150) if orientation == 1 else (150, 100))
    assert set(sizes) == {(WIDTH // 4, HEIGHT // 4)}
    assert 0 < mean_error(path, 150) < 2
    assert mean_error(path, 90) < 2


@pytest.mark.parametrize(("size", "decoded"), [(40, 8), (93, 8), (94, 4), (187, 4), (188, 2), (375, 2), (376, 1)])
def test_twice_the_sides_are_decoded_at_least(
    tmp_path: Path, photograph: Image.Image, monkeypatch: pytest.MonkeyPatch, size: int, decoded: int
) -> None:
    path = saved(photograph, tmp_path / "a.jpg")
    sizes = decoded_sizes(monkeypatch)
    load_image(path, size)
    width, height = sizes[0]
    assert (width, height) == (-(-WIDTH // decoded), -(-HEIGHT // decoded))
    assert width >= 2 * size - 1 or decoded == 1


def test_ordinary_pictures_keep_every_value(
    tmp_path: Path, photograph: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = photograph.resize((1024, 1024))
    path = saved(small, tmp_path / "a.jpg")
    sizes = decoded_sizes(monkeypatch)
    with Image.open(path) as image:
        assert torch.equal(load_image(path, 64), load_image(image.copy(), 64))
    assert sizes[0] == (1024, 1024)
    assert WHOLE_PIXELS == 1024 * 1024


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
@pytest.mark.parametrize("mode", ["RGBA", "L"])
def test_libvips_gives_what_pillow_gives(
    tmp_path: Path, photograph: Image.Image, monkeypatch: pytest.MonkeyPatch, name: str, mode: str
) -> None:
    pytest.importorskip("pyvips")
    picture = photograph.resize((300, 200)).convert(mode)
    if mode == "RGBA":
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    path = saved(picture, tmp_path / name, lossless=True)
    whole, small = load_image(path), load_image(path, 60)
    monkeypatch.setattr(deep, "VAST_PIXELS", 0)
    sizes = decoded_sizes(monkeypatch)
    assert torch.allclose(load_image(path), whole, atol=1e-6)
    assert torch.allclose(load_image(path, 60), small, atol=1e-5)
    monkeypatch.setattr(reading, "WHOLE_PIXELS", 0)
    assert float((load_image(path, 60) - small).abs().mean()) * LEVELS < 1.5  # WebP is decoded at a fraction
    assert sizes == []


def test_a_large_webp_needs_libvips(tmp_path: Path, photograph: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(photograph, tmp_path / "a.webp")
    monkeypatch.setattr(reading, "_MAX_PILLOW_WEBP", WIDTH * HEIGHT - 1)
    with pytest.raises(ValueError, match=r"a\.webp is a WebP of 1500 x 1000 pixels, which needs libvips; run 'pip"):
        load_image(path, 64)


def test_what_is_spare(tmp_path: Path, photograph: Image.Image) -> None:
    path = saved(photograph, tmp_path / "a.png")
    whole = load_image(photograph)
    pictures = (path, photograph, np.asarray(photograph), whole)
    needs = ((40, (53, 80)), (374, (499, 748)), (375, (HEIGHT, WIDTH)), (5000, (HEIGHT, WIDTH)))
    for picture, (needed, sides) in zip(pictures, needs, strict=True):
        found, own = load_spare(picture, lambda height, width, needed=needed: needed)  # type: ignore[misc]
        assert own == (HEIGHT, WIDTH)
        assert tuple(found.shape[2:]) == sides
    twice, _ = load_spare(photograph, lambda height, width: 100)
    direct, again = resize_image(whole, (67, 100)), resize_image(twice, (67, 100))
    assert float((direct - again).abs().mean()) * LEVELS < 1
    small, own = load_spare(photograph.resize((1024, 1024)), lambda height, width: 16)
    assert tuple(small.shape[2:]) == own == (1024, 1024)


def test_a_plan_has_the_size_of_the_whole_photograph(photograph: Image.Image) -> None:
    """Of 1501 x 999 pixels, twice the size has another aspect by a fraction of a pixel."""
    odd = photograph.resize((1501, 999))
    planned = plan(odd, [odd, Style(odd, scale=0.5)], size=Width(101), iterations=1, schedule="draft")
    assert planned.stages[-1].shape == (67, 101)
    assert planned.content is not None
    assert tuple(planned.content.shape[2:]) == (134, 202)
    assert [max(load_image(style.image).shape) for style in planned.styles] == [202, 102]
