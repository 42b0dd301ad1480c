"""Pictures that repeat have no seam: the step from the last row to the first is one like those inside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from neuralstyle import samples, stylize, synthesize_texture

PAINTING = samples.painting("mosaic", size=256)


def seams(image: Image.Image) -> list[float]:
    """For rows and columns, the step across the seam over the 99th percentile of the steps inside."""
    found = []
    for pixels in (np.asarray(image, dtype=float), np.asarray(image, dtype=float).transpose(1, 0, 2)):
        across, *inner = np.abs(pixels - np.roll(pixels, 1, 0)).mean((1, 2))
        found.append(float(across / np.percentile(inner, 99)))
    return found


@pytest.mark.parametrize(("size", "tile"), [(64, None), (72, 32)])
def test_texture(size: int, tile: Any) -> None:
    options: dict[str, Any] = {"size": size, "iterations": 12, "progress": False, "schedule": "draft", "tile": tile}
    assert max(seams(synthesize_texture(PAINTING, seamless=True, **options))) <= 1
    assert min(seams(synthesize_texture(PAINTING, **options))) > 1


def test_photograph() -> None:
    options: dict[str, Any] = {"size": 96, "iterations": 6, "progress": False}
    assert max(seams(stylize(samples.photo(), PAINTING, seamless=True, **options))) <= 1
    assert max(seams(stylize(samples.photo(), PAINTING, **options))) > 1
