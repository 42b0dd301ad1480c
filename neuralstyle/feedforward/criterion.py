"""The training objective: any of the losses, on a batch of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from neuralstyle.encoders.base import Encoder, on_encoder
from neuralstyle.images import load_image
from neuralstyle.losses import Loss, LossSum
from neuralstyle.losses.base import as_sum
from neuralstyle.objective.borders import coverage
from neuralstyle.objective.features import FeatureSource
from neuralstyle.objective.parts import (
    Part,
    check_parts,
    layers_in_use,
    parts_of,
    positions,
    read_maps,
    resolve,
    size_of,
)
from neuralstyle.objective.rehearsal import try_encoder
from neuralstyle.objective.targets import check_losses
from neuralstyle.styles import Style


class Criterion:
    """The objective averaged over a batch: each picture against its own content and the styles.

    The pictures pass through the encoder together and are then compared one by one, so a loss has the same meaning as
    for a single picture. The styles' targets are computed once, here.

    Args:
        encoder: an encoder, such as a ``FeatureExtractor``.
        losses: a loss or a sum of losses.
        styles: styles; several are blended by their weights.

    Raises:
        TypeError: ``encoder`` is not an encoder.
        ValueError: losses that do not fit (see ``Objective``), or a style with a mask or region.

    """

    def __init__(self, encoder: Encoder, losses: Loss | LossSum, styles: Sequence[Style]) -> None:
        losses = as_sum(losses)
        check_losses(losses, encoder, ["content"] + ["style"] * bool(styles))
        for style in styles:
            if style.region is not None or style.mask is not None:
                raise ValueError(
                    "a style has a mask or a region, and a network is trained on all of a painting for all of any "
                    "picture; give neither, and cut the painting instead"
                )
        total = sum(style.weight for style in styles)
        if styles and not total:
            raise ValueError("the weights of the styles are all 0; give one of them a positive weight")
        self.encoder = encoder
        self.names = losses.names
        like = on_encoder(encoder, torch.empty(0, dtype=torch.float32))
        self._parts: list[Part] = []
        terms = resolve(losses)
        self._source = FeatureSource(encoder, layers_in_use(terms))
        check_parts(terms, self._source.layers, like)
        try_encoder(self._source)
        for term in terms:
            parts = parts_of(term, self._source.layers)
            if term.loss.reference == "style":
                shares = [(style.weight / total, style) for style in styles if style.weight]
                parts = self._with_styles(parts, shares)
            self._parts += parts

    def __call__(self, pictures: Tensor, contents: Tensor) -> dict[str, Tensor]:
        """Return the terms, weighted and averaged over the batch; their sum is the objective.

        Args:
            pictures: (B, 3, H, W); gradients flow to them.
            contents: (B, 3, H, W) in [0, 1].

        """
        features = _at_least_single(self._source(pictures, _layers(self._parts)))
        size = size_of(pictures)
        of_content = _layers([part for part in self._parts if part.loss.reference == "content"])
        targets: dict[str, Tensor] = {}
        if of_content:
            with torch.no_grad():
                targets = _at_least_single(self._source(contents, of_content))
        terms: dict[str, list[Tensor]] = {}
        # Full precision: squares of features leave the range of 16 bits.
        with torch.autocast(pictures.device.type, enabled=False):
            for index in range(len(pictures)):
                one = {layer: maps[index : index + 1] for layer, maps in features.items()}
                content = {layer: maps[index : index + 1] for layer, maps in targets.items()}
                for part in self._parts:
                    compared = part
                    if part.loss.reference == "content":
                        compared = replace(part, targets=((1.0, self._target(part, content, size)),))
                    weight, count = self._weights(part, one, size)
                    readings = read_maps(compared.readers(weight), one, self._source.layers, size)
                    terms.setdefault(part.name, []).append(compared.value(readings, count, 1))
        return {name: torch.stack(values).sum() / len(pictures) for name, values in terms.items()}

    def _with_styles(self, parts: Sequence[Part], shares: Sequence[tuple[float, Style]]) -> list[Part]:
        """The parts of a loss with the targets of all styles."""
        found: list[list[tuple[float, object]]] = [[] for _ in parts]
        for share, style in shares:
            image = on_encoder(self.encoder, load_image(style.image))
            with torch.no_grad():
                features = self._source(image, _layers(parts))
                for targets, part in zip(found, parts, strict=True):
                    targets.append((share, self._target(part, features, size_of(image))))
        return [replace(part, targets=tuple(targets)) for part, targets in zip(parts, found, strict=True)]

    def _target(self, part: Part, features: Mapping[str, Tensor], size: tuple[int, int]) -> object:
        """A part's target, from the features of a whole picture of this (height, width)."""
        weight, count = self._weights(part, features, size)
        return part.target(read_maps(part.target_readers(weight), features, self._source.layers, size), count)

    def _weights(
        self, part: Part, features: Mapping[str, Tensor], size: tuple[int, int]
    ) -> tuple[Tensor | None, float]:
        """The weights of positions at a part's layer (None: all are 1), and their sum."""
        layer = part.layers[0]
        stride = self._source.layers[layer].stride
        weight = coverage(size, stride, features[layer])
        return weight, positions(weight, size, stride)


def _layers(parts: Sequence[Part]) -> list[str]:
    """The layers of parts, each once."""
    return list(dict.fromkeys(layer for part in parts for layer in part.layers))


def _at_least_single(features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        layer: maps.float() if maps.dtype in (torch.float16, torch.bfloat16) else maps
        for layer, maps in features.items()
    }
