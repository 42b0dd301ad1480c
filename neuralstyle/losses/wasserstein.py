"""Style as a Gaussian distribution of features, and what it costs to carry one to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neuralstyle.losses.base import Reference, StatisticLoss, settle
from neuralstyle.losses.gram import STYLE_LAYERS
from neuralstyle.losses.tools.moments import mean_and_covariance, moment_sums
from neuralstyle.losses.tools.relative import relative

RIDGE = 1e-5  # well above the rounding of sums in single precision


@dataclass(frozen=True)
class WassersteinLoss(StatisticLoss):
    r"""Squared 2-Wasserstein distance between Gaussians with the features' means and covariances.

    $$
    L_l = \frac{|\mu - \mu_S|^2 + \operatorname{tr}\left(\Sigma + \Sigma_S
    - 2 (\Sigma_S^{1/2} \Sigma \Sigma_S^{1/2})^{1/2}\right)}{|\mu_S|^2 + \operatorname{tr} \Sigma_S}
    $$

    The divisor is the style's mean squared feature, which is the value for a result without features. In contrast to
    Gram matrices it grows with the square of a difference in features, not with its fourth power, and pins means and
    variances each on their own.

    The trace of the root is a sum of roots of eigenvalues, so its derivative needs no differences between them. A
    ridge of $10^{-5}$ times the style's mean squared channel on both diagonals keeps it finite where features do not
    vary. Computed in double precision; an eigendecomposition of C x C a layer, which at small sizes is most of the
    time.

    Args:
        layers: where statistics are compared, one name or several; (B, C, h, w) each.
        layer_weights: a weight for each layer; None: 1 / (number of layers).
        reference: "style", or "content".

    Raises:
        ValueError: no layers.

    Example:
        ```python
        import torch
        from neuralstyle import WassersteinLoss

        S = torch.rand(1, 8, 32, 32)
        moved = WassersteinLoss("relu1_1").forward(S + 1, S)  # every channel by 1
        assert torch.isclose(moved, 8 / S.square().sum(1).mean(), rtol=1e-4)
        ```

    Papers: Vacher, Davila, Kohn and Coen-Cagli, arXiv 2006.03698; Mroueh, arXiv 1905.12828. Departures: the divisor
    and the ridge.

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
        """The distance over the target's mean square, averaged over the batch."""
        (mean, covariance), (its_mean, its_covariance) = (mean_and_covariance(_exact(m)) for m in (actual, target))
        square = its_mean.square().sum(1) + _trace(its_covariance)
        ridge = torch.diag_embed((RIDGE * square / mean.shape[1]).clamp(min=1e-12)[:, None].expand_as(its_mean))
        covariance, its_covariance = covariance + ridge, its_covariance + ridge
        # L^T Sigma L has the eigenvalues of the root's argument for any L with L L^T = Sigma_S, and this one is cheap.
        factor = _factor(its_covariance)
        eigenvalues = torch.linalg.eigvalsh(factor.transpose(1, 2) @ covariance @ factor)
        overlap = eigenvalues.clamp(min=1e-30).sqrt().sum(1)
        error = (mean - its_mean).square().sum(1) + _trace(covariance) + _trace(its_covariance) - 2 * overlap
        return relative(error.clamp(min=0), square).to(actual)


def _trace(matrices: Tensor) -> Tensor:
    return torch.diagonal(matrices, dim1=1, dim2=2).sum(1)


def _exact(moments: Tensor) -> Tensor:
    """In double precision, on the CPU where the device has none."""
    return moments.to("cpu" if moments.device.type == "mps" else moments.device, torch.float64)


def _factor(matrices: Tensor) -> Tensor:
    """L with L L^T the given positive matrices; of rounded ones the nearest that are positive."""
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(matrices)
    if failed.any():
        values, vectors = torch.linalg.eigh(matrices)
        factor = vectors * values.clamp(min=0).sqrt()[:, None]
    return factor
