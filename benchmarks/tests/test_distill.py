"""benchmarks/distill: that its measures are what they say, and that it goes on where it stopped, to the byte."""

from __future__ import annotations

import importlib
import random
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file

from neuralstyle import samples

DISTILL = Path(__file__).parents[2] / "benchmarks" / "distill"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    monkeypatch.syspath_prepend(DISTILL)
    names = ("student", "pictures", "matching")
    yield {name: importlib.import_module(name) for name in names}
    for name in names:
        del sys.modules[name]


def test_kernels_do_not_change_when_features_are_turned(modules: dict[str, ModuleType]) -> None:
    generator = torch.Generator().manual_seed(0)
    taps = modules["student"].TAPS
    features = {tap: torch.rand(2, 8, 5, 6, generator=generator) for tap in taps}
    turn = torch.linalg.qr(torch.randn(8, 8, generator=generator)).Q
    turned = {tap: torch.einsum("ij,bjhw->bihw", turn, maps) for tap, maps in features.items()}
    scaled = {tap: 2**0.5 * maps for tap, maps in features.items()}
    errors = modules["matching"].kernel_errors(turned, features, generator)
    assert max(errors.values()) < 1e-10
    errors = modules["matching"].kernel_errors(scaled, features, generator)
    assert all(abs(error - 1) < 1e-5 for error in errors.values())  # twice the kernel


def test_gradients_are_compared_at_each_level(modules: dict[str, ModuleType]) -> None:
    generator = torch.Generator().manual_seed(0)
    its = torch.randn(2, 3, 16, 16, generator=generator)
    grid = torch.ones(16, 16)
    grid[::2] = -1  # is zero in the mean of every cell but the finest
    errors = modules["matching"].gradient_errors(its + grid, its)
    assert errors[0] > 0.5
    assert errors[1:].max() < 1e-10


def test_a_picture_on_the_easel_goes_downhill_inside_its_range(modules: dict[str, ModuleType]) -> None:
    crops = type("Grey", (), {"size": 16, "draw": lambda self, dice: torch.full((1, 3, 16, 16), dice.random())})()
    easel = modules["pictures"].Easel(crops, places=3, lifetime=1e9, device="cpu")
    dice = random.Random(0)
    places = easel.take(2, dice)
    before = easel.state["image"][places].clone()
    easel.step(places, torch.ones(2, 3, 16, 16), dice)
    after = easel.state["image"][places]
    assert (after <= before).all()
    assert (after < before).any()
    assert after.min() >= 0


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for index in range(3):
        samples.photo().rotate(90 * index, expand=True).save(folder / f"{index}.jpg")
    return folder


@pytest.mark.usefixtures("modules")
def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    program = runpy.run_path(str(DISTILL / "__main__.py"), run_name="distill")
    settings = program["main"].__globals__
    settings |= {"SIZE": 32, "PLACES": 2, "SAVED": 1}

    def run(name: str, *more: str) -> None:
        arguments = [str(photographs), f"{name}.checkpoint", "--weights", f"{name}.safetensors"]
        monkeypatch.setattr(sys, "argv", ["distill", *arguments, "--steps", "4", "--batch", "2", *more])
        program["main"]()

    run("whole")
    assert "gradient/8" in capsys.readouterr().out
    with monkeypatch.context() as patch:
        patch.setitem(settings, "JUDGED", 2)
        patch.setattr(program["Training"], "judge", lambda training: sys.exit("stopped"))
        with pytest.raises(SystemExit, match="stopped"):
            run("parts")
    assert not Path("parts.safetensors").exists()
    run("parts")
    files = [Path(f"{name}.safetensors").read_bytes() for name in ("whole", "parts")]
    assert files[0] == files[1]
    weights = load_file("whole.safetensors")
    assert weights["features.0.weight"].shape == (16, 3, 3, 3)
    assert weights["features.0.weight"].dtype == torch.float16
    with pytest.raises(SystemExit, match="seed=0"):
        run("whole", "--seed", "1")
