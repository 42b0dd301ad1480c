"""The library of the fast convolution is built from its sources, or left as it is."""

from __future__ import annotations

import ctypes
import platform
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from neuralstyle.encoders.kernels import library

ROOT = Path(__file__).parents[2]


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], str]:
    """Builds a copy of the sources, beside which there is a library already."""
    interface = ModuleType("hatchling.builders.hooks.plugin.interface")
    interface.BuildHookInterface = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, interface.__name__, interface)
    for name in ("hatchling", "hatchling.builders", "hatchling.builders.hooks", "hatchling.builders.hooks.plugin"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    hook = runpy.run_path(str(ROOT / "hatch_build.py"))
    (tmp_path / hook["KERNELS"]).mkdir(parents=True)
    for source in hook["SOURCES"]:
        shutil.copy(ROOT / source, tmp_path / source)
    (tmp_path / hook["LIBRARY"]).write_bytes(b"a library")
    return lambda: str(hook["build"](tmp_path))


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_a_build_that_fails_leaves_the_library_that_is_there(
    compiler: str, build: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CC", compiler)
    problem = build()
    expected = {"false": "false failed with status 1", "no-such-compiler": "needs gcc, on Linux on x86-64"}
    assert expected[compiler] in problem
    assert (tmp_path / library.LIBRARY.relative_to(ROOT)).read_bytes() == b"a library"
    assert _files(tmp_path) == {"winograd.c", "winograd_kernel.h", "winograd.bin"}


def test_both_sources_are_needed(build: Callable[[], str], tmp_path: Path) -> None:
    (header,) = tmp_path.rglob("*.h")
    header.unlink()
    assert build() == "neuralstyle/encoders/kernels/winograd_kernel.h is missing"


@pytest.mark.skipif(shutil.which("gcc") is None or platform.machine() != "x86_64", reason="needs gcc on x86-64")
def test_a_build_replaces_the_library(
    build: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CC", "gcc -O0 -Wall -Wextra -Werror")
    assert build() == ""
    (path,) = tmp_path.rglob("*.bin")
    assert library.has_constants(ctypes.CDLL(str(path)))
    assert _files(tmp_path) == {"winograd.c", "winograd_kernel.h", "winograd.bin"}
