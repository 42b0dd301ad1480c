"""Frames painted by a trained network, and held to the frames before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from neuralstyle.feedforward.files import load_on_device
from neuralstyle.feedforward.tiled import run_model
from neuralstyle.video.painters import HOLDS_FROM, Scene
from neuralstyle.video.references import WarpedFrame, composed, held

NETWORK_SHARE = 0.9
"""Share of the earlier frame in a frame of a trained network at a steadiness of 1, where the earlier frame counts."""


@dataclass(frozen=True, eq=False)
class ByNetwork:
    r"""Paints a scene with a trained network, as ``apply_model`` does, and steadies what it paints.

    With n the frame as the network paints it, $\omega$ the earlier frame, warped, and c its mask,

    $$
    x = n + s\, c\, (\omega - n)
    $$

    is where $(1 - s) |x - n|^2 + s\, c\, |x - \omega|^2$ is least for c = 1: the temporal loss on the pixels, with no
    need to optimise. In another pass n is the frame of the pass before.

    Args:
        network: a loaded network, or its file.
        tile: as in ``apply_model``.
        device: as in ``apply_model``.
        steadiness: from 0 to 1; s is ``NETWORK_SHARE`` times it.

    """

    network: Any
    tile: int | None
    device: Any
    steadiness: float

    def __call__(self, content: Tensor) -> Scene:
        """Begin a scene."""
        return _NetworkScene(
            load_on_device(self.network, self.device),
            self.tile,
            NETWORK_SHARE * self.steadiness,
            self.steadiness >= HOLDS_FROM,
        )


@dataclass(frozen=True, eq=False)
class _NetworkScene:
    network: Callable[[Tensor], Tensor]
    tile: int | None
    share: float
    holds: bool

    def first(self, content: Tensor) -> Tensor:
        """The network's picture."""
        return run_model(self.network, content, self.tile).cpu()

    def next(self, content: Tensor, earlier: Sequence[WarpedFrame]) -> Tensor:
        """The network's picture, drawn towards the earlier frames."""
        return self.again(content, self.first(content), earlier)

    def again(self, content: Tensor, painted: Tensor, earlier: Sequence[WarpedFrame]) -> Tensor:
        """The picture of the pass before, drawn towards the frames of this one."""
        if not earlier:
            return painted
        share = (1 - self.share) * held(earlier) + self.share if self.holds else self.share
        return painted.lerp(composed(earlier, painted), share)
