"""Random positions and directions: the same for the same sizes and seed, on every device."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from neuralstyle._errors import whole_number
from neuralstyle.losses.base import Loss


def check_count(loss: Loss, option: str, *, optional: bool = False) -> None:
    """Check that an option of a loss is a whole number of at least 1, and store it as an ``int``.

    Raises:
        ValueError: another value.
    """
    value = getattr(loss, option)
    if value is None and optional:
        return
    count = whole_number(f"{option} of {type(loss).__name__}", value, 1, hint=" or None" if optional else "")
    object.__setattr__(loss, option, count)


def check_seed(loss: Loss) -> None:
    """Check that the seed of a loss is a whole number of at least 0, and store it as an ``int``.

    Raises:
        ValueError: another value.
    """
    seed = whole_number(f"the seed of {type(loss).__name__}", getattr(loss, "seed", None), 0)
    object.__setattr__(loss, "seed", seed)


def sample(positions: Tensor, limit: int | None, seed: int) -> Tensor:
    """Choose at most ``limit`` of the positions (B, C, N) at random; the choice depends on N and the seed alone."""
    count = positions.shape[2]
    if limit is None or count <= limit:
        return positions
    return positions.index_select(2, _chosen(count, limit, seed, positions.device))


def normal(rows: int, columns: int, seed: int, like: Tensor) -> Tensor:
    """Return independent numbers of the standard normal distribution, (rows, columns)."""
    return _drawn(rows, columns, seed, like.dtype, like.device)


# Cached, since each evaluation uses the same numbers: drawing and sending them again would make an accelerator wait.
# Never as tensors of inference mode, from which torch refuses gradients later, and always drawn on the CPU.


@lru_cache(16)
@torch.inference_mode(mode=False)
def _chosen(count: int, limit: int, seed: int, device: torch.device) -> Tensor:
    order = torch.randperm(count, generator=_generator(seed), device="cpu")
    return order[:limit].sort().values.to(device)


@lru_cache(16)
@torch.inference_mode(mode=False)
def _drawn(rows: int, columns: int, seed: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    drawn = torch.randn(rows, columns, generator=_generator(seed), dtype=torch.float64, device="cpu")
    return drawn.to(dtype).to(device)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)
