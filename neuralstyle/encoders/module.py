"""ModuleExtractor: any network as an encoder, yours or torchvision's."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralstyle._errors import brief, unknown
from neuralstyle.encoders.base import Layer, check_image, check_names
from neuralstyle.encoders.probe import probe_layers
from neuralstyle.encoders.taps import module_path, run_with_hooks
from neuralstyle.encoders.weights.files import read_tensors
from neuralstyle.encoders.weights.records import IMAGENET_MEAN, IMAGENET_STD, torchvision_network
from neuralstyle.files.schema import clip
from neuralstyle.machine.surroundings import plain_torch


class ModuleExtractor(nn.Module):
    r"""The outputs of a network's modules by name: ``encoder(image, ["layer2"]) -> {"layer2": features}``.

    The network is any ``nn.Module`` that takes pictures of any size, such as a ResNet or ConvNeXt. A copy of it is
    frozen, in evaluation mode, and given $(x - \text{mean}) / \text{std}$. Layers are called as in
    ``network.named_modules()``: "layer1.0.conv1", "layer1", ...; "image" is the picture itself. If a module runs
    several times in one pass, "layer1.0.relu" is its first output and "layer1.0.relu:1" the second. A module is a layer
    if its output is a map that grows with the picture, or one vector for a picture of any size, (B, C) or (B, C, 1, 1),
    such as an embedding; ``left_out`` says why any other module is none. Layers past the deepest requested one are not
    computed, and no later operation overwrites the features of a layer.

    Channels, stride and reach are measured by running the network; the reach by how far a NaN in the picture spreads.
    Features are (B, C, H // stride, W // stride). Larger maps, of networks that round odd sizes up, are cropped.
    Smaller maps, of convolutions without padding, have their last row and column repeated.

    A layer has ``Layer.is_global`` if an operation on the whole picture comes before it (squeeze and excitation,
    attention, instance normalisation), or if its features depend on their place in the picture. Tiles cannot be used
    with it.

    Args:
        network: a module, or the name of a torchvision network such as "resnet50".
        layers: names of the layers that are needed; None: all. With names, only these are measured, and the part of the
            network after them may take a single size of pictures.
        weights: weights of a torchvision network: "torchvision", its default weights, downloaded on first use; the path
            of a file, safetensors or a state dict saved by torch; None: random. A module keeps its own weights.
        mean: subtracted from the colours, by channel. The default is ImageNet's, which most networks are trained on.
        std: divides the colours after that, by channel.

    Raises:
        ValueError: an unknown network or layer, the closest match is suggested; a layer that is no map and no vector; a
            network that does not take pictures of any size; a file that does not fit.
        TypeError: the network is neither a module nor a name.
        FileNotFoundError: no such file.
        ImportError: a name is given and torchvision does not import.
        ConnectionError: torchvision cannot download.

    Example:
        ```python
        import torch
        from torch import nn
        from neuralstyle import ModuleExtractor

        network = nn.Sequential(nn.Conv2d(3, 8, 7, stride=2, padding=3), nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1))
        encoder = ModuleExtractor(network, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        assert encoder(torch.rand(1, 3, 33, 48), ["2"])["2"].shape == (1, 16, 16, 24)
        assert encoder.layers["2"].reach == 5
        ```

    """

    mean: Tensor
    std: Tensor

    @plain_torch()
    def __init__(
        self,
        network: nn.Module | str,
        layers: Iterable[str] | None = None,
        *,
        weights: str | os.PathLike[str] | None = "torchvision",
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        if len(mean) != 3 or len(std) != 3 or not all(std):
            raise ValueError(
                f"mean and std are three numbers each, std none of them 0, received {brief(mean)} and {brief(std)}"
            )
        if isinstance(network, str):
            self.name = network
            self.network = _from_torchvision(network, weights)
        elif isinstance(network, nn.Module):
            self.name = type(network).__name__
            self.network = copy.deepcopy(network)
        else:
            raise TypeError(f"the network is an nn.Module or a name of torchvision's, received {brief(network)}")
        first = next(self.network.parameters(), torch.empty((), dtype=torch.float32))
        self.register_buffer("mean", torch.tensor(mean, dtype=first.dtype).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=first.dtype).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)
        names = None if layers is None else self._check_paths((layers,) if isinstance(layers, str) else layers)
        # On the CPU, since fast algorithms of accelerators spread a NaN over whole blocks.
        self.network.cpu()
        found, self._left_out = probe_layers(self.network, names)
        self._layers = {"image": Layer("image", "image", 3, 1, 0), **found}
        self.to(first.device)
        for name in names or ():
            if name not in self._layers:
                check_names([name], self._layers, self.name, self._left_out)

    @property
    def layers(self) -> Mapping[str, Layer]:
        """Every layer by name, in order of running: its channels, stride and reach."""
        return self._layers

    @property
    def left_out(self) -> Mapping[str, str]:
        """Why modules of the network are no layers, by their names."""
        return self._left_out

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Return features of a picture by name, maps or vectors, see ``Encoder``."""
        wanted = check_names(layers, self._layers, self.name, self._left_out)
        check_image(image, self.mean.dtype, [self._layers[name] for name in wanted])
        features = {"image": image} if "image" in wanted else {}

        def keep(name: str, output: Tensor) -> bool:
            if name in wanted:
                features[name] = _fit(output, image, self._layers[name])
            return len(features) == len(wanted)

        if len(features) < len(wanted):
            paths = dict.fromkeys(module_path(name) for name in wanted if name != "image")
            run_with_hooks(self.network, (image - self.mean) / self.std, paths, keep)
        return {name: features[name] for name in wanted}

    def train(self, mode: bool = True) -> ModuleExtractor:
        """Stay in evaluation mode, since the network is frozen."""
        return super().train(False)

    def extra_repr(self) -> str:
        """The network's name, for ``repr``."""
        return f"{self.name!r}"

    def _check_paths(self, names: Iterable[str]) -> tuple[str, ...]:
        paths = [path for path, _ in self.network.named_modules() if path]
        wanted = tuple(dict.fromkeys(name for name in names if name != "image"))
        for name in wanted:
            if module_path(name) not in paths:
                raise unknown(f"layer of {self.name}", name, paths)
        return wanted


def _from_torchvision(name: str, weights: str | os.PathLike[str] | None) -> nn.Module:
    if weights is None or weights == "torchvision":
        return torchvision_network(name, None if weights is None else "DEFAULT")
    state = read_tensors(Path(weights))
    with torch.random.fork_rng(devices=[]):  # the random weights are replaced, and are nobody's draws
        network = torchvision_network(name, None)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{weights} does not fit torchvision's {name} ({clip(str(error))})") from error
    return network


def _fit(output: Tensor, image: Tensor, layer: Layer) -> Tensor:
    """A copy of an output, safe from later operations in place, with a position for each whole cell of the picture."""
    if layer.is_vector:
        return output.flatten(1).clone()
    height, width = (side // layer.stride for side in image.shape[2:])
    features = output[:, :, :height, :width]
    missing = height - features.shape[2], width - features.shape[3]
    if not any(missing):
        return features.clone()
    return F.pad(features, (0, missing[1], 0, missing[0]), mode="replicate")
