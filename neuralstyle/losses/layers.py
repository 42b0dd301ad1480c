"""Names of layers, and weights for them."""

from __future__ import annotations

from collections.abc import Sequence

from neuralstyle._errors import brief, number


def layer_tuple(layers: str | Sequence[str], what: str = "layers") -> tuple[str, ...]:
    """Return layer names as a tuple, from one name or several; ``what`` is what messages call them.

    Raises:
        ValueError: no layer, a name that is not a string, or a repeated name.
    """
    # A set has no order, and an iterator would be empty the second time.
    names = (layers,) if isinstance(layers, str) else tuple(layers) if isinstance(layers, Sequence) else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{what} are one or more names such as 'relu4_2', received {brief(layers)}")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"layer {name!r} is named twice in the {what}, {names}; name it once and double its layer weight"
            )
    return names


def geometric_weights(layers: str | Sequence[str], ratio: float) -> tuple[float, ...]:
    r"""Return layer weights that grow or shrink from each layer to the next by the same factor, and add up to 1.

    $$ w_{l+1} = q\, w_l, \qquad \sum_l w_l = 1 $$

    Use them as ``layer_weights`` of any loss. A ratio above 1 favours the later layers, usually the deeper ones, and so
    larger structures; a ratio below 1 favours colours and fine texture. 1 gives equal weights, and 0 uses only the
    first layer. (``--style-layer-weight-exp`` of anishathalye/neural-style.)

    Args:
        layers: names of layers, in the order in which the weights grow.
        ratio: q, at least 0.

    Returns:
        A weight for each layer.

    Raises:
        ValueError: no layers, or a ratio below 0 or not finite.

    Example:
        ```python
        from neuralstyle import GramStyleLoss
        from neuralstyle.losses import geometric_weights

        layers = ("relu1_1", "relu2_1", "relu3_1")
        assert geometric_weights(layers, 2) == (1 / 7, 2 / 7, 4 / 7)
        loss = GramStyleLoss(layers, layer_weights=geometric_weights(layers, 0.5))
        ```

    """
    names = layer_tuple(layers)
    number("the ratio of geometric weights", ratio, least=0)
    # Counted from the largest weight down, so that no power overflows.
    powers = [ratio**i if ratio <= 1 else (1 / ratio) ** (len(names) - 1 - i) for i in range(len(names))]
    return tuple(power / sum(powers) for power in powers)
