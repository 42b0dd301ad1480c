"""The table of losses that a run writes as it proceeds."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from neuralstyle.files import writing
from neuralstyle.files.schema import Number, Record, clip, shown

LOG_SUFFIXES = (".csv", ".jsonl")
COUNTERS = ("iteration", "step")
"""Names of the column that counts the rows of a log: evaluations of ``stylize``, or steps of ``train``."""


class LossTable:
    """A table of losses in a .csv or .jsonl file; one of its columns is in ``COUNTERS``.

    Each row is written at once, so a killed process leaves whole rows.

    Args:
        path: the file; it need not exist.

    Raises:
        ValueError: another suffix.

    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.suffix not in LOG_SUFFIXES:
            raise ValueError(f"{path}: a log ends in {' or '.join(LOG_SUFFIXES)}, received {self.path.suffix!r}")

    def begin(self, columns: Sequence[str], before: int = 0) -> None:
        """Start the table, or remove the rows from the point where a run continues.

        Args:
            columns: names of the columns, the counter first.
            before: keep rows with a smaller count, and remove all others; 0 empties the table.

        Raises:
            ValueError: ``before`` is not 0, and the file is not a log or has other columns.
            OSError: the file cannot be written.

        """
        found = self._lines() if before and self.path.exists() else []
        kept = [(line, row) for line, row in found if row.get(columns[0], 0) < before]
        if any(list(row) != list(columns) for _, row in kept):
            raise ValueError(f"{self.path} is the log of a run with other losses; give another name")
        header = _csv_line(columns) if self.path.suffix == ".csv" else ""
        with writing(self.path) as temporary:
            temporary.write_text(header + "".join(line for line, _ in kept), encoding="utf-8")

    def append(self, row: Mapping[str, float]) -> None:
        """Write one more row, with the columns given to ``begin``."""
        line = json.dumps(row) + "\n" if self.path.suffix == ".jsonl" else _csv_line(row.values())
        with self.path.open("ab", buffering=0) as file:
            file.write(line.encode())

    def rows(self) -> list[dict[str, float]]:
        """Read the rows, without a last line that is incomplete.

        Raises:
            ValueError: the file is not a log.
            OSError: the file cannot be read.

        """
        return [row for _, row in self._lines()]

    def _lines(self) -> list[tuple[str, dict[str, float]]]:
        """Read the complete lines after the header, each with its row."""
        try:
            lines = [
                line for line in self.path.read_text(encoding="utf-8").splitlines(keepends=True) if line[-1] == "\n"
            ]
            if self.path.suffix == ".jsonl":
                rows = [json.loads(line) for line in lines]
            else:
                names, *cells = csv.reader(lines or [COUNTERS[0]])
                lines = lines[1:]
                if not set(names) & set(COUNTERS):
                    raise ValueError(f"its columns are {names}")
                rows = [dict(zip(names, map(float, row), strict=True)) for row in cells]
            _check_rows(rows)
            return list(zip(lines, rows, strict=True))
        except (ValueError, RecursionError, csv.Error) as error:
            raise ValueError(f"{self.path} is not a log of losses ({clip(str(error))}); give another name") from error


def data_frame(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return rows as a DataFrame of pandas.

    Raises:
        ImportError: pandas is not installed.

    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            f"a DataFrame needs pandas ({error}); install it with 'pip install \"neuralstyle-torch[pandas]\"', or take "
            "the rows, which are dicts"
        ) from error
    return pandas.DataFrame(list(rows))


def _check_rows(rows: Sequence[Any]) -> None:
    """Check that rows are numbers by name, all of the columns of the first, and that they are counted.

    Raises:
        ValueError: one is not; the message names the first.

    """
    for number, row in enumerate(rows, start=1):
        if number == 1 and not (isinstance(row, dict) and any(counter in row for counter in COUNTERS)):
            raise ValueError("its rows name no iteration")
        Record(dict.fromkeys(rows[0], Number())).check(row, f"row {number}")
        for count in (row[counter] for counter in COUNTERS if counter in row):
            if count % 1 or not 0 <= count <= 2**53:
                raise ValueError(f"row {number} counts {shown(count)}")


def _csv_line(values: Iterable[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()
