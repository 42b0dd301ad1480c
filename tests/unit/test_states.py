"""State files of paintings: what they hold is checked, and whose they are is known before the work."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch

from neuralstyle.checkpoint import load_state, save_state
from neuralstyle.feedforward import TransformerNet, load_model
from neuralstyle.feedforward.journal import Checkpoints
from neuralstyle.feedforward.models import KIND as KIND_OF_NETWORKS
from neuralstyle.feedforward.options import StateFolder
from neuralstyle.painting.options import StateFile
from neuralstyle.painting.resume import RunState, check_state, is_state_of

KIND = "neuralstyle run"
SETTINGS = {"losses": "a", "style": "b"}
OTHERS = {"losses": "a", "style": "c"}


def minimum(**changes: object) -> dict[str, Any]:
    picture = torch.full((1, 3, 16, 16), 0.5)
    whole = {"walk": {"image": picture, "x": 1}, "kept": picture, "lowest": 1.5, "count": 3, "steps": 2}
    return {key: value for key, value in {**whole, **changes}.items() if value is not ...}


def state(changes: Mapping[Any, object] = MappingProxyType({})) -> dict[Any, Any]:
    whole = {"stage": 0, "iteration": 3, "elapsed": 0.5, "minimum": minimum(), "settings": SETTINGS}
    return {key: value for key, value in {**whole, **changes}.items() if value is not ...}


@pytest.fixture
def file(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path / "run.state")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"iteration": ...}, "it has no 'iteration'"),
        ({"settings": ...}, "it has no 'settings'"),
        ({"minimum": ...}, "it has no 'minimum'"),
        ({"stage": -1}, "stage is -1, not a whole number"),
        ({"iteration": 1.0}, "iteration is 1.0, not a whole number"),
        ({"elapsed": "soon"}, "elapsed is 'soon', not a finite number of at least 0"),
        ({"elapsed": math.inf}, "elapsed is inf, not a finite number"),
        ({"settings": {"losses": 3}}, "settings['losses'] is 3, not a text"),
        ({"settings": ["losses"]}, "settings is a list, not values by name"),
        ({"minimum": minimum(kept=...)}, "minimum has no 'kept'"),
        ({"minimum": minimum(kept=torch.zeros(1, 3, 16))}, "expected the shape (1, 3, any, any)"),
        ({"minimum": minimum(kept=torch.zeros(1, 3, 16, 16, dtype=torch.uint8))}, "not one of floating numbers"),
        ({"minimum": minimum(walk={})}, "minimum['walk'] has no 'image'"),
        ({"minimum": minimum(walk=3)}, "minimum['walk'] is 3, not values by name"),
        ({"minimum": minimum(lowest=math.nan)}, "minimum['lowest'] is nan, not a number"),
        ({"more": 1}, "it has 'more', which does not belong there"),
        ({3: 1}, "it has 3 as a key, which is not a text"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_state_with_other_entries_is_named(file: StateFile, changes: Any, words: str) -> None:
    save_state(file.path, state(changes), kind=KIND)
    with pytest.raises(ValueError, match=r"run\.state is damaged") as caught:
        check_state(file, SETTINGS)
    assert words in str(caught.value)
    assert len(str(caught.value)) - len(str(file.path)) < 300


def test_a_whole_state_is_taken(file: StateFile) -> None:
    save_state(file.path, state(), kind=KIND)
    found = check_state(file, SETTINGS)
    assert found is not None
    assert found["minimum"]["walk"]["x"] == 1


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "settings alone"])
def test_a_state_is_of_the_run_with_its_settings_and_of_no_other(file: StateFile, whole: bool) -> None:
    assert not is_state_of(file, SETTINGS)  # there is none
    save_state(file.path, state() if whole else {"settings": SETTINGS}, kind=KIND)
    assert is_state_of(file, SETTINGS)
    assert not is_state_of(file, OTHERS)
    assert not is_state_of(file, {**SETTINGS, "more": "d"})
    assert not is_state_of(file, {"losses": "a"})


def test_a_run_killed_at_its_start_is_started_anew_with_other_settings(file: StateFile) -> None:
    save_state(file.path, {"settings": SETTINGS}, kind=KIND)
    assert check_state(file, OTHERS) is None
    RunState(file, OTHERS)
    assert load_state(file.path, kind=KIND) == {"settings": OTHERS}


def test_flipped_bits_in_a_picture_are_found(file: StateFile) -> None:
    save_state(file.path, state(), kind=KIND)
    whole = bytearray(Path(file.path).read_bytes())
    start = 8 + int.from_bytes(whole[:8], "little")
    for place in torch.randint(start, len(whole), (200,), generator=torch.Generator().manual_seed(0)).tolist():
        whole[place] ^= 1  # of the mantissa or the exponent, a value that looks as well as any other
    Path(file.path).write_bytes(whole)
    with pytest.raises(ValueError, match=r"run\.state is damaged .*checksum"):
        check_state(file, SETTINGS)


# --- whole files with other contents, as a program that is not ours could write them


def others(draw: random.Random) -> Any:
    """Something that belongs nowhere in a state."""
    return draw.choice(
        [None, True, -1, 2**70, math.nan, -math.inf, "x" * 2000, "line\nline", [], {}, (), [[[]]], {"a": {5: ()}},
         torch.zeros(0), torch.zeros(2, 3), torch.zeros(1, dtype=torch.int64), torch.full((1, 3, 4, 4), math.nan)]
    )  # fmt: skip


def changed(value: Any, draw: random.Random) -> Any:
    """A state in which one thing somewhere is another, is missing, or is too many."""
    if not isinstance(value, dict) or not value or draw.random() < 0.15:
        return others(draw)
    found, key = dict(value), draw.choice(list(value))
    kind = draw.random()
    if kind < 0.15:
        del found[key]
    elif kind < 0.25:
        found[draw.choice(["more", 3, "line\nline", "x" * 2000])] = others(draw)
    else:
        found[key] = changed(found[key], draw)
    return found


def network_state() -> dict[str, Any]:
    weights = dict(TransformerNet(1, 1, seed=0).state_dict())
    return {"architecture": {"width": 1, "blocks": 1}, "weights": weights}


def training_state() -> dict[str, Any]:
    entry = {"step": torch.tensor(1.0), "exp_avg": torch.zeros(2), "exp_avg_sq": torch.zeros(2)}
    return {"step": 1, "elapsed": 2.5, "network": {"w": torch.zeros(2)}, "optimizer": [entry], "settings": SETTINGS}


@pytest.mark.parametrize(
    ("make", "kind", "name", "load"),
    [
        (state, KIND, "run.state", lambda path: check_state(StateFile(path), SETTINGS)),
        (network_state, KIND_OF_NETWORKS, "a.safetensors", load_model),
        (
            training_state,
            "training run",
            "state.safetensors",
            lambda path: Checkpoints(StateFolder(path.parent), SETTINGS),
        ),
    ],
    ids=["painting", "network", "training"],
)
def test_states_that_others_have_written_are_taken_or_refused_in_one_short_line(
    tmp_path: Path, make: Any, kind: str, name: str, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda file: None)
    path, errors = tmp_path / name, []
    for number in range(120):
        save_state(path, changed(make(), random.Random(number)), kind=kind)
        try:
            load(path)
        except ValueError as error:
            errors.append(str(error))
    assert len(errors) > 90
    assert all(str(path) in error or str(path.parent) in error for error in errors)
    assert not any("\n" in error for error in errors)
    assert max(len(error.replace(str(path), name)) for error in errors) <= 300
