"""A glass mosaic: rosettes of small bevelled tiles, and bands of tiles that follow them through a blue ground."""

from __future__ import annotations

import numpy as np
from PIL import Image

from neuralstyle.samples._canvas import hexes, noise, ramp, relief, step, supersampling, to_picture

TILE = 1 / 52  # side of a tile, in sides of the picture
GROUT = hexes("15100f")[0]
GOLD = hexes("8a5a12", "d99a22", "f6cf5a")
PETALS = (
    hexes("5c0620", "b3122e", "e8433a", "f79a4b"),
    hexes("0a4a3a", "0f8a5a", "57c06a", "d7e36b"),
    hexes("3a0f63", "7a2fa0", "c45fc0", "f3b6d0"),
    hexes("8c2f06", "e0660f", "f9a826", "fdeaa0"),
    hexes("06406b", "0b87a8", "4cc8c4", "d6f2dc"),
)
GROUND = hexes("0a1648", "10307c", "1650a8", "1480b0", "2bb5b0", "8fe0c4")
# x, y, radius in tiles, petals, palette
ROSETTES = (
    (0.47, 0.45, 13, 8, 0), (0.86, 0.16, 8, 6, 3), (0.12, 0.13, 7, 6, 2), (0.88, 0.66, 9, 7, 4), (0.15, 0.82, 9, 6, 3),
    (0.58, 0.95, 7, 5, 2), (0.06, 0.47, 4, 5, 4), (0.54, 0.03, 4, 5, 1), (0.37, 0.76, 3, 4, 1), (0.98, 0.98, 5, 5, 0),
    (0.74, 0.42, 3, 4, 1),
)  # fmt: skip


def draw(size: int, rng: np.random.Generator) -> Image.Image:
    """Lay the mosaic, ``size`` x ``size`` pixels."""
    pixels = size * supersampling(size)
    axis = (np.arange(pixels, dtype=np.float32) + 0.5) / pixels
    x = axis[None, :] + 0.10 * TILE * noise(rng, pixels, 30, 110)
    y = axis[:, None] + 0.10 * TILE * noise(rng, pixels, 30, 110)

    # Each point belongs to the rosette whose rim is nearest, and lies in one of the rings around its centre.
    nearest = np.full((pixels, pixels), np.inf, np.float32)
    second, owner = nearest.copy(), np.zeros((pixels, pixels), np.int32)
    centres = np.array([r[:2] for r in ROSETTES]) + rng.normal(0, 0.012, (len(ROSETTES), 2))
    centres = centres.astype(np.float32)
    for i, ((cx, cy), rosette) in enumerate(zip(centres, ROSETTES, strict=True)):
        rim = np.hypot(x - cx, y - cy) - rosette[2] * TILE
        second = np.minimum(second, np.maximum(rim, nearest))
        owner[rim < nearest] = i
        nearest = np.minimum(nearest, rim)
    radius, petals, palette = (np.array([r[k] for r in ROSETTES], np.int16)[owner] for k in (2, 3, 4))
    distance = nearest / TILE + radius
    ring = np.floor(distance)
    sectors = np.maximum(np.round(2 * np.pi * (ring + 0.5) / 1.05), 1)
    turn = np.arctan2(y - centres[owner, 1], x - centres[owner, 0]) / (2 * np.pi) + 0.5
    place = turn * sectors + rng.uniform(0, 1, 256).astype(np.float32)[(ring.astype(np.int32) + 17 * owner) % 256]
    sector = np.floor(place)
    tile = owner * 7919 + ring.astype(np.int32) * 104729 + (sector % sectors).astype(np.int32) * 1299709 & 65535
    u, v = distance - ring - 0.5, place - sector - 0.5

    # Colours are looked up at the middle of a tile, so that each tile has one.
    angle = (sector + 0.5 - (place - turn * sectors)) / sectors * 2 * np.pi
    reach = (ring + 0.5) / radius
    edge = 0.34 + 0.64 * np.abs(np.cos(petals * angle / 2)) ** 0.8
    shades = np.stack(PETALS)
    luck = rng.uniform(0, 1, 65536).astype(np.float32)[tile]
    value = (1 - reach / edge + 0.35 * (luck - 0.5)).clip(0, 0.999) * 4
    colour = shades[palette, value.astype(int)]
    colour[reach > edge] = shades[(palette + 2) % len(PETALS), (luck > 0.55).astype(int)][reach > edge]
    outside = ring - radius
    ground = ramp(outside % 6 / 5 + 0.25 * (luck - 0.5), GROUND)
    colour = np.where((outside >= 0)[..., None], ground, colour)
    gold = (reach < 0.2) | (outside == 0) | (outside == 7) | (luck > 0.985)
    colour = np.where(gold[..., None], ramp(luck * 7 % 1, GOLD), colour)
    glaze = 1 + 0.16 * rng.normal(0, 1, 65536).astype(np.float32)[tile] + 0.05 * noise(rng, pixels, 120, 240)
    colour *= glaze[..., None]

    # The inside of a tile: how far its edge is, in tiles; every tile is set a little askew and catches light.
    inset = np.minimum(np.minimum(0.5 - np.abs(u), 0.5 - np.abs(v)), (second - nearest) / 2 / TILE)
    inset -= 0.48 * np.abs(u * v) + 0.02 * noise(rng, pixels, 200)
    glass = step(inset, 0.055, 0.05)[..., None]
    tilt = rng.normal(0, 0.25, (2, 65536)).astype(np.float32)
    dome = step(inset, 0.12, 0.3) + tilt[0, tile] * u + tilt[1, tile] * v
    light = relief(dome, 4.0)[..., None]
    colour = colour * (1 + 0.5 * light) + 0.22 * light.clip(0, 1) ** 2
    grout = GROUT * (1 + 0.5 * noise(rng, pixels, 300)[..., None])
    return to_picture(grout * (1 - glass) + colour * glass, size)
