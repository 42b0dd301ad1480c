"""FeatureExtractor: a frozen network that turns a picture into named feature maps."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralstyle._errors import unknown
from neuralstyle.encoders.base import Layer, check_image, check_names
from neuralstyle.encoders.kernels import library, winograd
from neuralstyle.encoders.kernels.pooling import l2_pool, relu_max_pool
from neuralstyle.encoders.kernels.quantized import CodedConvolution, Codes, frozen_convolution
from neuralstyle.encoders.kernels.winograd import padded_convolution
from neuralstyle.encoders.vgg import COMPACT, convolution_blocks, vgg_layers
from neuralstyle.encoders.weights.records import Preprocessing, WeightRecord, check_source, load_weights
from neuralstyle.encoders.weights.scales import NORMALIZED, check_scales

Pooling = Literal["max", "average", "l2"]
Padding = Literal["zeros", "replicate", "reflect"]
Convolution = Literal["auto", "direct", "winograd"]

POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
PADDINGS: tuple[Padding, ...] = get_args(Padding)
CONVOLUTIONS: tuple[Convolution, ...] = get_args(Convolution)


class FeatureExtractor(nn.Module):
    r"""The layers of a VGG network by name: ``encoder(image, ["relu4_2"]) -> {"relu4_2": features}``.

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
        network: "vgg11", "vgg13", "vgg16", "vgg19", or one of these with "_bn". There a batch normalisation follows
            each convolution; it is folded into it, so that "conv1_1" is what the ReLU is given, as everywhere. Or
            "compact19", a narrow student of VGG-19 with half as many layers, which takes an eighth of the time.
        layers: names of those to have; None: all. What lies beyond the deepest is left out, with the memory of its
            weights.
        weights: "simonyan" (Simonyan and Zisserman's own of VGG-19, installed with this package, no download),
            "torchvision" (retrained there; downloaded by torchvision on first use), "distilled" (those of "compact19",
            part of this package), or the path of a file, safetensors or a state dict saved by torch, with
            torchvision's names, or of its folder. None: "simonyan" for "vgg19", "distilled" for "compact19", else
            "torchvision".
        pooling: "max"; "average", smoother, as in the paper's pictures; "l2", the root of the sum of squares. None: as
            trained, "l2" for "compact19", else "max". Average and L2 are multiplied by 2 and 0.78, which keeps
            activations near those of max pooling. (The paper does not rescale.)
        padding: what surrounds the picture at the first convolution: "zeros"; "replicate" or "reflect", which avoid
            dark borders. None: as trained, "replicate" for "compact19", else "zeros".
        normalize: rescale to mean activation 1; ``False`` gives the raw network. Scales are shipped for "simonyan"
            alone, and "distilled" has learnt features of that scale; for other weights hand over those of
            ``measure_activation_scales``.
        preprocessing: what the weights in a file were trained on: "torchvision" (RGB, standardised; None means this)
            or "caffe" (BGR in 0 ... 255 less a mean), as those converted from Simonyan and Zisserman's.
        convolution: "direct"; "winograd", on the CPU with a quarter of the multiplications for the value and for the
            picture's gradient; or "auto", which takes the faster for each layer and size. Rounding of "winograd" is
            about twice that of "direct", so results differ in their last bits; each repeats to the bit.

    Raises:
        ValueError: an unknown option, the near one is suggested; ``normalize=True`` without scales, or
            ``normalize=False`` where there is no raw network; weights or scales that do not fit the network.
        FileNotFoundError: no such file, or the weights are not installed.
        ImportError: torchvision's weights are asked for and it does not import.
        ConnectionError: torchvision cannot download them.

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
        layers: Iterable[str] | None = None,
        weights: str | os.PathLike[str] | None = None,
        pooling: Pooling | None = None,
        padding: Padding | None = None,
        normalize: bool | Mapping[str, Tensor] = True,
        preprocessing: Preprocessing | None = None,
        convolution: Convolution = "auto",
    ) -> None:
        super().__init__()
        self._layers = vgg_layers(network)
        trained: tuple[Pooling, Padding] = ("l2", "replicate") if network == COMPACT else ("max", "zeros")
        pooling = trained[0] if pooling is None else pooling
        padding = trained[1] if padding is None else padding
        if layers is not None:
            self._layers = _up_to(check_names(layers, self._layers, network), self._layers)
        for kind, received, known in (
            ("pooling", pooling, POOLINGS),
            ("padding", padding, PADDINGS),
            ("convolution", convolution, CONVOLUTIONS),
        ):
            if received not in known:
                raise unknown(kind, received, known)
        source = check_source(network, weights, preprocessing)
        if normalize is True and source not in NORMALIZED:
            raise ValueError(
                f"normalize=True has no activation scales for {network} with weights={str(source)!r}; pass "
                "normalize=False, or the scales that measure_activation_scales() finds on photographs of yours"
            )
        if normalize is False and source == "distilled":
            raise ValueError(f"{network} is normalised as it was trained and has no raw network; leave normalize=True")
        self.network = network
        self.weights = str(source)
        self.pooling = pooling
        self.padding = padding
        self.normalize = normalize
        self.preprocessing = preprocessing
        self.convolution = convolution
        # After these convolutions there is pooling.
        self._last = {names[-1] for names in convolution_blocks(network)}
        scales: Mapping[str, Tensor] = {}
        if normalize is True:
            scales = NORMALIZED[self.weights](pooling)
        elif normalize is not False:
            scales = check_scales(normalize, vgg_layers(network))
        record = load_weights(network, source, preprocessing, self._layers)
        self.register_buffer("mean", torch.tensor(record.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(record.std).view(1, 3, 1, 1))
        # The functions that take codes are there or not for the whole run of a program.
        convolutions = _convolutions(record, scales, coded=convolution != "direct" and library.is_built())
        self.convolutions = nn.ModuleDict({name: convolutions[name] for name in self._layers if name in convolutions})
        self.requires_grad_(False)

    @property
    def layers(self) -> Mapping[str, Layer]:
        """Every layer by name, in order: its channels, stride and reach."""
        return self._layers

    @property
    def pins_colors(self) -> bool:
        """Whether features as narrow as these tell all colours apart; if not, pixels are compared beside them."""
        return self.network != COMPACT

    def check_layers(self, names: Iterable[str]) -> tuple[str, ...]:
        """The names as a tuple, each once.

        Raises:
            ValueError: a layer that the network does not have; the near one is suggested.

        """
        return check_names(names, self._layers, self.network)

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
        features: dict[str, Tensor] = {}

        def keep(name: str, maps: Tensor) -> Tensor:
            features[name] = maps
            return maps

        wanted = tuple(layers)
        self.walk(image, wanted, keep)
        return {name: features[name] for name in wanted}

    def walk(self, image: Tensor, layers: Iterable[str], visit: Callable[[str, Tensor], Tensor]) -> None:
        """Show each layer's features as soon as they are computed, so that none need be kept.

        What is made of them on the way has its turn in the backward pass only when that comes to their layer.

        Args:
            image: (B, 3, H, W), RGB in [0, 1].
            layers: names of layers, one or more.
            visit: called with a layer's name and its features, in the network's order. It returns what the network
                goes on with: the features, or the same numbers for the sake of another gradient, which belongs to
                ``visit`` alone.

        Raises:
            ValueError: an unknown layer, or a picture that is too small for the deepest one.

        """
        wanted = set(self.check_layers(layers))
        check_image(image, self.mean.dtype, [self._layers[name] for name in wanted])
        x, bare, pooled = image, False, False
        for layer in self._layers.values():
            if layer.kind == "conv":
                # With the ReLU, and pooling, at once unless somebody asked for what comes before.
                bare = layer.name not in wanted
                hidden = bare and layer.name.replace("conv", "relu") not in wanted
                pooled = hidden and layer.name in self._last and self.pooling != "average"
                x = self._convolve(layer, x, relu=bare, pool=pooled, kept=not hidden or layer.name in self._last)
            elif layer.kind == "relu":
                if not bare:
                    x = x.relu()
            elif layer.kind == "pool" and not pooled:
                x = self._pool(x)
            if layer.name in wanted:
                x = visit(layer.name, x)
                wanted.remove(layer.name)
            if not wanted:
                break

    def extra_repr(self) -> str:
        """The options, for ``repr``."""
        scaled = self.normalize if isinstance(self.normalize, bool) else "measured"
        return (
            f"{self.network!r}, pooling={self.pooling!r}, padding={self.padding!r}, normalize={scaled}, "
            f"convolution={self.convolution!r}"
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FeatureExtractor:
        """What ``to``, ``double`` and their like do; weights are decoded where only this CPU's functions take codes."""
        there = fn(self.mean)
        if there.device.type != "cpu" or there.dtype != torch.float32:
            for name, convolution in self.convolutions.items():
                if isinstance(convolution, CodedConvolution):
                    self.convolutions[name] = convolution.decoded()
        return super()._apply(fn, recurse)  # type: ignore[no-any-return, no-untyped-call]

    def _convolve(self, layer: Layer, x: Tensor, *, relu: bool, pool: bool, kept: bool) -> Tensor:
        convolution = self.convolutions[layer.name]
        assert isinstance(convolution, (nn.Conv2d, CodedConvolution))
        if layer.name == "conv1_1":
            assert isinstance(convolution, nn.Conv2d)
            x = (x - self.mean) / self.std
            if not pool and self.convolution != "direct" and winograd.suits_picture(x, convolution):
                return winograd.convolve_picture(x, convolution, self.padding, relu=relu)
            result = padded_convolution(x, convolution.weight, convolution.bias, self.padding)
        elif self._winograd(x, convolution):
            return winograd.convolve(x, convolution, relu=relu, pool=self.pooling if pool else None, kept=kept)
        else:
            result = convolution(x)
        if pool and self.pooling == "max":
            return relu_max_pool(result)
        result = result.relu_() if relu else result
        return l2_pool(result) if pool else result

    def _winograd(self, x: Tensor, convolution: nn.Conv2d | CodedConvolution) -> bool:
        if self.convolution == "direct" or not winograd.suits(x, convolution):
            return False
        return self.convolution == "winograd" or winograd.pays(x)

    def _pool(self, x: Tensor) -> Tensor:
        if self.pooling == "max":
            return relu_max_pool(x)
        if self.pooling == "average":
            return 2.0 * F.avg_pool2d(x, 2)
        return l2_pool(x)


def has_scales(network: str, weights: str | os.PathLike[str] | None = None) -> bool:
    """Whether activation scales come with the package for these weights of a network, None being its own.

    Raises:
        ValueError: as ``FeatureExtractor``.

    """
    return check_source(network, weights) in NORMALIZED


def _up_to(names: Iterable[str], layers: Mapping[str, Layer]) -> dict[str, Layer]:
    """All layers as far as the deepest of these names; "conv1_1" always, as a network has a beginning."""
    order = list(layers)
    deepest = max(order.index(name) for name in ("conv1_1", *names))
    return {name: layers[name] for name in order[: deepest + 1]}


def _convolutions(record: WeightRecord, scales: Mapping[str, Tensor], *, coded: bool) -> dict[str, nn.Module]:
    modules: dict[str, nn.Module] = {}
    before = torch.ones(3)
    for name, (weight, bias) in record.convolutions.items():
        scale = scales.get(name, torch.ones_like(bias))
        outputs, inputs, before = 1 / scale, before, scale
        if coded and isinstance(weight, Codes):
            modules[name] = CodedConvolution(weight, bias / scale, outputs, inputs)
            continue
        weight = weight.decoded() if isinstance(weight, Codes) else weight
        if name in scales:
            weight = weight * (outputs.view(-1, 1, 1, 1) * inputs.view(1, -1, 1, 1))
        modules[name] = frozen_convolution(weight, bias / scale)
    return modules
