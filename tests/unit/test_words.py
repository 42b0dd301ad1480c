"""The words of neuralstyle/_words.py are those that the library knows."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from neuralstyle import _words, samples
from neuralstyle.encoders.vgg import NETWORKS
from neuralstyle.optimizers import OPTIMIZERS
from neuralstyle.recipes import RECIPES, SCHEDULES

TABLES: dict[str, Iterable[str]] = {
    "SCHEDULE_NAMES": SCHEDULES,
    "RECIPE_NAMES": RECIPES,
    "OPTIMIZER_NAMES": OPTIMIZERS,
    "NETWORK_NAMES": NETWORKS,
    "PAINTINGS": [name for name, value in vars(samples).items() if hasattr(value, "draw")],
}


@pytest.mark.parametrize("name", TABLES)
def test_names_are_the_keys_of_a_table(name: str) -> None:
    assert sorted(getattr(_words, name)) == sorted(TABLES[name])


def test_every_list_has_words_and_none_of_them_twice() -> None:
    lists = {name: value for name, value in vars(_words).items() if isinstance(value, tuple)}
    assert len(lists) > 10
    assert [name for name, words in lists.items() if not words or len(set(words)) < len(words)] == []
