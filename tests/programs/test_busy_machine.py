"""The program beside others that need all cores: its threads wait without spinning, unless the user has chosen."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from neuralstyle.machine import busy

ROOT = Path(__file__).parents[2]
TORCH = "import os\nprint(os.environ.get('GOMP_SPINCOUNT'), os.environ.get('OMP_WAIT_POLICY'))\nraise SystemExit(0)\n"
"""In the place of torch: tells what the OpenMP runtime would read."""

pytestmark = pytest.mark.skipif(
    busy.load_between(busy.Reading(0, 0, 0, 0), busy.take_reading(busy.usable_cpus()), len(busy.usable_cpus())) is None,
    reason="the system does not say what its cores do",
)


@pytest.fixture(scope="module", autouse=True)
def loops() -> Iterator[None]:
    """As many programs as there are cores, each of which takes all that it gets."""
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE, text=True
                )
            )
            for _ in busy.usable_cpus()
        ]
        try:
            for loop in started:
                assert loop.stdout is not None
                loop.stdout.readline()
            yield
        finally:
            for loop in started:
                loop.kill()


def run(*words: str, folder: Path, path: tuple[Path, ...] = (), **variables: str) -> str:
    chosen = {name: value for name, value in os.environ.items() if name not in busy.VARIABLES}
    paths = os.pathsep.join([*map(str, path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**chosen, "OMP_NUM_THREADS": "2", **variables, "PYTHONPATH": paths}
    command = [sys.executable, "-m", "neuralstyle", *words]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=200, check=True, cwd=folder
    ).stdout


@pytest.mark.parametrize(
    "words",
    [
        ("stylize", "photo.jpg", "painting.jpg", "-o", "result.png"),
        ("stylize", "photo.jpg", "painting.jpg", "-o", "result.png", "--like", "other.png"),
        ("video", "film.mp4", "painting.jpg", "-o", "result.mp4"),
        ("info",),
    ],
    ids=lambda words: f"{words[0]}{len(words)}",
)
def test_the_variable_is_set_before_torch_is_imported(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(TORCH)
    assert run(*words, folder=tmp_path, path=(tmp_path,)) == "1000 None\n"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OMP_NUM_THREADS": "1"}, "None None\n"),
        ({"GOMP_SPINCOUNT": "7"}, "7 None\n"),
        ({"OMP_WAIT_POLICY": "active"}, "None active\n"),
    ],
)
def test_what_is_chosen_stays(variables: dict[str, str], said: str, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(TORCH)
    assert run("info", folder=tmp_path, path=(tmp_path,), **variables) == said


def test_info_says_that_threads_sleep(tmp_path: Path) -> None:
    waiting = json.loads(run("info", "--json", folder=tmp_path))["waiting"]
    assert waiting["spin"] is False
    assert waiting["why"].startswith("GOMP_SPINCOUNT=1000, since ")
