"""Pictures with transparent parts: read, painted, and saved with what their alpha says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import Means
from PIL import Image
from torch import Tensor

from neuralstyle import (
    ContentLoss,
    FeatureExtractor,
    Objective,
    Style,
    TotalVariationLoss,
    plan,
    save_image,
    stylize,
)
from neuralstyle.feedforward import TransformerNet, apply_files, apply_model
from neuralstyle.images import load_image, to_pil
from neuralstyle.images.cutouts import load_cutout
from neuralstyle.images.reading import load_fitted
from neuralstyle.images.strips import premultiplied

LOSSES = ContentLoss("relu1_1") + 10 * Means() + TotalVariationLoss()
BACKGROUNDS = ((255, 255, 255), (0, 0, 0), (0, 255, 0))


def disc(height: int = 48, width: int = 64) -> np.ndarray[Any, Any]:
    """The alpha of a disc with a soft edge."""
    y, x = np.mgrid[:height, :width]
    return np.clip((0.4 * height - np.hypot(x - width / 2, y - height / 2)) * 96 + 128, 0, 255).astype(np.uint8)


def cut_out(photo: Tensor, background: tuple[int, int, int], alpha: np.ndarray[Any, Any]) -> Image.Image:
    """A photograph whose hidden pixels have the colour of a background."""
    pixels = np.asarray(to_pil(photo))[: alpha.shape[0], : alpha.shape[1]].copy()
    pixels[alpha == 0] = background
    return Image.fromarray(np.dstack([pixels, alpha]))


@pytest.fixture
def encoder() -> FeatureExtractor:
    return FeatureExtractor(layers=["relu2_1"])


def painted(image: Any, **options: Any) -> Image.Image:
    settings: dict[str, Any] = {"size": 48, "iterations": 3, "schedule": "single", "progress": False, **options}
    return stylize(image, torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(1)), **settings)


def test_hidden_colours_show_nowhere(photo: Tensor, encoder: FeatureExtractor) -> None:
    alpha = disc()
    results = [painted(cut_out(photo, each, alpha), losses=LOSSES, encoder=encoder) for each in BACKGROUNDS]
    assert {image.mode for image in results} == {"RGBA"}
    first, *others = (np.asarray(image) for image in results)
    for other in others:
        assert np.array_equal(first, other)


def test_alpha_is_that_of_the_picture_at_the_size_of_the_result(photo: Tensor, encoder: FeatureExtractor) -> None:
    alpha = disc()
    same = painted(cut_out(photo, (0, 0, 0), alpha), size=64, losses=LOSSES, encoder=encoder)
    assert np.array_equal(np.asarray(same)[..., 3], alpha)
    smaller = painted(cut_out(photo, (0, 0, 0), alpha), losses=LOSSES, encoder=encoder)
    expected = load_image(Image.fromarray(alpha), 48)[0, 0] * 255
    assert (torch.from_numpy(np.asarray(smaller)[..., 3].astype(float)) - expected).abs().max() <= 0.51


@pytest.mark.parametrize("color", ["luminance", "match", "histogram"])
def test_colours_are_matched_to_what_is_seen(photo: Tensor, encoder: FeatureExtractor, color: str) -> None:
    alpha = disc()
    one, other = (
        np.asarray(painted(cut_out(photo, each, alpha), losses=LOSSES, encoder=encoder, color=color))
        for each in BACKGROUNDS[:2]
    )
    assert np.array_equal(one, other)


def test_colours_go_on_beyond_an_edge() -> None:
    pixels = np.zeros((32, 32, 4), dtype=np.uint8)
    pixels[:, :16] = (200, 100, 50, 255)
    pixels[:, 16:] = (0, 0, 255, 0)
    found = load_cutout(Image.fromarray(pixels))
    assert found.opacity is not None
    assert (found.colors - torch.tensor([200, 100, 50]).view(1, 3, 1, 1) / 255).abs().max() < 1e-6
    reduced = load_fitted(Image.fromarray(pixels), lambda *_: (20, 20), premultiplied)
    assert reduced[:, 2].max() < 60 / 255  # no blue of what is hidden


def test_half_transparent_colours_are_as_the_file_says() -> None:
    pixels = np.full((16, 16, 4), 128, dtype=np.uint8)
    pixels[::2, :, 0] = 10
    found = load_cutout(Image.fromarray(pixels))
    assert (found.colors[0].permute(1, 2, 0) * 255 - torch.from_numpy(pixels[..., :3])).abs().max() < 1e-3


def test_opaque_alpha_changes_nothing(photo: Tensor, encoder: FeatureExtractor) -> None:
    plain = to_pil(photo)
    full = plain.copy()
    full.putalpha(255)
    one, other = (painted(each, losses=LOSSES, encoder=encoder) for each in (plain, full))
    assert other.mode == "RGB"
    assert np.array_equal(np.asarray(one), np.asarray(other))


def test_transparent_all_over_is_refused() -> None:
    with pytest.raises(ValueError, match="transparent all over"):
        plan(Image.new("RGBA", (32, 32)), torch.rand(3, 32, 32), size=32)


def test_transparent_pixels_have_no_weight(noise: Any, encoder: FeatureExtractor) -> None:
    content, style = noise(1, 3, 32, 48).flip(3), noise(1, 3, 32, 32)
    opacity = torch.zeros(1, 1, 32, 48)
    opacity[..., :16] = 1
    losses = ContentLoss("image") + Means(layers=("image",)) + TotalVariationLoss()
    objective = Objective(encoder, losses, content=content, styles=[style], opacity=opacity)
    image = noise(1, 3, 32, 48)
    gradient = objective.evaluate(image).gradient
    assert gradient is not None
    assert not gradient[..., 17:].any()  # the total variation sees a neighbour
    assert gradient[..., :16].any()
    means = Objective(encoder, losses, content=content[..., :16], styles=[style])
    expected = means.evaluate(image[..., :16].contiguous()).terms
    for name in ("ContentLoss", "Means"):
        assert objective.evaluate(image).terms[name] == pytest.approx(expected[name], rel=1e-5)
    for tile in (16, 32):
        in_tiles = objective.evaluate(image, tile=tile)
        assert in_tiles.gradient is not None
        assert (in_tiles.gradient - gradient).abs().max() < 1e-7


def test_regions_share_what_is_opaque(noise: Any, encoder: FeatureExtractor) -> None:
    """Two styles, each in a half, and one of the halves transparent: the other one's weight is that of a whole."""
    left = torch.zeros(1, 1, 32, 32)
    left[..., :16] = 1
    image, styles = noise(1, 3, 32, 32), [noise(1, 3, 32, 32), noise(1, 3, 32, 32)]
    loss = Means(layers=("image",))
    halves = [Style(styles[0], region=left), Style(styles[1], region=1 - left)]
    found = Objective(encoder, loss, styles=halves, opacity=left).evaluate(image).loss
    assert found == pytest.approx(
        Objective(encoder, loss, styles=[styles[0]]).evaluate(image[..., :16].contiguous()).loss, rel=1e-5
    )


@pytest.mark.parametrize(
    ("opacity", "words"),
    [
        (torch.ones(8, 8), r"\(1, 1, H, W\)"),
        (torch.zeros(1, 1, 8, 8), "above 0 somewhere"),
        (torch.full((1, 1, 8, 8), 2.0), r"in \[0, 1\]"),
    ],
)
def test_wrong_opacity(noise: Any, encoder: FeatureExtractor, opacity: Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Objective(encoder, TotalVariationLoss(), opacity=opacity)


def test_what_is_transparent_in_a_style_does_not_count(photo: Tensor, encoder: FeatureExtractor) -> None:
    alpha = disc(64, 64)
    plans = [
        plan(
            photo, cut_out(photo, each, alpha), size=48, losses=LOSSES, encoder=encoder, schedule="single", iterations=1
        )
        for each in BACKGROUNDS[:2]
    ]
    masks = [each.styles[0].mask for each in plans]
    assert all(isinstance(mask, Tensor) for mask in masks)
    one, other = (
        each.stages[-1].objective(each.content, each.styles, None).evaluate(photo[..., :48, :48]) for each in plans
    )
    assert one.loss == other.loss


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".avif"])
def test_alpha_is_saved(tmp_path: Path, suffix: str) -> None:
    pixels = torch.rand(1, 4, 24, 32, generator=torch.Generator().manual_seed(0))
    with Image.open(save_image(pixels, tmp_path / f"a{suffix}", quality=100)) as saved:
        assert saved.mode == "RGBA"
        off = np.asarray(saved)[..., 3].astype(float) - (pixels[0, 3] * 255).numpy()
        assert np.abs(off).max() < 1


def test_alpha_is_saved_at_16_bits(tmp_path: Path) -> None:
    pytest.importorskip("pyvips")
    pixels = torch.rand(1, 4, 24, 32, generator=torch.Generator().manual_seed(0))
    for name in ("a.png", "a.tif"):
        loaded = load_fitted(save_image(pixels, tmp_path / name, depth=16), lambda *own: own, lambda image: image)
        assert loaded.shape == pixels.shape
        assert (loaded - pixels).abs().max() < 1e-5


def test_jpeg_says_that_it_has_no_transparency(tmp_path: Path) -> None:
    image = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    with pytest.warns(UserWarning, match=r"a.jpg: JPEG has no transparency"):
        path = save_image(image, tmp_path / "a.jpg")
    assert load_image(path).min() > 0.98


def test_networks_keep_transparency(photo: Tensor, tmp_path: Path) -> None:
    network, alpha = TransformerNet(width=4, blocks=1, seed=0), disc()
    images = [cut_out(photo, each, alpha) for each in BACKGROUNDS]
    for number, image in enumerate(images):
        image.save(tmp_path / f"{number}.png")
    results = [np.asarray(apply_model(network, image)) for image in images]
    assert not apply_files(network, tmp_path, tmp_path / "out", progress=False)
    results += [np.asarray(Image.open(tmp_path / "out" / f"{number}.png")) for number in range(len(images))]
    for result in results:
        assert np.array_equal(result, results[0])
        assert np.array_equal(result[..., 3], alpha)
