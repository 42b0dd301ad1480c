"""Style as the mean and covariance of features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from neuralstyle.losses.base import Reference, StatisticLoss
from neuralstyle.losses.gram import STYLE_LAYERS
from neuralstyle.losses.tools.moments import mean_and_covariance, moment_sums
from neuralstyle.losses.tools.relative import relative
from neuralstyle.losses.tools.squares import squared_distance

MIN_COVARIANCE_NORM = 1e-4  # of the style, squared, as a multiple of |mean|^4


@dataclass(frozen=True)
class CovarianceLoss(StatisticLoss):
    r"""Squared difference between covariance matrices, and between means.

    $$
    L_l = \frac{1}{2} \frac{\lVert \Sigma - \Sigma_S \rVert^2}{\lVert \Sigma_S \rVert^2 + 10^{-4} |\mu_S|^4}
    + \frac{1}{2} \frac{|\mu - \mu_S|^2}{|\mu_S|^2}
    $$

    A Gram matrix is $\Sigma + \mu \mu^\top$, and after a ReLU mostly the second summand. Here both have equal weight.
    Each is divided by its value for a result without features, for which the loss is then about 1. The small summand in
    the divisor keeps the loss finite for a style without structure.

    Example:
        ```python
        import torch
        from neuralstyle.losses import CovarianceLoss

        F, S = torch.rand(1, 64, 32, 32), torch.rand(1, 64, 40, 24)
        assert CovarianceLoss("relu1_1")(S, S) == 0
        assert CovarianceLoss("relu1_1")(F, S) > 0
        ```

    Paper: Sun and Saenko, Deep CORAL, arXiv 1607.01719. Departures: the divisor, which there is $4 C^2$, and the means,
    which pin a picture's colours.

    """

    layers: str | Sequence[str] = STYLE_LAYERS
    layer_weights: Sequence[float] | None = None
    reference: Reference = "style"

    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
        """Sums of products and of features: (B, C, N), (B, 1, N) -> (B, C + 1, C)."""
        return moment_sums(x, weight)

    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        """Both shares, averaged over the batch."""
        (mean, covariance), (target_mean, target_covariance) = map(mean_and_covariance, (actual, target))
        level = target_mean.square().sum(1)
        structure = target_covariance.square().sum((1, 2)) + MIN_COVARIANCE_NORM * level.square()
        spread = relative(squared_distance(covariance, target_covariance, (1, 2)).flatten(), structure)
        return 0.5 * (spread + relative((mean - target_mean).square().sum(1), level))
