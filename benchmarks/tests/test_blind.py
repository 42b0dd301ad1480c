"""Blind sheets: what they show and hide, and how votes are read and counted."""

from __future__ import annotations

import importlib
import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

QUALITY = Path(__file__).parents[2] / "benchmarks" / "quality"
MODULES = ("archive", "ballots", "blind", "contest", "curves", "measures", "methods", "painters", "pairs")
COLOURS = {"photograph": "gray", "painting": "purple", "standard": "red", "crowson": "green", "pastiche": "blue"}
SHEETS = {
    "01": {"pair": "a x b", "letters": {"A": "crowson", "B": "standard", "C": "pastiche"}},
    "02": {"pair": "c x d", "letters": {"A": "pastiche", "B": "crowson", "C": "standard"}},
}
LETTERS = {name: list(found["letters"]) for name, found in SHEETS.items()}


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The modules of the comparison, which are programs and no package."""
    monkeypatch.syspath_prepend(QUALITY)
    yield {name: importlib.import_module(name) for name in MODULES}
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results of three methods on two pairs, each a picture of one colour, some as they come from an archive."""
    folder = tmp_path / "results"
    (folder / "inputs").mkdir(parents=True)
    records = []
    for pair, ending in (("a x b", "png"), ("c x d", "jpg")):
        content, style = pair.split(" x ")
        Image.new("RGB", (96, 64), COLOURS["photograph"]).save(folder / "inputs" / f"content-{content}-96.{ending}")
        Image.new("RGB", (60, 96), COLOURS["painting"]).save(folder / "inputs" / f"style-{style}-96.{ending}")
        for method in ("standard", "crowson", "pastiche"):
            Image.new("RGB", (96, 64), COLOURS[method]).save(folder / f"{content}-{method}.{ending}", quality=100)
            picture = f"{content}-{method}.png"
            records.append({"pair": pair, "method": method, "strength": 0.5, "size": 96, "picture": picture})
    records.append(records[0] | {"pair": "e x f"})  # not by all methods
    file = tmp_path / "results.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return file


def options(results: Path, folder: str = "sheets", **changed: Any) -> Namespace:
    given = {"methods": ["standard", "crowson", "pastiche"], "size": None, "strength": 0.5, "detail": False, "seed": 3}
    return Namespace(results=results, folder=results.with_name(folder), **(given | changed))


def test_sheets_show_what_the_key_says(modules: dict[str, ModuleType], results: Path, tmp_path: Path) -> None:
    blind = modules["blind"]
    blind.make_sheets(options(results))
    key = json.loads((tmp_path / "sheets.key.json").read_text())
    assert sorted(found["pair"] for found in key["sheets"].values()) == ["a x b", "c x d"]
    assert not list((tmp_path / "sheets").glob("*.json"))
    step = 96 + blind.GAP
    rows = [blind.CAPTION * 2 + 5, blind.CAPTION * 3 + blind.GAP + 96 + 5]  # the painting is 96 high
    places = [(blind.GAP + 5 + column * step, row) for row in rows for column in range(blind.COLUMNS)]
    for name, found in key["sheets"].items():
        shown = ["photograph", "painting", *(found["letters"][letter] for letter in "ABC")]
        with Image.open(tmp_path / "sheets" / f"{name}.png") as sheet:
            for place, method in zip(places, shown, strict=False):
                expected = Image.new("RGB", (1, 1), COLOURS[method]).getpixel((0, 0))
                assert sheet.getpixel(place) == pytest.approx(expected, abs=3), method
            assert not sheet.info
    with pytest.raises(SystemExit, match="is there already"):
        blind.make_sheets(options(results))
    with pytest.raises(
        SystemExit, match="no pair has been painted by all of standard, nnst at 96 px; there are crowson"
    ):
        blind.make_sheets(options(results, "more", methods=["standard", "nnst"]))


def test_the_order_is_drawn_for_each_sheet(modules: dict[str, ModuleType], results: Path, tmp_path: Path) -> None:
    orders = set()
    for seed in range(8):
        modules["blind"].make_sheets(options(results, f"sheets{seed}", seed=seed))
        sheets = json.loads((tmp_path / f"sheets{seed}.key.json").read_text())["sheets"]
        orders |= {tuple(found["letters"].values()) for found in sheets.values()}
    assert len(orders) > 3


def test_details_are_of_the_emptiest_part(modules: dict[str, ModuleType]) -> None:
    photograph = Image.effect_noise((80, 60), 90).convert("RGB")
    photograph.paste("white", (30, 10, 80, 60))
    box = modules["blind"].emptiest(photograph)
    assert box[2] - box[0] == box[3] - box[1] == 40
    assert box[0] >= 30
    assert box[1] >= 10
    assert modules["blind"].detail(photograph, box).size == (80, 80)


def write(folder: Path, *lines: str) -> Path:
    file = folder / "votes.csv"
    file.write_text("\n".join(["sheet,looker,overall,style,cleanness,contrast,kept,remarks", *lines]) + "\n")
    return file


def test_votes_are_counted_by_pair(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    file = write(
        tmp_path,
        '01,Ada,B>A>C,,,,,"loops, in A"',
        "1,Bob,b > c = a,A=B=C,,,,",
        "02,Ada,A>C>B,,,,,",
        "02,Bob,B>C>A,,,,,",
        "02,,A>B>C,,,,,not filled in",
    )
    ballots = modules["ballots"]
    votes = ballots.read_votes([file], LETTERS)
    assert [(vote.sheet, vote.looker) for vote in votes] == [("01", "Ada"), ("01", "Bob"), ("02", "Ada"), ("02", "Bob")]
    assert votes[1].orders == {"overall": (("B",), ("C", "A")), "style": (("A", "B", "C"),)}
    text = ballots.count(votes, SHEETS, "standard")
    assert text.startswith("4 votes of 2 lookers on 2 sheets.")
    assert "standard is preferred to crowson on 1 of 2 pairs (1 even)" in text
    assert "standard is preferred to pastiche on 1 of 2 pairs (1 even)" in text
    assert "| standard | 1.50 |" in text  # 1, 1, 2 and 2
    assert "| a x b | 2 | standard (1.0), crowson (2.2), pastiche (2.8) | 100% |" in text
    assert "| c x d | 2 | pastiche (2.0), standard (2.0), crowson (2.0) | 50% |" in text
    assert "## style" in text
    assert "## kept" not in text
    with pytest.raises(SystemExit, match="no method 'draft'"):
        ballots.count(votes, SHEETS, "draft")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["03,Ada,A>B>C,,,,,"], r"line 2: there is no sheet 03; there are 01, 02"),
        (["01,Ada,A>B,,,,,"], r"line 2: an order has each of A, B, C once, such as A>B>C, received 'A>B'"),
        (["01,Ada,A>B>B>C,,,,,"], r"received 'A>B>B>C'"),
        (["01,Ada,A>B>C,,,,,", "01,Ada,A>B>C,,,,,"], r"line 3: Ada has voted on sheet 01 before"),
        (["01,,A>B>C,,,,,"], r"there are no votes"),
    ],
)
def test_votes_that_say_nothing_are_refused(
    modules: dict[str, ModuleType], tmp_path: Path, lines: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match=message):
        modules["ballots"].read_votes([write(tmp_path, *lines)], LETTERS)
