"""Sweeps: one pair painted with many settings, with the terms and the measures of each as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from PIL import Image
from typing_extensions import Unpack

from neuralstyle._stopping import interruptible
from neuralstyle.images import Picture
from neuralstyle.losses import Loss, LossSum
from neuralstyle.many.sheet import Measure, Sheet, SheetOptions, contact_sheet
from neuralstyle.metrics.comparison import compare
from neuralstyle.styles import Style


def scores(image: Image.Image, content: Picture, style: Picture) -> dict[str, float]:
    """All measures of ``metrics.compare``, by name."""
    return asdict(compare(content, style, {"result": image})["result"])


@interruptible
def sweep(
    content: Picture,
    style: Picture | Style,
    *,
    losses: Loss | LossSum | Sequence[str] | Mapping[str, Loss | LossSum] | None = None,
    style_weights: Iterable[float] | None = None,
    strengths: Iterable[float] | None = None,
    scales: Iterable[float] | None = None,
    seeds: Iterable[int] | None = None,
    measure: Measure = scores,
    **options: Unpack[SheetOptions],
) -> Sheet:
    """Paint one pair with many settings, and measure each result.

    The same as ``contact_sheet`` for one photograph and one painting, with every measure of ``metrics.compare`` in the
    table.

    Args:
        content: the photograph.
        style: the painting.
        losses: names of ``STYLE_LOSSES``, or a mapping from names of yours to losses, as in ``contact_sheet``. For a
            sweep of one weight: ``{f"tv {w}": DEFAULT_LOSSES + w * TotalVariationLoss() for w in (1, 10)}``.
        style_weights: factors of the style losses, at least 0.
        strengths: values of ``strength``, from 0 to 1.
        scales: sizes of the strokes, values of ``Style.scale``.
        seeds: seeds of the noise.
        measure: from a result, its photograph and its painting to values by name.
        **options: as in ``stylize``.

    Returns:
        A ``Sheet``: ``rows`` are the settings, the loss, its terms, seconds and measures of each; ``frame()`` the same
        for pandas; ``image()`` the labelled pictures; ``cells`` the pictures one by one.

    Raises:
        Exception: as in ``contact_sheet``.

    Example:
        ```python
        from neuralstyle import samples
        from neuralstyle.many import sweep

        found = sweep(samples.photo(), samples.painting("swirl"), losses=["gram", "mmd"], size=96, iterations=1)
        for row in found.rows:
            print(row["losses"], row["loss"], row["style"], row["structure"])
        ```

    """
    varied: dict[str, Any] = {"style_weights": style_weights, "strengths": strengths, "scales": scales, "seeds": seeds}
    return contact_sheet([content], [style], losses=losses, measure=measure, **varied, **options)
