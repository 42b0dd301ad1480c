"""The pictures that come with the package: reproducible, rich enough to be styles, and properly credited."""

from __future__ import annotations

import ast
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neuralstyle import samples

each_painting = pytest.mark.parametrize("name", samples.PAINTINGS)


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, np.float64) / 255


@pytest.fixture(scope="module")
def paintings() -> dict[str, np.ndarray]:
    return {name: pixels(samples.painting(name, size=128)) for name in samples.PAINTINGS}


def test_photo_opens_as_rgb_and_is_small() -> None:
    picture = samples.photo()
    assert picture.mode == "RGB"
    assert max(picture.size) >= 450
    assert pixels(picture).std() > 0.1
    assert len(files("neuralstyle.data").joinpath("chelsea.jpg").read_bytes()) <= 100_000


def test_attribution_names_every_picture_with_author_and_licence() -> None:
    data = files("neuralstyle.data")
    text = data.joinpath("ATTRIBUTION.md").read_text(encoding="utf-8")
    pictures = [entry.name for entry in data.iterdir() if entry.name.endswith((".jpg", ".png"))]
    assert pictures
    for name in pictures:
        assert name in text
    assert "CC0" in text
    assert "Stefan van der Walt" in text


@each_painting
def test_painting_repeats_itself_and_varies_with_the_seed(name: str) -> None:
    first = samples.painting(name, size=64, seed=3)
    assert (first.mode, first.size) == ("RGB", (64, 64))
    assert first.tobytes() == samples.painting(name, size=64, seed=3).tobytes()
    other = pixels(samples.painting(name, size=64, seed=4))
    assert np.abs(pixels(first) - other).mean() > 0.02


@each_painting
def test_painting_keeps_its_composition_at_another_size(name: str, paintings: dict[str, np.ndarray]) -> None:
    def sketch(picture: Image.Image) -> np.ndarray:
        return pixels(picture.resize((12, 12), Image.Resampling.BOX)).ravel()

    small = sketch(Image.fromarray((paintings[name] * 255).round().astype(np.uint8)))
    other = samples.painting(name, size=97)
    assert (other.mode, other.size) == ("RGB", (97, 97))
    assert np.corrcoef(small, sketch(other))[0, 1] > 0.97


@each_painting
def test_painting_is_rich_in_colour_and_texture_everywhere(name: str, paintings: dict[str, np.ndarray]) -> None:
    picture = paintings[name]
    assert picture.std((0, 1)).max() > 0.2
    assert (picture.max(-1) - picture.min(-1)).mean() > 0.2
    down, right = np.gradient(picture.mean(-1))
    edges = np.hypot(down, right)
    assert edges.mean() > 0.04
    # No dead area: every cell of 16 x 16 pixels holds some texture.
    assert edges.reshape(8, 16, 8, 16).mean((1, 3)).min() > 0.015


def test_paintings_differ_from_each_other(paintings: dict[str, np.ndarray]) -> None:
    assert len(set(samples.PAINTINGS)) == len(samples.PAINTINGS) >= 3
    means = [picture.mean((0, 1)) for picture in paintings.values()]
    for i, mean in enumerate(means):
        assert all(np.abs(mean - other).max() > 0.02 for other in means[:i])


def test_an_unknown_name_is_answered_with_the_nearest_and_all() -> None:
    with pytest.raises(ValueError, match="'swril'") as error:
        samples.painting("swril")
    assert "did you mean 'swirl'?" in str(error.value)
    assert all(name in str(error.value) for name in samples.PAINTINGS)


@pytest.mark.parametrize("size", [63, 4097, 0, -64, 128.0, "128", None, True])
def test_a_wrong_size_is_refused(size: object) -> None:
    with pytest.raises(ValueError, match=f"size is a whole number from 64 to 4096.*{size!r}"):
        samples.painting("swirl", size=size)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 0.5, None])
def test_a_wrong_seed_is_refused(seed: object) -> None:
    with pytest.raises(ValueError, match=f"seed is a whole number of at least 0.*{seed!r}"):
        samples.painting("swirl", seed=seed)  # type: ignore[arg-type]


def test_a_numpy_integer_is_a_size() -> None:
    assert samples.painting("mosaic", size=np.int64(64)).size == (64, 64)  # type: ignore[arg-type]


def test_samples_need_only_numpy_and_pillow() -> None:
    folder = Path(samples.__file__).parent
    roots = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                roots |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                roots.add(str(node.module).split(".")[0])
    assert roots <= {"__future__", "collections", "importlib", "typing", "numpy", "PIL", "neuralstyle"}
