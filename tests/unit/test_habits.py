"""Hosted checks, hooks and the guide for contributors name the same commands, and these exist."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ladder import ROOT

tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RELEASE = (ROOT / "RELEASE.md").read_text(encoding="utf-8")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
}
HOOKS: dict[str, dict[str, Any]] = {
    hook["id"]: hook
    for repository in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    for hook in repository["hooks"]
}
CHECKS = (
    "pytest",
    "pytest tests benchmarks/tests",
    "ruff check .",
    "ruff format --check .",
    "mypy",
    "mkdocs build --strict",
)


def commands(guide: str) -> list[str]:
    """The command lines in the sh blocks of a text."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", guide, flags=re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line]


def steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job["steps"]


def runs(workflow: dict[str, Any]) -> list[str]:
    """The command lines that a workflow runs."""
    return [line.strip() for step in steps(workflow) for line in step.get("run", "").splitlines()]


def packages(extra: str) -> set[str]:
    """The packages that an extra installs by name, through the extras that it names."""
    found = set()
    for requirement in PROJECT["project"]["optional-dependencies"][extra]:
        if nested := re.match(r"neuralstyle-torch\[(.*?)\]", requirement):
            found |= set().union(*map(packages, nested[1].split(",")))
        else:
            found |= {re.split(r"[^\w-]", requirement)[0]}
    return found


def faults(command: str) -> list[str]:
    """What a command line needs and the project has not."""
    program, *arguments = command.split()
    if program == "python" and arguments[0].endswith(".py"):
        return [] if (ROOT / arguments[0]).is_file() else [f"there is no file {arguments[0]}"]
    if program == "python" and (ROOT / arguments[0] / "__main__.py").is_file():
        return []
    if program == "pip":
        extras = re.findall(r"\[(\w+)\]", command)
        return [
            f"there is no extra {name}" for name in extras if name not in PROJECT["project"]["optional-dependencies"]
        ]
    if program == "docker":  # comes with the hosted Linux
        return []
    installed = packages("dev") | set(PROJECT["project"]["scripts"])
    if program in installed or (program == "python" and f"pip install {arguments[1]}" in commands(GUIDE + RELEASE)):
        return []
    return [f"nothing installs {command}"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_runs_what_the_guide_names(name: str) -> None:
    workflow = WORKFLOWS[name]
    assert True in workflow  # "on", which YAML 1.1 takes for a truth value
    assert workflow["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 90 for job in workflow["jobs"].values())
    for step in steps(workflow):
        assert ("uses" in step) != ("run" in step)
        assert re.fullmatch(r"actions/[\w-]+@v\d+", step.get("uses", "actions/none@v1"))
    assert runs(workflow)
    assert [line for line in runs(workflow) if line not in commands(GUIDE + RELEASE)] == []
    assert [fault for line in runs(workflow) for fault in faults(line)] == []


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("python docs/tools/draw_castles.py", "there is no file docs/tools/draw_castles.py"),
        ('pip install -e ".[everything]"', "there is no extra everything"),
        ("flake8 .", "nothing installs flake8 ."),
        ("python -m cibuildwheel", "nothing installs python -m cibuildwheel"),
    ],
)
def test_a_command_that_does_not_exist_is_named(command: str, fault: str) -> None:
    assert faults(command) == [fault]


def test_every_check_of_the_guide_is_run_by_a_workflow() -> None:
    run = {line for workflow in WORKFLOWS.values() for line in runs(workflow)}
    assert [check for check in (*CHECKS, "python docs/tools/draw_architecture.py --check") if check not in run] == []


def test_quick_tests_run_on_three_systems_from_the_oldest_python_on() -> None:
    matrix = WORKFLOWS["tests"]["jobs"]["quick"]["strategy"]["matrix"]
    assert f">={matrix['python'][0]}" == PROJECT["project"]["requires-python"]
    assert len(matrix["python"]) == 3
    assert {system.partition("-")[0] for system in matrix["system"]} == {"ubuntu", "macos", "windows"}


def test_hooks_run_the_tools_of_the_dev_extra() -> None:
    assert {
        "ruff",
        "ruff-format",
        "mypy",
        "end-of-file-fixer",
        "trailing-whitespace",
        "check-yaml",
        "check-toml",
    } <= set(HOOKS)
    assert HOOKS["mypy"]["stages"] == ["manual"]
    for hook in HOOKS.values():
        pinned = [name for name in hook.get("additional_dependencies", ()) if re.fullmatch(r"[\w-]+==[\d.]+", name)]
        assert pinned if hook["language"] == "python" else faults(hook["entry"]) == []


def test_files_that_the_guide_names_exist() -> None:
    named = re.findall(r"(?:`|\]\()((?:neuralstyle/|\.ci/)[\w./]*|[\w./-]+\.(?:md|py|c))[`)]", GUIDE)
    assert len(named) > 10
    assert [name for name in named if "NAME" not in name and not (ROOT / name).exists()] == []


def test_markers_are_explained_in_the_guide() -> None:
    markers = [line.partition(":")[0] for line in PROJECT["tool"]["pytest"]["ini_options"]["markers"]]
    assert [marker for marker in markers if f"`{marker}`" not in GUIDE] == []


def test_citation_and_changelog_are_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert re.fullmatch(r"\d+\.\d+\.\d+", citation["version"])
    assert citation["license"] == PROJECT["project"]["license"]
    assert citation["authors"] == PROJECT["project"]["authors"]
    assert citation["version"] in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_issue_forms_ask_something() -> None:
    forms = [path for path in sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")) if path.stem != "config"]
    for path in forms:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        questions = [part for part in form["body"] if part["type"] == "textarea"]
        assert form["name"]
        assert form["description"]
        assert len({question["id"] for question in questions}) == len(questions) >= 2
    assert len(forms) == 2


def test_settings_and_policy_name_no_file_that_is_gone() -> None:
    named = [
        (path, name)
        for path in (
            ".clang-format",
            ".editorconfig",
            ".github/pull_request_template.md",
            "SECURITY.md",
            "CHANGELOG.md",
        )
        for name in re.findall(r"\b(?:neuralstyle/[\w/]+\.\w+|[A-Z]+\.md)", (ROOT / path).read_text(encoding="utf-8"))
    ]
    assert {path for path, _ in named} >= {".clang-format", ".github/pull_request_template.md"}
    assert [f"{path}: {name}" for path, name in named if not (ROOT / name).is_file()] == []
