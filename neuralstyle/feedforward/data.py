"""Training pictures: files decoded in worker processes, in an order that the seed determines."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from neuralstyle._words import Crop
from neuralstyle.feedforward.options import Paths
from neuralstyle.images import load_image, resize_image

Key: TypeAlias = tuple[int, int]
"""The number of a pass over the pictures, and of a picture."""

PICTURE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def find_pictures(paths: Paths) -> list[Path]:
    """List the pictures in files and folders.

    A file may have any suffix. A folder is searched with its subfolders, in the order of the names, for files with a
    suffix of ``PICTURE_SUFFIXES`` that are not hidden.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: there is no picture.

    """
    found: list[Path] = []
    given = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    for path in map(Path, given):
        if path.is_dir():
            found += sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in PICTURE_SUFFIXES and not file.name.startswith(".") and file.is_file()
            )
        elif path.exists():
            found.append(path)
        else:
            raise FileNotFoundError(f"there is no file or folder {path}; check the name")
    if not found:
        names = ", ".join(str(path) for path in given) or "an empty list"
        raise ValueError(f"no picture in {names}; files that end in {' '.join(sorted(PICTURE_SUFFIXES))} count")
    return found


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
        image = load_image(path)
        height, width = image.shape[2:]
        scale = self.size / min(height, width)
        image = resize_image(image, (max(self.size, round(height * scale)), max(self.size, round(width * scale))))
        spare = [side - self.size for side in image.shape[2:]]
        top, left = ((s // 2 if self.crop == "center" else generator.randint(0, s)) for s in spare)
        return image[0, :, top : top + self.size, left : left + self.size].float()


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
    return iter(
        DataLoader(
            pictures,
            batch_sampler=batches,
            num_workers=workers,
            collate_fn=_collate,
            pin_memory=pin,
            worker_init_fn=_ignore_ctrl_c,
            generator=torch.Generator().manual_seed(0),  # otherwise torch's own generator advances
        )
    )


def _ignore_ctrl_c(worker: int) -> None:
    """Leave Ctrl-C, which a terminal sends to workers too, to the process that started them and ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _collate(items: Sequence[tuple[Tensor, list[str]]]) -> tuple[Tensor, list[str]]:
    return torch.stack([image for image, _ in items]), [reason for _, reasons in items for reason in reasons]
