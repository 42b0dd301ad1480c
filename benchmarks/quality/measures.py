"""What is measured of each picture, on the device on which it was painted."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

SHOWN = ("style", "sliced", "structure", "grid", "color", "ghosts", "grain", "flat")


def measure(picture: Image.Image, content: Tensor, style: Tensor, device: str) -> dict[str, float]:
    """Every measure of ``neuralstyle.metrics``, by name."""
    from neuralstyle import load_image

    image = load_image(picture)
    try:
        return _all(image.to(device), content.to(device), style.to(device))
    except RuntimeError as error:
        if device == "cpu":
            raise
        print(f"measured on the CPU, as {device} failed: {error}", file=sys.stderr, flush=True)
        return _all(image, content.cpu(), style.cpu())


def _all(image: Tensor, content: Tensor, style: Tensor) -> dict[str, float]:
    from neuralstyle import metrics

    return asdict(metrics.compare(content, style, {"": image})[""])
