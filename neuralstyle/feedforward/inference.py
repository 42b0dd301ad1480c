"""A trained network at work: one picture, or many files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import torch
from PIL import Image
from torch import Tensor

from neuralstyle.feedforward.data import SUFFIXES, Paths, find_pictures
from neuralstyle.feedforward.models import load_model
from neuralstyle.feedforward.tiled import run_model
from neuralstyle.images import MIN_SIDE, Picture, check_output, load_image, resize_image, save_image, to_pil
from neuralstyle.machine.devices import find_device

Model: TypeAlias = str | os.PathLike[str] | Callable[[Tensor], Tensor]
"""A file or the name of a shipped network, as for ``load_model``; or what that returns."""

TILE = 1536
"""Pictures of more than so many pixels squared are painted in tiles; below, one takes 2.5 GB at most at width 32."""


def apply(
    model: Model,
    picture: Picture,
    *,
    content_scale: float = 1.0,
    tile: int | None = TILE,
    device: str | torch.device | None = None,
) -> Image.Image:
    """Paint a picture with a trained network, in one pass.

    Args:
        model: a file or a shipped network's name (see ``load_model``), or a network.
        picture: a path, PIL image, numpy array, or tensor (3, H, W) or (1, 3, H, W) in [0, 1].
        content_scale: divides the sides of the picture before it is painted.
        tile: side in pixels of the tiles in which a picture of more than ``tile * tile`` pixels is painted, to bound
            the memory; the result is the same to rounding, at half again the work, and takes 3 ``width`` bytes a pixel
            in a temporary file. None: whole. ONNX models always see the whole picture.
        device: for example "cpu" or "cuda"; None: the accelerator that torch finds, else the CPU. A network is moved
            there.

    Returns:
        An 8-bit RGB picture.

    Raises:
        ValueError: a bad picture, model or option.
        FileNotFoundError: a file that does not exist.

    Example:
        ```python
        from neuralstyle import TransformerNet, apply, samples

        network = TransformerNet(width=8)  # not trained: load_model("mosaic.safetensors") gives one that is
        image = apply(network, samples.photo(), content_scale=4)
        assert image.size == (113, 75)
        ```

    """
    _check_scale(content_scale)
    network = _placed(model, device)
    return to_pil(run_model(network, _scaled(load_image(picture), content_scale), tile))


def apply_files(
    model: Model,
    pictures: Paths,
    output: str | os.PathLike[str],
    *,
    content_scale: float = 1.0,
    batch_size: int = 1,
    tile: int | None = TILE,
    device: str | torch.device | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> dict[Path, str]:
    """Paint files, and everything in folders, into a folder, past those that fail.

    Results keep their file's name, and below a folder their place in it; a format that is not written (GIF, BMP)
    becomes PNG.

    Args:
        model: as in ``apply``.
        pictures: a file or folder, or a list of them.
        output: the folder, made if it is not there; for one picture also the name of a file.
        content_scale: as in ``apply``.
        batch_size: pictures of equal size that are painted at once.
        tile: as in ``apply``.
        device: as in ``apply``.
        overwrite: replace files that exist; False counts them as failures.
        progress: show a progress bar.

    Returns:
        The files that failed, and why; empty if all went well.

    Raises:
        ValueError: a bad model or option, or no picture at all.
        FileNotFoundError: a file or folder that does not exist.

    Example:
        ```python
        import tempfile
        from neuralstyle import TransformerNet, apply_files, samples

        with tempfile.TemporaryDirectory() as folder:
            samples.photo().resize((48, 32)).save(f"{folder}/cat.jpg")
            failures = apply_files(TransformerNet(width=8), folder, f"{folder}/painted", progress=False)
        assert not failures
        ```

    """
    from tqdm.auto import tqdm

    _check_scale(content_scale)
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size is a whole number of at least 1, received {batch_size!r}")
    places = _places(pictures, Path(output))
    network = _placed(model, device)
    failures: dict[Path, str] = {}
    with tqdm(total=len(places), unit="picture", disable=not progress) as bar:
        for batch in _batches(places, content_scale, batch_size, overwrite, failures):
            _paint(network, batch, tile, overwrite, failures)
            bar.update(len(batch))
        bar.update(len(places) - bar.n)  # those that could not be read
    return failures


_Batch: TypeAlias = list[tuple[Path, Path, Tensor]]  # file, result, picture


def _batches(
    places: dict[Path, Path], scale: float, batch_size: int, overwrite: bool, failures: dict[Path, str]
) -> Iterator[_Batch]:
    """Pictures of equal sizes together, in the order of the files; few wait at a time."""
    waiting: dict[torch.Size, _Batch] = {}
    for file, result in places.items():
        with _failing(file, failures):
            result.parent.mkdir(parents=True, exist_ok=True)
            check_output(result, overwrite)
            image = _scaled(load_image(file), scale)
        if file in failures:
            continue
        batch = waiting.setdefault(image.shape, [])
        batch.append((file, result, image))
        if len(batch) == batch_size:
            yield waiting.pop(image.shape)
        elif sum(map(len, waiting.values())) > 2 * batch_size:
            yield waiting.pop(next(iter(waiting)))
    yield from waiting.values()


def _paint(
    network: Callable[[Tensor], Tensor], batch: _Batch, tile: int | None, overwrite: bool, failures: dict[Path, str]
) -> None:
    before = len(failures)
    with _failing(batch[0][0], failures):
        painted = run_model(network, torch.cat([image for _, _, image in batch]), tile)
    if len(failures) > before:
        failures.update({file: failures[batch[0][0]] for file, _, _ in batch})
        return
    for (file, result, _), image in zip(batch, painted, strict=True):
        with _failing(file, failures):
            save_image(image, result, overwrite)


@contextmanager
def _failing(file: Path, failures: dict[Path, str]) -> Iterator[None]:
    """Note that a file fails, and go on."""
    try:
        yield
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        failures[file] = " ".join(str(error).split()) or type(error).__name__


def _places(pictures: Paths, output: Path) -> dict[Path, Path]:
    """Where each picture's result goes."""
    given = [pictures] if isinstance(pictures, (str, os.PathLike)) else pictures
    if output.suffix.lower() in SUFFIXES and not output.is_dir():
        files = find_pictures(given)
        if len(files) > 1:
            raise ValueError(f"{output} is the name of one picture, and {len(files)} were given; give a folder")
        return {files[0]: output}
    places: dict[Path, Path] = {}
    taken: dict[Path, Path] = {}
    for path in map(Path, given):
        for file in find_pictures(path):
            result = output / (file.relative_to(path) if path.is_dir() else file.name)
            if result.suffix.lower() in (".gif", ".bmp"):
                result = result.with_suffix(".png")
            if taken.setdefault(result, file) != file:
                raise ValueError(f"{taken[result]} and {file} would both become {result}; paint them into two folders")
            places[file] = result
    if not places:
        raise ValueError("no picture was given; give a file or a folder")
    return places


def _placed(model: Model, device: str | torch.device | None) -> Callable[[Tensor], Tensor]:
    """The network, where it is wanted."""
    network = load_model(model) if isinstance(model, (str, os.PathLike)) else model
    return network.to(find_device(device)) if isinstance(network, torch.nn.Module) else network


def _scaled(image: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return image
    height, width = (round(side / scale) for side in image.shape[2:])
    if min(height, width) < MIN_SIDE:
        raise ValueError(
            f"a picture of {image.shape[3]} x {image.shape[2]} pixels would be {width} x {height} at "
            f"content_scale={scale:g}, under {MIN_SIDE} on a side; use a smaller scale"
        )
    return resize_image(image, (height, width))


def _check_scale(scale: float) -> None:
    if not 0 < scale < float("inf"):
        raise ValueError(f"content_scale is a positive number by which sides are divided, received {scale!r}")
