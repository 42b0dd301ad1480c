"""What losses compare with that compare position by position."""

from __future__ import annotations

from neuralstyle._errors import unknown
from neuralstyle.losses.base import Loss

ALIGNED = ("content", "previous")  # references whose maps lie on the result position by position


def check_aligned(loss: Loss) -> None:
    """Check that a loss compares with a picture whose positions are those of the result.

    Raises:
        ValueError: it compares with something else.
    """
    if loss.reference not in ALIGNED:
        raise unknown(f"reference of {type(loss).__name__}", loss.reference, ALIGNED)
