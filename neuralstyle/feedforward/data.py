"""Pictures to train on: a folder, decoded in workers, in an order that a seed fixes."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from neuralstyle._errors import unknown
from neuralstyle.images import MIN_SIDE, load_image, resize_image

Crop = Literal["center", "random"]
CROPS: tuple[Crop, ...] = get_args(Crop)
Paths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Key: TypeAlias = tuple[int, int]
"""Which pass over the data, and which picture."""

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


def find_pictures(paths: Paths) -> list[Path]:
    """The pictures that paths name: files as given, folders with everything below them, by name.

    In folders a file counts by its suffix; hidden ones are left out.

    Raises:
        FileNotFoundError: a path that does not exist.
        ValueError: no picture at all.

    """
    found: list[Path] = []
    given = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    for path in map(Path, given):
        if path.is_dir():
            found += sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
            )
        elif path.exists():
            found.append(path)
        else:
            raise FileNotFoundError(f"there is no file or folder {path}; check the name")
    if not found:
        names = ", ".join(str(path) for path in given) or "an empty list"
        raise ValueError(f"no picture in {names}; files that end in {' '.join(sorted(SUFFIXES))} count")
    return found


class Pictures(Dataset[tuple[Tensor, list[str]]]):
    """Square crops of pictures: shorter side to ``size``, then the centre, or a random place that the seed fixes.

    A file that cannot be read is replaced by the next one that can, so that every batch is full; the reasons come
    along.

    Raises:
        ValueError: a size below 16, or an unknown crop.

    """

    def __init__(self, files: Sequence[Path], size: int, crop: Crop, seed: int) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or size < MIN_SIDE:
            raise ValueError(f"size is a whole number of pixels, at least {MIN_SIDE}, received {size!r}")
        if crop not in CROPS:
            raise unknown("crop", crop, CROPS)
        self.files, self.size, self.crop, self.seed = files, size, crop, seed

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: Key) -> tuple[Tensor, list[str]]:
        epoch, index = key
        failures: list[str] = []
        for offset in range(len(self.files)):
            place = (index + offset) % len(self.files)
            try:
                return self._square(self.files[place], random.Random(f"{self.seed}/{epoch}/{place}")), failures
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
    """The keys of every batch from one step on, of one process among several.

    A pass visits the pictures in an order drawn from the seed; what the last batch lacks is taken from the beginning
    of that order. All processes have equally many batches.
    """

    def __init__(
        self, pictures: int, batch_size: int, steps: range, seed: int, *, rank: int = 0, count: int = 1
    ) -> None:
        self.pictures, self.batch_size, self.steps, self.seed = pictures, batch_size, steps, seed
        self.rank, self.count = rank, count
        self.epoch_steps = steps_per_epoch(pictures, batch_size, count)

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[Key]]:
        order: list[int] = []
        drawn = -1
        for step in self.steps:
            epoch, place = divmod(step, self.epoch_steps)
            if epoch != drawn:
                order, drawn = list(range(self.pictures)), epoch
                random.Random(f"{self.seed}/{epoch}").shuffle(order)
            whole = self.batch_size * self.count
            start = place * whole + self.rank * self.batch_size
            yield [(epoch, order[i % self.pictures]) for i in range(start, start + self.batch_size)]


def steps_per_epoch(pictures: int, batch_size: int, count: int = 1) -> int:
    """Batches in one pass over the pictures, of each of ``count`` processes."""
    return -(-pictures // (batch_size * count))


def loader(
    pictures: Pictures, batches: Batches, workers: int | None, *, pin: bool
) -> Iterator[tuple[Tensor, list[str]]]:
    """Batches (B, 3, size, size) in [0, 1] and the reasons why files were passed over."""
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
            generator=torch.Generator().manual_seed(0),  # else torch's own generator would move on
        )
    )


def _collate(items: Sequence[tuple[Tensor, list[str]]]) -> tuple[Tensor, list[str]]:
    return torch.stack([image for image, _ in items]), [reason for _, reasons in items for reason in reasons]
