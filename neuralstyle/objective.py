"""The objective: a weighted sum of losses against their targets, and its gradient, over a whole picture or in tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import torch
from torch import Tensor

from neuralstyle.images import Picture, load_image
from neuralstyle.losses import Loss, LossSum, PointwiseLoss, StatisticLoss, Term
from neuralstyle.losses.base import Reference, as_sum, weights_per_layer
from neuralstyle.measurement import Encoder, ErrorSum, Probe, StatisticSum, WholeMap, gradient, measure, on_encoder
from neuralstyle.styles import Style, as_styles, by_region, load_mask, position_weights
from neuralstyle.tiling import tiles

REFERENCES: tuple[Reference, ...] = get_args(Reference)
ALIGNED = ("content", "previous")  # references whose maps lie on the result position by position
NO_TARGET = ((1.0, None),)  # of a regulariser


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A value of the objective: the loss, each term's part of it, and the gradient in the shape of the image."""

    loss: float
    terms: dict[str, float]
    gradient: Tensor | None


@dataclass(frozen=True, eq=False)
class _Part:
    """One loss at one layer (at all of its layers if joint) in one region, and the targets it compares with."""

    name: str
    loss: Loss
    weight: float
    layers: tuple[str, ...]
    region: Tensor | None
    targets: tuple[tuple[float, Any], ...]

    def probes(self, position_weight: Tensor | None) -> list[Probe]:
        """What has to be read off a picture for ``value``."""
        if isinstance(self.loss, StatisticLoss):
            return [StatisticSum(self.layers[0], self.loss, position_weight)]
        if isinstance(self.loss, PointwiseLoss):
            aligned = self.loss.reference in ALIGNED
            return [ErrorSum(self.layers[0], self.loss, position_weight, target, aligned) for _, target in self.targets]
        return [WholeMap(layer) for layer in self.layers]

    def value(self, readings: Sequence[Tensor], count: float, batch: int) -> Tensor:
        """The weighted loss from the readings of a whole picture, ``count`` being the sum of position weights."""
        if count == 0:  # a region that no position of this layer sees
            return readings[0].sum() * 0
        if isinstance(self.loss, StatisticLoss):
            mean = readings[0] / count
            values = [share * self.loss.distance(mean, target) for share, target in self.targets]
        elif isinstance(self.loss, PointwiseLoss):
            divisor = count * batch if self.loss.reduction == "mean" else 1
            values = [share * error / divisor for (share, _), error in zip(self.targets, readings, strict=True)]
        else:
            x = dict(zip(self.layers, readings, strict=True)) if self.loss.joint else readings[0]
            values = [share * self.loss.forward(x, target) for share, target in self.targets]
        return self.weight * torch.stack(values).sum()


class Objective:
    r"""Weighted losses against their targets: value and gradient for any picture, whole or in tiles.

    $$
    L(x) = \sum_k \lambda_k \sum_l w_{kl} \sum_r a_r \sum_{s \in r} b_s\, D_k(x, s; l, r)
    $$

    over loss terms k, their layers l, the regions r with their share $a_r$ of the picture's area, and the
    styles s of a region with their shares $b_s$, which add up to 1. Losses that compare with the content, and
    regularisers, have one region, everywhere. Statistics are taken under a region's weight and divided by the sum of
    that weight; a region is carried to each layer by averaging it over each position's cell of pixels.

    Targets are computed once, here. In tiles the result is the same to rounding: what each loss needs is first added
    up over all tiles and differentiated there, and that gradient is then carried back tile by tile. Each tile sees a
    halo as wide as the network's reach, so the memory for features is set by the tile and not by the picture.

    Args:
        encoder: a ``FeatureExtractor``, or anything like it.
        losses: a loss or a sum of losses.
        content: (1, 3, H, W) in [0, 1]; needed by losses that compare with "content".
        styles: pictures or ``Style``; needed by losses that compare with "style".
        previous: (1, 3, H, W) in [0, 1]; needed by losses that compare with "previous".
        tile: longest side in pixels of the tiles in which the targets are computed; None: whole.

    Raises:
        ValueError: an unknown layer, a reference that is missing, no losses, or a mask or region with a loss that
            sees whole maps.

    Example:
        ```python
        import torch
        from neuralstyle import ContentLoss, FeatureExtractor, GramStyleLoss, Objective

        content, style = torch.rand(2, 1, 3, 64, 64)
        losses = ContentLoss("relu2_1") + 10 * GramStyleLoss(("relu1_1", "relu2_1"))
        objective = Objective(FeatureExtractor(), losses, content=content, styles=[style])
        evaluation = objective.evaluate(content)
        assert evaluation.terms["ContentLoss"] == 0
        assert evaluation.gradient.shape == content.shape
        ```

    Papers: Gatys, Ecker and Bethge, arXiv 1508.06576, equation 7. Regions after Gatys et al. 2017, arXiv 1611.07865,
    with the difference that a region weighs as much as its share of the area, so that every pixel has the same
    balance of content and style.

    """

    def __init__(
        self,
        encoder: Encoder,
        losses: Loss | LossSum,
        *,
        content: Picture | None = None,
        styles: Picture | Style | Sequence[Picture | Style] = (),
        previous: Picture | None = None,
        tile: int | None = None,
    ) -> None:
        losses = as_sum(losses)
        references: dict[str, list[Style]] = {
            "content": [] if content is None else [Style(load_image(content))],
            "style": [replace(style, image=load_image(style.image)) for style in as_styles(styles)],
            "previous": [] if previous is None else [Style(load_image(previous))],
        }
        check_losses(losses, encoder, [name for name, pictures in references.items() if pictures])
        self.encoder = encoder
        self.losses = losses
        used = [(term.loss.reach, encoder.layers[layer]) for term in losses for layer in weights_per_layer(term.loss)]
        self._stride = max(layer.stride for _, layer in used)
        self._reach = max(layer.reach + reach * layer.stride for reach, layer in used)
        groups = {reference: by_region(pictures) for reference, pictures in references.items()}
        self._parts: list[_Part] = []
        self._weights: tuple[Any, list[Tensor | None]] = (None, [])
        for name, term in zip(losses.names, losses, strict=True):
            reference = term.loss.reference
            for region, styles_there in [(None, [])] if reference is None else groups[reference]:
                self._parts += self._split(name, term, region, styles_there, tile)
        # Maps of the content are compared position by position, so they fix the size of the result.
        sizes = {_size(load_image(picture.image)) for name in ALIGNED for picture in references[name]}
        if len(sizes) > 1:
            raise ValueError(f"content and previous have the sizes {sorted(sizes)} (height, width); give them one size")
        self._size = next(iter(sizes), None)

    def evaluate(self, image: Tensor, tile: int | None = None, *, with_gradient: bool = True) -> Evaluation:
        """Value and gradient at a picture.

        Args:
            image: (B, 3, H, W) in [0, 1], on the encoder's device and of its dtype.
            tile: longest side of a tile in pixels, at least the deepest layer's stride; None: the whole at once.
            with_gradient: False leaves the gradient out (None), at less than half the cost.

        Raises:
            ValueError: a picture of another size than the content, or too small for the deepest layer.
            FloatingPointError: a term, or the gradient, is not finite; the message names it.

        """
        if image.ndim != 4:
            raise ValueError(f"the image is a (B, 3, H, W) tensor in [0, 1], received the shape {tuple(image.shape)}")
        size = _size(image)
        if self._size is not None and size != self._size:
            raise ValueError(f"the image is {size}, the content {self._size} (height, width); give them one size")
        plan = tiles(*size, tile, self._stride, self._reach)
        weights = self._position_weights(image)
        probes = [part.probes(weight) for part, weight in zip(self._parts, weights, strict=True)]
        flat = [probe for group in probes for probe in group]
        counts = [
            _count(weight, size, self.encoder.layers[part.layers[0]].stride)
            for part, weight in zip(self._parts, weights, strict=True)
        ]
        # One tile keeps the graph of its forward pass; several are read without, then again with, a gradient.
        single = len(plan) == 1
        leaf = image.detach().requires_grad_(single and with_gradient)
        with torch.set_grad_enabled(leaf.requires_grad):
            totals = measure(self.encoder, leaf, plan, flat)
        if not single:
            totals = [total.detach().requires_grad_(with_gradient) for total in totals]
        terms: dict[str, Tensor] = {}
        with torch.set_grad_enabled(with_gradient):
            remaining = iter(totals)
            for part, group, count in zip(self._parts, probes, counts, strict=True):
                value = part.value([next(remaining) for _ in group], count, image.shape[0])
                terms[part.name] = terms[part.name] + value if part.name in terms else value
            loss = torch.stack(list(terms.values())).sum()
        values = _finite(terms)
        if not with_gradient:
            return Evaluation(sum(values.values()), values, None)
        if single:
            (result,) = torch.autograd.grad(loss, leaf)
        else:
            cotangents = torch.autograd.grad(loss, totals, materialize_grads=True)
            result = gradient(self.encoder, image, plan, flat, cotangents)
        if not bool(torch.isfinite(result).all()):
            raise FloatingPointError(
                f"the gradient of {' + '.join(values)} is not finite at a finite loss; check that the derivatives of "
                "the losses exist where features are zero or equal their target"
            )
        return Evaluation(sum(values.values()), values, result)

    def _split(
        self, name: str, term: Term, region: Tensor | None, styles: Sequence[Style], tile: int | None
    ) -> list[_Part]:
        """The parts of a loss in a region, with their targets."""
        loss, weights = term.loss, weights_per_layer(term.loss)
        if region is not None and not isinstance(loss, (StatisticLoss, PointwiseLoss)):
            raise ValueError(
                f"{name} sees whole maps and cannot be kept inside a region; derive it from StatisticLoss or "
                "PointwiseLoss, or give its styles no region"
            )
        total = sum(style.weight for style in styles)
        if styles and not total:
            raise ValueError("the weights of the styles of a region are all 0; give one of them a positive weight")
        # A sum over positions grows with the region by itself.
        summed = isinstance(loss, PointwiseLoss) and loss.reduction == "sum"
        area = 1.0 if region is None or summed else float(region.mean())
        targets = [(s.weight / total, self._target(name, loss, s, tile)) for s in styles if s.weight]
        if loss.joint:
            return [_Part(name, loss, term.weight * area, tuple(weights), region, tuple(targets) or NO_TARGET)]
        return [
            _Part(
                name,
                loss,
                term.weight * area * weight,
                (layer,),
                region,
                tuple((share, maps[layer]) for share, maps in targets) or NO_TARGET,
            )
            for layer, weight in weights.items()
        ]

    def _target(self, name: str, loss: Loss, style: Style, tile: int | None) -> dict[str, Tensor]:
        """A reference picture's mean statistics, or whole maps, at the loss's layers."""
        if style.mask is not None and not isinstance(loss, StatisticLoss):
            raise ValueError(
                f"{name} sees whole maps of the style and cannot use a mask; derive it from StatisticLoss, or give "
                "its styles no mask"
            )
        image, mask = on_encoder(self.encoder, load_image(style.image)), load_mask(style.mask)
        size = _size(image)
        probes: list[Probe] = []
        counts: list[float] = []
        for layer in weights_per_layer(loss):
            stride = self.encoder.layers[layer].stride
            weight = position_weights(mask, size, stride, image)
            if isinstance(loss, StatisticLoss):
                probes.append(StatisticSum(layer, loss, weight))
                counts.append(_count(weight, size, stride))
            else:
                probes.append(WholeMap(layer))
                counts.append(1.0)
        if not all(counts):
            raise ValueError("the mask of a style is black all over, so nothing of its picture counts; draw it white")
        with torch.no_grad():
            readings = measure(self.encoder, image, tiles(*size, tile, self._stride, self._reach), probes)
        return {probe.layer: read / count for probe, read, count in zip(probes, readings, counts, strict=True)}

    def _position_weights(self, image: Tensor) -> list[Tensor | None]:
        """Each part's region at its layer; kept, as one picture after another has the same size."""
        kind = (_size(image), image.dtype, image.device)
        if self._weights[0] != kind:
            strides = [self.encoder.layers[part.layers[0]].stride for part in self._parts]
            weights = [
                position_weights(part.region, _size(image), stride, image)
                for part, stride in zip(self._parts, strides, strict=True)
            ]
            self._weights = (kind, weights)
        return self._weights[1]


def check_losses(losses: LossSum, encoder: Encoder, given: Sequence[str]) -> None:
    """Whatever can be wrong with losses, before anything is computed.

    Args:
        losses: the sum to check.
        encoder: whose layers they name.
        given: which of "content", "style" and "previous" there are to compare with.

    Raises:
        ValueError: an unknown layer, or a reference that is unknown or missing.

    """
    for name, term in zip(losses.names, losses, strict=True):
        encoder.check_layers(weights_per_layer(term.loss))
        if term.loss.joint and isinstance(term.loss, (StatisticLoss, PointwiseLoss)):
            raise ValueError(f"{name} is joint, which only a general Loss can be; derive it from Loss")
        reference = getattr(term.loss, "reference", "nothing")
        if reference is None or reference in given:
            continue
        if reference not in REFERENCES:
            raise ValueError(
                f"{name}.reference is {reference!r}; known are {', '.join(map(repr, REFERENCES))} and None"
            )
        raise ValueError(f"{name} compares with the {reference}, and no {reference} was given")


def _finite(terms: dict[str, Tensor]) -> dict[str, float]:
    values = {name: float(value.detach()) for name, value in terms.items()}
    for name, value in values.items():
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the loss term {name} is {value}; lower its weight or the learning rate, or check its formula"
            )
    return values


def _size(image: Tensor) -> tuple[int, int]:
    return image.shape[2], image.shape[3]


def _count(weight: Tensor | None, size: tuple[int, int], stride: int) -> float:
    return float(weight.sum()) if weight is not None else (size[0] // stride) * (size[1] // stride)
