"""FeatureExtractor: a frozen network that turns a picture into named feature maps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralstyle._errors import unknown
from neuralstyle.encoders.vgg import Layer, vgg19_layers
from neuralstyle.encoders.weights import WeightRecord, activation_scales, load_weights

Pooling = Literal["max", "average", "l2"]
Padding = Literal["zeros", "replicate", "reflect"]

NETWORKS = ("vgg19",)
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
PADDINGS: tuple[Padding, ...] = get_args(Padding)


class FeatureExtractor(nn.Module):
    r"""The layers of a VGG-19 by name: ``encoder(image, ["relu4_2"]) -> {"relu4_2": features}``.

    The image is RGB in [0, 1], (B, 3, H, W); the network's own preprocessing is inside. Features are
    (B, C, H // stride, W // stride). Layers are called "image" (the picture itself), "conv1_1", "relu1_1", "pool1",
    ..., "pool5"; nothing past the deepest layer asked for is computed. All weights are frozen, and no layer's
    features are overwritten by a later one.

    With ``normalize=True``, as in the paper, the weights are rescaled so that the mean activation of each filter over
    natural photographs and positions is 1. With $m_i$ the mean activation of filter i after its ReLU and
    $m'_j$ that of input j,

    $$
    W_{ij} \leftarrow W_{ij} m'_j / m_i, \qquad b_i \leftarrow b_i / m_i
    $$

    which is exact, as ReLU and pooling commute with a positive factor: every feature is the raw network's divided by
    $m_i$.

    Args:
        network: "vgg19".
        weights: "simonyan" (Simonyan and Zisserman's own, installed with this package, no download) or "torchvision"
            (retrained there; downloaded by torchvision on first use; needs ``normalize=False``).
        pooling: "max" as trained; "average", smoother, as in the paper's pictures; "l2", the root of the sum of
            squares. Average and L2 are multiplied by 2 and 0.78, which keeps activations near those of max pooling.
            (The paper does not rescale.)
        padding: what surrounds the picture at the first convolution: "zeros" as trained, "replicate" or "reflect",
            which avoid dark borders.
        normalize: rescale to mean activation 1; ``False`` gives the raw network.

    Raises:
        ValueError: an unknown option; the near one is suggested.
        FileNotFoundError: the weights are not installed.

    Example:
        ```python
        import torch
        from neuralstyle import FeatureExtractor

        encoder = FeatureExtractor("vgg19", pooling="average")
        features = encoder(torch.rand(1, 3, 64, 96), ["relu1_1", "relu4_2"])
        assert features["relu4_2"].shape == (1, 512, 8, 12)
        assert encoder.layers["relu4_2"].stride == 8
        ```

    Papers: Simonyan and Zisserman, arXiv 1409.1556 (network); Gatys, Ecker and Bethge, arXiv 1508.06576
    (normalisation, average pooling).

    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: str = "vgg19",
        *,
        weights: str = "simonyan",
        pooling: Pooling = "max",
        padding: Padding = "zeros",
        normalize: bool = True,
    ) -> None:
        super().__init__()
        for kind, received, known in (
            ("network", network, NETWORKS),
            ("pooling", pooling, POOLINGS),
            ("padding", padding, PADDINGS),
        ):
            if received not in known:
                raise unknown(kind, received, known)
        if normalize and weights == "torchvision":
            raise ValueError('normalize=True has no activation scales for weights="torchvision"; pass normalize=False')
        self.network = network
        self.weights = weights
        self.pooling = pooling
        self.padding = padding
        self.normalize = normalize
        self._layers = vgg19_layers()
        record = load_weights(weights)
        self.register_buffer("mean", torch.tensor(record.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(record.std).view(1, 3, 1, 1))
        self.convolutions = nn.ModuleDict(_convolutions(record, activation_scales(pooling) if normalize else {}))
        self.requires_grad_(False)

    @property
    def layers(self) -> Mapping[str, Layer]:
        """Every layer by name, in order: its channels, stride and reach."""
        return self._layers

    def check_layers(self, names: Iterable[str]) -> tuple[str, ...]:
        """The names as a tuple, each once.

        Raises:
            ValueError: a layer that the network does not have; the near one is suggested.

        """
        wanted = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
        for name in wanted:
            if name not in self._layers:
                raise unknown(f"layer of {self.network}", name, self._layers)
        return wanted

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
        self._check_image(image, wanted)
        features: dict[str, Tensor] = {}
        x = image
        for layer in self._layers.values():
            if layer.kind == "conv":
                x = self._convolve(layer, x)
            elif layer.kind == "relu":
                # In place halves the memory, and is safe unless somebody asked for what it would overwrite.
                x = x.relu() if layer.name.replace("relu", "conv") in features else x.relu_()
            elif layer.kind == "pool":
                x = self._pool(x)
            if layer.name in wanted:
                features[layer.name] = x
            if len(features) == len(wanted):
                break
        return {name: features[name] for name in wanted}

    def extra_repr(self) -> str:
        """The options, for ``repr``."""
        return f"{self.network!r}, pooling={self.pooling!r}, padding={self.padding!r}, normalize={self.normalize}"

    def _convolve(self, layer: Layer, x: Tensor) -> Tensor:
        convolution = self.convolutions[layer.name]
        assert isinstance(convolution, nn.Conv2d)
        if layer.name != "conv1_1":
            result: Tensor = convolution(x)
            return result
        x = ((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        if self.padding == "zeros":
            return F.conv2d(x, convolution.weight, convolution.bias, padding=1)
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode=self.padding), convolution.weight, convolution.bias)

    def _pool(self, x: Tensor) -> Tensor:
        if self.pooling == "max":
            return F.max_pool2d(x, 2)
        if self.pooling == "average":
            return 2.0 * F.avg_pool2d(x, 2)
        # The small constant keeps the gradient of the root finite where all four are zero.
        return 0.78 * (4 * F.avg_pool2d(x.square(), 2) + 1e-12).sqrt()

    def _check_image(self, image: Tensor, wanted: tuple[str, ...]) -> None:
        if image.ndim != 4 or image.shape[1] != 3 or not image.is_floating_point():
            raise ValueError(
                f"an image is a floating (B, 3, H, W) tensor in [0, 1], received {image.dtype} {tuple(image.shape)}"
            )
        if image.dtype != self.mean.dtype:
            raise ValueError(f"the image is {image.dtype} and the network {self.mean.dtype}; convert one of them")
        for name in wanted:
            if min(image.shape[2:]) < self._layers[name].stride:
                raise ValueError(
                    f"a picture of {image.shape[3]} x {image.shape[2]} pixels is too small for layer {name!r}, which "
                    f"needs {self._layers[name].stride} on each side; use a larger picture or a shallower layer"
                )


def _convolutions(record: WeightRecord, scales: Mapping[str, Tensor]) -> dict[str, nn.Module]:
    modules: dict[str, nn.Module] = {}
    before: Tensor | None = None
    for name, (weight, bias) in record.convolutions.items():
        if name in scales:
            scale = scales[name]
            weight = weight / scale.view(-1, 1, 1, 1)
            bias = bias / scale
            if before is not None:
                weight = weight * before.view(1, -1, 1, 1)
            before = scale
        # On the meta device nothing is drawn at random only to be replaced.
        module = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, device="meta")
        module.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        module.bias = nn.Parameter(bias)
        modules[name] = module
    return modules
