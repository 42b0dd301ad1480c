"""Style as a whole distribution of features, compared along many directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from neuralstyle.losses.base import Loss, Reference
from neuralstyle.losses.gram import STYLE_LAYERS
from neuralstyle.losses.tools.quantiles import squared_transport
from neuralstyle.losses.tools.relative import relative
from neuralstyle.losses.tools.sampling import check_count, check_seed, normal


@dataclass(frozen=True)
class SlicedWassersteinLoss(Loss):
    r"""Squared Wasserstein distance of the features' projections on random directions, averaged over them.

    $$
    L_l = \frac{\sum_k \int_0^1 (Q_k(t) - Q^S_k(t))^2\, dt}{\sum_k \int_0^1 Q^S_k(t)^2\, dt}
    $$

    with $Q_k$ the quantile function of $\theta_k^\top F$ over all positions. Unlike Gram matrices it sees the whole
    distribution. The divisor makes it 1 for a result without features. It sees whole maps: it is exact in tiles, and
    takes no masks and regions. It needs the memory of a few copies of the projections.

    Args:
        directions: number of directions; None: the layer's number of channels.
        seed: seed of the directions, which depend on the number of channels alone.

    Raises:
        ValueError: a number of directions below 1, or a negative seed.

    Example:
        ```python
        import torch
        from neuralstyle.losses import SlicedWassersteinLoss

        F, S = torch.rand(1, 8, 32, 32), torch.rand(1, 8, 40, 24)
        loss = SlicedWassersteinLoss("relu1_1")
        assert 0 < loss(F, S) < 0.1
        assert loss(S.flip(3), S) < 1e-9
        ```

    Paper: Heitz, Vanhoey, Chambon and Belcour, arXiv 2006.07229. Departures: the directions stay the same, as L-BFGS
    needs; pictures of different sizes are compared by their exact quantile functions; the divisor; fewer layers by
    default.

    """

    layers: str | Sequence[str] = STYLE_LAYERS
    directions: int | None = None
    layer_weights: Sequence[float] | None = None
    seed: int = 0
    reference: Reference = "style"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self, "directions", optional=True)
        check_seed(self)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The distance between maps of any two sizes, averaged over the batch."""
        channels = x.shape[1]
        drawn = normal(self.directions or channels, channels, self.seed, x)
        directions = drawn / drawn.norm(dim=1, keepdim=True)
        projected, target_projected = (directions @ maps.flatten(2) for maps in (x, target))
        error = squared_transport(projected, target_projected).mean(1)
        return relative(error, target_projected.square().mean((1, 2)))
