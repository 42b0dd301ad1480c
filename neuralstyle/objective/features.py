"""An encoder as the objective uses it: with a layer "image", one layer at a time, and with checked shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor

from neuralstyle.encoders.base import Encoder, Layer, check_is_encoder, common_stride, encoder_name, least_side
from neuralstyle.encoders.precision import InPrecision
from neuralstyle.encoders.walking import pads_circularly, visit_all, walk_features
from neuralstyle.objective.borders import continued

IMAGE = Layer("image", "image", channels=3, stride=1, reach=0)


Visit: TypeAlias = Callable[[str, Tensor], Tensor]
"""Called with a layer's name and features; returns what the network goes on with."""


def layers_of(encoder: Encoder) -> Mapping[str, Layer]:
    """Return an encoder's layers, with "image", the picture itself, if it is missing.

    Raises:
        TypeError: the object is not an encoder.

    """
    check_is_encoder(encoder)
    layers = encoder.layers
    return layers if IMAGE.name in layers else {IMAGE.name: IMAGE, **layers}


class FeatureSource:
    """An encoder as the objective uses it.

    It always has the layer "image", passes features on one layer at a time, and checks their shapes. It shows the
    encoder the picture continued to whole cells of every layer in use (see ``borders``).

    Args:
        encoder: the encoder.
        in_use: names of the layers at which pictures are compared. All of a source's pictures are continued alike, as
            features can be compared only then.

    Attributes:
        layers: every layer by name.
        in_use: names of the layers in use, each once.
        step: side in pixels of the whole cells of every layer in use: the deepest stride, where each divides the next.

    Raises:
        TypeError: the object is not an encoder.

    """

    def __init__(self, encoder: Encoder, in_use: Iterable[str]) -> None:
        self.layers = layers_of(encoder)
        self.encoder = encoder
        self.in_use = tuple(dict.fromkeys(in_use))
        self.step = common_stride(self.layers[name] for name in self.in_use)

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Return features of the continued picture by layer name."""
        features: dict[str, Tensor] = {}

        def keep(name: str, maps: Tensor) -> Tensor:
            features[name] = maps
            return maps

        self.walk(image, layers, keep)
        return features

    def walk(
        self, image: Tensor, layers: Iterable[str], visit: Callable[[str, Tensor], Tensor], circular: bool = False
    ) -> None:
        """Call ``visit`` with each layer's name and features; the network continues with the features it returns.

        The features are those of the continued picture; with ``circular``, see ``takes_circular``, those
        of a picture that repeats.

        Raises:
            ValueError: the picture is too small, or features are missing, are not what the layer says, or have no
                gradient.

        """
        wanted = tuple(layers)
        height, width = image.shape[2:]
        for layer in (self.layers[name] for name in wanted):
            if min(height, width) < least_side([layer]):
                raise ValueError(
                    f"a picture of {width} x {height} pixels is too small for layer {layer.name!r}, which needs "
                    f"{layer.stride} on each side; use a larger picture or a shallower layer"
                )
        image = continued(image, self.step)
        self._walk(image, wanted, visit, partial(walk_features, self.encoder, image, circular=circular))

    def takes_circular(self, height: int, width: int) -> bool:
        """Tell whether the encoder itself can take a picture of this size as one that repeats."""
        return pads_circularly(self.encoder) and height % self.step == width % self.step == 0

    def check(self, features: Any, layers: Iterable[str], image: Tensor) -> None:
        """Check what a call of the encoder has returned for a picture.

        Raises:
            TypeError: it is no features by layer name.
            ValueError: as ``walk``.

        """
        self._walk(image, layers, lambda name, maps: maps, partial(visit_all, self.encoder, features))

    def _walk(
        self, image: Tensor, layers: Iterable[str], visit: Visit, show: Callable[[Iterable[str], Visit], None]
    ) -> None:
        wanted = dict.fromkeys(layers)
        missing = set(wanted)

        def visit_checked(name: str, maps: Tensor) -> Tensor:
            self._check(name, maps, image)
            missing.discard(name)
            if maps.ndim == 2:  # a vector is a map of one position
                return visit(name, maps[:, :, None, None]).flatten(1)
            return visit(name, maps)

        if IMAGE.name in wanted and IMAGE.name not in self.encoder.layers:
            del wanted[IMAGE.name]
            visit_checked(IMAGE.name, image)
        if wanted:
            show(wanted, visit_checked)
        if missing:
            raise ValueError(
                f"{encoder_name(self.encoder)} returns no features of layer {min(missing)!r}, which is among its "
                "layers; return the features of every layer that is asked for"
            )

    @contextmanager
    def arithmetic(self, device: torch.device) -> Iterator[None]:
        """Set torch to the encoder's precision, without any other autocast, for the value and the gradient.

        Raises:
            ValueError: the network or its device does not support the encoder's precision.

        """
        settings: Callable[[], AbstractContextManager[object]] = getattr(self.encoder, "arithmetic", nullcontext)
        with torch.autocast(device.type, enabled=False), settings():
            yield

    def without_compiling(self) -> FeatureSource:
        """Return the same source without ``torch.compile``, for measuring memory."""
        if not isinstance(self.encoder, InPrecision):
            return self
        return FeatureSource(self.encoder.without_compiling(), self.in_use)

    def _check(self, name: str, maps: Any, image: Tensor) -> None:
        layer = self.layers[name]
        height, width = image.shape[2:]
        form = "(B, C)" if layer.is_vector else "(B, C, h, w)"
        sides = () if layer.is_vector else (height // layer.stride, width // layer.stride)
        expected = (image.shape[0], layer.channels, *sides)
        received = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        if received != expected:
            raise ValueError(
                f"layer {name!r} of {encoder_name(self.encoder)} has features of the shape {received}, and its "
                f"Layer says {form} = {expected} for a picture of {width} x {height} pixels (stride "
                f"{layer.stride}); correct the Layer, or cut or pad the features"
            )
        if maps.layout != torch.strided or maps.device != image.device or not maps.is_floating_point():
            raise ValueError(
                f"layer {name!r} of {encoder_name(self.encoder)} has features of {maps.dtype}, {maps.layout} and on "
                f"{str(maps.device)!r} for a picture on {str(image.device)!r}; return dense floating tensors on the "
                "picture's device"
            )
        if image.requires_grad and torch.is_grad_enabled() and not maps.requires_grad:
            raise ValueError(
                f"layer {name!r} of {encoder_name(self.encoder)} has no gradient with respect to the picture, which "
                "could not change; leave no_grad() and detach() out of the call"
            )
