"""The tiles of a picture: as requested, as the memory allows, and at least one for each process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from neuralstyle import distributed
from neuralstyle._errors import is_word
from neuralstyle.objective.auto_tile import largest_fitting_tile
from neuralstyle.objective.features import FeatureSource
from neuralstyle.objective.parts import ResolvedTerm, reach_of, size_of
from neuralstyle.objective.readers import Reader
from neuralstyle.objective.rehearsal import try_reach
from neuralstyle.objective.tiling import Tile, TileSize, tiles


class TilePlanner:
    """Plans the tiles of pictures of any size, for the layers of some losses. Chooses an automatic tile once a size.

    Args:
        source: source of the features.
        terms: the losses.
        wraps: whether the pictures repeat.

    Raises:
        ValueError: pictures that repeat, and a layer that depends on the whole picture.

    """

    def __init__(self, source: FeatureSource, terms: Sequence[ResolvedTerm], *, wraps: bool = False) -> None:
        used = [(term.loss, source.layers[layer]) for term in terms for layer in term.layers]
        self.reach = max(reach_of(loss, layer) for loss, layer in used)
        self.global_layer = next((layer.name for _, layer in used if layer.is_global), None)
        if wraps and self.global_layer is not None:
            raise ValueError(
                f"a seamless picture cannot be compared at layer {self.global_layer!r}, whose positions depend on the "
                "whole picture (attention, global pooling or instance normalisation before it); use earlier layers"
            )
        self._wraps = wraps
        self._takes_circular = source.takes_circular
        self._source = source.without_compiling()
        self._chosen: dict[Any, int | None] = {}
        self._reach_is_tried = False

    def check(self, tile: TileSize) -> None:
        """Check that a picture can be read in tiles of this size.

        Raises:
            ValueError: a layer depends on the whole picture.

        """
        if tile is not None and not is_word(tile, ("auto",)) and self.global_layer is not None:
            raise ValueError(
                f"tiles cannot be exact with layer {self.global_layer!r}: its positions depend on the whole picture "
                "(attention, global pooling or instance normalisation before it); leave tile out, or use earlier layers"
            )

    def plan(self, image: Tensor, tile: TileSize, readers: Sequence[Reader]) -> list[Tile]:
        """Return the tiles of a picture, at least one for each process if the picture is large enough.

        Raises:
            ValueError: a tile that is not a whole number or is too small, or tiles with a layer that depends on the
                whole picture.
            MemoryError: ``tile="auto"``, and no tile fits.

        """
        size = size_of(image)
        pixels = self._automatic(image, readers) if is_word(tile, ("auto",)) and self.global_layer is None else tile
        return self.lay(
            *size, None if isinstance(pixels, str) and pixels == "auto" else pixels, at_least=distributed.world()
        )

    def lay(self, height: int, width: int, tile: int | None, *, at_least: int = 1) -> list[Tile]:
        """The tiles of a picture of this height and width, ``at_least`` so many where it is large enough.

        Raises:
            ValueError: as ``plan``, or an encoder that sees further than it says.

        """
        self.check(tile)
        if self.global_layer is not None:  # one tile, whether or not it fits the memory
            return tiles(height, width, None, self._source.step, 0)
        if self._wraps and tile is None and at_least == 1 and self._takes_circular(height, width):
            (whole,) = tiles(height, width, None, self._source.step, 0)
            return [replace(whole, circular=True)]
        found = tiles(height, width, tile, self._source.step, self.reach, at_least=at_least, wraps=self._wraps)
        if (len(found) > 1 or self._wraps) and not self._reach_is_tried:
            try_reach(self._source)
            self._reach_is_tried = True
        return found

    def _automatic(self, image: Tensor, readers: Sequence[Reader]) -> int | None:
        """The largest tile that fits; cached, so that a run does not change with the free memory."""
        kind = (image.shape, image.dtype, image.device, tuple(type(reader) for reader in readers))
        if kind not in self._chosen:
            self._chosen[kind] = largest_fitting_tile(self._source, image, readers, self.reach, wraps=self._wraps)
        return self._chosen[kind]
