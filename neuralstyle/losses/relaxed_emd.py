"""Style as a set of feature vectors, all of which have to occur."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from neuralstyle._errors import is_word, unknown
from neuralstyle.losses.base import Loss, Reference
from neuralstyle.losses.tools.nearest import cosine_distance, direction, nearest
from neuralstyle.losses.tools.sampling import check_count, check_seed, sample

Metric = Literal["cosine", "euclidean"]
METRICS: tuple[Metric, ...] = get_args(Metric)
MIN_DISTANCE = 1e-4  # so that the Euclidean distance has a derivative at zero

Search: TypeAlias = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class RelaxedEMDLoss(Loss):
    r"""Relaxed earth mover's distance between sets of features, with the cosine distance.

    $$
    L_l = \max\left(\frac{1}{M} \sum_p \min_q d(f_p, s_q),\; \frac{1}{M'} \sum_q \min_p d(f_p, s_q)\right),
    \qquad d(f, s) = 1 - \cos(f, s)
    $$

    Every feature of the result has to be like one of the style, and every feature of the style has to occur. It lies
    between 0 and 1 for features after a ReLU. It leaves the lengths of vectors free: add ``MeanStdLoss`` for colours
    and contrast, as the paper adds moments. It sees whole maps: it is exact in tiles, and takes no masks and regions.
    Memory does not grow with the product of the numbers of positions.

    ``metric="euclidean"`` is for colours, whose lengths count too:

    $$ d(f, s) = |f - s| / \sqrt{C} $$

    Args:
        samples: largest number of positions of each picture to use, drawn by the seed; None: all. Positions that are
            not drawn have no direct gradient, so at shallow layers draw enough to cover the picture.
        seed: seed of the draw, which depends on the number of positions alone.
        metric: "cosine" or "euclidean".

    Raises:
        ValueError: an unknown metric, samples below 1, or a negative seed.

    Example:
        ```python
        import torch
        from neuralstyle.losses import RelaxedEMDLoss

        S = torch.rand(1, 8, 16, 16)
        loss = RelaxedEMDLoss("relu3_1")
        assert loss(S.flip(3), S) == 0
        assert loss(S[..., :4], S) > 0.01  # not all of the style occurs
        ```

    Paper: Kolkin, Salavon and Shakhnarovich, STROTSS, arXiv 1904.12785. Departures: every layer is matched separately,
    instead of all layers joined into hypercolumns (for these see ``HypercolumnLoss``); the sample stays the same during
    an optimisation.

    """

    layers: str | Sequence[str] = ("relu2_1", "relu3_1", "relu4_1")
    samples: int | None = 4096
    layer_weights: Sequence[float] | None = None
    seed: int = 0
    reference: Reference = "style"
    metric: Metric = "cosine"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_word(self.metric, METRICS):
            raise unknown("metric", self.metric, METRICS)
        check_count(self, "samples", optional=True)
        check_seed(self)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        """The distance between maps of any two sizes, averaged over the batch."""
        features, style = (sample(maps.flatten(2), self.samples, self.seed) for maps in (x, target))
        style = style.expand(features.shape[0], -1, -1)
        if self.metric == "euclidean":
            return _relaxed(features, style, _by_distance, _distance)
        return _relaxed(direction(features), direction(style), _by_angle, cosine_distance)


def _relaxed(x: Tensor, y: Tensor, search: Search, distance: Search) -> Tensor:
    """The larger one of the mean distances from x to y and from y to x, averaged over the batch."""
    used, covered = (distance(one, search(one, other)).mean(1) for one, other in ((x, y), (y, x)))
    return torch.maximum(used, covered).mean()


def _by_angle(x: Tensor, y: Tensor) -> Tensor:
    return nearest(x, y, y)


def _by_distance(x: Tensor, y: Tensor) -> Tensor:
    """The positions of y with the least distance: those with the largest x y - |y|^2 / 2."""
    x = torch.cat([x, torch.ones_like(x[:, :1])], 1)
    return nearest(x, torch.cat([y, -0.5 * y.square().sum(1, keepdim=True)], 1), y)


def _distance(x: Tensor, y: Tensor) -> Tensor:
    """The root mean square difference of the channels; a small summand gives it a derivative at 0."""
    return ((x - y).square().mean(1) + MIN_DISTANCE**2).sqrt() - MIN_DISTANCE
