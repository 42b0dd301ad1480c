from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from neuralstyle import Noise, Style, samples, save_image
from neuralstyle.images import load_image, resize_image
from neuralstyle.painting.initial import NOISE_KINDS, initial_picture

SHAPE = (96, 128)


@pytest.fixture(scope="module")
def styles():
    return [Style(samples.painting("embers", size=96)), Style(samples.painting("mosaic", size=64))]


@pytest.fixture
def start(photo, styles):
    """The start of a picture of SHAPE, from the photograph and two paintings unless told otherwise."""

    def make(init, **options):
        options = {"shape": SHAPE, "content": photo, "styles": styles, **options}
        return initial_picture(init, options.pop("shape"), options.pop("content"), options.pop("styles"), **options)

    return make


def test_content_and_style_are_stretched_to_the_shape(start, photo, styles):
    assert torch.equal(start("content"), resize_image(photo, SHAPE))
    assert torch.equal(start("style"), resize_image(load_image(styles[0].image), SHAPE))


def test_a_picture_of_any_kind_is_a_start(start, noise, tmp_path):
    picture = (noise(1, 3, 32, 48) * 255).round() / 255
    path = save_image(picture, tmp_path / "start.png")
    array = (picture[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    expected = resize_image(picture, SHAPE)
    for init in (picture, picture[0], array, path, str(path)):
        assert torch.allclose(start(init), expected, atol=1e-6)


def test_a_function_gets_the_content_and_its_picture_is_the_start(start, photo):
    assert torch.equal(start(lambda content: 1 - content), resize_image(1 - photo, SHAPE))
    assert torch.equal(start(lambda content: samples.photo()), resize_image(load_image(samples.photo()), SHAPE))


def test_a_function_may_write_on_the_content_that_it_gets(start, photo):
    before = photo.clone()
    assert torch.equal(start(lambda content: content.mul_(0.5)), resize_image(0.5 * before, SHAPE))
    assert torch.equal(photo, before)


# --- noise


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_noise_is_a_picture_that_the_seed_decides(start, kind):
    first, again, other = (start(Noise(kind), seed=seed) for seed in (3, 3, 4))
    assert first.shape == (1, 3, *SHAPE)
    assert first.dtype == torch.float32
    assert 0 <= first.min() < first.max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_noise_leaves_the_state_of_torchs_own_generator_alone(start):
    before = torch.get_rng_state()
    start("noise")
    assert torch.equal(torch.get_rng_state(), before)


def moments(picture):
    colors = picture.double().flatten(2)[0]
    return colors.mean(1), torch.cov(colors)


def expected_of_clipped_normal(mean, deviation):
    """Mean and variance of a normal distribution clipped to [0, 1], by the midpoint rule."""
    x = torch.linspace(-8, 8, 200_001, dtype=torch.float64)
    density = torch.exp(-x.square() / 2) / math.sqrt(2 * math.pi) * (x[1] - x[0])
    values = (mean + deviation * x).clamp(0, 1)
    first = (density * values).sum()
    return first, (density * values.square()).sum() - first.square()


def test_uniform_noise_has_the_moments_of_its_kind_and_channels_of_their_own(start):
    mean, covariance = moments(start("noise", shape=(400, 500)))
    assert torch.allclose(mean, torch.full((3,), 0.5).double(), atol=0.003)
    assert torch.allclose(covariance, torch.eye(3).double() / 12, atol=0.001)


def test_gaussian_noise_is_around_grey_with_a_deviation_of_a_quarter(start):
    mean, covariance = moments(start(Noise("gaussian"), shape=(400, 500)))
    _, variance = expected_of_clipped_normal(0.5, 0.25)
    assert torch.allclose(mean, torch.full((3,), 0.5).double(), atol=0.003)
    assert torch.allclose(covariance, torch.eye(3).double() * variance, atol=0.001)


def test_style_noise_has_the_first_styles_colours(start, noise):
    # Far enough from black and white that next to nothing is clipped.
    mix = torch.tensor([[0.12, 0, 0], [0.06, 0.08, 0], [-0.05, 0.03, 0.06]])
    colors = (mix @ (noise(3, 64 * 64) - 0.5)).view(1, 3, 64, 64) + torch.tensor([0.6, 0.45, 0.4]).view(1, 3, 1, 1)
    mean, covariance = moments(start(Noise("style"), shape=(400, 500), styles=[Style(colors)]))
    expected_mean, expected_covariance = moments(colors)
    assert torch.allclose(mean, expected_mean, atol=0.0005)
    assert torch.allclose(covariance, expected_covariance, rtol=0.02, atol=2e-5)


@pytest.mark.parametrize("contrast", [0, 1e-3, 0.1, 0.5, "ink"])
def test_style_noise_of_a_grey_style_is_grey(start, noise, contrast):
    # Its covariance is singular, and a factorisation in single precision fails for black on white.
    grey = noise(1, 1, 64, 64)
    grey = grey.round() if contrast == "ink" else 0.5 + contrast * (grey - 0.5)
    picture = start(Noise("style"), styles=[Style(grey.expand(1, 3, 64, 64))])
    assert (picture - picture.mean(1, keepdim=True)).abs().max() < 0.01
    _, variance = expected_of_clipped_normal(float(grey.mean()), float(grey.std()))
    assert float(picture.std()) == pytest.approx(math.sqrt(variance), rel=0.05, abs=2e-4)


# --- blends


@pytest.mark.parametrize("kind", NOISE_KINDS)
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 1, 1.0])
def test_a_blend_is_between_the_picture_and_the_noise_by_its_share(start, kind, share):
    picture, grain = start("content"), start(Noise(kind), seed=5)
    blend = start(Noise(kind, blend=share), seed=5)
    assert torch.allclose(blend, (1 - share) * picture + share * grain, rtol=0, atol=1e-6)
    if share in (0, 1):
        assert torch.equal(blend, grain if share else picture)


def test_noise_goes_over_any_start(start, noise, styles):
    picture = noise(1, 3, *SHAPE)
    for over in ("style", picture, lambda content: picture):
        assert torch.equal(start(Noise(blend=0, over=over)), start(over))
        assert torch.allclose(start(Noise(blend=0.5, over=over)), 0.5 * start(over) + 0.5 * start("noise"), atol=1e-6)


def test_noise_alone_needs_no_picture(start):
    assert torch.equal(start(Noise(), content=None, styles=[]), start("noise"))


@pytest.mark.parametrize("over", ["noise", Noise()], ids=["by name", "described"])
def test_noise_over_noise_is_refused(over):
    with pytest.raises(ValueError, match="noise is mixed into 'content', 'style', a picture or a function, received"):
        Noise(blend=0.5, over=over)


def test_the_picture_keeps_its_precision(start, noise):
    picture = noise(1, 3, *SHAPE, dtype=torch.float64)
    assert start(picture).dtype == start(Noise(blend=0.5, over=picture)).dtype == torch.float64


# --- errors


@pytest.mark.parametrize(
    ("init", "options", "error", "message"),
    [
        ("contents", {}, ValueError, "did you mean 'content'"),
        ("missing.png", {}, ValueError, "nor is it a file"),
        ("content", {"content": None}, ValueError, "known.*noise|noise"),
        ("style", {"styles": []}, ValueError, "noise"),
        (lambda content: content, {"content": None}, ValueError, "there is no content"),
        (lambda content: content.tolist(), {}, TypeError, "list"),
        (lambda content: content * 255, {}, ValueError, r"\[0, 1\]"),
        (torch.zeros(2, 3, 32, 32), {}, ValueError, "shape"),
        (7, {}, TypeError, "int"),
        (Noise("style"), {"styles": []}, ValueError, "there is no style"),
        (Noise(blend=0.5, over="contents"), {}, ValueError, "did you mean 'content'"),
        (Noise(blend=0.5), {"content": None}, ValueError, "known.*noise|noise"),
        ("content", {"seed": 1.5}, ValueError, "seed"),
        ("noise", {"seed": True}, ValueError, "seed"),
        ("noise", {"seed": 2**64}, ValueError, "seed"),
    ],
    ids=str,
)
def test_bad_starts_are_named(start, init, options, error, message):
    with pytest.raises(error, match=message):
        start(init, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "gauss"}, "did you mean 'gaussian'"),
        ({"kind": "pink"}, "uniform.*gaussian.*style"),
        *(({"blend": blend}, "the blend of Noise is a finite number from 0 to 1, received") for blend in (
            1.01, -0.1, math.nan, True, "0.5",
        )),
    ],
    ids=str,
)  # fmt: skip
def test_bad_noise_is_named_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        Noise(**options)


def test_known_names_are_those_that_there_is_something_for(start):
    with pytest.raises(ValueError, match="nor is it a file") as caught:
        start("contents", content=None)
    assert "'content'" not in str(caught.value)


@pytest.mark.parametrize("seed", [0, -1, 2**64 - 1, -(2**63)])
def test_seeds_are_64_bits(start, seed):
    assert torch.equal(start("noise", seed=seed), start("noise", seed=seed))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_seed_means_the_same_on_every_device(start, photo):
    here, there = (start(Noise(blend=0.5), content=photo.to(device)) for device in ("cpu", "cuda"))
    assert there.device.type == "cuda"
    assert torch.allclose(here, there.cpu(), atol=1e-6)


def test_a_start_of_one_colour_is_not_alike_everywhere() -> None:
    grey = torch.full((1, 3, 20, 30), 0.5)
    start = initial_picture("content", (20, 30), grey, ())
    assert 0.5 / 255 < (start - grey).std() < 1.5 / 255
    assert torch.equal(start, initial_picture("content", (20, 30), grey, ()))
    assert not torch.equal(start, initial_picture("content", (20, 30), grey, (), seed=1))
    half = grey.clone()
    half[..., 15:] = 0.6
    assert torch.equal(initial_picture("content", (20, 30), half, ()), half)
