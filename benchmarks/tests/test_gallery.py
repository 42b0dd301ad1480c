"""The gallery's program: its list, and what it writes under a picture."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from neuralstyle import cli

FILE = Path(__file__).parents[1] / "gallery.py"


@pytest.fixture
def gallery() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gallery", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def docs(gallery: ModuleType, tmp_path: Path) -> Path:
    """A folder with a page, two pictures of the list, and the time of each."""
    (tmp_path / "gallery.md").write_text(f"# Gallery\n\n{gallery.BEGIN}\nold\n{gallery.END}\n\nlast\n")
    first, second, *_ = listed = json.loads(gallery.LIST.read_text(encoding="utf-8"))
    for each in listed[:3]:
        gallery.save(Image.new("RGB", (60, 40), "teal"), tmp_path / f"images/gallery/{each['name']}.jpg")
    record = {"seconds": 41.6, "machine": "two cores of a CPU"}
    records = {
        first["name"]: {**record, "command": gallery.command_of(first)},
        second["name"]: {**record, "command": "neuralstyle stylize other.jpg painting.jpg -o out.png"},
    }
    (tmp_path / "images/gallery/seconds.json").write_text(json.dumps(records))
    return tmp_path


def test_every_command_of_the_list_is_understood(gallery: ModuleType) -> None:
    listed = json.loads(gallery.LIST.read_text(encoding="utf-8"))
    assert len({each["name"] for each in listed}) == len(listed)
    for each in listed:
        assert callable(cli._parser().parse_args(each["arguments"]).command.run)
        assert {"title", "caption", "files"} <= set(each)


def test_seconds_stand_only_under_what_their_command_painted(gallery: ModuleType, docs: Path) -> None:
    gallery.write_page(json.loads(gallery.LIST.read_text(encoding="utf-8")), docs)
    text = (docs / "gallery.md").read_text(encoding="utf-8")
    assert text.count("42 seconds on two cores of a CPU.") == 1
    assert text.count("```sh\nneuralstyle ") == 3
    assert "old" not in text
    assert text.endswith("\n\nlast\n")


def test_the_first_pages_picture_is_made_of_the_gallery(gallery: ModuleType, docs: Path) -> None:
    gallery.hero(json.loads(gallery.LIST.read_text(encoding="utf-8")), docs)
    with Image.open(docs / "images/hero.jpg") as image:
        assert image.size == (3 * 384 + 2 * 6, 256)
    assert (docs / "images/hero.jpg").stat().st_size < gallery.LARGEST
