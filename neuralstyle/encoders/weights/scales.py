"""Activation scales: the mean activation of every filter of a network, which normalises its weights."""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch
from torch import Tensor

from neuralstyle._errors import brief
from neuralstyle.encoders.base import Layer
from neuralstyle.encoders.vgg import Network
from neuralstyle.encoders.weights.files import packaged_tensors

MEASURED_SOURCE = "simonyan"  # the weights on which the package's scales were measured


def activation_scales(pooling: str) -> dict[str, Tensor]:
    """Return the mean activation of every filter over natural photographs, by convolution, from the package's file.

    They were measured by ``benchmarks/activation_scales.py``, after the ReLUs of VGG-19 with Simonyan and Zisserman's
    weights and this pooling.
    """
    stored = packaged_tensors("vgg19_activation_scales.safetensors")
    prefix = f"{pooling}/"
    return {key.removeprefix(prefix): value for key, value in stored.items() if key.startswith(prefix)}


def has_shipped_scales(network: Network, source: str | os.PathLike[str]) -> bool:
    """Tell whether the package has scales for these weights of a network, or they are normalised already."""
    return source in network.sources and (network.normalized or source == MEASURED_SOURCE)


def shipped_scales(network: Network, pooling: str) -> dict[str, Tensor]:
    """Return the package's scales with this pooling; empty if the network's weights are normalised already."""
    return {} if network.normalized else activation_scales(pooling)


def check_scales(scales: Mapping[str, Tensor], layers: Mapping[str, Layer]) -> dict[str, Tensor]:
    """Check scales by convolution, and return them in float32 on the CPU.

    Raises:
        TypeError: the scales are not a mapping from names to tensors.
        ValueError: a convolution without scales, a wrong number of channels, or a scale that is not positive.

    """
    if not isinstance(scales, Mapping):
        raise TypeError(f"normalize is True, False or scales by convolution, received {brief(scales)}")
    checked: dict[str, Tensor] = {}
    for layer in layers.values():
        if layer.kind != "conv":
            continue
        if layer.name not in scales:
            raise ValueError(f"the scales have no {layer.name!r}; measure them on this network")
        scale = torch.as_tensor(scales[layer.name]).detach().to("cpu", torch.float32)
        if scale.shape != (layer.channels,):
            raise ValueError(
                f"the scales of {layer.name!r} have the shape {tuple(scale.shape)}, expected {(layer.channels,)}; "
                "measure them on this network"
            )
        if not bool((scale.isfinite() & (scale > 0)).all()):
            raise ValueError(f"the scales of {layer.name!r} are not all positive; they divide the weights")
        checked[layer.name] = scale
    return checked
