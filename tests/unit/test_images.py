from __future__ import annotations

import os
import re
import stat
import struct
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from icc import CMYK_BLACK_ONLY, GREY_LINEAR, srgb_profile
from PIL import ExifTags, Image, ImageOps, JpegImagePlugin

from neuralstyle.images import (
    MIN_SIDE,
    check_output,
    fit_size,
    load_image,
    longest_side,
    pixel_limit,
    resize_image,
    save_image,
    to_pil,
)


def rgb(height: int = 24, width: int = 32, seed: int = 0, channels: int = 3) -> np.ndarray:
    shape = (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def as_tensor(pixels: np.ndarray, scale: float = 255) -> torch.Tensor:
    """The reference conversion, by the shortest independent way."""
    return torch.tensor(pixels.astype(np.float64) / scale).permute(2, 0, 1)[None].float()


# What is read


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".bmp", ".ppm"])
def test_lossless_file_is_read_exactly(tmp_path: Path, suffix: str) -> None:
    pixels = rgb()
    Image.fromarray(pixels).save(tmp_path / f"a{suffix}")
    loaded = load_image(tmp_path / f"a{suffix}")
    assert loaded.dtype == torch.float32
    assert loaded.shape == (1, 3, 24, 32)
    assert loaded.is_contiguous()
    assert torch.equal(loaded, as_tensor(pixels))


def test_every_kind_of_picture_gives_the_same_tensor(tmp_path: Path) -> None:
    pixels = rgb()
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    chw = torch.tensor(pixels).permute(2, 0, 1)
    kinds: list[Any] = [
        path,
        str(path),
        Image.open(path),
        pixels,
        pixels.astype(np.uint16) * 257,
        (pixels.astype(np.uint16) * 257).astype(">u2"),
        pixels / 255,
        pixels[::-1, ::-1].copy()[::-1, ::-1],
        chw,
        chw[None],
        chw.float() / 255,
    ]
    for picture in kinds:
        assert torch.allclose(load_image(picture), as_tensor(pixels), atol=1e-7)


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1)])
def test_grey_and_boolean_arrays(shape: tuple[int, ...]) -> None:
    grey = np.random.default_rng(1).random(shape, dtype=np.float32)
    expected = torch.tensor(grey.reshape(20, 30)).expand(1, 3, 20, 30)
    assert torch.equal(load_image(grey), expected)
    assert torch.equal(load_image(grey > 0.5), (expected > 0.5).float())
    from_tensor = load_image(torch.tensor(grey).reshape(1, 20, 30))
    assert torch.equal(from_tensor, expected)
    assert torch.equal(from_tensor.mul_(2), 2 * expected)  # three channels, not one seen three times


def test_arrays_are_copied_and_may_be_read_only() -> None:
    source = np.full((20, 20, 3), 0.25, dtype=np.float32)
    source.flags.writeable = False
    load_image(source).zero_()
    assert (source == 0.25).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensor_that_needs_nothing_is_passed_through(dtype: torch.dtype) -> None:
    source = torch.rand(1, 3, 20, 24).to(dtype).requires_grad_()
    loaded = load_image(source)
    assert loaded.data_ptr() == source.data_ptr()
    assert loaded.dtype == dtype
    assert not loaded.requires_grad
    assert load_image(source, size=24).data_ptr() == source.data_ptr()
    assert load_image(source, size=48).dtype == dtype


def test_tiny_overshoot_is_clamped() -> None:
    source = torch.linspace(-5e-4, 1 + 5e-4, 3 * 16 * 16).reshape(3, 16, 16)
    assert torch.equal(load_image(source)[0], source.clamp(0, 1))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_exif_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    # Flat quarters of four greys: they tell all eight orientations apart, and survive JPEG.
    corners = np.kron(np.array([[10, 90], [170, 250]], dtype=np.uint8), np.ones((16, 24), dtype=np.uint8))
    path = tmp_path / f"a{suffix}"
    Image.fromarray(corners).save(path, exif=exif)
    # From an open file: by its name, Pillow 13 maps an uncompressed TIFF into memory with its sides exchanged.
    with path.open("rb") as file, Image.open(file) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    loaded = load_image(path)
    assert torch.equal(loaded, as_tensor(expected))
    # The third reference is the table in the EXIF standard: where the stored first row and column belong.
    turned = {
        1: corners,
        2: corners[:, ::-1],
        3: corners[::-1, ::-1],
        4: corners[::-1],
        5: corners.T,
        6: corners.T[:, ::-1],
        7: corners[::-1, ::-1].T,
        8: corners.T[::-1],
    }[orientation]
    assert loaded.shape[2:] == turned.shape
    assert (loaded[0, 0] - torch.tensor(turned / 255)).abs().max() < 0.02


def test_unreadable_exif_is_ignored_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(image: Image.Image) -> None:
        raise struct.error("unpack requires 2 bytes")

    monkeypatch.setattr(Image.Image, "getexif", fail)
    pixels = rgb()
    with pytest.warns(
        UserWarning, match=r"PIL image: the EXIF orientation cannot be read and is ignored.*unpack requires"
    ):
        loaded = load_image(Image.fromarray(pixels))
    assert torch.equal(loaded, as_tensor(pixels))


def test_palette_and_one_bit(tmp_path: Path) -> None:
    pixels = rgb()
    palette = Image.fromarray(pixels).quantize(16)
    palette.save(tmp_path / "p.png")
    assert torch.equal(load_image(tmp_path / "p.png"), as_tensor(np.asarray(palette.convert("RGB"))))
    bits = pixels[:, :, 0] > 128
    Image.fromarray(bits).save(tmp_path / "1.png")
    with Image.open(tmp_path / "1.png") as image:
        assert image.mode == "1"
    assert torch.equal(load_image(tmp_path / "1.png"), torch.tensor(bits).float().expand(1, 3, 24, 32))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey_ramp(tmp_path: Path, suffix: str) -> None:
    ramp = np.linspace(0, 65535, 64 * 32).astype(np.uint16).reshape(32, 64)
    path = tmp_path / f"ramp{suffix}"
    Image.fromarray(ramp).save(path)
    loaded = load_image(path)
    expected = torch.tensor(ramp / 65535).float()
    assert (loaded - expected).abs().max() < 1e-7
    assert len(loaded.unique()) == 64 * 32


@pytest.mark.parametrize("mode", ["I", "I;16", "I;16L", "I;16B"])
def test_sixteen_bit_modes(mode: str) -> None:
    ramp = np.linspace(0, 65535, 20 * 30).astype(np.uint16).reshape(20, 30)
    data = ramp.astype({"I": "=i4", "I;16B": ">u2"}.get(mode, "<u2")).tobytes()
    image = Image.frombytes(mode, (30, 20), data)
    assert image.mode == mode
    assert (load_image(image)[0, 1] - torch.tensor(ramp / 65535)).abs().max() < 1e-7


def test_float_tiff(tmp_path: Path) -> None:
    grey = np.random.default_rng(2).random((20, 30), dtype=np.float32)
    Image.fromarray(grey).save(tmp_path / "f.tif")
    assert torch.equal(load_image(tmp_path / "f.tif")[0, 2], torch.tensor(grey))
    Image.fromarray(grey * 255).save(tmp_path / "g.tif")
    with pytest.raises(ValueError, match=r"g\.tif holds floating values from .* of a picture are 0 to 1; divide them"):
        load_image(tmp_path / "g.tif")


@pytest.mark.parametrize("values", [(-1, 5), (0, 65536)])
def test_integers_beyond_sixteen_bits(values: tuple[int, int]) -> None:
    image = Image.fromarray(np.resize(np.array(values, dtype=np.int32), (20, 20)))
    with pytest.raises(ValueError, match=rf"integers from {values[0]} to {values[1]}; scale them to 16 bits"):
        load_image(image)


def test_first_frame(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (20, 20), (255, 0, 0)), Image.new("RGB", (20, 20), (0, 0, 255))
    for name in ("a.gif", "a.tif", "a.png", "a.webp"):
        first.save(tmp_path / name, save_all=True, append_images=[second], lossless=True)
        with Image.open(tmp_path / name) as image:
            assert image.n_frames == 2
        with pytest.warns(UserWarning, match=f"{name} has several frames or pages; the first is read"):
            assert load_image(tmp_path / name)[0, :, 0, 0].tolist() == [1, 0, 0]


def test_the_preview_in_a_photograph_is_no_second_frame(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (20, 20), (255, 0, 0)), Image.new("RGB", (20, 20), (0, 0, 255))
    first.save(tmp_path / "a.mpo", save_all=True, append_images=[second])
    assert load_image(tmp_path / "a.mpo")[0, :, 0, 0].tolist() == pytest.approx([1, 0, 0], abs=0.01)


# Transparency


def on_white(rgba: np.ndarray) -> torch.Tensor:
    alpha = rgba[:, :, 3:] / 255
    return as_tensor(rgba[:, :, :3] * alpha + 255 * (1 - alpha))


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_rgba_is_blended_with_white(tmp_path: Path, suffix: str) -> None:
    pixels = rgb(channels=4)
    pixels[:2, :, 3] = 0
    path = tmp_path / f"a{suffix}"
    Image.fromarray(pixels).save(path, lossless=True, exact=True)
    loaded = load_image(path)
    assert torch.allclose(loaded, on_white(pixels), atol=1e-6)
    assert (loaded[:, :, :2] == 1).all()
    assert torch.allclose(load_image(pixels), on_white(pixels), atol=1e-6)
    assert torch.allclose(load_image(torch.tensor(pixels).permute(2, 0, 1)), on_white(pixels), atol=1e-6)


def test_grey_with_alpha_is_blended_with_white(tmp_path: Path) -> None:
    pixels = rgb(channels=2)
    Image.fromarray(pixels, "LA").save(tmp_path / "a.png")
    assert torch.allclose(load_image(tmp_path / "a.png"), on_white(pixels[:, :, [0, 0, 0, 1]]), atol=1e-6)


@pytest.mark.parametrize("transparency", [3, bytes([0, 40, 80, 120, 255, 255, 255, 255])])
def test_palette_with_transparency_is_blended_with_white(tmp_path: Path, transparency: int | bytes) -> None:
    palette = Image.fromarray(rgb()).quantize(8)
    path = tmp_path / "a.png"
    palette.save(path, transparency=transparency)
    with Image.open(path) as image:
        assert image.mode == "P"
        rgba = np.asarray(image.convert("RGBA"))
    assert rgba[:, :, 3].min() == 0
    assert torch.allclose(load_image(path), on_white(rgba), atol=1e-6)


def test_colour_key_is_blended_with_white(tmp_path: Path) -> None:
    pixels = np.full((20, 20, 3), 100, dtype=np.uint8)
    pixels[:10] = (1, 2, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png", transparency=(1, 2, 3))
    loaded = load_image(tmp_path / "a.png")
    assert (loaded[:, :, :10] == 1).all()
    assert (loaded[:, :, 10:] == 100 / 255).all()


# Colour profiles


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_srgb_profile_changes_nothing(tmp_path: Path, suffix: str) -> None:
    pixels = rgb(64, 64)
    Image.fromarray(pixels).save(tmp_path / f"a{suffix}", icc_profile=srgb_profile())
    assert torch.equal(load_image(tmp_path / f"a{suffix}"), as_tensor(pixels))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_profile_is_converted_to_srgb(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGB", (20, 20), (255, 0, 0)).convert(mode)
    image.save(tmp_path / "a.png", icc_profile=srgb_profile(red_is_green=True))
    assert torch.allclose(load_image(tmp_path / "a.png")[0, :, 3, 3], torch.tensor([0.0, 1, 0]), atol=0.01)


def test_profile_leaves_alpha_alone(tmp_path: Path) -> None:
    image = Image.new("RGBA", (20, 20), (255, 0, 0, 51))
    image.save(tmp_path / "a.png", icc_profile=srgb_profile(red_is_green=True))
    assert torch.allclose(load_image(tmp_path / "a.png")[0, :, 3, 3], torch.tensor([0.8, 1, 0.8]), atol=0.01)


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_profile(tmp_path: Path, mode: str) -> None:
    Image.new("L", (20, 20), 55).convert(mode).save(tmp_path / "a.png", icc_profile=GREY_LINEAR)
    encoded = 1.055 * (55 / 255) ** (1 / 2.4) - 0.055  # the sRGB curve
    assert (load_image(tmp_path / "a.png") - encoded).abs().max() < 0.01


def test_grey_picture_with_rgb_profile(tmp_path: Path) -> None:
    Image.new("L", (20, 20), 100).save(tmp_path / "a.png", icc_profile=srgb_profile())
    assert (load_image(tmp_path / "a.png") == 100 / 255).all()


def test_cmyk_without_profile_is_pillow_s(tmp_path: Path) -> None:
    image = Image.fromarray(rgb(channels=4), "CMYK")
    image.save(tmp_path / "a.tif")
    assert torch.equal(load_image(tmp_path / "a.tif"), as_tensor(np.asarray(image.convert("RGB"))))


@pytest.mark.parametrize("suffix", [".tif", ".jpg"])
def test_cmyk_with_its_profile(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    for ink, light in (((255, 0, 0, 0), 1.0), ((0, 255, 255, 0), 1.0), ((0, 0, 0, 255), 0.0)):
        Image.new("CMYK", (20, 20), ink).save(path, icc_profile=CMYK_BLACK_ONLY)
        assert (load_image(path) - light).abs().max() < 0.02


def test_lab_picture() -> None:
    lab = Image.merge("LAB", [Image.new("L", (20, 20), value) for value in (138, 209, 198)])
    lab.info["icc_profile"] = srgb_profile(red_is_green=True)  # makes no sense here
    red = torch.tensor([1.0, 0, 0]).reshape(1, 3, 1, 1)  # L* 54, a* 81, b* 70 at D50
    assert (load_image(lab) - red).abs().max() < 0.03


@pytest.mark.parametrize(
    ("mode", "data"),
    [("RGB", b"no profile at all"), ("RGB", GREY_LINEAR), ("RGB", CMYK_BLACK_ONLY), ("CMYK", srgb_profile())],
    ids=["broken", "grey", "cmyk", "rgb"],
)
def test_unusable_profile_is_ignored_with_a_warning(tmp_path: Path, mode: str, data: bytes) -> None:
    image = Image.fromarray(rgb()).convert(mode)
    image.save(tmp_path / "a.tif", icc_profile=data)
    with pytest.warns(UserWarning, match=r"a\.tif: the colour profile cannot be used and is ignored"):
        loaded = load_image(tmp_path / "a.tif")
    assert torch.equal(loaded, as_tensor(np.asarray(image.convert("RGB"))))


# Size


@pytest.mark.parametrize(("height", "width"), [(60, 80), (80, 60), (50, 50), (301, 150)])
@pytest.mark.parametrize("size", [64, 33, 80, 200])
def test_longest_side_and_aspect(height: int, width: int, size: int) -> None:
    result = load_image(torch.rand(3, height, width), size).shape[2:]
    assert max(result) == size
    assert abs(min(result) - min(height, width) * size / max(height, width)) < 1
    assert tuple(result) == fit_size(height, width, size)
    assert (height < width) == (result[0] < result[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("size", [17, 95, (20, 50), (64, 40)])
def test_constant_stays_constant(dtype: torch.dtype, size: int | tuple[int, int]) -> None:
    constant = torch.full((2, 3, 40, 64), 0.375, dtype=dtype)
    result = resize_image(constant, size)
    assert result.dtype == dtype
    assert result.shape == (2, 3, *(size if isinstance(size, tuple) else fit_size(40, 64, size)))
    assert (result - 0.375).abs().max() <= 1e-6


def test_resize_is_antialiased_and_clamped() -> None:
    stripes = torch.arange(120).remainder(2).float().expand(1, 3, 120, 120)
    assert (resize_image(stripes, 40)[..., 4:-4] - 0.5).abs().max() < 0.05  # plain sampling would give 0 or 1
    edge = (torch.arange(40) >= 20).float().expand(1, 3, 40, 40)
    enlarged = resize_image(edge, 160)
    raw = torch.nn.functional.interpolate(edge, (160, 160), mode="bicubic", antialias=True)
    assert raw.min() < -0.01  # there is something to clamp
    assert raw.max() > 1.01
    assert enlarged.min() == 0
    assert enlarged.max() == 1


def test_resize_to_the_same_size_is_no_operation() -> None:
    image = torch.rand(1, 3, 20, 30)
    assert resize_image(image, 30) is image
    assert resize_image(image, (20, 30)) is image
    assert resize_image(image, image.shape[2:]) is image


def test_numpy_integers_are_sizes() -> None:
    image = torch.rand(1, 3, 20, 30)
    assert load_image(image, np.int64(60)).shape == (1, 3, 40, 60)
    assert resize_image(image, (np.int64(18), np.int32(19))).shape == (1, 3, 18, 19)


@pytest.mark.parametrize("size", [True, 64.0, "64", 15, 0, -64, (64, 64)])
def test_bad_size(size: Any) -> None:
    with pytest.raises(ValueError, match=r"size is a whole number of at least 16 pixels.*received"):
        load_image(torch.rand(3, 32, 32), size)


@pytest.mark.parametrize("size", [True, 0, 10**30, 5.5, (4,), (4, 0), (4, 5, 6), (4, 5.0)])
def test_bad_resize(size: Any) -> None:
    with pytest.raises(ValueError, match=r"size is a whole number from 1 to 65536 or a pair"):
        resize_image(torch.rand(1, 3, 32, 32), size)


def test_resize_wants_a_floating_batch() -> None:
    with pytest.raises(ValueError, match=r"has shape \(B, C, H, W\), received \(3, 32, 32\)"):
        resize_image(torch.rand(3, 32, 32), 16)
    with pytest.raises(TypeError, match=r"the image holds torch\.uint8; convert it to torch\.float32"):
        resize_image(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), 16)


def test_smallest_picture() -> None:
    assert load_image(np.zeros((MIN_SIDE, MIN_SIDE))).shape == (1, 3, 16, 16)
    with pytest.raises(ValueError, match=r"the array is 40 x 15 pixels; give one of at least 16 on each side"):
        load_image(np.zeros((15, 40)))
    with pytest.raises(ValueError, match=r"the tensor is 3 x 3 pixels"):
        load_image(torch.zeros(3, 3, 3), size=64)


def test_extreme_aspect_names_a_size_that_works() -> None:
    banner = torch.rand(3, 20, 333)
    with pytest.raises(ValueError, match=r"333 x 20 pixels, would be 64 x 4 pixels at size=64") as caught:
        load_image(banner, size=64)
    enough = int(re.search(r"use size=(\d+)", str(caught.value))[1])
    assert load_image(banner, size=enough).shape[2] == 16


# What is refused


def test_wrong_paths(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no file .*absent\.png"):
        load_image(tmp_path / "absent.png")
    with pytest.raises(IsADirectoryError, match=r"is a folder"):
        load_image(tmp_path)
    (tmp_path / "empty.png").touch()
    with pytest.raises(ValueError, match=r"empty\.png is an empty file"):
        load_image(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"text\.png is text, not a picture in a known format"):
        load_image(tmp_path / "text.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".gif", ".webp", ".bmp"])
def test_truncated_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(rgb(100, 100)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=rf"a\{suffix} is (broken, decoding it failed|not a picture)") as caught:
        load_image(path)
    assert isinstance(caught.value.__cause__, Exception)
    assert "\n" not in str(caught.value)


def test_garbled_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(rgb(60, 60)).save(path)
    whole = path.read_bytes()
    random = np.random.default_rng(5)
    refused = 0
    for _ in range(100):
        data = bytearray(whole)
        for place in random.integers(8, len(data), 3):
            data[place] = random.integers(256)
        path.write_bytes(data)
        try:
            load_image(path)
        except ValueError as error:
            refused += "a.png" in str(error)
    assert refused > 50


def test_lazy_pil_image_that_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(rgb(100, 100)).save(path)
    path.write_bytes(path.read_bytes()[:5000])
    with Image.open(path) as image, pytest.raises(ValueError, match=r"the PIL image is broken"):
        load_image(image)


def test_pictures_above_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(rgb(40, 40)).save(path)
    filters = list(warnings.filters)
    for limit in (1600, 10**9):
        with pixel_limit(limit):
            assert load_image(path).shape == (1, 3, 40, 40)
    told = r"a\.png is too large: 0\.0016 megapixels, and the limit is 0\.001599; raise it with --max-megapixels"
    for limit in (1599, 100):
        with pixel_limit(limit), pytest.raises(ValueError, match=told if limit == 1599 else "too large"):
            load_image(path)
    assert load_image(path).shape == (1, 3, 40, 40)
    for pillows in (100, None):  # its host's own setting neither counts nor changes
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pillows)
        assert load_image(path).shape == (1, 3, 40, 40)  # a warning would be an error in this suite
        assert pillows == Image.MAX_IMAGE_PIXELS
    assert warnings.filters == filters
    with pytest.raises(ValueError, match="pixel_limit is a whole number of at least 1, received 0"), pixel_limit(0):
        pass


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_not_finite(bad: float, dtype: type) -> None:
    pixels = np.zeros((20, 20, 3), dtype=dtype)
    pixels[3, 4, 1] = bad
    with pytest.raises(ValueError, match=r"the array holds NaN or infinite values"):
        load_image(pixels)
    with pytest.raises(ValueError, match=r"the tensor holds NaN or infinite values"):
        load_image(torch.tensor(pixels).permute(2, 0, 1))


@pytest.mark.parametrize("bad", [-0.01, 1.01, 255.0, 1e300])
def test_outside_the_range(bad: float) -> None:
    pixels = np.full((20, 20), 0.5)
    pixels[3, 4] = bad
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        load_image(pixels)
    with pytest.raises(ValueError, match=r"the tensor holds values from .*; divide 8-bit values by 255"):
        load_image(torch.tensor(pixels)[None])


@pytest.mark.parametrize("shape", [(20,), (20, 20, 2), (3, 20, 20), (1, 20, 20, 3), (0, 20, 3)])
def test_wrong_array_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="has shape " + re.escape(str(shape)[:-1])):
        load_image(np.zeros(shape))


@pytest.mark.parametrize("shape", [(20, 20), (2, 20, 20), (20, 20, 3), (2, 3, 20, 20), (1, 3, 0, 20)])
def test_wrong_tensor_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="the tensor has shape " + re.escape(str(shape))):
        load_image(torch.zeros(shape))


def test_wrong_types() -> None:
    with pytest.raises(TypeError, match=r"the array holds int64; convert it to uint8"):
        load_image(np.zeros((20, 20), dtype=np.int64))
    with pytest.raises(TypeError, match=r"the array holds complex128"):
        load_image(np.zeros((20, 20), dtype=complex))
    with pytest.raises(TypeError, match=r"the tensor holds torch\.int64; convert it to torch\.float32"):
        load_image(torch.zeros(3, 20, 20, dtype=torch.int64))
    for other in (None, 5, b"a.png", [[0.0]]):
        with pytest.raises(TypeError, match=f"a picture is a path, .* received {type(other).__name__}"):
            load_image(other)  # type: ignore[arg-type]


# Out again


def test_to_pil_rounds_and_clamps() -> None:
    levels = torch.tensor([0.4, 0.6, 1.4, 254.4, 254.6, 300, -40]) / 255
    for dtype in (torch.float32, torch.float64):
        column = np.asarray(to_pil(levels.to(dtype).expand(3, 2, 7)))[1, :, 2]
        assert column.tolist() == [0, 1, 1, 254, 255, 255, 0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_to_pil_keeps_all_levels(dtype: torch.dtype) -> None:
    levels = torch.arange(256).reshape(1, 1, 16, 16)
    image = (levels.double() / 255).to(dtype).expand(1, 3, 16, 16).requires_grad_()
    picture = to_pil(image)
    assert (picture.mode, picture.size) == ("RGB", (16, 16))
    assert np.array_equal(np.asarray(picture)[:, :, 0].ravel(), np.arange(256))


@pytest.mark.parametrize("shape", [(1, 20, 20), (2, 3, 20, 20), (20, 20), (3, 0, 20)])
def test_to_pil_wrong_shape(shape: tuple[int, ...]) -> None:
    received = re.escape(str(shape))
    with pytest.raises(ValueError, match=rf"has shape \(1, 3, H, W\) or \(3, H, W\), received {received}"):
        to_pil(torch.rand(shape))


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.zeros(3, 20, 20).to_sparse(), r"has the layout torch\.sparse_coo; convert it with \.to_dense\(\)"),
        (torch.zeros(3, 20, 20, device="meta"), "is on the meta device and holds no values"),
        (torch.zeros(3, 20, 20, dtype=torch.complex64), r"holds torch\.complex64; give its real part"),
        (torch.zeros(3, 20, 20).to(torch.float8_e4m3fn), r"holds torch\.float8_e4m3fn; convert it to torch\.float32"),
        (torch.zeros(3, 20, 20, dtype=torch.int64), r"holds torch\.int64; convert it to torch\.float32"),
    ],
)
def test_tensors_that_hold_no_picture(tensor: torch.Tensor, message: str, tmp_path: Path) -> None:
    for function in (load_image, to_pil, lambda x: resize_image(x, 16), lambda x: save_image(x, tmp_path / "a.png")):
        with pytest.raises(TypeError, match=f"^the (image|tensor) {message}"):
            function(tensor)  # type: ignore[no-untyped-call]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("other", ["x", None, 5, np.zeros((20, 20, 3)), Path("a.png")])
def test_only_tensors_and_pil_images_are_saved(other: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=f"a tensor or a PIL image, received {type(other).__name__}; .*load_image"):
        save_image(other, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_diverged_image_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"NaN or infinite.*diverged"):
        save_image(torch.full((3, 20, 20), float("nan")), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".PNG"])
def test_round_trip_is_exact(tmp_path: Path, suffix: str) -> None:
    image = as_tensor(rgb(256, 40))
    path = save_image(image, tmp_path / f"a{suffix}")
    assert path == tmp_path / f"a{suffix}"
    assert torch.equal(load_image(path), image)


@pytest.mark.parametrize(("suffix", "kind"), [(".jpg", "JPEG"), (".jpeg", "JPEG"), (".webp", "WEBP")])
def test_lossy_formats_obey_quality(tmp_path: Path, suffix: str, kind: str) -> None:
    image = resize_image(as_tensor(rgb(16, 16)), 128)
    good = save_image(image, f"{tmp_path}/good{suffix}")
    poor = save_image(image, f"{tmp_path}/poor{suffix}", quality=10)
    with Image.open(good) as picture:
        assert picture.format == kind
        assert kind != "JPEG" or JpegImagePlugin.get_sampling(picture) == 0  # colours at full resolution
    assert (load_image(good) - image).abs().mean() < 0.02
    assert poor.stat().st_size < good.stat().st_size / 2


@pytest.mark.parametrize("quality", [0, 101, 95.0, True])
def test_bad_quality(tmp_path: Path, quality: Any) -> None:
    with pytest.raises(ValueError, match=r"quality is a whole number from 1 to 100"):
        save_image(torch.rand(3, 20, 20), tmp_path / "a.jpg", quality=quality)


def test_pil_images_are_saved_as_they_look(tmp_path: Path) -> None:
    small = Image.new("RGBA", (4, 2), (255, 0, 0, 51))  # a picture to save may be of any size
    small.info["icc_profile"] = srgb_profile(red_is_green=True)
    with Image.open(save_image(small, tmp_path / "a.png")) as saved:
        assert (saved.mode, saved.size, "icc_profile" in saved.info) == ("RGBA", (4, 2), False)
        assert np.abs(np.asarray(saved)[0, 0].astype(int) - np.array([0, 255, 0, 51])).max() <= 2
    pixels = rgb()
    with Image.open(save_image(Image.fromarray(pixels), tmp_path / "b.png")) as saved:
        assert np.array_equal(np.asarray(saved), pixels)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX systems")
@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_permissions_follow_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        path = save_image(torch.rand(3, 20, 20), tmp_path / "a.png")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_overwrite_guard(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    old, new = torch.zeros(1, 3, 20, 20), torch.ones(1, 3, 20, 20)
    save_image(old, path)
    with pytest.raises(FileExistsError, match=r"a\.png exists; pass overwrite=True \(--overwrite\)"):
        save_image(new, path)
    assert torch.equal(load_image(path), old)
    save_image(new, path, overwrite=True)
    assert torch.equal(load_image(path), new)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("hard_links", [True, False])
def test_file_that_appears_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool) -> None:
    path = tmp_path / "a.png"
    encode = Image.Image.save

    def slow(self: Image.Image, *args: Any, **options: Any) -> None:
        encode(self, *args, **options)
        path.write_text("another program's")

    def no_links(source: object, target: object) -> None:
        raise PermissionError("no hard links here")

    monkeypatch.setattr(Image.Image, "save", slow)
    if not hard_links:
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(FileExistsError, match=r"a\.png exists"):
        save_image(torch.rand(3, 20, 20), path)
    assert path.read_text() == "another program's"
    assert list(tmp_path.iterdir()) == [path]


def test_without_overwrite_the_file_system_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    link = os.link

    def appears_last(source: Path, target: Path) -> None:
        path.write_text("another program's")
        link(source, target)

    monkeypatch.setattr(os, "link", appears_last)
    monkeypatch.setattr(Path, "replace", lambda self, target: pytest.fail("replaced"))
    with pytest.raises(FileExistsError, match=r"a\.png exists"):
        save_image(torch.rand(3, 20, 20), path)
    monkeypatch.setattr(os, "link", link)
    assert (load_image(save_image(torch.ones(3, 20, 20), tmp_path / "b.png")) == 1).all()
    assert {file.name for file in tmp_path.iterdir()} == {"a.png", "b.png"}


def test_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(source: object, target: object) -> None:
        raise PermissionError("no hard links here")

    monkeypatch.setattr(os, "link", no_links)
    path = save_image(torch.ones(3, 20, 20), tmp_path / "a.png")
    assert (load_image(path) == 1).all()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("stage", ["encode", "sync", "rename"])
@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_failure_keeps_the_old_file_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, failure: BaseException
) -> None:
    path = save_image(torch.zeros(1, 3, 20, 20), tmp_path / "a.png")
    before = path.read_bytes()
    reached = []

    def fail(self: Any, file: Any = None, *args: Any, **options: Any) -> None:
        reached.append(stage)
        if stage == "encode":
            file.write(b"half a file")
        raise failure

    owner, name = {"encode": (Image.Image, "save"), "sync": (os, "fsync"), "rename": (Path, "replace")}[stage]
    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(type(failure)):
        save_image(torch.ones(1, 3, 20, 20), path, overwrite=True)
    assert reached == [stage]
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_complete_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = []
    sync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        events.append(("sync", os.fstat(descriptor).st_size))
        sync(descriptor)

    def replaced(self: Path, target: Path) -> Path:
        events.append(("replace", self.stat().st_size))
        assert self.parent.parent == target.parent  # on the same disk
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    path = save_image(torch.rand(3, 20, 20), tmp_path / "a.png", overwrite=True)
    size = path.stat().st_size
    assert events == [("sync", size), ("replace", size)]


def test_check_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    assert check_output(str(path)) == path
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match=r"a\.gif: unknown suffix '\.gif'; use one of \.png \.jpg .*\.tiff"):
        check_output(tmp_path / "a.gif")
    with pytest.raises(ValueError, match=r"unknown suffix ''"):
        check_output(tmp_path / "a")
    with pytest.raises(FileNotFoundError, match=r"no folder .*absent to save a\.png in"):
        check_output(tmp_path / "absent" / "a.png")
    with pytest.raises(IsADirectoryError, match=r"is a folder; give the name of a file"):
        check_output(tmp_path)
    path.touch()
    with pytest.raises(FileNotFoundError, match=r"no folder .*a\.jpg"):
        check_output(path / "b.png")
    with pytest.raises(FileExistsError, match=r"a\.jpg exists; pass overwrite=True \(--overwrite\)"):
        check_output(path)
    assert check_output(path, overwrite=True) == path


def test_dangling_link_counts_as_existing(tmp_path: Path) -> None:
    link = tmp_path / "a.png"
    link.symlink_to(tmp_path / "absent.png")
    with pytest.raises(FileExistsError, match=r"a\.png exists"):
        check_output(link)


def test_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: Any) -> None:
        assert options == {"dir": tmp_path}
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(PermissionError, match=r"cannot write in folder .*\(Read-only file system\)"):
        check_output(tmp_path / "a.png")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_write_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match=r"cannot write in folder .*Permission denied"):
        check_output(tmp_path / "a.png")


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of the system")
@pytest.mark.parametrize(
    ("name", "depth"), [(f"out{end}", 8) for end in (".png", ".jpg", ".webp", ".tif", ".avif")] + [("out.tif", 16)]
)
def test_a_disk_that_becomes_full_leaves_no_part_of_a_picture(name: str, depth: int, tmp_path: Path) -> None:
    import resource

    check_output(tmp_path / name, depth=depth)
    image = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))  # the first 300 bytes are written
    try:
        with pytest.raises(OSError, match=f"{name} cannot be written: no more space after"):
            save_image(image, tmp_path / name, depth=depth)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
    save_image(image, tmp_path / name, depth=depth)
    assert load_image(tmp_path / name).shape == image.shape


# Resolution, and the picture's own size


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp", "a.avif"])
def test_resolution_is_written(tmp_path: Path, name: str) -> None:
    with Image.open(save_image(torch.rand(3, 20, 30), tmp_path / name, dpi=240)) as saved:
        found = saved.info["dpi"][0] if "dpi" in saved.info else saved.getexif()[ExifTags.Base.XResolution]
        assert float(found) == pytest.approx(240, abs=0.01)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_resolution_is_written_at_16_bits(tmp_path: Path, name: str) -> None:
    pytest.importorskip("pyvips")
    with Image.open(save_image(torch.rand(3, 20, 30), tmp_path / name, depth=16, dpi=240)) as saved:
        assert float(saved.info["dpi"][0]) == pytest.approx(240, abs=0.01)


@pytest.mark.parametrize("dpi", [0, -1, 1e6, float("nan"), "300", True])
def test_wrong_resolution(tmp_path: Path, dpi: Any) -> None:
    with pytest.raises(ValueError, match="dpi is a finite number from 1 to 65535 pixels per inch"):
        save_image(torch.rand(3, 20, 30), tmp_path / "a.png", dpi=dpi)
    assert not list(tmp_path.iterdir())


def test_own_size() -> None:
    assert load_image(torch.rand(3, 40, 30), "original").shape == (1, 3, 40, 30)
    assert longest_side("original", 40, 30) == 40
    with pytest.raises(ValueError, match="or 'original'"):
        load_image(torch.rand(3, 40, 30), "orginal")  # type: ignore[arg-type]
