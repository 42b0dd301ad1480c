"""The losses of a run: a log in a file or in memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neuralstyle._records import LossTable, data_frame
from neuralstyle.painting.progress import Progress

ADDED = " (added)"
"""What follows the name of a loss that a stage adds to those of the call."""


class LossLog:
    """Keeps a row for each evaluation: iteration, stage, size, loss, the weighted value of each loss, seconds.

    The rows are in memory and, with a path, also in a file. A loss that a stage adds to those of the call, such as the
    pixel terms beside the compact encoder, has " (added)" after its name; it is 0 in the other stages. Each line of
    the file is written at once, so a killed run leaves whole lines. When a run continues, the log drops the rows of
    evaluations that are repeated.

    Args:
        path: the file; it ends in .csv (comma-separated values) or .jsonl (an object per line). None: no file.
        overwrite: replace an existing file.
        resume: continue an existing file.

    Attributes:
        path: the file, or None.
        rows: the rows, a list of dicts.

    Raises:
        ValueError: another suffix, or a file to continue that is not such a log.
        FileExistsError: the file exists, and neither ``overwrite`` nor ``resume`` is set.
        OSError: the file cannot be written.

    Example:
        ```python
        from neuralstyle import LossLog, samples, stylize

        log = LossLog()  # LossLog("losses.csv") also writes a file
        stylize(samples.photo(), samples.painting("swirl"), size=64, iterations=2, callback=log)
        assert log.rows[-1]["size"] == 64
        print([row["loss"] for row in log.rows])
        ```

    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, overwrite: bool = False, *, resume: bool = False
    ) -> None:
        self.path: Path | None = None
        self.rows: list[dict[str, float]] = []
        self._table = None if path is None else LossTable(path)
        if self._table is not None:
            self.path = self._table.path
            exists = self.path.exists() and self.path.stat().st_size > 0  # an empty file may be replaced
            if exists and not (overwrite or resume):
                raise FileExistsError(f"{path} exists; pass overwrite=True (--overwrite) or give another name")
            if exists and resume:
                self.rows = self._table.rows()
                _check_continued(self.path, self.rows)
            with self.path.open("ab") if self.path.exists() else tempfile.TemporaryFile(dir=self.path.parent):
                pass  # it can be written
        self._continues = resume
        self._next: int | None = None

    def frame(self) -> Any:
        """The rows as a DataFrame of pandas.

        Raises:
            ImportError: pandas is not installed.

        """
        return data_frame(self.rows)

    def __call__(self, progress: Progress) -> None:
        """Add a row."""
        row = row_of(progress)
        if progress.iteration != self._next:
            self._begin(progress.iteration, row)
        self._next = progress.iteration + 1
        self.rows.append(row)
        if self._table is not None:
            self._table.append(row)

    def _begin(self, iteration: int, row: dict[str, float]) -> None:
        """Start anew, or drop the rows from the point where the run continues."""
        if self._table is not None:
            self._table.begin(list(row), iteration if self._continues else 0)
        self.rows = [kept for kept in self.rows if self._continues and kept["iteration"] < iteration]
        self._continues = True  # this object may be used again when the run continues


def row_of(progress: Progress) -> dict[str, float]:
    """The row of a log for an evaluation."""
    terms = {f"{name}{ADDED}" if name in progress.added else name: value for name, value in progress.terms.items()}
    counts = {"iteration": progress.iteration, "stage": progress.stage, "size": progress.size}
    return {**counts, "loss": progress.loss, **terms, "seconds": round(progress.elapsed, 3)}


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


def _check_continued(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    if rows and "iteration" not in rows[0]:
        raise ValueError(f"{path} is the log of a training; give another name")
