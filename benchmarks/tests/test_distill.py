"""benchmarks/distill: that its measures are what they say, and that it goes on where it stopped, to the byte."""

from __future__ import annotations

import importlib
import random
import subprocess
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


def test_a_run_that_was_stopped_ends_as_one_that_was_not(photographs: Path, tmp_path: Path) -> None:
    script = f"""
import sys
sys.path.insert(0, {str(DISTILL)!r})
sys.argv = ["distill", *sys.argv[1:]]
import importlib.util
spec = importlib.util.spec_from_file_location("distill", {str(DISTILL / "__main__.py")!r})
distill = importlib.util.module_from_spec(spec)
spec.loader.exec_module(distill)
distill.SIZE, distill.PLACES, distill.SAVED = 32, 2, 1
if "--stop" in sys.argv:
    sys.argv.remove("--stop")
    distill.Training.judge = lambda self: sys.exit("stopped")
    distill.JUDGED = 2
distill.main()
"""

    def run(name: str, *more: str) -> subprocess.CompletedProcess[str]:
        arguments = [str(photographs), f"{name}.checkpoint", "--weights", f"{name}.safetensors"]
        arguments += ["--steps", "4", "--batch", "2"]
        return subprocess.run(
            [sys.executable, "-c", script, *arguments, *more], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    whole = run("whole")
    assert whole.returncode == 0, whole.stderr
    assert "gradient/8" in whole.stdout
    stopped = run("parts", "--stop")
    assert stopped.returncode == 1
    assert not (tmp_path / "parts.safetensors").exists()
    again = run("parts")
    assert again.returncode == 0, again.stderr
    files = [(tmp_path / f"{name}.safetensors").read_bytes() for name in ("whole", "parts")]
    assert files[0] == files[1]
    weights = load_file(tmp_path / "whole.safetensors")
    assert weights["features.0.weight"].shape == (16, 3, 3, 3)
    assert weights["features.0.weight"].dtype == torch.float16
    other = run("whole", "--seed", "1")
    assert other.returncode == 1
    assert "seed=0" in other.stderr
