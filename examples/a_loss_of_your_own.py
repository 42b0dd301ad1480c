# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A loss of your own
#
# The painting is to give its *contrast* at each layer: how strongly features vary, whatever their mean. It takes ten
# lines, and then works with masks, regions, several styles, tiles and processes.

# %%
from pathlib import Path

import torch
from torch import Tensor

from neuralstyle import (
    DEFAULT_LOSSES,
    ContentLoss,
    StatisticLoss,
    TotalVariationLoss,
    samples,
    save_image,
    show,
    stylize,
)
from neuralstyle.testing import check_loss

SIZE = 192  # longest side of the result in pixels
RESULT = Path("own-loss.png")


# %% [markdown]
# ## The loss
#
# `statistic` is a sum over positions, linear in `weight`; the objective divides by the sum of the weights. `distance`
# compares two such means.


# %%
class Contrast(StatisticLoss):
    layers, reference = ("relu1_1", "relu2_1", "relu3_1"), "style"

    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:  # (B, C, N) features, (B, 1, N) weights
        return torch.stack([(x * weight).sum(2), (x.square() * weight).sum(2)], 1)

    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        ours, theirs = (self.variance(moments) for moments in (actual, target))
        return (ours - theirs).square().mean() / (theirs.square().mean() + 1e-6)

    def variance(self, moments: Tensor) -> Tensor:
        mean, square = moments.unbind(1)
        return (square - mean.square()).clamp(min=0)


# %% [markdown]
# ## Is it one?
#
# The checks that the library's own losses pass: shapes, linearity, gradients, tiles. Without an error it is sound.

# %%
check_loss(Contrast())

# %% [markdown]
# ## Alone, and beside the default
#
# Losses are multiplied by numbers and added.

# %%
photo, painting = samples.photo(), samples.painting("woodcut")
alone = ContentLoss("relu2_1") + 20 * Contrast() + 2 * TotalVariationLoss()
beside = DEFAULT_LOSSES + 20 * Contrast()
pictures = [
    stylize(photo, painting, size=SIZE, schedule="preview", losses=losses) for losses in (DEFAULT_LOSSES, alone, beside)
]
show(pictures, ["the default", "contrast alone", "the default and contrast"])
save_image(pictures[1], RESULT, overwrite=True)
