"""From what a network has painted to the result: whose colours it has, how much of it is painted, its file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from neuralstyle._errors import is_word, number, unknown, whole_number
from neuralstyle._words import COLORS, MATCHINGS, Color
from neuralstyle.color import recolor_result, recolor_style
from neuralstyle.images import check_output, save_image
from neuralstyle.images.cutouts import Cutout, seen_pixels, with_opacity


@dataclass(frozen=True)
class Finish:
    """What is done to a painted picture, and how it is saved; the options of ``apply_files``.

    Raises:
        ValueError: an unknown ``color``, or a number outside its range.

    """

    color: Color = "style"
    strength: float = 1.0
    depth: int = 8
    quality: int = 95
    keep_profile: bool = False
    overwrite: bool = False
    dpi: float | None = None

    def __post_init__(self) -> None:
        if not is_word(self.color, COLORS):
            raise unknown("color", self.color, COLORS)
        object.__setattr__(self, "strength", number("strength", self.strength, least=0, most=1))
        whole_number("quality", self.quality, 1, 100)

    def picture(self, painted: Tensor, content: Cutout) -> Tensor:
        """Return a painted picture in its final colours.

        Args:
            painted: (1, 3, H, W) in [0, 1].
            content: what it was painted from, of the same size.

        Returns:
            (1, 3, H, W) in [0, 1], with the content's opacity as a fourth channel if there is one.

        """
        if self.color in MATCHINGS:
            painted = recolor_style(painted, seen_pixels(content.colors, content.opacity), self.color)
        else:
            painted = recolor_result(painted, content.colors, self.color, levels=2**self.depth)
        if self.strength < 1:
            painted = content.colors.lerp(painted, self.strength)
        return with_opacity(painted, content.opacity)

    def check(self, file: Path, result: Path) -> None:
        """Check that the result of a picture can be saved, see ``check_output``."""
        check_output(result, self.overwrite, depth=self.depth, profile=self._profile(file), dpi=self.dpi)

    def save(self, picture: Tensor, file: Path, result: Path, note: str | None = None) -> Path:
        """Save the result of a picture, see ``save_image``."""
        form: dict[str, Any] = {"depth": self.depth, "profile": self._profile(file), "dpi": self.dpi, "note": note}
        return save_image(picture, result, self.overwrite, self.quality, **form)

    def _profile(self, file: Path) -> Path | None:
        return file if self.keep_profile else None
