"""The picture of the architecture is what the code is now, and what its page names exists."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree

import draw_architecture
import pytest
from ladder import FOUNDATIONS, LEVEL, PACKAGE, ROOT, STATIONS, between_rooms, read_imports
from layered import lay_out

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def rooms() -> dict[str, list[str]]:
    return between_rooms(read_imports())


@pytest.fixture(scope="module")
def drawn(rooms: dict[str, list[str]]) -> str:
    return draw_architecture.draw(rooms)


def test_the_picture_is_drawn_from_the_code_as_it_is_now(drawn: str) -> None:
    committed = draw_architecture.PICTURE.read_text(encoding="utf-8")
    assert committed == drawn, "the imports have changed: run python docs/tools/draw_architecture.py"


def test_every_room_is_in_the_picture_once(drawn: str) -> None:
    picture = ElementTree.fromstring(drawn)
    names = [text.text for text in picture.iter(f"{SVG}text") if "name" in text.get("class", "").split()]
    assert sorted(str(name).removesuffix("/").removesuffix(".py") for name in names) == sorted(LEVEL)


def test_an_import_more_is_an_arrow_more(rooms: dict[str, list[str]]) -> None:
    more = {**rooms, "callbacks": [*rooms["callbacks"], "samples"]}
    added = set(draw_architecture.necessary(more)) - set(draw_architecture.necessary(rooms))
    assert added == {("samples", "callbacks")}


def test_arrows_say_all_imports_and_none_twice(rooms: dict[str, list[str]]) -> None:
    arrows = draw_architecture.necessary(rooms)
    above = {room: {upper for upper, lower in arrows if lower == room} for room in rooms}

    def reached(room: str) -> set[str]:
        return above[room].union(*map(reached, above[room]))

    for room in set(rooms) - set(FOUNDATIONS):
        assert set(rooms[room]) - set(FOUNDATIONS) <= reached(room)
        for other in above[room] - set(STATIONS):
            assert not any(other in reached(between) for between in above[room])


def test_boxes_keep_their_distance_and_arrows_pass_between_them() -> None:
    rows = [{"a": 40.0, "b": 40.0, "c": 40.0}, {"d": 40.0, "e": 40.0}, {"f": 40.0}]
    edges = [("a", "d"), ("b", "f"), ("c", "e"), ("d", "f"), ("c", "f")]
    middle, bends = lay_out(rows, edges, gap=10)
    for row in rows:
        assert all(abs(middle[one] - middle[two]) >= 49.9 for one, two in itertools.combinations(row, 2))
    assert {edge: len(places) for edge, places in bends.items() if places} == {("b", "f"): 1, ("c", "f"): 1}
    for (place,) in (bends["b", "f"], bends["c", "f"]):
        assert all(abs(place - middle[name]) >= 33.9 for name in rows[1])


def test_arrows_do_not_cross_where_an_order_without_crossings_exists() -> None:
    rows = [dict.fromkeys("abc", 10.0), dict.fromkeys("xyz", 10.0)]
    middle, _ = lay_out(rows, [("a", "z"), ("b", "x"), ("c", "y")])
    upper, lower = sorted("abc", key=middle.__getitem__), sorted("xyz", key=middle.__getitem__)
    assert ["zxy"["abc".index(name)] for name in upper] == lower


def test_a_box_without_arrows_has_its_place() -> None:
    middle, bends = lay_out([{"a": 10.0, "b": 10.0}], [])
    assert abs(middle["a"] - middle["b"]) >= 10
    assert bends == {}


def test_the_page_tells_of_every_room_and_of_nothing_else() -> None:
    named = re.findall(r"`([\w./]+(?:/|\.py|\.c))`", PAGE)
    assert [name for name in named if not (PACKAGE / name).exists() and not (ROOT / name).exists()] == []
    for room in LEVEL:
        kinds = (rf"`{room}/", rf"`{room}\.py`")
        assert any(re.search(kind, PAGE) for kind in kinds), f"docs/architecture.md does not tell of {room}"
