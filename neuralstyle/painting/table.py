"""The stages of a plan as a table."""

from __future__ import annotations

from collections.abc import Sequence

from neuralstyle.losses import Loss
from neuralstyle.losses.base import weights_in_use
from neuralstyle.optimizers.base import FromFactory, Strategy
from neuralstyle.painting.stages import PlannedStage


def table_of(stages: Sequence[PlannedStage]) -> list[str]:
    """Return a line of headings and one for each stage; layers of a loss stand there where they are not the usual."""
    rows = [("stage", "pixels", "iterations", "through", "by", "minimises")]
    first = {
        name: term.loss
        for stage in reversed(stages)
        for name, term in zip(stage.losses.names, stage.losses, strict=True)
    }
    for number, stage in enumerate(stages, start=1):
        losses = " + ".join(
            f"{term.weight:g} {name}{_elsewhere(term.loss, first[name])}"
            for name, term in zip(stage.losses.names, stage.losses, strict=True)
        )
        by = _name(stage.optimizer) + ("" if stage.result == "best" else f", {stage.result}")
        size = f"{stage.width} x {stage.height}"
        rows.append((str(number), size, str(stage.iterations), stage.through, by, losses))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _elsewhere(loss: Loss, usual: Loss) -> str:
    """The layers of a loss, if it has other ones than usual."""
    layers = weights_in_use(loss)
    return "" if layers.keys() == weights_in_use(usual).keys() else f" ({', '.join(layers)})"


def _name(strategy: Strategy) -> str:
    """What an optimiser is called: its class, or the name of the function that makes it."""
    made = strategy.factory if isinstance(strategy, FromFactory) else type(strategy)
    return getattr(made, "__name__", type(made).__name__)
