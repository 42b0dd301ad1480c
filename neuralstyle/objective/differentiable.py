"""Values of an objective that torch differentiates, whole or in tiles, once or several times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor

from neuralstyle.machine.surroundings import plain_torch
from neuralstyle.objective.features import FeatureSource
from neuralstyle.objective.readers import Reader
from neuralstyle.objective.readings import read
from neuralstyle.objective.tiling import Tile
from neuralstyle.objective.wrapping import cut_wrapped

Compute: TypeAlias = Callable[[Tensor], Sequence[Tensor]]
"""From a picture to values that autograd can follow back to it."""


Modes: TypeAlias = Callable[[], AbstractContextManager[object]]
"""Makes a context in which torch computes as an encoder says."""


def differentiable(image: Tensor, compute: Compute, modes: Modes, *, keep: bool = True) -> list[Tensor]:
    """Return ``compute(image)``, with a gradient where the caller's torch wants one.

    The graph inside is made and used in the same modes, of ``plain_torch`` and of the encoder, whatever those of the
    caller are in its forward and its backward pass.

    Args:
        image: the picture, or a part of it.
        compute: computes the values, twice if need be.
        modes: makes the context of the encoder's arithmetic.
        keep: keep the graph for the gradient. If not, the values are computed again, as for a second derivative.

    """
    if torch.is_grad_enabled() and image.requires_grad:
        return list(_Differentiable.apply(image, compute, modes, keep))  # type: ignore[no-untyped-call]
    return _values(image, compute, modes)


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, compute: Compute, modes: Modes, keep: bool) -> tuple[Tensor, ...]:
        ctx.compute, ctx.modes = compute, modes
        ctx.save_for_backward(image)
        ctx.graph = _graph(image.detach().requires_grad_(), compute, modes) if keep else None
        return tuple(value.detach() for value in (ctx.graph[1] if keep else _values(image, compute, modes)))

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor, None, None, None]:
        (image,) = ctx.saved_tensors
        again = torch.is_grad_enabled()  # a second derivative is wanted
        if again:
            leaf, values = _graph(image, ctx.compute, ctx.modes)
        else:  # the graph is freed when it is used; where it is kept outside, it is made again
            leaf, values = ctx.graph or _graph(image.detach().requires_grad_(), ctx.compute, ctx.modes)
            ctx.graph = None
        used = [index for index, value in enumerate(values) if value.requires_grad]
        if not used:  # losses that ignore the picture
            return torch.zeros_like(image), None, None, None
        values, cotangents = [values[index] for index in used], tuple(cotangents[index] for index in used)
        with plain_torch(), ctx.modes():
            (gradient,) = torch.autograd.grad(values, leaf, cotangents, create_graph=again, materialize_grads=True)
        return gradient, None, None, None


def _graph(leaf: Tensor, compute: Compute, modes: Modes) -> tuple[Tensor, Sequence[Tensor]]:
    with plain_torch(), modes():
        return leaf, compute(leaf)


def _values(image: Tensor, compute: Compute, modes: Modes) -> list[Tensor]:
    with plain_torch(), modes(), torch.no_grad():
        return list(compute(image.detach()))


def read_differentiably(
    source: FeatureSource, image: Tensor, plan: Sequence[Tile], readers: Sequence[Reader]
) -> list[Tensor]:
    """Return each reader's reading of a whole picture, with the graph for autograd.

    Of several tiles each is read again for the gradient, so that only one tile's features are in memory at a time.
    """
    if len(plan) == 1:
        return read(source, cut_wrapped(image, plan[0].view()), plan[0], readers)
    modes = partial(source.arithmetic, image.device)
    found = [
        differentiable(cut_wrapped(image, tile.view()), partial(_read, source, tile, readers), modes, keep=False)
        for tile in plan
    ]
    return [reader.join(each, plan) for reader, each in zip(readers, zip(*found, strict=True), strict=True)]


def _read(source: FeatureSource, tile: Tile, readers: Sequence[Reader], view: Tensor) -> list[Tensor]:
    return read(source, view, tile, readers)
