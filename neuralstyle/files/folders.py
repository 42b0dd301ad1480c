"""Folders: whether a file can be written there."""

from __future__ import annotations

import tempfile
from pathlib import Path


def check_writable(folder: Path, advice: str) -> None:
    """Check that files can be written in a folder, which has to exist.

    Args:
        folder: the folder.
        advice: what the message says to do otherwise.

    Raises:
        PermissionError: the folder cannot be written.

    """
    try:  # os.access says yes to root, even on a read-only disk
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PermissionError(f"cannot write in folder {folder} ({error.strerror or error}); {advice}") from error
