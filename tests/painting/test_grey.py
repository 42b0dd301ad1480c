"""Grey stays grey: where neither the content nor a style has colours, the result has none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from doubles import painting, sgd_of
from PIL import Image
from torch import Tensor

from neuralstyle import (
    LBFGS,
    Adam,
    Noise,
    Objective,
    Progress,
    Style,
    load_image,
    plan,
    reconstruct_content,
    samples,
    stylize,
    synthesize_texture,
)
from neuralstyle.color import MATCHINGS, recolor_style, rgb_to_oklab
from neuralstyle.color.grey import is_grey, to_grey

OPTIONS: Any = {"size": 48, "iterations": 6, "progress": False}


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    """A grey photograph."""
    picture = samples.photo()
    picture.thumbnail((48, 48))
    return picture.convert("L")


@pytest.fixture(scope="module")
def drawing() -> Image.Image:
    """A grey painting, as a file in colours has it: one level of chroma here and there."""
    pixels = np.repeat(np.asarray(painting("swirl", 64).convert("L"))[:, :, None], 3, 2)
    return Image.fromarray(pixels - (np.indices(pixels.shape).sum(0) % 7 == 0) * (pixels > 0).astype(np.uint8))


def chroma(image: Image.Image) -> int:
    pixels = np.asarray(image.convert("RGB")).astype(int)
    return int((pixels.max(2) - pixels.min(2)).max())


@pytest.mark.parametrize(
    "init", ["content", Noise(), "style", samples.photo()], ids=["content", "noise", "style", "own"]
)
@pytest.mark.parametrize("optimizer", [LBFGS(), Adam(), sgd_of(0.1)], ids=["lbfgs", "adam", "torch"])
def test_grey_and_grey_make_grey(photograph: Image.Image, drawing: Image.Image, init: Any, optimizer: Any) -> None:
    seen: list[Tensor] = []

    def look(progress: Progress) -> None:
        seen.append(progress.tensor())

    image = stylize(photograph, drawing, init=init, optimizer=optimizer, callback=look, **OPTIONS)
    assert chroma(image) == 0
    assert all(is_grey(picture) for picture in seen)
    assert float((seen[0] - seen[-1]).abs().mean()) > 1e-3  # it is painted


@pytest.mark.parametrize("color", [*MATCHINGS, "luminance"])
def test_a_grey_photograph_that_keeps_its_colours_gives_a_grey_result(photograph: Image.Image, color: Any) -> None:
    image = stylize(photograph, [painting("swirl"), Style(painting("mosaic"), weight=0.3)], color=color, **OPTIONS)
    assert chroma(image) == 0
    assert np.asarray(image).std() > 20


def test_a_texture_and_a_reconstruction_of_grey_are_grey(photograph: Image.Image, drawing: Image.Image) -> None:
    assert chroma(synthesize_texture(drawing, size=48, iterations=6, progress=False)) == 0
    assert chroma(reconstruct_content(photograph, "relu2_1", **OPTIONS)) == 0


@pytest.mark.parametrize("optimizer", [LBFGS(), Adam()], ids=["lbfgs", "adam"])
def test_the_grey_result_is_the_best_of_grey_ones(
    photograph: Image.Image, drawing: Image.Image, optimizer: Any
) -> None:
    draft = plan(photograph, drawing, schedule="single", optimizer=optimizer, **OPTIONS)
    assert draft.grey
    stage = draft.stages[0]
    objective: Objective = stage.objective(draft.content, draft.styles, None)
    gradient = objective.evaluate(draft.start).gradient
    assert gradient is not None
    slope = draft.constrained(gradient)
    # Along grey pictures the objective changes as the projected gradient says.
    step = 1e-3 * slope / slope.abs().max()
    up, down = (objective.evaluate(draft.start + sign * step).loss for sign in (1, -1))
    assert (up - down) / 2 == pytest.approx(float((slope * step).sum()), rel=0.05)


@pytest.mark.parametrize(
    ("content", "style", "options"),
    [
        (samples.photo(), painting("swirl").convert("L"), {}),
        (samples.photo().convert("L"), painting("swirl"), {}),
        (samples.photo(), painting("swirl").convert("L"), {"color": "match"}),
    ],
    ids=["photograph in colours", "painting in colours", "match"],
)
def test_pictures_in_colours_are_painted_in_colours(content: Any, style: Any, options: Any) -> None:
    draft = plan(content, style, size=48, **options)
    assert not draft.grey
    assert draft.constrained(draft.start) is draft.start


@pytest.mark.parametrize("color", ["match", "histogram"])
def test_a_grey_painting_takes_the_colours_of_the_photograph_at_their_places(drawing: Image.Image, color: Any) -> None:
    content = samples.photo().resize((48, 32))
    image, plain = (stylize(content, drawing, color=each, **OPTIONS) for each in (color, "style"))
    wanted, found, before = (rgb_to_oklab(load_image(each))[0, 1:].flatten() for each in (content, image, plain))
    assert float(torch.corrcoef(torch.stack((wanted, found)))[0, 1]) > 0.9
    assert float((found - wanted).norm()) < 0.5 * float((before - wanted).norm())
    painted, given = (load_image(each).flatten(2).mean(2) for each in (image, content))
    torch.testing.assert_close(painted, given, atol=0.004, rtol=0)


def test_a_style_without_weight_does_not_count(photograph: Image.Image, drawing: Image.Image) -> None:
    assert plan(photograph, [Style(drawing), Style(painting("swirl"), weight=0)], size=48).grey


@pytest.mark.parametrize("color", MATCHINGS)
def test_a_style_matched_with_grey_is_grey(color: Any) -> None:
    content, style = to_grey(torch.rand(1, 3, 40, 40)), load_image(painting("embers"))
    matched = recolor_style(style, content, color)
    assert float((matched.amax(1) - matched.amin(1)).max()) < 1e-3
    assert float(matched.std()) == pytest.approx(float(content.std()), rel=0.1)
