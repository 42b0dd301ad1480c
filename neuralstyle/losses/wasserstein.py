"""Style as a Gaussian distribution of features, compared by optimal transport."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from neuralstyle._errors import is_word, unknown
from neuralstyle.losses.base import Reference, StatisticLoss
from neuralstyle.losses.gram import STYLE_LAYERS
from neuralstyle.losses.tools.moments import mean_and_covariance, moment_sums
from neuralstyle.losses.tools.relative import MIN_SCALE, relative
from neuralstyle.losses.tools.roots import overlap

Normalization = Literal["relative", "channels"]
NORMALIZATIONS: tuple[Normalization, ...] = get_args(Normalization)

COVARIANCE_RIDGE, MOST_CHANNELS = 1e-5, 128
"""What variances are raised by: a share of the sum of squared channels, over the number of channels or 128 at most.

Sums of products in float32 have eigenvalues down to -4e-8 of that sum, with 128 to 512 channels and fewer positions.
"""


@dataclass(frozen=True)
class WassersteinLoss(StatisticLoss):
    r"""Squared 2-Wasserstein distance between Gaussians with the features' means and covariances.

    $$
    L_l = \frac{|\mu - \mu_S|^2 + \operatorname{tr}\left(\Sigma + \Sigma_S
    - 2 (\Sigma_S^{1/2} \Sigma \Sigma_S^{1/2})^{1/2}\right)}{|\mu_S|^2 + \operatorname{tr} \Sigma_S}
    $$

    The divisor is the style's mean squared feature, which is the value for a result without features. Unlike a
    comparison of Gram matrices this grows with the square of a difference in features, not with its fourth power, and
    pins means and variances separately.

    The trace of the root is a sum of roots of eigenvalues, and its derivative is half the optimal transport between the
    Gaussians, which needs no differences between eigenvalues. Both diagonals are raised by $10^{-5}$ of the divisor
    over the number of channels, of which 128 count at most. This keeps the derivative finite where features do not
    vary, and is above the rounding of sums, by which variances would be negative where there are fewer positions than
    channels. The loss is computed in double precision: by a C x C eigendecomposition at each layer, on CUDA by an
    iteration (Newton and Schulz's), for which the processor does not wait. With many channels this takes time at small
    sizes: 512 take 16 times those of 128.

    Args:
        normalization: "relative", the formula above; or "channels", divided by the number of channels instead, as in
            style-transfer-pytorch: the mean over channels of the squared distance, which grows with the activations.

    Raises:
        ValueError: an unknown normalization.

    Example:
        ```python
        import torch
        from neuralstyle.losses import WassersteinLoss

        S = torch.rand(1, 8, 32, 32)
        moved = WassersteinLoss("relu1_1")(S + 1, S)  # every channel by 1
        assert torch.isclose(moved, 8 / S.square().sum(1).mean(), rtol=1e-4)
        ```

    Papers: Vacher, Davila, Kohn and Coen-Cagli, arXiv 2006.03698; Mroueh, arXiv 1905.12828. Departures: the divisor
    and the raised diagonals. style-transfer-pytorch (Katherine Crowson) compares features by it in style transfer.

    """

    layers: str | Sequence[str] = STYLE_LAYERS
    layer_weights: Sequence[float] | None = None
    reference: Reference = "style"
    normalization: Normalization = "relative"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_word(self.normalization, NORMALIZATIONS):
            raise unknown("normalization", self.normalization, NORMALIZATIONS)

    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
        """Sums of products and of features: (B, C, N), (B, 1, N) -> (B, C + 1, C)."""
        return moment_sums(x, weight)

    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        """The distance over the target's mean square or the number of channels, averaged over the batch."""
        moments = [mean_and_covariance(_in_double(each)) for each in (actual, target)]
        (mean, covariance), (target_mean, target_covariance) = moments
        square = target_mean.square().sum(1) + _trace(target_covariance)
        share = COVARIANCE_RIDGE / min(mean.shape[1], MOST_CHANNELS)
        ridge = torch.diag_embed((share * square).clamp(min=MIN_SCALE)[:, None].expand_as(target_mean))
        covariance, target_covariance = covariance + ridge, target_covariance + ridge
        shared = overlap(covariance, target_covariance)
        error = (mean - target_mean).square().sum(1) + _trace(covariance) + _trace(target_covariance) - 2 * shared
        scale = square if self.normalization == "relative" else torch.full_like(square, mean.shape[1])
        return relative(error.clamp(min=0), scale).to(actual)


def _trace(matrices: Tensor) -> Tensor:
    return torch.diagonal(matrices, dim1=1, dim2=2).sum(1)


def _in_double(moments: Tensor) -> Tensor:
    """In double precision, on the CPU where the device has none."""
    return moments.to("cpu" if moments.device.type == "mps" else moments.device, torch.float64)
