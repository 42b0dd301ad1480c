"""Training pictures: files decoded in worker processes, in an order that the seed determines."""

from __future__ import annotations

import os
import random
import signal
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from neuralstyle._words import Crop
from neuralstyle.feedforward.options import Paths
from neuralstyle.images.formats import READ_NAMES, READ_SUFFIXES, what_it_is
from neuralstyle.images.opening import look_at, most_pixels, pixel_limit, short_name
from neuralstyle.images.reading import load_fitted

Key: TypeAlias = tuple[int, int]
"""The number of a pass over the pictures, and of a picture."""

PICTURE_SUFFIXES = frozenset(READ_SUFFIXES)

MOST_SECONDS_PER_BATCH = 300
"""Time after which a batch is given up that the worker processes do not hand over, for example on a full disk."""

_MOST_NAMED, _NAME_LENGTH = 3, 40  # files that are left out and named in the warning, and characters of a name


def find_pictures(paths: Paths, output: Path | None = None, *, recursive: bool = True) -> list[Path]:
    """List the pictures in files and folders.

    A file that is given counts, whatever it is. A folder is searched with its subfolders, in the order of the names,
    for files whose first bytes are those of a picture that can be opened, or whose suffix is that of one. Hidden files
    and folders are ignored. One warning counts and names what else is left out.

    Args:
        paths: a file or folder, or several.
        output: the folder for results. Where it lies in a folder that is searched, what is in it is left out.
        recursive: whether a folder is searched with its subfolders.

    Raises:
        PermissionError: a folder that is given cannot be read.
        FileNotFoundError: a path does not exist.
        ValueError: there is no picture.

    """
    found: list[Path] = []
    left_out: list[str] = []
    given = [Path(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    for path in given:
        if path.is_dir():
            found += _pictures_below(path, output, left_out, recursive)
        elif path.exists():
            found.append(path)
        else:
            raise FileNotFoundError(f"there is no file or folder {path}; check the name")
    names = ", ".join(short_name(path) for path in given[:_MOST_NAMED]) or "an empty list"
    if not found:
        others = f"; left out: {_listed(left_out)}" if left_out else ""
        raise ValueError(f"no picture in {names}{others}; these can be opened: {READ_NAMES}")
    if left_out:
        one = len(left_out) == 1
        warnings.warn(
            f"{len(left_out)} file{'' if one else 's'} in {names} left out: {_listed(left_out)}", stacklevel=3
        )
    return found


def _pictures_below(folder: Path, output: Path | None, left_out: list[str], recursive: bool) -> list[Path]:
    """Return the pictures in a folder; append what else is there, and why it does not count, to ``left_out``."""
    try:
        os.scandir(folder).close()  # rglob finds nothing where it may not look
    except PermissionError as error:
        raise PermissionError(f"folder {folder} cannot be read ({error.strerror}); change its permissions") from error
    own = Path(os.path.realpath(folder))
    results = None if output is None else Path(os.path.realpath(output))
    has_results = results is not None and own in results.parents
    found = []
    for file in sorted(folder.rglob("*") if recursive else folder.glob("*")):
        inner = file.relative_to(folder)
        if any(part.startswith(".") for part in inner.parts) or not file.is_file():
            continue
        reason = "in the folder of the results" if has_results and results in (own / inner).parents else _reason(file)
        if reason is None:
            found.append(file)
        else:
            left_out.append(f"{short_name(inner, _NAME_LENGTH)} ({reason})")
    return found


def _reason(file: Path) -> str | None:
    """Return why a file is not one of the pictures; None for one, and for what its name says is one.

    A picture that is broken from its first byte on is not left out: who reads it says so, as of other broken ones.
    """
    says_so = file.suffix.lower() in PICTURE_SUFFIXES
    try:
        kind = look_at(file)
    except OSError as error:
        return None if says_so else str(error.strerror)
    if kind is None or not kind.plugin:
        return None if says_so else what_it_is(kind)
    return None if kind.is_readable else what_it_is(kind)


def _listed(left_out: Sequence[str]) -> str:
    shown, more = left_out[:_MOST_NAMED], len(left_out) - _MOST_NAMED
    return ", ".join([*shown, f"and {more} more"] if more > 0 else shown)


class Pictures(Dataset[tuple[Tensor, list[str]]]):
    """Square crops of pictures, each with the reasons why files before it were skipped.

    The shorter side is resized to ``size``, and the crop is the centre or a random square that the seed determines. A
    file that cannot be read is replaced by the next one that can, so every batch is full.

    Args:
        files: the pictures.
        size: side of the crops in pixels, at least 16.
        crop: "center" or "random".
        seed: seed of the random crops.

    """

    def __init__(self, files: Sequence[Path], size: int, crop: Crop, seed: int) -> None:
        self.files, self.size, self.crop, self.seed = files, size, crop, seed
        self._most_pixels = most_pixels()  # of the process that trains; those that decode have a default of their own

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: Key) -> tuple[Tensor, list[str]]:
        epoch, index = key
        failures: list[str] = []
        for offset in range(len(self.files)):
            number = (index + offset) % len(self.files)
            try:
                return self._square(self.files[number], random.Random(f"{self.seed}/{epoch}/{number}")), failures
            except (OSError, ValueError) as error:
                failures.append(str(error))
        raise ValueError(f"none of the {len(self.files)} pictures can be read; the first: {failures[0]}")

    def _square(self, path: Path, generator: random.Random) -> Tensor:
        with pixel_limit(self._most_pixels):
            image = load_fitted(path, self._sides)
        spare = [side - self.size for side in image.shape[2:]]
        top, left = ((s // 2 if self.crop == "center" else generator.randint(0, s)) for s in spare)
        return image[0, :, top : top + self.size, left : left + self.size].float()

    def _sides(self, height: int, width: int) -> tuple[int, int]:
        scale = self.size / min(height, width)
        return max(self.size, round(height * scale)), max(self.size, round(width * scale))


class Batches:
    """The keys of the pictures of each batch, for one process among several.

    A pass visits the pictures in an order drawn from the seed. Its last batch is filled up from the start of that
    order. All processes have the same number of batches.

    Args:
        picture_count: number of pictures.
        batch_size: pictures in a batch of one process.
        steps: the steps that need batches.
        seed: seed of the order.
        rank: number of this process.
        processes: number of processes.

    """

    def __init__(
        self, picture_count: int, batch_size: int, steps: range, seed: int, *, rank: int = 0, processes: int = 1
    ) -> None:
        self.picture_count, self.batch_size, self.steps, self.seed = picture_count, batch_size, steps, seed
        self.rank, self.processes = rank, processes
        self.epoch_steps = steps_per_epoch(picture_count, batch_size, processes)

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[Key]]:
        order: list[int] = []
        order_of: int | None = None  # the epoch that ``order`` was drawn for
        for step in self.steps:
            epoch, number = divmod(step, self.epoch_steps)
            if epoch != order_of:
                order, order_of = list(range(self.picture_count)), epoch
                random.Random(f"{self.seed}/{epoch}").shuffle(order)
            start = (number * self.processes + self.rank) * self.batch_size
            yield [(epoch, order[i % self.picture_count]) for i in range(start, start + self.batch_size)]


def steps_per_epoch(picture_count: int, batch_size: int, processes: int = 1) -> int:
    """Return the number of batches that each process takes in one pass over the pictures."""
    return -(-picture_count // (batch_size * processes))


def load_batches(
    pictures: Pictures, batches: Batches, workers: int | None, *, pin: bool
) -> Iterator[tuple[Tensor, list[str]]]:
    """Yield batches of shape ``(B, 3, size, size)`` in [0, 1], with the reasons why files were skipped.

    Args:
        pictures: the crops.
        batches: the keys of the crops of each batch.
        workers: as in ``TrainingData``.
        pin: keep the batches in pinned memory, from which copies to a GPU are faster.

    """
    if workers is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = min(2, cores)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")  # more than cores, as asked for
        loader = DataLoader(
            pictures,
            batch_sampler=batches,
            num_workers=workers,
            collate_fn=_collate,
            pin_memory=pin,
            worker_init_fn=_ignore_ctrl_c,
            timeout=MOST_SECONDS_PER_BATCH if workers else 0,
            generator=torch.Generator().manual_seed(0),  # otherwise torch's own generator advances
        )
        return iter(loader)


def _ignore_ctrl_c(worker: int) -> None:
    """Leave Ctrl-C, which a terminal sends to workers too, to the process that started them and ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _collate(items: Sequence[tuple[Tensor, list[str]]]) -> tuple[Tensor, list[str]]:
    return torch.stack([image for image, _ in items]), [reason for _, reasons in items for reason in reasons]
