# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Train a network of your own
#
# A network turns photographs into paintings in one pass. It is trained with the library's losses: the content of each
# picture of a batch is the photograph that it was made from. (`neuralstyle train` does the same with more care.)

# %%
from pathlib import Path

import torch
from torch import Tensor, nn

from neuralstyle import (
    ContentLoss,
    FeatureExtractor,
    GramStyleLoss,
    Objective,
    TotalVariationLoss,
    load_image,
    samples,
    save_image,
)
from neuralstyle.losses import MeanStdLoss

SIDE = 96  # of the crops that are shown to the network, in pixels
BATCH = 2
STEPS = 300
RESULT = Path("trained-network.png")

# %% [markdown]
# ## The network
#
# It halves the picture twice, computes, and doubles it twice; what it adds to the photograph is learned. It is added
# before a sigmoid, so that all colours stay in [0, 1] and none is stuck at an end.


# %%
def block(before: int, after: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, 3, stride, padding=1, padding_mode="replicate")
    return [convolution, nn.InstanceNorm2d(after, affine=True), nn.ReLU()]


def double(before: int, after: int) -> list[nn.Module]:
    return [nn.Upsample(scale_factor=2), *block(before, after)]


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        inside = [*block(32, 32), *block(32, 32), *block(32, 32)]
        self.layers = nn.Sequential(*block(3, 16, 2), *block(16, 32, 2), *inside, *double(32, 24), *double(24, 16))
        self.color = nn.Conv2d(16, 3, 3, padding=1, padding_mode="replicate")

    def forward(self, photos: Tensor) -> Tensor:
        height, width = photos.shape[2:]
        whole = nn.functional.pad(photos, (0, -width % 4, 0, -height % 4), mode="replicate")
        change = self.color(self.layers(whole))[..., :height, :width]
        return (torch.logit(photos, eps=0.02) + change).sigmoid()


# %% [markdown]
# ## The photographs
#
# Crops of one photograph are enough here; use many photographs for a network that knows more than one scene.

# %%
torch.manual_seed(0)
photo = load_image(samples.photo(), 256)
painting = load_image(samples.painting("swirl", size=256))


def crops() -> Tensor:
    """A batch of random pieces of the photograph, some of them mirrored."""
    pieces = []
    for _ in range(BATCH):
        top, left = (int(torch.randint(side - SIDE + 1, ())) for side in photo.shape[2:])
        piece = photo[:, :, top : top + SIDE, left : left + SIDE]
        pieces.append(piece.flip(3) if torch.rand(()) < 0.5 else piece)
    return torch.cat(pieces)


# %% [markdown]
# ## The loop
#
# The targets of the painting are computed once. `with_pictures` gives the objective the next batch of photographs, and
# `backward` takes the gradient through it into the network.

# %%
layers = ("relu1_1", "relu2_1", "relu3_1")
losses = ContentLoss("relu3_1") + 30 * GramStyleLoss(layers, normalization="relative")
losses += 2 * MeanStdLoss(layers) + 2 * TotalVariationLoss()
encoder = FeatureExtractor(pooling="l2", padding="replicate", layers=["relu3_1"])
objective = Objective(encoder, losses, content=crops(), styles=[painting])

network = Network()
optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
for step in range(STEPS):
    photos = crops()
    optimizer.zero_grad()
    value = objective.with_pictures(content=photos)(network(photos))
    value.backward()
    optimizer.step()
    if step % 20 == 0:
        print(f"step {step:4}: {value.item():.3f}")

# %% [markdown]
# ## The photograph, and what the network makes of it

# %%
with torch.no_grad():
    result = network(photo)
save_image(torch.cat([photo, result], 3), RESULT, overwrite=True)
