"""Large blocks of the CPU's memory are given back."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

BLOCKS = """
import psutil
from neuralstyle.memory import LARGE_BLOCK, give_back_large_blocks
import torch

own = psutil.Process()
def held() -> int:
    return own.memory_info().rss

first = torch.ones(LARGE_BLOCK)  # the C library takes its size for what is large from the first block that is freed
del first
print(give_back_large_blocks())
# All but the last are freed: in a heap, whose end it is, it would hold the memory of the others.
blocks = [torch.ones(LARGE_BLOCK // 4 + 1) for _ in range(32)]
before = held()
del blocks[:-1]
print(before - held() > 28 * LARGE_BLOCK)
"""


def run(program: str, **environment: str) -> list[str]:
    names = ("MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
    clean = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, "-c", program], env={**clean, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc")
def test_large_blocks_go_back_unless_the_user_has_a_word_on_it() -> None:
    assert run(BLOCKS) == ["True", "True"]
    assert run(BLOCKS, MALLOC_MMAP_THRESHOLD_="33554432") == ["False", "False"]  # so the test can fail
    assert run(BLOCKS, GLIBC_TUNABLES="glibc.malloc.mmap_threshold=33554432")[0] == "False"
