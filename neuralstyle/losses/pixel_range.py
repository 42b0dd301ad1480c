"""Range: how far colours lie outside the values that a file can store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from neuralstyle.losses.base import PointwiseLoss, Reference


@dataclass(frozen=True)
class RangeLoss(PointwiseLoss):
    r"""Squared distance of values from the interval [0, 1].

    $$ L = \frac{1}{C H W} \sum_{c,p} \max(0, -x_{cp}, x_{cp} - 1)^2 $$

    A regulariser: it compares with nothing. It is for optimisers that let the picture leave its range, unlike ``LBFGS``
    and ``Adam`` here: saving clips such a picture, so the saved picture is not the optimised one. A value 0.1 outside
    costs 0.01, so weights of 100 and more are usual.

    Example:
        ```python
        import torch
        from neuralstyle.losses import RangeLoss

        picture = torch.rand(1, 3, 16, 16)
        assert RangeLoss()(picture, None) == 0
        assert torch.isclose(RangeLoss()(torch.full_like(picture, 1.5), None), torch.tensor(0.25))
        ```

    """

    layers: str | Sequence[str] = ("image",)
    layer_weights: Sequence[float] | None = None
    reference: Reference | None = field(default=None, init=False, repr=False)

    def error(self, x: Tensor, target: None) -> Tensor:
        """The squared distance, averaged over the channels: (B, C, h, w) -> (B, 1, h, w)."""
        return (x - x.clamp(0, 1)).square().mean(1, keepdim=True)
