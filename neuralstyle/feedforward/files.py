"""Painting files batch by batch; files that fail are recorded and do not stop the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from neuralstyle._log import logger
from neuralstyle._stopping import stopping
from neuralstyle.feedforward.data import find_pictures
from neuralstyle.feedforward.finishing import Finish
from neuralstyle.feedforward.models import load_model
from neuralstyle.feedforward.options import Paths
from neuralstyle.feedforward.tiled import run_model
from neuralstyle.files import is_same_file
from neuralstyle.images import MAX_SIDE, MIN_SIDE, Picture, check_output, resize_image
from neuralstyle.images.cutouts import Cutout, load_cutout
from neuralstyle.images.formats import WRITTEN
from neuralstyle.machine.devices import find_device

Model: TypeAlias = str | os.PathLike[str] | Callable[[Tensor], Tensor]
"""A file or the name of a shipped network, as for ``load_model``; or a loaded network."""


@dataclass(frozen=True, eq=False)
class Waiting:
    """A picture that waits for others of its size: its file, the file of its result, the picture."""

    file: Path
    result: Path
    picture: Cutout


_WAITING_BATCHES = 2  # if more pictures than this many batches wait for others of their size, some are painted


def load_on_device(model: Model, device: str | torch.device | None) -> Callable[[Tensor], Tensor]:
    """Load a model if it is a file or a name, and move it to a device."""
    network = load_model(model) if isinstance(model, (str, os.PathLike)) else model
    return network.to(find_device(device)) if isinstance(network, torch.nn.Module) else network


def divide_size(image: Tensor, scale: float) -> Tensor:
    """Resize a picture to its sides divided by ``scale``.

    Raises:
        ValueError: the result would be too small or too large.

    """
    if scale == 1:
        return image
    if max(image.shape[2:]) / scale > MAX_SIDE:
        raise ValueError(
            f"a picture of {image.shape[3]} x {image.shape[2]} pixels would be over {MAX_SIDE} on a side at "
            f"content_scale={scale:g}; use a larger scale"
        )
    height, width = (round(side / scale) for side in image.shape[2:])
    if min(height, width) < MIN_SIDE:
        raise ValueError(
            f"a picture of {image.shape[3]} x {image.shape[2]} pixels would be {width} x {height} at "
            f"content_scale={scale:g}, under {MIN_SIDE} on a side; use a smaller scale"
        )
    return resize_image(image, (height, width))


def load_divided(picture: Picture, scale: float) -> Cutout:
    """Load a picture, with its opacity, at its sides divided by ``scale``; see ``divide_size``."""
    found = load_cutout(picture)
    return Cutout(
        divide_size(found.colors, scale), None if found.opacity is None else divide_size(found.opacity, scale)
    )


def find_results(pictures: Paths, output: Path) -> dict[Path, Path]:
    """Find the pictures, and for each the file for its result.

    Args:
        pictures: files and folders.
        output: a name with a suffix is the file for one picture; any other name is a folder.

    Raises:
        ValueError: no picture, several pictures for one file, two with the same result, or a result that would replace
            one of the pictures.
        FileNotFoundError: a file or folder does not exist.

    """
    given = [pictures] if isinstance(pictures, (str, os.PathLike)) else pictures
    if output.suffix and not output.is_dir():
        files = find_pictures(given)
        if len(files) > 1:
            raise ValueError(f"{output} is the name of one picture, and {len(files)} were given; give a folder")
        results = {files[0]: check_output(output, overwrite=True)}
    else:
        results = {file: result for path in map(Path, given) for file, result in _results_of(path, output)}
    sources: dict[Path, Path] = {}
    for file, result in results.items():
        if sources.setdefault(result, file) != file:
            raise ValueError(f"{sources[result]} and {file} would both become {result}; paint them into two folders")
        replaced = next((other for other in results if result.exists() and is_same_file(result, other)), None)
        if replaced is not None:
            raise ValueError(
                f"the result of {file} would replace {replaced}, and an input is never replaced; give another folder"
            )
    if not results:
        raise ValueError("no picture was given; give a file or a folder")
    return results


def _results_of(path: Path, output: Path) -> Iterator[tuple[Path, Path]]:
    """The pictures of a file or folder, each with the file for its result below a folder."""
    for file in find_pictures(path, output):
        result = output / (file.relative_to(path) if path.is_dir() else file.name)
        yield file, result if result.suffix.lower() in WRITTEN else result.with_suffix(".png")


def group_by_size(
    results: dict[Path, Path], scale: float, batch_size: int, finish: Finish, failures: dict[Path, str]
) -> Iterator[list[Waiting]]:
    """Yield the pictures in batches of one size each, in about the order of the files."""
    waiting: dict[torch.Size, list[Waiting]] = {}
    for file, result in results.items():
        with _noting(file, failures):
            result.parent.mkdir(parents=True, exist_ok=True)
            finish.check(file, result)
            picture = load_divided(file, scale)
        if file in failures:
            continue
        shape = picture.colors.shape
        batch = waiting.setdefault(shape, [])
        batch.append(Waiting(file, result, picture))
        if len(batch) == batch_size:
            yield waiting.pop(shape)
        elif sum(map(len, waiting.values())) > _WAITING_BATCHES * batch_size:
            yield waiting.pop(next(iter(waiting)))
    yield from waiting.values()


def paint_batch(
    network: Callable[[Tensor], Tensor],
    batch: Sequence[Waiting],
    tile: int | None,
    finish: Finish,
    failures: dict[Path, str],
    saved: list[Path],
) -> None:
    """Paint a batch and save the results; a failure of the network counts for every picture in the batch."""
    stopping.check()
    before = len(failures)
    with _noting(batch[0].file, failures):
        painted = run_model(network, torch.cat([each.picture.colors for each in batch]), tile)
    if len(failures) > before:
        failures.update({each.file: failures[batch[0].file] for each in batch})
        return
    for each, image in zip(batch, painted, strict=True):
        with _noting(each.file, failures):
            saved.append(finish.save(finish.picture(image[None], each.picture), each.file, each.result))
            logger.info("%s: painted as %s", each.file, each.result)


@contextmanager
def _noting(file: Path, failures: dict[Path, str]) -> Iterator[None]:
    """Record in ``failures`` that a file fails, and continue."""
    try:
        yield
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        failures[file] = " ".join(str(error).split()) or type(error).__name__
