"""Options of ``train`` in three groups: the pictures, the state to continue from, and the records to write.

Importing this file does not import torch, so the command line can show the defaults quickly.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from neuralstyle._errors import unknown, whole_number
from neuralstyle._records import LossTable
from neuralstyle._words import CROPS, Crop
from neuralstyle.files import NumberedFiles

if TYPE_CHECKING:
    from neuralstyle.images import Picture

Paths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

STATE_FILE = "state.safetensors"
"""The file of a ``StateFolder`` that holds the state."""

MOST_WORKERS = 256
"""Processes that may decode pictures; each takes the memory of an interpreter with torch."""

DEFAULT_WIDTH, DEFAULT_BLOCKS = 32, 5
"""Channels of the first stage and number of residual blocks of a ``TransformerNet``: those of the paper."""


@dataclass(frozen=True)
class TrainingData:
    """The training pictures, and the number of passes over them.

    Args:
        pictures: a folder, searched with its subfolders, or a list of folders and files. A file that cannot be read is
            replaced by the next one, and logged (``logging``, logger "neuralstyle").
        size: side of the square crops in pixels; the shorter side of a picture is resized to it.
        crop: "center", or "random", which takes another square in each pass.
        batch_size: pictures in a batch, for each process.
        epochs: number of passes over the pictures.
        steps: number of batches in all, instead of ``epochs``.
        hold_out: number of pictures to leave out of the training, the last by name.
        workers: number of processes that decode pictures, at most 256; 0 decodes in this one; None: two, or one on a
            single core.
        seed: determines the initial weights, the order, the random crops and the random numbers of losses.

    Raises:
        ValueError: a number out of its range, or an unknown crop.

    Example:
        ```python
        from neuralstyle.feedforward import TrainingData

        data = TrainingData("photos/", size=128, crop="random", steps=2000)
        ```

    """

    pictures: Paths
    size: int = 256
    crop: Crop = "center"
    batch_size: int = 4
    epochs: int = 2
    steps: int | None = None
    hold_out: int = 0
    workers: int | None = None
    seed: int = 42

    def __post_init__(self) -> None:
        from neuralstyle.images import MIN_SIDE

        whole_number("size", self.size, MIN_SIDE, hint=" pixels")
        whole_number("batch_size", self.batch_size, 1)
        whole_number("epochs", self.epochs, 1)
        whole_number("hold_out", self.hold_out, 0)
        whole_number("seed", self.seed, 0)
        if self.steps is not None:
            whole_number("steps", self.steps, 1, hint=", or None")
        if self.workers is not None:
            whole_number("workers", self.workers, 0, MOST_WORKERS, hint=", or None")
        if self.crop not in CROPS:
            raise unknown("crop", self.crop, CROPS)


@dataclass(frozen=True)
class StateFolder:
    """A folder for the state of a training run, from which it continues.

    It holds the state in state.safetensors, and the network at each saved step in step-00002000.safetensors and so on.
    On the CPU a continued run ends with the same weights, to the bit.

    Args:
        folder: the folder; it is created if it does not exist.
        every: steps between two states.
        resume: continue the run whose state is in the folder, if there is one; False starts again.

    Raises:
        ValueError: ``every`` is not a positive whole number.
        NotADirectoryError: ``folder`` is a file.

    Example:
        ```python
        from neuralstyle.feedforward import StateFolder

        state = StateFolder("run", every=500)
        ```

    """

    folder: str | os.PathLike[str]
    every: int = 2000
    resume: bool = True

    def __post_init__(self) -> None:
        whole_number("every", self.every, 1, hint=" steps")
        if Path(self.folder).is_file():
            raise NotADirectoryError(f"{self.folder} is a file; give a folder for the state of the training")


@dataclass(frozen=True)
class Records:
    """Records of a training run: its losses, and pictures painted by the network so far.

    Args:
        log: a .csv or .jsonl file for the losses; a row has the step, the epoch, the seconds, the loss and its terms,
            averaged since the previous row.
        log_every: steps between two rows.
        snapshots: file names of the pictures, with one field for the step: "step-{}.png", "step-{:06d}.png",
            "step-%d.png" or "step-%06d.png".
        snapshots_every: steps between two pictures.
        snapshots_of: the picture to paint; None: the package's photograph.

    Raises:
        ValueError: a number out of its range, a log of another format, or a name without a field for the step.

    Example:
        ```python
        from neuralstyle.feedforward import Records

        records = Records("losses.csv", log_every=10, snapshots="step-{:06d}.png")
        ```

    """

    log: str | os.PathLike[str] | None = None
    log_every: int = 500
    snapshots: str | os.PathLike[str] | None = None
    snapshots_every: int = 500
    snapshots_of: Picture | None = None

    def __post_init__(self) -> None:
        whole_number("log_every", self.log_every, 1, hint=" steps")
        whole_number("snapshots_every", self.snapshots_every, 1, hint=" steps")
        if self.log is not None:
            LossTable(self.log)
        if self.snapshots is not None:
            NumberedFiles(self.snapshots)
