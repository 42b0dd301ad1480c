# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A first picture
#
# A photograph, a painting, and one call. The pictures come with the package; put the names of your own files in their
# place.

# %%
from pathlib import Path

import neuralstyle
from neuralstyle import samples, save_image, stylize

SIZE = 256  # longest side of the result in pixels
RESULT = Path("first-picture.png")

photo = samples.photo()
painting = samples.painting("swirl")
neuralstyle.show([photo, painting], ["the photograph", "the painting"])

# %% [markdown]
# ## A look
#
# `schedule="preview"` needs a few seconds: enough to see whether the two suit each other.

# %%
look = stylize(photo, painting, size=SIZE, schedule="preview")
look

# %% [markdown]
# ## How much of the painting
#
# `strength` is the dial to turn first: 0 is nearly the photograph, 1 nearly all painting.

# %%
strengths = (0.3, 0.5, 0.7)
pictures = [stylize(photo, painting, size=SIZE, schedule="preview", strength=strength) for strength in strengths]
neuralstyle.show(pictures, [f"strength {strength}" for strength in strengths])

# %% [markdown]
# ## The picture
#
# The default schedule goes on where the preview ends, and finishes through VGG-19. `init=look` starts from the look,
# so its work is not done twice.

# %%
schedule = neuralstyle.recipes.SCHEDULES
done = len(schedule["preview"](SIZE, None))
image = stylize(photo, painting, size=SIZE, schedule=schedule["standard"](SIZE, None)[done:], init=look)
save_image(image, RESULT, overwrite=True)
image
