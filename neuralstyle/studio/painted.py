"""What a picture was painted by."""

from __future__ import annotations

from dataclasses import dataclass, replace

from neuralstyle.studio.scene import Scene


@dataclass(frozen=True)
class Painted:
    """A picture, and what it was painted by.

    Attributes:
        scene: the photograph, the paintings and the dials.
        size: longest side of the result in pixels, as the command says it.
        schedule: the name of the schedule.
        iterations: evaluations after which it was taken, or None if the painting was finished.
        is_exact: whether the command paints the same bytes: it began at the photograph, and no dial was turned since.
        tile: the tile, as the command says it.

    """

    scene: Scene
    size: int
    schedule: str
    iterations: int | None
    is_exact: bool
    tile: int | str | None = None


def finished(painted: Painted) -> Painted:
    """Return what would be painted if the painting ran to its end."""
    return replace(painted, iterations=None)
