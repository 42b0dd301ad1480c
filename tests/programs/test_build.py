"""The library of the fast convolution is built from its sources, or left as it is."""

from __future__ import annotations

import ctypes
import json
import platform
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from neuralstyle.encoders.kernels import library

ROOT = Path(__file__).parents[2]
BUILT = Path("neuralstyle", "encoders", "kernels", "winograd.bin")

CAN_BUILD = platform.system() in ("Linux", "Darwin") and platform.machine() in ("x86_64", "aarch64", "arm64")
COMPILERS = [name for name in ("gcc", "clang") if CAN_BUILD and shutil.which(name)]


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What hatch_build.py defines, in an environment that says nothing of compilers."""
    interface = ModuleType("hatchling.builders.hooks.plugin.interface")
    interface.BuildHookInterface = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, interface.__name__, interface)
    for name in ("hatchling", "hatchling.builders", "hatchling.builders.hooks", "hatchling.builders.hooks.plugin"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for name in ("CC", "CFLAGS", "LDFLAGS", "NEURALSTYLE_PURE", "_PYTHON_HOST_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    return runpy.run_path(str(ROOT / "hatch_build.py"))


@pytest.fixture
def build(hook: dict[str, Any], tmp_path: Path) -> Callable[[], str]:
    """Builds a copy of the sources, beside which there is a library already."""
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
    expected = {"false": "false failed with status 1", "no-such-compiler": "there is no no-such-compiler; install gcc"}
    assert expected[compiler] in problem
    assert (tmp_path / BUILT).read_bytes() == b"a library"
    assert _files(tmp_path) == {"winograd.c", "winograd_kernel.h", "maps_kernel.h", "winograd.bin"}


@pytest.mark.parametrize("name", ["winograd.c", "winograd_kernel.h", "maps_kernel.h"])
def test_all_sources_are_needed(name: str, build: Callable[[], str], tmp_path: Path) -> None:
    (source,) = tmp_path.rglob(name)
    source.unlink()
    assert build() == f"neuralstyle/encoders/kernels/{name} is missing"


def test_a_pure_wheel_can_be_asked_for(
    build: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NEURALSTYLE_PURE", "1")
    assert build() == "NEURALSTYLE_PURE is set"
    assert (tmp_path / BUILT).read_bytes() == b"a library"


def test_a_system_without_vectors_is_named(build: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_PYTHON_HOST_PLATFORM", "linux-riscv64")
    assert build() == "it needs Linux or macOS on x86-64 or arm64, and this is linux-riscv64"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no sh")
@pytest.mark.parametrize(
    ("python", "machine", "expected"),
    [
        ("macosx-10.9-universal2", "arm64", "11.0"),  # there was no macOS before 11 on arm64
        ("macosx-10.13-universal2", "x86_64", "10.13"),
        ("macosx-14.0-arm64", "arm64", "14.0"),
    ],
)
def test_a_wheel_of_macos_installs_and_its_library_loads_on_the_oldest_system(
    python: str,
    machine: str,
    expected: str,
    hook: dict[str, Any],
    build: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "compiler").write_text('echo "for $MACOSX_DEPLOYMENT_TARGET" >&2\nexit 1\n')
    monkeypatch.setenv("CC", f"sh {tmp_path / 'compiler'}")
    monkeypatch.setenv("_PYTHON_HOST_PLATFORM", python)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert hook["target"]() == f"macosx-{expected}-{machine}"
    assert build() == f"for {expected}\n"


@pytest.mark.skipif(not COMPILERS, reason="needs gcc or clang, on x86-64 or arm64")
@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_build_replaces_the_library(
    compiler: str, build: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CC", f"{compiler} -Wall -Wextra -Werror")
    monkeypatch.setenv("CFLAGS", "-O0 -DTHIS_IS_READ='1'")
    assert build() == ""
    functions = ctypes.CDLL(str(tmp_path / BUILT))
    assert library.has_constants(functions)
    assert _files(tmp_path) == {"winograd.c", "winograd_kernel.h", "maps_kernel.h", "winograd.bin"}


@pytest.mark.skipif(not COMPILERS, reason="needs gcc or clang, on x86-64 or arm64")
def test_options_of_the_environment_count(
    build: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CFLAGS", "-O0 -no-such-option")
    assert "no-such-option" in build()
    monkeypatch.setenv("CFLAGS", "-O0 -DCHANNEL_MULTIPLE_IS='a word'")
    monkeypatch.setenv("LDFLAGS", "-no-such-option-either")
    assert "no-such-option-either" in build()
    assert (tmp_path / BUILT).read_bytes() == b"a library"


@pytest.mark.skipif(not library.is_built(), reason="the kernel is not built, or needs another processor")
def test_a_process_has_one_openmp_runtime(tmp_path: Path) -> None:
    script = (
        "import json, torch, neuralstyle\n"
        "from neuralstyle.encoders.kernels import library\n"
        "from neuralstyle.machine.openmp import openmp_runtimes\n"
        "encoder = neuralstyle.FeatureExtractor(convolution='winograd')\n"
        "x = torch.rand(1, 3, 64, 64, requires_grad=True)\n"
        "encoder(x, ['relu3_1'])['relu3_1'].sum().backward()\n"
        "print(json.dumps([library.vectors(), library.openmp_parallel() is not None, openmp_runtimes()]))\n"
    )
    command = [sys.executable, "-c", script]  # not in the folder of the sources, which would be imported
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    vectors, threads, runtimes = json.loads(done.stdout)
    assert vectors in ("avx512", "avx2", "neon")
    assert threads
    assert runtimes is None or len(runtimes) == 1, runtimes


@pytest.mark.skipif(not library.is_built() or platform.system() != "Linux", reason="the kernel is not built")
def test_the_library_needs_no_openmp_runtime_of_its_own() -> None:
    assert b"libgomp" not in library.LIBRARY.read_bytes()
