"""Style as Gram matrices: which features occur together, at any position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from neuralstyle._errors import is_word, unknown
from neuralstyle.losses.base import Reference, StatisticLoss
from neuralstyle.losses.tools.moments import weighted_gram
from neuralstyle.losses.tools.relative import relative
from neuralstyle.losses.tools.squares import squared_distance

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
Normalization = Literal["paper", "relative"]
NORMALIZATIONS: tuple[Normalization, ...] = get_args(Normalization)


@dataclass(frozen=True)
class GramStyleLoss(StatisticLoss):
    r"""Squared difference between Gram matrices.

    With $F^l$ ($N_l \times M_l$) the features of the result at layer l, $G^l = F^l F^{l\top}$, and $A^l$ the Gram
    matrix of the style, which has $M'_l$ positions,

    $$
    E_l = \frac{1}{4 N_l^2} \sum_{ij} \left(\frac{G^l_{ij}}{M_l} - \frac{A^l_{ij}}{M'_l}\right)^2,
    \qquad L_\text{style} = \sum_l w_l E_l
    $$

    For pictures of one size this is the paper's $\frac{1}{4 N_l^2 M_l^2} \sum (G - A)^2$. Each matrix is
    divided by its own number of positions, so that pictures of different sizes can be compared. The default is the
    paper's five layers (after their ReLU) with $w_l = 1/5$.

    ``normalization="relative"`` divides each $E_l$ by its value at $G = 0$,

    $$ E_l^\text{rel} = \frac{\sum_{ij} (G^l_{ij} / M_l - A^l_{ij} / M'_l)^2}{\sum_{ij} (A^l_{ij} / M'_l)^2} $$

    so that one weight serves all styles. The paper's $E_l$ grows with the fourth power of the activations: among 18
    paintings its value at $G = 0$ differed by factors of 20 (relu2_1) to 340 (relu5_1).

    Other programs divide $E_l$ by a further $N_l^2$ (neural-style, neural-style-pt) or multiply it by 4 (pystiche);
    ``layer_weights`` can express both.

    Args:
        layer_weights: the paper's $w_l$; None: 1 / (number of layers).
        normalization: "paper" or "relative".
        reference: "style", or "content" to keep the content's texture.

    Raises:
        ValueError: an unknown normalization.

    Example:
        ```python
        import torch
        from neuralstyle import GramStyleLoss

        F, S = torch.rand(1, 64, 32, 32), torch.rand(1, 64, 40, 24)
        G, A = (x.flatten(2)[0] @ x.flatten(2)[0].T / x.flatten(2).shape[2] for x in (F, S))
        value = GramStyleLoss("relu1_1")(F, S)
        assert torch.isclose(value, ((G - A) ** 2).sum() / (4 * 64**2))
        ```

    Paper: Gatys, Ecker and Bethge, arXiv 1508.06576, equations 3 to 5.

    """

    layers: str | Sequence[str] = STYLE_LAYERS
    layer_weights: Sequence[float] | None = None
    normalization: Normalization = "paper"
    reference: Reference = "style"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_word(self.normalization, NORMALIZATIONS):
            raise unknown("normalization", self.normalization, NORMALIZATIONS)

    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
        """The Gram matrix under a weight: (B, C, N), (B, 1, N) -> (B, C, C)."""
        return weighted_gram(x, weight)

    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        """The squared difference of the entries, normalised, averaged over the batch."""
        error = squared_distance(actual, target, (1, 2)).flatten()
        if self.normalization == "paper":
            return 0.25 / actual.shape[1] ** 2 * error.mean()
        return relative(error, target.square().sum((1, 2)))
