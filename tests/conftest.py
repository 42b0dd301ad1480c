from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from neuralstyle import FeatureExtractor, load_image, samples

MARKERS = {"painting": "slow", "programs": "process"}  # of the tests in a folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        marker = MARKERS.get(item.path.parent.name)
        if marker is not None:
            item.add_marker(marker)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def encoder() -> FeatureExtractor:
    return FeatureExtractor()


@pytest.fixture(scope="session")
def raw_encoder() -> FeatureExtractor:
    return FeatureExtractor(normalize=False)


@pytest.fixture(scope="session")
def encoder64() -> FeatureExtractor:
    return FeatureExtractor().double()


@pytest.fixture(scope="session")
def photo() -> Tensor:
    """The package's photograph, (1, 3, 64, 96)."""
    return load_image(samples.photo(), 96)


@pytest.fixture(scope="session")
def noise() -> Callable[..., Tensor]:
    """Random pictures by shape and seed; the same ones every time."""

    def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)

    return draw
