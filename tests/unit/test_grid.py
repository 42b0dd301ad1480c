"""Labelled grids: what goes where, text that fits, and what a notebook shows."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import neuralstyle
from neuralstyle.images import grid, to_pil
from neuralstyle.images.grid import MOST_PIXELS, Tile, arrange, draw
from neuralstyle.images.labels import MOST_LINES, line_height, spelled, width_of, wrap

RED, GREEN, BLUE = (Image.new("RGB", (48, 32), color) for color in ("#f00000", "#00f000", "#0000f0"))


def find(sheet: Image.Image, color: str) -> tuple[int, int, int, int]:
    """The (left, top, right, bottom) of a colour."""
    wanted = np.array(Image.new("RGB", (1, 1), color))[0, 0]
    rows, columns = np.nonzero((np.asarray(sheet) == wanted).all(2))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def test_pictures_are_beside_each_other_in_their_own_pixels() -> None:
    sheet = grid([RED, GREEN, BLUE], columns=2)
    red, green, blue = (find(sheet, color) for color in ("#f00000", "#00f000", "#0000f0"))
    for left, top, right, bottom in (red, green, blue):
        assert (right - left, bottom - top) == (48, 32)
    assert red[1] == green[1] < blue[1]
    assert red[0] == blue[0] < green[0]
    assert green[0] > red[2]
    assert blue[1] > red[3]


def test_titles_are_below_their_pictures_and_within_the_sheet() -> None:
    bare, sheet = grid([RED, GREEN]), grid([RED, GREEN], ["a", "a title of many words that does not fit one line"])
    assert sheet.width == bare.width
    assert sheet.height > bare.height + line_height(11)
    _, _, _, bottom = find(sheet, "#f00000")
    ink = np.asarray(sheet.convert("L")) < 120
    for picture in (find(sheet, "#f00000"), find(sheet, "#00f000")):
        ink[picture[1] : picture[3], picture[0] : picture[2]] = False
    rows, columns = np.nonzero(ink)
    assert rows.min() > bottom
    assert rows.max() < sheet.height - 1
    assert 0 < columns.min() < columns.max() < sheet.width - 1


def test_what_is_in_a_batch_is_shown_one_by_one_and_all_kinds_are_taken(tmp_path: Path) -> None:
    batch = torch.stack([torch.full((3, 32, 48), level) for level in (0.25, 0.5, 0.75)])
    RED.save(tmp_path / "red.png")
    kinds: list[Any] = [tmp_path / "red.png", str(tmp_path / "red.png"), RED, np.asarray(RED)]
    assert len({grid(kind).tobytes() for kind in kinds} | {grid([kind]).tobytes() for kind in kinds}) == 1
    assert grid(batch).tobytes() == grid([to_pil(each) for each in batch]).tobytes()
    mixed = grid([*kinds, batch[0]], columns=1)
    assert mixed.height > 5 * 32


def test_pictures_of_other_sizes_get_one_longest_side() -> None:
    sheet = grid([RED.resize((96, 64)), GREEN.resize((30, 60))], side=48)
    assert find(sheet, "#f00000")[2] - find(sheet, "#f00000")[0] == 48
    assert find(sheet, "#00f000")[3] - find(sheet, "#00f000")[1] == 48
    assert find(sheet, "#f00000")[3] == find(sheet, "#00f000")[3]  # on one line, just above their titles
    assert max(grid([Image.new("RGB", (2000, 32))]).size) < 600


@pytest.mark.parametrize(
    ("count", "columns"), [(1, 1), (2, 2), (3, 3), (4, 2), (5, 3), (6, 3), (7, 4), (12, 4), (24, 6)]
)
def test_a_grid_is_about_three_by_two(count: int, columns: int) -> None:
    assert len(arrange([Tile(Image.new("RGB", (40, 40)))] * count)[0]) == columns


def test_a_missing_picture_keeps_its_place() -> None:
    sheet = draw([[Tile(), Tile()], [Tile(RED), Tile(blank=(48, 24))]], 48)
    left, top, right, bottom = find(sheet, "#ececec")
    assert (right - left, bottom - top) == (48, 24)
    assert left > find(sheet, "#f00000")[2]
    titled = draw(
        [[Tile(), Tile(title="1.0")], [Tile(RED, "photo"), Tile(title="not painted", blank=(48, 24))]], 48, "a"
    )
    assert titled.width == sheet.width
    assert titled.height > sheet.height


@pytest.mark.parametrize(
    ("images", "options", "error", "message"),
    [
        ([], {}, ValueError, "no images to show"),
        (5, {}, TypeError, "images are pictures, in a list, received 5"),
        ([RED], {"titles": ["a", "b"]}, ValueError, "1 images, received 2"),
        ([RED], {"titles": 3}, TypeError, "titles are a list, one for each image, received 3"),
        ([RED], {"columns": 0}, ValueError, "columns is a whole number of at least 1"),
        ([RED], {"side": 8}, ValueError, "side is a whole number of at least 16 pixels"),
        ([None], {}, TypeError, "a picture is a path"),
        ([torch.full((3, 32, 48), 2.0)], {}, ValueError, r"not in \[0, 1\]"),
        (["missing.png"], {}, FileNotFoundError, r"missing\.png"),
    ],
)
def test_wrong_input_is_named(images: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        grid(images, **options)


def test_a_grid_that_is_too_large_is_refused_before_it_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    tile = Tile(Image.new("RGB", (4000, 4000)))
    with pytest.raises(ValueError, match=f"{MOST_PIXELS // 2**20} megapixels are the most"):
        draw([[tile] * 20], 4000)


# --- labels


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("café größer Łódź", "cafe grosser Lodz"),
        ("a – “b” × 2…", 'a - "b" x 2...'),
        ("日本\n\tx", "?? x"),
        ("a\udc80b\0", "a?b\0"),
        ("", ""),
    ],
)
def test_letters_that_the_font_lacks_are_spelled_otherwise(text: str, found: str) -> None:
    assert spelled(text) == found
    draw([[Tile(RED, text)]], 48)


@pytest.mark.parametrize("text", ["x" * 300, "a b " * 100, "some_long-name.of/a.file " * 9, "iiiiiiiii" * 40, "W"])
@pytest.mark.parametrize("width", [20, 48, 300])
def test_lines_fit_their_width_and_are_few(text: str, width: int) -> None:
    lines = wrap(text, 11, width)
    assert 1 <= len(lines) <= MOST_LINES
    assert all(width_of(line, 11) <= width for line in lines)
    whole = wrap(text, 11, width, most=1000)
    assert "".join(whole).replace(" ", "") == text.replace(" ", "")
    assert (lines == whole) is (len(whole) <= MOST_LINES)
    if len(whole) > MOST_LINES:
        assert sum("…" in line for line in lines) == 1
        assert "".join(lines)[0] == text[0]


# --- show


class Shell:
    """A notebook's shell, in its third cell."""

    execution_count = 3


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[Image.Image]:
    shown: list[Image.Image] = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    return shown


def test_a_notebook_shows_the_grid_once_in_a_cell(
    displayed: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    import IPython

    shell = Shell()
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    found = neuralstyle.show([RED, GREEN], titles=["red", "green"])
    assert [picture.size for picture in displayed] == [found.size]
    show_result: Any = found._ipython_display_  # type: ignore[attr-defined] # what the notebook calls at the cell's end
    show_result()
    assert len(displayed) == 1
    shell.execution_count = 4
    show_result()
    assert [picture.tobytes() for picture in displayed] == 2 * [found.tobytes()]


@pytest.mark.parametrize("shell", ["none", "terminal", "no IPython"])
def test_outside_a_notebook_the_grid_is_returned_and_nothing_is_shown(
    displayed: list[Image.Image], monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    kinds = {"none": lambda: None, "terminal": type("TerminalInteractiveShell", (), {})}
    ipython = None if shell == "no IPython" else types.SimpleNamespace(get_ipython=kinds[shell])
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    found = neuralstyle.show(RED, "red")
    assert displayed == []
    assert found.tobytes() == grid(RED, "red").tobytes()
