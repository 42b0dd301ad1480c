"""Temporal consistency: the frame before, moved along the optical flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from neuralstyle.losses.base import PointwiseLoss, Reduction, Reference


@dataclass(frozen=True)
class TemporalLoss(PointwiseLoss):
    r"""The squared difference from the frame before, where the two show the same.

    With x the result, $\omega$ the result of the frame before, warped to this one, and $c$ the consistency mask, over D
    values of pixels,

    $$
    L_\text{temporal} = \frac{1}{D} \sum_k c_k (x_k - \omega_k)^2
    $$

    The mask is no part of the loss: give it to the ``Objective`` as the region of the picture, ``previous=Style(warped,
    region=mask)``. Several such pictures, with masks that do not overlap, are the long-term references.
    ``reduction="sum"`` does not divide by D.

    Args:
        layers: "image", or the layers whose features are compared.
        layer_weights: None: 1 / (number of layers).
        reduction: "mean" or "sum".

    Raises:
        ValueError: an unknown reduction.

    Example:
        ```python
        import torch
        from neuralstyle import FeatureExtractor, Objective, Style
        from neuralstyle.losses import TemporalLoss

        warped, mask = torch.zeros(1, 3, 32, 32), torch.zeros(1, 1, 32, 32)
        mask[..., :16] = 1  # the left half was visible before
        objective = Objective(FeatureExtractor(), TemporalLoss(), previous=Style(warped, region=mask))
        assert abs(objective.evaluate(torch.ones(1, 3, 32, 32)).loss - 0.5) < 1e-6
        ```

    Paper: Ruder, Dosovitskiy and Brox 2016, arXiv 1604.08610, equations 7 and 9; there with the sum over channels in D
    too.

    """

    layers: str | Sequence[str] = ("image",)
    layer_weights: Sequence[float] | None = None
    reduction: Reduction = "mean"
    reference: Reference | None = field(default="previous", init=False, repr=False)

    def error(self, x: Tensor, target: Tensor) -> Tensor:
        """Squared difference at each position, averaged or summed over the channels: -> (B, 1, h, w)."""
        square = (x - target).square()
        return square.mean(1, keepdim=True) if self.reduction == "mean" else square.sum(1, keepdim=True)
