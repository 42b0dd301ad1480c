"""Losses, encoders, strategies and schedules of a user's, small enough for tests, and what several files share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from neuralstyle import ContentLoss, FeatureExtractor, Layer, Loss, Stage, StatisticLoss, samples
from neuralstyle.encoders.base import Encoder
from neuralstyle.encoders.vgg import Padding, Pooling
from neuralstyle.optimizers.base import Evaluate, State

Noise = Callable[..., Tensor]
"""Of the fixture ``noise``."""

MOST_SECONDS = 2.0
"""Processor time within which a bad value is refused, on slow and busy machines too: reading it all takes longer."""


# Losses


@dataclass(frozen=True)
class Means(StatisticLoss):
    layers: Any = ("relu2_1",)
    reference: Any = "style"

    def statistic(self, x: Tensor, weight: Tensor) -> Any:
        return (x * weight).sum(2)

    def distance(self, actual: Tensor, target: Any) -> Any:
        return (actual - target).square().mean()


class Spread(Loss):
    """A general loss, over whole maps."""

    layers: Any = ("relu1_1", "relu2_1")
    reference: Any = "style"

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return (x.std((2, 3)) - target.std((2, 3))).square().mean()


class Crossed(Loss):
    """Two layers at once: the second one's mean response along the first one's brightness."""

    layers = ("relu2_1", "relu1_1")
    reference = "content"
    joint = True

    def forward(self, x: dict[str, Tensor], target: dict[str, Tensor]) -> Tensor:
        return (self.product(x) - self.product(target)).square().mean()

    def product(self, x: dict[str, Tensor]) -> Tensor:
        return torch.einsum("bihw,bjhw->bij", x["relu2_1"], F.avg_pool2d(x["relu1_1"], 2)) / x["relu2_1"][0, 0].numel()


class Darkness(Loss):
    """The five lines of the documentation."""

    layers = ("image",)
    reference = None

    def forward(self, x: Tensor, target: None) -> Tensor:
        return x.square().mean()


class Power(StatisticLoss):
    """A loss written as a plain class, with an option and without a __repr__ of its own."""

    layers = ("relu1_1",)
    reference = "style"

    def __init__(self, power: float = 2) -> None:
        self.power = power

    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
        return (x**self.power * weight).sum(2)

    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        return (actual - target).square().mean()


class WeightedContent(ContentLoss):
    """A plain class that inherits the generated __repr__ of a dataclass."""

    def __init__(self, channels: Tensor) -> None:
        super().__init__("relu1_1")
        object.__setattr__(self, "channels", channels)

    def error(self, x: Tensor, target: Any) -> Tensor:
        return super().error(x * self.channels, target * self.channels)  # type: ignore[attr-defined]


# Strategies


class Descent:
    """A strategy written as a plain class: steps against the gradient, the largest of them ``rate``."""

    def __init__(self, rate: Any = 0.02, decay: Callable[[int], float] = lambda count: 1.0) -> None:
        self.rate, self.decay = rate, decay

    def walk(self, image: Tensor, evaluate: Evaluate, state: State | None = None) -> Iterator[Any]:
        x, count = (image, 0) if state is None else (state["image"], state["count"])
        while True:
            _, gradient = evaluate(x)
            x = self.step(x, self.rate * self.decay(count) * gradient / gradient.abs().max())
            count += 1
            yield {"image": x, "count": count}

    def step(self, x: Tensor, step: Tensor) -> Tensor:
        return (x - step).clamp(0, 1)


def sgd_of(rate: float) -> Callable[[Tensor], torch.optim.Optimizer]:
    """A function that has no name of its own, and its option in a closure."""
    return lambda x: torch.optim.SGD([x], lr=rate)


# Encoders


def filters(seed: int = 0, width: int = 4) -> nn.Module:
    """A network of one layer of random filters."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU())


class Spy(nn.Module):
    """An encoder that remembers what it was asked for: the longest sides of pictures, and layers.

    Args:
        encoder: the encoder that it asks itself.
        layers: the layers that it says to have; None: those of the encoder.

    """

    name = "spy"

    def __init__(self, encoder: Encoder, layers: Mapping[str, Layer] | None = None) -> None:
        super().__init__()
        self.encoder, self.layers = encoder, encoder.layers if layers is None else layers
        self.sides: set[int] = set()
        self.asked: set[str] = set()

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        names = tuple(layers)
        self.sides.add(max(image.shape[2:]))
        self.asked.update(names)
        features: dict[str, Tensor] = self.encoder(image, names)
        return features


def with_reach(encoder: Encoder, change: Callable[[int], int]) -> Spy:
    """The same encoder, but for what its layers say of their reach; vectors have none."""
    layers = {
        name: layer if layer.is_vector else replace(layer, reach=change(layer.reach))
        for name, layer in encoder.layers.items()
    }
    return Spy(encoder, layers)


class Cells:
    """An encoder that is no module: random filters over cells of 4 x 4 pixels."""

    layers: Mapping[str, Layer] = {"relu1_1": Layer("relu1_1", "module", 8, 4, 0)}

    def __init__(self, seed: int = 0) -> None:
        self.kernel = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(seed))

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        return {name: F.conv2d(image, self.kernel.to(image), stride=4).relu() for name in layers}


def thin(pooling: Pooling = "max", padding: Padding = "zeros") -> FeatureExtractor:
    """VGG-19's geometry with random filters, four to a layer: cheap enough for pictures of many tiles."""
    encoder = FeatureExtractor(pooling=pooling, padding=padding, normalize=False)
    generator = torch.Generator().manual_seed(0)
    for name in encoder.convolutions:
        convolution = nn.Conv2d(3 if name == "conv1_1" else 4, 4, 3, padding=1).requires_grad_(False)
        convolution.weight.normal_(0.01, 0.002 if name == "conv1_1" else 0.25, generator=generator)
        convolution.bias.fill_(0.1)
        encoder.convolutions[name] = convolution
    encoder._layers = {
        name: layer if name == "image" else replace(layer, channels=4) for name, layer in encoder.layers.items()
    }
    return encoder.double()


# Schedules and pictures


def two_stages(size: int, iterations: int | None) -> list[Stage]:
    """Stages of 3 evaluations at half the size and of ``iterations`` at the whole."""
    return [Stage(size // 2, 3), Stage(size, iterations or 5)]


@cache
def painting(name: str = "swirl", size: int = 64) -> Image.Image:
    """One of the package's, drawn once."""
    return samples.painting(name, size=size)
