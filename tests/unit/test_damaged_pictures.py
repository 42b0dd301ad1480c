"""Damaged pictures of every format: a picture or one short line, and never anything else."""

from __future__ import annotations

import io
import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from deep_files import png, tiff
from PIL import Image

from neuralstyle.images import deep, load_image, reading

SEEDS = 40
PIXELS = np.random.default_rng(0).integers(0, 65536, (24, 32, 3), dtype=np.uint16)
PICTURE = Image.fromarray((PIXELS >> 8).astype(np.uint8))
TURNED = PICTURE.transpose(Image.Transpose.ROTATE_180)


def encoded(plugin: str, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    if plugin == "HEIF":
        pytest.importorskip("pillow_heif").from_pillow(PICTURE).save(buffer)
    else:
        PICTURE.convert(mode).save(buffer, plugin, **options)
    return buffer.getvalue()


WHOLE: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("PNG", {}),
    "palette.png": ("PNG", {"mode": "P"}),
    "animated.png": ("PNG", {"save_all": True, "append_images": [TURNED]}),
    "jpg": ("JPEG", {}),
    "cmyk.jpg": ("JPEG", {"mode": "CMYK", "progressive": True}),
    "mpo": ("MPO", {"save_all": True, "append_images": [TURNED]}),
    "webp": ("WEBP", {}),
    "alpha.webp": ("WEBP", {"mode": "RGBA", "lossless": True}),
    "tif": ("TIFF", {}),
    "deflate.tif": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "lzw.tif": ("TIFF", {"mode": "P", "compression": "tiff_lzw"}),
    "gif": ("GIF", {}),
    "animated.gif": ("GIF", {"save_all": True, "append_images": [TURNED]}),
    "bmp": ("BMP", {}),
    "palette.bmp": ("BMP", {"mode": "P"}),
    "avif": ("AVIF", {}),
    "heic": ("HEIF", {}),
    "jp2": ("JPEG2000", {}),
    "tga": ("TGA", {"compression": "tga_rle"}),
    "ppm": ("PPM", {}),
    "qoi": ("QOI", {}),
    "ico": ("ICO", {"mode": "RGBA", "sizes": [(32, 24)]}),
}


def damaged(data: bytes, seed: int) -> bytes:
    """Cut short; with bytes of its header, or of all of it, changed; or with others in between."""
    chance, found = random.Random(seed), bytearray(data)
    kind = seed % 4
    if kind == 0:
        return data[: chance.randrange(1, len(data))]
    if kind == 3:
        place = chance.randrange(len(data))
        return data[:place] + chance.randbytes(chance.randrange(1, 50)) + data[place:]
    for _ in range(chance.randrange(1, 12)):
        found[chance.randrange(min(len(data), 64) if kind == 1 else len(data))] = chance.randrange(256)
    return bytes(found)


def check(path: Path, data: bytes, size: int | None) -> int:
    """Return how many of the damaged files are refused."""
    refused = []
    for seed in range(SEEDS):
        path.write_bytes(damaged(data, seed))
        try:
            image = load_image(path, size)
        except ValueError as error:
            refused.append(str(error))
        else:
            assert 0 <= image.min() <= image.max() <= 1, seed
    for text in refused:
        assert path.name in text
        assert len(text) <= 300, text
        assert "\n" not in text
    return len(refused)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, about metadata
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", WHOLE)
def test_damaged_pictures(tmp_path: Path, name: str) -> None:
    plugin, options = WHOLE[name]
    path = tmp_path / f"a.{name}"
    data = encoded(plugin, **options)
    path.write_bytes(data)
    assert load_image(path).shape == (1, 3, 24, 32)
    assert check(path, data, None) >= SEEDS // 5


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["png", "deflate.tif", "alpha.webp", "jpg", "deep.png", "deep.tif"])
def test_damaged_pictures_by_libvips_and_at_a_fraction(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyvips")
    monkeypatch.setattr(deep, "VAST_PIXELS", 0)
    monkeypatch.setattr(reading, "WHOLE_PIXELS", 0)
    if name.startswith("deep"):
        data = png(PIXELS) if name.endswith("png") else tiff(PIXELS)
    else:
        data = encoded(WHOLE[name][0], **WHOLE[name][1])
    assert check(tmp_path / f"a.{name}", data, 32) >= SEEDS // 5


def test_the_damage_is_one(tmp_path: Path) -> None:
    data = encoded("PNG")
    files = {damaged(data, seed) for seed in range(SEEDS)}
    assert len(files) > SEEDS * 0.95
    assert data not in files
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (tmp_path / "a.png").write_bytes(data)
        assert torch.equal(load_image(tmp_path / "a.png"), load_image(PICTURE))
