from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neuralstyle import load_image, recolor, samples
from neuralstyle.color import (
    COLORS,
    MATCHINGS,
    follow_color,
    keep_chroma,
    match_color,
    match_histogram,
    oklab,
    oklab_to_rgb,
    recolor_result,
    recolor_style,
    rgb_to_oklab,
)
from neuralstyle.color.matching import AFFINE_MAPS
from neuralstyle.images import resize_image, to_pil

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def cat() -> Tensor:
    return load_image(samples.photo(), 128)


@pytest.fixture(scope="module")
def paintings(cat: Tensor) -> dict[str, Tensor]:
    """The paintings at the photograph's size."""
    return {
        name: resize_image(load_image(samples.painting(name, 128)), (cat.shape[2], cat.shape[3]))
        for name in samples.PAINTINGS
    }


def moments(image: Tensor, index: int = 0) -> tuple[Array, Array]:
    pixels = image[index].double().flatten(1).numpy()
    return pixels.mean(1), np.cov(pixels, bias=True)


def assert_moments(image: Tensor, reference: Tensor, atol: float = 1e-4, index: int = 0) -> None:
    for actual, expected in zip(moments(image, index), moments(reference, index % len(reference)), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


def root(matrix: Array) -> Array:
    """The symmetric square root, by another way than the library's: Denman and Beavers' iteration."""
    y, z = matrix, np.eye(3)
    for _ in range(60):
        y, z = (y + np.linalg.inv(z)) / 2, (z + np.linalg.inv(y)) / 2
    return y


def map_of(image: Tensor, matched: Tensor) -> Array:
    """The matrix of the affine map that was applied, by least squares."""
    x, y = (picture[0].double().flatten(1).numpy() for picture in (image, matched))
    solution: Array = np.linalg.lstsq((x - x.mean(1, keepdims=True)).T, (y - y.mean(1, keepdims=True)).T, rcond=None)[0]
    return solution.T


def reference_oklab(rgb: Array) -> Array:
    """Ottosson's program, in numpy: (3, N) -> (3, N)."""
    r, g, b = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    l_ = np.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b)
    m_ = np.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b)
    s_ = np.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b)
    return np.stack(
        [
            0.2104542553 * l_ + 0.7936177850 * m_ - 0.0040720468 * s_,
            1.9779984951 * l_ - 2.4285922050 * m_ + 0.4505937099 * s_,
            0.0259040371 * l_ + 0.7827717662 * m_ - 0.8086757660 * s_,
        ]
    )


def chroma_difference(a: Tensor, b: Tensor) -> float:
    return (rgb_to_oklab(a) - rgb_to_oklab(b))[:, 1:].norm(dim=1).mean().item()


def cube(steps: int = 18) -> Tensor:
    """Colours from all over sRGB, its corners and edges included."""
    line = torch.linspace(0, 1, steps)
    return torch.stack(torch.meshgrid(line, line, line, indexing="ij")).reshape(1, 3, steps, -1)


def swatch(*rgb: float, side: int = 16) -> Tensor:
    return torch.tensor(rgb, dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, side, side).clone()


# Mean and covariance


@pytest.mark.parametrize("method", AFFINE_MAPS)
def test_moments_are_the_references(method: Any, cat: Tensor, paintings: dict[str, Tensor]) -> None:
    for painting in paintings.values():
        assert_moments(match_color(painting, cat, method, clip=False), cat, atol=1e-6)
        assert_moments(match_color(cat, painting, method, clip=False), painting, atol=1e-6)


@pytest.mark.parametrize("method", AFFINE_MAPS)
def test_clipping_is_to_range_and_keeps_the_moments(method: Any, cat: Tensor, paintings: dict[str, Tensor]) -> None:
    white = cat.clone()  # a photograph before a white wall
    white[..., 70:] = 1
    for image, reference in ((load_image(samples.painting("swirl", 128)), cat), (paintings["mosaic"], white)):
        free, clipped = match_color(image, reference, method, clip=False), match_color(image, reference, method)
        assert ((free < 0) | (free > 1)).any()
        assert clipped.min() >= 0
        assert clipped.max() <= 1
        assert_moments(clipped, reference, atol=1e-4)
        assert np.corrcoef(clipped.flatten(), free.clamp(0, 1).flatten())[0, 1] > 0.9  # still the same picture
    with pytest.raises(AssertionError):
        assert_moments(free.clamp(0, 1), white, atol=5e-3)


def test_clipping_does_not_give_a_grey_picture_colours_that_it_lacks(cat: Tensor) -> None:
    grey, white = cat.mean(1, keepdim=True).repeat(1, 3, 1, 1), cat.clone()
    white[..., 70:] = 1
    free, clipped = match_color(grey, white, clip=False), match_color(grey, white)
    assert (free > 1).any()
    assert_moments(clipped, free, atol=1e-4)
    assert chroma_difference(clipped, free.clamp(0, 1)) < 0.02


def test_maps_are_the_papers(noise: Callable[..., Tensor]) -> None:
    mix = torch.tensor([[0.6, 0.3, 0.1], [0.1, 0.5, 0.2], [0.0, 0.2, 0.7]], dtype=torch.float64)
    image = torch.einsum("ij,bjhw->bihw", mix.flip(0) ** 2, noise(1, 3, 20, 30, dtype=torch.float64))
    reference = torch.einsum("ij,bjhw->bihw", mix, noise(1, 3, 17, 19, seed=1, dtype=torch.float64))
    source, target = moments(image)[1], moments(reference)[1]
    inverse = np.linalg.inv(root(source))
    expected = {
        "match": inverse @ root(root(source) @ target @ root(source)) @ inverse,
        "match-pca": root(target) @ inverse,
        "match-cholesky": np.linalg.cholesky(target) @ np.linalg.inv(np.linalg.cholesky(source)),
    }
    assert set(expected) == set(AFFINE_MAPS)
    cost = {}
    for method, matrix in expected.items():
        matched = match_color(image, reference, method, clip=False)  # type: ignore[arg-type]
        np.testing.assert_allclose(map_of(image, matched), matrix, atol=1e-8)
        cost[method] = (matched - image).square().sum().item()
    monge = map_of(image, match_color(image, reference, clip=False))
    np.testing.assert_allclose(monge, monge.T, atol=1e-8)
    assert np.linalg.eigvalsh(monge).min() > 0
    assert cost["match"] < 0.999 * min(cost["match-pca"], cost["match-cholesky"])


@pytest.mark.parametrize("method", AFFINE_MAPS)
def test_matching_twice_or_with_itself_changes_nothing(method: Any, cat: Tensor, noise: Callable[..., Tensor]) -> None:
    torch.testing.assert_close(match_color(cat, cat, method), cat, atol=1e-6, rtol=0)
    once = match_color(cat, noise(1, 3, 40, 30), method, clip=False)
    torch.testing.assert_close(match_color(once, noise(1, 3, 40, 30), method, clip=False), once, atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", AFFINE_MAPS)
def test_degenerate_colours(method: Any, cat: Tensor) -> None:
    grey = cat.mean(1, keepdim=True).repeat(1, 3, 1, 1)
    plain = swatch(0.2, 0.4, 0.9)
    for image, reference in (
        (grey, cat),
        (cat, grey),
        (plain, cat),
        (cat, plain),
        (grey, plain),
        (plain, swatch(0, 0, 0)),
    ):
        matched = match_color(image, reference, method, clip=False)
        assert matched.isfinite().all()
        np.testing.assert_allclose(moments(matched)[0], moments(reference)[0], atol=1e-6)
    assert_moments(match_color(cat, plain, method, clip=False), plain, atol=2e-6)  # to the variance of 8-bit rounding
    assert_moments(match_color(cat, grey, method, clip=False), grey, atol=2e-6)
    torch.testing.assert_close(match_color(plain, cat, method)[0, :, 3, 5], cat.mean((0, 2, 3)), atol=1e-6, rtol=0)
    # A grey picture stays on a line of colours, and its noise stays small.
    assert np.linalg.matrix_rank(moments(match_color(grey, cat, method, clip=False))[1], tol=1e-7) == 1


def test_noise_below_8_bits_is_not_amplified_to_colour(cat: Tensor, noise: Callable[..., Tensor]) -> None:
    grey = cat.mean(1, keepdim=True).repeat(1, 3, 1, 1)
    almost = grey + 1e-5 * (noise(*grey.shape) - 0.5)
    difference = match_color(almost, cat, clip=False) - match_color(grey, cat, clip=False)
    assert difference.abs().max() < 0.01  # sqrt(largest variance / floor), about 250, times 1e-5


def test_batches_are_matched_one_by_one(noise: Callable[..., Tensor]) -> None:
    images, references = noise(2, 3, 20, 20), noise(2, 3, 30, 16, seed=1) ** torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
    for match in (match_color, match_histogram, *(lambda i, r, m=m: match_color(i, r, m) for m in AFFINE_MAPS)):
        alone = torch.cat([match(images[i : i + 1], references[i : i + 1]) for i in range(2)])
        torch.testing.assert_close(match(images, references), alone)
        shared = torch.cat([match(images[i : i + 1], references[1:]) for i in range(2)])
        torch.testing.assert_close(match(images, references[1:]), shared)
    kept = keep_chroma(images, images[1:])
    torch.testing.assert_close(kept[:1], keep_chroma(images[:1], images[1:]))


# Histograms


def test_histogram_of_equal_size_is_exactly_the_references(noise: Callable[..., Tensor]) -> None:
    image, reference = noise(1, 3, 20, 30, dtype=torch.float64), noise(1, 3, 15, 40, seed=1).square().double()
    matched = match_histogram(image, reference)
    for c in range(3):
        x, r, y = (t[0, c].flatten().numpy() for t in (image, reference, matched))
        expected = np.empty_like(r)
        expected[np.argsort(x)] = np.sort(r)
        np.testing.assert_array_equal(y, expected)


def test_histogram_of_other_sizes(noise: Callable[..., Tensor], cat: Tensor, paintings: dict[str, Tensor]) -> None:
    for image, reference in ((noise(1, 3, 64, 50), cat), (paintings["embers"], noise(1, 3, 16, 21).square())):
        matched = match_histogram(image, reference)
        assert matched.shape == image.shape
        for c in range(3):
            x, r, y = (t[0, c].double().flatten().numpy() for t in (image, reference, matched))
            ranks = np.array([np.sum(x < v) + np.sum(x <= v) for v in x[:200]]) / (2 * len(x))
            expected = np.interp(ranks, (np.arange(len(r)) + 0.5) / len(r), np.sort(r))
            np.testing.assert_allclose(y[:200], expected, atol=1e-6)
            np.testing.assert_allclose(np.quantile(y, [0.1, 0.5, 0.9]), np.quantile(r, [0.1, 0.5, 0.9]), atol=0.01)


def test_histogram_map_rises_and_keeps_equals_equal(cat: Tensor, noise: Callable[..., Tensor]) -> None:
    image = (cat * 31).round() / 31
    matched = match_histogram(image, noise(1, 3, 150, 150))
    for c in range(3):
        curve = [matched[0, c][image[0, c] == value].unique() for value in image[0, c].unique()]
        assert all(len(values) == 1 for values in curve)
        assert all(a < b for a, b in pairwise(curve))


def test_histogram_twice_or_with_itself_changes_nothing(cat: Tensor, paintings: dict[str, Tensor]) -> None:
    assert torch.equal(match_histogram(cat, cat), cat)  # with its many equal values
    once = match_histogram(cat, paintings["woodcut"])
    torch.testing.assert_close(match_histogram(once, paintings["woodcut"]), once, atol=1e-6, rtol=0)


def test_histogram_of_one_colour(cat: Tensor) -> None:
    plain = swatch(0.2, 0.4, 0.9)
    assert torch.equal(match_histogram(cat, plain)[..., :16, :16], plain)
    medians = torch.tensor(np.median(cat[0].flatten(1).numpy(), axis=1))
    torch.testing.assert_close(match_histogram(plain, cat)[0, :, 0, 0], medians)


# OkLab


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((1, 1, 1), (1, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((1, 0, 0), (0.62796, 0.22486, 0.12585)),
        ((0, 1, 0), (0.86644, -0.23389, 0.17950)),
        ((0, 0, 1), (0.45201, -0.03246, -0.31153)),
        ((0.5, 0.5, 0.5), (0.59818, 0, 0)),
    ],
)
def test_oklab_of_known_colours(rgb: tuple[float, ...], lab: tuple[float, ...]) -> None:
    actual = rgb_to_oklab(swatch(*rgb))
    torch.testing.assert_close(actual, swatch(*lab), atol=1e-5, rtol=0)
    torch.testing.assert_close(oklab_to_rgb(actual), swatch(*rgb), atol=1e-5, rtol=0)


def test_oklab_is_ottossons() -> None:
    dark = torch.arange(48).view(1, 3, 4, 4) / 765  # about the knee of the sRGB curve
    for image in (cube().double(), dark.double()):
        expected = reference_oklab(image[0].flatten(1).numpy())
        np.testing.assert_allclose(rgb_to_oklab(image)[0].flatten(1).numpy(), expected, atol=1e-7)


def test_oklab_round_trip() -> None:
    torch.testing.assert_close(oklab_to_rgb(rgb_to_oklab(cube())), cube(), atol=2e-6, rtol=0)
    wide = 1.4 * cube().double() - 0.2  # beyond the gamut on all sides
    torch.testing.assert_close(oklab_to_rgb(rgb_to_oklab(wide)), wide, atol=1e-12, rtol=0)
    knee = torch.linspace(0.04, 0.041, 300, dtype=torch.float64).view(1, 3, 10, 10)
    torch.testing.assert_close(oklab_to_rgb(rgb_to_oklab(knee)), knee, atol=1e-12, rtol=0)


def test_grey_has_no_chroma() -> None:
    grey = torch.linspace(0, 1, 256, dtype=torch.float64).view(1, 1, 16, 16).repeat(1, 3, 1, 1)
    lab = rgb_to_oklab(grey)
    assert lab[:, 1:].abs().max() < 1e-14
    assert (lab[0, 0].flatten().diff() > 0).all()


# Chroma


def saved(image: Tensor) -> Tensor:
    return load_image(to_pil(image))


def test_luminance_mode_takes_chroma_differences_away(cat: Tensor, paintings: dict[str, Tensor]) -> None:
    for painting in paintings.values():
        for result in (painting, (painting + cat) / 2, match_color(painting, cat)):
            unstyled = chroma_difference(result, cat)
            assert unstyled > 0.025
            assert chroma_difference(keep_chroma(result, cat), cat) < 1e-5
            assert chroma_difference(saved(recolor_result(result, cat, "luminance")), cat) < 0.02 * unstyled


def test_chroma_is_the_contents_and_lightness_moves_as_little_as_makes_room_for_it() -> None:
    result, content = cube().double(), 0.01 + 0.98 * cube().double().flip(3).roll(77, 3)
    kept = keep_chroma(result, content)
    assert kept.min() >= 0
    assert kept.max() <= 1
    before, wanted, got = (rgb_to_oklab(picture)[0] for picture in (result, content, kept))
    torch.testing.assert_close(got[1:], wanted[1:], atol=1e-4, rtol=0)  # the slack of the gamut, in black

    def shown(lightness: Tensor) -> Tensor:
        free = oklab_to_rgb(torch.stack([lightness, *wanted[1:]])[None])
        return ((free >= 0) & (free <= 1)).all(1)[0]

    inside = shown(before[0])
    assert 0.1 < inside.double().mean() < 0.9
    torch.testing.assert_close(got[0][inside], before[0][inside], atol=1e-10, rtol=0)
    # None of 60 lightnesses that were passed by could have been shown, but in a dent that the gamut has near blue.
    passed = [torch.lerp(before[0], got[0], 0.99 * share.double()) for share in torch.linspace(0, 1, 60)]
    missed = torch.stack([shown(lightness) for lightness in passed]).any(0) & ~inside & ((got - before)[0].abs() > 1e-3)
    assert missed.double().mean() < 1e-3


def test_lightness_changes_are_continuous() -> None:
    """No edge where a colour begins to leave the gamut: a ramp of lightness stays a ramp."""
    ramp = torch.linspace(0, 1, 512, dtype=torch.float64).expand(1, 3, 16, 512)
    for colour in ((0.8, 0.1, 0.1), (0.1, 0.3, 0.7), (0.9, 0.8, 0.2)):
        kept = keep_chroma(ramp, swatch(*colour).double()[..., :1].expand_as(ramp))
        steps, before = (rgb_to_oklab(picture)[0, 0, 0].diff() for picture in (kept, ramp))
        assert (steps >= -1e-5).all()
        assert (steps <= before + 1e-5).all()


@pytest.mark.parametrize("levels", [16, 256])
def test_rounding_keeps_to_the_neighbours_that_are_nearest_in_chroma(
    cat: Tensor, paintings: dict[str, Tensor], levels: int
) -> None:
    top = levels - 1
    free, rounded = keep_chroma(paintings["embers"], cat), keep_chroma(paintings["embers"], cat, levels)
    torch.testing.assert_close(rounded * top, (rounded * top).round(), atol=1e-4, rtol=0)
    assert ((rounded - free) * top).abs().max() < 1 + 1e-3
    nearest = (free * top).round() / top
    assert chroma_difference(rounded, cat) < 0.8 * chroma_difference(nearest, cat)
    lightness = [rgb_to_oklab(picture)[:, 0] for picture in (rounded, nearest, free)]
    assert (lightness[0] - lightness[2]).abs().mean() < 2 * (lightness[1] - lightness[2]).abs().mean()
    torch.testing.assert_close(
        recolor_result(paintings["embers"], cat, "luminance"), keep_chroma(paintings["embers"], cat, 256)
    )


def test_rounding_leaves_grey_grey_and_whole_levels_alone(cat: Tensor) -> None:
    grey = cat.mean(1, keepdim=True).repeat(1, 3, 1, 1)
    rounded = keep_chroma(cat, grey, 256)
    assert torch.equal(rounded[:, :2], rounded[:, 1:])
    torch.testing.assert_close(rounded, keep_chroma(cat, grey), atol=0.51 / 255, rtol=0)
    torch.testing.assert_close(keep_chroma(saved(cat), saved(cat), 256), saved(cat), atol=1e-6, rtol=0)


def test_own_chroma_changes_nothing(cat: Tensor) -> None:
    torch.testing.assert_close(keep_chroma(cat, cat), cat, atol=1e-5, rtol=0)
    torch.testing.assert_close(keep_chroma(cube(), cube()), cube(), atol=5e-5, rtol=0)


def test_black_white_and_grey(cat: Tensor) -> None:
    dark, light = (rgb_to_oklab(keep_chroma(torch.full_like(cat, value), cat)) for value in (0.0, 1.0))
    own = rgb_to_oklab(cat)
    for plain in (dark, light):  # no black or white has the cat's colours
        torch.testing.assert_close(plain[:, 1:], own[:, 1:], atol=1e-4, rtol=0)
    assert (dark[:, 0] <= own[:, 0] + 1e-6).all()
    assert dark[:, 0].mean() < 0.5 * own[:, 0].mean()
    assert light[:, 0].mean() > 0.9
    grey = cat.mean(1, keepdim=True).repeat(1, 3, 1, 1)
    kept = keep_chroma(cat, grey)
    torch.testing.assert_close(kept, kept[:, :1].expand_as(kept), atol=1e-6, rtol=0)
    again = keep_chroma(kept, grey)
    torch.testing.assert_close(again, kept, atol=1e-6, rtol=0)


# Modes


def test_modes(cat: Tensor, paintings: dict[str, Tensor]) -> None:
    style, result = load_image(samples.painting("mosaic", 64)), paintings["mosaic"]
    prepared = {mode: recolor_style(style, cat, mode) for mode in COLORS}
    assert prepared["style"] is style
    assert prepared["luminance"] is style
    assert torch.equal(prepared["match"], match_color(style, cat))
    assert torch.equal(prepared["match-pca"], match_color(style, cat, "match-pca"))
    assert torch.equal(prepared["match-cholesky"], match_color(style, cat, "match-cholesky"))
    for mode in ("match", "match-pca", "match-cholesky"):
        assert_moments(prepared[mode], cat, atol=1e-4)  # type: ignore[index]
    assert torch.equal(prepared["histogram"], match_histogram(match_color(style, cat), cat))
    finished = {mode: recolor_result(result, cat, mode) for mode in COLORS}
    assert torch.equal(finished.pop("luminance"), keep_chroma(result, cat, 256))
    assert torch.equal(recolor_result(result, cat, "luminance", levels=None), keep_chroma(result, cat))
    assert finished.pop("style") is result
    for mode, picture in finished.items():
        assert torch.equal(picture, follow_color(result, cat, mode))  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_is_kept_and_inputs_are_left_alone(dtype: torch.dtype, noise: Callable[..., Tensor]) -> None:
    image, reference = noise(1, 3, 16, 24, dtype=dtype), noise(1, 3, 16, 24, seed=1)
    image = image.contiguous(memory_format=torch.channels_last).requires_grad_()
    copies = image.detach().clone(), reference.clone()
    outputs = [
        *(match_color(image, reference, method) for method in AFFINE_MAPS),
        match_histogram(image, reference),
        keep_chroma(image, reference),
        rgb_to_oklab(image),
        oklab_to_rgb(image),
    ]
    for output in outputs:
        assert output.dtype == dtype
        assert output.shape == image.shape
        assert output.isfinite().all()
        assert not output.requires_grad
    assert torch.equal(image.detach(), copies[0])
    assert torch.equal(reference, copies[1])


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_same(noise: Callable[..., Tensor]) -> None:
    image, other = noise(1, 3, 16, 24), noise(1, 3, 16, 24, seed=1)
    for function in (match_color, match_histogram, keep_chroma):
        actual = function(image.cuda(), other)
        assert actual.is_cuda
        torch.testing.assert_close(actual.cpu(), function(image, other), atol=1e-6, rtol=0)


def test_devices_without_float64_are_computed_on_the_cpu(
    monkeypatch: pytest.MonkeyPatch, noise: Callable[..., Tensor]
) -> None:
    expected = rgb_to_oklab(noise(1, 3, 16, 16))
    monkeypatch.setattr(oklab, "_FLOAT64_DEVICES", ())
    assert torch.equal(rgb_to_oklab(noise(1, 3, 16, 16)), expected)


# Palettes


@pytest.mark.parametrize("method", MATCHINGS)
def test_recolor_gives_a_picture_anothers_palette_and_leaves_its_shapes(method: Any, cat: Tensor) -> None:
    painting = samples.painting("embers", 64)
    recoloured = recolor(to_pil(cat), painting, method)
    assert recoloured.shape == cat.shape
    assert torch.equal(recoloured, recolor_style(saved(cat), load_image(painting), method))
    if method == "histogram":
        quantiles = [picture.flatten(2).quantile(0.5, 2) for picture in (recoloured, load_image(painting))]
        torch.testing.assert_close(*quantiles, atol=0.01, rtol=0)
    else:
        assert_moments(recoloured, load_image(painting), atol=1e-4)
    lightness = [rgb_to_oklab(picture)[0, 0].flatten() for picture in (recoloured, cat)]
    assert np.corrcoef(*lightness)[0, 1] > 0.8


# Errors


@pytest.mark.parametrize("levels", [0, 1, -256])
def test_too_few_levels_are_refused(cat: Tensor, levels: int) -> None:
    with pytest.raises(ValueError, match=f"levels is a whole number of at least 2, or None, received {levels}"):
        keep_chroma(cat, cat, levels)


def test_unknown_names_are_answered_with_the_known_ones(cat: Tensor) -> None:
    for function in (recolor_style, recolor_result):
        with pytest.raises(ValueError, match=r"unknown color 'luminanc': did you mean 'luminance'\?"):
            function(cat, cat, "luminanc")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"unknown method 'match_pca': did you mean 'match-pca'.*match-cholesky"):
        recolor(cat, cat, "match_pca")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"unknown method 'mkl': known are match, match-pca, match-cholesky$"):
        match_color(cat, cat, "mkl")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (torch.rand(3, 16, 16), ValueError, r"has shape \(B, 3, H, W\), with pixels, received \(3, 16, 16\)"),
        (torch.rand(1, 4, 16, 16), ValueError, r"received \(1, 4, 16, 16\)"),
        (torch.rand(1, 3, 0, 16), ValueError, r"received \(1, 3, 0, 16\)"),
        (torch.full((1, 3, 16, 16), torch.nan), ValueError, "NaN or infinite"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), TypeError, r"holds torch\.uint8; convert it to torch\.float32"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.complex64), TypeError, r"holds torch\.complex64; give its real part"),
        (torch.zeros(1, 3, 16, 16).to_sparse(), TypeError, r"convert it with \.to_dense\(\)"),
        (torch.zeros(1, 3, 16, 16, device="meta"), TypeError, "on the meta device"),
        (np.zeros((1, 3, 16, 16)), TypeError, "is a tensor, received ndarray"),
    ],
)
def test_pictures_that_cannot_be_used(bad: Any, error: type[Exception], message: str) -> None:
    good = torch.rand(1, 3, 16, 16)
    for function in (match_color, match_histogram, keep_chroma):
        for arguments in ((bad, good), (good, bad)):
            with pytest.raises(error, match=message):
                function(*arguments)
    for convert in (rgb_to_oklab, oklab_to_rgb):
        with pytest.raises(error, match=message):
            convert(bad)


def test_pictures_that_do_not_go_together() -> None:
    with pytest.raises(ValueError, match=r"\(16, 16\) and \(16, 20\); resize the content"):
        keep_chroma(torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 20))
    with pytest.raises(ValueError, match="reference has batch size 1 or 2, received 3"):
        match_color(torch.rand(2, 3, 16, 16), torch.rand(3, 3, 16, 16))
