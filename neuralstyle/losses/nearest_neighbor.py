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

    With ``centered`` the style's mean is subtracted from both first. After a ReLU all vectors lie in one corner of the
    space, at small angles to each other; centred, they tell apart more. The loss then lies between 0 and 2.

    Args:
        samples: largest number of the style's positions to search, drawn by the seed; None: all.
        seed: seed of the draw, which depends on the number of positions alone.
        centered: subtract the style's mean vector from all vectors.

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
    al., arXiv 2203.13215 (NNST). Departures: every layer is matched separately (for hypercolumns see
    ``HypercolumnLoss``); ``centered`` subtracts the style's mean from both pictures, so that positions stay
    independent, where NNST subtracts each picture's own.

    """

    layers: str | Sequence[str] = ("relu3_1", "relu4_1")
    samples: int | None = 4096
    layer_weights: Sequence[float] | None = None
    seed: int = 0
    centered: bool = False
    reference: Reference = field(default="style", init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self, "samples", optional=True)
        check_seed(self)

    def error(self, x: Tensor, target: Tensor) -> Tensor:
        """The distance of each position: (B, C, h, w) and the style's whole map -> (B, 1, h, w)."""
        features, style = x.flatten(2), sample(target.flatten(2), self.samples, self.seed)
        if self.centered:
            mean = target.mean((2, 3))[:, :, None]
            features, style = features - mean, style - mean
        features, style = direction(features), direction(style)
        return cosine_distance(features, nearest(features, style, style)).view(-1, 1, *x.shape[2:])
