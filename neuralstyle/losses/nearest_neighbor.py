"""Style as single feature vectors, each compared with the nearest one of the style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from neuralstyle.losses.base import PointwiseLoss, Reference
from neuralstyle.losses.tools.nearest import cosine_distance, direction, nearest
from neuralstyle.losses.tools.sampling import check_count, check_seed, sample


@dataclass(frozen=True)
class NearestNeighborLoss(PointwiseLoss):
    r"""Cosine distance between every feature vector and the nearest one of the style.

    $$ L_l = \frac{1}{M} \sum_p \min_q \left(1 - \cos(f_p, s_q)\right) $$

    It gives sharp local detail. It leaves free how often a feature of the style is used, and how long vectors are: add
    ``MeanStdLoss`` for colours and contrast. It lies between 0 and 1 for features after a ReLU, so one weight suits all
    styles. Time grows with the product of the numbers of positions of result and style; memory does not.

    It compares position by position: regions and tiles work, masks of the style do not.

    Args:
        samples: largest number of the style's positions to search, drawn by the seed; None: all.
        seed: seed of the draw, which depends on the number of positions alone.

    Raises:
        ValueError: samples below 1, or a negative seed.

    Example:
        ```python
        import torch
        from neuralstyle.losses import NearestNeighborLoss

        S = torch.rand(1, 8, 16, 16)
        loss = NearestNeighborLoss("relu3_1")
        assert loss(2 * S.flip(3), S) < 1e-6
        assert loss(torch.rand(1, 8, 12, 20), S) > 0.01
        ```

    Papers: Zhang et al., ARF, arXiv 2206.06360 (NNFM, which joins the layers of a block into one vector); Kolkin et
    al., arXiv 2203.13215 (NNST, which first subtracts each picture's mean). Departure: every layer is matched
    separately.

    """

    layers: str | Sequence[str] = ("relu3_1", "relu4_1")
    samples: int | None = 4096
    layer_weights: Sequence[float] | None = None
    seed: int = 0
    reference: Reference = field(default="style", init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self, "samples", optional=True)
        check_seed(self)

    def error(self, x: Tensor, target: Tensor) -> Tensor:
        """The distance of each position: (B, C, h, w) and the style's whole map -> (B, 1, h, w)."""
        features = direction(x.flatten(2))
        style_features = direction(sample(target.flatten(2), self.samples, self.seed))
        found = nearest(features, style_features, style_features)
        return cosine_distance(features, found).view(-1, 1, *x.shape[2:])
