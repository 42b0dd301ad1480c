"""Showing pictures below the cell of a notebook."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from PIL import Image

from neuralstyle.images.grid import grid
from neuralstyle.images.reading import Picture


def show(
    images: Picture | Iterable[Picture],
    titles: str | Sequence[str] | None = None,
    *,
    columns: int | None = None,
    side: int | None = None,
) -> Image.Image:
    """Show pictures in a labelled grid below the cell of a notebook, and return the grid as a picture.

    Outside a notebook nothing is shown.

    Args:
        images: pictures as ``load_image`` takes them, such as paths and tensors; a tensor (B, 3, H, W) is B pictures.
        titles: a title for each picture; None: no titles.
        columns: pictures in a row; None: as many as make the grid about 3 : 2.
        side: longest side of each picture in pixels, at least 16; None: that of the largest one, and at most 512.

    Raises:
        ValueError: no pictures, another number of titles, or a grid of more than 256 megapixels.
        TypeError: titles that are not texts, or something that is not a picture.

    Example:
        ```python
        from neuralstyle import load_image, samples, show

        photo = load_image(samples.photo(), 128)
        sheet = show([photo, photo.flip(3)], titles=["photograph", "mirrored"])
        sheet.save("sheet.png")
        ```

    """
    picture = grid(images, titles, columns=columns, side=side)
    shell = notebook()
    if shell is not None:
        _show(picture, shell)
    return picture


def notebook() -> Any:
    """The shell of the notebook that this process computes for; None outside a notebook, as on a terminal."""
    ipython: Any = sys.modules.get("IPython")  # a notebook has imported it
    shell = None if ipython is None else ipython.get_ipython()
    return None if type(shell).__name__ == "TerminalInteractiveShell" else shell


def _show(picture: Image.Image, shell: Any) -> None:
    """Show a picture now, and not once more as the last value of the same cell."""
    from IPython.display import display

    display(picture)
    cell = shell.execution_count

    def show_again() -> None:
        if shell.execution_count != cell:
            display(picture.copy())  # which has not this function

    picture._ipython_display_ = show_again  # type: ignore[attr-defined]
