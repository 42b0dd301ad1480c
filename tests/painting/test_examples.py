"""The examples, run at a small size: each leaves its picture, and does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL: dict[str, dict[str, int]] = {
    "brush_strokes.py": {"SIZE": 48, "STROKES": 30, "STEPS": 12},
    "paint_a_surface.py": {"SIZE": 48, "STEPS": 12, "VIEWS": 4},
    "train_a_network.py": {"SIDE": 32, "STEPS": 12},
}


def run(name: str, **settings: int) -> dict[str, Any]:
    """Run an example with other settings, in the current folder, and return its names."""
    source = (EXAMPLES / name).read_text(encoding="utf-8")
    for setting, value in settings.items():
        source, count = re.subn(rf"^{setting} = \d+", f"{setting} = {value}", source, flags=re.M)
        assert count == 1, f"{name} has no setting {setting}"
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(source, name, "exec", dont_inherit=True), names)
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
