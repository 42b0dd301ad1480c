"""The tile that fits the memory: how much is free, over how much a pixel takes, both measured."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from neuralstyle import distributed
from neuralstyle.encoders.base import Walker
from neuralstyle.machine.memory import free_memory
from neuralstyle.machine.peak_memory import peak_memory
from neuralstyle.objective.readings import Probe, WholeMap, cut, read
from neuralstyle.objective.tiling import Tile, largest_tile, tiles

SHARE = 0.5  # of the free memory; the rest is for the optimiser and for what the measuring does not see
SAMPLE = 256  # longest side in pixels, about, of the view on which the memory is measured


def fitting_tile(encoder: Walker, image: Tensor, probes: Sequence[Probe], stride: int, reach: int) -> int | None:
    """The largest tile that half of the free memory holds; None where it holds the whole picture.

    The network's forward and backward pass is made for one small tile of the picture, and its peak divided by the
    pixels that the network was shown. Processes that work together agree on the smallest of their tiles.

    Args:
        encoder: the network.
        image: (B, 3, H, W), where it is going to be evaluated.
        probes: what is read off the features.
        stride: the deepest stride of the layers in use.
        reach: how many pixels beyond its cell the farthest-seeing layer sees.

    Raises:
        MemoryError: not even a tile of one stride fits.

    """
    height, width = image.shape[2:]
    per_pixel = _bytes_per_pixel(encoder, image, _sample(height, width, stride, reach), probes)
    free = SHARE * free_memory(image.device)
    if image.device.type == "cpu":
        free /= distributed.neighbours()
    # As large as the picture however small the tile: its gradient, and each map with its gradient and a copy.
    whole = image.nbytes + 3 * _map_bytes(encoder, image, probes)
    pixels = distributed.least(max(free - whole, 0) / per_pixel, image.device)
    try:
        return largest_tile(height, width, stride, reach, pixels)
    except ValueError as error:
        raise MemoryError(
            f"no tile fits the memory of {image.device}: {error} that {free / 2**20:.0f} MiB hold (half of what is "
            f"free, less {whole / 2**20:.0f} MiB for the whole picture, at {per_pixel:.0f} bytes a pixel); free some "
            "memory, or use shallower layers or another device"
        ) from error


def _sample(height: int, width: int, stride: int, reach: int) -> Tile:
    """A tile that is typical of a larger one: as large a view as there is among small tiles."""
    side = max(SAMPLE - 2 * reach, stride)
    return max(tiles(height, width, side, stride, reach), key=_pixels)


def _pixels(tile: Tile) -> int:
    rows, columns = tile.rows, tile.columns
    return (rows.view_stop - rows.view_start) * (columns.view_stop - columns.view_start)


def _bytes_per_pixel(encoder: Walker, image: Tensor, tile: Tile, probes: Sequence[Probe]) -> float:
    def work() -> None:
        view = cut(image, tile.view()).detach().clone().requires_grad_()
        with torch.enable_grad():
            readings = read(encoder, view, tile, probes)
        torch.autograd.grad(readings, view, [torch.ones_like(reading) for reading in readings])

    work()  # what is made once, such as weights in another format, is not each pixel's
    return peak_memory(image.device, work) / _pixels(tile)


def _map_bytes(encoder: Walker, image: Tensor, probes: Sequence[Probe]) -> int:
    """The size of all maps that are wanted whole."""
    height, width = image.shape[2:]
    layers = [encoder.layers[probe.layer] for probe in probes if isinstance(probe, WholeMap)]
    positions = sum(layer.channels * (height // layer.stride) * (width // layer.stride) for layer in layers)
    return positions * image.shape[0] * image.element_size()
