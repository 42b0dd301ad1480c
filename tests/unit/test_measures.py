"""Measures that papers report, gradients of measures, curves, and tables of scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from doubles import Cells, painting
from torch import Tensor

from neuralstyle import Layer, load_image, metrics, samples
from neuralstyle.metrics import features
from neuralstyle.metrics.comparison import BEST, PUBLISHED

SIDE = 64


@pytest.fixture(scope="module")
def content() -> Tensor:
    return load_image(samples.photo(), 96)[..., :SIDE, :SIDE].contiguous()


@pytest.fixture(scope="module")
def style() -> Tensor:
    return load_image(painting("swirl", SIDE))


class Pixels:
    """An encoder whose features are the pixels."""

    layers: Mapping[str, Layer] = {"image": Layer("image", "image", 3, 1, 0)}

    def __call__(self, image: Tensor, layers: Any) -> dict[str, Tensor]:
        return dict.fromkeys(layers, image)


PIXELS: dict[str, Any] = {"encoder": Pixels(), "layers": ["image"]}

MEASURES: dict[str, Callable[[Any, Tensor, Tensor], Any]] = {
    "style_distance": lambda m, x, other: m(x, other),
    "sliced": lambda m, x, other: m(x, other, method="sliced-wasserstein"),
    "content_distance": lambda m, x, other: m(x, other),
    "structure": lambda m, x, other: m(x, other),
    "color_distance": lambda m, x, other: m(x, other),
    "spectrum_distance": lambda m, x, other: m(x, other),
    "high_frequency_excess": lambda m, x, other: m(x, other),
    "grid_energy": lambda m, x, other: m(x),
    "ghost_contrast": lambda m, x, other: m(x, other, torch.full_like(other, 0.5)),
    "cfsd": lambda m, x, other: m(x, other),
    "lpips": lambda m, x, other: m(x, other),
    "sifid": lambda m, x, other: m(x, other),
    "style_cosine": lambda m, x, other: m(x, other),
}


def measure_of(name: str) -> Any:
    return getattr(metrics, "style_distance" if name == "sliced" else name)


# --- gradients


@pytest.mark.parametrize("name", MEASURES)
def test_a_tensor_has_the_value_and_its_gradient(
    name: str, content: Tensor, style: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure, call = measure_of(name), MEASURES[name]
    monkeypatch.setattr(features, "_random_filters", lambda: metrics.RandomFilters(8).double())
    start = content.double().lerp(style.double(), 0.4) * 0.9
    start += 0.1 * torch.rand(start.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)  # no ties
    x = start.clone().requires_grad_()
    value = call(measure.tensor, x, style)
    assert value.shape == ()
    assert float(value.detach()) == pytest.approx(call(measure, start, style), rel=1e-6)
    value.backward()
    assert x.grad is not None
    direction = torch.randn(start.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    direction += 50 * x.grad / x.grad.norm()
    steps = [call(measure, start + sign * 1e-8 * direction, style) for sign in (1, -1)]
    expected = (steps[0] - steps[1]) / 2e-8
    found = float((x.grad * direction).sum())
    assert found == pytest.approx(expected, rel=0.02)  # quantiles, maxima and the filters' ReLU have kinks


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("kind", ["the other itself", "black"])
def test_gradients_are_finite_where_roots_begin(name: str, kind: str, style: Tensor) -> None:
    x = (style.clone() if kind != "black" else torch.zeros_like(style)).requires_grad_()
    MEASURES[name](measure_of(name).tensor, x, style).backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_descent_on_a_measure_lowers_it(content: Tensor, style: Tensor) -> None:
    x = content.clone().requires_grad_()
    optimizer = torch.optim.Adam([x], 0.02)
    before = metrics.lpips(x, style)
    for _ in range(5):
        optimizer.zero_grad()
        with torch.inference_mode(False):
            metrics.lpips.tensor(x, style).backward()
        optimizer.step()
        x.data.clamp_(0, 1)
    assert metrics.lpips(x, style) < 0.9 * before


def test_a_number_needs_no_graph_and_a_batch_dimension_may_be_missing(content: Tensor, style: Tensor) -> None:
    x = content.clone().requires_grad_()
    assert isinstance(metrics.structure(x, style), float)
    y = content[0].clone().requires_grad_()
    metrics.structure.tensor(y, style).backward()
    assert y.grad is not None
    assert y.grad.shape == y.shape
    with torch.no_grad():
        value = metrics.structure.tensor(x, style)  # as every public function, also here
    assert value.requires_grad
    grey = torch.rand(1, 1, SIDE, SIDE).requires_grad_()
    with pytest.raises(ValueError, match="3 channels"):
        metrics.structure.tensor(grey, style)


# --- the published measures


def test_cfsd_is_the_mean_divergence_of_softmaxes(content: Tensor, style: Tensor) -> None:
    small = [torch.nn.functional.avg_pool2d(picture, 4) for picture in (content, style)]
    rows = [picture[0].flatten(1).T.double() for picture in small]

    def expected(similarities: list[Tensor]) -> float:
        q, p = (x.softmax(1) for x in similarities)
        return float((p * (p / q).log()).sum(1).mean())

    units = [torch.nn.functional.normalize(x, dim=1) for x in rows]
    cosine = metrics.cfsd(*small, **PIXELS)
    assert cosine == pytest.approx(expected([x @ x.T / 0.1 for x in units]), rel=1e-6)
    product = metrics.cfsd(*small, **PIXELS, similarity="product")
    assert product == pytest.approx(expected([x @ x.T / 9 for x in rows]), rel=1e-6)
    assert metrics.cfsd(small[0], small[0]) == 0
    assert 0 < metrics.cfsd(*small, **PIXELS, positions=50) < 10 * cosine


def test_lpips_is_the_weighted_distance_of_directions(content: Tensor, style: Tensor) -> None:
    x, y = (torch.nn.functional.normalize(picture[0].flatten(1).double(), dim=0) for picture in (content, style))
    error = (x - y).square().mean(1)
    assert metrics.lpips(content, style, **PIXELS) == pytest.approx(float(error.sum()), rel=1e-4)
    weights = {"image": [0.5, 0.0, 2.0]}
    found = metrics.lpips(content, style, **PIXELS, weights=weights)
    assert found == pytest.approx(float(error @ torch.tensor([0.5, 0.0, 2.0]).double()), rel=1e-4)
    shaped = {"image": torch.tensor([0.5, 0.0, 2.0]).view(1, 3, 1, 1)}  # as files of weights hold them
    assert metrics.lpips(content, style, **PIXELS, weights=shaped) == found
    assert metrics.lpips(content, content) == 0


def test_sifid_is_the_frechet_distance(content: Tensor, style: Tensor) -> None:
    from scipy.linalg import sqrtm

    rows = [picture[0].flatten(1).double().numpy() for picture in (content, style)]
    means, covariances = [row.mean(1) for row in rows], [np.cov(row) for row in rows]
    overlap = sqrtm(covariances[0] @ covariances[1]).real
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * overlap)
    assert metrics.sifid(content, style, **PIXELS) == pytest.approx(expected, rel=1e-5)
    assert metrics.sifid(style, style) < 1e-6
    assert metrics.sifid(style.flip(3), style, **PIXELS) < 1e-9  # it does not see where things are


def test_cosine_is_that_of_the_embedding(content: Tensor, style: Tensor) -> None:
    found = metrics.style_cosine(content, style, embedding=lambda image: image.mean((2, 3)))
    x, y = (picture.mean((0, 2, 3)) for picture in (content, style))
    assert found == pytest.approx(float(torch.nn.functional.cosine_similarity(x, y, dim=0)), rel=1e-5)
    grams = [torch.einsum("cp,dp->cd", *2 * [picture[0].flatten(1)]).flatten() for picture in (content, style)]
    expected = float(torch.nn.functional.cosine_similarity(*grams, dim=0))
    assert metrics.style_cosine(content, style, **PIXELS) == pytest.approx(expected, rel=1e-5)
    assert metrics.style_cosine(style, style) == pytest.approx(1, abs=1e-6)
    assert metrics.style_cosine(style.flip(2), style) > metrics.style_cosine(content, style)


def test_any_encoder_measures(content: Tensor, style: Tensor) -> None:
    options: dict[str, Any] = {"encoder": Cells(), "layers": ["relu1_1"]}
    for measure in (metrics.cfsd, metrics.lpips, metrics.sifid, metrics.style_cosine):
        assert measure(content, style, **options) != measure(style, style, **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: metrics.cfsd(x, x, similarity="dot"), "unknown similarity of cfsd"),
        (lambda x: metrics.cfsd(x, x, positions=1), "positions of cfsd is a whole number of at least 2"),
        (lambda x: metrics.lpips(x, x, encoder=Pixels()), "give layers="),
        (lambda x: metrics.lpips(x, x, **PIXELS, weights={"relu": [1]}), "a dict with the layers image"),
        (lambda x: metrics.lpips(x, x, **PIXELS, weights={"image": [1, 2]}), "are 3, one a channel, received 2"),
        (lambda x: metrics.lpips(x, x, **PIXELS, weights={"image": [1, -2, 0]}), "at least 0, received -2"),
        (lambda x: metrics.style_cosine(x, x, embedding=lambda image: image), "gives a vector"),
        (lambda x: metrics.style_cosine(x, x, embedding=lambda image: [1.0]), r"gives a vector .* received \[1\.0\]"),
        (lambda x: metrics.style_cosine(x, x, embedding=len, layers=["image"]), "one or the other"),
    ],
)
def test_wrong_options_are_named(call: Any, message: str, content: Tensor) -> None:
    with pytest.raises(ValueError, match=message):
        call(content)


def test_an_embedding_is_a_function(content: Tensor) -> None:
    with pytest.raises(TypeError, match="an embedding is a function"):
        metrics.style_cosine(content, content, embedding="clip")  # type: ignore[arg-type]


# --- curves


def test_a_curve_is_read_between_its_points_only() -> None:
    curve = metrics.Curve([(0.9, 0.5), (0.3, 0.1), (0.5, 0.2)])  # type: ignore[arg-type]
    assert curve.points == ((0.3, 0.1), (0.5, 0.2), (0.9, 0.5))
    assert curve.style_at(0.7) == pytest.approx(0.35)
    assert curve.style_at(0.3) == 0.1
    assert curve.style_at(0.9) == 0.5
    assert curve.style_at(0.2) is None
    assert curve.style_at(0.95) is None
    rows = [{"structure": 0.5, "style": 0.1, "loss": 3.0}, metrics.Scores(0.4, 0, 0, 0.9, 0, 0, 0, 0, 0, 0)]
    assert metrics.Curve.of(rows).points == ((0.5, 0.1), (0.9, 0.4))
    level = metrics.Curve(((0.5, 0.2), (0.5, 0.4)))
    assert level.style_at(0.5) == 0.2


@pytest.mark.parametrize("points", [[], [(0.1, 0.2)], [(0.1, 0.2), (0.3,)], [(0.1, 0.2), (math.nan, 0.1)], [1, 2]])
def test_a_curve_of_less_than_two_points_is_refused(points: Any) -> None:
    with pytest.raises(ValueError, match=r"of a curve|of a point|a curve has two points"):
        metrics.Curve(points)


def test_a_row_without_measures_makes_no_curve() -> None:
    with pytest.raises(ValueError, match="measure the pictures first"):
        metrics.Curve.of([{"loss": 1.0}, {"loss": 2.0}])


# --- tables


def test_compare_has_every_measure_and_shows_itself(content: Tensor, style: Tensor) -> None:
    scores = metrics.compare(content, style, {"a <b>.png": content.lerp(style, 0.5), "photo": content})
    found = scores["a <b>.png"]
    assert set(vars(found)) == set(BEST)
    assert all(math.isfinite(value) for value in vars(found).values())
    assert found.cfsd == metrics.cfsd(content.lerp(style, 0.5), content)
    assert found.cosine > scores["photo"].cosine
    assert str(scores) == metrics.table(scores)
    page = scores._repr_html_()
    assert "a &lt;b&gt;.png" in page
    assert page.count("<tr>") == page.count("</tr>") == 4
    assert page.count("<td>") == 3 * len(BEST) + 1
    assert all(f">{name}</th>" in page for name in BEST)


def test_a_table_has_the_columns_that_are_asked_for() -> None:
    scores = {"a": metrics.Scores(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, cfsd=0.25)}
    assert metrics.table(scores).splitlines()[0].split() == [name for name in BEST if name not in PUBLISHED]
    assert metrics.table(scores, ["cfsd", "style"]).splitlines()[-1].split() == ["a", "0.250", "1.00"]
    with pytest.raises(ValueError, match="unknown measure 'fcsd': did you mean 'cfsd'"):
        metrics.table(scores, ["fcsd"])
