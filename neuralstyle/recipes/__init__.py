"""Recipes: the default losses and schedules, and the field's methods, as data that you can print and change."""

from neuralstyle.recipes.default import (
    DEFAULT_LOSSES,
    DEFAULT_NETWORK,
    LUMINANCE_PIXEL_WEIGHT,
    STRENGTH_RANGE,
    STYLE_LOSSES,
    TEXTURE_LOSSES,
    losses_through,
    strength_factors,
    with_pixel_terms,
    with_style_loss,
)
from neuralstyle.recipes.matching import li_wand, nnst, strotss
from neuralstyle.recipes.published import RECIPES
from neuralstyle.recipes.recipe import Recipe, scales
from neuralstyle.recipes.schedules import (
    COMPACT_COST,
    LAST_ITERATIONS,
    PREVIEW_ITERATIONS,
    SCHEDULES,
    compact_stage,
    draft,
    preview,
    standard,
    why_without_compact,
)
from neuralstyle.recipes.statistics import crowson, gatys, heitz, johnson, risser

__all__ = [
    "COMPACT_COST",
    "DEFAULT_LOSSES",
    "DEFAULT_NETWORK",
    "LAST_ITERATIONS",
    "LUMINANCE_PIXEL_WEIGHT",
    "PREVIEW_ITERATIONS",
    "RECIPES",
    "SCHEDULES",
    "STRENGTH_RANGE",
    "STYLE_LOSSES",
    "TEXTURE_LOSSES",
    "Recipe",
    "compact_stage",
    "crowson",
    "draft",
    "gatys",
    "heitz",
    "johnson",
    "li_wand",
    "losses_through",
    "nnst",
    "preview",
    "risser",
    "scales",
    "standard",
    "strength_factors",
    "strotss",
    "why_without_compact",
    "with_pixel_terms",
    "with_style_loss",
]
