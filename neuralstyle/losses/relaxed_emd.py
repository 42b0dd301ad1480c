"""Style as a set of feature vectors, all of which have to occur."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neuralstyle.losses.base import Loss, Reference
from neuralstyle.losses.tools.nearest import cosine_distance, direction, nearest
from neuralstyle.losses.tools.sampling import check_count, check_seed, sample


@dataclass(frozen=True)
class RelaxedEMDLoss(Loss):
    r"""Relaxed earth mover's distance between sets of features, with the cosine distance.

    $$
    L_l = \max\left(\frac{1}{M} \sum_p \min_q d(f_p, s_q),\; \frac{1}{M'} \sum_q \min_p d(f_p, s_q)\right),
    \qquad d(f, s) = 1 - \cos(f, s)
    $$

    Every feature of the result has to be like one of the style, and every feature of the style has to occur. It lies
    between 0 and 1 for features after a ReLU. It leaves the lengths of vectors free: add ``MeanStdLoss`` for colours
    and contrast, as the paper adds moments. It sees whole maps: it is exact in tiles, and takes no masks and regions.
    Memory does not grow with the product of the numbers of positions.

    Args:
        samples: largest number of positions of each picture to use, drawn by the seed; None: all. Positions that are
            not drawn have no direct gradient, so at shallow layers draw enough to cover the picture.
        seed: seed of the draw, which depends on the number of positions alone.

    Raises:
        ValueError: samples below 1, or a negative seed.

    Example:
        ```python
        import torch
        from neuralstyle.losses import RelaxedEMDLoss

        S = torch.rand(1, 8, 16, 16)
        loss = RelaxedEMDLoss("relu3_1")
        assert loss(S.flip(3), S) == 0
        assert loss(S[..., :4], S) > 0.01  # not all of the style occurs
        ```

    Paper: Kolkin, Salavon and Shakhnarovich, STROTSS, arXiv 1904.12785. Departures: every layer is matched separately,
    instead of all layers joined into hypercolumns; the sample stays the same during an optimisation.

    """

    layers: str | Sequence[str] = ("relu2_1", "relu3_1", "relu4_1")
    samples: int | None = 4096
    layer_weights: Sequence[float] | None = None
    seed: int = 0
    reference: Reference = "style"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self, "samples", optional=True)
        check_seed(self)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The distance between maps of any two sizes, averaged over the batch."""
        features, style = (direction(sample(maps.flatten(2), self.samples, self.seed)) for maps in (x, target))
        style = style.expand(features.shape[0], -1, -1)
        used = cosine_distance(features, nearest(features, style, style)).mean(1)
        covered = cosine_distance(style, nearest(style, features, features)).mean(1)
        return torch.maximum(used, covered).mean()
