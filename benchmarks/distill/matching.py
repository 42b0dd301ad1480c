"""How far the student is from its teacher: by which pictures look alike to both, and by where both would go."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from student import TAPS
from torch import Tensor

from neuralstyle import GramStyleLoss

CONTENT = "relu2_1"
STYLE = GramStyleLoss(layer_weights=(0.15, 0.3, 0.25, 0.25, 0.05), normalization="relative")
SHARE = 30.0  # of the style, beside a content of 1
LEVELS = (1, 2, 4, 8)
POSITIONS = 384

Features = dict[str, Tensor]


def kernel_errors(student: Features, teacher: Features, generator: torch.Generator) -> dict[str, Tensor]:
    r"""Relative errors of the kernels $k(x, y) = f_x \cdot f_y / N$ between positions, plain and centred.

    Everything that a statistic of products tells, and so the Gram matrices' distances, depends on a network by its
    kernel alone: turning features does not matter.
    """
    errors: dict[str, Tensor] = {}
    for tap in TAPS:
        mine, its = (f[tap].permute(0, 2, 3, 1).flatten(0, 2) for f in (student, teacher))
        chosen = torch.randperm(len(mine), generator=generator)[:POSITIONS].to(mine.device)
        mine, its = mine[chosen], its[chosen]
        errors[tap] = _relative(_kernel(mine), _kernel(its))
        errors[f"{tap} centred"] = _relative(_kernel(mine - mine.mean(0)), _kernel(its - its.mean(0)))
    return errors


def objective(features: Features, content: Features, style: Features, weights: Tensor) -> Tensor:
    """For each picture the weighted sum of relative Gram distances and of the content's, summed over the batch."""
    total = weights[:, -1] * (features[CONTENT] - content[CONTENT]).square().mean((1, 2, 3)) / 2
    for index, layer in enumerate(STYLE.layers):
        gram, target = (STYLE.mean_statistic(maps[layer]) for maps in (features, style))
        distance = (gram - target).square().sum((1, 2)) / target.square().sum((1, 2))
        total = total + weights[:, index] * distance
    return total.sum()


def gradient_errors(mine: Tensor, its: Tensor) -> Tensor:
    """For each level of ``LEVELS`` the relative error of the picture's gradient averaged over cells of that size.

    The finest pixels of a gradient are mostly the grid of a network's own pooling; where light and dark go is in the
    coarser levels.
    """
    errors = []
    for level in LEVELS:
        a, b = (F.avg_pool2d(x, level) for x in (mine, its))
        errors.append(((a - b).square().sum((1, 2, 3)) / b.square().sum((1, 2, 3)).clamp(min=1e-20)).mean())
    return torch.stack(errors)


def _relative(mine: Tensor, its: Tensor) -> Tensor:
    return (mine - its).square().sum() / its.square().sum()


def _kernel(rows: Tensor) -> Tensor:
    return rows @ rows.T / rows.shape[1]
