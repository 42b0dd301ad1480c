"""Content: features compared position by position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from neuralstyle.losses.base import PointwiseLoss, Reduction, Reference
from neuralstyle.losses.tools.alignment import check_aligned
from neuralstyle.losses.tools.squares import squared_distance


@dataclass(frozen=True)
class ContentLoss(PointwiseLoss):
    r"""Half the squared difference between features, position by position.

    With $F^l$ and $P^l$ the features of the result and of the content at layer l, of $N_l$
    channels and $M_l$ positions,

    $$
    L_\text{content} = \frac{1}{2} \sum_{ij} (F^l_{ij} - P^l_{ij})^2
    $$

    with ``reduction="sum"``, as in the paper. "mean" divides it by $N_l M_l$, so that a weight means the same for
    every layer and every size of picture.

    Args:
        layer_weights: None: 1 / (number of layers); ``(b, 1 - b)`` blends two layers.
        reduction: "mean" or "sum".
        reference: "content", or "previous" for the frame before. "style" is refused: the positions of a style are not
            those of the result.

    Raises:
        ValueError: an unknown reduction or reference.

    Example:
        ```python
        import torch
        from neuralstyle import ContentLoss

        F, P = torch.rand(2, 1, 512, 8, 8)
        value = ContentLoss("relu4_2", reduction="sum")(F, P)
        assert torch.isclose(value, 0.5 * ((F - P) ** 2).sum())
        ```

    Paper: Gatys, Ecker and Bethge, arXiv 1508.06576, equation 1 (there at conv4_2; here, as in every
    implementation since, after its ReLU, which drops the values below zero).

    """

    layers: str | Sequence[str] = ("relu4_2",)
    layer_weights: Sequence[float] | None = None
    reduction: Reduction = "mean"
    reference: Reference = "content"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_aligned(self)

    def error(self, x: Tensor, target: Tensor) -> Tensor:
        """Half the squared difference at each position, averaged ("mean") or summed ("sum") over the channels."""
        total = squared_distance(x, target, (1,))
        return (0.5 / x.shape[1] if self.reduction == "mean" else 0.5) * total
