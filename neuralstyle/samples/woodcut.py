"""A wood-block print of breaking waves: flat blues on cream paper, dark contours, claws of foam, a low red sun."""

from __future__ import annotations

import numpy as np
from PIL import Image

from neuralstyle.samples._canvas import Array, hexes, noise, ramp, supersampling, to_picture

LINE, PRUSSIAN, INDIGO, BLUE, PALE = "#0e1b38", "#16305f", "#23528c", "#4f86b4", "#a9cbd0"
FOAM, HAZE, SUN = "#f7efd9", "#e6c795", "#d5452a"
SKY = hexes("3f6d9c", "8fb0b4", "e6d9b6", "f0e0ba", "f0dcb0", "eecb94", "e9b078", "e9b078", "e9b078", "e9b078")
BANDS = (PRUSSIAN, BLUE, PRUSSIAN, PALE, INDIGO, BLUE, PRUSSIAN, PALE, PRUSSIAN, INDIGO, FOAM, INDIGO, PRUSSIAN)
# The back and the hollow face of a breaking wave that runs to the right, of height 1, as cubic Bezier curves.
BACK = ((-1.5, 0), (-0.75, 0.02), (-0.55, 1.0), (0.05, 1.0), (0.42, 1.0), (0.74, 0.80), (0.70, 0.46))
FACE = ((1.1, 0), (0.35, 0.0), (0.0, 0.22), (0.06, 0.52), (0.12, 0.78), (0.44, 0.84), (0.70, 0.46))
CONTOUR = 0.0032  # width of a contour, in sides of the picture


class Block:
    """The block being cut: shapes in fractions of the side, each with a contour."""

    def __init__(self, pixels: int) -> None:
        from PIL import ImageDraw  # imported here, since it takes memory that painting from files does not need

        sky = ramp(np.linspace(0, 1, pixels)[:, None], SKY)
        self.image = to_picture(np.broadcast_to(sky, (pixels, pixels, 3)), pixels)
        self.pixels = pixels
        self._draw = ImageDraw.Draw(self.image)

    def area(self, outline: Array, fill: str) -> None:
        """Draw a filled shape and its contour."""
        self._draw.polygon([tuple(p) for p in (outline * self.pixels).tolist()], fill=fill)
        self.cut(np.concatenate([outline, outline[:1]]), LINE, 1)

    def cut(self, path: Array, colour: str, weight: float = 0.7) -> None:
        """Draw a line along ``path``; ``weight`` is its width in widths of a contour."""
        points = [tuple(p) for p in (path * self.pixels).tolist()]
        self._draw.line(points, fill=colour, width=max(1, round(weight * CONTOUR * self.pixels)), joint="curve")

    def dots(self, centres: Array, radii: Array, fill: str = FOAM, contour: bool = True) -> None:
        """Draw circles that merge into one shape with one contour."""
        for grow, colour in ((CONTOUR, LINE), (0.0, fill))[not contour :]:
            circles = np.column_stack([centres, radii + grow]) * self.pixels
            for x, y, r in circles.tolist():
                self._draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def _bezier(points: tuple[tuple[float, float], ...], count: int = 60) -> Array:
    t = np.linspace(0, 1, count)[:, None]
    parts = []
    for k in range(0, len(points) - 1, 3):
        a, b, c, d = np.array(points[k : k + 4])
        parts.append((1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t**2 * (1 - t) * c + t**3 * d)
    return np.concatenate(parts)


def _wave(block: Block, rng: np.random.Generator, x: float, y: float, height: float, way: int) -> None:
    """Draw a breaking wave with its foot at (x, y), running right (``way`` 1) or left (-1)."""

    def place(points: Array) -> Array:
        placed: Array = np.array([x, y]) + points * [way * height, -height]
        return placed

    back, face = _bezier(BACK), _bezier(FACE)
    edges = np.cumsum(rng.uniform(0.6, 1.4, len(BANDS)) * [1.4, *([1] * (len(BANDS) - 1))])
    edges = np.concatenate([[0], edges / edges[-1]])
    wobble = np.sin(np.linspace(0, 7, len(back)) + rng.uniform(0, 6))[:, None] * 0.012
    for low, high, fill in zip(edges[:-1], edges[1:], BANDS, strict=True):
        inner = back + (face - back) * np.clip(low + wobble * (low > 0), 0, 1)
        outer = back + (face - back) * np.clip(high + wobble * (high < 1), 0, 1)
        block.area(place(np.concatenate([inner, outer[::-1]])), fill)
        for share in (0.3, 0.55, 0.8)[:: 1 if fill == PRUSSIAN else 2]:
            hair = slice(rng.integers(0, 25), rng.integers(75, len(back)))
            block.cut(place(inner + (outer - inner) * share)[hair], BLUE if fill == PRUSSIAN else INDIGO)

    # Foam runs over the crest and hangs from the lip in claws, each a chain of shrinking dots that curls.
    centres, radii = [], []
    crest = back[len(back) * 40 // 100 :]
    for k, point in enumerate(crest):
        share = k / len(crest)
        spread = rng.normal(0, 0.018, (2, 2)) * (0.5 + share)
        centres += [point + spread[0], point + spread[1]]
        radii += list(rng.uniform(0.010, 0.030, 2) * (0.6 + 0.4 * share))
    lip = np.concatenate([crest[len(crest) // 8 :: 2], face[len(face) * 72 // 100 :: 2]])
    for point in lip:
        heading = rng.normal(-0.6, 0.6)
        bend = rng.choice([-1, 1], p=[0.8, 0.2]) * rng.uniform(0.08, 0.17)
        reach, thick = rng.uniform(0.005, 0.011), rng.uniform(0.011, 0.019)
        here = np.array(point)
        for j in range(14):
            here = here + reach * np.array([np.cos(heading), np.sin(heading)])
            heading += bend * (1 + 0.12 * j)
            centres.append(here)
            radii.append(thick * (1 - 0.055 * j))
    block.dots(place(np.array(centres)), np.array(radii) * height)
    marks = np.array(centres)[rng.permutation(len(centres))[: len(centres) // 6]]
    block.dots(place(marks), rng.uniform(0.002, 0.007, len(marks)) * height, PALE, contour=False)
    spray = np.array([0.72, 0.72]) + rng.normal(0, 1, (90, 2)) * [0.26, 0.2]
    block.dots(place(spray), rng.uniform(0.003, 0.010, 90) * height)


def _swell(block: Block, rng: np.random.Generator, y: float, depth: float, waves: float) -> None:
    """Draw a swell across the whole width: a peaked crest over bands that follow it."""
    x = np.linspace(-0.05, 1.05, 300)
    phase = rng.uniform(0, 2 * np.pi, 3)
    crest = 0.30 * np.abs(np.sin(np.pi * waves * x + phase[0])) ** 0.8
    crest += 0.12 * np.sin(2 * np.pi * waves * 0.37 * x + phase[1])
    colours = (PRUSSIAN, FOAM, INDIGO, BLUE, PRUSSIAN, PALE, PRUSSIAN, INDIGO, BLUE, INDIGO, PRUSSIAN)
    top = y + depth * crest
    for k, fill in enumerate(colours):
        ripple = 0.02 * np.sin(2 * np.pi * waves * 1.5 * x + phase[2] + 0.6 * k)
        line = top + depth * (0.085 * k + ripple * (k > 0) - 0.05 * k * crest)
        block.area(np.concatenate([np.stack([x, line], 1), [[1.05, 1.1], [-0.05, 1.1]]]), fill)
        for share in (0.3, 0.6):
            hair = slice(rng.integers(0, 150), rng.integers(150, len(x)))
            block.cut(np.stack([x, line + 0.085 * depth * share], 1)[hair], BLUE if fill == PRUSSIAN else INDIGO, 0.6)
    peaks = rng.integers(0, len(x), 90)
    centres = np.stack([x[peaks], top[peaks]], 1) + rng.normal(0, 0.03, (90, 2)) * depth
    block.dots(centres, rng.uniform(0.01, 0.045, 90) * depth)


def draw(size: int, rng: np.random.Generator) -> Image.Image:
    """Cut and print the picture, ``size`` x ``size`` pixels."""
    block = Block(size * supersampling(size))
    sun = np.array([[0.80, 0.24]]) + rng.normal(0, 0.012, (1, 2))
    block.dots(sun, np.array([0.125]), SUN)
    for k in range(15):
        middle, reach = rng.uniform(-0.1, 1.1), rng.uniform(0.12, 0.34)
        t = np.linspace(0, np.pi, 50)
        thick = rng.uniform(0.005, 0.012)
        bar = np.stack([np.cos(t), np.sin(t) ** 0.45], 1) * [reach, thick]
        bar = np.concatenate([bar, bar[::-1] * [1, -1]]) + np.array([middle, 0.03 + 0.04 * k])
        bar[:, 1] += 0.006 * np.sin(11 * bar[:, 0] + k)
        block.area(bar, (HAZE, FOAM, PALE)[k % 3])
        block.cut(bar[6:44] + np.array([0.02, 0.016]), LINE, 0.4)
    _swell(block, rng, 0.60, 0.16, 5)
    _wave(block, rng, 0.95, 0.74, 0.24, -1)
    _swell(block, rng, 0.68, 0.20, 3.5)
    _wave(block, rng, 0.22, 0.98, 0.80, 1)
    _swell(block, rng, 0.80, 0.22, 2.5)
    _wave(block, rng, 0.86, 1.04, 0.38, -1)
    _swell(block, rng, 0.92, 0.25, 2)
    rgb = np.asarray(block.image, np.float32) / 255
    # Wood grain in the ink, brushed along the board, and fibres in the paper.
    board = 9 * noise(rng, block.pixels, (14, 3), (60, 6)) + 110 * np.linspace(0, 1, block.pixels)[:, None]
    grain = 0.05 * np.sin(board) + 0.05 * noise(rng, block.pixels, (300, 14), (600, 40))
    grain += 0.05 * noise(rng, block.pixels, 9, 200, 500)
    return to_picture(rgb * (1 + grain[..., None]), size)
