"""Style as features that occur together at a distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from neuralstyle._errors import brief, is_whole
from neuralstyle.losses.base import Loss, Reference
from neuralstyle.losses.tools.relative import relative


@dataclass(frozen=True)
class LongRangeLoss(Loss):
    r"""Squared difference between Gram matrices of features and their shifted copies.

    $$
    G_\delta = \frac{1}{M_\delta} \sum_p f_p f_{p + \delta}^\top, \qquad
    L_l = \frac{\sum_\delta \lVert G_\delta - G^S_\delta \rVert^2}{\sum_\delta \lVert G^S_\delta \rVert^2}
    $$

    over shifts $\delta$ to the right and downwards; $M_\delta$ is the number of positions that have a partner. Regular
    textures (bricks, weaves, stripes) keep their period, which Gram matrices forget. The divisor makes it 1 for a
    result without features. It sees whole maps: it is exact in tiles, and takes no masks and regions.

    Args:
        shifts: distances in positions of the layer's grid. Shifts that do not fit into both maps are left out.

    Raises:
        ValueError: no shifts, or one below 1.

    Example:
        ```python
        import torch
        from neuralstyle.losses import LongRangeLoss

        stripes = (torch.arange(32) % 8 < 4).float().expand(1, 1, 32, 32)
        loss = LongRangeLoss("image", shifts=(4, 8))
        assert loss(stripes, stripes) == 0
        assert loss(stripes[..., torch.randperm(32)], stripes) > 0.01
        ```

    Papers: Berger and Memisevic, arXiv 1606.01286; Sendik and Cohen-Or, ACM Transactions on Graphics 2017, compare
    each channel with itself instead, at all shifts up to half the map. Departures: the divisor, and shifts of several
    lengths at once.

    """

    layers: str | Sequence[str] = ("relu2_1", "relu3_1", "relu4_1")
    shifts: Sequence[int] = (4, 8, 16)
    layer_weights: Sequence[float] | None = None
    reference: Reference = "style"
    needs_positions: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "shifts", tuple(self.shifts))
        if not self.shifts or any(not is_whole(shift) or shift < 1 for shift in self.shifts):
            raise ValueError(f"shifts of LongRangeLoss are whole numbers of at least 1, received {brief(self.shifts)}")

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The distance between maps of any two sizes, averaged over the batch; 0 if no shift fits."""
        error, scale = 0 * x.sum((1, 2, 3)), target.new_zeros(target.shape[0])
        for dim in (2, 3):
            for shift in self.shifts:
                if shift < min(x.shape[dim], target.shape[dim]):
                    target_gram = _shifted_gram(target, shift, dim)
                    error = error + (_shifted_gram(x, shift, dim) - target_gram).square().sum((1, 2))
                    scale = scale + target_gram.square().sum((1, 2))
        return relative(error, scale)


def _shifted_gram(x: Tensor, shift: int, dim: int) -> Tensor:
    """The mean of f_p f_(p + shift)^T over positions, shifted along a dimension: (B, C, h, w) -> (B, C, C)."""
    length = x.shape[dim] - shift
    here, there = x.narrow(dim, 0, length).flatten(2), x.narrow(dim, shift, length).flatten(2)
    return torch.matmul(here, there.transpose(1, 2)) / here.shape[2]
