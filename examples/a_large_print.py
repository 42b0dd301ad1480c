# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A large print
#
# Choose small, then paint large: the schedule, the memory and the file of a picture that hangs on a wall. The size
# here is small, so that the example is quick; 60 cm at 200 pixels per inch are 4724 pixels.

# %%
from pathlib import Path

from neuralstyle import Width, iterate, plan, samples, save_image, stylize

WIDTH = 384  # of the print, in pixels
TILE = 192  # longest side of a tile in pixels: bounds the memory
DPI = 200
RESULT = Path("large-print.tif")

photo, painting = samples.photo(), samples.painting("swirl")
print(f"{WIDTH / DPI * 2.54:.1f} cm wide")

# %% [markdown]
# ## Choose small
#
# The strokes keep their place and their share of the picture when it grows, so the strength can be chosen here.

# %%
small = stylize(photo, painting, size=Width(WIDTH // 4), schedule="preview", strength=0.5)
small

# %% [markdown]
# ## Look before you paint
#
# The plan has been checked, and estimates time and memory. Nothing is painted yet.

# %%
options = {"size": Width(WIDTH), "tile": TILE, "schedule": "draft", "strength": 0.5}
planned = plan(photo, painting, **options)
print(planned)
print(planned.estimate())

# %% [markdown]
# ## Paint
#
# `iterate` gives each step, so that the last one can be stored with more than 8 bits a channel. A tile does not change
# the picture, but for rounding: the gradient is that of the whole.

# %%
*_, last = iterate(stylize, photo, painting, progress=False, **options)
print(last.image().size)

# %% [markdown]
# ## The file
#
# 16 bits a channel and the resolution for the printer. This needs `pip install "neuralstyle[large]"`; without it leave
# `depth=16` out.

# %%
save_image(last.tensor(), RESULT, overwrite=True, depth=16, dpi=DPI)
