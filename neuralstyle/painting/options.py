"""The options that the painting functions share, with their defaults. Importing this file does not import torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

from neuralstyle._errors import number, unknown

if TYPE_CHECKING:
    import torch

    from neuralstyle._words import Color, Result
    from neuralstyle.encoders.base import Encoder
    from neuralstyle.images import Size
    from neuralstyle.losses import Loss, LossSum
    from neuralstyle.objective.tiling import TileSize
    from neuralstyle.optimizers.base import Optimizer
    from neuralstyle.painting.initial import Init
    from neuralstyle.painting.progress import Callback
    from neuralstyle.schedule import Schedule, Stage


@dataclass(frozen=True)
class StateFile:
    """A file for the state of a run, so that a killed run can continue.

    If the file exists, the run continues from it, and ends with the same bytes as an uninterrupted run. A run whose
    settings, pictures or versions differ from those in the file is refused.

    Args:
        path: the file; its folder has to exist.
        every: minimum seconds between two writes. Each writes up to 0.5 GB per megapixel of the picture.

    Raises:
        ValueError: ``every`` is not a number of at least 0.

    Example:
        ```python
        import tempfile
        from neuralstyle import StateFile, samples, stylize

        with tempfile.TemporaryDirectory() as folder:
            state = StateFile(f"{folder}/run.safetensors", every=10)
            stylize(samples.photo(), samples.painting("swirl"), size=64, iterations=2, state=state)
        ```

    """

    path: str | os.PathLike[str]
    every: float = 60.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        object.__setattr__(self, "every", number("StateFile's every", self.every, least=0, hint=" seconds"))


class Options(TypedDict, total=False):
    """Options that ``synthesize_texture`` and ``reconstruct_content`` share with ``stylize``, which describes them."""

    optimizer: Optimizer | str | None
    init: Init
    encoder: Encoder | str | None
    tile: TileSize
    seed: int
    device: str | torch.device | None
    callback: Callback | Sequence[Callback] | None
    progress: bool
    result: Result | None
    seamless: bool
    state: str | os.PathLike[str] | StateFile | None


class PaintingOptions(Options, total=False):
    """``Options``, and the options in the signatures of all three functions."""

    losses: Loss | LossSum | None
    iterations: int | None
    schedule: Schedule | Sequence[Stage] | str


class StylizeOptions(PaintingOptions, total=False):
    """All options of ``stylize``."""

    size: Size
    strength: float
    color: Color


DEFAULTS: StylizeOptions = {
    "losses": None,
    "size": 512,
    "iterations": None,
    "optimizer": None,
    "init": "content",
    "encoder": None,
    "tile": None,
    "seed": 0,
    "device": None,
    "callback": None,
    "progress": True,
    "schedule": "standard",
    "strength": 0.5,
    "color": "style",
    "result": None,
    "seamless": False,
    "state": None,
}
"""The defaults of ``stylize``'s signature, for ``plan``, which takes the same options."""


def with_defaults(options: PaintingOptions) -> StylizeOptions:
    """Return the given options, and defaults for all others.

    Raises:
        TypeError: an unknown option; the closest match is suggested.

    """
    for name in options:
        if name not in DEFAULTS:
            raise TypeError(str(unknown("option", name, DEFAULTS)))
    return cast("StylizeOptions", {**DEFAULTS, **options})
