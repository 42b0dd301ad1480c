"""The objective: a weighted sum of losses against their targets, and its gradient, over a whole picture or in tiles."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neuralstyle import distributed
from neuralstyle.encoders.base import Encoder, encoder_name, on_encoder
from neuralstyle.images import Picture
from neuralstyle.losses import Loss, LossSum
from neuralstyle.losses.base import as_sum
from neuralstyle.machine.devices import find_device
from neuralstyle.machine.surroundings import plain_tensor, plain_torch
from neuralstyle.objective.contract import check_picture
from neuralstyle.objective.features import FeatureSource
from neuralstyle.objective.parts import Part, layers_in_use, resolve, size_of
from neuralstyle.objective.planning import TilePlanner
from neuralstyle.objective.position_weights import PositionWeights
from neuralstyle.objective.readers import MapStorage, Reader
from neuralstyle.objective.readings import TileGraph, add_gradient, is_shared, read_all
from neuralstyle.objective.targets import Targets, references_of, size_of_result
from neuralstyle.objective.targets import check_losses as check_losses
from neuralstyle.objective.tiling import Tile, TileSize
from neuralstyle.styles import Style


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A value of the objective.

    Attributes:
        loss: the weighted sum of all losses.
        terms: the weighted value of each term by name; they add up to ``loss``.
        gradient: the gradient, in the shape of the image, or None.

    """

    loss: float
    terms: dict[str, float]
    gradient: Tensor | None


class Objective:
    r"""Weighted losses against their targets: value and gradient for any picture, whole or in tiles.

    $$
    L(x) = \sum_k \lambda_k \sum_l w_{kl} \sum_r a_r \sum_{s \in r} b_s\, D_k(x, s; l, r)
    $$

    over loss terms k, their layers l, the regions r with their share $a_r$ of the picture's area, and the
    styles s of a region with their shares $b_s$, which add up to 1. Losses that compare with the content, and
    regularisers, have one region: everywhere. A statistic is weighted by its region and divided by the sum of the
    weights; ``Style.edges`` says how a region becomes weights of a layer's positions.

    At every layer a position weighs by the part of its cell that the picture covers. The encoder sees the picture
    continued by its mirror image to whole cells of all layers in use, so that the border cuts none; what lies beyond
    the picture has no weight. Losses on whole maps see the cells that the picture covers, each in full.

    Targets are computed once, here. Tiles give the same result to rounding: a first pass over the tiles adds up what
    each loss needs, the losses are differentiated with respect to these totals, and a second pass back-propagates that
    gradient through each tile. A tile includes a halo as wide as the network's reach, so the tile, not the picture,
    sets the memory for features.

    Losses and encoders are checked against their contracts: shapes at each evaluation, and linearity of a statistic in
    the weight once for each loss and layer.

    Args:
        encoder: a ``FeatureExtractor``, or any object with ``layers`` and a call. ``InPrecision`` compiles it or
            changes its precision. It need not have the layer "image", which is the picture itself.
        losses: a loss or a sum of losses.
        content: (1, 3, H, W) in [0, 1]; needed by losses that compare with "content".
        styles: pictures or ``Style``; needed by losses that compare with "style".
        previous: (1, 3, H, W) in [0, 1]; needed by losses that compare with "previous". A ``Style`` has a region beside
            the picture, where it counts: the consistency mask of a frame. Of several, each counts in its region.
        tile: longest side in pixels of the tiles in which pictures are seen, those of the targets too; None: whole;
            "auto": see ``evaluate``.
        map_dtype: dtype in which maps as large as a picture are stored: the targets of losses that compare maps, and,
            in tiles, the maps of losses that see them whole with their gradients (in bfloat16 where this is float16).
            They are brought back for one tile, or one loss, at a time. None: their own, exact.
        map_device: where they are stored, for example "cpu"; None: where they are computed.

    Raises:
        TypeError: an encoder of another type, such as a bare ``nn.Module``.
        ValueError: an unknown layer, a missing reference, no losses, a mask or region with a loss that sees whole maps,
            tiles or ``edges="strict"`` with a layer that depends on the whole picture, a loss or an encoder that breaks
            its contract, or a precision that the network or its device does not have.
        MemoryError: ``tile="auto"``, and no tile fits.

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

    Papers: Gatys, Ecker and Bethge, arXiv 1508.06576, equation 7, with the difference that cells at the border are
    completed; code after the paper drops those that the border cuts. Regions after Gatys et al. 2017, arXiv 1611.07865,
    with the difference that a region weighs as much as its share of the area, so that every pixel has the same
    balance of content and style.

    """

    @plain_torch()
    def __init__(
        self,
        encoder: Encoder,
        losses: Loss | LossSum,
        *,
        content: Picture | None = None,
        styles: Picture | Style | Sequence[Picture | Style] = (),
        previous: Picture | Style | Sequence[Picture | Style] | None = None,
        tile: TileSize = None,
        map_dtype: torch.dtype | None = None,
        map_device: str | torch.device | None = None,
    ) -> None:
        self.encoder = encoder
        self.losses = as_sum(losses)
        self._storage = MapStorage(map_dtype, None if map_device is None else find_device(map_device))
        references = references_of(content, styles, previous)
        check_losses(self.losses, encoder, [name for name, pictures in references.items() if pictures])
        self._terms = resolve(self.losses)
        self._source = FeatureSource(encoder, layers_in_use(self._terms))
        self._planner = TilePlanner(self._source, self._terms)
        self._planner.check(tile)
        self._tile = tile
        self._aim(references, None)

    def _aim(self, references: Mapping[str, Sequence[Style]], known: Sequence[Part] | None) -> None:
        """Compute the targets, but for those of known parts that stay."""
        targets = Targets(self._source, self._planner, self._storage, self._tile)
        self._parts = targets.parts(self._terms, references, known)
        self._position_weights = PositionWeights(self._source, self._parts)
        self._size = size_of_result(references)

    @plain_torch()
    def with_pictures(
        self, *, content: Picture | None = None, previous: Picture | Style | Sequence[Picture | Style] | None = None
    ) -> Objective:
        """Return the objective of another frame: with this content and these previous pictures, and the same styles.

        The targets of the styles are kept, so this takes less time than a new objective.

        Raises:
            ValueError: a reference is missing that a loss compares with, or the pictures differ in size.

        Example:
            ```python
            import torch
            from neuralstyle import ContentLoss, FeatureExtractor, Objective

            first, second = torch.rand(2, 1, 3, 32, 32)
            objective = Objective(FeatureExtractor(), ContentLoss("relu2_1"), content=first)
            assert objective.with_pictures(content=second).evaluate(second).loss == 0
            ```

        """
        references = references_of(content, (), previous)
        styles = any(part.loss.reference == "style" for part in self._parts)
        given = [*(name for name, pictures in references.items() if pictures), *(["style"] if styles else [])]
        check_losses(self.losses, self.encoder, given)
        other = copy.copy(self)
        other._aim(references, self._parts)
        return other

    @plain_torch()
    def evaluate(
        self,
        image: Tensor,
        tile: TileSize = None,
        *,
        with_gradient: bool = True,
        on_tile: Callable[[int, int], object] | None = None,
    ) -> Evaluation:
        """Return value and gradient at a picture.

        Several processes (``torchrun``) share the tiles, and all return the same.

        Args:
            image: (B, 3, H, W) in [0, 1], on the encoder's device and of its dtype.
            tile: longest side of a tile in pixels, at least the deepest layer's stride; None: the objective's own;
                "auto": the whole if half of the memory that the device has free holds it, else the largest tile that
                fits. It is chosen at the first evaluation of a size and kept; on another day it may be another, and
                the result differ by rounding. A number gives the same to the byte.
            with_gradient: False leaves the gradient out (None), at less than half the cost.
            on_tile: called after each tile that this process has seen with (tiles seen, tiles in all); each is seen
                twice for a gradient in tiles.

        Raises:
            TypeError: the picture is not a tensor.
            ValueError: a picture that differs in size from the content, is too small for the deepest layer, or is not a
                dense floating tensor; tiles with a layer that depends on the whole picture; a loss or an encoder that
                breaks its contract.
            FloatingPointError: a term, or the gradient, is not finite; the message names it.
            MemoryError: ``tile="auto"``, and no tile fits.

        """
        check_picture(image)
        image = plain_tensor(image)
        like = on_encoder(self.encoder, image[:0])
        if (image.dtype, image.device) != (like.dtype, like.device):
            raise ValueError(
                f"the image is {image.dtype} on {str(image.device)!r}, and {encoder_name(self.encoder)} {like.dtype} "
                f"on {str(like.device)!r}; convert it with .to({like.dtype}) or .to({str(like.device)!r})"
            )
        size = size_of(image)
        tile = self._tile if tile is None else tile
        if self._size is not None and size != self._size:
            raise ValueError(f"the image is {size}, the content {self._size} (height, width); give them one size")
        with self._source.arithmetic(image.device):
            weights, counts = self._position_weights(image)
            readers = [part.readers(weight) for part, weight in zip(self._parts, weights, strict=True)]
            plan = self._planner.plan(image, tile, [reader for group in readers for reader in group])
            if len(plan) == 1:
                values, gradient = self._whole(image, plan, readers, counts, with_gradient, _Count(on_tile, 1))
            else:
                total = len(distributed.share(plan)) * (2 if with_gradient else 1)
                values, gradient = self._tiled(image, plan, readers, counts, with_gradient, _Count(on_tile, total))
        return _evaluation(dict.fromkeys(part.name for part in self._parts), values, gradient)

    def _whole(
        self,
        image: Tensor,
        plan: Sequence[Tile],
        readers: Sequence[Sequence[Reader]],
        counts: Sequence[float],
        with_gradient: bool,
        on_tile_done: Callable[[], None],
    ) -> tuple[Tensor, Tensor | None]:
        """The terms and the gradient of a whole picture: one forward and one backward pass."""
        leaf = image.detach().requires_grad_(with_gradient)
        with torch.set_grad_enabled(with_gradient):
            found = iter(read_all(self._source, leaf, plan, _flat(readers), on_tile_done=on_tile_done))
            terms = _Terms()
            for part, group, count in zip(self._parts, readers, counts, strict=True):
                terms.add(part.name, part.value([next(found) for _ in group], count, image.shape[0]))
            loss = terms.stack().sum()
        values = terms.agreed()
        if not with_gradient:
            return values, None
        if not loss.requires_grad:  # losses that ignore the picture
            return values, torch.zeros_like(image)
        (gradient,) = torch.autograd.grad(loss, leaf, materialize_grads=True)
        distributed.send([gradient])
        return values, gradient

    def _tiled(
        self,
        image: Tensor,
        plan: Sequence[Tile],
        readers: Sequence[Sequence[Reader]],
        counts: Sequence[float],
        with_gradient: bool,
        on_tile_done: Callable[[], None],
    ) -> tuple[Tensor, Tensor | None]:
        """The same in tiles: read all, differentiate with respect to the readings, back-propagate tile by tile."""
        image = image.detach()
        flat = _flat(readers)
        # Allocated before the tiles, so that they free memory in one piece, as for every picture.
        gradient = torch.zeros_like(image) if with_gradient else None
        graphs: list[TileGraph] = []  # the last tile's; the others are read again
        keep_last_graph = graphs.append if with_gradient else None
        with torch.no_grad():
            found = iter(read_all(self._source, image, plan, flat, self._storage, on_tile_done, keep_last_graph))
        terms = _Terms()
        cotangents: list[Tensor] = []
        # One part at a time, so that the whole maps of only one loss are converted back from storage.
        for part, group, count in zip(self._parts, readers, counts, strict=True):
            with torch.set_grad_enabled(with_gradient):
                leaves = [reader.as_leaf(next(found), image, with_gradient) for reader in group]
                value = part.value(leaves, count, image.shape[0])
            if with_gradient:
                cotangents += self._cotangents(value, group, leaves)
            terms.add(part.name, value.detach())
        values = terms.agreed()
        if gradient is not None:
            add_gradient(self._source, image, plan, flat, cotangents, gradient, on_tile_done, graphs)
            if not is_shared(plan):
                distributed.send([gradient])
        return values, gradient

    def _cotangents(self, value: Tensor, readers: Sequence[Reader], readings: Sequence[Tensor]) -> list[Tensor]:
        """The derivative of a part's value with respect to each reading, in its stored form."""
        if value.requires_grad:
            found = torch.autograd.grad(value, readings, materialize_grads=True)
        else:  # a loss that ignores the picture
            found = tuple(torch.zeros_like(reading) for reading in readings)
        return [reader.store_cotangent(each, self._storage) for reader, each in zip(readers, found, strict=True)]


class _Terms:
    """The values of terms, added up by name."""

    def __init__(self) -> None:
        self._values: dict[str, Tensor] = {}

    def add(self, name: str, value: Tensor) -> None:
        self._values[name] = self._values[name] + value if name in self._values else value

    def stack(self) -> Tensor:
        return torch.stack(list(self._values.values()))

    def agreed(self) -> Tensor:
        """The values, detached, and the same in all processes."""
        values = torch.stack([value.detach() for value in self._values.values()])
        distributed.send([values])
        return values


class _Count:
    """Counts tiles, and calls ``on_tile`` with (tiles done, tiles in all)."""

    def __init__(self, on_tile: Callable[[int, int], object] | None, total: int) -> None:
        self._on_tile, self._total, self._done = on_tile, total, 0

    def __call__(self) -> None:
        self._done += 1
        if self._on_tile is not None:
            self._on_tile(self._done, self._total)


def _flat(groups: Sequence[Sequence[Reader]]) -> list[Reader]:
    return [reader for group in groups for reader in group]


def _evaluation(names: Iterable[str], values: Tensor, gradient: Tensor | None) -> Evaluation:
    """Check that values and gradient are finite, and return them as an evaluation."""
    if gradient is None:
        terms = _finite(names, values.tolist())
        return Evaluation(sum(terms.values()), terms, None)
    # The maximum norm, as isfinite() would take more memory than the gradient. It is read together with the values,
    # since each read waits for the accelerator.
    largest = torch.linalg.vector_norm(gradient, math.inf)
    *found, steepest = torch.cat([values, largest[None]]).tolist()
    terms = _finite(names, found)
    if not math.isfinite(steepest):
        raise FloatingPointError(
            f"the gradient of {' + '.join(terms)} is not finite at a finite loss; check that the derivatives of "
            "the losses exist where features are zero or equal their target"
        )
    return Evaluation(sum(terms.values()), terms, gradient)


def _finite(names: Iterable[str], found: Sequence[float]) -> dict[str, float]:
    """Check that the values of terms are finite, and return them by name."""
    values = dict(zip(names, found, strict=True))
    for name, value in values.items():
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the loss term {name} is {value}; lower its weight or the learning rate, or check its formula"
            )
    return values
