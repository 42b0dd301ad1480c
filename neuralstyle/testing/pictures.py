"""Checks of a loss in an objective: the same value as on feature maps, and the same in tiles."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from neuralstyle.losses import Loss
from neuralstyle.losses.base import weights_in_use
from neuralstyle.objective import Objective
from neuralstyle.testing.stand_in import StandIn
from neuralstyle.testing.tools import difference, noise

SIDES = 24, 20  # of the pictures, in pixels, for strides of up to 2; larger strides have larger pictures and tiles
TILE_SIDE = 8  # side of the tiles in pixels, for strides of up to 2
PICTURE_TOLERANCE = 1e-6


def check_pictures(loss: Loss, encoder: StandIn) -> None:
    """Check a loss on pictures.

    Raises:
        ValueError: its value in an objective differs from that on feature maps, or from that in tiles.
    """
    name, times = type(loss).__name__, -(-encoder.stride // 2)
    height, width = (times * side for side in SIDES)
    image = noise(1, 3, height, width)
    other = noise(1, 3, height, width, seed=1)
    references: dict[str, Any] = {}
    if loss.reference == "style":
        other = noise(1, 3, height - 8 * times, width + 12 * times, seed=1)
        references = {"styles": [other]}
    elif loss.reference is not None:
        references = {loss.reference: other}
    objective = Objective(encoder, loss, **references)
    whole, tiled = (objective.evaluate(image, tile=tile) for tile in (None, times * TILE_SIDE))
    expected = _value(loss, encoder, image, None if loss.reference is None else other)
    if abs(whole.loss - expected) > PICTURE_TOLERANCE * max(abs(expected), 1e-12):
        raise ValueError(
            f"{name} is {whole.loss:.6g} in an objective and {expected:.6g} on the same feature maps; do not "
            "override forward of a StatisticLoss or PointwiseLoss"
        )
    assert whole.gradient is not None
    assert tiled.gradient is not None
    off = max(abs(tiled.loss - whole.loss) / max(abs(whole.loss), 1e-12), difference(tiled.gradient, whole.gradient))
    if off > PICTURE_TOLERANCE:
        raise ValueError(
            f"{name} differs by {off:.1%} between a picture in tiles and the whole picture; make it depend on features "
            "and their weights alone, and set reach to the distance of its farthest neighbour"
        )


def _value(loss: Loss, encoder: StandIn, image: Tensor, other: Tensor | None) -> float:
    """The loss from the feature maps of both pictures."""
    weights = weights_in_use(loss)
    x = encoder(image, weights)
    target = dict.fromkeys(weights) if other is None else encoder(other, weights)
    if loss.joint:
        return float(loss.forward(x, None if other is None else target))
    return sum(weight * float(loss.forward(x[layer], target[layer])) for layer, weight in weights.items())
