"""Activation scales: the mean activation of every filter of a network, by which its weights are normalised."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from neuralstyle.encoders.base import Layer
from neuralstyle.encoders.weights.files import packaged_tensors


def activation_scales(pooling: str) -> dict[str, Tensor]:
    """Mean activation of every filter over natural photographs, by convolution, as shipped with the package.

    Measured after the ReLU on VGG-19 with Simonyan and Zisserman's weights and this pooling, by
    ``benchmarks/activation_scales.py``.
    """
    stored = packaged_tensors("vgg19_activation_scales.safetensors")
    prefix = f"{pooling}/"
    return {key.removeprefix(prefix): value for key, value in stored.items() if key.startswith(prefix)}


NORMALIZED: Mapping[str, Callable[[str], dict[str, Tensor]]] = {
    "simonyan": activation_scales,
    "distilled": lambda _: {},  # the student has learnt its teacher's normalised features
}
"""Sources of weights whose activation scales are known, and for a pooling those by which weights are rescaled."""


def check_scales(scales: Mapping[str, Tensor], layers: Mapping[str, Layer]) -> dict[str, Tensor]:
    """Scales by convolution, as float32 on the CPU.

    Raises:
        TypeError: no mapping from names to tensors.
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
