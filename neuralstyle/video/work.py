"""The folder of a film that is being painted: its finished frames, and the settings that they were painted with.

A frame appears under its name when it is complete, so a film whose process was killed goes on where it stopped.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from neuralstyle.checkpoint import compare_settings
from neuralstyle.files import check_writable, writing
from neuralstyle.images import save_image

SETTINGS = "settings.json"


def beside(output: Path) -> Path:
    """The folder of a film's frames that lies beside the film."""
    return output.with_name(f"{output.name}.frames")


@dataclass(frozen=True)
class Work:
    """A folder of finished frames.

    Args:
        folder: the folder; it is created by ``begin``.

    """

    folder: Path

    def begin(self, settings: Mapping[str, str]) -> None:
        """Create the folder, or check that it belongs to a film with these settings.

        Raises:
            ValueError: it belongs to another film, or is no such folder.
            OSError: it cannot be written.

        """
        self.check(settings)
        self.folder.mkdir(exist_ok=True)
        if not (self.folder / SETTINGS).exists():
            with writing(self.folder / SETTINGS) as file:
                file.write_text(json.dumps(dict(settings), indent=1) + "\n", encoding="utf-8")

    def check(self, settings: Mapping[str, str] | None = None) -> None:
        """Check the folder, and if settings are given that they are its own."""
        if not self.folder.exists():
            if not self.folder.parent.is_dir():
                raise FileNotFoundError(f"there is no folder {self.folder.parent}; create it first")
            check_writable(self.folder.parent, "use another")
            return
        if not self.folder.is_dir():
            raise NotADirectoryError(f"{self.folder} is a file; give the name of a folder for the frames (--state)")
        check_writable(self.folder, "use another")
        if not self.is_begun:
            if any(self.folder.iterdir()):
                raise ValueError(f"{self.folder} is a folder of something else; give another one for the frames")
            return
        found = self._settings()
        if settings is not None:
            compare_settings(
                found, settings, self.folder, "give the settings and the clip of that film, or remove the folder"
            )

    @property
    def is_begun(self) -> bool:
        """Whether there is a film in the folder to go on with."""
        return (self.folder / SETTINGS).exists()

    def _settings(self) -> dict[str, str]:
        try:
            found = json.loads((self.folder / SETTINGS).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{self.folder / SETTINGS} is damaged ({error}); remove the folder") from error
        if not isinstance(found, dict):
            raise ValueError(f"{self.folder / SETTINGS} is damaged; remove the folder")
        return {str(name): str(value) for name, value in found.items()}

    def path(self, number: int, passes: int = 1) -> Path:
        """The file of a frame after so many passes, by its number in the clip."""
        folder = self.folder if passes == 1 else self.folder / f"pass-{passes}"
        return folder / f"frame-{number + 1:06d}.png"

    def has(self, number: int, passes: int = 1) -> bool:
        """Whether a frame is finished, after so many passes."""
        return self.path(number, passes).exists()

    def passed(self, number: int, most: int) -> int:
        """Return how many passes a frame has been through, from 0 to ``most``."""
        return next((passes for passes in range(most, 0, -1) if self.has(number, passes)), 0)

    def save(self, number: int, image: Image.Image, passes: int = 1) -> None:
        """Save a finished frame."""
        path = self.path(number, passes)
        path.parent.mkdir(exist_ok=True)
        save_image(image, path, overwrite=True)

    def load(self, number: int, passes: int = 1) -> Image.Image:
        """Return a finished frame, as it is after so many passes."""
        with Image.open(self.path(number, passes), formats=["PNG"]) as image:
            copy: Image.Image = image.copy()
            return copy

    def remove(self) -> None:
        """Remove the folder with all frames."""
        shutil.rmtree(self.folder, ignore_errors=True)
