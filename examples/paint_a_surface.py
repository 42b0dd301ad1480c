# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Paint a surface
#
# A small differentiable renderer shows a vase from any side. Its texture is changed until the pictures of the vase
# look painted: first by `NearestNeighborLoss`, then by Gram matrices. The vase is then seen from three sides that
# were never trained.

# %%
import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralstyle import (
    ContentLoss,
    FeatureExtractor,
    GramStyleLoss,
    LossSum,
    Objective,
    Style,
    TotalVariationLoss,
    load_image,
    samples,
    save_image,
)
from neuralstyle.losses import MeanStdLoss, NearestNeighborLoss

SIZE = 160  # height of a view in pixels; it is three quarters as wide
STEPS = 120  # of the optimiser, each at one view
VIEWS = 10  # views that are trained
RESULT = Path("painted-surface.png")

# %% [markdown]
# ## A renderer
#
# The vase is a curve turned around its axis. A ray of each pixel is followed until it meets the surface; the place
# there is an angle and a height, and these are the coordinates of the texture. Only the look-up in the texture and
# the light depend on it, so a view of a fixed vase is computed once.


# %%
@dataclass
class View:
    """Where each ray meets the surface, for a picture of (h, w) = (2 SIZE, 3/2 SIZE), twice the result's sides."""

    places: Tensor  # (1, h, w, 2), coordinates of the texture in [-1, 1]
    light: Tensor  # (1, 1, h, w)
    hit: Tensor  # the same, 1 where a ray meets the vase


def radius(height: Tensor) -> Tensor:
    """The radius of the vase at a height in [-1, 1]."""
    return 0.44 + 0.2 * torch.cos(2.5 * (height + 0.2)) + 0.17 * torch.exp(-(((height - 1) / 0.22) ** 2))


def distance(at: Tensor) -> Tensor:
    """About how far a place (..., 3) is from the vase."""
    return torch.maximum(at[..., :2].norm(dim=-1) - radius(at[..., 2].clamp(-1, 1)), at[..., 2].abs() - 1)


def look(azimuth: float, elevation: float, size: int = SIZE) -> View:
    """The view from a direction, in degrees."""
    a, e = math.radians(azimuth), math.radians(elevation)
    forward = -torch.tensor([math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)])
    right = torch.tensor([-math.sin(a), math.cos(a), 0.0])
    up = torch.linalg.cross(right, forward)
    down, across = ((torch.arange(count) + 0.5 - count / 2) / size for count in (2 * size, size * 3 // 2))
    at = 3 * -forward + 1.1 * (across[None, :, None] * right - down[:, None, None] * up)
    for _ in range(70):  # towards the surface, by less than the distance to it
        at = at + 0.5 * distance(at)[..., None] * forward
    hit = distance(at).abs() < 0.01
    height, angle = at[..., 2], torch.atan2(at[..., 1], at[..., 0])
    slope = (radius(height + 0.01) - radius(height - 0.01)) / 0.02
    normal = F.normalize(torch.stack([angle.cos(), angle.sin(), -slope], 2), dim=2)
    sun = F.normalize(-forward + 0.6 * up - 0.5 * right, dim=0)
    light = (0.35 + 0.65 * (normal @ sun).clamp(min=0)).where(height < 0.99, 0.15)  # the mouth is dark
    places = torch.stack([angle / math.pi, -height], 2)
    return View(places[None], light[None, None], hit.float()[None, None])


def render(texture: Tensor, view: View) -> Tensor:
    """A picture of the vase with a texture (1, 3, h, w), whose left and right side meet."""
    wrapped = torch.cat([texture, texture[..., :1]], 3)
    colors = F.grid_sample(wrapped, view.places, align_corners=True)
    return F.avg_pool2d(view.hit * view.light * colors + (1 - view.hit) * 0.9, 2)


# %% [markdown]
# ## A vase without paint
#
# Glazed bands, a row of discs and a wave.


# %%
def glaze(height: int, width: int) -> Tensor:
    """The texture of the vase before it is painted, (1, 3, height, width)."""
    y, x = torch.meshgrid(torch.linspace(1, -1, height), torch.arange(width) / width * 2 * math.pi, indexing="ij")
    colors = (0.7, 0.36, 0.22), (0.93, 0.87, 0.72), (0.2, 0.3, 0.5)
    clay, cream, blue = (torch.tensor(color)[:, None, None] for color in colors)
    texture = clay.expand(3, height, width)
    disc = (torch.sin(4 * x) ** 2 + ((y + 0.2) / 0.2) ** 2) < 0.8
    wave = (y - 0.5 - 0.08 * torch.sin(8 * x)).abs() < 0.05
    bands = ((y - 0.3).abs() < 0.05) | ((y + 0.7).abs() < 0.06)
    texture = torch.where(disc | bands, cream, texture)
    texture = torch.where(wave | (y > 0.8), blue, texture)
    return texture[None].contiguous()


original = glaze(SIZE, 2 * SIZE)
views = [look(360 * index / VIEWS, (8, 28)[index % 2]) for index in range(VIEWS)]
unseen = [look(azimuth, elevation) for azimuth, elevation in ((18, 18), (130, 4), (251, 33))]

# %% [markdown]
# ## An objective for each view
#
# The content of a view is the vase without paint, seen from there. The style goes where the vase is: `region`.

# %%
painting = load_image(samples.painting("swirl", size=256))
encoder = FeatureExtractor(pooling="l2", padding="replicate", layers=["relu4_1"])


def objective_of(view: View, losses: LossSum) -> Objective:
    region = F.avg_pool2d(view.hit, 2)[0]
    return Objective(encoder, losses, content=render(original, view), styles=[Style(painting, region=region)])


def paint(losses: LossSum) -> Tensor:
    """The texture with which all views look painted."""
    objectives = [objective_of(view, losses) for view in views]
    texture = original.clone().requires_grad_()
    optimizer = torch.optim.Adam([texture], lr=0.03)
    smooth = TotalVariationLoss()
    for step in range(STEPS):
        index = step * 3 % VIEWS
        optimizer.zero_grad()
        value = objectives[index](render(texture, views[index])) + 0.3 * smooth(texture)
        value.backward()
        optimizer.step()
        with torch.no_grad():
            texture.clamp_(0, 1)
    return texture.detach()


# %%
fine = ("relu2_1", "relu3_1")
colors = MeanStdLoss(("relu1_1", *fine))
nearest = ContentLoss("relu4_1") + 20 * NearestNeighborLoss(fine, centered=True) + 6 * colors
gram = ContentLoss("relu4_1") + 20 * GramStyleLoss(("relu1_1", *fine, "relu4_1"), normalization="relative") + colors
textures = [original, paint(nearest), paint(gram)]

# %% [markdown]
# ## From three sides that were not trained
#
# Above the vase without paint, below it nearest neighbours and Gram matrices.

# %%
with torch.no_grad():
    rows = [torch.cat([render(texture, view) for view in unseen], 3) for texture in textures]
save_image(torch.cat(rows, 2), RESULT, overwrite=True)
