"""Values of an objective that torch differentiates, whole or in tiles, once or several times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from neuralstyle.machine.surroundings import plain_torch
from neuralstyle.objective.features import FeatureSource
from neuralstyle.objective.readers import Reader, cut
from neuralstyle.objective.readings import read
from neuralstyle.objective.tiling import Tile

Compute: TypeAlias = Callable[[Tensor], Tensor]
"""From a picture to values that autograd can follow back to it."""


def differentiable(image: Tensor, compute: Compute) -> Tensor:
    """Return ``compute(image)``, computed as in a fresh thread, with a gradient where the caller's torch wants one.

    The graph inside is made and used in the modes of ``plain_torch``, in the caller's forward and backward pass alike.
    A second derivative computes the values again.
    """
    if torch.is_grad_enabled() and image.requires_grad:
        return cast(Tensor, _Differentiable.apply(image, compute))  # type: ignore[no-untyped-call]
    with plain_torch(), torch.no_grad():
        return compute(image.detach())


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, compute: Compute) -> Tensor:
        ctx.compute = compute
        ctx.save_for_backward(image)
        ctx.graph = _graph(image.detach().requires_grad_(), compute)
        return cast(Tensor, ctx.graph[1].detach())

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None]:
        (image,) = ctx.saved_tensors
        again = torch.is_grad_enabled()  # a second derivative is wanted
        if again:
            leaf, values = _graph(image, ctx.compute)
        else:  # the graph is freed when it is used; where it is kept outside, it is made again
            leaf, values = ctx.graph or _graph(image.detach().requires_grad_(), ctx.compute)
            ctx.graph = None
        if not values.requires_grad:  # losses that ignore the picture
            return torch.zeros_like(image), None
        with plain_torch():
            (gradient,) = torch.autograd.grad(values, leaf, cotangent, create_graph=again, materialize_grads=True)
        return gradient, None


def _graph(leaf: Tensor, compute: Compute) -> tuple[Tensor, Tensor]:
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
    found: list[list[Tensor]] = []
    for tile in plan:
        view = cut(image, tile.view())
        if torch.is_grad_enabled():
            found.append(checkpoint(read, source, view, tile, readers, use_reentrant=False, preserve_rng_state=False))
        else:
            found.append(read(source, view, tile, readers))
    return [
        reader.join(list(readings), plan) for reader, readings in zip(readers, zip(*found, strict=True), strict=True)
    ]
