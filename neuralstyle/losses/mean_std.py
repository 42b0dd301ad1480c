"""Style as means and standard deviations of channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neuralstyle.losses.base import Reference, StatisticLoss
from neuralstyle.losses.gram import STYLE_LAYERS
from neuralstyle.losses.tools.relative import relative
from neuralstyle.losses.tools.squares import squared_distance

MIN_VARIANCE = 1e-6  # added to every variance, so that the root has a derivative where a channel is constant


@dataclass(frozen=True)
class MeanStdLoss(StatisticLoss):
    r"""Squared differences of the channels' means and standard deviations.

    $$
    L_l = \frac{\sum_i (\mu_i - \mu^S_i)^2 + (\sigma_i - \sigma^S_i)^2}{\sum_i (\mu^S_i)^2 + (\sigma^S_i)^2},
    \qquad \sigma_i^2 = \operatorname{var}_i + 10^{-6}
    $$

    The divisor is the style's own value, so the loss is about 1 for a result without features, and one weight suits all
    styles. Two numbers per channel say little about texture, but they pin brightness and contrast, which Gram matrices
    leave free. Both together:

    ```python
    from neuralstyle import GramStyleLoss
    from neuralstyle.losses import MeanStdLoss

    style = GramStyleLoss(normalization="relative") + MeanStdLoss()
    ```

    Example:
        ```python
        import torch
        from neuralstyle.losses import MeanStdLoss

        S = torch.rand(1, 64, 32, 32)
        assert MeanStdLoss("relu1_1")(S.flip(3), S) < 1e-9
        assert torch.isclose(MeanStdLoss("relu1_1")(0 * S, S), torch.tensor(1.0), atol=0.01)
        ```

    Paper: Li, Wang, Liu and Hou, arXiv 1701.01036 (matching of BN statistics). Departures: the divisor, which there is
    the number of channels, and the summand 1e-6 in the variance.

    """

    layers: str | Sequence[str] = STYLE_LAYERS
    layer_weights: Sequence[float] | None = None
    reference: Reference = "style"

    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
        """Sums of each channel and of its square: (B, C, N), (B, 1, N) -> (B, 2, C)."""
        return torch.cat([weight @ x.transpose(1, 2), weight @ x.square().transpose(1, 2)], 1)

    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        """The squared differences over the target's squares, averaged over the batch."""
        target = _mean_and_deviation(target)
        error = squared_distance(_mean_and_deviation(actual), target, (1, 2)).flatten()
        return relative(error, target.square().sum((1, 2)))


def _mean_and_deviation(moments: Tensor) -> Tensor:
    mean, square = moments.unbind(1)
    deviation = ((square - mean.square()).clamp(min=0) + MIN_VARIANCE).sqrt()
    return torch.stack([mean, deviation], 1)
