"""Style as a histogram of each channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from neuralstyle.losses.base import Loss, Reference, settle
from neuralstyle.losses.tools.quantiles import squared_transport
from neuralstyle.losses.tools.relative import relative


@dataclass(frozen=True)
class HistogramLoss(Loss):
    r"""How far every channel is from its own values, brought to the distribution that the style has there.

    $$
    L_l = \frac{\sum_i \frac{1}{M} \sum_p (F_{ip} - R_{ip})^2}{\sum_i \frac{1}{M'} \sum_p S_{ip}^2},
    \qquad R_i = \operatorname{match}(F_i, S_i)
    $$

    The match keeps the order of a channel's values and gives them the style's histogram. It is exact: a value is
    compared with the style's at its own quantile, so the derivative with R held constant is the loss's own, and for
    maps of different sizes with all that share its quantiles. Meant to go with Gram matrices, which do not fix the
    histograms. The divisor makes it 1 for a result without features. It sees whole maps: exact in tiles, without
    masks and regions.

    Args:
        layers: where histograms are compared, one name or several; (B, C, h, w) each.
        layer_weights: a weight for each layer; None: 1 / (number of layers).
        reference: "style", or "content".

    Raises:
        ValueError: no layers.

    Example:
        ```python
        import torch
        from neuralstyle import HistogramLoss

        S = torch.rand(1, 8, 32, 32)
        assert HistogramLoss("relu1_1").forward(S.flip(3), S) == 0
        assert HistogramLoss("relu1_1").forward(S.square(), S) > 0.01
        ```

    Paper: Risser, Wilmot and Barnes, arXiv 1701.08893. Departures: exact quantiles instead of bins, and the divisor.

    """

    layers: str | Sequence[str] = ("relu1_1", "relu4_1")
    layer_weights: Sequence[float] | None = None
    reference: Reference = "style"

    def __post_init__(self) -> None:
        settle(self)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The distance between two maps of any sizes, averaged over the batch."""
        x, target = x.flatten(2), target.flatten(2)
        return relative(squared_transport(x, target).sum(1), target.square().mean(2).sum(1))
