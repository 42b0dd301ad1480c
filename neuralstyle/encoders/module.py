"""ModuleExtractor: any network, one's own or torchvision's, as an encoder."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralstyle._errors import unknown
from neuralstyle.encoders.base import Layer, check_image, check_names
from neuralstyle.encoders.probe import probe_layers
from neuralstyle.encoders.taps import module_path, watch
from neuralstyle.encoders.weights.files import read_tensors
from neuralstyle.encoders.weights.records import IMAGENET_MEAN, IMAGENET_STD, torchvision_network


class ModuleExtractor(nn.Module):
    r"""The outputs of a network's modules by name: ``encoder(image, ["layer2"]) -> {"layer2": features}``.

    The network is any ``nn.Module`` that takes pictures of any size, such as a ResNet or ConvNeXt; a copy of it is
    frozen, in evaluation mode, and given $(x - \text{mean}) / \text{std}$. Layers are called as in
    ``network.named_modules()``: "layer1.0.conv1", "layer1", ...; "image" is the picture itself. Of a module that runs
    several times in one pass, "layer1.0.relu" is the first output and "layer1.0.relu:1" the second. There are those
    whose outputs are maps that grow with the picture; nothing past the deepest layer asked for is computed, and no
    layer's features are overwritten by a later operation.

    Channels, stride and reach are measured by running the network, the reach by how far a NaN in the picture comes.
    Features are (B, C, H // stride, W // stride). What a network has more, as one that rounds odd sizes up, is cut off;
    what it has less, where convolutions do not pad, is the last row or column repeated.

    A layer behind an operation on the whole picture (squeeze and excitation, attention, instance normalisation), or
    whose features depend on where in the picture they are, has ``Layer.is_global``: a picture cannot be looked at in
    tiles there.

    Args:
        network: a module, or a name of torchvision's such as "resnet50".
        layers: names of those to have; None: all. Naming some spares measuring the rest, and lets the rest of the
            network be one that takes a single size of pictures.
        weights: of a network of torchvision's: "torchvision", its default ones, downloaded on first use; the path of a
            file, safetensors or a state dict saved by torch; None: drawn at random. A module has its own.
        mean: what is taken off the colours, by channel; ImageNet's, on which most networks are trained, by default.
        std: what they are divided by then.

    Raises:
        ValueError: an unknown network or layer, the near one is suggested; a layer that is no map; a network that does
            not take pictures of any size; a file that does not fit.
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
            raise ValueError(f"mean and std are three numbers each, std none of them 0, received {mean!r} and {std!r}")
        if isinstance(network, str):
            self.name = network
            self.network = _from_torchvision(network, weights)
        elif isinstance(network, nn.Module):
            self.name = type(network).__name__
            self.network = copy.deepcopy(network)
        else:
            raise TypeError(f"the network is an nn.Module or a name of torchvision's, received {network!r}")
        first = next(self.network.parameters(), torch.empty(()))
        self.register_buffer("mean", torch.tensor(mean, dtype=first.dtype).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=first.dtype).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)
        names = None if layers is None else self._check_paths((layers,) if isinstance(layers, str) else layers)
        # On the CPU: the fast algorithms of an accelerator smear a NaN over their own blocks.
        self.network.cpu()
        self._layers = {"image": Layer("image", "image", 3, 1, 0), **probe_layers(self.network, names)}
        self.to(first.device)
        for name in names or ():
            if name not in self._layers:
                raise ValueError(
                    f"layer {name!r} of {self.name} puts out no map (B, C, H // stride, W // stride) of a picture, or "
                    "does not run; choose another"
                )

    @property
    def layers(self) -> Mapping[str, Layer]:
        """Every layer by name, in order of running: its channels, stride and reach."""
        return self._layers

    def check_layers(self, names: Iterable[str]) -> tuple[str, ...]:
        """The names as a tuple, each once.

        Raises:
            ValueError: a layer that the network does not have; the near one is suggested.

        """
        return check_names(names, self._layers, self.name)

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Features of a picture.

        Args:
            image: (B, 3, H, W), RGB in [0, 1].
            layers: names of layers, one or more.

        Returns:
            For each name its features, (B, C, H // stride, W // stride), in the order asked for.

        Raises:
            ValueError: an unknown layer, or a picture that is too small for the deepest one.

        """
        wanted = self.check_layers(layers)
        check_image(image, self.mean.dtype, [self._layers[name] for name in wanted])
        features = {"image": image} if "image" in wanted else {}

        def note(name: str, output: Tensor) -> bool:
            if name in wanted:
                features[name] = _fit(output, image, self._layers[name])
            return len(features) == len(wanted)

        if len(features) < len(wanted):
            paths = dict.fromkeys(module_path(name) for name in wanted if name != "image")
            watch(self.network, (image - self.mean) / self.std, paths, note)
        return {name: features[name] for name in wanted}

    def train(self, mode: bool = True) -> ModuleExtractor:
        """Leaves the network in evaluation mode, whatever is asked for: it is frozen."""
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
    network = torchvision_network(name, None)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{weights} does not fit torchvision's {name}: {' '.join(str(error).split())}") from error
    return network


def _fit(output: Tensor, image: Tensor, layer: Layer) -> Tensor:
    """A copy of an output, safe from what follows in place, with the rows and columns that belong to the picture."""
    height, width = (side // layer.stride for side in image.shape[2:])
    features = output[:, :, :height, :width]
    missing = height - features.shape[2], width - features.shape[3]
    if not any(missing):
        return features.clone()
    return F.pad(features, (0, missing[1], 0, missing[0]), mode="replicate")
