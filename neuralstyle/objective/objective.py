"""The objective: a weighted sum of losses against their targets, and its gradient, over a whole picture or in tiles."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial

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
from neuralstyle.objective.differentiable import differentiable, read_differentiably
from neuralstyle.objective.evaluation import Evaluation, Terms, evaluation_of
from neuralstyle.objective.features import FeatureSource
from neuralstyle.objective.parts import Part, layers_in_use, resolve, size_of
from neuralstyle.objective.planning import TilePlanner
from neuralstyle.objective.position_weights import PositionWeights
from neuralstyle.objective.readers import MapStorage, Reader
from neuralstyle.objective.readings import TileGraph, add_gradient, is_shared, read_all
from neuralstyle.objective.recorded import Recorder, can_be_recorded
from neuralstyle.objective.regions import check_opacity
from neuralstyle.objective.targets import Targets, batch_of_result, references_of, size_of_result
from neuralstyle.objective.targets import check_losses as check_losses
from neuralstyle.objective.tiling import Tile, TileSize
from neuralstyle.styles import Style


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

    The value of a batch is the mean over its pictures, for every loss: each is compared by itself, with its own content
    where that is a batch too, and its gradient is 1 / B of its gradient alone.

    ``evaluate`` gives numbers and a gradient, for optimisers. ``objective(image)`` and ``terms`` give tensors, for a
    loop of your own.

    Losses and encoders are checked against their contracts: shapes at each evaluation, and linearity of a statistic in
    the weight once for each loss and layer.

    Args:
        encoder: a ``FeatureExtractor``, or any object with ``layers`` and a call. ``InPrecision`` compiles it or
            changes its precision. It need not have the layer "image", which is the picture itself.
        losses: a loss or a sum of losses.
        content: (1, 3, H, W) in [0, 1]; needed by losses that compare with "content". A batch (B, 3, H, W) has one for
            each picture of a batch of results.
        styles: pictures or ``Style``; needed by losses that compare with "style".
        previous: (1, 3, H, W) or a batch, as the content; needed by losses that compare with "previous". A ``Style``
            has a region beside the picture, where it counts: the consistency mask of a frame. Of several, each counts
            in its region.
        opacity: (1, 1, H, W) in [0, 1], stretched to the picture: how much each pixel of the result counts in
            statistics and pointwise losses; None: all alike. Losses that see whole maps see what is transparent too.
        seamless: whether the picture and the content repeat: their borders see the other end, at every layer. Losses
            that see whole maps compare nothing across a border.
        tile: longest side in pixels of the tiles in which pictures are seen, those of the targets too; None: whole;
            "auto": see ``evaluate``.
        map_dtype: dtype in which maps as large as a picture are stored: the targets of losses that compare maps, and,
            in tiles, the maps of losses that see them whole with their gradients (in bfloat16 where this is float16).
            They are brought back for one tile, or one loss, at a time. Not the picture, layer "image". None: their
            own, exact.
        map_device: where they are stored, for example "cpu"; None: where they are computed.

    Raises:
        TypeError: an encoder of another type, such as a bare ``nn.Module``.
        ValueError: an unknown layer, a missing reference, no losses, a mask or region with a loss that sees whole maps,
            tiles, ``seamless`` or ``edges="strict"`` with a layer that depends on the whole picture, a loss or an
            encoder that breaks its contract, or a precision that the network or its device does not have.
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

        image = style.clone().requires_grad_()
        objective(image).backward()
        assert torch.equal(image.grad, objective.evaluate(style).gradient)
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
        opacity: Tensor | None = None,
        seamless: bool = False,
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
        self._planner = TilePlanner(self._source, self._terms, wraps=seamless)
        self._planner.check(tile)
        check_opacity(opacity)
        self._tile = tile
        self._opacity, self._seamless = opacity, seamless
        self._aim(references, None)

    def _aim(self, references: Mapping[str, Sequence[Style]], known: Sequence[Part] | None) -> None:
        """Compute the targets, but for those of known parts that stay."""
        of_styles = TilePlanner(self._source, self._terms) if self._seamless else self._planner
        targets = Targets(
            self._source, of_styles, self._planner, self._storage, self._tile, self._opacity, self._seamless
        )
        self._parts = targets.parts(self._terms, references, known)
        self._position_weights = PositionWeights(self._source, self._parts, self._opacity)
        self._size, self._batch = size_of_result(references), batch_of_result(references)
        self._recorder = Recorder() if can_be_recorded(self.encoder, self.losses) else None

    @plain_torch()
    def with_pictures(
        self, *, content: Picture | None = None, previous: Picture | Style | Sequence[Picture | Style] | None = None
    ) -> Objective:
        """Return the objective of another frame: with this content and these previous pictures, and the same styles.

        The targets of the styles are kept, so this takes less time than a new objective. In a loop that trains a
        network, the content is the next batch.

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

    def __call__(self, image: Tensor, tile: TileSize = None) -> Tensor:
        """Return the value at a picture as a scalar that torch differentiates, for a loop of your own.

        ``objective(image).backward()`` adds the gradient of ``evaluate`` to ``image.grad``, or passes it on to whatever
        has made the picture: a network, a renderer, a latent code. A second derivative exists where those of the losses
        do; ``create_graph=True`` asks for it.

        In tiles, each tile is read again for the gradient, so only the features of one are in memory at a time; maps
        that losses see whole keep their dtype, whatever ``map_dtype`` says. In several processes each computes the
        whole. Values that are not finite are returned as they are.

        Args:
            image: as for ``evaluate``; colours outside [0, 1] have no meaning, and are not refused.
            tile: as for ``evaluate``.

        Raises:
            TypeError: as ``evaluate``.
            ValueError: as ``evaluate``.
            MemoryError: as ``evaluate``.

        """
        return torch.stack(self._values(image, tile)).sum()

    def terms(self, image: Tensor, tile: TileSize = None) -> dict[str, Tensor]:
        """Return the weighted value of each term by name, each a scalar that torch differentiates; see ``__call__``."""
        names = dict.fromkeys(part.name for part in self._parts)
        return dict(zip(names, self._values(image, tile), strict=True))

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
        image = self._checked(image)
        with self._source.arithmetic(image.device):
            readers, counts, plan = self._laid_out(image, tile)
            gradient: Tensor | None = None
            if len(plan) == 1:
                compute = partial(self._whole, plan=plan, readers=readers, counts=counts)
                if not with_gradient:
                    values = compute(image, with_gradient=False)[0]
                elif self._recorder is not None and distributed.world() == 1:
                    values, gradient = self._recorder(compute, image)
                else:
                    values, gradient = compute(image)
                _Count(on_tile, 1)()
            else:
                total = len(distributed.share(plan)) * (2 if with_gradient else 1)
                values, gradient = self._tiled(image, plan, readers, counts, with_gradient, _Count(on_tile, total))
        return evaluation_of(dict.fromkeys(part.name for part in self._parts), values, gradient)

    def _checked(self, image: Tensor) -> Tensor:
        """A picture that can be compared with the targets.

        Raises:
            TypeError: as ``evaluate``.
            ValueError: as ``evaluate``.

        """
        check_picture(image)
        image = plain_tensor(image)
        like = on_encoder(self.encoder, image[:0])
        if (image.dtype, image.device) != (like.dtype, like.device):
            raise ValueError(
                f"the image is {image.dtype} on {str(image.device)!r}, and {encoder_name(self.encoder)} {like.dtype} "
                f"on {str(like.device)!r}; convert it with .to({like.dtype}) or .to({str(like.device)!r})"
            )
        size, batch = size_of(image), len(image)
        if self._size is not None and size != self._size:
            raise ValueError(f"the image is {size}, the content {self._size} (height, width); give them one size")
        if self._batch not in (1, batch):
            raise ValueError(
                f"the image is a batch of {batch}, the content one of {self._batch}; give as many, or one content for "
                "all of them"
            )
        return image

    def _laid_out(self, image: Tensor, tile: TileSize) -> tuple[list[list[Reader]], list[float], list[Tile]]:
        """Each part's readers, the sum of its weights of positions, and the tiles of a picture."""
        weights, counts = self._position_weights(image)
        readers = [part.readers(weight) for part, weight in zip(self._parts, weights, strict=True)]
        return readers, counts, self._planner.plan(image, self._tile if tile is None else tile, _flat(readers))

    def _values(self, image: Tensor, tile: TileSize) -> list[Tensor]:
        """The values of all terms, each with a gradient where torch wants one."""

        def compute(picture: Tensor) -> Sequence[Tensor]:
            readers, counts, plan = self._laid_out(picture, tile)
            found = iter(read_differentiably(self._source, picture, plan, _flat(readers)))
            terms = Terms()
            for part, group, count in zip(self._parts, readers, counts, strict=True):
                terms.add(part.name, part.value([next(found) for _ in group], count, picture.shape[0]))
            return terms.stack().unbind()

        return differentiable(self._checked(image), compute, partial(self._source.arithmetic, image.device))

    def _whole(
        self,
        image: Tensor,
        plan: Sequence[Tile],
        readers: Sequence[Sequence[Reader]],
        counts: Sequence[float],
        with_gradient: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """The terms and the gradient of a whole picture: one forward and one backward pass."""
        leaf = image.detach().requires_grad_(with_gradient)
        with torch.set_grad_enabled(with_gradient):
            found = iter(read_all(self._source, leaf, plan, _flat(readers)))
            terms = Terms()
            for part, group, count in zip(self._parts, readers, counts, strict=True):
                terms.add(part.name, part.value([next(found) for _ in group], count, image.shape[0]))
            loss = terms.stack().sum()
        values = terms.agreed()
        if not loss.requires_grad:  # losses that ignore the picture
            return values, torch.zeros_like(image) if with_gradient else image.new_empty(0)
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
        terms = Terms()
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
