"""Style as patches, each compared with the nearest patch of the style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from neuralstyle.losses.base import PointwiseLoss, Reference
from neuralstyle.losses.tools.nearest import direction, nearest
from neuralstyle.losses.tools.relative import MIN_SCALE
from neuralstyle.losses.tools.sampling import check_count, check_seed, sample


@dataclass(frozen=True)
class MRFLoss(PointwiseLoss):
    r"""Squared difference between every 3 x 3 patch of features and the most similar patch of the style.

    $$
    L_l = \frac{\frac{1}{M} \sum_p |\Psi_p - \Psi^S_{n(p)}|^2}{\frac{1}{M'} \sum_q |\Psi^S_q|^2},
    \qquad n(p) = \arg\max_q \frac{\Psi_p \cdot \Psi^S_q}{|\Psi_p|\, |\Psi^S_q|}
    $$

    with $\Psi_p$ (9 C numbers) the features at a position and around it. It keeps whole pieces of the style where the
    result has similar ones. The divisor is the mean square of the style's patches. Time grows with the product of the
    numbers of positions of result and style; memory does not.

    It compares position by position: regions and tiles work, masks of the style do not.

    Args:
        samples: largest number of the style's patches to search, drawn by the seed; None: all.
        seed: seed of the draw, which depends on the number of patches alone.

    Raises:
        ValueError: samples below 1, or a negative seed.

    Example:
        ```python
        import torch
        from neuralstyle.losses import MRFLoss

        S = torch.rand(1, 8, 16, 16)
        assert MRFLoss("relu3_1")(S, S) == 0
        assert MRFLoss("relu3_1")(torch.rand(1, 8, 12, 20), S) > 0.1
        ```

    Paper: Li and Wand, arXiv 1601.04589, at relu3_1 and relu4_1. Departures: the divisor; borders are repeated, so
    that every position has a patch; the search may be sampled; no rotated or scaled copies of the style.

    """

    layers: str | Sequence[str] = ("relu3_1", "relu4_1")
    samples: int | None = 4096
    layer_weights: Sequence[float] | None = None
    seed: int = 0
    reference: Reference = field(default="style", init=False, repr=False)
    reach: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self, "samples", optional=True)
        check_seed(self)

    def error(self, x: Tensor, target: Tensor) -> Tensor:
        """The relative error of each patch: (B, C, h, w) and the style's whole map -> (B, 1, h, w)."""
        patches, style_patches = _patches(x), sample(_patches(target), self.samples, self.seed)
        scale = style_patches.square().sum(1).mean(1).clamp(min=MIN_SCALE)
        error = (patches - nearest(patches, direction(style_patches), style_patches)).square().sum(1)
        return (error / scale[:, None]).view(-1, 1, *x.shape[2:])


def _patches(x: Tensor) -> Tensor:
    """Each position with its neighbours, (B, C, h, w) -> (B, 9 C, h w)."""
    return F.unfold(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3)
