"""Freed memory goes back to the system; only the command line changes how the process allocates."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from neuralstyle import FeatureExtractor, GramStyleLoss, Objective
from neuralstyle.cli import main
from neuralstyle.machine import memory

PROGRAM = """
import psutil
from neuralstyle.machine.memory import return_large_blocks, trim_heap
import torch

own = psutil.Process()
TUNE
before = own.memory_info().rss
torch.ones(5 * 2**20)  # glibc by itself keeps blocks of its size from now on
blocks, between = [], []
for _ in range(20):
    blocks.append(torch.ones(4 * 2**20))  # of 16 MiB
    between.append(torch.ones(2**14))
del blocks
print((own.memory_info().rss - before) >> 20)
blocks, between = [], []
for _ in range(100):
    blocks.append(torch.ones(2**20))  # of 4 MiB
    between.append(torch.ones(2**14))
del blocks
print((own.memory_info().rss - before) >> 20)
trim_heap()
print((own.memory_info().rss - before) >> 20)
"""


def held(tune: str = "return_large_blocks()", **environment: str) -> list[int]:
    """MiB that are held after large blocks were freed, after small ones were, and after these were given back."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("TUNE", tune)],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(word) for word in done.stdout.split()]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc")
def test_what_is_freed_is_given_back() -> None:
    large, small, after = held()
    assert large < 40
    assert small > 300
    assert after < 40


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc")
@pytest.mark.parametrize("said", [{"MALLOC_ARENA_MAX": "2"}, {"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"}])
def test_nothing_changes_where_the_user_has_a_word_on_it(said: dict[str, str]) -> None:
    large, small, after = held(**said)
    assert large > 250
    assert after > small - 10


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc")
def test_the_library_alone_leaves_the_allocator_as_it_is() -> None:
    large, _, after = held("trim_heap()")  # of small blocks glibc keeps more or fewer from run to run
    assert large > 250
    assert after < 40


OPENED = """
import sys
seen = []
sys.addaudithook(lambda event, arguments: event == "open" and seen.append(str(arguments[0])))
import neuralstyle.machine.memory as memory
import torch
before = any("cgroup" in path for path in seen)
memory.free_memory(torch.device("cpu"))
print(before, any("cgroup" in path for path in seen))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs control groups")
def test_limits_are_read_when_they_are_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", OPENED], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"


def test_the_command_line_changes_the_allocator_and_the_library_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    glibc = SimpleNamespace(mallopt=lambda *setting: told.append(setting), malloc_trim=lambda pad: None)
    monkeypatch.setattr(memory, "_glibc", lambda: glibc)
    objective = Objective(
        FeatureExtractor(layers=["relu1_1"]), GramStyleLoss("relu1_1"), styles=[torch.rand(1, 3, 32, 32)]
    )
    objective.evaluate(torch.rand(1, 3, 32, 32), 16)
    assert told == []
    main(["layers"])
    assert len(told) == 2
