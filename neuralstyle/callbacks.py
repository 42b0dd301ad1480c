"""Callbacks for ``stylize(callback=...)``: snapshots, a log of the losses and its plot, a live preview."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from neuralstyle._errors import whole_number
from neuralstyle._records import COUNTERS, LossTable
from neuralstyle.files import NumberedFiles, check_no_others
from neuralstyle.images import check_output, save_image
from neuralstyle.painting.progress import Progress


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


class LossLog:
    """Writes a line for each evaluation: iteration, stage, size, loss, the weighted value of each loss, seconds.

    Each line is written at once, so a killed run leaves whole lines. When a run continues, the log drops the lines of
    evaluations that are repeated.

    Args:
        path: the file; it ends in .csv (comma-separated values) or .jsonl (an object per line).
        overwrite: replace an existing file.
        resume: continue an existing file.

    Raises:
        ValueError: another suffix, or a file to continue that is not such a log.
        FileExistsError: the file exists, and neither ``overwrite`` nor ``resume`` is set.
        OSError: the file cannot be written.

    Example:
        ```python
        import tempfile
        from neuralstyle import LossLog, samples, stylize

        with tempfile.TemporaryDirectory() as folder:
            log = LossLog(f"{folder}/losses.csv")
            stylize(samples.photo(), samples.painting("swirl"), size=64, iterations=2, callback=log)
            print(log.path.read_text())
        ```

    """

    def __init__(self, path: str | os.PathLike[str], overwrite: bool = False, *, resume: bool = False) -> None:
        self._table = LossTable(path)
        self.path = self._table.path
        exists = self.path.exists() and self.path.stat().st_size > 0  # an empty file may be replaced
        if exists and not (overwrite or resume):
            raise FileExistsError(f"{path} exists; pass overwrite=True (--overwrite) or give another name")
        if exists and resume:
            _check_continued(self.path, read_losses(path))
        with self.path.open("ab") if self.path.exists() else tempfile.TemporaryFile(dir=self.path.parent):
            pass  # it can be written
        self._continues = resume
        self._next: int | None = None

    def __call__(self, progress: Progress) -> None:
        """Write a line."""
        row = {
            "iteration": progress.iteration,
            "stage": progress.stage,
            "size": progress.size,
            "loss": progress.loss,
            **progress.terms,
            "seconds": round(progress.elapsed, 3),
        }
        if progress.iteration != self._next:
            self._begin(progress.iteration, row)
        self._next = progress.iteration + 1
        self._table.append(row)

    def _begin(self, iteration: int, row: dict[str, Any]) -> None:
        """Start the file, or drop the lines from the point where the run continues."""
        self._table.begin(list(row), iteration if self._continues else 0)
        self._continues = True  # this object may be used again when the run continues


def read_losses(path: str | os.PathLike[str]) -> list[dict[str, float]]:
    """Read a log of ``LossLog``, or of ``train``, which counts "step" instead of "iteration".

    Returns:
        A dictionary for each line, without a last line that is incomplete.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not such a log.

    Example:
        ```python
        import tempfile
        from neuralstyle import LossLog, samples, stylize
        from neuralstyle.callbacks import read_losses

        with tempfile.TemporaryDirectory() as folder:
            log = LossLog(f"{folder}/losses.jsonl")
            stylize(samples.photo(), samples.painting("swirl"), size=64, iterations=2, callback=log)
            assert read_losses(log.path)[-1]["size"] == 64
        ```
    """
    table = LossTable(path)
    if not table.path.is_file():
        raise FileNotFoundError(f"there is no file {path}; check the name and the folder")
    return table.rows()


def plot_losses(log: str | os.PathLike[str], path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Plot a log of ``LossLog`` or ``train``: a curve for each loss over the evaluations, on a logarithmic scale.

    Needs matplotlib (``pip install "neuralstyle[plot]"``).

    Args:
        log: the log, a .csv or .jsonl file.
        path: the picture, a .png, .jpg, .webp or .tif file.
        overwrite: replace a file that exists.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the log has no line or no loss above 0, or is not a log.
        OSError: there is no such log, or the picture cannot be saved; see ``save_image``.

    Example:
        ```python
        import tempfile
        from neuralstyle import LossLog, samples, stylize
        from neuralstyle.callbacks import plot_losses

        with tempfile.TemporaryDirectory() as folder:
            log = LossLog(f"{folder}/losses.csv")
            stylize(samples.photo(), samples.painting("swirl"), size=64, iterations=4, callback=log)
            plot_losses(log.path, f"{folder}/losses.png")
        ```

    """
    check_plot()
    from matplotlib.figure import Figure
    from PIL import Image

    rows = read_losses(log)
    if not rows:
        raise ValueError(f"{log} has no line to plot; let the run make an evaluation first")
    names = [name for name in rows[0] if name not in (*COUNTERS, "epoch", "stage", "size", "seconds")]
    if not any(row[name] > 0 for row in rows for name in names):
        raise ValueError(f"{log} has no losses above 0 to plot")
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    counter, unit = ("iteration", "evaluations") if "iteration" in rows[0] else ("step", "steps")
    for name in names:
        axes.semilogy([row[counter] for row in rows], [row[name] for row in rows], label=_label(name))
    for before, after in pairwise(rows):
        if after.get("stage") != before.get("stage"):
            axes.axvline(after[counter], color="0.8", zorder=0)
    axes.set_xlabel(unit)
    axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    with Image.open(buffer) as picture:
        return save_image(picture, path, overwrite=overwrite)


def _label(name: str) -> str:
    """Return a name as matplotlib shows it: "_" at the start would hide it, and "$" would begin a formula."""
    return name.lstrip("_").replace("$", r"\$")


def check_plot() -> None:
    """Check that losses can be plotted.

    Raises:
        ImportError: matplotlib is not installed.

    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"a plot of the losses needs matplotlib ({error}); install it with 'pip install \"neuralstyle[plot]\"'"
        ) from error


class LivePreview:
    """Shows the picture in a notebook while it is painted, in one place below the cell.

    Needs IPython, which every notebook has.

    Args:
        every: evaluations between two pictures, at least 1.

    Raises:
        ImportError: IPython is not installed.
        ValueError: ``every`` is below 1.

    Example:
        ```python
        from neuralstyle import LivePreview, samples, stylize

        try:
            preview = [LivePreview(every=10)]
        except ImportError:  # not in a notebook
            preview = []
        stylize(samples.photo(), samples.painting("swirl"), size=64, iterations=2, callback=preview)
        ```

    """

    def __init__(self, every: int = 10) -> None:
        every = whole_number("every", every, 1)
        try:
            import IPython.display  # noqa: F401
        except ImportError as error:
            raise ImportError(f"a live preview needs IPython ({error}): 'pip install ipython'") from error
        self.every = every
        self._handle: Any = None
        self._last: int | None = None

    def __call__(self, progress: Progress) -> None:
        """Draw, if a picture is due."""
        from IPython.display import display

        if self._last is None or progress.iteration <= self._last:  # another run gets its own display
            self._handle = None
        elif progress.iteration % self.every and progress.iteration != progress.total:
            return
        self._last = progress.iteration
        if self._handle is None:
            self._handle = display(progress.image(), display_id=True)  # None without a notebook
        else:
            self._handle.update(progress.image())


def _check_continued(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    if rows and "iteration" not in rows[0]:
        raise ValueError(f"{path} is the log of a training; give another name")
