"""What a loss is: an immutable description, of one of three kinds, and the arithmetic that keeps sums of them data."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Literal, get_args

from torch import Tensor

from neuralstyle._errors import unknown

Reference = Literal["content", "style", "previous"]
"""What a loss compares with; None for a regulariser, which compares with nothing."""

Reduction = Literal["mean", "sum"]
REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)


class Loss(ABC):
    """A comparison of a picture's features with those of a target; the general kind, which sees whole maps.

    Derive from it, name the ``layers`` and the ``reference``, and write ``forward``. Where you can, derive from
    ``PointwiseLoss`` or ``StatisticLoss`` instead: then masks, regions and tiles need no code of yours.

    A loss is applied at each of its layers on its own and the values are added with ``layer_weights``. It is a
    description and holds no target: targets are handed to it. ``weight * loss`` and ``loss + loss`` give a
    ``LossSum``.

    Attributes:
        layers: names of encoder layers, one or several; "image" is the picture itself, RGB in [0, 1].
        reference: "content", "style", "previous" (the frame before), or None for a regulariser, whose target is None.
        layer_weights: a weight for each layer; None weighs each 1 / (number of layers), as in the paper. A layer of
            weight 0 is not computed.
        joint: True if ``forward`` wants all layers at once, as dicts by layer name.
        reach: how many positions away ``error`` or ``forward`` looks, on the layer's own grid.

    Example:
        ```python
        from neuralstyle import Loss

        class Brightness(Loss):
            layers = ("image",)
            reference = "content"
            def forward(self, x, target):
                return (x.mean() - target.mean()).square()

        print(10 * Brightness() + Brightness())
        ```

    """

    layers: Sequence[str]
    reference: Reference | None
    layer_weights: Sequence[float] | None = None
    joint: ClassVar[bool] = False
    reach: ClassVar[int] = 0

    @abstractmethod
    def forward(self, x: Any, target: Any) -> Tensor:
        """The loss between features ``x`` and those of its target, both (B, C, h, w), as a scalar."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __mul__(self, weight: float) -> LossSum:
        return LossSum((Term(self, 1.0),)) * weight

    __rmul__ = __mul__

    def __add__(self, other: Loss | LossSum) -> LossSum:
        return LossSum((Term(self, 1.0),)) + other

    def __radd__(self, other: Literal[0]) -> LossSum:
        return LossSum(()) + self if other == 0 else NotImplemented


class PointwiseLoss(Loss):
    """A loss that is a sum over positions, such as ``ContentLoss``: write ``error``.

    The value is the sum of the error over positions, weighted by the region if there is one, and with
    ``reduction="mean"`` divided by the sum of the weights. With ``reference="content"`` the target is a map of the
    same shape as ``x`` and comes cut to the same place; with "style" it is the whole map of the style.

    Example:
        ```python
        import torch
        from neuralstyle import PointwiseLoss

        class Lightness(PointwiseLoss):
            layers = ("image",)
            reference = "content"
            def error(self, x, target):
                return (x - target).mean(1, keepdim=True).square()

        assert Lightness().forward(torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)) == 1
        ```

    """

    reduction: Reduction = "mean"

    @abstractmethod
    def error(self, x: Tensor, target: Any) -> Tensor:
        """The error at each position: (B, C, h, w) and a target -> (B, 1, h, w)."""

    def forward(self, x: Tensor, target: Any) -> Tensor:
        """The whole map's loss, every position weighing the same."""
        error = self.error(x, target)
        return error.mean() if self.reduction == "mean" else error.sum()


class StatisticLoss(Loss):
    """A loss that compares statistics which forget positions, such as Gram matrices.

    Write ``statistic``, a weighted SUM over positions that is linear in the weight, and ``distance``. The objective
    adds the sums up over tiles and bands of rows and divides them by the sum of the weights, so ``distance`` sees
    weighted means over positions, and pictures of different sizes compare.

    Example:
        ```python
        import torch
        from neuralstyle import StatisticLoss

        class Mean(StatisticLoss):
            layers = ("relu2_1", "relu3_1")
            reference = "style"
            def statistic(self, x, weight):
                return (x * weight).sum(2)
            def distance(self, actual, target):
                return (actual - target).square().mean()

        assert Mean().forward(torch.ones(1, 4, 8, 8), torch.zeros(1, 4, 6, 9)) == 1
        ```

    """

    @abstractmethod
    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
        """Weighted sum over positions: features (B, C, N) and weights (B, 1, N) >= 0 -> (B, ...), linear in weight."""

    @abstractmethod
    def distance(self, actual: Tensor, target: Any) -> Tensor:
        """The distance between two mean statistics (B, ...), as a scalar."""

    def forward(self, x: Tensor, target: Any) -> Tensor:
        """The whole map's loss, every position weighing the same; x and target may differ in size."""
        return self.distance(self.mean_statistic(x), None if target is None else self.mean_statistic(target))

    def mean_statistic(self, x: Tensor) -> Tensor:
        """The statistic of a whole map (B, C, H, W), divided by its number of positions."""
        positions = x.flatten(2)
        return self.statistic(positions, constant_weight(positions)) / positions.shape[2]


def constant_weight(positions: Tensor) -> Tensor:
    """A weight of 1 for each of the positions (B, C, N): (B, 1, N), with one number in memory."""
    return positions.new_ones(()).expand(positions.shape[0], 1, positions.shape[2])


@dataclass(frozen=True)
class Term:
    """A loss and its weight in a sum."""

    loss: Loss
    weight: float


@dataclass(frozen=True, repr=False)
class LossSum:
    """A weighted sum of losses that stays data: iterate over its terms, scale it, add to it, print it.

    Example:
        ```python
        from neuralstyle import ContentLoss, GramStyleLoss

        losses = ContentLoss("relu4_2") + 1e3 * GramStyleLoss()
        assert [term.weight for term in losses] == [1.0, 1000.0]
        assert losses.names == ("ContentLoss", "GramStyleLoss")
        ```

    """

    terms: tuple[Term, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each term: its class, numbered from the second of a kind ("ContentLoss", "ContentLoss#2")."""
        names: list[str] = []
        for term in self.terms:
            kind = type(term.loss).__name__
            count = 1 + sum(name.split("#")[0] == kind for name in names)
            names.append(kind if count == 1 else f"{kind}#{count}")
        return tuple(names)

    def scaled(self, reference: Reference | None, factor: float) -> LossSum:
        """The same sum with the terms that compare with ``reference`` multiplied by ``factor``."""
        factor = _weight(factor)
        return LossSum(
            tuple(Term(t.loss, t.weight * factor) if t.loss.reference == reference else t for t in self.terms)
        )

    def __iter__(self) -> Iterator[Term]:
        return iter(self.terms)

    def __len__(self) -> int:
        return len(self.terms)

    def __mul__(self, weight: float) -> LossSum:
        weight = _weight(weight)
        return LossSum(tuple(Term(term.loss, term.weight * weight) for term in self.terms))

    __rmul__ = __mul__

    def __add__(self, other: Loss | LossSum) -> LossSum:
        if isinstance(other, Loss):
            return LossSum((*self.terms, Term(other, 1.0)))
        return LossSum(self.terms + other.terms) if isinstance(other, LossSum) else NotImplemented

    def __radd__(self, other: Literal[0]) -> LossSum:
        return self if other == 0 else NotImplemented

    def __repr__(self) -> str:
        return " + ".join(f"{term.weight!r} * {term.loss!r}" for term in self.terms) or "LossSum(())"


def _weight(value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"the weight of a loss is a number, received {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"the weight of a loss is a finite number, received {value!r}")
    return float(value)


def as_sum(losses: Loss | LossSum) -> LossSum:
    """A loss or a sum of losses, as a sum.

    Raises:
        TypeError: anything else.
        ValueError: a sum of nothing.
    """
    if isinstance(losses, Loss):
        return 1 * losses
    if not isinstance(losses, LossSum):
        raise TypeError(
            f"losses are a loss or a sum of losses such as ContentLoss() + 2 * MyLoss(), received {losses!r}"
        )
    if not losses.terms:
        raise ValueError("losses are a sum of nothing; add one at least")
    return losses


def layer_tuple(layers: str | Sequence[str]) -> tuple[str, ...]:
    """Layer names as a tuple, from one name or several.

    Raises:
        ValueError: no layer, one that is no string, or one that is named twice.
    """
    names = (layers,) if isinstance(layers, str) else tuple(layers)
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"layers are one or more names such as 'relu4_2', received {layers!r}")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"layer {name!r} is named twice in {names}; name it once and double its layer weight")
    return names


def weights_per_layer(loss: Loss) -> dict[str, float]:
    """The weight of each of a loss's layers, in order.

    Raises:
        ValueError: no layers, or not as many weights as layers.
    """
    if getattr(loss, "layers", None) is None:
        raise ValueError(f"{type(loss).__name__} names no layers; set its layers, for example layers = ('relu4_2',)")
    layers = layer_tuple(loss.layers)
    if loss.layer_weights is None:
        return dict.fromkeys(layers, 1 / len(layers))
    if len(loss.layer_weights) != len(layers):
        raise ValueError(
            f"{type(loss).__name__} has {len(layers)} layers {layers} and {len(loss.layer_weights)} layer_weights "
            f"{tuple(loss.layer_weights)}; give one weight for each layer"
        )
    return dict(zip(layers, map(_weight, loss.layer_weights), strict=True))


def weights_in_use(loss: Loss) -> dict[str, float]:
    """The layers of a loss that have to be computed: those whose weight is not 0, or the first if all are 0."""
    weights = weights_per_layer(loss)
    used = {layer: weight for layer, weight in weights.items() if weight or loss.joint}
    return used or dict([next(iter(weights.items()))])


def geometric_weights(layers: str | Sequence[str], ratio: float) -> tuple[float, ...]:
    r"""Layer weights that grow or shrink from each layer to the next by the same factor, and add up to 1.

    $$ w_{l+1} = q\, w_l, \qquad \sum_l w_l = 1 $$

    For ``layer_weights`` of any loss. A ratio above 1 favours the later layers, which are the deeper ones if you name
    them in order: larger structures; below 1, colours and fine texture. 1 weighs all the same, and 0 leaves the
    first alone. (``--style-layer-weight-exp`` of anishathalye/neural-style.)

    Args:
        layers: names of layers, in the order in which the weights grow.
        ratio: q, at least 0.

    Returns:
        A weight for each layer.

    Raises:
        ValueError: no layers, or a ratio below 0 or not finite.

    Example:
        ```python
        from neuralstyle import GramStyleLoss, geometric_weights

        layers = ("relu1_1", "relu2_1", "relu3_1")
        assert geometric_weights(layers, 2) == (1 / 7, 2 / 7, 4 / 7)
        loss = GramStyleLoss(layers, layer_weights=geometric_weights(layers, 0.5))
        ```

    """
    names = layer_tuple(layers)
    if isinstance(ratio, bool) or not isinstance(ratio, Real) or not 0 <= ratio < math.inf:
        raise ValueError(f"the ratio of geometric weights is a finite number of at least 0, received {ratio!r}")
    # Counted from the largest weight down, so that no power overflows.
    powers = [ratio**i if ratio <= 1 else (1 / ratio) ** (len(names) - 1 - i) for i in range(len(names))]
    return tuple(power / sum(powers) for power in powers)


def settle(loss: Loss) -> None:
    """For the ``__post_init__`` of a frozen dataclass: layers and weights as tuples, checked.

    Raises:
        ValueError: as ``weights_per_layer``, or an unknown reduction of a pointwise loss.
    """
    weights = weights_per_layer(loss)
    object.__setattr__(loss, "layers", tuple(weights))
    if loss.layer_weights is not None:
        object.__setattr__(loss, "layer_weights", tuple(weights.values()))
    if isinstance(loss, PointwiseLoss) and loss.reduction not in REDUCTIONS:
        raise unknown("reduction", loss.reduction, REDUCTIONS)
