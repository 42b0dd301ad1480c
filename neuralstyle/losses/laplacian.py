"""Content as its edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from neuralstyle.losses.base import Loss, Reference, settle
from neuralstyle.losses.sampling import check_count
from neuralstyle.losses.scale import relative

FAINT = 1e-6  # the mean squared Laplacian of a picture without edges


@dataclass(frozen=True)
class LaplacianLoss(Loss):
    r"""Squared difference between the Laplacians of two pictures, after pooling.

    $$
    L = \frac{\sum |\Delta(\operatorname{pool}_p x) - \Delta(\operatorname{pool}_p c)|^2}
    {\sum |\Delta(\operatorname{pool}_p c)|^2}, \qquad
    (\Delta x)_{ij} = 4 x_{ij} - x_{i-1,j} - x_{i+1,j} - x_{i,j-1} - x_{i,j+1}
    $$

    Keeps lines and small detail of a photograph that deep features lose, to be used beside ``ContentLoss``. The
    divisor makes it 1 for a flat picture. The average over p x p pixels ignores noise and the style's finest texture.
    It sees whole maps, exact in tiles.

    Args:
        layers: "image", or features.
        pool: p, in positions; the paper uses 4, 16, or a sum of both.
        layer_weights: a weight for each layer; None: 1 / (number of layers).
        reference: "content", or "previous".

    Raises:
        ValueError: no layers, or a pool below 1.

    Example:
        ```python
        import torch
        from neuralstyle import LaplacianLoss

        photo = torch.rand(1, 3, 64, 48)
        loss = LaplacianLoss() + LaplacianLoss(pool=16)
        assert LaplacianLoss().forward(photo + 0.1, photo) < 1e-6  # brightness is free
        ```

    Paper: Li, Xu, Nie and Chua, arXiv 1707.01253. Departures: the divisor, and repeated borders.

    """

    layers: str | Sequence[str] = ("image",)
    pool: int = 4
    layer_weights: Sequence[float] | None = None
    reference: Reference = "content"

    def __post_init__(self) -> None:
        settle(self)
        check_count(self, "pool")

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The difference between two maps of one size, averaged over the batch."""
        edges, its = _laplacian(x, self.pool), _laplacian(target, self.pool)
        scale = its.square().mean((1, 2, 3)).clamp(min=FAINT)
        return relative((edges - its).square().mean((1, 2, 3)), scale)


def _laplacian(x: Tensor, pool: int) -> Tensor:
    """The Laplacian of a pooled map; its last cells are smaller where the size is no multiple of the pool."""
    pooled = F.avg_pool2d(x, pool, ceil_mode=True, count_include_pad=False) if pool > 1 else x
    around = F.pad(pooled, (1, 1, 1, 1), mode="replicate")
    across = around[..., 1:-1, :-2] + around[..., 1:-1, 2:]
    down = around[..., :-2, 1:-1] + around[..., 2:, 1:-1]
    return 4 * pooled - across - down
