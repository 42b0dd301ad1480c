"""Content as what is like what within the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from neuralstyle.losses.base import Loss, Reference, settle
from neuralstyle.losses.tools.nearest import direction
from neuralstyle.losses.tools.sampling import check_count, check_seed, sample


@dataclass(frozen=True)
class SelfSimilarityLoss(Loss):
    r"""Difference between the patterns of distances among the features of one picture and of the other.

    With $D_{pq}$ the cosine distances among n positions of the result, and $D^C_{pq}$ among the same of the content,

    $$ L_l = \frac{1}{n} \sum_{pq} \left| \frac{D_{pq}}{\sum_r D_{rq}} - \frac{D^C_{pq}}{\sum_r D^C_{rq}} \right| $$

    What was alike stays alike and what was different stays different, but colours and brightness may change
    altogether: freer than ``ContentLoss``. Between 0 and 2 for any n. It sees whole maps, exact in tiles.

    Args:
        layers: where features are compared, one name or several; (B, C, h, w) each.
        samples: how many positions count at most, drawn by the seed; None: all. Memory and time grow with the square.
        layer_weights: a weight for each layer; None: 1 / (number of layers).
        seed: of the draw, which depends on nothing else but the number of positions.
        reference: "content", or "previous".

    Raises:
        ValueError: no layers, samples below 1, or a negative seed.

    Example:
        ```python
        import torch
        from neuralstyle import SelfSimilarityLoss

        F, P = torch.rand(2, 1, 8, 16, 16)
        loss = SelfSimilarityLoss("relu4_2")
        assert loss.forward(3 * P, P) < 1e-4 < loss.forward(F, P) < 2
        ```

    Paper: Kolkin, Salavon and Shakhnarovich, STROTSS, arXiv 1904.12785, there with 1 / n^2; 1 / n makes the value
    independent of the sample's size. There on all layers joined, and with a new sample at each step.

    """

    layers: str | Sequence[str] = ("relu3_1", "relu4_1")
    samples: int | None = 1024
    layer_weights: Sequence[float] | None = None
    seed: int = 0
    reference: Reference = "content"

    def __post_init__(self) -> None:
        settle(self)
        check_count(self, "samples", optional=True)
        check_seed(self)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The difference between two maps of one size, averaged over the batch."""
        pattern, its = (_pattern(sample(maps.flatten(2), self.samples, self.seed)) for maps in (x, target))
        return (pattern - its).abs().sum(1).mean()


def _pattern(x: Tensor) -> Tensor:
    """Cosine distances between positions as shares of each column: (B, C, n) -> (B, n, n)."""
    unit = direction(x)
    length = unit.square().sum(1)
    distance = 0.5 * (length[:, :, None] + length[:, None, :]) - unit.transpose(1, 2) @ unit
    # The floor is that of rounding, where all positions are alike.
    return distance / distance.sum(1, keepdim=True).clamp(min=1e-6 * x.shape[2])
