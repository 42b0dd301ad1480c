"""The versions of a session: pictures that are kept, with the scene that each was painted from."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from neuralstyle.images import save_image
from neuralstyle.studio.painted import Painted
from neuralstyle.studio.reproduce import note
from neuralstyle.studio.shelf import Shelf, thumb

MOST_VERSIONS = 40
"""Versions that are kept; a new one beyond takes the place of the oldest."""

FORMS = {"png": (".png", 8), "jpg": (".jpg", 8), "tif": (".tif", 16)}
"""Downloads: suffix and bits per channel."""


@dataclass(frozen=True)
class Version:
    """A picture that is kept: its number, what it was painted by, its files and its size."""

    number: int
    painted: Painted
    picture: Path
    exact: Path
    thumb: bytes
    width: int
    height: int

    def facts(self) -> dict[str, Any]:
        """What the page shows of it."""
        painted = self.painted
        facts = {"number": self.number, "width": self.width, "height": self.height, "schedule": painted.schedule}
        facts |= {"finished": painted.iterations is None, "exact": painted.is_exact}
        return {**facts, **painted.scene.facts()}


class Versions:
    """The strip of versions, oldest first."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._lock = threading.Lock()
        self._kept: list[Version] = []
        self._next = 1

    def keep(self, painted: Painted, picture: Image.Image, exact: Tensor) -> Version:
        """Keep a picture.

        Args:
            painted: what it was painted by.
            picture: the picture with 8 bits a channel.
            exact: the same before it was rounded, (1, 3, H, W).

        """
        files = self._shelf.new_path(".png"), self._shelf.new_path(".npy")
        save_image(picture, files[0], note=note(painted))
        np.save(files[1], exact.float().cpu().numpy())
        with self._lock:
            version = Version(self._next, painted, *files, thumb(exact), picture.width, picture.height)
            self._next += 1
            self._kept.append(version)
            dropped = self._kept[:-MOST_VERSIONS]
            self._kept = self._kept[-MOST_VERSIONS:]
        for old in dropped:
            _remove(old)
        return version

    def get(self, number: int | None) -> Version | None:
        """Return a version by its number, or None if there is none, or none any more."""
        with self._lock:
            return next((version for version in self._kept if version.number == number), None)

    def find(self, number: int) -> Version:
        """Return a version by its number.

        Raises:
            KeyError: there is none, or none any more.

        """
        found = self.get(number)
        if found is None:
            raise KeyError(f"there is no version {number} any more")
        return found

    def remove(self, number: int) -> None:
        """Remove a version."""
        version = self.find(number)
        with self._lock:
            self._kept = [each for each in self._kept if each is not version]
        _remove(version)

    def facts(self) -> list[dict[str, Any]]:
        """All versions for the page."""
        with self._lock:
            return [version.facts() for version in self._kept]

    def download(self, number: int, form: str) -> Path:
        """Return the file of a version in a form of ``FORMS``, as the command saves it.

        Raises:
            KeyError: there is no such version or form.
            ImportError: 16 bits need libvips, and it is not installed.

        """
        suffix, depth = FORMS[form]
        version = self.find(number)
        if form == "png":
            return version.picture
        path = version.picture.with_suffix(suffix)
        if not path.exists():
            if depth == 8:
                with Image.open(version.picture) as picture:
                    save_image(picture.convert("RGB"), path, overwrite=True, note=note(version.painted))
            else:
                save_image(exact_picture(version), path, overwrite=True, depth=depth, note=note(version.painted))
        return path


def exact_picture(version: Version) -> Tensor:
    """Return the picture of a version before it was rounded, (1, 3, H, W)."""
    return torch.from_numpy(np.load(version.exact))


def _remove(version: Version) -> None:
    for path in (version.picture, version.exact, *(version.picture.with_suffix(s) for s, _ in FORMS.values())):
        path.unlink(missing_ok=True)
