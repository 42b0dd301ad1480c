"""A fire in thick oil: tongues of flame that follow the rising, curling air, and sparks in the dark above."""

from __future__ import annotations

import numpy as np
from PIL import Image

from neuralstyle.samples._canvas import Array, Canvas, hexes, ramp

HEAT = hexes("140a1c", "2c0a1e", "560b1a", "9a1212", "d2300d", "ee5d0c", "f98c14", "ffb627", "ffdc5c")
# x, y, radius and strength of the whirls in the rising air
CURLS = ((0.22, 0.36, 0.10, 0.10), (0.55, 0.22, 0.12, -0.12), (0.80, 0.42, 0.10, 0.11), (0.44, 0.55, 0.08, -0.07))


def draw(size: int, rng: np.random.Generator) -> Image.Image:
    """Paint the picture, ``size`` x ``size`` pixels."""
    phase = rng.uniform(0, 2 * np.pi, 12)
    curls = np.array(CURLS)
    curls[:, :2] += rng.normal(0, 0.03, (len(curls), 2))

    def stream(x: Array, y: Array) -> Array:
        """Return the stream function, constant along the paths of the air: flames follow its levels."""
        rise = 1.3 - y
        value = x + rise * (
            0.11 * np.sin(8 * y + 3 * x + phase[0])
            + 0.055 * np.sin(14 * y - 8 * x + phase[1])
            + 0.022 * np.sin(27 * y + 15 * x + phase[2])
        )
        for cx, cy, radius, strength in curls:
            value = value + strength * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / radius**2)
        total: Array = value
        return total

    def flow(p: Array) -> Array:
        x, y, e = p[..., 0], p[..., 1], 1e-3
        across = stream(x, y + e) - stream(x, y - e)
        up = stream(x - e, y) - stream(x + e, y)
        air = np.stack([across, up], -1)
        unit: Array = air / (np.linalg.norm(air, axis=-1, keepdims=True) + 1e-9)
        return unit

    def scene(p: Array) -> Array:
        x, y = p[:, 0], p[:, 1]
        level = stream(x, y)
        waves = ((1.7, 0.8), (4.3, 1.0), (9.1, 0.8), (19.0, 0.45))
        tongue = sum(a * np.cos(2 * np.pi * f * level + phase[3 + i]) for i, (f, a) in enumerate(waves))
        lick = np.sin(9 * y + 2.5 * np.cos(2 * np.pi * 4.3 * level + phase[8]) + 5 * level + phase[9])
        heat = 0.85 * y - 0.02 + 0.17 * tongue + 0.16 * lick + 0.06 * np.sin(60 * level + phase[10])
        colours: Array = ramp(heat, HEAT)
        return colours

    canvas = Canvas(size, scene)
    for count, length, width, vary in (
        (800, 0.18, 0.026, 0.05),
        (1800, 0.11, 0.013, 0.07),
        (3600, 0.065, 0.007, 0.09),
    ):
        centres = rng.uniform(-0.03, 1.03, (count, 2)).astype(np.float32)
        colours = scene(centres) * (1 + rng.normal(0, 2 * vary, (count, 1))) + rng.normal(0, vary / 4, (count, 3))
        canvas.strokes(rng, centres, colours.astype(np.float32), flow, length=length, width=width, streaks=0.16)
    sparks = rng.uniform(0, 1, (260, 2)).astype(np.float32) * [1, 0.75]
    glow = ramp(rng.uniform(0.5, 1, len(sparks)), HEAT).astype(np.float32)
    canvas.strokes(rng, sparks.astype(np.float32), glow, flow, length=0.014, width=0.005)
    return canvas.lit(rng)
