"""Properties that hold for all inputs, tried on many."""

from __future__ import annotations

import copy
import math
import tempfile
from pathlib import Path
from typing import Any

import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from neuralstyle import GramStyleLoss, Stage, Style
from neuralstyle._records import LossTable
from neuralstyle.checkpoint import describe, load_state, save_state
from neuralstyle.color import oklab_to_rgb, rgb_to_oklab
from neuralstyle.files import NumberedFiles
from neuralstyle.images import Pixels, fit_size, longest_side, resize_image

settings.register_profile("quick", max_examples=60, deadline=None, database=None, derandomize=True)
settings.load_profile("quick")

SIDES = st.integers(1, 5000)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = FINITE | st.integers(-(2**40), 2**40)
LETTERS = "aZ0 .\"'\\\n\0ß漢🙂"
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.just(math.inf) | st.text(LETTERS, max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(LETTERS, max_size=4) | st.integers(-9, 9), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(SIDES, SIDES, SIDES)
@example(1, 5000, 1)
def test_a_fitted_size_has_the_longest_side_and_the_aspect(height: int, width: int, longest: int) -> None:
    fitted = fit_size(height, width, longest)
    assert max(fitted) == longest
    scale = longest / max(height, width)
    assert all(
        side == 1 or abs(side - scale * given) <= 0.5 for side, given in zip(fitted, (height, width), strict=True)
    )


@given(st.integers(256, 10**7), st.integers(16, 3000), st.integers(16, 3000))
def test_a_number_of_pixels_is_not_exceeded_and_nearly_reached(pixels: int, height: int, width: int) -> None:
    assume(pixels > 1000 * max(height, width) / min(height, width))
    longest = longest_side(Pixels(pixels), height, width)
    assert math.prod(fit_size(height, width, longest)) <= pixels
    assert math.prod(fit_size(height, width, longest + 1)) > pixels


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 40), st.integers(1, 40), st.floats(0, 1))
def test_resizing_keeps_the_range_and_a_plain_picture(h: int, w: int, height: int, width: int, grey: float) -> None:
    noise = torch.rand(1, 3, h, w, generator=torch.Generator().manual_seed(h + 13 * w))
    resized = resize_image(noise, (height, width))
    assert resized.shape == (1, 3, height, width)
    assert resized.min() >= 0
    assert resized.max() <= 1
    plain = resize_image(torch.full((1, 3, h, w), grey), (height, width))
    assert (plain - grey).abs().max() < 1e-5


@given(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3))
@example([0.0, 0.0, 0.0])
@example([1.0, 1.0, 1.0])
@example([0.0, 0.0, 1.0])
def test_colours_come_back_from_oklab(rgb: list[float]) -> None:
    color = torch.tensor(rgb, dtype=torch.float64).view(1, 3, 1, 1)
    assert (oklab_to_rgb(rgb_to_oklab(color)) - color).abs().max() < 1e-6


NAMES = st.text("a09.-_ \n$(*ß漢🙂", max_size=10)


@given(
    NAMES, st.sampled_from(["{}", "{:04d}", "%d", "%04d", "{:d}"]), NAMES, st.sets(st.integers(0, 10**6), max_size=4)
)
def test_numbered_files_have_names_of_their_own(before: str, field: str, after: str, numbers: set[int]) -> None:
    files = NumberedFiles(f"folder/{before}{field}{after}")
    paths = {number: files.path(number) for number in numbers}
    assert len(set(paths.values())) == len(numbers)
    for number, path in paths.items():
        assert path.parent == Path("folder")
        middle = path.name[len(before) : len(path.name) - len(after)]
        assert int(middle) == number
        assert path.name == f"{before}{middle}{after}"


@given(
    st.sampled_from([".csv", ".jsonl"]),
    st.lists(st.text("aZ0 ,;\"'ß漢🙂\t", min_size=1, max_size=8), unique=True, max_size=3),
    st.lists(st.lists(FINITE, min_size=3, max_size=3), max_size=5),
    st.integers(0, 7),
)
def test_a_log_holds_the_rows_that_were_written(
    suffix: str, names: list[str], values: list[list[float]], before: int
) -> None:
    assume("iteration" not in names and "step" not in names)
    columns = ["iteration", *names]
    rows = [dict(zip(columns, [i + 1, *row], strict=False)) for i, row in enumerate(values)]
    with tempfile.TemporaryDirectory() as folder:
        table = LossTable(Path(folder) / f"log{suffix}")
        table.begin(columns)
        for row in rows:
            table.append(row)
        assert table.rows() == rows
        table.begin(columns, before)
        assert table.rows() == [row for row in rows if row["iteration"] < before]


@given(
    PLAIN, st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool]), st.integers(0, 9)
)
@settings(max_examples=40)
def test_a_state_comes_back_as_it_was(state: Any, dtype: torch.dtype, length: int) -> None:
    tensor = torch.arange(-3, length - 3).to(dtype)
    with tempfile.TemporaryDirectory() as folder:
        path = save_state(Path(folder) / "state", {"state": state, "tensor": tensor, "part": [tensor[:1]]})
        found = load_state(path)
    assert repr(found["state"]) == repr(state)  # types too, which == does not see
    assert found["tensor"].dtype == dtype
    assert torch.equal(found["tensor"], tensor)
    assert torch.equal(found["part"][0], tensor[:1])


@given(PLAIN)
def test_equal_data_has_one_description_and_other_data_another(data: Any) -> None:
    assert describe(data) == describe(copy.deepcopy(data))
    assert describe([data]) != describe([data, data])
    assert describe((data,)) != describe([data])


@given(st.floats(0, 100), st.floats(0.01, 100), st.integers(16, 10**6), st.floats(0, 100))
def test_descriptions_show_every_option(weight: float, scale: float, size: int, other: float) -> None:
    for kind, options, name in (
        (Style, {"image": "painting.jpg", "weight": weight, "scale": scale}, "weight"),
        (Stage, {"size": size, "iterations": 5}, "size"),
        (GramStyleLoss, {"layers": ("relu1_1", "relu2_1"), "layer_weights": (1.0, weight + 1)}, "layer_weights"),
    ):
        one = describe(kind(**options))
        assert one == describe(kind(**options))
        changed = {"weight": other, "size": size + 1, "layer_weights": (1.0, other + 1)}[name]
        assert (one == describe(kind(**{**options, name: changed}))) == (options[name] == changed)
