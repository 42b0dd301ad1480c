"""Clusters of places, and the transport between those of two pictures."""

from __future__ import annotations

import torch
from torch import Tensor

_ITERATIONS = 25
_FAR = 0.93  # share of the points that are nearer to a centre than those among which the next one is chosen
_SOFTNESS = 0.09  # distance at which a point belongs to a second cluster too


def find_clusters(points: Tensor, count: int, *, least_share: float, least_distance: float) -> Tensor:
    """Return the centres of clusters of points, (N, D) -> (K, D), K at most ``count``. No random numbers.

    K-means, from the median and then the densest of the farthest points. Afterwards clusters with less than
    ``least_share`` of the points are dropped, and those nearer to each other than ``least_distance`` become one.
    """
    centres = points.median(0).values[None]
    for _ in range(count - 1):
        distance = torch.cdist(points, centres).amin(1)
        far = points[distance >= torch.quantile(distance, _FAR)]
        density = torch.exp(-torch.cdist(far, far).square() / 0.02).sum(1)
        centres = torch.cat([centres, far[density.argmax()][None]])
    for _ in range(_ITERATIONS):
        nearest = torch.cdist(points, centres).argmin(1)
        means = [points[nearest == k] for k in range(len(centres))]
        centres = torch.stack([mean.mean(0) if len(mean) else old for mean, old in zip(means, centres, strict=True)])
    return _merged(points, centres, least_share, least_distance)


def _merged(points: Tensor, centres: Tensor, least_share: float, least_distance: float) -> Tensor:
    while len(centres) > 1:
        sizes = torch.bincount(torch.cdist(points, centres).argmin(1), minlength=len(centres)) / len(points)
        smallest = int(sizes.argmin())
        kept = torch.ones(len(centres), dtype=torch.bool)
        if sizes[smallest] < least_share:
            kept[smallest] = False
            centres = centres[kept]
            continue
        apart = torch.cdist(centres, centres).fill_diagonal_(torch.inf)
        one, other = divmod(int(apart.argmin()), len(centres))
        if apart[one, other] >= least_distance:
            break
        mean = (sizes[one] * centres[one] + sizes[other] * centres[other]) / (sizes[one] + sizes[other])
        kept[one] = kept[other] = False
        centres = torch.cat([centres[kept], mean[None]])
    return centres


def memberships(points: Tensor, centres: Tensor) -> Tensor:
    """Return how far each point belongs to each cluster, with a sum of 1: (N, D), (K, D) -> (N, K)."""
    return torch.softmax(-torch.cdist(points, centres).square() / _SOFTNESS**2, 1)


def transport(cost: Tensor, amounts: Tensor, capacities: Tensor, softness: float) -> Tensor:
    """Return the transport of given amounts to places of limited capacity, at the least cost up to an entropy.

    Args:
        cost: (K, J), of moving a unit from k to j.
        amounts: (K,), all of which are moved.
        capacities: (J,), which need not be used up, and whose sum is at least that of the amounts.
        softness: cost that is of no account, above 0.

    Returns:
        (K, J), whose rows add up to the amounts.

    Papers: Cuturi, Sinkhorn distances, 2013; Benamou et al., Iterative Bregman projections, 2015, section 5, for
    limited capacities.

    """
    kernel = torch.exp(-(cost - cost.amin(1, keepdim=True)).double() / softness).clamp(min=1e-30)
    columns = torch.ones_like(kernel[0])
    rows = amounts / (kernel @ columns)
    for _ in range(500):
        columns = (capacities / (kernel.T @ rows)).clamp(max=1)
        rows = amounts / (kernel @ columns)
    return (rows[:, None] * kernel * columns).to(cost.dtype)
