"""Walking: an encoder's features one layer at a time, each as soon as it is computed if the encoder has ``walk``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor, nn
from typing_extensions import TypeIs

from neuralstyle.encoders.base import Encoder, Walker


def walk_features(
    encoder: Encoder,
    image: Tensor,
    layers: Iterable[str],
    visit: Callable[[str, Tensor], Tensor],
    circular: bool = False,
) -> None:
    """Call ``visit`` with each layer's name and features.

    An encoder with ``walk`` passes them on as they are computed, and continues with the features that ``visit``
    returns. Any other encoder computes all features first. ``circular`` is for one that ``pads_circularly``.

    Raises:
        TypeError: the encoder returns no features by layer name.

    """
    wanted = tuple(layers)
    if walks(encoder):
        options: dict[str, Any] = {"circular": True} if circular else {}
        encoder.walk(image, wanted, visit, **options)
    else:
        visit_all(encoder, encoder(image, wanted), wanted, visit)


def walks(encoder: Encoder) -> TypeIs[Walker]:
    """Tell whether ``walk`` gives the features of a call; it does not in a subclass that overrides the call alone."""
    call = "forward" if isinstance(encoder, nn.Module) else "__call__"
    return hasattr(encoder, "walk") and _origin(encoder, "walk") is _origin(encoder, call)


def pads_circularly(encoder: Encoder) -> bool:
    """Tell whether an encoder's ``walk`` can take a picture that repeats, as that of ``FeatureExtractor`` does."""
    can = walks(encoder) and getattr(encoder, "pads_circularly", True)
    return bool(can) and "circular" in inspect.signature(encoder.walk).parameters  # type: ignore[attr-defined]


def visit_all(encoder: Encoder, features: Any, layers: Iterable[str], visit: Callable[[str, Tensor], Tensor]) -> None:
    """Call ``visit`` with the features of these layers, from the result of an encoder.

    Raises:
        TypeError: the result is not a mapping by layer name.

    """
    if not isinstance(features, Mapping):
        raise TypeError(
            f"{type(encoder).__name__} returns a {type(features).__name__}; an encoder returns features by layer name, "
            "a dict such as {'relu1_1': features}"
        )
    for name in layers:
        if name in features:
            visit(name, features[name])


def _origin(thing: object, method: str) -> type | None:
    """The class that defines a method of an object."""
    return next((each for each in type(thing).__mro__ if method in vars(each)), None)
