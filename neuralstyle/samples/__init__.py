"""One photograph and a few painted styles that come with the package, so that a first try needs no download.

The photograph's author and licence stand in `neuralstyle/data/ATTRIBUTION.md`; the paintings are drawn by code.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
from PIL import Image

from neuralstyle._errors import unknown
from neuralstyle.samples import embers, mosaic, swirl, woodcut

__all__ = ["PAINTINGS", "painting", "photo"]

_DRAW = {"swirl": swirl.draw, "mosaic": mosaic.draw, "woodcut": woodcut.draw, "embers": embers.draw}
_SIZES = range(64, 4097)

PAINTINGS: tuple[str, ...] = tuple(_DRAW)
"""The names that `painting` knows."""


def photo() -> Image.Image:
    """Open the photograph: the head of a tabby cat, RGB, 451 x 300 px.

    Example:
        ```python
        from neuralstyle import samples

        print(samples.photo().size)
        ```

    """
    with files("neuralstyle.data").joinpath("chelsea.jpg").open("rb") as file, Image.open(file) as picture:
        rgb: Image.Image = picture.convert("RGB")
        return rgb


def painting(name: str, size: int = 512, seed: int = 0) -> Image.Image:
    """Draw one of the `PAINTINGS`.

    - "swirl": thick oil strokes along a night sky's currents; blues, glowing yellow stars, green hills.
    - "mosaic": bevelled glass tiles in rosettes; jewel colours, gold, dark grout.
    - "woodcut": a wood-block print of breaking waves; indigo, cream paper, dark contours, a red sun.
    - "embers": flames in thick oil; black, crimson, orange, yellow.

    The same name, size and seed give the same picture; another size gives the same picture at another
    resolution, another seed a variation of it. Drawing takes a second or two at 512 px and grows with the area:
    4096 px take up to 4 GB of memory and about half a minute.

    Args:
        name: One of `PAINTINGS`.
        size: Width and height in pixels, 64 to 4096.
        seed: Seed of the picture's random details, 0 or more.

    Raises:
        ValueError: The name is unknown, the size is not an integer in 64..4096, or the seed not one from 0 on.

    Example:
        ```python
        from neuralstyle import samples

        image = samples.painting("swirl", size=128)
        ```

    """
    if name not in PAINTINGS:
        raise unknown("painting", name, PAINTINGS)
    if not _is_integer(size) or size not in _SIZES:
        raise ValueError(f"size must be an integer from {_SIZES[0]} to {_SIZES[-1]} (pixels a side), not {size!r}")
    if not _is_integer(seed) or seed < 0:
        raise ValueError(f"seed must be an integer, 0 or more, not {seed!r}")
    return _DRAW[name](int(size), np.random.default_rng(int(seed)))


def _is_integer(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
