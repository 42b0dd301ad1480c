"""The memory of a painting follows the size asked for, not that of the files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

PAINT = """
import resource, sys
if sys.argv[3] == "without":
    sys.modules["pyvips"] = None
from neuralstyle import Style, stylize

def paint(path):
    styles = [path, Style(path, weight=0.5)]
    stylize(path, styles, size=32, iterations=1, schedule="draft", color="match", progress=False)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

small, large = map(paint, sys.argv[1:3])
print((large - small) >> 10)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A small picture and one of 49 megapixels."""
    folder = tmp_path_factory.mktemp("pictures")
    for side in (96, 7000):
        Image.new("RGB", (side, side), (200, 120, 40)).save(folder / f"{side}.png", compress_level=1)
    return [folder / "96.png", folder / "7000.png"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux tells the peak in kilobytes")
@pytest.mark.parametrize(("vips", "most"), [("with", 200), ("without", 350)])
def test_a_picture_of_49_megapixels_at_a_small_size(files: list[Path], vips: str, most: int) -> None:
    """MiB of the peak beyond that of a small picture. As 8-bit colours it has 187 in Pillow."""
    if vips == "with":
        pytest.importorskip("pyvips")
    command = [sys.executable, "-c", PAINT, *map(str, files), vips]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < most
