"""The campaign of damaged files, wrong calls and killed processes: that it finds faults, and a sample of it."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
from PIL import Image

FAULTS = Path(__file__).parents[2] / "benchmarks" / "faults"
SECONDS = os.environ.get("FAULTS_SECONDS", "45")
"""Of the sample. The whole campaign takes hours: python benchmarks/faults."""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the workers are watched through POSIX pipes")


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The modules of the campaign, which are a program and no package."""
    monkeypatch.syspath_prepend(FAULTS)
    there = set(sys.modules)
    yield {name: importlib.import_module(name) for name in ("campaign", "formats", "kinds", "reading", "trial")}
    for name in set(sys.modules) - there:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == FAULTS:
            del sys.modules[name]


def faults(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(FAULTS), *words], capture_output=True, text=True, timeout=600)


def test_every_planted_fault_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- campaign -->\nold\n<!-- end of the campaign -->\nafter\n", encoding="utf-8")
    ended = faults("--kinds", "planted.*", "--jobs", "2", "--table", str(page))
    assert ended.returncode == 1, ended.stderr
    for fault in ("hang", "crash", "memory", "traceback", "unclear", "changed"):
        assert f"planted.{fault}: {fault} x 1: " in ended.stdout
        assert f"--kind planted.{fault} --seed 0" in ended.stdout
    assert "--kind planted.refused" not in ended.stdout
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- campaign -->")
    assert text.endswith("<!-- end of the campaign -->\nafter\n")
    assert "| planted.hang |" in text
    assert "old" not in text


def test_an_input_follows_from_its_kind_and_seed(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    trial = modules["trial"]
    for name in ("picture.tiff", "picture.profile", "log.csv", "model.safetensors"):
        kind, found = modules["kinds"].KINDS[name], []
        for turn, seed in ((0, 5), (1, 5), (2, 6)):
            folder = tmp_path / f"{name}-{turn}"
            folder.mkdir()
            trial.make(kind, name, seed, folder)
            found.append(trial.hashes(folder))
        assert found[0] == found[1]
        assert found[0] != found[2]


def test_whole_pictures_are_what_they_are_called(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    for form, (suffix, make) in modules["formats"].FORMATS.items():
        if form == "heic":  # is opened by neuralstyle, and not by Pillow alone
            continue
        for seed in range(12):
            path = tmp_path / f"picture{suffix}"
            path.write_bytes(make(Random(seed)))
            with Image.open(path) as image:
                image.load()
                assert (image.format or "").lower() in (form, "jpeg" if form == "mpo" else form)
                assert min(image.size) >= 16


def test_what_is_not_damaged_is_opened(
    modules: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, trial = modules["reading"], modules["trial"]
    monkeypatch.setattr(reading, "SHARE_WHOLE", 1)
    for name, kind in reading.KINDS.items():
        if name not in ("picture.profile", "picture.disguise"):
            answer = trial.run(kind, name, 0, trial.peak_memory())
            assert answer.outcome == "opened", (name, answer.text)


def test_a_sample_of_the_campaign_finds_nothing() -> None:
    ended = faults("--seconds", SECONDS, "--jobs", str(min(4, os.cpu_count() or 1)), "--seed", "1000000")
    assert ended.returncode == 0, ended.stdout + ended.stderr[-2000:]
