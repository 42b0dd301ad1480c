"""What ``apply`` does to a painted picture: whose colours, how much of it, and what the file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from icc import srgb_profile
from PIL import Image
from torch import Tensor

from neuralstyle import cli
from neuralstyle.color import rgb_to_oklab
from neuralstyle.feedforward import TransformerNet, apply_files, apply_model, save_model
from neuralstyle.images import load_image, to_pil


@pytest.fixture
def network() -> TransformerNet:
    return TransformerNet(width=4, blocks=1, seed=3)


def painted(network: TransformerNet, photo: Tensor, **options: Any) -> Tensor:
    return load_image(apply_model(network, photo, **options))


def test_strength_goes_from_the_photograph_to_the_painting(network: TransformerNet, photo: Tensor) -> None:
    none, half, full = (painted(network, photo, strength=share) for share in (0, 0.5, 1))
    assert (none - photo).abs().max() <= 0.51 / 255
    assert torch.equal(full, painted(network, photo))
    assert (half - (photo + full) / 2).abs().max() <= 1.01 / 255


def test_luminance_keeps_the_chroma_of_the_photograph(network: TransformerNet, photo: Tensor) -> None:
    plain, kept = painted(network, photo), painted(network, photo, color="luminance")
    chroma = [rgb_to_oklab(each)[:, 1:] for each in (photo, plain, kept)]
    assert (chroma[2] - chroma[0]).abs().mean() < 0.2 * (chroma[1] - chroma[0]).abs().mean()


@pytest.mark.parametrize("color", ["match", "match-pca", "match-cholesky", "histogram"])
def test_matched_colours_are_those_of_the_photograph(network: TransformerNet, photo: Tensor, color: str) -> None:
    kept = painted(network, photo, color=color)
    assert (kept.mean((2, 3)) - photo.mean((2, 3))).abs().max() < 0.03
    assert (kept.std((2, 3)) - photo.std((2, 3))).abs().max() < 0.03  # what an untrained network clips is all alike


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strength": 1.5}, "strength is a finite number from 0 to 1"),
        ({"color": "blue"}, "unknown color"),
        ({"color": "luminence"}, "luminance"),
    ],
)
def test_wrong_options(network: TransformerNet, photo: Tensor, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        apply_model(network, photo, **options)


def test_profiles_are_kept_picture_by_picture(network: TransformerNet, photo: Tensor, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    swapped = srgb_profile(red_is_green=True)
    to_pil(photo).save(folder / "a.png", icc_profile=swapped)
    to_pil(photo).save(folder / "b.png")
    assert not apply_files(network, folder, tmp_path / "out", keep_profile=True, progress=False)
    with Image.open(tmp_path / "out" / "a.png") as a, Image.open(tmp_path / "out" / "b.png") as b:
        assert (a.info.get("icc_profile"), b.info.get("icc_profile")) == (swapped, None)
    assert not apply_files(network, folder, tmp_path / "plain", progress=False)
    for name in "ab":
        kept, plain = (load_image(tmp_path / each / f"{name}.png") for each in ("out", "plain"))
        assert (kept - plain).abs().mean() < 2 / 255


def test_16_bits(network: TransformerNet, photo: Tensor, tmp_path: Path) -> None:
    pytest.importorskip("pyvips")
    to_pil(photo).save(tmp_path / "a.png")
    assert not apply_files(network, tmp_path / "a.png", tmp_path / "b.png", depth=16, progress=False)
    with torch.no_grad():
        expected = network.eval()(load_image(tmp_path / "a.png"))
    assert (load_image(tmp_path / "b.png") - expected).abs().max() < 1e-4
    failures = apply_files(network, tmp_path / "a.png", tmp_path / "c.jpg", depth=16, progress=False)
    assert "8 bits per channel" in next(iter(failures.values()))


def test_command(network: TransformerNet, photo: Tensor, tmp_path: Path) -> None:
    save_model(network, tmp_path / "m.safetensors")
    to_pil(photo).save(tmp_path / "a.png")
    words = ["apply", f"{tmp_path}/m.safetensors", f"{tmp_path}/a.png", "-o", f"{tmp_path}/b.png", "--quiet"]
    assert cli.main([*words, "--color", "luminance", "--strength", "0.5"]) == 0
    expected = apply_model(network, tmp_path / "a.png", color="luminance", strength=0.5)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "b.png")), np.asarray(expected))
    assert cli.main([*words, "--overwrite", "--strength", "2"]) == 2
