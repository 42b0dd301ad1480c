"""Losses: immutable descriptions of three kinds, and weighted sums of them, which are data too."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Literal, get_args

from torch import Tensor

from neuralstyle._errors import brief, unknown, whole_number
from neuralstyle.losses.layers import layer_tuple
from neuralstyle.losses.tools.description import own_attributes, shown
from neuralstyle.losses.tools.maps import as_pair

Reference = Literal["content", "style", "previous"]
"""What a loss compares with: the content, the styles, or the previous frame. A regulariser's reference is None."""

REFERENCES: tuple[Reference, ...] = get_args(Reference)

Reduction = Literal["mean", "sum"]
REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)


class Loss(ABC):
    """A comparison of a picture's features with those of a target. This general kind sees whole feature maps.

    Derive from it, set ``layers`` and ``reference``, and write ``forward``. Derive from ``PointwiseLoss`` or
    ``StatisticLoss`` instead where you can: then regions and tiles need no code of yours.
    ``neuralstyle.testing.check_loss`` checks that a loss of yours keeps the rules.

    A loss is applied at each of its layers separately, and the values are added with ``layer_weights``. It is an
    immutable description without a target: ``loss(x, target)`` compares features with those of a target.
    ``weight * loss`` and ``loss + loss`` give a ``LossSum``.

    Write a loss with options as a frozen dataclass, so that its attributes are checked at construction. Those of an
    ordinary class are checked when it is multiplied, added or used.

    Attributes:
        layers: names of encoder layers, one or several, such as "relu4_2"; "image" is the picture itself, RGB in
            [0, 1]. Features are (B, C, h, w) at each.
        reference: "content", "style", "previous" (the frame before), or None for a regulariser, whose target is None.
        layer_weights: a weight for each layer; None weighs each 1 / (number of layers), as in the paper. A layer of
            weight 0 is not computed.
        joint: True if ``forward`` takes all layers at once, as dicts by layer name.
        reach: distance in positions, on the layer's own grid, of the farthest neighbour that ``error`` uses.
        needs_positions: True if it compares positions of one picture, and a layer of one vector is refused.

    Raises:
        ValueError: no layers, a repeated layer, more or fewer weights than layers, a weight that is not finite, or an
            unknown reference.

    Example:
        ```python
        from neuralstyle import Loss

        class Brightness(Loss):
            layers = ("image",)
            reference = "content"
            def forward(self, x, target):
                return (x.mean() - target.mean()).square()

        print(10 * Brightness())  # 10.0 * Brightness(layers=('image',), reference='content')
        ```

    """

    layers: Sequence[str]
    reference: Reference | None
    layer_weights: Sequence[float] | None = None
    joint: ClassVar[bool] = False
    reach: ClassVar[int] = 0
    needs_positions: ClassVar[bool] = False
    __array_ufunc__ = None  # otherwise an array of NumPy, multiplied by a loss, becomes one of losses

    def __post_init__(self) -> None:
        """Called at the end of a dataclass's construction."""
        freeze_layers(self)

    @abstractmethod
    def forward(self, x: Any, target: Any) -> Tensor:
        """The loss between features ``x`` and those of its target, both (B, C, h, w), as a scalar.

        An objective shows the features of all cells that the picture covers, also of those that its border cuts: h is
        H / stride, rounded up. A joint loss sees the cells of its deepest layer at each of its layers.
        """

    def __call__(self, x: Any, target: Any = None) -> Tensor:
        """Return the loss between feature maps, averaged over a batch: a scalar that can be differentiated.

        Args:
            x: features (B, C, h, w) of one layer, whose weight does not count, or vectors (B, C), which are maps of one
                position; for a joint loss, a dict of features by layer name.
            target: features of the target, in the same form; None for a regulariser.

        Raises:
            TypeError: the loss has a reference, and there is no target; or something that is no feature map.
            ValueError: a tensor of another shape, or maps that cannot be compared, such as of other channels.

        """
        if target is None and self.reference is not None:
            raise TypeError(
                f"{type(self).__name__} compares with the {self.reference}; call it as loss(x, target) with the "
                "features of both"
            )
        # A pointwise style loss looks for a position's match in the style, which has a size of its own.
        alike = isinstance(self, PointwiseLoss) and self.reference != "style"
        return self.forward(*as_pair(x, target, type(self).__name__, joint=self.joint, same_positions=alike))

    def __repr__(self) -> str:
        kind = next(base for base in type(self).__mro__ if base.__module__ == __name__)
        settings = own_attributes(self, kind).items()
        return f"{type(self).__name__}({', '.join(f'{name}={shown(value)}' for name, value in settings)})"

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
    ``reduction="mean"`` divided by the sum of the weights. With ``reference="content"`` or "previous" the target is a
    map of the same shape as ``x``, cut to the same place; with "style" it is the whole map of the style. An error that
    uses neighbours sets ``reach`` to the distance of the farthest.

    Example:
        ```python
        import torch
        from neuralstyle import PointwiseLoss

        class Lightness(PointwiseLoss):
            layers = ("image",)
            reference = "content"
            def error(self, x, target):
                return (x - target).mean(1, keepdim=True).square()

        assert Lightness()(torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)) == 1
        ```

    """

    reduction: Reduction = "mean"

    @abstractmethod
    def error(self, x: Tensor, target: Any) -> Tensor:
        """The error at each position: (B, C, h, w) and a target -> (B, 1, h, w)."""

    def forward(self, x: Tensor, target: Any) -> Tensor:
        """The loss of a whole map, with equal weights of all positions, averaged over the batch."""
        error = self.error(x, target)
        return error.mean() if self.reduction == "mean" else error.sum() / len(error)


class StatisticLoss(Loss):
    """A loss that compares statistics without positions, such as Gram matrices.

    Write ``statistic``, a weighted SUM over positions that is linear in the weight, and ``distance``. The objective
    adds the sums over tiles and bands of rows, and divides them by the sum of the weights. So ``distance`` compares
    weighted means over positions, and pictures may differ in size.

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

        assert Mean()(torch.ones(1, 4, 8, 8), torch.zeros(1, 4, 6, 9)) == 1
        ```

    """

    @abstractmethod
    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
        """Weighted sum over positions: features (B, C, N) and weights (B, 1, N) >= 0 -> (B, ...), linear in weight."""

    @abstractmethod
    def distance(self, actual: Tensor, target: Any) -> Tensor:
        """The distance between two mean statistics (B, ...), as a scalar."""

    def forward(self, x: Tensor, target: Any) -> Tensor:
        """The loss of a whole map, with equal weights of all positions; x and target may differ in size."""
        return self.distance(self.mean_statistic(x), None if target is None else self.mean_statistic(target))

    def mean_statistic(self, x: Tensor) -> Tensor:
        """Return the statistic of a whole map (B, C, H, W), divided by its number of positions."""
        positions = x.flatten(2)
        return self.statistic(positions, constant_weight(positions)) / positions.shape[2]


def constant_weight(positions: Tensor) -> Tensor:
    """Return a weight of 1 for each of the positions (B, C, N): (B, 1, N), with one number in memory."""
    return positions.new_ones(()).expand(positions.shape[0], 1, positions.shape[2])


@dataclass(frozen=True)
class Term:
    """A loss and its weight in a sum.

    Raises:
        TypeError: ``loss`` is not a ``Loss``, or ``weight`` is not a number.
        ValueError: a weight that is not finite, or a loss without ``layers`` or ``reference``.
    """

    loss: Loss
    weight: float

    def __post_init__(self) -> None:
        if not isinstance(self.loss, Loss):
            raise TypeError(f"a term is a loss and its weight, received {brief(self.loss)} for the loss")
        check_attributes(self.loss)
        object.__setattr__(self, "weight", _weight(self.weight))


@dataclass(frozen=True, repr=False)
class LossSum:
    """A weighted sum of losses, as data: iterate over it, scale it, add to it or print it.

    Example:
        ```python
        from neuralstyle import ContentLoss, GramStyleLoss

        losses = ContentLoss("relu4_2") + 1e3 * GramStyleLoss()
        assert [term.weight for term in losses] == [1.0, 1000.0]
        assert losses.names == ("ContentLoss", "GramStyleLoss")
        ```

    """

    terms: tuple[Term, ...]
    __array_ufunc__ = None  # as in Loss

    def __post_init__(self) -> None:
        terms = tuple(self.terms) if isinstance(self.terms, Sequence) else (self.terms,)
        for term in terms:
            if not isinstance(term, Term):
                raise TypeError(
                    f"a LossSum is made of terms such as Term(ContentLoss(), 1.0), received {brief(term)}; or write "
                    "ContentLoss() + 2 * MyLoss()"
                )
        object.__setattr__(self, "terms", terms)

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
        """Return the sum with the terms that compare with ``reference`` multiplied by ``factor``."""
        if reference is not None and not (isinstance(reference, str) and reference in REFERENCES):
            raise unknown("reference", reference, REFERENCES)
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


def _weight(value: float, of: str = "a loss") -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"the weight of {of} is a number, received {brief(value)}")
    if not math.isfinite(value):
        raise ValueError(f"the weight of {of} is a finite number, received {brief(value)}")
    return float(value)


def as_sum(losses: Loss | LossSum, what: str = "losses") -> LossSum:
    """A loss or a sum of losses, as a sum; ``what`` is what messages call them.

    Raises:
        TypeError: ``losses`` is neither.
        ValueError: the sum is empty.
    """
    if isinstance(losses, Loss):
        return 1 * losses
    if not isinstance(losses, LossSum):
        hint = f"; give {losses.__name__}()" if isinstance(losses, type) and issubclass(losses, Loss) else ""
        raise TypeError(
            f"{what} are a loss or a sum of losses such as ContentLoss() + 2 * MyLoss(), received {brief(losses)}{hint}"
        )
    if not losses.terms:
        raise ValueError(f"{what} are a sum of nothing; add one at least")
    return losses


def weights_per_layer(loss: Loss) -> dict[str, float]:
    """Return the weight of each of a loss's layers, in order.

    Raises:
        ValueError: no layers, or more or fewer weights than layers.
    """
    name = type(loss).__name__
    if getattr(loss, "layers", None) is None:
        raise ValueError(f"{name} names no layers; set its layers, for example layers = ('relu4_2',)")
    layers = layer_tuple(loss.layers, f"layers of {name}")
    if loss.layer_weights is None:
        return dict.fromkeys(layers, 1 / len(layers))
    try:
        weights = tuple(loss.layer_weights)
    except TypeError:  # a number, or an array of one
        weights = (loss.layer_weights,)  # type: ignore[assignment]
    if len(weights) != len(layers):
        raise ValueError(
            f"{name} has {len(layers)} layers {brief(layers)} and {len(weights)} layer_weights {brief(weights)}; "
            "give one weight for each layer"
        )
    pairs = zip(layers, weights, strict=True)
    return {layer: _weight(weight, f"layer {layer!r} of {name}") for layer, weight in pairs}


def weights_in_use(loss: Loss) -> dict[str, float]:
    """Return the layers of a loss to compute, with weights: all if joint, else those not 0, or the first if all are."""
    weights = weights_per_layer(loss)
    used = {layer: weight for layer, weight in weights.items() if weight or loss.joint}
    return used or dict([next(iter(weights.items()))])


def check_attributes(loss: Loss) -> None:
    """Check the attributes of a loss that the objective uses.

    Raises:
        ValueError: ``layers``, ``layer_weights``, ``reference``, ``reduction``, ``reach`` or ``joint`` is missing or
            wrong.
    """
    name = type(loss).__name__
    weights_per_layer(loss)
    if not hasattr(loss, "reference"):
        raise ValueError(
            f"{name} names no reference; set reference = 'content', 'style' or 'previous', or None for a regulariser, "
            "which compares with nothing"
        )
    if loss.reference is not None and loss.reference not in REFERENCES:
        raise ValueError(
            f"{name}.reference is {loss.reference!r}; known are {', '.join(map(repr, REFERENCES))} and None"
        )
    if not isinstance(loss.joint, bool):
        raise ValueError(f"{name}.joint is True or False, received {brief(loss.joint)}")
    if loss.joint and isinstance(loss, (StatisticLoss, PointwiseLoss)):
        raise ValueError(f"{name} is joint, which only a general Loss can be; derive it from Loss")
    whole_number(f"reach of {name}", loss.reach, 0, hint=" positions")
    if isinstance(loss, PointwiseLoss) and loss.reduction not in REDUCTIONS:
        raise unknown(f"reduction of {name}", loss.reduction, REDUCTIONS)


def freeze_layers(loss: Loss) -> None:
    """Check a dataclass's attributes, and make tuples of its layers and layer weights.

    Raises:
        ValueError: as for ``check_attributes``.
    """
    check_attributes(loss)
    weights = weights_per_layer(loss)
    object.__setattr__(loss, "layers", tuple(weights))
    if loss.layer_weights is not None:
        object.__setattr__(loss, "layer_weights", tuple(weights.values()))
