"""Style as a histogram of each channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from neuralstyle.losses.base import Loss, Reference
from neuralstyle.losses.tools.quantiles import squared_transport
from neuralstyle.losses.tools.relative import relative


@dataclass(frozen=True)
class HistogramLoss(Loss):
    r"""Squared difference between each channel and the same channel matched to the style's histogram.

    $$
    L_l = \frac{\sum_i \frac{1}{M} \sum_p (F_{ip} - R_{ip})^2}{\sum_i \frac{1}{M'} \sum_p S_{ip}^2},
    \qquad R_i = \operatorname{match}(F_i, S_i)
    $$

    The match keeps the order of a channel's values and gives them the style's histogram. It is exact: each value is
    compared with the style's value at the same quantile (for maps of different sizes, with all that share its
    quantiles), so the loss has the same derivative as with R held constant. It complements Gram matrices, which do not
    fix the histograms. The divisor makes it 1 for a result without features. It sees whole maps: it is exact in tiles,
    and takes no masks and regions.

    Example:
        ```python
        import torch
        from neuralstyle.losses import HistogramLoss

        S = torch.rand(1, 8, 32, 32)
        assert HistogramLoss("relu1_1")(S.flip(3), S) == 0
        assert HistogramLoss("relu1_1")(S.square(), S) > 0.01
        ```

    Paper: Risser, Wilmot and Barnes, arXiv 1701.08893. Departures: exact quantiles instead of bins, and the divisor.

    """

    layers: str | Sequence[str] = ("relu1_1", "relu4_1")
    layer_weights: Sequence[float] | None = None
    reference: Reference = "style"

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The distance between maps of any two sizes, averaged over the batch."""
        x, target = x.flatten(2), target.flatten(2)
        return relative(squared_transport(x, target).sum(1), target.square().mean(2).sum(1))
