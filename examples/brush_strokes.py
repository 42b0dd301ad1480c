# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Gradients into a code
#
# Here nothing changes a pixel. A picture is made of a few hundred brush strokes, each a row of numbers: place, length,
# width, direction and colour. The objective's gradient goes through the picture into these numbers. Any generator that
# makes a picture from a code takes its place.

# %%
from pathlib import Path

import torch
from torch import Tensor

from neuralstyle import ContentLoss, FeatureExtractor, GramStyleLoss, Objective, load_image, samples, save_image
from neuralstyle.images import resize_image
from neuralstyle.losses import MeanStdLoss

SIZE = 128  # longest side of the picture in pixels
STROKES = 240
STEPS = 120
RESULT = Path("strokes.png")

# %% [markdown]
# ## From strokes to a picture
#
# A stroke is a soft ellipse, and covers those before it. Such a table has no pixels: it can be drawn at any size.

# %%
photo = load_image(samples.photo(), SIZE)
painting = load_image(samples.painting("swirl", size=256))
height, width = photo.shape[2:]


def draw(code: Tensor, times: int = 1) -> Tensor:
    """The picture of strokes (N, 9): place (2), length, width, direction (2), colour (3), at ``times`` its size."""
    rows, columns = ((torch.arange(times * side) + 0.5) / (times * SIZE) for side in (height, width))
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    place, size, direction, color = code.split((2, 2, 2, 3), 1)
    across, down = x - place[:, :1, None], y - place[:, 1:, None]
    cos, sin = torch.nn.functional.normalize(direction, dim=1)[:, :, None, None].unbind(1)
    long, thin = size.exp()[:, :, None, None].unbind(1)
    distance = ((across * cos + down * sin) / long) ** 2 + ((down * cos - across * sin) / thin) ** 2
    cover = torch.sigmoid(6 * (1 - distance))
    left = torch.cat([(1 - cover).flip(0).cumprod(0).flip(0)[1:], torch.ones_like(cover[:1])])  # by the later ones
    paint = (cover * left).flatten(1)
    picture = color.sigmoid().T @ paint + (1 - cover).prod(0).flatten() * 0.5
    return picture.view(1, 3, *y.shape)


# %% [markdown]
# ## The loop

# %%
torch.manual_seed(0)
start = torch.rand(STROKES, 9)
start[:, 0] *= width / SIZE
start[:, 1] *= height / SIZE
start[:, 2] = torch.linspace(-2.2, -3.4, STROKES)  # the first strokes are the largest; sizes are logarithms
start[:, 3] = start[:, 2] - 1
start[:, 4:6] -= 0.5
start[:, 6:] = torch.logit(
    photo[0, :, (start[:, 1] * SIZE).long().clamp(max=height - 1), (start[:, 0] * SIZE).long().clamp(max=width - 1)].T,
    eps=0.02,
)
code = start.requires_grad_()

layers = ("relu1_1", "relu2_1", "relu3_1")
losses = 20 * ContentLoss("image") + 2 * ContentLoss("relu3_1") + 3 * MeanStdLoss(layers)
losses += 5 * GramStyleLoss(layers, normalization="relative")
encoder = FeatureExtractor(pooling="l2", padding="replicate", layers=["relu3_1"])
objective = Objective(encoder, losses, content=photo, styles=[painting])

optimizer = torch.optim.Adam([code], lr=0.02)
for step in range(STEPS):
    optimizer.zero_grad()
    value = objective(draw(code))
    value.backward()
    optimizer.step()
    if step % 20 == 0:
        print(f"step {step:4}: {value.item():.3f}")

# %%
with torch.no_grad():
    large = resize_image(load_image(samples.photo()), (3 * height, 3 * width))
    save_image(torch.cat([large, draw(code, times=3)], 3), RESULT, overwrite=True)
