"""Large pictures: strips give what the whole gives, and memory stays that of the result."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from icc import CMYK_BLACK_ONLY, WIDE
from PIL import Image

from neuralstyle.images import load_image, resize_image, strips, to_pil

PIXELS = np.random.default_rng(0).integers(0, 256, (61, 47, 4), dtype=np.uint8)


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def pictures() -> dict[str, Image.Image]:
    """Every way in which a PIL image is converted."""
    color = Image.fromarray(PIXELS[:, :, :3])
    wide = color.copy()
    wide.info["icc_profile"] = WIDE
    inks = Image.fromarray(PIXELS, "CMYK")
    inks.info["icc_profile"] = CMYK_BLACK_ONLY
    palette = color.quantize(16)
    palette.info["transparency"] = 3
    turned = {f"turned {number}": color.copy() for number in range(2, 9)}
    for number, image in enumerate(turned.values(), start=2):
        image.info["exif"] = exif(number).tobytes()
    return {
        "RGB": color,
        "RGBA": Image.fromarray(PIXELS),
        "LA": Image.fromarray(PIXELS[:, :, :2], "LA"),
        "L": color.convert("L"),
        "1": color.convert("1"),
        "palette": palette,
        "profile": wide,
        "CMYK": Image.fromarray(PIXELS, "CMYK"),
        "CMYK with profile": inks,
        "LAB": Image.fromarray(PIXELS[:, :, :3], "LAB"),
        "16 bits": Image.fromarray(PIXELS[:, :, 0].astype(np.uint16) * 256 + PIXELS[:, :, 1]),
        "floating": Image.fromarray(PIXELS[:, :, 0].astype(np.float32) / 255),
        **turned,
    }


@pytest.mark.parametrize("name", pictures())
def test_strips_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    image = pictures()[name]
    whole = load_image(image)
    resized = {size: resize_image(whole, size) for size in (40, 61, 90)}
    assert whole.unique().numel() > 1
    monkeypatch.setattr(strips, "_PIXELS_PER_STRIP", 7 * 47)  # seven rows, and five at the end
    assert torch.equal(load_image(image), whole)
    for size, expected in resized.items():
        loaded = load_image(image, size)
        assert loaded.is_contiguous()
        assert (loaded - expected).abs().max() < 1e-5
    monkeypatch.setattr(strips, "_PIXELS_PER_STRIP", 1)
    assert torch.equal(load_image(image), whole)


def test_strips_of_arrays_and_results(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load_image(PIXELS)
    picture = np.asarray(to_pil(whole))
    monkeypatch.setattr(strips, "_PIXELS_PER_STRIP", 7 * 47)
    assert torch.equal(load_image(PIXELS), whole)
    assert np.array_equal(np.asarray(to_pil(whole)), picture)
    for row in (0, 30, 60):
        broken = whole.clone()
        broken[0, 1, row, 5] = float("nan")
        with pytest.raises(ValueError, match="NaN"):
            to_pil(broken)
        with pytest.raises(ValueError, match="the array holds NaN"):
            load_image(broken[0].permute(1, 2, 0).numpy())


def test_a_picture_given_stays_as_it_is() -> None:
    for name, image in pictures().items():
        before, info = image.tobytes(), dict(image.info)
        load_image(image)
        assert (image.tobytes(), dict(image.info)) == (before, info), name
    rgba = torch.rand(4, 20, 20)
    kept = rgba.clone()
    load_image(rgba)
    assert torch.equal(rgba, kept)


MEASURE = """
import sys, torch
from pathlib import Path
from neuralstyle.images import load_image, save_image, to_pil

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024

def peak(task):
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = status("VmRSS")
    task()
    return status("VmHWM") - before

folder = Path(sys.argv[1])
picture = {"small": torch.rand(3, 64, 64), "large": torch.linspace(0, 1, 2000).expand(3, 2000, 2000).contiguous()}
for name, depth in (("small", 8), ("small", 16), ("large", 8), ("large", 16)):
    paths = [folder / f"{name}{depth}{kind}" for kind in (".png", ".tif")]
    writes = [peak(lambda: save_image(picture[name], path, depth=depth)) for path in paths]
    reads = [peak(lambda: load_image(path, size)) for path in paths for size in (None, 300)]
    if name == "large":
        print(*writes, *reads, peak(lambda: to_pil(picture[name])))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux tells the peak of a process's memory")
def test_memory_is_that_of_the_result(tmp_path: Path) -> None:
    """Peaks beyond what was there before, for 4 megapixels: 46 MiB as floats, 15 MiB as Pillow holds them."""
    pytest.importorskip("pyvips")
    command = [sys.executable, "-c", MEASURE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "clear_refs" in done.stderr:
        pytest.skip("the peak cannot be reset here")
    assert done.returncode == 0, done.stderr
    picture = 3 * 2000 * 2000 * 4 / 2**20
    for depth, line in zip((8, 16), done.stdout.splitlines(), strict=True):
        *writes, png, small_png, tiff, small_tiff, pil = (float(value) / picture for value in line.split())
        assert max(*writes, pil) < 0.8, (depth, line)
        assert max(png, tiff) < 1.8, (depth, line)
        assert max(small_png, small_tiff) < 0.8, (depth, line)
