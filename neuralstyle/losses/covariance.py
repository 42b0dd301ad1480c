"""Style as the mean and covariance of features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from neuralstyle.losses.base import Reference, StatisticLoss, settle
from neuralstyle.losses.gram import STYLE_LAYERS
from neuralstyle.losses.tools.moments import mean_and_covariance, moment_sums
from neuralstyle.losses.tools.relative import relative

FLAT = 1e-4


@dataclass(frozen=True)
class CovarianceLoss(StatisticLoss):
    r"""Squared difference between covariance matrices, and between means.

    $$
    L_l = \frac{1}{2} \frac{\lVert \Sigma - \Sigma_S \rVert^2}{\lVert \Sigma_S \rVert^2 + 10^{-4} |\mu_S|^4}
    + \frac{1}{2} \frac{|\mu - \mu_S|^2}{|\mu_S|^2}
    $$

    A Gram matrix is $\Sigma + \mu \mu^\top$ and mostly mean after a ReLU; apart, both count the same. Each share is
    divided by its value for a result without features, so the loss is then about 1; the small second summand keeps it
    finite for a style without any structure.

    Args:
        layers: where statistics are compared, one name or several; (B, C, h, w) each.
        layer_weights: a weight for each layer; None: 1 / (number of layers).
        reference: "style", or "content".

    Raises:
        ValueError: no layers.

    Example:
        ```python
        import torch
        from neuralstyle import CovarianceLoss

        F, S = torch.rand(1, 64, 32, 32), torch.rand(1, 64, 40, 24)
        assert CovarianceLoss("relu1_1").forward(S, S) == 0
        assert CovarianceLoss("relu1_1").forward(F, S) > 0
        ```

    Paper: Sun and Saenko, Deep CORAL, arXiv 1607.01719: the covariances, there divided by $4 C^2$ and without means,
    which a picture needs for its colours.

    """

    layers: str | Sequence[str] = STYLE_LAYERS
    layer_weights: Sequence[float] | None = None
    reference: Reference = "style"

    def __post_init__(self) -> None:
        settle(self)

    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
        """Sums of products and of features: (B, C, N), (B, 1, N) -> (B, C + 1, C)."""
        return moment_sums(x, weight)

    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        """Both shares, averaged over the batch."""
        (mean, covariance), (its_mean, its_covariance) = map(mean_and_covariance, (actual, target))
        level = its_mean.square().sum(1)
        structure = its_covariance.square().sum((1, 2)) + FLAT * level.square()
        spread = relative((covariance - its_covariance).square().sum((1, 2)), structure)
        return 0.5 * (spread + relative((mean - its_mean).square().sum(1), level))
