"""Losses and encoders of other people, tried on small random features before any long work.

What the package defines has passed ``neuralstyle.testing`` and is not tried again. Only what a loss or an encoder
returns is judged: what it raises here is left to the evaluation, since it may be made for pictures of one size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from neuralstyle._errors import is_ours
from neuralstyle.encoders.base import Layer, common_stride, encoder_name, least_side, on_encoder
from neuralstyle.encoders.combined import CombinedEncoder
from neuralstyle.encoders.precision import InPrecision
from neuralstyle.losses import Loss, PointwiseLoss, StatisticLoss
from neuralstyle.objective.contract import (
    check_error,
    check_gradient,
    check_scalar,
    difference,
    forked_random_numbers,
    tolerance_of,
)
from neuralstyle.objective.features import FeatureSource

MIN_SIDES = (16, 24)
"""Least height and width in pixels of the pictures that an encoder is tried on."""

MAP_SIDE = 16
"""Side in positions of the maps that a general loss is tried on."""

TRIED_SIDE = 4
"""Side in positions of the piece of an error that is compared."""

MARGIN = 6
"""Positions beyond that piece and the reach around it, which must not matter."""

MAX_TRIED_REACH = 64
"""Reach in positions beyond which errors are not compared, as the maps would be large."""

_Result = TypeVar("_Result")


def try_distance(loss: StatisticLoss, layer: Layer, like: Tensor) -> None:
    """Try the distance between two statistics.

    Raises:
        ValueError: it is no scalar, or has no gradient, or the loss changes.

    """
    x = _noise(like, layer.channels, TRIED_SIDE, TRIED_SIDE).requires_grad_()
    target = None if loss.reference is None else _noise(like, layer.channels, TRIED_SIDE, TRIED_SIDE + 1, seed=1)

    def distance() -> Any:
        return loss.distance(loss.mean_statistic(x), None if target is None else loss.mean_statistic(target))

    for value in _results(loss, distance, like):
        check_gradient(loss, "distance", check_scalar(loss, "distance", value))


def try_error(loss: PointwiseLoss, layer: Layer, like: Tensor) -> None:
    """Try the error at each position.

    Raises:
        ValueError: it has another shape, looks further than ``reach``, or has no gradient, or the loss changes.

    """
    reach = loss.reach if loss.reach <= MAX_TRIED_REACH else 0
    side = TRIED_SIDE + 2 * (reach + MARGIN)
    x = _noise(like, layer.channels, side, side).requires_grad_()
    target: Tensor | None = None
    if loss.reference is not None:
        target = _noise(like, layer.channels, side, side + (3 if loss.reference == "style" else 0), seed=1)
    view = slice(MARGIN, side - MARGIN)
    inner = x[..., view, view]
    piece = target if target is None or loss.reference == "style" else target[..., view, view]
    for whole in _results(loss, partial(loss.error, x, target), like):
        check_gradient(loss, "error", check_error(loss, whole, x))
        for part in _results(loss, partial(loss.error, inner, piece), like) if loss.reach == reach else ():
            _check_reach(loss, layer, whole, check_error(loss, part, inner))


def _check_reach(loss: PointwiseLoss, layer: Layer, whole: Tensor, part: Tensor) -> None:
    """Compare the core of a whole map's error with that of a piece which has ``reach`` positions around it."""
    first = MARGIN + loss.reach
    expected = whole[..., first : first + TRIED_SIDE, first : first + TRIED_SIDE]
    received = part[..., loss.reach : loss.reach + TRIED_SIDE, loss.reach : loss.reach + TRIED_SIDE]
    if difference(expected, received) > tolerance_of(expected, received):
        raise ValueError(
            f"{type(loss).__name__}.error looks further than its reach of {loss.reach} positions: at layer "
            f"{layer.name!r} a piece of a map with {loss.reach} positions around it has another error than in the "
            "whole map, so that tiles would not be exact; set reach to how far it looks, or derive it from Loss, which "
            "sees whole maps"
        )


def try_forward(loss: Loss, layers: Sequence[Layer], like: Tensor) -> None:
    """Try a general loss on whole maps, of all layers if it is joint.

    Raises:
        ValueError: its value is no scalar, or has no gradient, or the loss changes.

    """
    deepest = least_side(layers)

    def maps(seed: int) -> Any:
        found = {}
        for layer in layers:
            side = 1 if layer.is_vector else MAP_SIDE * deepest // layer.stride
            found[layer.name] = _noise(like, layer.channels, side, side, seed=seed)
        return found if loss.joint else next(iter(found.values()))

    x, target = maps(0), None if loss.reference is None else maps(1)
    for each in x.values() if loss.joint else [x]:
        each.requires_grad_()
    for value in _results(loss, partial(loss.forward, x, target), like):
        check_gradient(loss, "forward", check_scalar(loss, "forward", value))


def try_encoder(source: FeatureSource) -> None:
    """Try an encoder on small pictures.

    Args:
        source: of its features; its layers in use are tried.

    Raises:
        TypeError: it returns no features by layer name.
        ValueError: features that are missing, not as their ``Layer`` says, without a gradient, or another time others;
            layer "image" that is not the picture; or it changes the picture or what it has returned before.

    """
    encoder, name = source.encoder, encoder_name(source.encoder)
    wanted = [layer for layer in source.in_use if layer in encoder.layers]
    if not wanted or _is_package_network(source):
        return
    stride = common_stride(source.layers[layer] for layer in wanted)
    height, width = max(2 * stride, MIN_SIDES[0]), max(3 * stride, MIN_SIDES[1])
    first, second = (on_encoder(encoder, _noise(None, 3, height, width, seed=seed)) for seed in (0, 1))
    image = first.clone().requires_grad_().clone()  # an operation in place on a leaf would fail

    def see(picture: Tensor, seed: int) -> list[Any]:
        return _attempt(partial(encoder, picture, tuple(wanted)), first, seed, gradient=picture.requires_grad)

    for found in see(image, 0):
        source.check(found, wanted, image)
        if not torch.equal(image, first):
            raise ValueError(f"{name} changes the picture that it is given in place; compute with a copy")
        if "image" in found and not torch.equal(found["image"], first):
            raise ValueError(f"layer 'image' of {name} is not the picture that was given; return it as it is")
        for layer in wanted:
            if not torch.isfinite(found[layer]).all():
                raise ValueError(f"layer {layer!r} of {name} is not finite for a picture of random numbers in [0, 1]")
        for again in see(first, 1):
            before = {layer: again[layer].clone() for layer in wanted}
            see(second, 2)
            for layer in wanted:
                if not torch.equal(again[layer], before[layer]):
                    raise ValueError(
                        f"{name} returns features of layer {layer!r} in memory that its next call overwrites; return "
                        "new tensors"
                    )
                off = difference(found[layer], before[layer])
                if off > tolerance_of(before[layer]):
                    raise ValueError(
                        f"layer {layer!r} of {name} differs by {off:.0%} from one call to the next for the same "
                        "picture; use eval(), and draw no random numbers"
                    )


def try_reach(source: FeatureSource) -> None:
    """Try whether an encoder sees no further than the reach of its layers in use: pixels beyond change no position.

    Raises:
        ValueError: it sees further.

    """
    encoder = source.encoder
    local = [source.layers[layer] for layer in source.in_use if layer in encoder.layers]
    local = [layer for layer in local if not layer.is_global]
    if not local or _is_package_network(source):
        return
    stride = common_stride(local)
    height, beyond = max(2 * stride, MIN_SIDES[0]), -(-MIN_SIDES[0] // stride) * stride
    for reach in sorted({layer.reach for layer in local}):
        start = -(-reach // stride) * stride + beyond
        stop = start + 2 * stride  # cells from start to stop see pixels from start - reach to stop + reach
        names = tuple(layer.name for layer in local if layer.reach == reach)
        one, other = (_noise(None, 3, height, start + stop, seed=seed) for seed in (2, 3))
        other[..., start - reach : stop + reach] = one[..., start - reach : stop + reach]
        for lying in (True, False):
            strips = (on_encoder(encoder, strip if lying else strip.transpose(2, 3)) for strip in (one, other))
            found = [
                maps for strip in strips for maps in _attempt(partial(encoder, strip, names), strip, 0, gradient=False)
            ]
            for layer in (source.layers[name] for name in names if len(found) == 2):
                cells = slice(start // layer.stride, stop // layer.stride)
                maps = [each[layer.name] for each in found]
                seen = [each[..., cells] if lying else each[..., cells, :] for each in maps]
                off = difference(*seen)
                if off > tolerance_of(*seen):
                    raise ValueError(
                        f"layer {layer.name!r} of {encoder_name(encoder)} states a reach of {reach} pixels, and pixels "
                        f"further away change its features by {off:.0%}, so that tiles would not be exact; state the "
                        "reach that it has, which neuralstyle.testing.check_encoder measures"
                    )


def _is_package_network(source: FeatureSource) -> bool:
    encoder = source.encoder.encoder if isinstance(source.encoder, InPrecision) else source.encoder
    return all(map(is_ours, encoder.encoders.values() if isinstance(encoder, CombinedEncoder) else [encoder]))


def _results(loss: Loss, work: Callable[[], _Result], like: Tensor) -> list[_Result]:
    """What a loss that is not the package's own returns, in a list of one; an empty one where it raises."""
    if is_ours(loss):
        return []
    before = repr(loss)
    found = _attempt(work, like, 0)
    if repr(loss) != before:
        raise ValueError(
            f"{type(loss).__name__} changes while it is evaluated, from {before} to {loss!r}; a loss is a description "
            "and keeps nothing"
        )
    return found


def _attempt(work: Callable[[], _Result], like: Tensor, seed: int, *, gradient: bool = True) -> list[_Result]:
    with forked_random_numbers(like), torch.set_grad_enabled(gradient):
        torch.manual_seed(seed)
        try:
            return [work()]
        except Exception:  # whatever somebody's own code raises; see above
            return []


def _noise(like: Tensor | None, channels: int, height: int, width: int, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(1, channels, height, width, generator=generator, dtype=torch.float32)
    return drawn if like is None else drawn.to(like)
