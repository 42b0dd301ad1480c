"""The version: recorded by the build, told apart between releases, borne by states."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from safetensors import safe_open

import neuralstyle
from neuralstyle import _version
from neuralstyle.checkpoint import load_state, save_state

HASHES = ("1a" * 20, "2b" * 20)


@pytest.fixture
def facts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file of what was built, in a folder of its own."""
    monkeypatch.setattr(_version, "FACTS", tmp_path / "_built.json")
    monkeypatch.setattr(_version, "PACKAGE", tmp_path / "neuralstyle")
    monkeypatch.setattr(_version, "build_facts", _version.build_facts.__wrapped__)
    return tmp_path / "_built.json"


def _clone(folder: Path, commit: str, *, packed: bool = False) -> None:
    (folder / ".git" / "refs" / "heads").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    if packed:
        (folder / ".git" / "packed-refs").write_text(f"# pack-refs with: peeled\n{commit} refs/heads/main\n")
    else:
        (folder / ".git" / "refs" / "heads" / "main").write_text(f"{commit}\n")


def test_version_is_one_that_pip_takes() -> None:
    assert re.fullmatch(r"\d+(\.\d+)+(\.?dev\d+|\.post\d+|rc\d+)*(\+[a-z0-9.]+)?", neuralstyle.__version__)


@pytest.mark.parametrize("text", [None, "", "[]", "{"])
def test_without_a_build_it_is_unknown(facts: Path, text: str | None) -> None:
    if text is not None:
        facts.write_text(text)
    assert (_version.version(), _version.commit(), _version.full_version()) == ("0.0.0", None, "0.0.0")


def test_what_was_built_is_told(facts: Path) -> None:
    facts.write_text(json.dumps({"version": "1.2.3", "commit": HASHES[0]}))
    assert (_version.version(), _version.commit(), _version.full_version()) == ("1.2.3", HASHES[0], "1.2.3")


@pytest.mark.parametrize("packed", [False, True])
def test_a_clone_that_moved_on_is_another_version(facts: Path, packed: bool) -> None:
    facts.write_text(json.dumps({"version": "1.2.3", "commit": HASHES[0]}))
    _clone(facts.parent, HASHES[1], packed=packed)
    assert _version.commit() == HASHES[1]
    assert _version.full_version() == "1.2.3+g2b2b2b2b2"


def test_a_clone_as_it_was_built_is_that_version(facts: Path) -> None:
    facts.write_text(json.dumps({"version": "1.2.3", "commit": HASHES[0]}))
    _clone(facts.parent, HASHES[0])
    assert _version.full_version() == "1.2.3"


def test_a_second_working_tree_is_found(tmp_path: Path) -> None:
    _clone(tmp_path / "first", HASHES[0])
    place = tmp_path / "first" / ".git" / "worktrees" / "second"
    place.mkdir(parents=True)
    (place / "HEAD").write_text("ref: refs/heads/main\n")
    (place / "commondir").write_text("../..\n")
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / ".git").write_text(f"gitdir: {place}\n")
    assert _version.commit_of(tmp_path / "second") == HASHES[0]


def test_a_damaged_clone_has_no_commit(tmp_path: Path) -> None:
    assert _version.commit_of(tmp_path) is None
    _clone(tmp_path, "not a hash")
    assert _version.commit_of(tmp_path) is None
    (tmp_path / ".git" / "HEAD").write_bytes(b"\xff\xfe")
    assert _version.commit_of(tmp_path) is None


def test_a_state_bears_the_version_and_any_version_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuralstyle.checkpoint.full_version", lambda: "9.9")
    file = save_state(tmp_path / "a.safetensors", {"seven": 7})
    with safe_open(file, "pt") as opened:
        assert json.loads(opened.metadata()["neuralstyle"])["version"] == "9.9"
    monkeypatch.undo()
    assert load_state(file) == {"seven": 7}
