"""The targets of losses, computed once from the reference pictures."""

from __future__ import annotations

import inspect
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from neuralstyle import losses as known_losses
from neuralstyle._descriptions import describe, fingerprint
from neuralstyle._errors import is_word
from neuralstyle.encoders.base import Encoder, Layer, check_names, encoder_name, on_encoder
from neuralstyle.images import Picture, load_image
from neuralstyle.images.masks import load_mask
from neuralstyle.losses import Loss, LossSum
from neuralstyle.losses.base import Reference, weights_per_layer
from neuralstyle.losses.tools.alignment import ALIGNED
from neuralstyle.machine.keeping import Same, keep
from neuralstyle.objective.borders import coverage
from neuralstyle.objective.features import FeatureSource, layers_of
from neuralstyle.objective.parts import (
    Part,
    ResolvedTerm,
    check_parts,
    part_for,
    parts_of,
    positions,
    reach_of,
    size_of,
)
from neuralstyle.objective.planning import TilePlanner
from neuralstyle.objective.readers import MapStorage
from neuralstyle.objective.readings import read_all
from neuralstyle.objective.regions import Region, by_region, position_weights, stretch
from neuralstyle.objective.rehearsal import try_encoder
from neuralstyle.objective.tiling import TileSize
from neuralstyle.styles import Style, as_styles


def references_of(
    content: Picture | None,
    styles: Picture | Style | Sequence[Picture | Style],
    previous: Picture | Style | Sequence[Picture | Style] | None,
) -> dict[str, list[Style]]:
    """Return the pictures to compare with, by the ``reference`` of a loss, each loaded, as a ``Style``."""
    return {
        "content": [] if content is None else [Style(_load_batch(content))],
        "style": [replace(style, image=load_image(style.image)) for style in as_styles(styles)],
        "previous": [
            replace(each, image=_load_batch(each.image)) for each in as_styles(() if previous is None else previous)
        ],
    }


def size_of_result(references: Mapping[str, Sequence[Style]]) -> tuple[int, int] | None:
    """Return the (height, width) that content and previous require of a result; None if both are missing.

    Raises:
        ValueError: content and previous differ in size.

    """
    sizes = {size_of(_loaded(picture)) for name in ALIGNED for picture in references[name]}
    if len(sizes) > 1:
        raise ValueError(f"content and previous have the sizes {sorted(sizes)} (height, width); give them one size")
    return next(iter(sizes), None)


def batch_of_result(references: Mapping[str, Sequence[Style]]) -> int:
    """Return the number of pictures that content and previous require of a batch of results; 1: any number.

    Raises:
        ValueError: content and previous are batches of different sizes.

    """
    batches = {len(_loaded(picture)) for name in ALIGNED for picture in references[name]} - {1}
    if len(batches) > 1:
        raise ValueError(f"content and previous are batches of {sorted(batches)}; give as many of both, or one")
    return next(iter(batches), 1)


def _load_batch(pictures: Picture) -> Tensor:
    """Load a picture, or a tensor (B, 3, H, W) of several."""
    if isinstance(pictures, Tensor) and pictures.ndim == 4 and len(pictures) > 1:
        return torch.cat([load_image(each) for each in pictures])
    return load_image(pictures)


def _loaded(picture: Style) -> Tensor:
    """The picture of a reference, which ``references_of`` has loaded."""
    assert isinstance(picture.image, Tensor)
    return picture.image


def check_losses(losses: LossSum, encoder: Encoder, given: Sequence[str]) -> None:
    """Check losses before anything is computed.

    Args:
        losses: the sum of losses to check.
        encoder: the encoder whose layers they name.
        given: which of "content", "style" and "previous" were given.

    Raises:
        TypeError: the encoder is not an encoder.
        ValueError: an unknown layer, an unknown or missing reference, or a loss that needs positions at a layer that is
            a vector.

    """
    layers, network = layers_of(encoder), encoder_name(encoder)
    for name, term in zip(losses.names, losses, strict=True):
        used = check_names(weights_per_layer(term.loss), layers, network, getattr(encoder, "left_out", None))
        vector = next((layer for layer in used if layers[layer].is_vector), None)
        if vector is not None and (term.loss.needs_positions or term.loss.reach):
            raise ValueError(
                f"{name} compares positions of a picture with each other, and layer {vector!r} of {network} is one "
                "vector for all of it; give it a layer with positions, or this layer a loss such as ContentLoss"
            )
        reference = term.loss.reference  # known, as each Term has checked it
        if reference is not None and reference not in given:
            raise ValueError(f"{name} compares with the {reference}, and no {reference} was given")


def check_styles(
    terms: Sequence[ResolvedTerm],
    source: FeatureSource,
    styles: Sequence[Style],
    sizes: Sequence[tuple[int, int]] | None = None,
    reference: Reference = "style",
) -> None:
    """Check that losses take the masks and regions of styles, and that these leave something, before long work.

    Args:
        terms: the losses.
        source: source of the features.
        styles: the styles.
        sizes: (height, width) of each one's picture; None: whether a mask leaves anything is not looked at.
        reference: what the losses compare with that see these styles.

    Raises:
        ValueError: a mask or region with a loss that sees whole maps, or with ``edges="strict"`` at a layer that does;
            a mask that leaves nothing; weights of a region that are all 0, or add up to infinity.

    """
    compared = [term for term in terms if term.loss.reference == reference]
    for region, members in by_region(styles) if compared else []:
        shares(members)
        for term in compared:
            if region is not None and not part_for(term.loss).takes_region:
                raise ValueError(
                    f"{term.name} sees whole maps and cannot be kept inside a region; take "
                    f"{_taking('takes_region')}, derive it from StatisticLoss or PointwiseLoss, or give its styles no "
                    "region"
                )
            drawn = [each for each in members if each.mask is not None or region is not None]
            _check_places(term, source.layers, drawn)
            _check_edges(term, source.layers, drawn)
    for index, style in enumerate(styles):
        for term in compared if style.mask is not None and style.weight else []:
            if not part_for(term.loss).takes_mask:
                raise ValueError(
                    f"{term.name} compares with whole maps of the style and cannot use a mask; take "
                    f"{_taking('takes_mask')}, derive it from StatisticLoss, or give its styles no mask"
                )
            if sizes is not None:
                _mask_weights(term, source, style, sizes[index], torch.empty(0, dtype=torch.float32))


def _taking(what: str) -> str:
    """The style losses of the package whose styles may have a region or a mask, as text."""
    kinds = [getattr(known_losses, name) for name in known_losses.__all__]
    found = [
        kind.__name__
        for kind in kinds
        if isinstance(kind, type)
        and issubclass(kind, Loss)
        and not inspect.isabstract(kind)
        and kind().reference == "style"
        and getattr(part_for(kind()), what)
    ]
    return f"{', '.join(found[:-1])} or {found[-1]}"


def shares(styles: Sequence[Style]) -> list[float]:
    """The share of each style of a region.

    Raises:
        ValueError: the weights are all 0, or add up to infinity.

    """
    total = sum(style.weight for style in styles)
    if not total:
        raise ValueError("the weights of the styles of a region are all 0; give one of them a positive weight")
    if total == math.inf:
        raise ValueError("the weights of the styles of a region add up to infinity; divide them all by one number")
    return [style.weight / total for style in styles]


def _check_places(term: ResolvedTerm, layers: Mapping[str, Layer], styles: Sequence[Style]) -> None:
    vector = next((layer for layer in term.layers if styles and layers[layer].is_vector), None)
    if vector is not None:
        raise ValueError(
            f"{term.name} compares layer {vector!r}, one vector for the whole picture, which no mask or region can "
            "divide; give its styles none, or use a layer with positions"
        )


def _check_edges(term: ResolvedTerm, layers: Mapping[str, Layer], styles: Sequence[Style]) -> None:
    strict = any(style.edges == "strict" for style in styles)
    whole = next((layer for layer in term.layers if strict and layers[layer].is_global), None)
    if whole is not None:
        raise ValueError(
            f"edges='strict' leaves nothing at layer {whole!r}, whose positions see the whole picture; give the "
            "style edges='blended', or use earlier layers"
        )


def _mask_weights(
    term: ResolvedTerm, source: FeatureSource, style: Style, size: tuple[int, int], like: Tensor
) -> dict[str, tuple[Tensor | None, float]]:
    """The weights of a style picture's positions at each of a term's layers, and their sum; None: all are 1.

    Raises:
        ValueError: a mask that leaves nothing at any layer.

    """
    mask = load_mask(style.mask)
    pixels = None if mask is None else stretch(mask, size, like)
    found: dict[str, tuple[Tensor | None, float]] = {}
    for name in term.layers:
        layer = source.layers[name]
        if pixels is None:
            weight = coverage(size, layer.stride, like)
        else:
            reach = reach_of(term.loss, layer)
            weight = position_weights(pixels, layer.stride, reach, style.edges, step=source.step)
        found[name] = weight, positions(weight, size, layer.stride)
    if mask is not None and not any(count for _, count in found.values()):
        raise ValueError(
            "the mask of a style is black all over, or too narrow for any position to see it alone, so nothing of "
            "its picture counts; draw it white where it is to count"
        )
    return found


@dataclass(frozen=True)
class Targets:
    """Makes the parts of an objective with their targets.

    Args:
        source: source of the features.
        planner: planner of the tiles in which styles are read.
        aligned_planner: of those in which the other reference pictures are read, which lie on the result.
        storage: dtype and device of stored whole maps.
        tile: longest side of these tiles.
        opacity: of the result, (1, 1, H, W); None: all of it is opaque.
        seamless: whether the result repeats.

    """

    source: FeatureSource
    planner: TilePlanner
    aligned_planner: TilePlanner
    storage: MapStorage
    tile: TileSize
    opacity: Tensor | None = None
    seamless: bool = False

    def parts(
        self,
        terms: Sequence[ResolvedTerm],
        references: Mapping[str, Sequence[Style]],
        known: Sequence[Part] | None = None,
    ) -> list[Part]:
        """Return all parts: each term in each region of its reference, at each of its layers.

        Args:
            terms: the losses.
            references: the pictures, by what losses compare with.
            known: parts of the same terms, of which those are kept whose targets lie on no position of the result; the
                losses and the encoder have been checked. None: there are none.

        Raises:
            ValueError: as ``check_styles``; a loss or an encoder that breaks its contract.

        """
        check_styles(terms, self.source, references["previous"], reference="previous")
        if known is not None:
            aligned = [term for term in terms if term.loss.reference in ALIGNED]
            fresh = self._of_all(aligned, references, self._sample(references))
            kept = [part for part in known if part.loss.reference not in ALIGNED]
            order = [term.name for term in terms]
            return sorted([*kept, *fresh], key=lambda part: order.index(part.name))
        check_styles(terms, self.source, references["style"])
        like = self._sample(references)
        with self.source.arithmetic(like.device):
            check_parts(terms, self.source.layers, like)
            try_encoder(self.source)
        return self._of_all(terms, references, like)

    def _of_all(
        self, terms: Sequence[ResolvedTerm], references: Mapping[str, Sequence[Style]], like: Tensor
    ) -> list[Part]:
        """The parts of terms that have been checked."""
        parts: list[Part] = []
        with self.source.arithmetic(like.device):
            groups = {
                reference: by_region(pictures, self.opacity, self.seamless)
                for reference, pictures in references.items()
            }
            for term in terms:
                reference = term.loss.reference
                for region, members in [(None, [])] if reference is None else groups[reference]:
                    parts += self._parts_in(term, region, members)
        return parts

    def _parts_in(self, term: ResolvedTerm, region: Region | None, styles: Sequence[Style]) -> list[Part]:
        """A term's parts in a region, with their targets."""
        parts = parts_of(term, self.source.layers, region)
        if not styles:
            return parts
        found = [
            (share, keep("target", partial(self._key, term, style), partial(self._targets, term, parts, style)))
            for share, style in zip(shares(styles), styles, strict=True)
            if share
        ]
        return [
            replace(part, targets=tuple((share, each[index]) for share, each in found if index in each))
            for index, part in enumerate(parts)
        ]

    def _key(self, term: ResolvedTerm, style: Style) -> Hashable | None:
        """All that the targets of a style depend on; None for those that need not be kept, or that nothing can name."""
        is_small = part_for(term.loss).takes_mask  # statistics; whole maps would fill the memory
        if term.loss.reference != "style" or not is_small or style.mask is not None or is_word(self.tile, ("auto",)):
            return None
        try:
            loss = describe(term.loss)
        except ValueError:
            return None
        source, storage = self.source, self.storage
        seen = fingerprint(on_encoder(source.encoder, _loaded(style)))
        read = (Same(source.encoder), source.in_use, self.seamless, self.tile, storage.dtype, storage.device)
        return (*read, tuple(term.layers), loss, seen)

    def _targets(self, term: ResolvedTerm, parts: Sequence[Part], style: Style) -> dict[int, Any]:
        """What a reference picture gives each part, by its number; none where a mask leaves a layer nothing."""
        image = on_encoder(self.source.encoder, _loaded(style))
        weights = _mask_weights(term, self.source, style, size_of(image), image)
        groups = [part.target_readers(weights[part.layers[0]][0]) for part in parts]
        readers = [reader for group in groups for reader in group]
        planner = self.aligned_planner if term.loss.reference in ALIGNED else self.planner
        with torch.no_grad():
            readings = read_all(self.source, image, planner.plan(image, self.tile, readers), readers, self.storage)
        stored = iter(
            [reader.as_target(each, image, self.storage) for reader, each in zip(readers, readings, strict=True)]
        )
        found = [[next(stored) for _ in group] for group in groups]
        counts = [weights[part.layers[0]][1] for part in parts]
        return {
            index: part.target(each, count)
            for index, (part, each, count) in enumerate(zip(parts, found, counts, strict=True))
            if count
        }

    def _sample(self, references: Mapping[str, Sequence[Style]]) -> Tensor:
        """An empty tensor of the dtype and on the device of the features."""
        pictures = [_loaded(picture) for each in references.values() for picture in each]
        like = pictures[0][:0] if pictures else torch.empty(0, dtype=torch.float32)
        return on_encoder(self.source.encoder, like)
