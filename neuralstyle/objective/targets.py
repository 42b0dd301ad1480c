"""The targets of losses, computed once from the reference pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from neuralstyle.encoders.base import Encoder, check_names, encoder_name, on_encoder
from neuralstyle.images import Picture, load_image
from neuralstyle.losses import LossSum
from neuralstyle.losses.base import weights_per_layer
from neuralstyle.objective.features import FeatureSource, layers_of
from neuralstyle.objective.parts import ALIGNED, Part, ResolvedTerm, part_for, parts_of, positions, reach_of, size_of
from neuralstyle.objective.planning import TilePlanner
from neuralstyle.objective.readers import MapStorage
from neuralstyle.objective.readings import read_all
from neuralstyle.objective.regions import Region, by_region, load_mask, position_weights, stretch
from neuralstyle.objective.tiling import TileSize
from neuralstyle.styles import Style, as_styles


def references_of(
    content: Picture | None, styles: Picture | Style | Sequence[Picture | Style], previous: Picture | None
) -> dict[str, list[Style]]:
    """Return the pictures to compare with, by the ``reference`` of a loss, each loaded, as a ``Style``."""
    return {
        "content": [] if content is None else [Style(load_image(content))],
        "style": [replace(style, image=load_image(style.image)) for style in as_styles(styles)],
        "previous": [] if previous is None else [Style(load_image(previous))],
    }


def size_of_result(references: Mapping[str, Sequence[Style]]) -> tuple[int, int] | None:
    """Return the (height, width) that content and previous require of a result; None if both are missing.

    Raises:
        ValueError: content and previous differ in size.

    """
    sizes = {size_of(load_image(picture.image)) for name in ALIGNED for picture in references[name]}
    if len(sizes) > 1:
        raise ValueError(f"content and previous have the sizes {sorted(sizes)} (height, width); give them one size")
    return next(iter(sizes), None)


def check_losses(losses: LossSum, encoder: Encoder, given: Sequence[str]) -> None:
    """Check losses before anything is computed.

    Args:
        losses: the sum of losses to check.
        encoder: the encoder whose layers they name.
        given: which of "content", "style" and "previous" were given.

    Raises:
        TypeError: the encoder is not an encoder.
        ValueError: an unknown layer, an unknown or missing reference, or a joint loss that sees no whole maps.

    """
    layers, network = layers_of(encoder), encoder_name(encoder)
    for name, term in zip(losses.names, losses, strict=True):
        check_names(weights_per_layer(term.loss), layers, network)
        reference = term.loss.reference  # known, as each Term has checked it
        if reference is not None and reference not in given:
            raise ValueError(f"{name} compares with the {reference}, and no {reference} was given")


@dataclass(frozen=True)
class Targets:
    """Makes the parts of an objective with their targets.

    Args:
        source: source of the features.
        planner: planner of the tiles in which reference pictures are read.
        storage: dtype and device of stored whole maps.
        tile: longest side of these tiles.

    """

    source: FeatureSource
    planner: TilePlanner
    storage: MapStorage
    tile: TileSize

    def parts(self, terms: Sequence[ResolvedTerm], references: Mapping[str, Sequence[Style]]) -> list[Part]:
        """Return all parts: each term in each region of its reference, at each of its layers.

        Raises:
            ValueError: a mask with a loss other than ``StatisticLoss``, a region with a loss that sees whole maps, a
                mask that leaves no position, styles whose weights are all 0, or a loss that breaks its contract.

        """
        groups = {reference: by_region(pictures) for reference, pictures in references.items()}
        like = self._sample(references)
        parts: list[Part] = []
        with self.source.arithmetic(like.device):
            for term in terms:
                reference = term.loss.reference
                for region, styles in [(None, [])] if reference is None else groups[reference]:
                    parts += self._parts_in(term, region, styles)
                for layer in term.layers:
                    part_for(term.loss).check(term.loss, self.source.layers[layer], like)
        return parts

    def _parts_in(self, term: ResolvedTerm, region: Region | None, styles: Sequence[Style]) -> list[Part]:
        """A term's parts in a region, with their targets."""
        if region is not None and not part_for(term.loss).takes_region:
            raise ValueError(
                f"{term.name} sees whole maps and cannot be kept inside a region; derive it from StatisticLoss or "
                "PointwiseLoss, or give its styles no region"
            )
        self._check_edges(term, [style for style in styles if style.mask is not None or region is not None])
        total = sum(style.weight for style in styles)
        if styles and not total:
            raise ValueError("the weights of the styles of a region are all 0; give one of them a positive weight")
        parts = parts_of(term, region)
        if not styles:
            return parts
        found = [(style.weight / total, self._targets(parts, style)) for style in styles if style.weight]
        return [
            replace(part, targets=tuple((share, each[index]) for share, each in found if index in each))
            for index, part in enumerate(parts)
        ]

    def _targets(self, parts: Sequence[Part], style: Style) -> dict[int, Any]:
        """The target of each part in a reference picture, by the part's index; none if a mask leaves no position."""
        loss = parts[0].loss
        if style.mask is not None and not parts[0].takes_mask:
            raise ValueError(
                f"{parts[0].name} sees whole maps of the style and cannot use a mask; derive it from StatisticLoss, or "
                "give its styles no mask"
            )
        image, mask = on_encoder(self.source.encoder, load_image(style.image)), load_mask(style.mask)
        size = size_of(image)
        pixels = None if mask is None else stretch(mask, size, image)
        counts: list[float] = []
        groups = []
        for part in parts:
            layer = self.source.layers[part.layers[0]]
            reach = reach_of(loss, layer)
            weight = None if pixels is None else position_weights(pixels, layer.stride, reach, style.edges)
            groups.append(part.target_readers(weight))
            counts.append(positions(weight, size, layer.stride))
        if mask is not None and not any(counts):
            raise ValueError(
                "the mask of a style is black all over, or too narrow for any position to see it alone, so no part of "
                "its picture counts; make the part that should count white"
            )
        readers = [reader for group in groups for reader in group]
        with torch.no_grad():
            readings = read_all(self.source, image, self.planner.plan(image, self.tile, readers), readers, self.storage)
        stored = iter(
            [reader.as_target(each, image, self.storage) for reader, each in zip(readers, readings, strict=True)]
        )
        found = [[next(stored) for _ in group] for group in groups]
        return {
            index: part.target(each, count)
            for index, (part, each, count) in enumerate(zip(parts, found, counts, strict=True))
            if count
        }

    def _check_edges(self, term: ResolvedTerm, styles: Sequence[Style]) -> None:
        strict = any(style.edges == "strict" for style in styles)
        whole = next((layer for layer in term.layers if strict and self.source.layers[layer].is_global), None)
        if whole is not None:
            raise ValueError(
                f"edges='strict' leaves nothing at layer {whole!r}, whose positions see the whole picture; give the "
                "style edges='blended', or use earlier layers"
            )

    def _sample(self, references: Mapping[str, Sequence[Style]]) -> Tensor:
        """An empty tensor of the dtype and on the device of the features."""
        pictures = [picture.image for each in references.values() for picture in each]
        like = load_image(pictures[0])[:0] if pictures else torch.empty(0)
        return on_encoder(self.source.encoder, like)
