"""A photograph and four painted styles that are part of the package, so that a first try needs no download.

``neuralstyle/data/ATTRIBUTION.md`` names the photograph's author and licence; the paintings are drawn by code.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
from PIL import Image

from neuralstyle._errors import is_word, unknown, whole_number
from neuralstyle._words import PAINTINGS
from neuralstyle.samples import embers, mosaic, swirl, woodcut

__all__ = ["PAINTINGS", "painting", "photo"]

_DRAW = {"swirl": swirl.draw, "mosaic": mosaic.draw, "woodcut": woodcut.draw, "embers": embers.draw}
_MIN_SIDE, _MAX_SIDE = 64, 4096  # pixels


def photo() -> Image.Image:
    """Open the photograph: the head of a tabby cat, RGB, 451 x 300 pixels.

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
    """Draw one of the ``PAINTINGS``.

    - "swirl": thick oil strokes along the currents of a night sky; blues, glowing yellow stars, green hills.
    - "mosaic": bevelled glass tiles in rosettes; saturated colours, gold, dark grout.
    - "woodcut": a wood-block print of breaking waves; indigo, cream paper, dark contours, a red sun.
    - "embers": flames in thick oil; black, crimson, orange, yellow.

    The same name, size and seed give the same picture. Another size gives the same picture at another resolution,
    another seed a variation of it. Drawing takes one or two seconds at 512 pixels and grows with the area: 4096 pixels
    take up to 4 GB of memory and about half a minute.

    Args:
        name: one of ``PAINTINGS``.
        size: width and height in pixels, 64 to 4096.
        seed: seed of the random details, at least 0.

    Raises:
        ValueError: an unknown name, a size that is not a whole number from 64 to 4096, or a seed that is not a whole
            number of at least 0.

    Example:
        ```python
        from neuralstyle import samples

        image = samples.painting("swirl", size=128)
        ```

    """
    if not is_word(name, PAINTINGS):
        raise unknown("painting", name, PAINTINGS)
    size = whole_number("size", size, _MIN_SIDE, _MAX_SIDE, hint=" pixels on each side")
    return _DRAW[name](size, np.random.default_rng(whole_number("seed", seed, 0)))
