"""The C library is told when to give back what tiles free."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import psutil
from neuralstyle.machine.memory import trim_heap
import torch

own = psutil.Process()
trim_heap()
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


def held(**environment: str) -> list[int]:
    """MiB that are held after large blocks were freed, after small ones were, and after these were given back."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**clean, **environment}, capture_output=True, text=True, check=True
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
def test_nothing_is_told_where_the_user_has_a_word_on_it(said: dict[str, str]) -> None:
    assert min(held(**said)) > 250
