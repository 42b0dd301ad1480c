"""The script that runs the Dockerfile's steps without docker runs them, and fails where they fail."""

from __future__ import annotations

import os
import runpy
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TRY: dict[str, Any] = runpy.run_path(str(ROOT / "release" / "try_dockerfile.py"))
IMAGE = f"python:{sys.version_info[0]}.{sys.version_info[1]}-slim"

TWO_STAGES = f"""
# A comment
FROM {IMAGE} AS build
COPY . /source
RUN mkdir /made && \\
    # another
    cat /source/greeting > /made/greeting && echo "$HOME" >> /made/greeting
FROM {IMAGE}
ARG NAME="world"
ENV WHERE=/pictures
COPY --from=build /made/greeting /tmp/
RUN cat /tmp/greeting > /kept && echo "$NAME" >> /kept && useradd --create-home painter && rm -r /tmp/greeting
USER painter
WORKDIR /pictures
ENTRYPOINT ["cat"]
CMD ["/kept"]
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="images are of Linux")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can enter, as pytest's own cannot."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def trial(folder: Path) -> Any:
    try:
        python = TRY["find_python"](IMAGE[len("python:") : -len("-slim")])
    except TRY["StepError"] as error:
        pytest.skip(str(error))
    (folder / "context").mkdir()
    (folder / "context" / "greeting").write_text("hello\n")
    new = TRY["Trial"](folder / "context", folder, {})
    # pip takes seconds, and no step here needs it.
    new.install = lambda _: new.execute([str(python), "-m", "venv", "--without-pip", str(new.stage.root / "usr/local")])
    return new


def follow(trial: Any, text: str) -> None:
    for word, rest in TRY["instructions"](text):
        trial.step(word, rest)


def test_every_instruction_of_the_dockerfile_is_read() -> None:
    words = [word for word, _ in TRY["instructions"]((ROOT / "Dockerfile").read_text(encoding="utf-8"))]
    assert words[0] == "FROM"
    assert {"COPY", "RUN", "USER", "ENTRYPOINT", "CMD"} <= set(words)
    assert all(word.isupper() for word in words)


def test_lines_that_go_on_are_one_instruction_and_comments_are_none() -> None:
    found = dict(TRY["instructions"](TWO_STAGES))
    assert found["RUN"].count("&&") == 3
    assert "#" not in str(found)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("rm -rf /var/lib/*", "rm -rf ROOT/var/lib/*"),
        ("pip install -c /tmp/a b/c", "pip install -c ROOT/tmp/a b/c"),
        ('--from="/x" (/y) a=/z', '--from="ROOT/x" (ROOT/y) a=ROOT/z'),
        ("ls / 2>/dev/null > /dev/null", "ls ROOT/ 2>/dev/null > /dev/null"),
        ("see https://example.org/a", "see https://example.org/a"),
    ],
)
def test_absolute_paths_lead_into_the_folder_of_the_stage(command: str, expected: str) -> None:
    assert TRY["inside"](command, Path("/work")) == expected.replace("ROOT", "/work")


def test_stages_are_run_one_after_another(trial: Any, capsys: pytest.CaptureFixture[str]) -> None:
    follow(trial, TWO_STAGES)
    root = trial.stage.root
    said = trial.enter().splitlines()
    assert said == ["hello", str(trial.stages["build"].root / "root"), "world"]
    assert not (root / "tmp" / "greeting").exists()
    assert trial.stage.environment["WHERE"] == f"{root}/pictures"
    assert trial.stage.environment["HOME"] == f"{root}/home/painter"
    printed = capsys.readouterr().out
    for words in (f"FROM {IMAGE}\n    left out: no image", "left out: useradd", 'ARG NAME="world"'):
        assert words in printed


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_commands_have_no_rights_outside_and_the_user_none_in_the_image(trial: Any, folder: Path) -> None:
    follow(trial, TWO_STAGES)
    (folder / "of_root").touch()
    assert trial.stage.path("../../of_root").exists()
    for command in ("rm -f ../../of_root", "id -u > /usr/local/mine", "id -u > /kept"):
        trial.stage.entrypoint = ["sh", "-c"]
        with pytest.raises(TRY["StepError"], match="failed with status"):
            trial.enter(command)
    assert (folder / "of_root").exists()
    assert trial.enter("id -u > mine; cat mine; id -u > /home/painter/mine") == f"{TRY['USER']}\n"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("RUN mkdir /a && cat /none && mkdir /b", "failed with status 1"),
        ("RUN gcc --version", "failed with status 127"),
        ("RUN false; true", "failed with status 1"),
        ("COPY nothing /tmp/", "there is no nothing to copy"),
        ("COPY --from=builder /a /b", "there is no stage builder"),
        ("USER painter", "no useradd has made the user painter"),
        ("HEALTHCHECK NONE", "HEALTHCHECK is an instruction that this script does not know"),
        ("RUN apt-get install -y emacs", "what does the package emacs bring"),
        ("FROM debian:12", "FROM has to name python:VERSION-slim, and names debian:12"),
        ("FROM python:3.1-slim", "there is no Python 3.1 with venv"),
        ('CMD ["--help"]\nENTRYPOINT ["neuralstyle"]', "neuralstyle is not in the image"),
    ],
)
def test_a_step_that_fails_or_is_unknown_ends_the_trial(trial: Any, lines: str, words: str) -> None:
    def attempt() -> None:
        follow(trial, f"FROM {IMAGE} AS first\n{lines}")
        trial.enter()

    with pytest.raises(TRY["StepError"], match=words.replace("?", r"\?")):
        attempt()
    assert not (trial.stage.root / "b").exists()


def test_the_first_instruction_is_from(trial: Any) -> None:
    with pytest.raises(TRY["StepError"], match="the first instruction is not FROM"):
        follow(trial, "RUN true")
