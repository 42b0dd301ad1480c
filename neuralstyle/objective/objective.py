"""The objective: a weighted sum of losses against their targets, and its gradient, over a whole picture or in tiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from neuralstyle import distributed
from neuralstyle.encoders.base import Encoder, on_encoder
from neuralstyle.encoders.precision import Network, Precision, arithmetic
from neuralstyle.images import Picture, load_image
from neuralstyle.losses import Loss, LossSum, PointwiseLoss, StatisticLoss, Term
from neuralstyle.losses.base import as_sum, weights_in_use
from neuralstyle.objective.auto_tile import fitting_tile
from neuralstyle.objective.parts import ALIGNED, NO_TARGET, Part, positions, reach_of, size_of
from neuralstyle.objective.parts import check_losses as check_losses
from neuralstyle.objective.readings import Graph, Keeping, Probe, StatisticSum, WholeMap, gradient, is_shared, measure
from neuralstyle.objective.regions import Region, by_region, load_mask, position_weights, stretch
from neuralstyle.objective.tiling import Tile, TileSize, tiles
from neuralstyle.styles import Style, as_styles


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A value of the objective: the loss, each term's part of it, and the gradient in the shape of the image."""

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
    regularisers, have one region, everywhere. Statistics are taken under a region's weight and divided by the sum of
    that weight; ``Style.carry`` says how a region becomes weights of a layer's positions.

    Targets are computed once, here. In tiles the result is the same to rounding: what each loss needs is first added
    up over all tiles and differentiated there, and that gradient is then carried back tile by tile. Each tile sees a
    halo as wide as the network's reach, so the memory for features is set by the tile and not by the picture.

    Args:
        encoder: a ``FeatureExtractor``, or anything like it.
        losses: a loss or a sum of losses.
        content: (1, 3, H, W) in [0, 1]; needed by losses that compare with "content".
        styles: pictures or ``Style``; needed by losses that compare with "style".
        previous: (1, 3, H, W) in [0, 1]; needed by losses that compare with "previous".
        tile: longest side in pixels of the tiles in which the targets are computed; None: whole; "auto": see
            ``evaluate``.
        map_dtype: in which maps as large as a picture are kept: the targets of losses that compare maps, and, in
            tiles, the maps of losses that see them whole with their gradients (in bfloat16 where this is float16).
            They are brought back for one tile, or one loss, at a time. None: as they are, exact.
        map_device: where they are kept, for example "cpu"; None: where they are computed.
        precision: of the network's convolutions; its features come out in the picture's own dtype, and all that is
            read off them, the picture and its gradient are in that. "float32"; "tf32", on CUDA alone, float32 with
            factors rounded to 11 bits; "bfloat16", with 8 bits, by torch's autocast, which also halves the memory of
            features. None: as torch is set, which by itself takes TF32 on CUDA. Its settings are put back afterwards.
        compile: whether ``torch.compile`` makes one program of the network and its gradient, which takes a minute or so
            for each size of picture or tile at its first evaluation. For GPUs: on the CPU it leaves the package's own
            compiled convolutions unused.

    Raises:
        ValueError: an unknown layer, a reference that is missing, no losses, a mask or region with a loss that sees
            whole maps, tiles or ``carry="inside"`` with a layer that depends on the whole picture; an unknown
            precision, or one that the device or the network does not have; ``compile`` with another encoder than a
            ``FeatureExtractor``.
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
        tile: TileSize = None,
        map_dtype: torch.dtype | None = None,
        map_device: str | torch.device | None = None,
        precision: Precision | None = None,
        compile: bool = False,
    ) -> None:
        losses = as_sum(losses)
        if map_dtype is not None and not map_dtype.is_floating_point:
            raise ValueError(f"map_dtype is a floating dtype such as torch.bfloat16, received {map_dtype}")
        self._keeping = Keeping(map_dtype, None if map_device is None else torch.device(map_device))
        references: dict[str, list[Style]] = {
            "content": [] if content is None else [Style(load_image(content))],
            "style": [replace(style, image=load_image(style.image)) for style in as_styles(styles)],
            "previous": [] if previous is None else [Style(load_image(previous))],
        }
        check_losses(losses, encoder, [name for name, pictures in references.items() if pictures])
        self.encoder = encoder
        self.losses = losses
        self._network = Network(encoder, precision, compile)
        used = [(term.loss, encoder.layers[layer]) for term in losses for layer in weights_in_use(term.loss)]
        # Whole cells of every layer; the deepest stride, where each divides the next.
        self._stride = math.lcm(*(layer.stride for _, layer in used))
        self._reach = max(reach_of(loss, layer) for loss, layer in used)
        self._global = next((layer.name for _, layer in used if layer.is_global), None)
        self._fitting: dict[Any, int | None] = {}
        self._check_tile(tile)
        groups = {reference: by_region(pictures) for reference, pictures in references.items()}
        self._parts: list[Part] = []
        self._weights: tuple[Any, tuple[list[Tensor | None], list[float]]] = (None, ([], []))
        for name, term in zip(losses.names, losses, strict=True):
            reference = term.loss.reference
            for region, styles_there in [(None, [])] if reference is None else groups[reference]:
                with arithmetic(precision):
                    self._parts += self._split(name, term, region, styles_there, tile)
        # Maps of the content are compared position by position, so they fix the size of the result.
        sizes = {size_of(load_image(picture.image)) for name in ALIGNED for picture in references[name]}
        if len(sizes) > 1:
            raise ValueError(f"content and previous have the sizes {sorted(sizes)} (height, width); give them one size")
        self._size = next(iter(sizes), None)

    def evaluate(
        self,
        image: Tensor,
        tile: TileSize = None,
        *,
        with_gradient: bool = True,
        watch: Callable[[int, int], object] | None = None,
    ) -> Evaluation:
        """Value and gradient at a picture.

        Where several processes work together (``torchrun``), each sees its share of tiles, and all return the same.

        Args:
            image: (B, 3, H, W) in [0, 1], on the encoder's device and of its dtype.
            tile: longest side of a tile in pixels, at least the deepest layer's stride; None: the whole at once;
                "auto": the whole if half of the memory that the device has free holds it, else the largest tile that
                fits. It is chosen at the first evaluation of a size and kept; on another day it may be another, and
                the result differ by rounding. A number gives the same to the byte.
            with_gradient: False leaves the gradient out (None), at less than half the cost.
            watch: called after each tile that this process has seen with (tiles seen, tiles in all); each is seen
                twice for a gradient in tiles.

        Raises:
            ValueError: a picture of another size than the content, or too small for the deepest layer; tiles with a
                layer that depends on the whole picture.
            FloatingPointError: a term, or the gradient, is not finite; the message names it.
            MemoryError: ``tile="auto"``, and no tile fits.

        """
        if image.ndim != 4:
            raise ValueError(f"the image is a (B, 3, H, W) tensor in [0, 1], received the shape {tuple(image.shape)}")
        size = size_of(image)
        if self._size is not None and size != self._size:
            raise ValueError(f"the image is {size}, the content {self._size} (height, width); give them one size")
        with arithmetic(self._network.precision):
            return self._evaluate(image, tile, with_gradient, watch)

    def _evaluate(
        self, image: Tensor, tile: TileSize, with_gradient: bool, watch: Callable[[int, int], object] | None
    ) -> Evaluation:
        weights, counts = self._position_weights(image)
        probes = [part.probes(weight) for part, weight in zip(self._parts, weights, strict=True)]
        flat = [probe for group in probes for probe in group]
        plan = self._plan(image, tile, flat)
        # One tile keeps the graph of its forward pass; of several the last does, the others are read again with one.
        single = len(plan) == 1
        passed = _counter(watch, len(distributed.share(plan)) * (1 if single or not with_gradient else 2))
        leaf = image.detach().requires_grad_(single and with_gradient)
        graphs: list[Graph] = []
        # Before the tiles: what they free is then in one piece, and the same from picture to picture.
        result = torch.zeros_like(image) if with_gradient and not single else None
        with torch.set_grad_enabled(leaf.requires_grad):
            last = graphs.append if with_gradient and not single else None
            totals = iter(measure(self._network, leaf, plan, flat, self._keeping, passed, last))
        terms: dict[str, Tensor] = {}
        cotangents: list[Tensor] = []
        with torch.set_grad_enabled(with_gradient):
            for part, group, count in zip(self._parts, probes, counts, strict=True):
                readings = [next(totals) for _ in group]
                if not single:
                    readings = [_leaf(*pair, image, with_gradient) for pair in zip(group, readings, strict=True)]
                value = part.value(readings, count, image.shape[0])
                if with_gradient and not single:
                    # Part by part, so that the whole maps of one loss at most are there in full.
                    cotangents += self._cotangents(value, group, readings)
                    value = value.detach()
                terms[part.name] = terms[part.name] + value if part.name in terms else value
            loss = torch.stack(list(terms.values())).sum()
        stacked = torch.stack([value.detach() for value in terms.values()])
        distributed.send([stacked])
        if not with_gradient:
            values = _finite(terms, stacked.tolist())
            return Evaluation(sum(values.values()), values, None)
        if result is None:
            (result,) = torch.autograd.grad(loss, leaf)
        else:
            gradient(self._network, image, plan, flat, cotangents, result, passed, graphs)
        if not is_shared(plan):
            distributed.send([result])
        # The largest, as a mask of the finite ones would take more memory than the gradient. It is read together with
        # the values, for an accelerator waits each time that something is read.
        largest = torch.linalg.vector_norm(result, math.inf)
        *found, steepest = torch.cat([stacked, largest[None]]).tolist()
        values = _finite(terms, found)
        if not math.isfinite(steepest):
            raise FloatingPointError(
                f"the gradient of {' + '.join(values)} is not finite at a finite loss; check that the derivatives of "
                "the losses exist where features are zero or equal their target"
            )
        return Evaluation(sum(values.values()), values, result)

    def _cotangents(self, value: Tensor, probes: Sequence[Probe], readings: Sequence[Tensor]) -> list[Tensor]:
        """The derivative of a part's value with respect to each reading; whole maps as they are kept."""
        if value.requires_grad:
            found = torch.autograd.grad(value, readings, materialize_grads=True)
        else:  # a loss that ignores the picture
            found = tuple(torch.zeros_like(reading) for reading in readings)
        return [
            self._keeping.keep_gradient(each) if isinstance(probe, WholeMap) else each
            for probe, each in zip(probes, found, strict=True)
        ]

    def _check_tile(self, tile: TileSize) -> None:
        if tile not in (None, "auto") and self._global is not None:
            raise ValueError(
                f"tiles cannot be exact with layer {self._global!r}: its positions depend on the whole picture "
                "(attention, global pooling or instance normalisation before it); leave tile out, or use earlier layers"
            )

    def _check_carry(self, layers: Iterable[str], styles: Sequence[Style]) -> None:
        inside = any(style.carry == "inside" for style in styles)
        whole = next((layer for layer in layers if inside and self.encoder.layers[layer].is_global), None)
        if whole is not None:
            raise ValueError(
                f"carry='inside' leaves nothing at layer {whole!r}, whose positions see the whole picture; give the "
                "style carry='area', or use earlier layers"
            )

    def _plan(self, image: Tensor, tile: TileSize, probes: Sequence[Probe]) -> list[Tile]:
        """The tiles of a picture, as many as there are processes to share them."""
        self._check_tile(tile)
        size = size_of(image)
        if self._global is not None:  # one tile, too large for the memory or not
            return tiles(*size, None, self._stride, 0)
        if tile == "auto":
            key = (image.shape, image.dtype, image.device, tuple(type(probe) for probe in probes))
            if key not in self._fitting:
                plain = Network(self.encoder, self._network.precision)
                self._fitting[key] = fitting_tile(plain, image, probes, self._stride, self._reach)
            tile = self._fitting[key]
        return tiles(*size, tile, self._stride, self._reach, at_least=distributed.world())

    def _split(
        self, name: str, term: Term, region: Region | None, styles: Sequence[Style], tile: TileSize
    ) -> list[Part]:
        """The parts of a loss in a region, with their targets."""
        loss, weights = term.loss, weights_in_use(term.loss)
        if region is not None and not isinstance(loss, (StatisticLoss, PointwiseLoss)):
            raise ValueError(
                f"{name} sees whole maps and cannot be kept inside a region; derive it from StatisticLoss or "
                "PointwiseLoss, or give its styles no region"
            )
        self._check_carry(weights, [style for style in styles if style.mask is not None or region is not None])
        total = sum(style.weight for style in styles)
        if styles and not total:
            raise ValueError("the weights of the styles of a region are all 0; give one of them a positive weight")
        # A sum over positions grows with the region by itself.
        summed = isinstance(loss, PointwiseLoss) and loss.reduction == "sum"
        area = 1.0 if region is None or summed else region.area
        targets = [(s.weight / total, self._target(name, loss, s, tile)) for s in styles if s.weight]
        if loss.joint:
            return [Part(name, loss, term.weight * area, tuple(weights), region, tuple(targets) or NO_TARGET)]
        return [
            Part(
                name,
                loss,
                term.weight * area * weight,
                (layer,),
                region,
                tuple((share, maps[layer]) for share, maps in targets if layer in maps) if targets else NO_TARGET,
            )
            for layer, weight in weights.items()
        ]

    def _target(self, name: str, loss: Loss, style: Style, tile: TileSize) -> dict[str, Tensor]:
        """A reference picture's mean statistics, or whole maps, at the loss's layers."""
        if style.mask is not None and not isinstance(loss, StatisticLoss):
            raise ValueError(
                f"{name} sees whole maps of the style and cannot use a mask; derive it from StatisticLoss, or give "
                "its styles no mask"
            )
        image, mask = on_encoder(self.encoder, load_image(style.image)), load_mask(style.mask)
        size = size_of(image)
        probes: list[Probe] = []
        counts: list[float] = []
        pixels = None if mask is None else stretch(mask, size, image)
        for layer in weights_in_use(loss):
            stride, reach = self.encoder.layers[layer].stride, reach_of(loss, self.encoder.layers[layer])
            weight = None if pixels is None else position_weights(pixels, stride, reach, style.carry)
            if isinstance(loss, StatisticLoss):
                probes.append(StatisticSum(layer, loss, weight))
                counts.append(positions(weight, size, stride))
            else:
                probes.append(WholeMap(layer))
                counts.append(1.0)
        if not any(counts):
            raise ValueError(
                "the mask of a style is black all over, or too narrow for any position to see it alone, so nothing of "
                "its picture counts; draw it white where it is to count"
            )
        with torch.no_grad():
            plan = self._plan(image, tile, probes)
            readings = measure(self._network, image, plan, probes, self._keeping)
        return {
            probe.layer: _apart(self._keeping.keep(reading), image) if isinstance(probe, WholeMap) else reading / count
            for probe, reading, count in zip(probes, readings, counts, strict=True)
            if count
        }

    def _position_weights(self, image: Tensor) -> tuple[list[Tensor | None], list[float]]:
        """Each part's region at its layer, and its sum; kept, as one picture after another has the same size."""
        kind = (size_of(image), image.dtype, image.device)
        if self._weights[0] != kind:
            regions = {part.region: part.region.pixels(size_of(image), image) for part in self._parts if part.region}
            weights: list[Tensor | None] = []
            counts: list[float] = []
            for part in self._parts:
                layer = self.encoder.layers[part.layers[0]]
                weights.append(
                    position_weights(regions[part.region], layer.stride, reach_of(part.loss, layer), part.region.carry)
                    if part.region
                    else None
                )
                counts.append(positions(weights[-1], size_of(image), layer.stride))
            self._weights = (kind, (weights, counts))
        return self._weights[1]


def _counter(watch: Callable[[int, int], object] | None, total: int) -> Callable[[], object]:
    """What is called after each tile, to tell ``watch`` how many of all are done."""
    done = 0

    def passed() -> None:
        nonlocal done
        done += 1
        if watch is not None:
            watch(done, total)

    return passed


def _leaf(probe: Probe, total: Tensor, image: Tensor, with_gradient: bool) -> Tensor:
    """A reading to differentiate by; a whole map as the picture's own features are, however it was kept."""
    total = total.to(image) if isinstance(probe, WholeMap) else total
    return total.detach().requires_grad_(with_gradient)


def _apart(maps: Tensor, image: Tensor) -> Tensor:
    """A map that does not change with the picture that it was read off; at layer "image" they are the same."""
    return maps.clone() if maps.untyped_storage().data_ptr() == image.untyped_storage().data_ptr() else maps


def _finite(names: Iterable[str], found: Sequence[float]) -> dict[str, float]:
    """The values of terms by name."""
    values = dict(zip(names, found, strict=True))
    for name, value in values.items():
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the loss term {name} is {value}; lower its weight or the learning rate, or check its formula"
            )
    return values
