"""FeatureExtractor: a frozen network that turns a picture into named feature maps."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neuralstyle._errors import is_word, unknown
from neuralstyle._words import PADDINGS, POOLINGS, Padding, Pooling, Preprocessing
from neuralstyle.encoders.base import Layer, check_image, check_names
from neuralstyle.encoders.kernels import library, winograd
from neuralstyle.encoders.kernels.library import Fusion
from neuralstyle.encoders.kernels.padding import pad_circular
from neuralstyle.encoders.kernels.pooling import l2_pool, relu_max_pool
from neuralstyle.encoders.kernels.quantized import QuantizedConvolution, QuantizedWeight, frozen_convolution
from neuralstyle.encoders.kernels.winograd import padded_convolution
from neuralstyle.encoders.vgg import (
    convolution_blocks,
    find_network,
    vgg_layers,
)
from neuralstyle.encoders.weights.records import WeightRecord, check_source, load_weights
from neuralstyle.encoders.weights.scales import check_scales, has_shipped_scales, shipped_scales
from neuralstyle.machine.surroundings import plain_torch

Convolution = Literal["auto", "direct", "winograd"]

CONVOLUTIONS: tuple[Convolution, ...] = get_args(Convolution)


@dataclass(frozen=True)
class _Step:
    """One operation of ``FeatureExtractor``: a layer, the layers fused with it, and the name of the last of these."""

    layer: Layer
    fusion: Fusion
    output: str
    kept: bool  # whether the result stays in memory for another reason


class FeatureExtractor(nn.Module):
    r"""The layers of a VGG network by name: ``encoder(image, ["relu4_2"]) -> {"relu4_2": features}``.

    The image is RGB in [0, 1], (B, 3, H, W); the network's own preprocessing is inside. Features are
    (B, C, H // stride, W // stride). Layers are called "image" (the picture itself), "conv1_1", "relu1_1", "pool1",
    ..., "pool5". Layers past the deepest requested one are not computed. All weights are frozen, and no later layer
    overwrites the features of an earlier one.

    With ``normalize=True``, as in the paper, the weights are rescaled so that the mean activation of each filter over
    natural photographs and positions is 1. With $m_i$ the mean activation of filter i after its ReLU and
    $m'_j$ that of input j,

    $$
    W_{ij} \leftarrow W_{ij} m'_j / m_i, \qquad b_i \leftarrow b_i / m_i
    $$

    This is exact, since ReLU and pooling commute with a positive factor: every feature is the raw network's divided by
    $m_i$.

    Args:
        network: "vgg11", "vgg13", "vgg16", "vgg19", or one of these with "_bn", where a batch normalisation follows
            each convolution. It is folded into the convolution, so "conv1_1" is always the input of the ReLU. Or
            "compact19", a narrow student of VGG-19 with half as many convolutions; an evaluation takes about a sixth
            of the time (0.16, measured in docs/compact.md).
        layers: names of the layers that are needed; None: all. Deeper layers are left out, which saves the memory of
            their weights.
        weights: "simonyan": Simonyan and Zisserman's weights of VGG-19, installed with this package. "torchvision":
            torchvision's retrained weights, downloaded on first use. "distilled": the weights of "compact19", in this
            package. Or the path of a file with torchvision's names, safetensors or a state dict saved by torch, or of
            a folder with such a file. None: "simonyan" for "vgg19", "distilled" for "compact19", else "torchvision".
        pooling: "max"; "average", smoother, as in the paper's pictures; or "l2", the root of the sum of squares. None:
            the network's own, "l2" for "compact19", else "max". Average and L2 are multiplied by 2 and 0.78, which
            keeps activations near those of max pooling. (The paper does not rescale.)
        padding: border of the picture at the first convolution: "zeros"; "replicate" or "reflect", which avoid dark
            borders. None: the network's own, "replicate" for "compact19", else "zeros".
        normalize: rescale to mean activation 1; ``False`` gives the raw network. The package has scales for "simonyan"
            alone, and "distilled" was trained on normalised features. For other weights, give the scales from
            ``measure_activation_scales``.
        preprocessing: input that the weights in a file were trained on: "torchvision" (RGB, standardised; the default)
            or "caffe" (BGR in 0 ... 255 minus a mean), as for weights converted from Simonyan and Zisserman's.
        convolution: "direct"; "winograd", which on the CPU takes a quarter of the multiplications, for the value and
            for the gradient of the picture; or "auto", the faster of the two for each layer and size. "winograd"
            rounds about twice as much as "direct", so results differ in their last bits; each repeats to the bit.

    Raises:
        ValueError: an unknown option, the closest match is suggested; ``normalize=True`` without scales, or
            ``normalize=False`` where there is no raw network; weights or scales that do not fit the network.
        FileNotFoundError: no such file, or the weights are not installed.
        ImportError: torchvision's weights are needed, and it does not import.
        ConnectionError: torchvision cannot download its weights.

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

    @plain_torch()
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
        known = find_network(network)
        pooling = known.pooling if pooling is None else pooling
        padding = known.padding if padding is None else padding
        self._layers = vgg_layers(network)
        if layers is not None:
            self._layers = _up_to(check_names(layers, self._layers, network), self._layers)
        for kind, received, choices in (
            ("pooling", pooling, POOLINGS),
            ("padding", padding, PADDINGS),
            ("convolution", convolution, CONVOLUTIONS),
        ):
            if not is_word(received, choices):
                raise unknown(kind, received, choices)
        source = check_source(network, weights, preprocessing)
        self.network = network
        self.weights = str(source)
        self.pooling = pooling
        self.padding = padding
        self.normalize = normalize
        self.preprocessing = preprocessing
        self.convolution = convolution
        self._last_of_blocks = {names[-1] for names in convolution_blocks(network)}
        scales = self._scales(source)
        record = load_weights(network, source, preprocessing, self._layers)
        self.register_buffer("mean", torch.tensor(record.mean, dtype=torch.float32).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(record.std, dtype=torch.float32).view(1, 3, 1, 1))
        # Weights stay quantized if the compiled functions can use them.
        convolutions = _convolutions(record, scales, quantized=convolution != "direct" and library.is_built())
        self.convolutions = nn.ModuleDict({name: convolutions[name] for name in self._layers if name in convolutions})
        self.requires_grad_(False)

    @property
    def name(self) -> str:
        """The name of the network."""
        return self.network

    @property
    def layers(self) -> Mapping[str, Layer]:
        """Every layer by name, in order: its channels, stride and reach."""
        return self._layers

    @property
    def pins_colors(self) -> bool:
        """Whether a style loss on the features alone keeps the colours of the style; False for "compact19"."""
        return find_network(self.network).pins_colors

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Return features of a picture by name, (B, C, H // stride, W // stride), see ``Encoder``."""
        features: dict[str, Tensor] = {}

        def keep(name: str, maps: Tensor) -> Tensor:
            features[name] = maps
            return maps

        wanted = check_names(layers, self._layers, self.network)
        self.walk(image, wanted, keep)
        return {name: features[name] for name in wanted}

    def walk(
        self,
        image: Tensor,
        layers: Iterable[str],
        visit: Callable[[str, Tensor], Tensor],
        *,
        circular: bool = False,
    ) -> None:
        """Pass each layer's features to ``visit`` as soon as they are computed, so that they need not stay in memory.

        Statistics computed in ``visit`` are back-propagated when the backward pass reaches that layer.

        Args:
            image: (B, 3, H, W), RGB in [0, 1].
            layers: names of layers, one or more.
            visit: called with a layer's name and features, in the network's order. Returns the tensor that the network
                continues with: the features, or an equal tensor with a custom gradient.
            circular: whether the picture repeats: every convolution then sees the other end beyond a border, whatever
                the padding is otherwise. Sides have to be multiples of the deepest stride.

        Raises:
            ValueError: an unknown layer, or a picture that is too small for the deepest one.

        """
        wanted = check_names(layers, self._layers, self.network)
        check_image(image, self.mean.dtype, [self._layers[name] for name in wanted])
        x = image
        for step in self._plan(wanted):
            if step.layer.kind == "conv":
                x = self._convolve_circular(step, x) if circular else self._convolve(step, x)
            elif step.layer.kind == "relu":
                x = x.relu()
            elif step.layer.kind == "pool":
                x = self._pool(x)
            if step.output in wanted:
                x = visit(step.output, x)

    def _plan(self, wanted: Collection[str]) -> list[_Step]:
        """The steps to the deepest wanted layer. Unwanted layers are fused with the convolution before them."""
        steps: list[_Step] = []
        missing = list(dict.fromkeys(wanted))  # no set: some versions of torch cannot compile one here
        order = iter(self._layers.values())
        pooled = {"max": Fusion.RELU_MAX, "l2": Fusion.RELU_L2}.get(self.pooling)
        while missing:
            layer = next(order)
            fusion, output = Fusion.NONE, layer
            is_last = layer.name in self._last_of_blocks
            if layer.kind == "conv" and layer.name not in wanted:
                fusion, output = Fusion.RELU, next(order)
                if is_last and pooled is not None and output.name not in wanted:
                    fusion, output = pooled, next(order)
            if output.name in missing:
                missing.remove(output.name)
            # The visitor may keep a wanted map, and pooling saves its input.
            steps.append(_Step(layer, fusion, output.name, kept=output.name in wanted or is_last))
        return steps

    def _scales(self, source: str | os.PathLike[str]) -> Mapping[str, Tensor]:
        """The scales of each convolution under ``normalize``; empty if nothing is rescaled."""
        if not isinstance(self.normalize, bool):
            return check_scales(self.normalize, vgg_layers(self.network))
        network = find_network(self.network)
        known = has_shipped_scales(network, source)
        if self.normalize:
            if not known:
                raise ValueError(
                    f"normalize=True has no activation scales for {self.network} with weights={str(source)!r}; pass "
                    "normalize=False, or the scales that measure_activation_scales() finds on photographs of yours"
                )
            return shipped_scales(network, self.pooling)
        if network.normalized and known:
            raise ValueError(
                f"{self.network} was trained on normalised features and has no raw version; leave normalize=True"
            )
        return {}

    def extra_repr(self) -> str:
        """The options, for ``repr``."""
        scaled = self.normalize if isinstance(self.normalize, bool) else "measured"
        return (
            f"{self.network!r}, pooling={self.pooling!r}, padding={self.padding!r}, normalize={scaled}, "
            f"convolution={self.convolution!r}"
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FeatureExtractor:
        """Called by ``to``, ``double`` and similar methods: dequantizes weights that leave float32 on the CPU."""
        there = fn(self.mean)
        if there.device.type != "cpu" or there.dtype != torch.float32:
            for name, convolution in self.convolutions.items():
                if isinstance(convolution, QuantizedConvolution):
                    self.convolutions[name] = convolution.dequantized()
        return super()._apply(fn, recurse)  # type: ignore[no-any-return, no-untyped-call]

    def _convolve(self, step: _Step, x: Tensor) -> Tensor:
        convolution, fusion = self.convolutions[step.layer.name], step.fusion
        assert isinstance(convolution, (nn.Conv2d, QuantizedConvolution))
        if step.layer.name == "conv1_1":
            assert isinstance(convolution, nn.Conv2d)
            x = (x - self.mean) / self.std
            unpooled = fusion in (Fusion.NONE, Fusion.RELU)
            if unpooled and self.convolution != "direct" and winograd.suits_picture(x, convolution):
                return winograd.convolve_picture(x, convolution, self.padding, relu=fusion is Fusion.RELU)
            result = padded_convolution(x, convolution.weight, convolution.bias, self.padding)
        elif self._is_winograd(x, convolution):
            return winograd.convolve(x, convolution, fusion, kept=step.kept)
        else:
            result = convolution(x)
        if fusion is Fusion.RELU_MAX:
            return relu_max_pool(result)
        if fusion is Fusion.NONE:
            return result
        result = result.relu_()
        return l2_pool(result) if fusion is Fusion.RELU_L2 else result

    def _convolve_circular(self, step: _Step, x: Tensor) -> Tensor:
        """The same for a picture that repeats: only the outermost positions see the padding, and they are cut off."""
        pools = step.fusion in (Fusion.RELU_MAX, Fusion.RELU_L2)
        result = self._convolve(step, pad_circular(x, 2 if pools else 1))
        return result[:, :, 1:-1, 1:-1]

    def _is_winograd(self, x: Tensor, convolution: nn.Conv2d | QuantizedConvolution) -> bool:
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
    """Tell whether ``normalize=True`` works with these weights of a network; None: the network's default.

    Raises:
        ValueError: as for ``FeatureExtractor``.

    """
    return has_shipped_scales(find_network(network), check_source(network, weights))


def _up_to(names: Iterable[str], layers: Mapping[str, Layer]) -> dict[str, Layer]:
    """All layers up to the deepest of these names, "conv1_1" always among them."""
    order = list(layers)
    deepest = max(order.index(name) for name in ("conv1_1", *names))
    return {name: layers[name] for name in order[: deepest + 1]}


def _convolutions(record: WeightRecord, scales: Mapping[str, Tensor], *, quantized: bool) -> dict[str, nn.Module]:
    """Every convolution of a record, rescaled; ``quantized`` keeps quantized weights quantized."""
    modules: dict[str, nn.Module] = {}
    before = torch.ones(3, dtype=torch.float32)
    for name, (weight, bias) in record.convolutions.items():
        scale = scales.get(name, torch.ones_like(bias))
        outputs, inputs, before = 1 / scale, before, scale
        if quantized and isinstance(weight, QuantizedWeight):
            modules[name] = QuantizedConvolution(weight, bias / scale, outputs, inputs)
            continue
        weight = weight.dequantized() if isinstance(weight, QuantizedWeight) else weight
        if name in scales:
            weight = weight * (outputs.view(-1, 1, 1, 1) * inputs.view(1, -1, 1, 1))
        modules[name] = frozen_convolution(weight, bias / scale)
    return modules
