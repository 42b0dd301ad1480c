"""Ghosts: what the style puts where the content is empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from neuralstyle._errors import number
from neuralstyle.losses.base import Loss, Reference
from neuralstyle.losses.tools.alignment import check_aligned
from neuralstyle.losses.tools.blurring import blur, shrink

# Deviations of Gaussians, as shares of the longest side. At 384 px the first two are 5 and 24 px, and a disc of 16, 32
# or 64 px keeps two thirds, three quarters or two fifths of its contrast between them.
FINEST, COARSEST = 5 / 384, 24 / 384
MARGIN = 20 / 384  # over which the content's contrast is averaged: what lies so near to a thing is not empty
MOST_CELLS = 96  # along the longest side: ghosts are no fine detail
_LEAST_POWER = 1e-12  # a root has a gradient above 0 only


@dataclass(frozen=True)
class GhostLoss(Loss):
    r"""Contrast of things in the picture where the content is empty.

    With D(x) the difference between two copies of x, blurred by Gaussians whose standard deviations are 5/384 and
    24/384 of the longest side, $c = \sqrt{g * \sum_k D_k(p)^2}$ the contrast of the content p under a Gaussian g of
    20/384, and e its emptiness, which falls from 1 where c is ``empty`` to 0 where it is ``busy``,

    $$
    L = \frac{1}{N} \sum_{ij} e_{ij} \sum_k (D_k(x) - D_k(p))_{ij}^2
    $$

    over the N cells of maps that are reduced to 96 cells along their longest side; borders are repeated.

    Statistics of a style are global, so they put its trees and towers into an empty sky, where nothing else is in their
    way. This loss sees what is 1/24 to 1/6 of the longest side wide, and neither strokes that are finer nor the colour
    of the sky. It leaves a photograph without empty places alone. The mean is over all cells, so a large sky counts
    more than a small one. As it compares with the content, ``scaled("content", 2)`` and ``strength`` multiply it too.
    It sees whole maps, what is transparent too, and is exact in tiles.

    Args:
        empty: contrast below which a place is empty, in units of the layer; RGB in [0, 1] at "image".
        busy: contrast from which on it is not, above ``empty``.
        reference: "content" or "previous".

    Raises:
        ValueError: ``empty`` is below 0, or ``busy`` not above it.

    Example:
        ```python
        import torch
        from neuralstyle.losses import GhostLoss

        sky = torch.full((1, 3, 96, 96), 0.6)
        ghost = sky.clone()
        ghost[..., 40:56, 40:56] = 0.3
        assert GhostLoss()(ghost, sky) > 1e-3
        assert GhostLoss()(sky - 0.2, sky) < 1e-9  # colour is free
        assert GhostLoss()(sky, ghost) < GhostLoss()(ghost, sky) / 10  # things of the content may change
        ```

    No paper; ``metrics.ghost_contrast`` is the measure beside it.

    """

    layers: str | Sequence[str] = ("image",)
    empty: float = 0.015
    busy: float = 0.05
    layer_weights: Sequence[float] | None = None
    reference: Reference = "content"
    needs_positions: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_aligned(self)
        number("the empty of GhostLoss", self.empty, least=0)
        number("the busy of GhostLoss", self.busy, above=self.empty)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The contrast in empty places of maps of one size, averaged over the batch."""
        x, target = (shrink(maps, MOST_CELLS) for maps in (x, target))
        longest = max(x.shape[2:])
        things, wanted = things_of(x, longest), things_of(target, longest)
        power = blur(wanted.square().sum(1, keepdim=True), MARGIN * longest)
        emptiness = ((self.busy - power.clamp(min=_LEAST_POWER).sqrt()) / (self.busy - self.empty)).clamp(0, 1)
        return (emptiness * (things - wanted).square().sum(1, keepdim=True)).mean()


def things_of(maps: Tensor, longest: float) -> Tensor:
    """Return what is as large as a thing in a picture of this longest side: no fine strokes, no slow gradients."""
    return blur(maps, FINEST * longest) - blur(maps, COARSEST * longest)
