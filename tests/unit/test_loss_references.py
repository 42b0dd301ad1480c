"""Each loss against its formula, written out anew in numpy and scipy, and against the value it had."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
import scipy.spatial.distance
import torch
import torch.nn.functional as F
from torch import Tensor

from neuralstyle import ContentLoss, GramStyleLoss, TotalVariationLoss
from neuralstyle.losses import (
    ContextualLoss,
    CovarianceLoss,
    GhostLoss,
    HistogramLoss,
    LaplacianLoss,
    LongRangeLoss,
    MeanStdLoss,
    MMDLoss,
    MRFLoss,
    NearestNeighborLoss,
    RangeLoss,
    RelaxedEMDLoss,
    SelfSimilarityLoss,
    SlicedWassersteinLoss,
    WassersteinLoss,
)
from neuralstyle.losses.tools.sampling import normal, sample

Noise = Callable[..., Tensor]
Array = np.ndarray


def gram(F: Array, S: Array) -> float:
    return 0.25 * ((F @ F.T / F.shape[1] - S @ S.T / S.shape[1]) ** 2).mean()


def mean_std(F: Array, S: Array) -> float:
    (m, s), (n, t) = ((X.mean(1), np.sqrt(X.var(1) + 1e-6)) for X in (F, S))
    return (((m - n) ** 2).sum() + ((s - t) ** 2).sum()) / ((n**2).sum() + (t**2).sum())


def covariance(F: Array, S: Array) -> float:
    (m, A), (n, B) = ((X.mean(1), np.cov(X, bias=True)) for X in (F, S))
    spread = np.linalg.norm(A - B) ** 2 / (np.linalg.norm(B) ** 2 + 1e-4 * (n @ n) ** 2)
    return 0.5 * spread + 0.5 * ((m - n) ** 2).sum() / (n @ n)


def wasserstein(F: Array, S: Array) -> float:
    (m, A), (n, B) = ((X.mean(1), np.cov(X, bias=True)) for X in (F, S))
    square = (S**2).sum(0).mean()
    ridge = 1e-5 / min(len(n), 128) * square * np.eye(len(n))
    A, B = A + ridge, B + ridge
    root = scipy.linalg.sqrtm(B)
    cross = scipy.linalg.sqrtm(root @ A @ root)
    return (((m - n) ** 2).sum() + np.trace(A + B - 2 * np.real(cross))) / square


def transport(x: Array, y: Array) -> float:
    """Every number repeated until there are as many of both."""
    x, y = np.repeat(np.sort(x), len(y)), np.repeat(np.sort(y), len(x))
    return ((x - y) ** 2).mean()


def sliced(F: Array, S: Array) -> float:
    theta = normal(len(F), len(F), 0, torch.zeros(1, dtype=torch.float64)).numpy()
    theta = theta / np.linalg.norm(theta, axis=1, keepdims=True)
    return sum(transport(t @ F, t @ S) for t in theta) / sum(((t @ S) ** 2).mean() for t in theta)


def histogram(F: Array, S: Array) -> float:
    return sum(map(transport, F, S)) / sum((s**2).mean() for s in S)


def mmd(F: Array, S: Array) -> float:
    omega = normal(256, len(F), 0, torch.zeros(1, dtype=torch.float64)).numpy() / (4 * np.sqrt(len(F)))
    f, s = (np.exp(1j * omega @ X).mean(1) for X in (F, S))
    return (abs(f - s) ** 2).sum() / (abs(1 - s) ** 2).sum()


def cosine(F: Array, S: Array) -> Array:
    return scipy.spatial.distance.cdist(F.T, S.T, "cosine")


def nearest_neighbor(F: Array, S: Array) -> float:
    return cosine(F, S).min(1).mean()


def relaxed_emd(F: Array, S: Array) -> float:
    D = cosine(F, S)
    return max(D.min(1).mean(), D.min(0).mean())


def contextual(F: Array, S: Array) -> float:
    mean = S.mean(1, keepdims=True)
    D = cosine(F - mean, S - mean)
    w = np.exp((1 - D / (D.min(1, keepdims=True) + 1e-5)) / 0.5)
    CX = w / w.sum(1, keepdims=True)
    return -np.log(CX.max(0).mean()) / np.log(S.shape[1])


def self_similarity(F: Array, S: Array) -> float:
    A, B = cosine(F, F), cosine(S, S)
    return abs(A / A.sum(0) - B / B.sum(0)).sum() / F.shape[1]


@pytest.mark.parametrize(
    ("loss", "reference"),
    [
        (GramStyleLoss(), gram),
        (MeanStdLoss(), mean_std),
        (CovarianceLoss(), covariance),
        (WassersteinLoss(), wasserstein),
        (SlicedWassersteinLoss(), sliced),
        (HistogramLoss(), histogram),
        (MMDLoss(), mmd),
        (NearestNeighborLoss(), nearest_neighbor),
        (RelaxedEMDLoss(), relaxed_emd),
        (ContextualLoss(), contextual),
        (SelfSimilarityLoss(), self_similarity),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_loss_is_its_formula(loss: Any, reference: Callable[[Array, Array], float], noise: Noise) -> None:
    F = noise(1, 4, 6, 5, dtype=torch.float64)
    for size in ((6, 5),) if loss.reference == "content" else ((6, 5), (4, 9), (3, 4)):
        S = noise(1, 4, *size, seed=1, dtype=torch.float64).square()
        expected = reference(*(x[0].flatten(1).numpy() for x in (F, S)))
        # Directions of tiny length are damped, by 1e-8 of the norm of these vectors.
        assert float(loss.forward(F, S)) == pytest.approx(expected, rel=1e-5)


def test_patches_are_matched_by_correlation_and_compared_by_difference(noise: Noise) -> None:
    F, S = noise(1, 3, 5, 4, dtype=torch.float64), noise(1, 3, 4, 6, seed=1, dtype=torch.float64)

    def patches(x: Tensor) -> list[Array]:
        padded = np.pad(x[0].numpy(), ((0, 0), (1, 1), (1, 1)), mode="edge")
        return [padded[:, i : i + 3, j : j + 3] for i in range(x.shape[2]) for j in range(x.shape[3])]

    total, its = 0.0, patches(S)
    for patch in patches(F):
        best = max(its, key=lambda p, q=patch: (p * q).sum() / np.linalg.norm(p) / np.linalg.norm(q))
        total += ((patch - best) ** 2).sum() / 20
    expected = total / np.mean([(p**2).sum() for p in its])
    assert float(MRFLoss().forward(F, S)) == pytest.approx(expected, rel=1e-12)


def test_random_features_approach_the_gaussian_kernel(noise: Noise) -> None:
    F, S = noise(1, 4, 6, 5, dtype=torch.float64), 2 * noise(1, 4, 4, 9, seed=1, dtype=torch.float64)
    f, s = (x[0].flatten(1).numpy().T for x in (F, S))

    def discrepancy(x: Array, y: Array) -> float:
        k = [np.exp(-scipy.spatial.distance.cdist(a, b, "sqeuclidean") / (2 * 0.5**2 * 4)) for a, b in
             ((x, x), (x, y), (y, y))]  # fmt: skip
        return k[0].mean() - 2 * k[1].mean() + k[2].mean()

    expected = discrepancy(f, s) / discrepancy(0 * f, s)
    many = MMDLoss(bandwidth=0.5, frequencies=20000).forward(F, S)
    assert float(many) == pytest.approx(expected, rel=0.03)


def test_random_features_have_the_gradient_that_differences_have(noise: Noise) -> None:
    F, S = noise(2, 3, 3, 4, dtype=torch.float64), noise(1, 3, 4, 5, seed=1, dtype=torch.float64)
    loss = MMDLoss(bandwidth=0.5, frequencies=40)  # in two parts
    assert torch.autograd.gradcheck(lambda x: loss.forward(x, S), F.requires_grad_())
    assert torch.autograd.gradgradcheck(lambda x: loss.forward(x, S), F)


def test_a_style_of_almost_no_features_is_no_reason_for_a_huge_loss(noise: Noise) -> None:
    loss = MMDLoss("image", bandwidth=0.3)
    assert 1 < loss.forward(noise(1, 3, 6, 6), torch.zeros(1, 3, 6, 6)) < 2 / 1e-6


def test_shifted_grams_are_means_over_pairs(noise: Noise) -> None:
    F, S = noise(1, 3, 6, 5, dtype=torch.float64), noise(1, 3, 4, 7, seed=1, dtype=torch.float64)

    def shifted(x: Array, down: int, across: int) -> Array:
        pairs = [
            np.outer(x[:, i, j], x[:, i + down, j + across])
            for i in range(x.shape[1] - down)
            for j in range(x.shape[2] - across)
        ]
        return np.mean(pairs, 0)

    error = scale = 0.0
    for down, across in ((1, 0), (3, 0), (0, 1), (0, 3)):
        f, s = (shifted(x[0].numpy(), down, across) for x in (F, S))
        error, scale = error + ((f - s) ** 2).sum(), scale + (s**2).sum()
    assert float(LongRangeLoss(shifts=(1, 3, 6)).forward(F, S)) == pytest.approx(error / scale, rel=1e-12)


def test_long_range_needs_room_and_is_zero_without(noise: Noise) -> None:
    x = noise(1, 3, 4, 4).requires_grad_()
    value = LongRangeLoss(shifts=(4, 8)).forward(x, noise(1, 3, 9, 9))
    assert value == 0
    assert torch.equal(torch.autograd.grad(value, x)[0], torch.zeros_like(x))


@pytest.mark.parametrize("pool", [1, 2, 4])
def test_laplacian_is_that_of_the_pooled_picture(noise: Noise, pool: int) -> None:
    x, c = noise(2, 1, 3, 16, 12, dtype=torch.float64)

    def edges(picture: Tensor) -> Array:
        pooled = picture[0].numpy().reshape(3, 16 // pool, pool, 12 // pool, pool).mean((2, 4))
        return np.stack([scipy.ndimage.laplace(channel, mode="nearest") for channel in pooled])

    expected = ((edges(x) - edges(c)) ** 2).sum() / (edges(c) ** 2).sum()
    assert float(LaplacianLoss(pool=pool).forward(x, c)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("smooth", [False, True])
def test_laplacian_of_a_size_that_is_no_multiple_of_the_pool(noise: Noise, smooth: bool) -> None:
    x, c = noise(2, 1, 3, 15, 13)
    assert LaplacianLoss(smooth=smooth).forward(x, c) > 0.1
    assert LaplacianLoss(pool=40, smooth=smooth).forward(x, c) == 0  # one cell has no edges


def test_laplacian_of_a_content_without_edges_is_small_for_faint_ones(noise: Noise) -> None:
    flat = torch.full((1, 3, 32, 32), 0.5)
    assert LaplacianLoss(pool=1).forward(flat + 0.01 * noise(1, 3, 32, 32), flat) < 0.5


@pytest.mark.parametrize("pool", [1, 2, 3, 4])
def test_smooth_laplacian_is_that_of_the_picture_reduced_by_triangles(noise: Noise, pool: int) -> None:
    x, c = noise(2, 1, 3, 8 * pool, 6 * pool, dtype=torch.float64)

    def edges(picture: Tensor) -> Array:
        around = F.pad(picture, (pool, pool, pool, pool), mode="replicate")
        small = F.interpolate(around, (10, 8), mode="bilinear", antialias=True)[0, :, 1:-1, 1:-1].numpy()
        return np.stack([scipy.ndimage.laplace(channel, mode="nearest") for channel in small])

    expected = ((edges(x) - edges(c)) ** 2).sum() / (edges(c) ** 2).sum()
    assert float(LaplacianLoss(pool=pool, smooth=True).forward(x, c)) == pytest.approx(expected, rel=1e-12)


def test_smooth_laplacian_pulls_evenly(noise: Noise) -> None:
    content = torch.zeros(1, 1, 64, 64)
    content[..., 30:34, 30:34] = 1

    def steps(smooth: bool) -> list[float]:
        x = torch.zeros_like(content).requires_grad_()
        (pull,) = torch.autograd.grad(LaplacianLoss(pool=8, smooth=smooth).forward(x, content), x)
        across = pull.diff(dim=3).square().mean((0, 1, 2))
        return [float(across[7::8].sum()), float(across.sum())]

    boxes, triangles = steps(False), steps(True)
    assert boxes[0] == pytest.approx(boxes[1])  # only from box to box
    assert triangles[0] < 0.25 * triangles[1]


@pytest.mark.parametrize(("height", "width"), [(48, 64), (180, 90)])
def test_ghosts_are_what_a_band_of_sizes_shows_where_the_content_is_empty(
    noise: Noise, height: int, width: int
) -> None:
    x, c = noise(2, 1, 3, height, width, dtype=torch.float64)
    c[..., : height // 2, :] = 0.4  # a sky
    longest = min(max(height, width), 96)
    rows, columns = (round(side * longest / max(height, width)) for side in (height, width))

    def blurred(channels: Array, deviation: float) -> Array:
        options: dict[str, Any] = {"mode": "nearest", "radius": math.ceil(3 * deviation)}
        return np.stack([scipy.ndimage.gaussian_filter(channel, deviation, **options) for channel in channels])

    def things(picture: Tensor) -> Array:
        tall = np.repeat(picture[0].numpy(), rows, 1).reshape(3, rows, height, width).mean(2)
        small = np.repeat(tall, columns, 2).reshape(3, rows, columns, width).mean(3)
        return blurred(small, longest * 5 / 384) - blurred(small, longest * 24 / 384)

    contrast = np.sqrt(blurred((things(c) ** 2).sum(0)[None], longest * 20 / 384)[0])
    emptiness = np.clip((0.05 - contrast) / (0.05 - 0.015), 0, 1)
    assert emptiness[0].min() == 1
    assert emptiness[-1].max() == 0
    expected = (emptiness * ((things(x) - things(c)) ** 2).sum(0)).mean()
    assert float(GhostLoss().forward(x, c)) == pytest.approx(expected, rel=1e-10)


def test_ghosts_of_a_content_that_is_nowhere_empty_cost_nothing(noise: Noise) -> None:
    x, c = noise(2, 1, 3, 64, 48)
    value = GhostLoss().forward(x.requires_grad_(), 3 * c)
    assert value == 0
    assert not torch.autograd.grad(value, x)[0].any()


@pytest.mark.parametrize(("empty", "busy"), [(-0.1, 1), (0.5, 0.5), (0.5, 0.1)])
def test_emptiness_ends_after_it_begins(empty: float, busy: float) -> None:
    with pytest.raises(ValueError, match="of GhostLoss is"):
        GhostLoss(empty=empty, busy=busy)


def test_range_is_the_distance_from_the_interval() -> None:
    x = torch.tensor([-0.5, -0.1, 0.0, 0.4, 1.0, 1.2]).view(1, 1, 2, 3)
    assert float(RangeLoss().forward(x, None)) == pytest.approx((0.25 + 0.01 + 0.04) / 6)


# Meaning


def test_means_and_deviations_tell_apart_what_gram_matrices_do_not() -> None:
    """Equal mean squares, other means: the ambiguity of brightness."""
    bright, varied = torch.full((1, 1, 2, 2), 1.0), torch.tensor([0.0, 2**0.5] * 2).view(1, 1, 2, 2)
    assert GramStyleLoss().forward(bright, varied) == pytest.approx(0, abs=1e-12)
    for loss in (MeanStdLoss(), CovarianceLoss(), WassersteinLoss(), SlicedWassersteinLoss(), HistogramLoss()):
        assert loss.forward(bright, varied) > 0.1


def test_whole_distributions_tell_apart_what_moments_do_not() -> None:
    """Equal means and variances, other distributions."""
    two = torch.tensor([-1.0, 1.0] * 8).view(1, 1, 4, 4).double()
    three = torch.tensor(([-(2**0.5)] + [0.0] * 2 + [2**0.5]) * 4).view(1, 1, 4, 4).double()
    for loss in (GramStyleLoss(), MeanStdLoss(), CovarianceLoss(), WassersteinLoss()):
        assert float(loss.forward(two, three)) == pytest.approx(0, abs=1e-6)
    for loss in (SlicedWassersteinLoss(), HistogramLoss(), MMDLoss(bandwidth=1)):
        assert loss.forward(two, three) > 0.005


def test_relaxed_emd_minds_what_is_missing_and_nearest_neighbours_do_not(noise: Noise) -> None:
    whole = noise(1, 4, 6, 6)
    part = whole[..., :2]
    assert NearestNeighborLoss().forward(part, whole) == 0
    assert RelaxedEMDLoss().forward(part, whole) > 0.001


def test_self_similarity_does_not_mind_a_rotation_of_all_features(noise: Noise) -> None:
    x = noise(1, 4, 6, 6, dtype=torch.float64)
    rotation = torch.linalg.qr(normal(4, 4, 0, x)).Q
    rotated = (rotation @ x.flatten(2)).view_as(x)
    assert float(SelfSimilarityLoss().forward(rotated, x)) == pytest.approx(0, abs=1e-9)
    assert ContentLoss().forward(rotated, x) > 0.1


@pytest.mark.parametrize("below", [(-1e-3, 1.0), (1.0, -1e-3)])
def test_covariances_that_rounding_made_negative_still_compare(noise: Noise, below: tuple[float, float]) -> None:
    variances = torch.tensor(below, dtype=torch.float64)
    rounded, exact = (torch.cat([v.diag(), 0 * v[None]])[None] for v in (40 * variances, 40 * variances.clamp(min=0)))
    actual = WassersteinLoss().mean_statistic(noise(1, 2, 4, 4, dtype=torch.float64)).requires_grad_()
    for a, b, its in ((actual, rounded, exact), (rounded, actual, actual)):
        value = WassersteinLoss().distance(a + 0 * actual, b)
        assert torch.isfinite(torch.autograd.grad(value, actual, retain_graph=True)[0]).all()
        assert value.item() == pytest.approx(WassersteinLoss().distance(a.clamp(min=0), its).item(), rel=1e-2)


# Sampling


def test_a_sample_is_of_distinct_positions_and_depends_on_sizes_alone(noise: Noise) -> None:
    x, y = noise(1, 3, 50), noise(1, 3, 50, seed=1)
    assert sample(x, 50, 0) is x
    assert sample(x, None, 0) is x
    indices = torch.arange(50.0).view(1, 1, 50)
    chosen = sample(indices, 20, 0)
    assert len(set(chosen.flatten().tolist())) == 20
    assert torch.equal(chosen, sample(indices, 20, 0))
    assert not torch.equal(chosen, sample(indices, 20, 1))
    places = chosen.long().flatten()
    assert torch.equal(sample(y, 20, 0), y[..., places])


# Values that must not change unnoticed

GOLDEN: list[tuple[Any, float]] = [
    (ContentLoss(), 0.135636551182),
    (ContextualLoss(), 0.181581254385),
    (ContextualLoss(bandwidth=0.1, samples=20), 0.163505959344),
    (CovarianceLoss(), 1.39538398165),
    (GhostLoss(empty=1, busy=2), 0.158548544511),
    (GramStyleLoss(), 0.00125852890289),
    (GramStyleLoss(normalization="relative"), 0.0677350729873),
    (HistogramLoss(), 0.0904712666383),
    (LaplacianLoss(pool=2), 2.87721487545),
    (LaplacianLoss(pool=2, smooth=True), 2.78960383465),
    (LongRangeLoss(shifts=(1, 2)), 0.073164711911),
    (MMDLoss(), 0.0182626181807),
    (MRFLoss(), 0.525190330579),
    (MRFLoss(samples=20), 0.55565965387),
    (MeanStdLoss(), 0.0815452149598),
    (NearestNeighborLoss(), 0.0648544459737),
    (NearestNeighborLoss(samples=20), 0.0866543337852),
    (RangeLoss(), 0.00591915073948),
    (RelaxedEMDLoss(), 0.0648544459737),
    (RelaxedEMDLoss(samples=20), 0.0974527569501),
    (SelfSimilarityLoss(), 0.697178919279),
    (SelfSimilarityLoss(samples=20), 0.711845681914),
    (SlicedWassersteinLoss(), 0.0553824239139),
    (SlicedWassersteinLoss(directions=8, seed=1), 0.105219228639),
    (TotalVariationLoss(), 0.615457420038),
    (WassersteinLoss(), 0.102098997625),
]


@pytest.mark.parametrize(("loss", "value"), GOLDEN, ids=[type(loss).__name__ for loss, _ in GOLDEN])
def test_value_is_what_it_was(loss: Any, value: float, noise: Noise) -> None:
    x = 1.5 * noise(1, 4, 8, 6, dtype=torch.float64) - 0.25
    target = None if loss.reference is None else noise(1, 4, 8, 6, seed=1, dtype=torch.float64)
    assert float(loss.forward(x, target)) == pytest.approx(value, rel=1e-9)
