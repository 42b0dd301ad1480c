"""compact19: the student that comes with the package, held against its teacher and against how it was trained."""

from __future__ import annotations

from importlib import resources

import pytest
import torch
from doubles import painting
from torch import Tensor

from neuralstyle import (
    DEFAULT_LOSSES,
    FeatureExtractor,
    Objective,
    Stage,
    default_encoder,
    load_image,
    samples,
    stylize,
)

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")


@pytest.fixture(scope="module")
def compact() -> FeatureExtractor:
    return FeatureExtractor("compact19")


def kernel(features: Tensor) -> Tensor:
    """Products of the centred features of a few hundred positions."""
    rows = features[0].flatten(1).T
    rows = rows[:: max(1, len(rows) // 300)]
    rows = rows - rows.mean(0)
    return rows @ rows.T / rows.shape[1]


def test_it_is_small_and_its_layers_lie_where_the_teachers_do(compact: FeatureExtractor) -> None:
    file = resources.files("neuralstyle.data").joinpath("compact19.safetensors")
    assert len(file.read_bytes()) < 4e6
    teacher = default_encoder().layers
    for name, layer in compact.layers.items():
        assert layer.stride == teacher[name].stride
        assert layer.kind == teacher[name].kind
    assert set(LAYERS) < set(compact.layers)


def test_it_is_made_as_it_was_trained_unless_told_otherwise(compact: FeatureExtractor) -> None:
    assert (compact.weights, compact.pooling, compact.padding, compact.normalize) == (
        "distilled",
        "l2",
        "replicate",
        True,
    )
    other = FeatureExtractor("compact19", pooling="max", padding="zeros")
    assert (other.pooling, other.padding) == ("max", "zeros")
    vgg = FeatureExtractor("vgg19", layers=["relu1_1"])
    assert (vgg.pooling, vgg.padding) == ("max", "zeros")


@pytest.mark.parametrize("painting", [None, *samples.PAINTINGS])
def test_what_looks_alike_to_the_teacher_looks_alike_to_it(compact: FeatureExtractor, painting: str | None) -> None:
    picture = samples.photo() if painting is None else samples.painting(painting, size=192)
    image = load_image(picture, 192)
    mine, its = compact(image, LAYERS), default_encoder()(image, LAYERS)
    for name in LAYERS:
        a, b = kernel(mine[name]), kernel(its[name])
        correlation = (a * b).sum() / (a.square().sum() * b.square().sum()).sqrt()
        assert correlation > 0.65, name
        assert 0.25 < (a.square().sum() / b.square().sum()).sqrt() < 1.2, name


def test_what_is_painted_through_it_comes_nearer_to_the_style_by_the_teacher(compact: FeatureExtractor) -> None:
    content, style = (load_image(p, 96) for p in (samples.photo(), samples.painting("embers", size=96)))
    judge = Objective(default_encoder(), DEFAULT_LOSSES, content=content, styles=[style])
    painted = stylize(content, style, encoder=compact, size=96, iterations=20, device="cpu", progress=False)
    assert judge.evaluate(load_image(painted)).loss < 0.4 * judge.evaluate(content).loss


def test_a_stage_may_look_through_it_by_name() -> None:
    stages = [Stage(48, 2, "compact19"), Stage(64, 2, "compact19"), Stage(64, 1)]
    image = stylize(samples.photo(), painting(), size=64, schedule=stages, device="cpu", progress=False)
    assert max(image.size) == 64
    assert torch.isfinite(load_image(image)).all()
