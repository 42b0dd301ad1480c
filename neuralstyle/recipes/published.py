"""The published methods by name."""

from __future__ import annotations

from collections.abc import Callable

from neuralstyle.recipes.default import DEFAULT_LOSSES
from neuralstyle.recipes.matching import li_wand, nnst, strotss
from neuralstyle.recipes.recipe import Recipe
from neuralstyle.recipes.statistics import crowson, gatys, heitz, johnson, risser


def _default() -> Recipe:
    return {"losses": DEFAULT_LOSSES}


RECIPES: dict[str, Callable[[], Recipe]] = {
    "default": _default,
    "gatys": gatys,
    "li-wand": li_wand,
    "johnson": johnson,
    "risser": risser,
    "strotss": strotss,
    "crowson": crowson,
    "heitz": heitz,
    "nnst": nnst,
}
"""Recipes by name, as ``--recipe`` takes them: this package's default, and published methods in the order of years."""
