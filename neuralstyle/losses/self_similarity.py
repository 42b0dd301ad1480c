"""Content as similarity between the places of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from neuralstyle.losses.base import Loss, Reference
from neuralstyle.losses.tools.alignment import check_aligned
from neuralstyle.losses.tools.nearest import direction
from neuralstyle.losses.tools.sampling import check_count, check_seed, sample

MIN_MEAN_DISTANCE = 1e-6  # between positions; where all positions are alike, smaller distances are rounding


@dataclass(frozen=True)
class SelfSimilarityLoss(Loss):
    r"""Difference between the distances among the features of one picture and those of the other.

    With $D_{pq}$ the cosine distances among n positions of the result, and $D^C_{pq}$ those of the content,

    $$ L_l = \frac{1}{n} \sum_{pq} \left| \frac{D_{pq}}{\sum_r D_{rq}} - \frac{D^C_{pq}}{\sum_r D^C_{rq}} \right| $$

    Similar places stay similar and different places stay different, but all colours and brightness may change: it is
    freer than ``ContentLoss``. It lies between 0 and 2 for any n. It sees whole maps and is exact in tiles.

    Args:
        samples: largest number of positions to use, drawn by the seed; None: all. Memory and time grow with its square.
        seed: seed of the draw, which depends on the number of positions alone.
        reference: "content" or "previous".

    Raises:
        ValueError: samples below 1, or a negative seed.

    Example:
        ```python
        import torch
        from neuralstyle.losses import SelfSimilarityLoss

        F, P = torch.rand(2, 1, 8, 16, 16)
        loss = SelfSimilarityLoss("relu4_2")
        assert loss(3 * P, P) < 1e-4 < loss(F, P) < 2
        ```

    Paper: Kolkin, Salavon and Shakhnarovich, STROTSS, arXiv 1904.12785. Departures: 1 / n instead of 1 / n^2, which
    makes the value independent of the sample's size; every layer separately instead of all layers joined; the same
    sample at each step.

    """

    layers: str | Sequence[str] = ("relu3_1", "relu4_1")
    samples: int | None = 1024
    layer_weights: Sequence[float] | None = None
    seed: int = 0
    reference: Reference = "content"
    needs_positions: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_aligned(self)
        check_count(self, "samples", optional=True)
        check_seed(self)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The difference between maps of one size, averaged over the batch."""
        pattern, target_pattern = (_pattern(sample(maps.flatten(2), self.samples, self.seed)) for maps in (x, target))
        return (pattern - target_pattern).abs().sum(1).mean()


def _pattern(x: Tensor) -> Tensor:
    """Cosine distances between positions as shares of each column: (B, C, n) -> (B, n, n)."""
    unit = direction(x)
    length = unit.square().sum(1)
    distance = 0.5 * (length[:, :, None] + length[:, None, :]) - unit.transpose(1, 2) @ unit
    return distance / distance.sum(1, keepdim=True).clamp(min=MIN_MEAN_DISTANCE * x.shape[2])
