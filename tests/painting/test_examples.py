"""The examples, run at a small size: each leaves its picture, and does what it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import notebooks
import numpy as np
import pytest
import torch
from PIL import Image

from neuralstyle import samples

EXAMPLES = notebooks.EXAMPLES
SMALL: dict[str, dict[str, int]] = {
    "a_large_print.py": {"WIDTH": 96, "TILE": 64},
    "a_loss_of_your_own.py": {"SIZE": 48},
    "brush_strokes.py": {"SIZE": 48, "STROKES": 30, "STEPS": 12},
    "first_picture.py": {"SIZE": 48},
    "paint_a_surface.py": {"SIZE": 48, "STEPS": 12, "VIEWS": 4},
    "regions.py": {"SIZE": 64},
    "the_paper.py": {"SIZE": 48, "STEPS": 12},
    "train_a_network.py": {"SIDE": 32, "STEPS": 12},
}


def run(name: str, **settings: int) -> dict[str, Any]:
    """Run the cells of an example's notebook with other settings, in the current folder, and return its names."""
    source = (EXAMPLES / name).read_text(encoding="utf-8")
    for setting, value in settings.items():
        source, count = re.subn(rf"^{setting} = \d+", f"{setting} = {value}", source, flags=re.M)
        assert count == 1, f"{name} has no setting {setting}"
    names: dict[str, Any] = {"__name__": "example"}
    for number, cell in enumerate(json.loads(notebooks.notebook_text(source))["cells"]):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{name}, cell {number}", "exec", dont_inherit=True), names)
    return names


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_example_is_run_here() -> None:
    assert sorted(path.name for path in EXAMPLES.glob("*.py")) == sorted(SMALL)


@pytest.mark.parametrize("name", SMALL)
def test_an_example_is_a_notebook_in_percent_cells(name: str) -> None:
    source = (EXAMPLES / name).read_text(encoding="utf-8")
    assert "format_name: percent" in source
    assert re.search(r"^# %% \[markdown\]\n# # ", source, flags=re.M)


def test_a_surface_is_painted_as_seen_from_sides_that_were_not_trained() -> None:
    names = run("paint_a_surface.py", **SMALL["paint_a_surface.py"])
    assert size_of(names["RESULT"]) == (3 * 36, 3 * 48)
    original, *painted = names["textures"]
    for losses, texture in zip((names["nearest"], names["gram"]), painted, strict=True):
        assert texture.min() >= 0
        assert texture.max() <= 1
        for view in names["unseen"]:
            style = losses.scaled("content", 0)
            objective = names["objective_of"](view, style)
            before, after = (float(objective(names["render"](each, view))) for each in (original, texture))
            assert after < 0.95 * before


def test_a_seam_of_the_surface_does_not_show() -> None:
    names = run("paint_a_surface.py", **{**SMALL["paint_a_surface.py"], "STEPS": 0})
    view = names["look"](180, 10)  # where both sides of the texture meet
    flat = torch.linspace(0, 1, 48)[:, None].expand(1, 3, 48, 96)
    picture = names["render"](flat, view)
    assert float((picture - picture.flip(3)).abs().mean()) < 0.1


@pytest.mark.parametrize("name", ["brush_strokes.py", "train_a_network.py"])
def test_the_value_falls(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = run(name, **SMALL[name])
    first = float(re.search(r"step +0: ([\d.]+)", capsys.readouterr().out)[1])  # type: ignore[index]
    assert names["value"].item() < 0.95 * first
    width, height = size_of(names["RESULT"])
    assert width > height > 32


def difference(first: Image.Image, second: Image.Image) -> float:
    """Mean absolute difference of two pictures of one size, in levels of 255."""
    return float(np.abs(np.asarray(first, float) - np.asarray(second, float)).mean())


def test_a_first_picture_is_painted_more_by_more_strength() -> None:
    names = run("first_picture.py", **SMALL["first_picture.py"])
    photo = samples.photo().resize(names["image"].size)
    faint, plain, strong = (difference(each, photo) for each in names["pictures"])
    assert faint < plain < strong
    assert difference(names["image"], names["look"]) > 0
    assert max(size_of(names["RESULT"])) == 48


def test_the_paper_written_out_is_what_the_library_computes(capsys: pytest.CaptureFixture[str]) -> None:
    names = run("the_paper.py", **SMALL["the_paper.py"])
    assert names["after"] < 0.8 * names["before"]
    assert names["ours"] == pytest.approx(names["theirs"], rel=1e-3)
    assert size_of(names["RESULT"])[0] == 48
    cells = notebooks.notebook((EXAMPLES / "the_paper.py").read_text(encoding="utf-8"))["cells"]
    assert sum(cell["cell_type"] == "code" for cell in cells) == 10


def test_a_loss_of_ones_own_paints_another_picture() -> None:
    names = run("a_loss_of_your_own.py", **SMALL["a_loss_of_your_own.py"])
    default, alone, beside = names["pictures"]
    assert difference(default, alone) > 5
    assert difference(default, beside) > 1
    assert max(size_of(names["RESULT"])) == 48


def test_a_region_keeps_the_photograph_where_no_style_goes() -> None:
    names = run("regions.py", **SMALL["regions.py"])
    alone = np.asarray(names["alone"], float)
    height, width = alone.shape[:2]
    change = np.abs(alone - np.asarray(samples.photo().resize((width, height), Image.Resampling.LANCZOS), float)).mean(
        2
    )
    face = np.asarray(names["face"].resize((width, height))) / 255
    assert change[face > 0.9].mean() < 0.5 * change[face < 0.1].mean()
    assert max(size_of(names["RESULT"])) == 64


def test_a_large_print_has_16_bits_and_the_resolution() -> None:
    pyvips = pytest.importorskip("pyvips")
    names = run("a_large_print.py", **SMALL["a_large_print.py"])
    picture = pyvips.Image.new_from_file(str(names["RESULT"]))
    assert (picture.width, picture.format) == (96, "ushort")
    assert picture.xres * 25.4 == pytest.approx(200, rel=1e-3)


@pytest.mark.parametrize("name", SMALL)
def test_a_notebook_has_all_of_its_example(name: str) -> None:
    source = (EXAMPLES / name).read_text(encoding="utf-8")
    built = json.loads(notebooks.notebook_text(source))
    assert (built["nbformat"], built["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in built["cells"]}) == len(built["cells"])
    code = "\n".join("".join(cell["source"]) for cell in built["cells"] if cell["cell_type"] == "code")
    written = [line for line in source.splitlines() if line and not line.startswith("#")]
    assert [line for line in code.splitlines() if line and not line.startswith("#")] == written
    assert f"# {notebooks.title(source)}" in "".join(built["cells"][0]["source"])
