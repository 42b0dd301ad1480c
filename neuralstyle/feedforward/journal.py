"""Files that a training run writes: checkpoints, a table of losses, snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from neuralstyle import distributed, samples
from neuralstyle._records import LossTable
from neuralstyle.checkpoint import State, compare_settings, describe, load_state, save_state
from neuralstyle.feedforward.models import save_model
from neuralstyle.feedforward.network import TransformerNet
from neuralstyle.feedforward.options import STATE_FILE, Records, StateFolder
from neuralstyle.feedforward.tiled import run_model
from neuralstyle.files import NumberedFiles, Write, check_paths
from neuralstyle.files.schema import Floats, Items, Number, Record, Table, Text, Whole
from neuralstyle.images import Picture, check_output, load_image, resize_image, save_image

MAX_SNAPSHOT_SIDE = 384  # pixels

_KIND = "training run"
_SCHEMA = Record(
    {
        "settings": Table(Text()),
        "step": Whole(),
        "elapsed": Number(0),
        "network": Table(Floats()),
        "optimizer": Items(Record({"step": Floats(()), "exp_avg": Floats(), "exp_avg_sq": Floats()})),
    }
)
"""What the state of a run holds, see ``Loop.state``."""


class Run(Protocol):
    """The part of a training run that is written to files."""

    step: int
    elapsed: float
    network: TransformerNet

    def state(self) -> State:
        """Return everything from which the run can continue."""


class Checkpoints:
    """A folder with the network at regular steps, and the state from which the run continues.

    Args:
        options: the folder; None writes nothing.
        settings: settings that a continued run has to share, by name; compared by their descriptions.

    Raises:
        ValueError: the folder's state belongs to a run with other settings; the message names the first difference.
        FileExistsError: the folder has no state, and networks of another run.
        OSError: the folder cannot be made or written.

    """

    def __init__(self, options: StateFolder | None, settings: Mapping[str, object]) -> None:
        self.options = options
        self.settings = {name: value if isinstance(value, str) else describe(value) for name, value in settings.items()}
        self.found: State | None = None
        if options is None:
            return
        check_paths([], [Write(Path(options.folder), "state", "folder")])
        if not options.resume:
            return
        file = Path(options.folder) / STATE_FILE
        if file.exists():
            self.found = load_state(file, kind=_KIND, schema=_SCHEMA)
            advice = "give the settings of that run, another folder, or resume=False (--restart) to start again"
            compare_settings(self.found["settings"], self.settings, options.folder, advice)
        elif others := sorted(Path(options.folder).glob("step-*.safetensors")):
            raise FileExistsError(
                f"{others[0]} exists, and no state to continue from; give another folder, or resume=False (--restart) "
                "to replace what is there"
            )

    def record(self, run: Run, *, last: bool) -> None:
        """Write the network and then the state, if they are due or this is the last step."""
        if self.options is not None and (last or run.step % self.options.every == 0):
            self.write(run)

    def write(self, run: Run) -> None:
        """Write the network and then the state, if there is a folder."""
        if self.options is None:
            return
        folder = Path(self.options.folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_model(run.network, folder / f"step-{run.step:08}.safetensors")
        save_state(folder / STATE_FILE, {**run.state(), "settings": self.settings}, kind=_KIND)


class AveragedLosses:
    """A table of losses with a row at regular steps, averaged since the previous row.

    Args:
        records: the file, and the number of steps between two rows.
        names: names of the terms of the loss.
        start: the last step that is not repeated; rows of later steps are removed.

    """

    def __init__(self, records: Records, names: Sequence[str], start: int) -> None:
        self.every = records.log_every
        self._epoch = 0
        self._sums = dict.fromkeys(names, 0.0)
        self._count = 0
        self._table = None if records.log is None else LossTable(records.log)
        if self._table is not None and distributed.is_writer():
            self._table.begin(["step", "epoch", "seconds", "loss", *names], start + 1 if start else 0)

    def record(self, run: Run, epoch: int, terms: Mapping[str, float], *, last: bool) -> None:
        """Count a step, and write a row if it is due or this is the last step."""
        self._count += 1
        self._epoch = epoch
        for name, value in terms.items():
            self._sums[name] += value
        if last or run.step % self.every == 0:
            self.write(run)

    def write(self, run: Run) -> None:
        """Write a row for the steps since the last one, if there were any."""
        if self._table is None or not self._count:
            return
        means = {name: value / self._count for name, value in self._sums.items()}
        seconds = round(run.elapsed, 3)
        self._table.append(
            {"step": run.step, "epoch": self._epoch, "seconds": seconds, "loss": sum(means.values()), **means}
        )
        self._sums = dict.fromkeys(self._sums, 0.0)
        self._count = 0


class Snapshots:
    """Pictures painted by the network at regular steps.

    Raises:
        OSError: the pictures cannot be saved.

    """

    def __init__(self, records: Records) -> None:
        self.every = records.snapshots_every
        self._files = None if records.snapshots is None else NumberedFiles(records.snapshots)
        if self._files is not None:
            check_output(self._files.path(self.every), overwrite=True)
            self._image = _snapshot_picture(samples.photo() if records.snapshots_of is None else records.snapshots_of)

    def record(self, run: Run, *, last: bool) -> None:
        """Paint and save a picture, if one is due or this is the last step."""
        if self._files is not None and (last or run.step % self.every == 0):
            save_image(run_model(run.network, self._image), self._files.path(run.step), overwrite=True)


@dataclass(frozen=True)
class Journal:
    """All files that a run writes, in its first process alone."""

    checkpoints: Checkpoints
    losses: AveragedLosses
    snapshots: Snapshots

    def record(self, run: Run, epoch: int, terms: Mapping[str, float], *, last: bool) -> None:
        """Write the files that are due after a step; after the last step, all."""
        self.losses.record(run, epoch, terms, last=last)
        self.checkpoints.record(run, last=last)
        self.snapshots.record(run, last=last)

    def stop(self, run: Run) -> None:
        """Write what a run that was interrupted continues from."""
        self.losses.write(run)
        self.checkpoints.write(run)


def _snapshot_picture(picture: Picture) -> Tensor:
    image = load_image(picture)
    return resize_image(image, MAX_SNAPSHOT_SIDE) if max(image.shape) > MAX_SNAPSHOT_SIDE else image
