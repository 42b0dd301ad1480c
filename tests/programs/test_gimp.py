"""The plug-in for GIMP 3, against a stub of the parts of its interface that it calls."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from ladder import ROOT
from PIL import Image

from neuralstyle import cli, samples
from neuralstyle._words import COLORS, SCHEDULE_NAMES

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stand-in for the program is a script with #!")

PLUG_IN = ROOT / "integrations" / "gimp" / "neuralstyle-paint" / "neuralstyle-paint.py"
DIALS = {"strength": 0.25, "size": 16, "schedule": "preview", "color": "match", "seed": 3}


class Layer:
    """A layer, whose pixels are a PIL image."""

    def __init__(self, pixels: Image.Image, owner: Any = None) -> None:
        self.pixels, self.owner, self.offsets = pixels, owner, (5, 7)

    @classmethod
    def new_from_drawable(cls, layer: Layer, owner: Any) -> Layer:
        return cls(layer.pixels.copy(), owner)

    def get_width(self) -> int:
        return self.pixels.width

    def get_height(self) -> int:
        return self.pixels.height

    def get_image(self) -> Any:
        return self.owner

    def get_parent(self) -> None:
        return None

    def get_name(self) -> str:
        return "sea"

    def set_name(self, name: str) -> None:
        self.name = name

    def get_offsets(self) -> tuple[bool, int, int]:
        return (True, *self.offsets)

    def set_offsets(self, left: int, top: int) -> None:
        self.offsets = (left, top)

    def scale(self, width: int, height: int, local_origin: bool) -> None:
        self.pixels = self.pixels.resize((width, height))


class Canvas:
    """A picture of GIMP's: layers, and how often it was told to group steps and to go."""

    def __init__(self, width: int, height: int, base_type: str) -> None:
        self.layers: list[Layer] = []
        self.groups, self.deleted = 0, False

    def get_base_type(self) -> str:
        return "RGB"

    def insert_layer(self, layer: Layer, parent: None, position: int) -> None:
        self.layers.insert(position, layer)

    def get_item_position(self, layer: Layer) -> int:
        return self.layers.index(layer)

    def undo_group_start(self) -> None:
        self.groups += 1

    def undo_group_end(self) -> None:
        self.groups -= 1

    def delete(self) -> None:
        self.deleted = True


class File:
    """A file of Gio's; one on another computer has no path."""

    def __init__(self, path: str | None) -> None:
        self.path = path

    @classmethod
    def new_for_path(cls, path: str) -> File:
        return cls(path)

    def get_path(self) -> str | None:
        return self.path


def save(mode: str, canvas: Canvas, file: Any, options: None) -> bool:
    assert mode == "NONINTERACTIVE"
    canvas.layers[0].pixels.save(file.get_path())
    return True


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The plug-in, loaded with the stub of ``gi``."""
    words = MagicMock()
    words.PlugIn, words.Layer, words.Image = object, Layer, SimpleNamespace(new=Canvas)
    words.RunMode = SimpleNamespace(INTERACTIVE="INTERACTIVE", NONINTERACTIVE="NONINTERACTIVE")
    words.PDBStatusType = SimpleNamespace(
        **{word: word for word in ("SUCCESS", "CANCEL", "CALLING_ERROR", "EXECUTION_ERROR")}
    )
    words.file_save = save
    words.file_load_layer = lambda mode, image, file: Layer(Image.open(file.get_path()).copy(), image)
    repository = ModuleType("gi.repository")
    vars(repository).update(
        Gimp=words,
        GimpUi=MagicMock(),
        Gio=SimpleNamespace(File=File),
        GLib=SimpleNamespace(Error=str),
        GObject=MagicMock(),
    )
    gi = ModuleType("gi")
    vars(gi).update(repository=repository, require_version=lambda name, version: None)
    monkeypatch.setitem(sys.modules, "gi", gi)
    monkeypatch.setitem(sys.modules, "gi.repository", repository)
    spec = importlib.util.spec_from_file_location("neuralstyle_paint", PLUG_IN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.PULSE = 0.01  # type: ignore[attr-defined]
    return module


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program in the place of neuralstyle: copies the content to the result, or fails if it is told to."""
    path = tmp_path / "neuralstyle"
    path.write_text(
        f"#!{sys.executable}\nimport os, shutil, sys\n"
        "assert 'PYTHONPATH' not in os.environ\n"
        "if 'broken.png' in sys.argv[3]:\n"
        "    print('a warning', file=sys.stderr)\n"
        "    sys.exit('error: it is broken')\n"
        "shutil.copy(sys.argv[2], sys.argv[5])\n",
        encoding="utf-8",
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def layer() -> Layer:
    pixels = Image.new("RGBA", (24, 16), (10, 20, 30, 255))
    pixels.putpixel((0, 0), (10, 20, 30, 0))
    canvas = Canvas(24, 16, "RGB")
    canvas.layers += [Layer(Image.new("RGB", (8, 8))), Layer(pixels, canvas)]
    return canvas.layers[1]


def config(program: Path | str, style: str | None = "style.png", **dials: Any) -> Any:
    values = {**DIALS, "program": str(program), "style": File(style), **dials}
    return SimpleNamespace(get_property=values.__getitem__)


def run(plug_in: Any, layers: list[Any], settings: Any, mode: str = "NONINTERACTIVE") -> tuple[str, str | None]:
    procedure = SimpleNamespace(new_return_values=lambda status, error: (status, error))
    answer: tuple[str, str | None] = plug_in.run(procedure, mode, layers[0].owner, layers, settings, None)
    return answer


def test_the_file_is_short_and_executable() -> None:
    assert len(PLUG_IN.read_text(encoding="utf-8").splitlines()) < 150
    assert PLUG_IN.parent.name == PLUG_IN.stem  # or GIMP does not find it
    assert os.access(PLUG_IN, os.X_OK)


def test_the_command_is_one_of_the_command_line(plug_in: Any, program: Path) -> None:
    words = plug_in.command(config(program), Path("in.png"), Path("out.png"))
    assert words[0] == shutil.which(str(program))
    options = cli._parser(False).parse_args(words[1:])
    assert {name: getattr(options, name) for name in DIALS} == DIALS
    assert (options.content, options.style, options.output) == ("in.png", ["style.png"], "out.png")
    assert options.quiet
    words = plug_in.command(config(program, size=0), Path("in.png"), Path("out.png"))
    assert cli._parser(False).parse_args(words[1:]).size == "original"


def test_dials_offer_the_words_of_the_library(plug_in: Any) -> None:
    assert set(plug_in.SCHEDULES) == set(SCHEDULE_NAMES)
    assert plug_in.COLORS == COLORS
    plug = plug_in.Paint()
    assert plug.do_query_procedures() == [plug_in.NAME]
    procedure = plug.do_create_procedure(plug_in.NAME)
    named = {
        call.args[0] for call in procedure.method_calls if call[0].startswith("add_") and call[0].endswith("argument")
    }
    assert named == {*DIALS, "style", "program"}


def test_the_result_lies_above_its_layer(plug_in: Any, program: Path, layer: Layer) -> None:
    assert run(plug_in, [layer], config(program)) == ("SUCCESS", None)
    below, painted, original = layer.owner.layers
    assert original is layer
    assert below.pixels.size == (8, 8)
    assert painted.pixels.tobytes() == layer.pixels.tobytes()  # with its opacity
    assert painted.offsets == (5, 7)
    assert painted.name == "sea, painted"
    assert layer.owner.groups == 0


def test_the_real_command_paints_a_layer(plug_in: Any, program: Path, layer: Layer, tmp_path: Path) -> None:
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from neuralstyle.__main__ import run\nrun()\n",
        encoding="utf-8",
    )
    style = tmp_path / "style.png"
    samples.painting("mosaic", 64).save(style)
    assert run(plug_in, [layer], config(program, str(style), size=0)) == ("SUCCESS", None)
    painted = layer.owner.layers[1]
    assert painted.pixels.size == (24, 16)
    assert painted.pixels.getchannel("A").tobytes() == layer.pixels.getchannel("A").tobytes()
    assert painted.pixels.tobytes() != layer.pixels.tobytes()


def test_an_error_of_the_command_is_shown(plug_in: Any, program: Path, layer: Layer) -> None:
    answer = run(plug_in, [layer], config(program, "broken.png"))
    assert answer == ("EXECUTION_ERROR", "error: it is broken")
    assert len(layer.owner.layers) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [({"program": "no-such-program"}, "neuralstyle was not found"), ({"style": None}, "choose a picture")],
)
def test_a_dial_that_cannot_be_is_named(
    plug_in: Any, program: Path, layer: Layer, change: dict[str, Any], words: str
) -> None:
    status, message = run(plug_in, [layer], config(**{"program": program, **change}))
    assert status == "EXECUTION_ERROR"
    assert words in str(message)


def test_several_layers_and_a_cancelled_dialog_change_nothing(plug_in: Any, program: Path, layer: Layer) -> None:
    assert run(plug_in, [layer, layer], config(program))[0] == "CALLING_ERROR"
    plug_in.GimpUi.ProcedureDialog.new.return_value.run.return_value = False
    assert run(plug_in, [layer], config(program), "INTERACTIVE") == ("CANCEL", None)
    assert len(layer.owner.layers) == 2


def test_the_bar_moves_while_the_command_runs(plug_in: Any) -> None:
    plug_in.paint([sys.executable, "-c", "import time; time.sleep(0.2)"])
    assert plug_in.Gimp.progress_pulse.call_count > 1
    with pytest.raises(RuntimeError, match="exit code 3"):
        plug_in.paint([sys.executable, "-c", "raise SystemExit(3)"])
