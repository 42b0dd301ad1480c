"""Total variation: how much neighbouring pixels differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralstyle._errors import number
from neuralstyle.losses.base import PointwiseLoss, Reduction, Reference


@dataclass(frozen=True)
class TotalVariationLoss(PointwiseLoss):
    r"""Differences between neighbouring pixels, to a power.

    $$
    L_\text{TV} = \frac{1}{C H W} \sum_{c,y,x} |x_{c,y,x+1} - x_{c,y,x}|^p + |x_{c,y+1,x} - x_{c,y,x}|^p
    $$

    A regulariser: it compares with nothing and smooths the fine grain of a result. ``power=2`` (default) mostly
    penalises strong steps, ``power=1`` keeps edges and flattens the rest. ``reduction="sum"`` does not divide.

    Args:
        layers: "image", or the layers whose features to smooth.
        power: the exponent p, at least 1.
        reduction: "mean" or "sum".

    Raises:
        ValueError: a power below 1, or an unknown reduction.

    Example:
        ```python
        import torch
        from neuralstyle import TotalVariationLoss

        ramp = torch.linspace(0, 1, 11).expand(1, 3, 16, 11)
        value = TotalVariationLoss(reduction="sum")(ramp, None)
        assert torch.isclose(value, torch.tensor(3 * 16 * 10 * 0.1**2))
        ```

    Papers: Rudin, Osher and Fatemi 1992 (total variation); Mahendran and Vedaldi, arXiv 1412.0035 (as a regulariser
    of pictures from features). The style transfer paper has none.

    """

    layers: str | Sequence[str] = ("image",)
    power: float = 2.0
    layer_weights: Sequence[float] | None = None
    reduction: Reduction = "mean"
    reference: Reference | None = field(default=None, init=False, repr=False)
    reach: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        number("the power of TotalVariationLoss", self.power, least=1)

    def error(self, x: Tensor, target: None) -> Tensor:
        """Differences to the right and lower neighbours, zero at the border: (B, C, h, w) -> (B, 1, h, w)."""
        total: Tensor = _Differences.apply(x, self.power)  # type: ignore[no-untyped-call]
        return total.mean(1, keepdim=True) if self.reduction == "mean" else total.sum(1, keepdim=True)


class _Differences(torch.autograd.Function):
    """Powers of the differences to the right and the lower neighbour, of the shape of x; in few passes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, power: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.power = power
        total = torch.zeros_like(x)
        for dimension in (2, 3):
            here, step = _steps(x, dimension)
            here_of_total = total.narrow(dimension, 0, here)
            if power == 2:
                here_of_total.addcmul_(step, step)
            else:
                here_of_total.add_(step.abs_().pow_(power))
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted
            again = torch.autograd.grad(_defined_differences(x, ctx.power), x, gradient, create_graph=True)[0]
            return again, None
        back = torch.zeros_like(x)
        for dimension in (2, 3):
            here, step = _steps(x, dimension)
            slope = step if ctx.power == 2 else step.sign().mul_(step.abs_().pow_(ctx.power - 1))
            slope.mul_(gradient.narrow(dimension, 0, here)).mul_(ctx.power)
            back.narrow(dimension, 1, here).add_(slope)
            back.narrow(dimension, 0, here).sub_(slope)
        return back, None


def _steps(x: Tensor, dimension: int) -> tuple[int, Tensor]:
    """The differences to the next neighbours along a dimension, and how many there are."""
    count = x.shape[dimension] - 1
    return count, x.narrow(dimension, 1, count) - x.narrow(dimension, 0, count)


def _defined_differences(x: Tensor, power: float) -> Tensor:
    """The same in torch operations that autograd can differentiate any number of times."""
    across = F.pad((x[..., :, 1:] - x[..., :, :-1]).abs().pow(power), (0, 1, 0, 0))
    down = F.pad((x[..., 1:, :] - x[..., :-1, :]).abs().pow(power), (0, 0, 0, 1))
    return across + down
