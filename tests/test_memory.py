"""The C library is told how to keep what tiles free."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import psutil
from neuralstyle.memory import give_back_freed_memory, reusing_freed_memory
import torch

def held() -> int:
    return (own.memory_info().rss - before) >> 20

own = psutil.Process()
torch.ones(2**20)
before = own.memory_info().rss
with reusing_freed_memory():
    blocks = [torch.ones(10 * 2**20) for _ in range(10)]  # of 40 MiB each
    del blocks
print(held() > 380)
give_back_freed_memory()
print(held() < 30)
other = torch.ones(500 * 2**20)  # too large for the heap's room
del other
print(held() < 30)
"""


def run(**environment: str) -> list[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**clean, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc")
def test_what_tiles_free_is_kept_and_given_back() -> None:
    assert run() == ["True", "True", "True"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc")
@pytest.mark.parametrize("said", [{"MALLOC_ARENA_MAX": "2"}, {"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"}])
def test_nothing_is_told_where_the_user_has_a_word_on_it(said: dict[str, str]) -> None:
    assert run(**said)[0] == "False"
