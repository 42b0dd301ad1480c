"""A night sky in thick oil: currents of blue that wind into spirals, stars with halos, hills below."""

from __future__ import annotations

import numpy as np
from PIL import Image

from neuralstyle.samples._canvas import Array, Canvas, hexes, ramp, step

SKY = hexes("0b1440", "142a6b", "1d4596", "3a74b8", "74a9cf", "c6dccb", "f3e7a6")
LAND = hexes("0a1230", "11304a", "1b5a5c", "4d8a55", "b9a94a", "e8c765")
GLOW = hexes("1d4596", "4f8fb0", "a9c58a", "f0d25a", "ffc02e", "fff3b0")
# x, y, radius and sense of rotation
WHORLS = ((0.40, 0.40, 0.21, 1), (0.68, 0.52, 0.13, -1), (0.07, 0.60, 0.12, 1), (0.98, 0.42, 0.10, 1))
# x, y and radius of the halo; the first one is the moon
STARS = (
    (0.85, 0.15, 0.150), (0.10, 0.12, 0.085), (0.30, 0.09, 0.060), (0.53, 0.14, 0.080), (0.66, 0.26, 0.060),
    (0.17, 0.34, 0.055), (0.93, 0.60, 0.060), (0.50, 0.67, 0.055), (0.26, 0.64, 0.060), (0.73, 0.05, 0.045),
)  # fmt: skip


def draw(size: int, rng: np.random.Generator) -> Image.Image:
    """Paint the picture, ``size`` x ``size`` pixels."""
    whorls, stars = np.array(WHORLS), np.array(STARS)
    whorls[:, :2] += rng.normal(0, 0.02, (len(whorls), 2))
    stars[:, :2] += rng.normal(0, 0.012, (len(stars), 2))
    phase = rng.uniform(0, 2 * np.pi, 6)

    def flow(p: Array) -> Array:
        return _flow(p, whorls, stars, phase)

    def scene(p: Array) -> Array:
        return _scene(p, whorls, stars, phase)

    canvas = Canvas(size, scene)
    for count, length, width, vary in (
        (1000, 0.15, 0.024, 0.05),
        (2200, 0.085, 0.013, 0.07),
        (4200, 0.05, 0.0075, 0.09),
    ):
        centres = rng.uniform(-0.03, 1.03, (count, 2)).astype(np.float32)
        colours = scene(centres) + rng.normal(0, vary, (count, 1)) + rng.normal(0, vary / 3, (count, 3))
        canvas.strokes(rng, centres, colours.astype(np.float32), flow, length=length, width=width)
    return canvas.lit(rng)


def _ridge(x: Array, phase: Array) -> Array:
    """Return the height of the hills at ``x``."""
    line: Array = 0.80 + 0.035 * np.sin(5 * x + phase[0]) + 0.018 * np.sin(11 * x + phase[1])
    return line


def _flow(p: Array, whorls: Array, stars: Array, phase: Array) -> Array:
    """Return the direction of the currents at points: (..., 2) -> (..., 2)."""
    x, y = p[..., 0], p[..., 1]
    angle = 0.35 * np.sin(5 * x + 3 * y + phase[2]) + 0.3 * np.sin(9 * y - 4 * x + phase[3])
    total = np.stack([np.cos(angle), np.sin(angle)], -1) * 0.35
    for cx, cy, radius, spin in whorls:
        dx, dy = x - cx, y - cy
        d = np.hypot(dx, dy) + 1e-6
        pull = 2.2 * np.exp(-((d / radius) ** 2)) / d
        total += np.stack([-spin * dy - 0.24 * dx, spin * dx - 0.24 * dy], -1) * pull[..., None]
    for cx, cy, radius in stars:
        dx, dy = x - cx, y - cy
        d = np.hypot(dx, dy) + 1e-6
        pull = 5 * np.exp(-((d / radius) ** 4)) / d
        total += np.stack([-dy, dx], -1) * pull[..., None]
    slope = (_ridge(x + 0.01, phase) - _ridge(x - 0.01, phase)) / 0.02
    slope = slope + 2.8 * (y - 0.78) * np.sin(14 * (y - x) + phase[4])
    land = step(y - _ridge(x, phase), 0, 0.04)[..., None]
    total = total * (1 - land) + np.stack([np.ones_like(x), slope], -1) * land * 2
    unit: Array = total / (np.linalg.norm(total, axis=-1, keepdims=True) + 1e-9)
    return unit


def _scene(p: Array, whorls: Array, stars: Array, phase: Array) -> Array:
    """Return the colours of the sky, the stars, the moon and the hills at points: (n, 2) -> (n, 3)."""
    x, y = p[:, 0], p[:, 1]
    value = 0.30 + 0.16 * np.sin(26 * (y + 0.05 * np.sin(6 * x + phase[2])) + 4 * x) - 0.12 * (0.5 - y)
    for cx, cy, radius, spin in whorls:
        dx, dy = x - cx, y - cy
        d = np.hypot(dx, dy) + 1e-6
        arms = 0.5 + 0.5 * np.cos(2 * np.arctan2(dy, dx) + spin * 8.5 * np.log(d / radius + 0.1))
        near = np.exp(-((d / radius / 1.1) ** 4))
        value = value * (1 - near) + near * (0.22 + 0.72 * arms**1.5)
    colour = ramp(value, SKY)
    for cx, cy, radius in stars:
        d = np.hypot(x - cx, y - cy) / radius
        rings = 1.05 - d + 0.10 * np.cos(16 * d)
        colour += (ramp(rings, GLOW) - colour) * np.exp(-(d**4))[:, None]
    mx, my, _ = stars[0]
    crescent = (np.hypot(x - mx, y - my) < 0.075) & (np.hypot(x - mx + 0.035, y - my + 0.02) > 0.062)
    colour[crescent] = hexes("f08a1c")
    depth = ((y - _ridge(x, phase)) / 0.22).clip(0)
    furrows = np.sin(24 * depth**0.8 + 7 * x + 2 * np.sin(5 * x + phase[4]) + phase[5])
    ground = ramp(0.42 + 0.36 * furrows - 0.15 * depth, LAND)
    land = depth > 0
    colour[land] = ground[land]
    return colour
