"""Shards: every n-th picture, for several calls that share the work without knowing of each other."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")

SLURM = "slurm"
"""The word that takes the shard from the variables of a Slurm array."""


def parse_shard(text: str, environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Return (K, N) of "K/N", the K-th of N shards, K from 1 to N; or of "slurm", from a Slurm array's variables.

    Raises:
        ValueError: something else, or "slurm" outside of a Slurm array.

    Example:
        ```python
        from neuralstyle.many.shards import parse_shard

        assert parse_shard("2/8") == (2, 8)
        ```

    """
    if text == SLURM:
        return _of_slurm(environment)
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"a shard is K/N, such as 1/4 for the first of four, or 'slurm', received {text!r:.60}")
    return int(found[1]), int(found[2])


def _of_slurm(environment: Mapping[str, str]) -> tuple[int, int]:
    names = [f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "MIN", "MAX", "COUNT")]
    found = [environment.get(name, "") for name in names]
    missing = next((name for name, value in zip(names, found, strict=True) if not value.isdigit()), None)
    if missing is not None:
        raise ValueError(f"'slurm' takes the shard from a Slurm array (sbatch --array), and {missing} is not set")
    task, least, most, count = map(int, found)
    step = (most - least) // (count - 1) if count > 1 else 1
    if not step or not least <= task <= most or (most - least) != step * (count - 1) or (task - least) % step:
        raise ValueError(
            f"the Slurm array has {count} tasks from {least} to {most} and is not evenly spaced; give one such as 1-8"
        )
    return (task - least) // step + 1, count


def share(items: Sequence[T], shard: tuple[int, int]) -> list[T]:
    """Every n-th item, for the k-th of n shards (k from 1)."""
    number, count = shard
    return list(items[number - 1 :: count])
