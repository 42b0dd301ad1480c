"""Tools that the painted samples share: smooth noise, brush strokes, and light on thick paint.

Coordinates are fractions of the picture's side, (x, y) from the top left corner, and random numbers are drawn for each
stroke or tile, never for each pixel. So a painting has the same composition at every size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]
Flow = Callable[[Array], Array]
"""A direction at every point: (..., 2) -> (..., 2), unit vectors."""
Scene = Callable[[Array], Array]
"""A colour at every point: (n, 2) -> (n, 3), in [0, 1]."""

_STROKE_NODES = 13  # points of a stroke's path
_POINTS_PER_CHUNK = 400_000  # points that strokes are painted with at once; bounds the memory


def supersampling(size: int) -> int:
    """Return the number of pixels to draw for each final pixel, along a side; large pictures need no smoothing."""
    return 2 if size <= 1024 else 1


def to_picture(rgb: Array, size: int) -> Image.Image:
    """Turn (H, W, 3) colours in [0, 1] into a picture of ``size`` x ``size`` pixels."""
    picture = Image.fromarray((rgb.clip(0, 1) * 255 + 0.5).astype(np.uint8))
    return picture if picture.width == size else picture.resize((size, size), Image.Resampling.LANCZOS)


def hexes(*codes: str) -> Array:
    """Convert colours written as "rrggbb" to an (n, 3) array in [0, 1]."""
    return np.array([list(bytes.fromhex(code)) for code in codes], np.float32) / 255


def ramp(value: Array, colours: Array) -> Array:
    """Interpolate between evenly spaced ``colours`` at ``value`` in [0, 1]: (...) -> (..., 3)."""
    position = np.asarray(value).clip(0, 1) * (len(colours) - 1)
    lower = position.astype(int).clip(0, len(colours) - 2)
    part = (position - lower)[..., None]
    blend: Array = colours[lower] * (1 - part) + colours[lower + 1] * part
    return blend


def step(value: Array, edge: float, width: float) -> Array:
    """Rise smoothly from 0 to 1 as ``value`` passes ``edge``, over about ``width``."""
    t = ((value - edge) / width + 0.5).clip(0, 1)
    rise: Array = t * t * (3 - 2 * t)
    return rise


def noise(rng: np.random.Generator, pixels: int, *cells: int | tuple[int, int]) -> Array:
    """Make smooth noise in about [-1, 1]: one octave for each of ``cells`` (along y, along x), each half as strong."""
    total = np.zeros((pixels, pixels), np.float32)
    for octave, count in enumerate(cells):
        rows, columns = count if isinstance(count, tuple) else (count, count)
        grid = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
        smooth = Image.fromarray(grid).resize((pixels, pixels), Image.Resampling.BICUBIC)
        total += np.asarray(smooth) / 2**octave
    return total


def relief(height: Array, strength: float) -> Array:
    """Shade a surface lit from the top left: the change of brightness for a ``strength`` per slope over 1/512 side."""
    down, right = np.gradient(height)
    slope: Array = np.tanh((down + right) * (strength * len(height) / 512))
    return slope


class Canvas:
    """A canvas of opaque oil paint with a thickness: four bytes a pixel, for red, green, blue and height."""

    def __init__(self, size: int, scene: Scene) -> None:
        """Prime a canvas of ``size`` x ``size`` final pixels with a sketch of ``scene``."""
        self.size = size
        self.pixels = size * supersampling(size)
        self._paint = np.zeros((self.pixels**2, 4), np.uint8)
        axis = (np.arange(256) + 0.5) / 256
        sketch = scene(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)).reshape(256, 256, 3)
        self._paint[:, :3] = np.asarray(to_picture(sketch, self.pixels)).reshape(-1, 3)

    def lit(self, rng: np.random.Generator) -> Image.Image:
        """Return the picture: the paint on woven cloth, lit from the top left."""
        paint = self._paint.reshape(self.pixels, self.pixels, 4).astype(np.float32) / 255
        light = relief(paint[..., 3] + 0.05 * noise(rng, self.pixels, 300), 2.0)[..., None]
        return to_picture(paint[..., :3] * (1 + 0.32 * light) + 0.11 * light.clip(0, 1), self.size)

    def strokes(
        self,
        rng: np.random.Generator,
        centres: Array,
        colours: Array,
        flow: Flow,
        *,
        length: float,
        width: float,
        streaks: float = 0.10,
        bristles: int = 9,
    ) -> None:
        """Paint one stroke for each centre along ``flow``, in the order given.

        Args:
            rng: source of the length, width and bristles of each stroke.
            centres: (n, 2), the middles of the strokes.
            colours: (n, 3), in [0, 1].
            flow: the direction at every point.
            length: mean length of a stroke.
            width: mean width of a stroke.
            streaks: standard deviation of the brightness from bristle to bristle.
            bristles: number of bristles across a stroke.

        """
        n, nodes = len(centres), _STROKE_NODES
        size = rng.uniform(0.65, 1.35, (n, 2)).astype(np.float32)
        hairs = rng.normal(0, 1, (n, bristles)).astype(np.float32)
        ragged = rng.uniform(0.75, 1, (n, bristles)).astype(np.float32)
        path = _streamlines(centres, flow, length * size[:, :1] / (nodes - 1), nodes)
        along = np.gradient(path, axis=1)
        along /= np.linalg.norm(along, axis=2, keepdims=True) + 1e-9
        across = np.stack([-along[..., 1], along[..., 0]], -1) * (width / 2 * size[:, 1:, None])

        # The points of a stroke are closer than a pixel, so that no holes are left; each paints its pixel.
        s = np.linspace(-1, 1, max(int(1.35 * length * self.pixels * 1.3), 4), dtype=np.float32)
        t = np.linspace(-1, 1, max(int(1.35 * width * self.pixels * 1.3), 3), dtype=np.float32)
        node = (s + 1) / 2 * (nodes - 1)
        first = node.astype(int).clip(0, nodes - 2)
        part = (node - first)[:, None]
        hair = (t + 1) / 2 * (bristles - 1)
        left = hair.astype(int).clip(0, bristles - 2)
        mix = (hair - left).astype(np.float32)
        target = self._paint.view(np.uint32)[:, 0]
        chunk = max(1, _POINTS_PER_CHUNK // (len(s) * len(t)))
        for i in range(0, n, chunk):
            part_of = slice(i, i + chunk)
            p, q, h, r = path[part_of], across[part_of], hairs[part_of], ragged[part_of]
            middle = p[:, first] * (1 - part) + p[:, first + 1] * part
            normal = q[:, first] * (1 - part) + q[:, first + 1] * part
            xy = ((middle[:, :, None] + normal[:, :, None] * t[:, None]) * self.pixels).astype(np.int32)
            bristle = h[:, left] * (1 - mix) + h[:, left + 1] * mix
            ends = np.sqrt(1 - 0.8 * t**2) * (r[:, left] * (1 - mix) + r[:, left + 1] * mix)
            inside = np.abs(s)[:, None] < ends[:, None, :]
            inside &= ((xy >= 0) & (xy < self.pixels)).all(-1)
            colour = colours[part_of, None] * (1 + streaks * bristle[..., None])
            thick = 0.55 * (1 - t**4) + 0.13 * bristle
            thick = thick[:, None] + 0.12 * s[:, None] ** 4
            paint = np.empty((*thick.shape, 4), np.uint8)
            paint[..., :3] = (colour.clip(0, 1) * 255)[:, None]
            paint[..., 3] = thick.clip(0, 1) * 255
            target[(xy[..., 1] * self.pixels + xy[..., 0])[inside]] = paint.view(np.uint32)[..., 0][inside]


def _streamlines(centres: Array, flow: Flow, stride: Array, nodes: int) -> Array:
    """Trace paths (n, nodes, 2) that follow ``flow`` in both directions from their centres."""
    path = np.empty((len(centres), nodes, 2), np.float32)
    half = nodes // 2
    path[:, half] = centres
    for way in (1, -1):
        for k in range(half):
            here = path[:, half + way * k]
            ahead = here + way * stride / 2 * flow(here)
            path[:, half + way * (k + 1)] = here + way * stride * flow(ahead)
    return path
