"""16 bits a channel, in and out, and files of more than 4 GB."""

from __future__ import annotations

import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from deep_files import exif, icc_chunk, png, tiff
from icc import GREY_LINEAR, WIDE, encode, srgb_profile, wide_to_srgb
from PIL import Image

from neuralstyle.images import check_output, load_image, pixel_limit, save_image, writing

pyvips = pytest.importorskip("pyvips", reason="libvips reads and writes 16 bits")
DEEP = [".png", ".tif"]


def deep(height: int = 24, width: int = 32, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 65536, (height, width, channels), dtype=np.uint16)


def as_tensor(values: np.ndarray) -> torch.Tensor:
    """Values (H,W,C) of [0,1] as a picture."""
    return torch.tensor(np.broadcast_to(values, (*values.shape[:2], 3)).copy()).permute(2, 0, 1)[None].float()


def stored(path: Path) -> np.ndarray:
    """What is in a file, by another way than the package's."""
    pixels: np.ndarray = pyvips.Image.new_from_file(str(path), revalidate=True).numpy()
    return pixels


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def distance(image: torch.Tensor, reference: np.ndarray) -> torch.Tensor:
    return (image - as_tensor(reference)).abs() * 65535


# Out


@pytest.mark.parametrize("suffix", [*DEEP, ".tiff"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_level_is_written_and_read_back(tmp_path: Path, suffix: str, dtype: torch.dtype) -> None:
    levels = torch.arange(65536).reshape(1, 256, 256).expand(3, -1, -1)
    path = save_image((levels.double() / 65535).to(dtype), tmp_path / f"a{suffix}", depth=16)
    assert stored(path).dtype == np.uint16
    assert np.array_equal(stored(path).transpose(2, 0, 1), levels)
    assert torch.equal(load_image(path), (levels[None].double() / 65535).float())


@pytest.mark.parametrize("suffix", DEEP)
def test_values_are_rounded_and_clamped(tmp_path: Path, suffix: str) -> None:
    values = torch.tensor([0.4, 0.6, 1000.4, 1000.6, 65534.6, 70000, -3]) / 65535
    path = save_image(values.double().expand(3, 2, 7), tmp_path / f"a{suffix}", depth=16)
    assert stored(path)[1, :, 2].tolist() == [0, 1, 1000, 1001, 65535, 65535, 0]


def test_channels_keep_their_places_and_views_are_saved(tmp_path: Path) -> None:
    pixels = deep()
    image = as_tensor(pixels / 65535)
    turned = image.transpose(2, 3).requires_grad_()
    assert np.array_equal(stored(save_image(image, tmp_path / "a.png", depth=16)), pixels)
    assert np.array_equal(stored(save_image(turned, tmp_path / "b.tif", depth=16)), pixels.transpose(1, 0, 2))


def test_half_precision_is_saved(tmp_path: Path) -> None:
    image = torch.rand(3, 20, 20).half()
    assert torch.allclose(load_image(save_image(image, tmp_path / "a.png", depth=16))[0], image.float(), atol=1e-5)


def test_a_pil_image_has_its_8_bits(tmp_path: Path) -> None:
    pixels = (deep() >> 8).astype(np.uint8)
    path = save_image(Image.fromarray(pixels), tmp_path / "a.png", depth=16)
    assert np.array_equal(stored(path), pixels.astype(np.uint16) * 257)


def test_pictures_of_several_strips(tmp_path: Path) -> None:
    image = torch.rand(1, 3, 700, 900)
    for suffix in DEEP:
        path = save_image(image, tmp_path / f"a{suffix}", depth=16)
        assert (load_image(path) - image).abs().max() < 0.51 / 65535


@pytest.mark.parametrize("depth", [8, 16])
def test_tiff_is_compressed_with_the_predictor(tmp_path: Path, depth: int) -> None:
    ramp = torch.linspace(0, 1, 256).expand(3, 256, 256)
    path = save_image(ramp, tmp_path / "a.tif", depth=depth)
    with Image.open(path) as image:
        assert (image.tag_v2[259], image.tag_v2[317]) == (8, 2)
    assert path.stat().st_size < 256 * 256 * 3 / 10


def test_nothing_but_the_picture_is_written(tmp_path: Path) -> None:
    with Image.open(save_image(torch.rand(3, 20, 20), tmp_path / "a.png", depth=16)) as image:
        assert "exif" not in image.info
        assert "icc_profile" not in image.info


@pytest.mark.parametrize("function", [check_output, lambda path, **k: save_image(torch.rand(3, 20, 20), path, **k)])
def test_depths_that_cannot_be_saved(tmp_path: Path, function: Any) -> None:
    for suffix in (".jpg", ".webp"):
        with pytest.raises(ValueError, match=rf"a\{suffix}: this format has 8 bits .* one of \.png \.tif \.tiff"):
            function(tmp_path / f"a{suffix}", depth=16)
    for depth in (1, 12, 32, 16.0, "16", True, None):
        with pytest.raises(ValueError, match=r"depth is 8 or 16 bits per channel, received"):
            function(tmp_path / "a.png", depth=depth)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("depth", [8, 16])
def test_big_tiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int) -> None:
    image = torch.rand(1, 3, 30, 40)
    size = 30 * 40 * 3 * depth // 8
    monkeypatch.setattr(writing, "MAX_TIFF_BYTES", size)
    ordinary = save_image(image, tmp_path / "a.tif", depth=depth)
    monkeypatch.setattr(writing, "MAX_TIFF_BYTES", size - 1)
    big = save_image(image, tmp_path / "b.tif", depth=depth)
    pil = save_image(writing.to_pil(image), tmp_path / "c.tif")
    assert [path.read_bytes()[:4] for path in (ordinary, big)] == [b"II*\0", b"II+\0"]
    assert pil.read_bytes()[2:3] == (b"+" if depth == 8 else b"*")
    assert (load_image(big) - image).abs().max() < 0.51 / (2**depth - 1)
    assert torch.equal(load_image(big), load_image(ordinary))
    assert save_image(image, tmp_path / "a.png", depth=depth).read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("suffix", DEEP)
def test_failure_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    path = save_image(torch.zeros(1, 3, 20, 20), tmp_path / f"a{suffix}", depth=16)
    before = path.read_bytes()
    name = {".png": "pngsave", ".tif": "tiffsave"}[suffix]

    def fail(self: Any, target: str, **options: Any) -> None:
        Path(target).write_bytes(b"half a file")
        raise pyvips.Error("disk full\nindeed")

    monkeypatch.setattr(pyvips.Image, name, fail, raising=False)
    with pytest.raises(OSError, match=r"failed \(disk full indeed"):
        save_image(torch.ones(1, 3, 20, 20), path, overwrite=True, depth=16)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    monkeypatch.undo()
    save_image(torch.ones(1, 3, 20, 20), path, overwrite=True, depth=16)
    assert (load_image(path) == 1).all()
    with pytest.raises(FileExistsError):
        save_image(torch.ones(1, 3, 20, 20), path, depth=16)


# In


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planar", [False, True])
def test_tiff_colour_is_read_at_16_bits(tmp_path: Path, order: str, planar: bool) -> None:
    pixels = deep()
    path = written(tmp_path / "a.tif", tiff(pixels, order=order, planar=planar))
    assert torch.equal(load_image(path), as_tensor(pixels / 65535))


def test_png_colour_is_read_at_16_bits(tmp_path: Path) -> None:
    pixels = deep()
    path = written(tmp_path / "a.png", png(pixels))
    assert torch.equal(load_image(path), as_tensor(pixels / 65535))
    misnamed = written(tmp_path / "a.jpg", png(pixels))
    assert torch.equal(load_image(misnamed), as_tensor(pixels / 65535))


UPRIGHT = {
    1: lambda s: s,
    2: lambda s: s[:, ::-1],
    3: lambda s: s[::-1, ::-1],
    4: lambda s: s[::-1],
    5: lambda s: s.transpose(1, 0, 2),
    6: lambda s: s.transpose(1, 0, 2)[:, ::-1],
    7: lambda s: s[::-1, ::-1].transpose(1, 0, 2),
    8: lambda s: s.transpose(1, 0, 2)[::-1],
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["png, before", "png, after", "tiff"])
def test_exif_orientation(tmp_path: Path, orientation: int, kind: str) -> None:
    pixels = deep()
    chunk = [(b"eXIf", exif(orientation))]
    data = {
        "png, before": png(pixels, before=chunk),
        "png, after": png(pixels, after=[(b"tEXt", b"Title\0x"), *chunk]),
        "tiff": tiff(pixels, orientation=orientation),
    }[kind]
    path = written(tmp_path / "a", data)
    whole = as_tensor(UPRIGHT[orientation](pixels) / 65535)
    assert torch.equal(load_image(path), whole)
    assert torch.allclose(load_image(path, 28), load_image(whole, 28), atol=1e-6)


def test_alpha_is_blended_at_16_bits(tmp_path: Path) -> None:
    pixels = deep(channels=4)
    pixels[:3, :, 3] = 0
    color, alpha = pixels[:, :, :3] / 65535, pixels[:, :, 3:] / 65535
    expected = as_tensor(color * alpha + 1 - alpha)
    for data in (png(pixels), tiff(pixels, extra=2)):
        loaded = load_image(written(tmp_path / "a", data))
        assert (loaded - expected).abs().max() < 1e-6
        assert (loaded[:, :, :3] == 1).all()
    grey = load_image(written(tmp_path / "a", png(pixels[:, :, 2:])))
    assert (grey - as_tensor(color[:, :, 2:] * alpha + 1 - alpha)).abs().max() < 1e-6


def test_alpha_that_is_multiplied_already(tmp_path: Path) -> None:
    pixels = deep(channels=4)
    alpha = pixels[:, :, 3:] / 65535
    color = pixels[:, :, :3] / 65535
    pixels[:, :, :3] = (color * alpha * 65535).round()
    loaded = load_image(written(tmp_path / "a.tif", tiff(pixels, extra=1)))
    assert distance(loaded, color * alpha + 1 - alpha).max() < 1.1


def test_a_fourth_channel_that_is_no_alpha_is_left_out(tmp_path: Path) -> None:
    pixels = deep(channels=4)
    loaded = load_image(written(tmp_path / "a.tif", tiff(pixels, extra=0)))
    assert torch.equal(loaded, as_tensor(pixels[:, :, :3] / 65535))


def test_colour_key_of_16_bits(tmp_path: Path) -> None:
    pixels = deep()
    pixels[:4] = (1, 20000, 65535)
    key = np.array([1, 20000, 65535], dtype=">u2").tobytes()
    loaded = load_image(written(tmp_path / "a.png", png(pixels, before=[(b"tRNS", key)])))
    assert (loaded[:, :, :4] == 1).all()
    assert torch.equal(loaded[:, :, 4:], as_tensor(pixels / 65535)[:, :, 4:])


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    for suffix in DEEP:
        for seed in (1, 2):
            image = as_tensor(deep(seed=seed) / 65535)
            path = save_image(image, tmp_path / f"a{suffix}", overwrite=True, depth=16)
            assert torch.equal(load_image(path), image)


@pytest.mark.parametrize("make", [png, tiff])
def test_truncated_file(tmp_path: Path, make: Any) -> None:
    # The directory of a TIFF that lacks its end is gone; one that lacks pixels is what to look at.
    data = make(deep(64, 64)) if make is png else tiff(deep(64, 64)).replace(b"\x40\0\0\0", b"\xff\0\0\0")
    path = written(tmp_path / "a", data[: len(data) // 2] if make is png else data)
    with pytest.raises(ValueError, match=r"a is broken, decoding it failed .*; get a whole copy") as caught:
        load_image(path)
    assert "\n" not in str(caught.value)


def test_deep_pictures_above_the_limit(tmp_path: Path) -> None:
    path = written(tmp_path / "a.png", png(deep(40, 40)))
    with pixel_limit(1600):
        assert load_image(path).shape == (1, 3, 40, 40)
    with pixel_limit(1599), pytest.raises(ValueError, match=r"a\.png is too large"):
        load_image(path)


# Profiles


@pytest.mark.parametrize("make", ["png", "tiff"])
def test_profile_is_converted_at_16_bits(tmp_path: Path, make: str) -> None:
    levels = np.linspace(8000, 60000, 18).astype(np.uint16)
    pixels = np.stack(np.meshgrid(levels, levels, levels[:4]), axis=-1).reshape(18, -1, 3)
    data = png(pixels, before=[icc_chunk(WIDE)]) if make == "png" else tiff(pixels, profile=WIDE)
    error = distance(load_image(written(tmp_path / "a", data)), wide_to_srgb(pixels / 65535))
    assert error.mean() < 20  # 8 bits would give 64
    assert error.max() < 400


def test_a_ramp_in_another_profile_stays_smooth(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(20000, 24000, 10, dtype=np.uint16)[None, :, None], 16, axis=0).repeat(3, axis=2)
    loaded = load_image(written(tmp_path / "a.png", png(ramp, before=[icc_chunk(WIDE)])))
    steps = loaded[0, 0, 0].diff() * 65535
    assert steps.min() > 5
    assert steps.max() < 15


def test_srgb_profile_changes_nothing(tmp_path: Path) -> None:
    pixels = deep(64, 64)
    path = written(tmp_path / "a.png", png(pixels, before=[icc_chunk(srgb_profile())]))
    assert torch.equal(load_image(path), as_tensor(pixels / 65535))


@pytest.mark.parametrize("channels", [1, 2])
def test_grey_with_a_profile(tmp_path: Path, channels: int) -> None:
    pixels = deep(channels=channels)
    pixels[:, :, 0] = np.linspace(4000, 65535, 24 * 32).reshape(24, 32)
    pixels[:, :, 1:] = 65535
    for profile, expected in ((GREY_LINEAR, encode(pixels / 65535)), (WIDE, None)):
        loaded = load_image(written(tmp_path / "a.png", png(pixels, before=[icc_chunk(profile)])))
        if expected is None:
            expected = wide_to_srgb(np.repeat(pixels[:, :, :1], 3, axis=2) / 65535)
        error = distance(loaded, expected[:, :, :1])
        assert error.mean() < 20
        assert error.max() < 200


def test_profile_leaves_alpha_alone(tmp_path: Path) -> None:
    pixels = np.zeros((20, 20, 4), dtype=np.uint16)
    pixels[:, :, 0], pixels[:, :, 3] = 65535, 13107
    data = png(pixels, before=[icc_chunk(srgb_profile(red_is_green=True))])
    loaded = load_image(written(tmp_path / "a.png", data))[0, :, 3, 3]
    assert torch.allclose(loaded, torch.tensor([0.8, 1, 0.8]), atol=0.01)


@pytest.mark.parametrize("profile", [b"no profile at all", GREY_LINEAR], ids=["broken", "grey"])
def test_unusable_profile_is_ignored_with_a_warning(tmp_path: Path, profile: bytes) -> None:
    pixels = deep()
    path = written(tmp_path / "a.png", png(pixels, before=[icc_chunk(profile)]))
    with pytest.warns(UserWarning, match=r"a\.png: the colour profile cannot be used and is ignored"):
        loaded = load_image(path)
    assert torch.equal(loaded, as_tensor(pixels / 65535))


# Without libvips


def test_without_libvips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = deep()
    path = written(tmp_path / "a.png", png(pixels))
    monkeypatch.setitem(sys.modules, "pyvips", None)
    with pytest.warns(UserWarning, match=r"a\.png is read at 8 of its 16 bits.*pip install neuralstyle-torch\[large\]"):
        loaded = load_image(path)
    assert distance(loaded, pixels / 65535).max() < 257
    for function in (check_output, lambda path, **k: save_image(torch.rand(3, 20, 20), path, **k)):
        with pytest.raises(ImportError, match=r"depth=16 needs libvips; run 'pip install neuralstyle-torch\[large\]'"):
            function(tmp_path / "b.png", depth=16)  # type: ignore[operator]
    monkeypatch.setattr(writing, "MAX_TIFF_BYTES", 1000)
    with pytest.raises(ImportError, match=r"a TIFF of more than 4 GB needs libvips; run 'pip install"):
        save_image(torch.rand(3, 20, 20), tmp_path / "c.tif")
    save_image(torch.rand(3, 20, 20), tmp_path / "d.png")
    assert {file.name for file in tmp_path.iterdir()} == {"a.png", "d.png"}


def test_the_files_made_here_are_what_they_say(tmp_path: Path) -> None:
    pixels = deep(16, 17)
    data = png(pixels)
    start = data.index(b"IDAT") + 4
    raw = zlib.decompress(data[start:])
    assert len(raw) == 16 * (1 + 17 * 6)
    for extra in (png(pixels), tiff(pixels), tiff(pixels, order=">"), tiff(pixels, planar=True)):
        assert np.array_equal(stored(written(tmp_path / "a", extra)), pixels)
