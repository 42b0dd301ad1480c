"""The largest tile that fits the memory: the free memory over the memory per pixel, both measured."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from neuralstyle import distributed
from neuralstyle.machine.memory import FREE_MEMORY_SHARE, free_memory
from neuralstyle.machine.peak_memory import peak_memory
from neuralstyle.objective.features import FeatureSource
from neuralstyle.objective.readers import Reader
from neuralstyle.objective.readings import read
from neuralstyle.objective.tiling import Tile, largest_tile, tiles
from neuralstyle.objective.wrapping import cut_wrapped

SAMPLE_SIDE = 256
"""Approximate longest side in pixels of the view on which memory is measured."""


def largest_fitting_tile(
    source: FeatureSource, image: Tensor, readers: Sequence[Reader], reach: int, *, wraps: bool = False
) -> int | None:
    """Return the largest tile that fits half of the free memory, or None if the whole picture fits.

    One small tile of the picture is evaluated forward and backward, and its peak memory divided by the number of pixels
    in its view. Processes that work together agree on the smallest of their tiles.

    Args:
        source: source of the features.
        image: (B, 3, H, W), on the device of the evaluation.
        readers: readers of the features.
        reach: how many pixels beyond its cell the farthest-seeing layer sees.
        wraps: whether the picture repeats.

    Raises:
        MemoryError: not even a tile of one stride fits.

    """
    height, width = image.shape[2:]
    per_pixel = _bytes_per_pixel(source, image, _sample(height, width, source.step, reach, wraps), readers)
    free = FREE_MEMORY_SHARE * free_memory(image.device)
    if image.device.type == "cpu":
        free /= distributed.neighbours()
    # As large as the picture for any tile: its gradient, and each whole map with its gradient and a copy.
    whole = image.nbytes + 3 * _map_bytes(source, image, readers)
    pixels = distributed.least(max(free - whole, 0) / per_pixel, image.device)
    try:
        return largest_tile(height, width, source.step, reach, pixels, wraps=wraps)
    except ValueError as error:
        raise MemoryError(
            f"no tile fits the memory of {image.device}: {error} that {free / 2**20:.0f} MiB hold (half of what is "
            f"free, less {whole / 2**20:.0f} MiB for the whole picture, at {per_pixel:.0f} bytes a pixel); free some "
            "memory, or use shallower layers or another device"
        ) from error


def _sample(height: int, width: int, stride: int, reach: int, wraps: bool) -> Tile:
    """A small tile that is typical of larger ones: the one with the largest view."""
    side = max(SAMPLE_SIDE - 2 * reach, stride)
    return max(tiles(height, width, side, stride, reach, wraps=wraps), key=_pixels)


def _pixels(tile: Tile) -> int:
    rows, columns = tile.rows, tile.columns
    return (rows.view_stop - rows.view_start) * (columns.view_stop - columns.view_start)


def _bytes_per_pixel(source: FeatureSource, image: Tensor, tile: Tile, readers: Sequence[Reader]) -> float:
    def work() -> None:
        view = cut_wrapped(image, tile.view()).detach().clone().requires_grad_()
        with torch.enable_grad():
            readings = read(source, view, tile, readers)
        torch.autograd.grad(readings, view, [torch.ones_like(reading) for reading in readings])

    work()  # warm-up: work done once, such as converting weights, does not count
    return peak_memory(image.device, work) / _pixels(tile)


def _map_bytes(source: FeatureSource, image: Tensor, readers: Sequence[Reader]) -> int:
    """The bytes of all maps that are stored whole."""
    height, width = image.shape[2:]
    elements = sum(reader.stored_elements(source.layers[reader.layer], height, width) for reader in readers)
    return elements * image.shape[0] * image.element_size()
