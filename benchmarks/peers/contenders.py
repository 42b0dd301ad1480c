"""The programs that are compared, each doing the same work: pastiche's own objective on one picture.

    0.01 mean (F - P)^2 at relu4_2  +  sum over relu1_1 ... relu5_1 of 10 / N^2 mean (G / M - A / M')^2

with N channels and M positions, on Simonyan and Zisserman's VGG-19 with max pooling, without normalisation. Pictures
go in and gradients come out as RGB in [0, 1]; in between each program keeps its own scale and order of colours.
"""

from __future__ import annotations

import importlib
import inspect
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from report import DIRECT, NEURALSTYLE, PASTICHE, PRODUCT, PRODUCT_SIZE, PYSTICHE
from torch import Tensor

if TYPE_CHECKING:
    from neuralstyle import Layer  # pastiche's process does without neuralstyle

CONTENT_LAYER = "relu4_2"
STYLE_LAYERS = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512, "relu5_1": 512}


class Unavailable(Exception):  # noqa: N818 - not an error: a program that cannot be measured here, and why
    """Said of a program that does not run here."""


class Contender(Protocol):
    """A program that has loaded its network and pictures."""

    def place(self, image: Tensor) -> None:
        """Make (1, 3, H, W), RGB in [0, 1], the picture to look at."""

    def step(self) -> float:
        """Compute value and gradient there, as the program's own loop does."""

    def gradient(self) -> Tensor:
        """The gradient of the last step with respect to RGB in [0, 1], (1, 3, H, W)."""


def content_file(folder: Path, size: int) -> Path:
    return folder / f"content-{size}.png"


def style_file(folder: Path, size: int) -> Path:
    return folder / f"style-{size}.png"


def read(path: Path) -> Tensor:
    from neuralstyle import load_image

    return load_image(path)


def operations(layers: Iterable[Layer], height: int, width: int) -> int:
    """Multiply-adds of the convolutions of one step, each done directly: forward, and the picture's gradient."""
    total, before = 0, 3
    for layer in layers:
        if layer.kind == "conv":
            total += 9 * before * layer.channels * (height // layer.stride) * (width // layer.stride)
            before = layer.channels
        if layer.name == list(STYLE_LAYERS)[-1]:
            break
    return 2 * total


class Ours:
    """neuralstyle, from its parts."""

    def __init__(self, folder: Path, size: int, convolution: str) -> None:
        from neuralstyle import ContentLoss, FeatureExtractor, GramStyleLoss, Objective

        options: dict[str, Any] = {}
        if "convolution" in inspect.signature(FeatureExtractor).parameters:
            options["convolution"] = convolution
        elif convolution != "auto":
            raise Unavailable("this version has one way to convolve")
        # Our terms have the factors 1/2 and 1/4 in front of the means.
        self.losses = 0.02 * ContentLoss(CONTENT_LAYER) + GramStyleLoss(
            list(STYLE_LAYERS), layer_weights=[40 / channels**2 for channels in STYLE_LAYERS.values()]
        )
        layers = [CONTENT_LAYER, *STYLE_LAYERS]
        self.encoder = FeatureExtractor(
            "vgg19", layers=layers, weights="simonyan", pooling="max", normalize=False, **options
        )
        self.content, self.style = read(content_file(folder, size)), read(style_file(folder, size))
        self.objective = Objective(self.encoder, self.losses, content=self.content, styles=[self.style])
        self.image = self.content

    def place(self, image: Tensor) -> None:
        self.image = image

    def step(self) -> float:
        self.evaluation = self.objective.evaluate(self.image)
        return self.evaluation.loss

    def gradient(self) -> Tensor:
        assert self.evaluation.gradient is not None
        return self.evaluation.gradient

    def operations(self) -> int:
        return operations(self.encoder.layers.values(), *self.content.shape[2:])

    def descend(self, goals: dict[str, float], most: int) -> tuple[dict[str, Any], Tensor]:
        """LBFGS at the full size from the content, until the value is at or below every goal."""
        from neuralstyle import LBFGS
        from neuralstyle.optimizers.minimize import minimize

        race = _Race(goals)
        race.start()

        def evaluate(image: Tensor) -> tuple[float, Tensor]:
            evaluation = self.objective.evaluate(image)
            assert evaluation.gradient is not None
            race.note(evaluation.loss, lambda: image)
            return evaluation.loss, evaluation.gradient

        minimize(LBFGS(), self.content, evaluate, most, lambda count, loss, kept: race.on)
        return race.result(), race.picture()

    def stylize(self, goals: dict[str, float], most: int) -> tuple[dict[str, Any], Tensor]:
        """The same by ``stylize``, coarse to fine; the targets of each scale are in the time."""
        from neuralstyle import Stage, Style, stylize
        from neuralstyle.schedule import coarse_to_fine

        race = _Race(goals)
        size = max(self.content.shape[2:])
        scales = [*coarse_to_fine(size)[:-1], Stage(size, most)]

        def watch(progress: Any) -> bool:
            if progress.stage == progress.stages:
                race.note(progress.loss, progress.tensor)
            else:
                race.evaluations += 1
            return race.on

        race.start()
        stylize(
            self.content,
            Style(self.style, scale=max(self.style.shape[2:]) / size),
            losses=self.losses,
            encoder=self.encoder,
            size=size,
            schedule=lambda *_: scales,
            callback=watch,
            device="cpu",
            progress=False,
        )
        coarser = [[scale.size, scale.iterations] for scale in scales[:-1]]
        return race.result() | {"coarser scales": coarser}, race.picture()


class _Race:
    """When each goal was reached, and the best picture met."""

    picture: Callable[[], Tensor]

    def __init__(self, goals: dict[str, float]) -> None:
        self.goals, self.reached = goals, dict[str, Any]()
        self.evaluations, self.lowest = 0, math.inf

    def start(self) -> None:
        self.started = time.perf_counter()

    def note(self, value: float, picture: Callable[[], Tensor]) -> None:
        seconds = time.perf_counter() - self.started
        self.evaluations += 1
        if value < self.lowest:
            self.lowest, self.picture = value, picture
        for name, goal in self.goals.items():
            if value <= goal and name not in self.reached:
                self.reached[name] = {"seconds": seconds, "evaluations": self.evaluations, "value": value}

    @property
    def on(self) -> bool:
        return len(self.reached) < len(self.goals)

    def result(self) -> dict[str, Any]:
        return {"reached": self.reached, "evaluations": self.evaluations, "lowest": self.lowest}


class Pastiche:
    """pastiche through its own class, with its defaults."""

    def __init__(self, folder: Path, size: int) -> None:
        try:
            from pastiche.pastiche import VGG_MEAN, PasticheArtist
        except ImportError as error:
            raise Unavailable(f"it does not import ({error})") from error
        self.mean = torch.tensor(VGG_MEAN).view(1, 3, 1, 1)
        # The pictures have the sizes that pastiche would give them, so it resizes neither.
        self.artist = PasticheArtist(
            str(content_file(folder, size)), [str(style_file(folder, size))], size=size, device="cpu"
        )
        self.content = (self.artist.pastiche.detach() + self.mean).flip(1) / 255

    def place(self, image: Tensor) -> None:
        with torch.no_grad():
            self.artist.pastiche.copy_(image.flip(1) * 255 - self.mean)

    def step(self) -> float:
        self.artist.optimizer.zero_grad()
        loss = self.artist._calc_loss()
        loss.backward()
        return float(loss.item())

    def gradient(self) -> Tensor:
        return self.artist.pastiche.grad.flip(1) * 255

    def paint(self, iterations: int) -> dict[str, Any]:
        """Its own optimisation from the content; its objective of the picture as it is, clipped, and of 8 bits."""
        self.place(self.content)
        started = time.perf_counter()
        for _ in range(iterations):
            self.artist.draw()
        seconds = time.perf_counter() - started
        values = {"as it is": self.step()}
        clipped = ((self.artist.pastiche.detach() + self.mean) / 255).flip(1).clamp(0, 1)
        for name, image in (("clipped", clipped), ("rounded", (clipped * 255).round() / 255)):
            self.place(image)
            values[name] = self.step()
        return {"seconds": seconds, "values": values}


class Pystiche:
    """pystiche from its parts: the names that it imports from torchvision and that are gone there are put back."""

    def __init__(self, folder: Path, size: int) -> None:
        from neuralstyle.encoders.kernels.quantized import QuantizedWeight
        from neuralstyle.encoders.weights.records import simonyan

        try:
            for module, name in (("alexnet", "alexnet"), ("vgg", "vgg19")):
                importlib.import_module(f"torchvision.models.{module}").__dict__.setdefault("model_urls", {name: ""})
            from pystiche import enc, loss

            network = enc.vgg19_multi_layer_encoder(pretrained=False, framework="caffe")
        except Exception as error:  # whatever a library of 2021 meets in its dependencies of today
            raise Unavailable(f"it does not start ({error})") from error
        for name, (weight, bias) in simonyan().convolutions.items():
            convolution = getattr(network, name)
            weight = weight.dequantized() if isinstance(weight, QuantizedWeight) else weight
            # This network is shown BGR, ours RGB.
            convolution.weight.data.copy_(weight.flip(1) if name == "conv1_1" else weight)
            convolution.bias.data.copy_(bias)
        # Left to its user, and kinder to it than its own examples: no gradient to the weights.
        network.requires_grad_(False)
        next(network.preprocessing.children()).mean = (123.68 / 255, 116.779 / 255, 103.939 / 255)
        self.criterion = loss.PerceptualLoss(
            loss.FeatureReconstructionLoss(network.extract_encoder(CONTENT_LAYER), score_weight=0.01),
            loss.MultiLayerEncodingLoss(
                network,
                list(STYLE_LAYERS),
                lambda encoder, weight: loss.GramLoss(encoder, score_weight=weight),
                layer_weights=[10 / channels**2 for channels in STYLE_LAYERS.values()],
            ),
            content_image=read(content_file(folder, size)),
            style_image=read(style_file(folder, size)),
        )
        network.trim()
        self.place(read(content_file(folder, size)))

    def place(self, image: Tensor) -> None:
        self.image = image.clone().requires_grad_()

    def step(self) -> float:
        self.image.grad = None
        loss = self.criterion(self.image)
        loss.backward()
        return float(loss)

    def gradient(self) -> Tensor:
        assert self.image.grad is not None
        return self.image.grad


class Product:
    """What the machine can do: the product of two large matrices in float32."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.a, self.b = torch.rand(2, PRODUCT_SIZE, PRODUCT_SIZE, generator=generator)

    def place(self, image: Tensor) -> None:
        pass

    def step(self) -> float:
        return float(torch.mm(self.a, self.b)[0, 0])

    def gradient(self) -> Tensor:
        raise NotImplementedError


def contender(name: str, folder: Path, size: int) -> Contender:
    if name == PASTICHE:
        return Pastiche(folder, size)
    if name == PYSTICHE:
        return Pystiche(folder, size)
    if name == PRODUCT:
        return Product()
    return Ours(folder, size, {NEURALSTYLE: "auto", DIRECT: "direct"}[name])
