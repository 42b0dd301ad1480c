"""Names of files that differ in a number, such as snapshots."""

from __future__ import annotations

import os
import re
from pathlib import Path

_FIELD = re.compile(r"\{(?::(0\d+)?d?)?\}|%(0\d+)?d")


class NumberedFiles:
    """File names that differ in a number, such as "step-0001.png", "step-0002.png".

    Args:
        pattern: a name with one field for the number: "step-{}.png", "step-{:04d}.png", "step-%d.png" or
            "step-%04d.png".

    Raises:
        ValueError: the file name has no such field, or several.

    """

    def __init__(self, pattern: str | os.PathLike[str]) -> None:
        path = Path(pattern)
        fields = list(_FIELD.finditer(path.name))
        if len(fields) != 1:
            raise ValueError(
                f"the file name in {str(path)!r} needs one field for the number, such as {{}}, {{:04d}}, %d or %04d; "
                f"it has {len(fields)}"
            )
        (field,) = fields
        self.folder = path.parent
        self._before, self._after = path.name[: field.start()], path.name[field.end() :]
        self._width = field[1] or field[2] or ""
        self._names = re.compile(rf"{re.escape(self._before)}\d+{re.escape(self._after)}")

    def path(self, number: int) -> Path:
        """Return the path with this number."""
        return self.folder / f"{self._before}{number:{self._width}d}{self._after}"

    def is_one(self, path: Path) -> bool:
        """Tell whether a path is one of them."""
        is_there = os.path.realpath(path.parent) == os.path.realpath(self.folder)
        return is_there and self._names.fullmatch(path.name) is not None

    def existing(self) -> list[Path]:
        """List the existing files of this pattern, with any number."""
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if self._names.fullmatch(path.name))
