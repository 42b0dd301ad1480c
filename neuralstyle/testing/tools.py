"""Shared tools of the checks: random maps, comparisons of tensors, and detection of global random numbers."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return random numbers in [0, 1], the same for the same shape and seed."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def difference(actual: Tensor, expected: Tensor) -> float:
    """Return the largest difference between two tensors, relative to the largest number in either; infinite for NaN."""
    largest = max(float(actual.abs().max()), float(expected.abs().max()), 1e-300)
    found = float((actual - expected).abs().max()) / largest
    return found if found < torch.inf else torch.inf


def one_line(error: BaseException) -> str:
    """Return an exception in one line of at most 300 characters."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 300 else f"{text[:297]}..."


def leaves(maps: Any) -> list[Tensor]:
    """Return the tensors of a map, of a dict of maps, or of None."""
    if maps is None:
        return []
    return list(maps.values()) if isinstance(maps, dict) else [maps]


_one_at_a_time = threading.RLock()  # the generators belong to all threads


@contextmanager
def global_random_numbers(seed: int) -> Iterator[list[str]]:
    """Seed torch's, numpy's and Python's global random numbers, and restore them afterwards.

    Yields a list that afterwards holds the names of the generators that were used.
    """
    with _one_at_a_time:
        before = torch.random.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the global generator is observed
        random.seed(seed)
        seeded = _states()
        drawn: list[str] = []
        try:
            yield drawn
        finally:
            drawn += [name for name, state in _states().items() if state != seeded[name]]
            torch.random.set_rng_state(before[0])
            np.random.set_state(before[1])  # noqa: NPY002
            random.setstate(before[2])


def _states() -> dict[str, object]:
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "torch": torch.random.get_rng_state().numpy().tobytes(),
        "numpy": (kind, np.asarray(keys).tobytes(), *rest),
        "random": random.getstate(),
    }
