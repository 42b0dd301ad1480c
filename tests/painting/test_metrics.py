from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from neuralstyle import FeatureExtractor, Objective, load_image, metrics, samples, save_image
from neuralstyle.losses import GramStyleLoss
from neuralstyle.metrics.comparison import PUBLISHED
from neuralstyle.metrics.random_filters import (
    BRIGHTNESS_DEVIATION,
    CHANNEL_CORRELATION,
    CORRELATION_LENGTH,
    STRIDE_OF_SIDE,
)

LAYERS = tuple(f"filters{size}" for size in STRIDE_OF_SIDE)


@pytest.fixture(scope="module")
def content() -> Tensor:
    return load_image(samples.photo(), 144)


@pytest.fixture(scope="module")
def style() -> Tensor:
    return load_image(samples.painting("swirl", size=144))


@pytest.fixture(scope="module")
def stylised(style: Tensor, content: Tensor) -> Tensor:
    """What no optimisation would make of them better: the style itself, cut to the content's size."""
    return style[:, :, : content.shape[2], : content.shape[3]]


def blends(content: Tensor, stylised: Tensor) -> list[Tensor]:
    return [torch.lerp(content, stylised, share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]


def falls(values: list[float]) -> bool:
    return all(before > after for before, after in itertools.pairwise(values))


@pytest.mark.parametrize("method", ["gram", "sliced-wasserstein"])
def test_style_distance_falls_from_the_content_to_the_style(
    content: Tensor, style: Tensor, stylised: Tensor, method: Any
) -> None:
    assert metrics.style_distance(style, style, method=method) < 1e-6
    values = [metrics.style_distance(picture, style, method=method) for picture in blends(content, stylised)]
    assert falls(values)
    assert values[0] > 2 * values[-1]


def test_style_distance_does_not_mind_where_things_are(style: Tensor) -> None:
    assert metrics.style_distance(style.roll((40, 70), (2, 3)), style) < 0.15
    assert metrics.style_distance(1 - style, style) > 0.5


def test_style_distance_is_one_without_features(style: Tensor) -> None:
    assert metrics.style_distance(torch.full((3, 96, 96), 0.5), style) == pytest.approx(1, abs=1e-5)


def test_style_distance_is_the_loss_on_the_encoder_that_is_given(content: Tensor, style: Tensor) -> None:
    encoder = FeatureExtractor(layers=["relu2_1"])
    loss = GramStyleLoss("relu2_1", normalization="relative")
    value = Objective(encoder, loss, styles=[style]).evaluate(content).loss
    assert metrics.style_distance(content, style, encoder=encoder, layers=["relu2_1"]) == pytest.approx(value**0.5)


def test_pictures_are_compared_at_one_size(content: Tensor, style: Tensor) -> None:
    larger = torch.nn.functional.interpolate(style, scale_factor=3, mode="bicubic").clamp(0, 1)
    assert metrics.style_distance(style, larger) < 0.1
    assert metrics.color_distance(style, larger) < 0.01
    assert metrics.content_distance(content, load_image(samples.photo())) == 0


def test_content_is_lost_from_the_content_to_the_style(content: Tensor, stylised: Tensor) -> None:
    pictures = blends(content, stylised)
    distances = [metrics.content_distance(picture, content) for picture in pictures]
    assert distances[0] == 0
    assert falls(distances[::-1])
    kept = [metrics.structure(picture, content) for picture in pictures]
    assert kept[0] == pytest.approx(1, abs=1e-6)
    assert falls(kept)
    assert kept[-1] < 0.5


def test_structure_lets_colours_change(content: Tensor) -> None:
    assert metrics.structure(content * 0.7 + 0.1, content) > 0.95
    assert metrics.structure(content[:, [2, 0, 1]], content) > 0.6
    assert metrics.structure(content.flip(2), content) < 0.3


def test_structure_looks_everywhere(content: Tensor, stylised: Tensor) -> None:
    top, bottom = content.clone(), content.clone()
    top[:, :, :48], bottom[:, :, 48:] = stylised[:, :, :48], stylised[:, :, 48:]
    for picture in (top, bottom):
        assert metrics.structure(picture, content, layers=["filters22"]) < 0.9


def test_structure_is_the_correlation_of_distances(content: Tensor) -> None:
    encoder = metrics.RandomFilters(8)
    features = [encoder(picture, ["filters88"])["filters88"][0].flatten(1).T for picture in (content, content.flip(3))]
    distances = []
    for rows in features:
        unit = torch.nn.functional.normalize(rows.double(), dim=1)
        matrix = (1 - unit @ unit.T).numpy()
        distances.append(matrix[np.triu_indices(len(matrix), 1)])
    expected = np.corrcoef(distances)[0, 1]
    found = metrics.structure(content.flip(3), content, encoder=encoder, layers=["filters88"])
    assert found == pytest.approx(expected, abs=1e-4)


def test_color_distance_is_the_length_of_a_shift(content: Tensor, style: Tensor, stylised: Tensor) -> None:
    assert metrics.color_distance(style, style) == 0
    assert falls([metrics.color_distance(picture, style) for picture in blends(content, stylised)])
    grey = metrics.color_distance(torch.full((3, 64, 64), 0.5), torch.zeros(3, 64, 64))
    assert grey == pytest.approx(0.598, abs=0.01)  # the lightness of middle grey in OkLab


def test_color_distance_is_wasserstein_1(style: Tensor, content: Tensor) -> None:
    from scipy.stats import wasserstein_distance

    from neuralstyle.color.oklab import rgb_to_oklab

    # The mean over directions, which are points along a spiral on half a sphere; twice that is a shift's length.
    height = (np.arange(100) + 0.5) / 100
    angle, around = np.arange(100) * math.pi * (3 - math.sqrt(5)), np.sqrt(1 - height**2)
    directions = np.stack([height, around * np.cos(angle), around * np.sin(angle)], 1)
    points = [rgb_to_oklab(picture)[0, :, ::2, ::2].flatten(1).double().numpy() for picture in (style, content)]
    exact = 2 * np.mean([wasserstein_distance(*(along @ each for each in points)) for along in directions])
    assert metrics.color_distance(content, style) == pytest.approx(exact, rel=0.03)


def test_spectrum_distance_sees_blur_and_grain(style: Tensor) -> None:
    assert metrics.spectrum_distance(style, style) == 0
    assert metrics.spectrum_distance(1 - (1 - style) * 0.5, style) == pytest.approx(20 * math.log10(2), abs=2)
    blurred = [
        torch.nn.functional.avg_pool2d(style, 2 * n + 1, stride=1, padding=n, count_include_pad=False)
        for n in (0, 1, 2)
    ]
    assert falls([metrics.spectrum_distance(picture, style) for picture in blurred[::-1]])


def test_bands_hold_a_wave_of_their_frequency() -> None:
    from neuralstyle.metrics.pixels import bands

    x = torch.arange(256, dtype=torch.float64)
    for frequency, band in ((3 / 128, 1), (0.1, 5), (0.4, 9)):
        power = bands(torch.sin(2 * math.pi * frequency * x).expand(128, -1))
        assert int(power.argmax()) == band


def test_grain_is_power_that_neither_reference_has(content: Tensor, style: Tensor, stylised: Tensor) -> None:
    noise = torch.randn(content.shape)
    grainy = [
        metrics.high_frequency_excess((stylised + amount * noise).clamp(0, 1), style, content)
        for amount in (0.0, 0.1, 0.2)
    ]
    assert falls(grainy[::-1])
    assert abs(grainy[0]) < 1 < grainy[1]
    assert grainy[2] > 3
    assert metrics.high_frequency_excess(style, style) == 0
    noisy = (content + 0.2 * noise).clamp(0, 1)
    assert metrics.high_frequency_excess(noisy, style) > 3
    assert metrics.high_frequency_excess(noisy, style, noisy) == 0


@pytest.mark.parametrize("period", [2, 4, 8])
def test_grid_energy_sees_a_grid(content: Tensor, period: int) -> None:
    values = []
    for strength in (0, 0.03, 0.1):
        dotted = content.clone()
        dotted[:, :, ::period, ::period] += strength
        values.append(metrics.grid_energy(dotted.clamp(0, 1)))
    assert falls(values[::-1])
    assert values[0] < 2 < 5 < values[-1]


@pytest.mark.parametrize("picture", ["noise", "smooth", "photo", "edges", "other period"])
def test_grid_energy_sees_none_where_there_is_none(content: Tensor, picture: Tensor) -> None:
    x = torch.arange(192)
    pictures = {
        "noise": torch.rand(1, 3, 192, 192),
        "smooth": (x / 200.0).expand(1, 3, 192, 192),
        "photo": content,
        "edges": (0.3 + 0.4 * ((x + 5) % 73 < 30).double()).expand(1, 3, 192, 192),
        "other period": 0.3 + 0.4 * ((x % 7 < 2)[:, None] & (x % 7 < 2)).expand(1, 3, 192, 192),
    }
    assert metrics.grid_energy(pictures[picture]) < 2


def test_flat_area_is_the_share_of_bare_patches(style: Tensor) -> None:
    shares = []
    for columns in (0, 36, 72, 144):
        bare = style.clone()
        bare[..., :columns] = 0.4
        shares.append(metrics.flat_area(bare, style))
    assert shares[0] == 0
    assert falls(shares[::-1])
    assert shares[2] == pytest.approx(0.5, abs=0.08)
    assert shares[3] == 1


def test_flat_area_does_not_mind_what_is_flat_in_the_style_too(style: Tensor) -> None:
    bare = style.clone()
    bare[..., :72] = 0.4
    assert metrics.flat_area(bare, bare) == 0


def test_filters_respond_alike_to_the_model_of_photographs() -> None:
    # Pictures drawn from the model itself: their covariance between neighbouring cells, factorised.
    generator = torch.Generator().manual_seed(1)
    encoder = metrics.RandomFilters(32)
    for name, stride, taps in (("filters3", 1, 3), ("filters11", 1, 11), ("filters88", 8, 11)):
        places = torch.cartesian_prod(*2 * [torch.arange(taps, dtype=torch.float64) * stride])
        near = torch.exp(-torch.cdist(places, places) / CORRELATION_LENGTH)
        colours = torch.full((3, 3), CHANNEL_CORRELATION, dtype=torch.float64).fill_diagonal_(1)
        drawn = torch.randn(4000, 3, taps**2, generator=generator, dtype=torch.float64)
        cells = BRIGHTNESS_DEVIATION * torch.linalg.cholesky(colours) @ drawn @ torch.linalg.cholesky(near).T
        responses = cells.flatten(1) @ encoder.get_buffer(name).double().flatten(1).T
        assert responses.square().mean(0).sqrt().numpy() == pytest.approx(1, abs=0.06)


def test_random_filters_are_an_encoder() -> None:
    encoder = metrics.RandomFilters(6)
    image = torch.rand(2, 3, 75, 90)
    features = encoder(image, ["image", *LAYERS])
    assert list(encoder.layers) == list(features)
    for name, map_ in features.items():
        layer = encoder.layers[name]
        assert map_.shape == (2, layer.channels, 75 // layer.stride, 90 // layer.stride)
    other = metrics.RandomFilters(6, seed=1)(image, ["filters3"])["filters3"]
    assert not torch.equal(features["filters3"], other)
    again = metrics.RandomFilters(6)(image, LAYERS)
    assert all(torch.equal(features[name], again[name]) for name in LAYERS)


def test_half_of_the_filters_see_no_colour() -> None:
    flat = torch.tensor([0.9, 0.1, 0.4]).view(1, 3, 1, 1).expand(-1, -1, 64, 64)
    features = metrics.RandomFilters(6)(flat, LAYERS)
    for map_ in features.values():
        assert map_[:, ::2].abs().max() < 1e-4
        assert map_[:, 1::2].max() > 0.1


def test_random_filters_reach_as_far_as_they_say() -> None:
    encoder = metrics.RandomFilters(16)
    image = torch.rand(1, 3, 192, 192, requires_grad=True)
    for name in LAYERS:
        layer = encoder.layers[name]
        middle = 96 // layer.stride
        encoder(image, [name])[name][0, :, middle, middle].sum().backward()
        rows = image.grad.abs().sum((0, 1, 3)).nonzero().flatten()
        first = middle * layer.stride
        assert (rows.min(), rows.max()) == (first - layer.reach, first + layer.stride - 1 + layer.reach)
        image.grad = None


def test_compare_measures_each_picture_like_the_functions(
    content: Tensor, style: Tensor, stylised: Tensor, tmp_path: Path
) -> None:
    save_image(stylised, tmp_path / "result.png")
    scores = metrics.compare(content, style, {"photo": content, "result": tmp_path / "result.png"})
    assert list(scores) == ["photo", "result"]
    found, picture = scores["result"], load_image(tmp_path / "result.png")
    assert found.style == metrics.style_distance(picture, style)
    assert found.grain == metrics.high_frequency_excess(picture, style, content)
    assert found.color == metrics.color_distance(picture, style)
    assert all(math.isfinite(value) for value in dataclasses.astuple(found))
    text = metrics.table(scores).splitlines()
    fields = [field.name for field in dataclasses.fields(metrics.Scores)]
    assert text[0].split() == [name for name in fields if name not in PUBLISHED]
    assert text[1].startswith("best")
    assert text[3].split()[:2] == ["result", f"{found.style:.3f}"]
    assert len({len(line) for line in text}) == 1


def test_compare_at_a_size(content: Tensor, style: Tensor) -> None:
    large = torch.nn.functional.interpolate(content, scale_factor=2, mode="bicubic").clamp(0, 1)
    found = metrics.compare(content, style, {"a": content, "b": large}, size=96)
    assert found["a"].style == pytest.approx(found["b"].style, rel=0.1)
    assert found["b"].grid == metrics.grid_energy(large)


def test_pictures_of_all_kinds(style: Tensor, tmp_path: Path) -> None:
    save_image(style, tmp_path / "style.png")
    array = np.asarray(Image.open(tmp_path / "style.png"))
    kinds = (tmp_path / "style.png", str(tmp_path / "style.png"), Image.fromarray(array), array)
    assert {metrics.style_distance(kind, kinds[0]) for kind in kinds} == {0.0}


def test_errors_say_what_is_wrong(content: Tensor, style: Tensor) -> None:
    with pytest.raises(ValueError, match="did you mean 'gram'"):
        metrics.style_distance(content, style, method="grams")
    with pytest.raises(ValueError, match=r"layers of vgg19 to compare are not given; give layers="):
        metrics.style_distance(content, style, encoder=FeatureExtractor(layers=["relu1_1"]))
    with pytest.raises(ValueError, match="did you mean 'filters3'"):
        metrics.structure(content, content, layers=["filter3"])
    with pytest.raises(ValueError, match=r"144 x 144 .* another aspect"):
        metrics.structure(style, content)
    with pytest.raises(ValueError, match=r"small: .*at least 64"):
        metrics.compare(content, style, {"small": load_image(samples.photo(), 48)})
    with pytest.raises(ValueError, match="no pictures"):
        metrics.compare(content, style, {})
    for options in ({"filters": 1}, {"seed": -1}, {"filters": 2.0}):
        with pytest.raises(ValueError, match="of RandomFilters is a whole number"):
            metrics.RandomFilters(**options)
    for measure in (metrics.grid_energy, lambda x: metrics.flat_area(x, style)):
        with pytest.raises(ValueError, match="40 x 40 pixels"):
            measure(torch.rand(3, 40, 40))


def test_compare_names_the_picture_that_is_too_small() -> None:
    photo, painting = samples.photo().resize((96, 64)), samples.painting("swirl", size=96)
    with pytest.raises(ValueError, match="the style is 32 x 32 pixels") as caught:
        metrics.compare(photo, painting.resize((32, 32)), {"result.png": photo})
    assert "result.png" not in str(caught.value)
    with pytest.raises(ValueError, match=r"result\.png: the picture is 60 x 40 pixels"):
        metrics.compare(photo, painting, {"result.png": photo.resize((60, 40))})


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_pictures_on_a_gpu_are_measured_there() -> None:
    photo = load_image(samples.photo(), 128)
    painting = load_image(samples.painting("swirl", size=128))
    there = metrics.compare(photo.cuda(), painting.cuda(), {"it": photo.cuda()})["it"]
    here = metrics.compare(photo, painting, {"it": photo})["it"]
    for name, value in dataclasses.asdict(here).items():
        assert getattr(there, name) == pytest.approx(value, rel=1e-3, abs=1e-3), name
