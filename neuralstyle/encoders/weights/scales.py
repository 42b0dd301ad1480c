"""Activation scales: the mean activation of every filter of a network, which normalises its weights."""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch
from torch import Tensor

from neuralstyle.encoders.base import Layer
from neuralstyle.encoders.vgg import Network
from neuralstyle.encoders.weights.files import packaged_tensors

MEASURED_SOURCE = "simonyan"  # of the weights that the package's scales were measured on


def activation_scales(pooling: str) -> dict[str, Tensor]:
    """The mean activation of every filter over natural photographs, by convolution, from the package's file.

    ``benchmarks/activation_scales.py`` has measured them after the ReLUs of VGG-19 with Simonyan and Zisserman's
    weights and this pooling.
    """
    stored = packaged_tensors("vgg19_activation_scales.safetensors")
    prefix = f"{pooling}/"
    return {key.removeprefix(prefix): value for key, value in stored.items() if key.startswith(prefix)}


def has_shipped_scales(network: Network, source: str | os.PathLike[str]) -> bool:
    """Whether the package knows the scales of weights of a network, or these are normalised already."""
    return source in network.sources and (network.normalized or source == MEASURED_SOURCE)


def shipped_scales(network: Network, pooling: str) -> dict[str, Tensor]:
    """The scales of weights that have them, with this pooling; empty if the weights are normalised already."""
    return {} if network.normalized else activation_scales(pooling)


def check_scales(scales: Mapping[str, Tensor], layers: Mapping[str, Layer]) -> dict[str, Tensor]:
    """Scales by convolution in float32 on the CPU, after a check.

    Raises:
        TypeError: it is no mapping from names to tensors.
        ValueError: a convolution without scales, other channels than the network's, or a scale that is not positive.

    """
    if not isinstance(scales, Mapping):
        raise TypeError(f"normalize is True, False or scales by convolution, received {scales!r}")
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
