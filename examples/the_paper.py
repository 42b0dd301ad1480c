# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # The paper in ten cells
#
# [A Neural Algorithm of Artistic Style](https://arxiv.org/abs/1508.06576) (Gatys, Ecker and Bethge, 2015), written out:
# only the network is the library's. The last cell shows that the library's losses are the same numbers.
#
# **1.** Two pictures.

# %%
from pathlib import Path

import torch
from torch import Tensor

from neuralstyle import ContentLoss, FeatureExtractor, GramStyleLoss, Objective, load_image, samples, save_image

SIZE = 160  # longest side in pixels
STEPS = 60
RESULT = Path("the-paper.png")

photo = load_image(samples.photo(), SIZE)
painting = load_image(samples.painting("swirl", size=256), SIZE)

# %% [markdown]
# **2.** The network: VGG-19 with average pooling, as the paper advises, and layers whose mean activation is 1.

# %%
style_layers = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
content_layer = "relu4_2"
network = FeatureExtractor(pooling="average", layers=[*style_layers, content_layer])


def features(image: Tensor) -> dict[str, Tensor]:
    """At each layer F, (N, M): N feature maps at M positions."""
    return {name: maps[0].flatten(1) for name, maps in network(image, [*style_layers, content_layer]).items()}


# %% [markdown]
# **3.** The content: half the squared difference of features at one deep layer (equation 1), here as a mean.


# %%
def content_loss(F: Tensor, P: Tensor) -> Tensor:
    return 0.5 * (F - P).square().mean()


# %% [markdown]
# **4.** The style: which features occur together, wherever they are. This is the Gram matrix (equation 3), divided by
# the number of positions.


# %%
def gram(F: Tensor) -> Tensor:
    return F @ F.T / F.shape[1]


# %% [markdown]
# **5.** The distance of two Gram matrices (equation 4).


# %%
def style_loss(G: Tensor, A: Tensor) -> Tensor:
    return (G - A).square().sum() / (4 * len(G) ** 2)


# %% [markdown]
# **6.** The targets never change: the photograph's features and the painting's Gram matrices.

# %%
P = features(photo)[content_layer].detach()
A = {name: gram(F).detach() for name, F in features(painting).items() if name in style_layers}

# %% [markdown]
# **7.** The total loss (equation 7). `beta` is the paper's weight of the style: turn it.

# %%
alpha, beta = 1.0, 30.0


def total(image: Tensor) -> Tensor:
    F = features(image)
    style = sum(style_loss(gram(F[name]), A[name]) for name in style_layers) / len(style_layers)
    return alpha * content_loss(F[content_layer], P) + beta * style


# %% [markdown]
# **8.** Only the pixels change, by L-BFGS. The paper starts from white noise; starting from the photograph is quicker.

# %%
image = photo.clone().requires_grad_()
optimizer = torch.optim.LBFGS([image], max_iter=STEPS, history_size=20, line_search_fn="strong_wolfe")
before = total(image).item()


def closure() -> Tensor:
    optimizer.zero_grad()
    value = total(image)
    value.backward()
    return value


optimizer.step(closure)
after = total(image).item()
print(f"{before:.3f} -> {after:.3f}")

# %% [markdown]
# **9.** The picture.

# %%
painted = image.detach().clamp(0, 1)
save_image(painted, RESULT, overwrite=True)

# %% [markdown]
# **10.** The same in the library's words. From here on there are masks, regions, tiles, several styles and better
# optimisers, without another line: `stylize(photo, painting, losses=losses, encoder=network)`.

# %%
losses = alpha * ContentLoss(content_layer) + beta * GramStyleLoss(style_layers)
objective = Objective(network, losses, content=photo, styles=[painting])
ours, theirs = total(painted).item(), objective(painted).item()
print(f"written out: {ours:.5f}, the library: {theirs:.5f}")
