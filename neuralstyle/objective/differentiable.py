"""Values of an objective that torch differentiates, whole or in tiles, once or several times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor

from neuralstyle.machine.surroundings import plain_torch
from neuralstyle.objective.features import FeatureSource
from neuralstyle.objective.readers import Reader, cut
from neuralstyle.objective.readings import read
from neuralstyle.objective.tiling import Tile

Compute: TypeAlias = Callable[[Tensor], Sequence[Tensor]]
"""From a picture to values that autograd can follow back to it."""


def differentiable(image: Tensor, compute: Compute, *, keep: bool = True) -> list[Tensor]:
    """Return ``compute(image)``, computed as in a fresh thread, with a gradient where the caller's torch wants one.

    The graph inside is made and used in the modes of ``plain_torch``, in the caller's forward and backward pass alike.

    Args:
        image: the picture, or a part of it.
        compute: computes the values, twice if need be.
        keep: keep the graph for the gradient. If not, the values are computed again, as for a second derivative.

    """
    if torch.is_grad_enabled() and image.requires_grad:
        return list(_Differentiable.apply(image, compute, keep))  # type: ignore[no-untyped-call]
    with plain_torch(), torch.no_grad():
        return list(compute(image.detach()))


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, compute: Compute, keep: bool) -> tuple[Tensor, ...]:
        ctx.compute = compute
        ctx.save_for_backward(image)
        ctx.graph = _graph(image.detach().requires_grad_(), compute) if keep else None
        if keep:
            return tuple(value.detach() for value in ctx.graph[1])
        with plain_torch(), torch.no_grad():
            return tuple(compute(image.detach()))

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor, None, None]:
        (image,) = ctx.saved_tensors
        again = torch.is_grad_enabled()  # a second derivative is wanted
        if again:
            leaf, values = _graph(image, ctx.compute)
        else:  # the graph is freed when it is used; where it is kept outside, it is made again
            leaf, values = ctx.graph or _graph(image.detach().requires_grad_(), ctx.compute)
            ctx.graph = None
        used = [index for index, value in enumerate(values) if value.requires_grad]
        if not used:  # losses that ignore the picture
            return torch.zeros_like(image), None, None
        values, cotangents = [values[index] for index in used], tuple(cotangents[index] for index in used)
        with plain_torch():
            (gradient,) = torch.autograd.grad(values, leaf, cotangents, create_graph=again, materialize_grads=True)
        return gradient, None, None


def _graph(leaf: Tensor, compute: Compute) -> tuple[Tensor, Sequence[Tensor]]:
    with plain_torch():
        return leaf, compute(leaf)


def read_differentiably(
    source: FeatureSource, image: Tensor, plan: Sequence[Tile], readers: Sequence[Reader]
) -> list[Tensor]:
    """Return each reader's reading of a whole picture, with the graph for autograd.

    Of several tiles each is read again for the gradient, so that only one tile's features are in memory at a time.
    """
    if len(plan) == 1:
        return read(source, image, plan[0], readers)
    found = [
        differentiable(cut(image, tile.view()), partial(_read, source, tile, readers), keep=False) for tile in plan
    ]
    return [reader.join(each, plan) for reader, each in zip(readers, zip(*found, strict=True), strict=True)]


def _read(source: FeatureSource, tile: Tile, readers: Sequence[Reader], view: Tensor) -> list[Tensor]:
    with source.arithmetic(view.device):
        return read(source, view, tile, readers)
