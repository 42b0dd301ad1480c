"""The protocol of encoders: named layers, each with its geometry, and a call that gives their features."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from neuralstyle._errors import brief, is_word, unknown, whole_number

WHOLE_PICTURE = 1 << 24
"""The reach, in pixels, of a layer whose positions may depend on the whole picture: larger than any picture."""


@dataclass(frozen=True)
class Layer:
    """A layer of a network: its channels and its geometry.

    Args:
        name: name of the layer.
        kind: the operation that computes it; "module" for the output of any module.
        channels: number of channels of its features.
        stride: distance in input pixels between two neighbouring positions.
        reach: how many pixels a position sees on each side beyond its own ``stride x stride`` cell. Its receptive
            field is at most ``stride + 2 * reach`` wide (156 pixels for relu5_1 of VGG-19). After an operation on the
            whole picture (attention, global pooling, instance normalisation) it is ``WHOLE_PICTURE``.

    A layer may also be one vector (B, C) for the whole picture, such as an embedding: ``Layer.vector(name, channels)``.

    """

    name: str
    kind: Literal["image", "conv", "relu", "pool", "module", "vector"]
    channels: int
    stride: int
    reach: int

    @classmethod
    def vector(cls, name: str, channels: int) -> Layer:
        """Return the description of a layer whose features are (B, C): one vector for the whole picture."""
        return cls(name, "vector", channels, WHOLE_PICTURE, WHOLE_PICTURE)

    @property
    def is_vector(self) -> bool:
        """Whether the features are one vector for the whole picture, (B, C), without positions."""
        return self.kind == "vector"

    @property
    def is_global(self) -> bool:
        """Whether a position may depend on the whole picture, so that tiles cannot be used."""
        return self.reach >= WHOLE_PICTURE


class Encoder(Protocol):
    """An object that gives features of pictures: named layers and a call. ``FeatureExtractor`` is one.

    Four more attributes are optional:

    - ``name``: a string that error messages use instead of the class's name.
    - ``pins_colors``: False if a style loss on the features alone does not keep the colours of the style; the recipes
      then add terms on the pixels.
    - ``left_out``: why parts of the network are no layers, by their names, for error messages.
    - the methods of ``torch.nn.Module``: ``stylize`` moves a module to its device, and gives it pictures in the dtype
      of its first parameter.

    A loss on the pixels, such as ``TotalVariationLoss``, names the layer "image": the picture itself.
    """

    @property
    def layers(self) -> Mapping[str, Layer]:
        """Every layer by name: its channels, stride and reach."""

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Return features of a picture.

        Args:
            image: (B, 3, H, W), RGB in [0, 1].
            layers: names of layers, one or more.

        Returns:
            Features by layer name, (B, C, H // stride, W // stride), or (B, C) of a vector, in the order of ``layers``.

        Raises:
            ValueError: an unknown layer, or a picture that is too small for the deepest one.

        """


class Walker(Encoder, Protocol):
    """An encoder that passes on each layer's features as soon as they are computed, as ``FeatureExtractor`` does."""

    def walk(self, image: Tensor, layers: Iterable[str], visit: Callable[[str, Tensor], Tensor]) -> None:
        """Call ``visit`` with each layer's name and features; the network continues with the features it returns."""


def on_encoder(encoder: Encoder, image: Tensor) -> Tensor:
    """Return the picture on the encoder's device and in its dtype, if the encoder is a module with parameters."""
    first = next(encoder.parameters(), None) if isinstance(encoder, torch.nn.Module) else None
    return image if first is None else image.to(first)


def encoder_name(encoder: object) -> str:
    """Return an encoder's name for messages: the name itself, its ``name`` if that is a string, or its class's."""
    name = encoder if isinstance(encoder, str) else getattr(encoder, "name", None)
    return name if isinstance(name, str) else type(encoder).__name__


def check_is_encoder(encoder: object) -> None:
    """Check that an object is an encoder: it has named layers and can be called.

    Raises:
        TypeError: the object is not an encoder; the message says what to do.

    """
    if isinstance(encoder, type):
        raise TypeError(f"an encoder is an object, received the class {encoder.__name__}; make one of that class")
    layers = getattr(encoder, "layers", None)
    if isinstance(layers, Mapping) and callable(encoder) and all(isinstance(each, Layer) for each in layers.values()):
        for key, layer in layers.items():
            check_layer(encoder_name(encoder), key, layer)
        return
    if isinstance(encoder, torch.nn.Module):
        raise TypeError(
            f"{type(encoder).__name__} is a network and not an encoder, as it has no 'layers', a mapping from names to "
            "Layer; give ModuleExtractor(network), which finds the layers of any network"
        )
    raise TypeError(
        "an encoder has 'layers', a mapping from names to Layer, and is called with a picture and names of layers; "
        f"received {_shown(encoder)}; give FeatureExtractor() or ModuleExtractor(network)"
    )


def check_layer(network: str, key: str, layer: Layer) -> None:
    """Whether a layer of an encoder is described by possible numbers, under its own name.

    Raises:
        ValueError: it is not.

    """
    if layer.name != key:
        raise ValueError(f"{network}.layers[{key!r}] is called {layer.name!r}; give both the same name")
    for what, least in (("channels", 1), ("stride", 1), ("reach", 0)):
        whole_number(f"{what} of {network}'s layer {key!r}", getattr(layer, what), least)
    if layer.is_vector and (layer.stride, layer.reach) != (WHOLE_PICTURE, WHOLE_PICTURE):
        raise ValueError(
            f"layer {key!r} of {network} is a vector with a stride of {layer.stride} and a reach of {layer.reach}, and "
            "a vector has no positions; describe it by Layer.vector(name, channels)"
        )
    if key == "image" and (layer.channels, layer.stride, layer.reach) != (3, 1, 0):
        raise ValueError(f"layer 'image' of {network} is the picture itself: 3 channels, a stride of 1, a reach of 0")


def least_side(layers: Iterable[Layer]) -> int:
    """Return the shortest side in pixels at which each layer has a position; a vector has one for any picture."""
    return max((layer.stride for layer in layers if not layer.is_vector), default=1)


def common_stride(layers: Iterable[Layer]) -> int:
    """Return the side in pixels of the whole cells of all layers; a vector has no cells."""
    return math.lcm(*(layer.stride for layer in layers if not layer.is_vector))


def check_names(
    names: Iterable[str], layers: Mapping[str, Layer], network: str, left_out: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Check names of layers, and return them as a tuple without repetitions.

    Args:
        names: the names; a single string is one name.
        layers: every layer of the network by name.
        network: name of the network for messages, such as ``encoder_name(encoder)``.
        left_out: why parts of the network are no layers, by their names.

    Raises:
        ValueError: a layer that the network does not have; the closest match is suggested.
        TypeError: ``names`` is not a name or several.

    """
    try:
        wanted = (names,) if isinstance(names, str) else tuple(names)
    except TypeError:
        raise TypeError(f"the layers of {network} are given by their names, received {brief(names)}") from None
    for name in wanted:
        if is_word(name, left_out or {}) and name not in layers:
            raise ValueError(f"{name!r} of {network} is no layer: {(left_out or {})[name]}; choose another")
        if not is_word(name, layers):
            raise unknown(f"layer of {network}", name, layers)
    return tuple(dict.fromkeys(wanted))


def check_image(image: Tensor, dtype: torch.dtype, layers: Iterable[Layer]) -> None:
    """Check that a network of this dtype takes a picture, and that each layer has at least one position.

    Raises:
        TypeError: the picture is not a tensor.
        ValueError: a tensor of another shape, dtype or layout, without values, or too small.

    """
    rule = "an image is a floating (B, 3, H, W) tensor in [0, 1]"
    if not isinstance(image, Tensor):
        raise TypeError(f"{rule}, received {_shown(image)}; load_image() makes one of a picture")
    unusual = "sparse " if image.layout != torch.strided else "meta " if image.device.type == "meta" else ""
    if unusual or image.ndim != 4 or image.shape[1] != 3 or not image.is_floating_point():
        raise ValueError(f"{rule}, received {unusual}{image.dtype} {tuple(image.shape)}")
    if image.dtype != dtype:
        raise ValueError(f"the image is {image.dtype} and the network {dtype}; convert one of them")
    for layer in layers:
        if min(image.shape[2:]) < least_side([layer]):
            raise ValueError(
                f"a picture of {image.shape[3]} x {image.shape[2]} pixels is too small for layer {layer.name!r}, which "
                f"needs {layer.stride} on each side; use a larger picture or a shallower layer"
            )


def _shown(thing: object) -> str:
    """A wrong argument as messages show it: its value if that is short, else its type."""
    return brief(thing) if isinstance(thing, (int, float, complex, str, type(None))) else f"a {type(thing).__name__}"


def is_plain_cpu(x: Tensor) -> bool:
    """Tell whether operations on a tensor run on the CPU as written: outside autocast and ``torch.compile``."""
    return x.device.type == "cpu" and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()
