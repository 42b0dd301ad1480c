"""Pictures on the way: snapshots in files, and a live preview in a notebook."""

from __future__ import annotations

import os
from typing import Any

from PIL import Image

from neuralstyle._errors import whole_number
from neuralstyle.files import NumberedFiles, check_no_others
from neuralstyle.images import MIN_SIDE, check_output, save_image
from neuralstyle.images.showing import notebook
from neuralstyle.painting.progress import Progress

MOST_SHOWN = 1024
"""Longest side in pixels of a preview, unless another is asked for."""


class SavePictures:
    """Saves snapshots: the picture after every ``every`` evaluations, and after the last.

    A snapshot is ``Progress.tensor``, at the size of the current stage. If an optimiser converges before the last
    evaluation, there is no last snapshot.

    Args:
        pattern: name of the files, with one field for the number of the evaluation: "step-{}.png", "step-{:04d}.png",
            "step-%d.png" or "step-%04d.png".
        every: evaluations between two snapshots, at least 1.
        overwrite: replace existing files. False: an existing file is an error here, before the work.

    Raises:
        ValueError: a pattern without a field or with several, or ``every`` below 1.
        FileExistsError: a file of that pattern exists.
        OSError: the folder is missing or cannot be written.

    Example:
        ```python
        import tempfile
        from neuralstyle import SavePictures, samples, stylize

        with tempfile.TemporaryDirectory() as folder:
            save = SavePictures(f"{folder}/step-{{:03d}}.png", every=2)
            stylize(samples.photo(), samples.painting("swirl"), size=64, iterations=4, callback=save)
        ```

    """

    def __init__(self, pattern: str | os.PathLike[str], every: int = 50, overwrite: bool = False) -> None:
        self.every = whole_number("every", every, 1)
        self._files = NumberedFiles(pattern)
        check_output(self._files.path(every), overwrite=True)
        check_no_others(self._files, overwrite)

    def __call__(self, progress: Progress) -> None:
        """Save a snapshot, if one is due."""
        if progress.iteration % self.every == 0 or progress.iteration == progress.total:
            save_image(progress.tensor(), self._files.path(progress.iteration), overwrite=True)


class LivePreview:
    """Shows the picture in a notebook while it is painted, in one place below the cell and at one size.

    Outside a notebook nothing is shown.

    Args:
        every: evaluations between two pictures, at least 1.
        side: longest side in pixels at which pictures are shown, at least 16; None: that of the result, and at most
            1024.

    Attributes:
        image: the picture after the last evaluation, as if the work had stopped then; None before the first.

    Raises:
        ValueError: ``every`` or ``side`` is not a whole number in its range.

    Example:
        ```python
        from neuralstyle import LivePreview, samples, stylize

        preview = LivePreview(every=10)
        stylize(samples.photo(), samples.painting("swirl"), size=64, iterations=2, callback=preview)
        assert max(preview.image.size) == 64
        ```

    """

    def __init__(self, every: int = 10, side: int | None = None) -> None:
        self.every = whole_number("every", every, 1)
        self.side = None if side is None else whole_number("side", side, MIN_SIDE, hint=" pixels, or None")
        self._handle: Any = None
        self._progress: Progress | None = None

    @property
    def image(self) -> Image.Image | None:
        """The picture after the last evaluation."""
        return None if self._progress is None else self._progress.image()

    def __call__(self, progress: Progress) -> None:
        """Draw, if a picture is due."""
        last, self._progress = self._progress, progress
        begins = last is None or progress.iteration <= last.iteration  # another run gets its own display
        if notebook() is None or not (begins or self._is_due(progress)):
            return
        from IPython.display import display

        picture = _resized(progress.image(), self.side or min(progress.full_size or progress.size, MOST_SHOWN))
        if begins or self._handle is None:
            self._handle = display(picture, display_id=True)  # None where a shell cannot update
        else:
            self._handle.update(picture)

    def _is_due(self, progress: Progress) -> bool:
        return progress.iteration % self.every == 0 or progress.iteration == progress.total


def _resized(picture: Image.Image, side: int) -> Image.Image:
    """A picture at a longest side in pixels."""
    longest = max(picture.size)
    if longest == side:
        return picture
    return picture.resize([max(1, round(length * side / longest)) for length in picture.size], Image.Resampling.BICUBIC)
