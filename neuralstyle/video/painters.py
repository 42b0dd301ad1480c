"""Painters: what paints the frames of a scene, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from torch import Tensor

from neuralstyle.video.references import WarpedFrame


class Scene(Protocol):
    """Paints the frames of one scene, one after the other. Frames are (1, 3, H, W) in [0, 1], on the CPU."""

    @property
    def holds(self) -> bool:
        """Whether the paint stays as it is where the content is still."""

    def first(self, content: Tensor) -> Tensor:
        """Paint a frame that no other is before."""

    def next(self, content: Tensor, earlier: Sequence[WarpedFrame]) -> Tensor:
        """Paint a frame that earlier ones are warped to."""

    def again(self, content: Tensor, painted: Tensor, earlier: Sequence[WarpedFrame]) -> Tensor:
        """Paint a frame once more, in another pass.

        Args:
            content: the frame.
            painted: what the pass before has made of it.
            earlier: frames that this pass has painted earlier, warped to it: later ones of the clip if it goes
                backwards. There may be none.

        """


HOLDS_FROM = 0.5
"""The steadiness from which on paint stays as it is where the content is still."""

Painter: TypeAlias = Callable[[Tensor], Scene]
"""From the first content of a scene to what paints the scene. It can be pickled."""
