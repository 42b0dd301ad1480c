"""Any loss on hypercolumns: the features of several layers at a place, joined into one vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralstyle._errors import brief, is_word, unknown
from neuralstyle.losses.base import Loss, Reference, weights_per_layer
from neuralstyle.losses.relaxed_emd import RelaxedEMDLoss
from neuralstyle.losses.tools.sampling import check_count, check_seed, sample

Reading = Literal["average", "point"]
READINGS: tuple[Reading, ...] = get_args(Reading)


@dataclass(frozen=True)
class HypercolumnLoss(Loss):
    r"""Another loss, applied to hypercolumns: one vector for each place, with the features of all layers there.

    With $U_l$ the map from the grid of layer l to the common one,

    $$ h_p = \left( w_1 (U_1 F^1)_p,\; w_2 (U_2 F^2)_p,\; \ldots \right), \qquad L = L_\text{loss}(h, h^S) $$

    $U_l$ interpolates the features of a coarser layer linearly. Those of a finer layer it averages over each position
    of the common grid, so that every pixel counts, or reads at a point. An average leaves free what lies within a
    position: an optimiser may paint grain there. Points on the grid "image", some thousands of them, do not.

    A match of hypercolumns is one of colour, texture and object at once, where a match at each layer by itself may take
    them from different places. It sees whole maps: it is exact in tiles, and takes no masks and regions, whichever the
    other loss takes.

    Args:
        layers: the layers to join.
        loss: the loss to apply, such as ``RelaxedEMDLoss()``, with its options; its layers do not count.
        grid: the one of them on whose positions the hypercolumns stand; None: the first.
        layer_weights: the factors $w_l$ of the features; None: equal ones.
        samples: largest number of positions of each picture to use, drawn by the seed; None: all.
        seed: seed of the draw, which depends on the number of positions alone.
        reading: what $U_l$ does with a finer layer: "average", or "point", the features at the position's centre. With
            few samples points are quicker, too, as only theirs are joined.

    Raises:
        TypeError: ``loss`` is not a loss.
        ValueError: a joint loss, a grid that is none of the layers, samples below 1, a negative seed, or another
            reading.

    Example:
        ```python
        import torch
        from neuralstyle.losses import HypercolumnLoss, RelaxedEMDLoss

        loss = HypercolumnLoss(("relu1_1", "relu2_1"), RelaxedEMDLoss(), grid="relu2_1")
        style = {"relu1_1": torch.rand(1, 8, 16, 16), "relu2_1": torch.rand(1, 16, 8, 8)}
        assert loss({layer: maps.flip(3) for layer, maps in style.items()}, style) < 1e-6
        ```

    Papers: Hariharan, Arbelaez, Girshick and Malik, arXiv 1411.5752 (hypercolumns); Kolkin, Salavon and
    Shakhnarovich, STROTSS, arXiv 1904.12785, and Kolkin et al., NNST, arXiv 2203.13215 (in style transfer).
    Departures from these: finer layers are averaged over the grid's positions, where NNST interpolates, or read at
    points that stay the same, where STROTSS draws others at each step.

    """

    layers: str | Sequence[str] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
    loss: Loss = RelaxedEMDLoss()  # noqa: RUF009 - it is immutable
    grid: str | None = None
    layer_weights: Sequence[float] | None = None
    samples: int | None = None
    seed: int = 0
    reading: Reading = "average"
    reference: Reference | None = field(default=None, init=False, repr=False)
    joint: ClassVar[bool] = True
    needs_positions: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.loss, Loss):
            raise TypeError(
                f"HypercolumnLoss applies another loss, such as RelaxedEMDLoss(), received {brief(self.loss)}"
            )
        if self.loss.joint:
            raise ValueError(
                f"HypercolumnLoss applies a loss of one layer, received {type(self.loss).__name__}, which is joint"
            )
        object.__setattr__(self, "reference", self.loss.reference)
        super().__post_init__()
        if self.grid is None:
            object.__setattr__(self, "grid", self.layers[0])
        elif self.grid not in self.layers:
            raise unknown("grid of HypercolumnLoss", self.grid, self.layers)
        check_count(self, "samples", optional=True)
        check_seed(self)
        if not is_word(self.reading, READINGS):
            raise unknown("reading of HypercolumnLoss", self.reading, READINGS)

    def forward(self, x: Mapping[str, Tensor], target: Any) -> Tensor:
        """The other loss between the hypercolumns of both, from features by layer."""
        return self.loss.forward(self._columns(x), None if target is None else self._columns(target))

    def _columns(self, features: Mapping[str, Tensor]) -> Tensor:
        """The hypercolumns of a picture: (B, C, h, w), or (B, C, 1, samples)."""
        grid, weights = features[str(self.grid)], weights_per_layer(self)
        height, width = grid.shape[2:]
        if self.reading == "point":
            index = torch.arange(height * width, dtype=torch.int64, device=grid.device)[None, None]
            chosen = sample(index, self.samples, self.seed)[0, 0]
            rows, columns = ((chosen // width + 0.5) / height, (chosen % width + 0.5) / width)
            read = [weight * _at_points(features[layer], rows, columns) for layer, weight in weights.items()]
            whole = self.samples is None or chosen.numel() == height * width
            columns_read = torch.cat(read, 1)
            return columns_read.view(*columns_read.shape[:2], *((height, width) if whole else (1, -1)))
        joined = torch.cat([weight * _on_grid(features[layer], grid.shape[2:]) for layer, weight in weights.items()], 1)
        if self.samples is None or joined[0, 0].numel() <= self.samples:
            return joined
        return sample(joined.flatten(2), self.samples, self.seed).unsqueeze(2)


def _on_grid(maps: Tensor, size: torch.Size) -> Tensor:
    """Features on a grid of this (height, width): averaged where theirs is finer, interpolated where it is coarser."""
    if maps.shape[2:] == size:
        return maps
    if maps.shape[2] >= size[0] and maps.shape[3] >= size[1]:
        return F.adaptive_avg_pool2d(maps, (size[0], size[1]))
    return F.interpolate(maps, (size[0], size[1]), mode="bilinear", align_corners=False)


def _at_points(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Interpolate features at points given as shares of height and width: (B, C, h, w), (n,), (n,) -> (B, C, n)."""
    flat, width = maps.flatten(2), maps.shape[3]

    def between(shares: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor]:
        place = (shares.to(maps) * length - 0.5).clamp(0, length - 1)
        before = place.floor()
        return before.long(), (before.long() + 1).clamp(max=length - 1), place - before

    (top, bottom, down), (left, right, across) = between(rows, maps.shape[2]), between(columns, width)

    def on_row(row: Tensor) -> Tensor:
        start, end = (flat.index_select(2, row * width + column) for column in (left, right))
        return start + (end - start) * across

    upper, lower = on_row(top), on_row(bottom)
    return upper + (lower - upper) * down
