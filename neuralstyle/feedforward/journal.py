"""What a training run leaves behind: checkpoints, a table of losses, previews."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from neuralstyle.checkpoint import State, load_state, save_state
from neuralstyle.feedforward.models import save_model
from neuralstyle.feedforward.network import TransformerNet
from neuralstyle.feedforward.tiled import run_model
from neuralstyle.images import save_image

_KIND = "training run"
_STATE = "state.safetensors"


class Standing(Protocol):
    """How far a run has come."""

    step: int
    elapsed: float
    network: TransformerNet

    def state(self) -> State:
        """Everything that is needed to go on."""


class Checkpoints:
    """A folder with the network every so many steps, and the state of the run, from which it continues.

    Raises:
        ValueError: the state found there belongs to a run with other settings; the message names the first.

    """

    def __init__(
        self, folder: str | os.PathLike[str] | None, interval: int, settings: Mapping[str, object], *, resume: bool
    ) -> None:
        self.folder = None if folder is None else Path(folder)
        self.interval = interval
        self.settings = {name: str(value) for name, value in settings.items()}
        self.found: State | None = None
        if self.folder is None or not resume or not (self.folder / _STATE).exists():
            return
        self.found = load_state(self.folder / _STATE, kind=_KIND)
        for name, value in self.settings.items():
            received = self.found["settings"].get(name)
            if received != value:
                raise ValueError(
                    f"{self.folder} holds a run with another {name} ({received}, now {value}); give the settings of "
                    "that run, another folder, or resume=False (--restart) to begin again"
                )

    def write(self, run: Standing) -> None:
        """Write the network, and then the state."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_model(run.network, self.folder / f"step-{run.step:08}.safetensors")
            save_state(self.folder / _STATE, {**run.state(), "settings": self.settings}, kind=_KIND)


class LossTable:
    """Losses as CSV, a row every so many steps, averaged since the row before."""

    def __init__(self, path: str | os.PathLike[str] | None, interval: int, names: Sequence[str], start: int) -> None:
        self.path = None if path is None else Path(path)
        self.interval = interval
        self._totals = dict.fromkeys(names, 0.0)
        self._count = 0
        if self.path is None:
            return
        kept: list[list[str]] = []
        if start and self.path.exists():  # a run that continues: rows beyond its start will be written again
            with self.path.open(newline="", encoding="utf-8") as file:
                kept = [row for row in list(csv.reader(file))[1:] if row and int(row[0]) <= start]
        with self.path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["step", "epoch", "seconds", "loss", *names], *kept])

    def add(self, run: Standing, epoch: int, terms: Mapping[str, float], *, last: bool) -> None:
        """Count a step, and write a row where one is due."""
        if self.path is None:
            return
        self._count += 1
        for name, value in terms.items():
            self._totals[name] += value
        if run.step % self.interval and not last:
            return
        means = [value / self._count for value in self._totals.values()]
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow([run.step, epoch, round(run.elapsed, 3), sum(means), *means])
        self._totals = dict.fromkeys(self._totals, 0.0)
        self._count = 0


class Previews:
    """A picture painted by the network every so many steps, as step-00000500.png in a folder."""

    def __init__(self, folder: str | os.PathLike[str] | None, interval: int, image: Tensor) -> None:
        self.folder = None if folder is None else Path(folder)
        self.interval, self.image = interval, image

    def write(self, run: Standing) -> None:
        """Paint and save."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_image(run_model(run.network, self.image), self.folder / f"step-{run.step:08}.png", overwrite=True)


@dataclass(frozen=True)
class Journal:
    """All that is written during a run."""

    checkpoints: Checkpoints
    table: LossTable
    previews: Previews

    def note(self, run: Standing, epoch: int, terms: Mapping[str, float], *, last: bool) -> None:
        """Write what is due after a step; after the last one, everything."""
        self.table.add(run, epoch, terms, last=last)
        for part in (self.checkpoints, self.previews):
            if last or run.step % part.interval == 0:
                part.write(run)
