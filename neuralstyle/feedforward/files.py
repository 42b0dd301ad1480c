"""Painting files batch by batch; files that fail are recorded and do not stop the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from neuralstyle._log import logger
from neuralstyle._stopping import stopping
from neuralstyle.feedforward.data import find_pictures
from neuralstyle.feedforward.models import load_model
from neuralstyle.feedforward.options import Paths
from neuralstyle.feedforward.tiled import run_model
from neuralstyle.files import is_same_file
from neuralstyle.images import MAX_SIDE, MIN_SIDE, check_output, load_image, resize_image, save_image
from neuralstyle.images.formats import WRITTEN
from neuralstyle.machine.devices import find_device

Model: TypeAlias = str | os.PathLike[str] | Callable[[Tensor], Tensor]
"""A file or the name of a shipped network, as for ``load_model``; or a loaded network."""

Batch: TypeAlias = list[tuple[Path, Path, Tensor]]
"""Pictures of one size: the file, the file of the result, the picture."""

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
    results: dict[Path, Path], scale: float, batch_size: int, overwrite: bool, failures: dict[Path, str]
) -> Iterator[Batch]:
    """Yield the pictures in batches of one size each, in about the order of the files."""
    waiting: dict[torch.Size, Batch] = {}
    for file, result in results.items():
        with _noting(file, failures):
            result.parent.mkdir(parents=True, exist_ok=True)
            check_output(result, overwrite)
            image = divide_size(load_image(file), scale)
        if file in failures:
            continue
        batch = waiting.setdefault(image.shape, [])
        batch.append((file, result, image))
        if len(batch) == batch_size:
            yield waiting.pop(image.shape)
        elif sum(map(len, waiting.values())) > _WAITING_BATCHES * batch_size:
            yield waiting.pop(next(iter(waiting)))
    yield from waiting.values()


def paint_batch(
    network: Callable[[Tensor], Tensor],
    batch: Batch,
    tile: int | None,
    overwrite: bool,
    failures: dict[Path, str],
    saved: list[Path],
) -> None:
    """Paint a batch and save the results; a failure of the network counts for every picture in the batch."""
    stopping.check()
    before = len(failures)
    with _noting(batch[0][0], failures):
        painted = run_model(network, torch.cat([image for _, _, image in batch]), tile)
    if len(failures) > before:
        failures.update({file: failures[batch[0][0]] for file, _, _ in batch})
        return
    for (file, result, _), image in zip(batch, painted, strict=True):
        with _noting(file, failures):
            saved.append(save_image(image, result, overwrite))
            logger.info("%s: painted as %s", file, result)


@contextmanager
def _noting(file: Path, failures: dict[Path, str]) -> Iterator[None]:
    """Record in ``failures`` that a file fails, and continue."""
    try:
        yield
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        failures[file] = " ".join(str(error).split()) or type(error).__name__
