# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Regions
#
# Two paintings in one picture, each in a place of its own. A region is a grey picture over the result: the style goes
# where it is white.

# %%
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from neuralstyle import Style, samples, save_image, show, stylize
from neuralstyle.images import region_of_lightness

SIZE = 256  # longest side of the result in pixels
RESULT = Path("regions.png")

photo = samples.photo()
swirl, embers = samples.painting("swirl"), samples.painting("embers")

# %% [markdown]
# ## Drawn
#
# Any program that paints will do, and so will Pillow. Here the face is an ellipse with a soft edge.

# %%
face = Image.new("L", photo.size, 0)
width, height = photo.size
ImageDraw.Draw(face).ellipse((0.16 * width, 0.04 * height, 0.78 * width, 0.97 * height), fill=255)
face = face.filter(ImageFilter.GaussianBlur(width / 30))
around = Image.fromarray(255 - np.asarray(face))
show([photo, face, around], ["the photograph", "the face", "around it"])

# %%
drawn = stylize(photo, [Style(swirl, region=face), Style(embers, region=around)], size=SIZE, schedule="preview")
drawn

# %% [markdown]
# ## From the photograph's lightness
#
# One painting for the lights, another for the shadows. `softness` blurs the edge, by a share of the longest side.

# %%
lights = region_of_lightness(photo)
by_light = stylize(
    photo,
    [Style(embers, region=lights, softness=0.02), Style(swirl, region=1 - lights, softness=0.02)],
    size=SIZE,
    schedule="preview",
)

# %% [markdown]
# ## One region alone
#
# Where no style goes, the photograph stays.

# %%
alone = stylize(photo, Style(swirl, region=around), size=SIZE, schedule="preview")
show([drawn, by_light, alone], ["drawn", "by lightness", "around the face alone"])
save_image(drawn, RESULT, overwrite=True)
