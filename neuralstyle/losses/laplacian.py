"""Content as its edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralstyle.losses.base import Loss, Reference
from neuralstyle.losses.tools.alignment import check_aligned
from neuralstyle.losses.tools.relative import relative
from neuralstyle.losses.tools.sampling import check_count

# Mean squared Laplacian. No photograph of a thousand, at 512 pixels and averaged over 8 x 8, has less.
MIN_LAPLACIAN_POWER = 1e-3


@dataclass(frozen=True)
class LaplacianLoss(Loss):
    r"""Squared difference between the Laplacians of two pictures, after pooling.

    $$
    L = \frac{\sum |\Delta(\operatorname{pool}_p x) - \Delta(\operatorname{pool}_p c)|^2}
    {\sum |\Delta(\operatorname{pool}_p c)|^2}, \qquad
    (\Delta x)_{ij} = 4 x_{ij} - x_{i-1,j} - x_{i+1,j} - x_{i,j-1} - x_{i,j+1}
    $$

    Add it to ``ContentLoss`` to keep lines and small detail of a photograph that deep features lose. The divisor
    makes it 1 for a flat picture. As a mean over positions and channels the divisor is at least 0.001, so faint edges
    do not get a large weight. The average over p x p pixels ignores noise and the style's finest texture. It sees whole
    maps and is exact in tiles.

    The average over a box has the same gradient at all its pixels, so with a large weight the boxes show in flat areas.
    ``smooth`` averages over twice the width with linearly falling weights: neighbouring windows overlap, and the
    gradient changes evenly from one to the next.

    Args:
        pool: p, in positions; the paper uses 4, 16, or a sum of both.
        smooth: False for the paper's boxes, True for overlapping triangular windows of the same spacing.
        reference: "content" or "previous".

    Raises:
        ValueError: ``pool`` is below 1.

    Example:
        ```python
        import torch
        from neuralstyle.losses import LaplacianLoss

        photo = torch.rand(1, 3, 64, 48)
        loss = LaplacianLoss() + LaplacianLoss(pool=16)
        assert LaplacianLoss()(photo + 0.1, photo) < 1e-6  # brightness is free
        ```

    Paper: Li, Xu, Nie and Chua, arXiv 1707.01253. Departures: the divisor, repeated borders, and ``smooth``.

    """

    layers: str | Sequence[str] = ("image",)
    pool: int = 4
    smooth: bool = False
    layer_weights: Sequence[float] | None = None
    reference: Reference = "content"
    needs_positions: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_aligned(self)
        check_count(self, "pool")

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The difference between maps of one size, averaged over the batch."""
        average = _overlapping if self.smooth else _boxes
        edges, target_edges = (_laplacian(average(maps, self.pool)) for maps in (x, target))
        scale = target_edges.square().mean((1, 2, 3)).clamp(min=MIN_LAPLACIAN_POWER)
        return relative((edges - target_edges).square().mean((1, 2, 3)), scale)


def _laplacian(x: Tensor) -> Tensor:
    around = F.pad(x, (1, 1, 1, 1), mode="replicate")
    across = around[..., 1:-1, :-2] + around[..., 1:-1, 2:]
    down = around[..., :-2, 1:-1] + around[..., 2:, 1:-1]
    return 4 * x - across - down


def _boxes(x: Tensor, pool: int) -> Tensor:
    """Averages over boxes side by side; the last boxes are smaller if the size is not a multiple of the pool."""
    return F.avg_pool2d(x, pool, ceil_mode=True, count_include_pad=False) if pool > 1 else x


def _overlapping(x: Tensor, pool: int) -> Tensor:
    """Averages around the same centres over windows that overlap, with borders repeated."""
    half, (height, width) = pool // 2, x.shape[2:]
    offsets = torch.arange(pool + 2 * half, dtype=x.dtype, device=x.device) - half - (pool - 1) / 2
    weights = 1 - offsets.abs() / pool
    weights = weights / weights.sum()
    below, beside = half + -height % pool, half + -width % pool
    planes = F.pad(x, (half, beside, half, below), mode="replicate").flatten(0, 1).unsqueeze(1)
    columns = F.conv2d(planes, weights.view(1, 1, -1, 1), stride=(pool, 1))
    cells = F.conv2d(columns, weights.view(1, 1, 1, -1), stride=(1, pool))
    return cells.view(*x.shape[:2], *cells.shape[2:])
