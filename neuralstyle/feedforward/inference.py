"""Painting with a trained network: one picture, or many files.

Importing this file does not import torch, so the command line can show the defaults quickly.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from neuralstyle._errors import number, whole_number
from neuralstyle._stopping import interruptible
from neuralstyle.machine.surroundings import plain_torch

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from neuralstyle._words import Color
    from neuralstyle.feedforward.files import Model
    from neuralstyle.feedforward.options import Paths
    from neuralstyle.images import Picture

DEFAULT_TILE_SIDE = 1536  # pixels; a picture of this side takes at most 2.5 GB at a width of 32


@plain_torch()
def apply_model(
    model: Model,
    picture: Picture,
    *,
    content_scale: float = 1.0,
    tile: int | None = DEFAULT_TILE_SIDE,
    device: str | torch.device | None = None,
    color: Color = "style",
    strength: float = 1.0,
) -> Image.Image:
    """Paint a picture with a trained network, in one pass.

    Args:
        model: a file or a shipped network's name (see ``load_model``), or a network.
        picture: a path, PIL image, numpy array, or tensor ``(3, H, W)`` or ``(1, 3, H, W)`` in [0, 1].
        content_scale: divides the sides of the picture before painting.
        tile: side of the tiles in pixels, for pictures of more than ``tile * tile`` pixels; it bounds the memory. The
            result is the same to rounding, takes 1.5 times as long, and needs temporary files of 3 ``width`` bytes per
            pixel. None paints the picture whole. ONNX models always see the whole picture.
        device: for example "cpu" or "cuda"; None: the accelerator that torch finds, else the CPU. A network is moved
            there.
        color: whose colours the result has. "style": the painting's. All others keep the content's: "luminance" its
            chroma at every pixel; "match", "match-pca", "match-cholesky" and "histogram" give the painted picture the
            distribution of its colours, see ``match_color`` and ``match_histogram``.
        strength: share of what is painted in the result, from 0, the picture itself, to 1.

    Returns:
        An 8-bit RGB picture; RGBA if the picture is transparent somewhere. The network sees the colours of what is
            opaque continued into what is transparent.

    Raises:
        ValueError: a bad picture, model or option.
        FileNotFoundError: a file does not exist.

    Example:
        ```python
        from neuralstyle import samples
        from neuralstyle.feedforward import TransformerNet, apply_model

        network = TransformerNet(width=8)  # not trained: load_model("mosaic.safetensors") gives one that is
        image = apply_model(network, samples.photo(), content_scale=4)
        assert image.size == (113, 75)
        ```

    """
    from neuralstyle.feedforward.files import load_divided, load_on_device
    from neuralstyle.feedforward.finishing import Finish
    from neuralstyle.feedforward.tiled import run_model
    from neuralstyle.images import to_pil

    number("content_scale", content_scale, above=0)
    finish = Finish(color, strength)
    network = load_on_device(model, device)
    content = load_divided(picture, content_scale)
    return to_pil(finish.picture(run_model(network, content.colors, tile), content))


@interruptible
@plain_torch()
def apply_files(
    model: Model,
    pictures: Paths,
    output: str | os.PathLike[str],
    *,
    content_scale: float = 1.0,
    batch_size: int = 1,
    tile: int | None = DEFAULT_TILE_SIDE,
    device: str | torch.device | None = None,
    overwrite: bool = False,
    progress: bool = True,
    color: Color = "style",
    strength: float = 1.0,
    depth: int = 8,
    quality: int = 95,
    keep_profile: bool = False,
    dpi: float | None = None,
) -> dict[Path, str]:
    """Paint files, and all pictures in folders, into a folder; files that fail do not stop the others.

    A result keeps the name of its file, and its subfolder. Formats that are not written (GIF, BMP) become PNG.
    A result never replaces one of the pictures, whatever ``overwrite`` says.

    Args:
        model: as in ``apply_model``.
        pictures: a file or folder, or a list of them.
        output: the folder, created if it does not exist; for one picture also the name of a file, with a suffix.
        content_scale: as in ``apply_model``.
        batch_size: number of pictures of equal size to paint at once.
        tile: as in ``apply_model``.
        device: as in ``apply_model``.
        overwrite: replace existing files; False counts them as failures.
        progress: show a progress bar.
        color: as in ``apply_model``.
        strength: as in ``apply_model``.
        depth: bits per channel of the results, 8 or 16, as in ``save_image``; 16 is for PNG and TIFF.
        quality: of JPEG, WebP and AVIF, 1 to 100.
        keep_profile: convert each result into the colour profile of its picture and embed it; False: sRGB.
        dpi: resolution to write into the files, in pixels per inch, as in ``save_image``.

    Returns:
        The files that failed, with reasons; empty if there were none.

    Raises:
        ValueError: a bad model or option, or no picture.
        FileNotFoundError: a file or folder does not exist.

    Example:
        ```python
        import tempfile
        from neuralstyle import samples
        from neuralstyle.feedforward import TransformerNet, apply_files

        with tempfile.TemporaryDirectory() as folder:
            samples.photo().resize((48, 32)).save(f"{folder}/cat.jpg")
            failures = apply_files(TransformerNet(width=8), folder, f"{folder}/painted", progress=False)
        assert not failures
        ```

    """
    from tqdm.auto import tqdm

    from neuralstyle.feedforward.files import find_results, group_by_size, load_on_device, paint_batch
    from neuralstyle.feedforward.finishing import Finish
    from neuralstyle.painting.forecast import Pace, show_left

    number("content_scale", content_scale, above=0)
    whole_number("batch_size", batch_size, 1)
    finish = Finish(color, strength, depth, quality, keep_profile, overwrite, dpi)
    results = find_results(pictures, Path(output))
    network = load_on_device(model, device)
    failures: dict[Path, str] = {}
    saved: list[Path] = []
    pace, ticked = Pace(), time.monotonic()
    with tqdm(total=len(results), unit="picture", disable=not progress) as bar, _counting(saved, len(results)):
        for batch in group_by_size(results, content_scale, batch_size, finish, failures):
            paint_batch(network, batch, tile, finish, failures, saved)
            now = time.monotonic()
            pace.add((now - ticked) / len(batch))
            ticked = now
            show_left(bar, pace.left(len(results) - bar.n - len(batch)))
            bar.update(len(batch))
        bar.update(len(results) - bar.n)  # those that could not be read
    return failures


@contextmanager
def _counting(saved: Sequence[Path], total: int) -> Iterator[None]:
    """Say in the exception of Ctrl-C how many results are saved."""
    try:
        yield
    except KeyboardInterrupt as error:
        error.args = error.args or (f"stopped; {len(saved)} of {total} pictures are painted and saved",)
        raise
