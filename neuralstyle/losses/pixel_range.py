"""Range: how far colours leave what a file can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from neuralstyle.losses.base import PointwiseLoss, Reference, settle


@dataclass(frozen=True)
class RangeLoss(PointwiseLoss):
    r"""Squared distance of values from the interval [0, 1].

    $$ L = \frac{1}{C H W} \sum_{c,p} \max(0, -x_{cp}, x_{cp} - 1)^2 $$

    A regulariser: it compares with nothing. For optimisers that do not keep the picture in its range themselves, as
    ``LBFGS`` and ``Adam`` do here: without either, what is saved is not what was optimised. Values of 0.1 outside cost
    0.01 each, so weights of 100 and more are usual.

    Args:
        layers: "image".
        layer_weights: a weight for each layer; None: 1 / (number of layers).

    Raises:
        ValueError: no layers.

    Example:
        ```python
        import torch
        from neuralstyle import RangeLoss

        picture = torch.rand(1, 3, 16, 16)
        assert RangeLoss().forward(picture, None) == 0
        assert torch.isclose(RangeLoss().forward(torch.full_like(picture, 1.5), None), torch.tensor(0.25))
        ```

    """

    layers: str | Sequence[str] = ("image",)
    layer_weights: Sequence[float] | None = None
    reference: Reference | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        settle(self)

    def error(self, x: Tensor, target: None) -> Tensor:
        """The squared distance, averaged over the channels: (B, C, h, w) -> (B, 1, h, w)."""
        return (x - x.clamp(0, 1)).square().mean(1, keepdim=True)
