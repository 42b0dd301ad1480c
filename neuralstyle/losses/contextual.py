"""Style as features, each with its own partner in the result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from neuralstyle._errors import number
from neuralstyle.losses.base import Loss, Reference
from neuralstyle.losses.tools.nearest import PAIRS_PER_CHUNK, direction
from neuralstyle.losses.tools.sampling import check_count, check_seed, sample

DISTANCE_OFFSET = 1e-5  # added to the smallest cosine distance, by which the others are divided


@dataclass(frozen=True)
class ContextualLoss(Loss):
    r"""Uncertainty that each feature of the style has its own partner in the result.

    With cosine distances $d_{pq}$ between features $f_p$ of the result and $s_q$ of the style, both less the style's
    mean,

    $$
    \tilde d_{pq} = \frac{d_{pq}}{\min_r d_{pr} + 10^{-5}}, \qquad
    \mathrm{CX}_{pq} = \frac{e^{-\tilde d_{pq} / h}}{\sum_r e^{-\tilde d_{pr} / h}}, \qquad
    L_l = -\frac{1}{\log M'} \log \frac{1}{M'} \sum_q \max_p \mathrm{CX}_{pq}
    $$

    A feature of the result is the partner of a style feature if it is much nearer to it than to all others. The loss
    lies between 0, for a copy, and 1, for a result without features. It leaves the lengths of vectors free: add
    ``MeanStdLoss`` for colours and contrast. It sees whole maps: it is exact in tiles, and takes no masks and regions.
    Distances are computed in chunks, and again for the gradient, so memory does not grow with the product of the
    numbers of positions.

    Args:
        bandwidth: h; a smaller one picks fewer partners.
        samples: largest number of positions of each picture to use, drawn by the seed; None: all. Positions that are
            not drawn have no direct gradient.
        seed: seed of the draw, which depends on the number of positions alone.

    Raises:
        ValueError: a bandwidth that is not positive, samples below 1, or a negative seed.

    Example:
        ```python
        import torch
        from neuralstyle.losses import ContextualLoss

        S = torch.rand(1, 8, 16, 16)
        loss = ContextualLoss("relu3_2")
        assert loss(S.flip(3), S) < 0.01 < loss(torch.rand(1, 8, 12, 20), S)
        ```

    Paper: Mechrez, Talmi and Zelnik-Manor, arXiv 1803.02077, also with h = 0.5 and relu3_2, relu4_2 for style.
    Departure: the divisor $\log M'$, without which the scale depends on the size of the style.

    """

    layers: str | Sequence[str] = ("relu3_2", "relu4_2")
    bandwidth: float = 0.5
    samples: int | None = 4096
    layer_weights: Sequence[float] | None = None
    seed: int = 0
    reference: Reference = "style"
    needs_positions: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        number("the bandwidth of ContextualLoss", self.bandwidth, above=0)
        check_count(self, "samples", optional=True)
        check_seed(self)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The loss between maps of any two sizes, averaged over the batch."""
        mean = target.mean((2, 3))[:, :, None]
        features, style = (direction(sample(maps.flatten(2), self.samples, self.seed) - mean) for maps in (x, target))
        rows = max(1, PAIRS_PER_CHUNK // (x.shape[0] * style.shape[2]))
        best = [
            checkpoint(_similarity, part, style, self.bandwidth, use_reentrant=False, preserve_rng_state=False)
            for part in torch.split(features, rows, 2)
        ]
        return -torch.stack(best).amax(0).mean(1).log().mean() / math.log(max(style.shape[2], 2))


def _similarity(x: Tensor, y: Tensor, bandwidth: float) -> Tensor:
    """The largest similarity that each position of y has with one of x: (B, C, n), (B or 1, C, M) -> (B, M)."""
    lengths = x.square().sum(1)[:, :, None] + y.square().sum(1)[:, None, :]
    distance = (0.5 * lengths - x.transpose(1, 2) @ y).clamp(min=0)
    nearest = distance.amin(2, keepdim=True)
    return (-distance / (bandwidth * (nearest + DISTANCE_OFFSET))).softmax(2).amax(1)
