"""The commands of the hosted checks name options, files and systems that exist."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
JOBS: dict[str, dict[str, Any]] = {
    f"{path.stem}.{name}": job
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    for name, job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items()
}
SYSTEMS = ("ubuntu-latest", "ubuntu-24.04-arm", "macos-latest", "windows-latest")
INPUTS = {
    "checkout": {"fetch-depth"},
    "setup-python": {"python-version", "cache", "cache-dependency-path"},
    "upload-artifact": {"name", "path"},
}


def lines(job: dict[str, Any]) -> list[str]:
    return [line.strip() for step in job["steps"] for line in step.get("run", "").splitlines()]


COMMANDS = sorted({line for job in JOBS.values() for line in lines(job)})


def asked(command: str) -> tuple[list[str], list[str], list[str]]:
    """Split a command line into what answers to --help, its options, and its other arguments."""
    words = shlex.split(command.partition(" > ")[0])
    first = {"python": 2, "pip": 2, "mkdocs": 2, "ruff": 2, "docker": 2}.get(words[0], 1)
    program, arguments = words[:first], words[first:]
    if words[0] == "python":
        program[0] = sys.executable
    elif words[0] != "docker":
        program = [sys.executable, "-m", *program]
    options = [word for word in arguments if word.startswith("-")]
    return program, options, [word for word in arguments if not word.startswith("-")]


def said(program: list[str]) -> str:
    """What a program says of its options."""
    done = subprocess.run([*program, "--help"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def missing(command: str) -> list[str]:
    """The options of a command line that its program has not."""
    program, options, others = asked(command)
    if program[0] == "docker" or not (options or others):
        return []
    if program[1] == "-m" and importlib.util.find_spec(program[2]) is None:
        pytest.skip(f"{program[2]} is not installed")
    text = said(program)
    faults = [word for word in options if not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)]
    if not options and program[1].endswith(".py") and "positional arguments" not in text:
        faults += others
    return faults


@pytest.mark.parametrize("command", COMMANDS)
def test_options_exist(command: str) -> None:
    assert missing(command) == []


def test_an_option_that_is_gone_is_found() -> None:
    assert missing("python release/build.py dist --there") == ["--there"]
    assert missing("python docs/tools/draw_architecture.py dist") == ["dist"]


def unknown_files(job: dict[str, Any]) -> Iterator[str]:
    """Yield the files that a job reads, and that neither the repository has nor an earlier command made."""
    made = {"site"} if "mkdocs build --strict" in lines(job) else set()
    for step in job["steps"]:
        given = step.get("with", {})
        yield from (
            given[name] for name in ("path", "cache-dependency-path") if name in given and given[name] not in made
        )
        for line in step.get("run", "").splitlines():
            words = shlex.split(line)
            read = words[1:] if words[0] in ("pytest", "mypy") else []
            read += [words[words.index("-c") + 1]] if "-c" in words else []
            yield from (name for name in read if name not in made)
            made |= {words[-1]} if ">" in words or "release/build.py" in words else set()


@pytest.mark.parametrize("name", JOBS)
def test_files_exist_or_are_made_before(name: str) -> None:
    assert [file for file in unknown_files(JOBS[name]) if not (ROOT / file).exists()] == []


def test_a_file_that_nobody_makes_is_found() -> None:
    steps = [{"run": "pip install -c lowest.txt build\npytest tests/none"}, {"with": {"path": "dist"}}]
    assert list(unknown_files({"steps": steps})) == ["lowest.txt", "tests/none", "dist"]


@pytest.mark.parametrize("name", JOBS)
def test_systems_pythons_and_inputs_exist(name: str) -> None:
    job = JOBS[name]
    matrix = job.get("strategy", {}).get("matrix", {})
    systems = matrix.get("system", [job["runs-on"]])
    assert set(systems) <= set(SYSTEMS)
    assert job["runs-on"] == ("${{ matrix.system }}" if "system" in matrix else systems[0])
    for step in job["steps"]:
        given = step.get("with", {})
        if "uses" in step:
            action = step["uses"].partition("@")[0].removeprefix("actions/")
            assert set(given) <= INPUTS[action]
        for variable in re.findall(r"matrix\.(\w+)", str(step)):
            assert variable in matrix
        pythons = matrix.get("python", []) if "matrix." in str(given) else [given.get("python-version", "3.10")]
        assert all(isinstance(python, str) and re.fullmatch(r"3\.1[0-4]", python) for python in pythons)
        condition = step.get("if", "runner.os == 'Linux'")
        assert re.fullmatch(r"runner\.os [!=]= '(Linux|Windows|macOS)'", condition)


def test_one_version_of_each_action_is_used() -> None:
    used = {step["uses"] for job in JOBS.values() for step in job["steps"] if "uses" in step}
    assert len({name.partition("@")[0] for name in used}) == len(used)
