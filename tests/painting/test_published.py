"""The published methods against loops of their own, written here from the formulas in plain torch.

Each loop has its own forward pass through VGG-19, of which it takes nothing but the filters, its own losses, sizes and
optimiser. Both begin at the same picture and make the same number of evaluations at each size; the recipe's result then
has at most 1.02 times the loss of the loop's, which takes the better one of torch's L-BFGS and Adam. Where a method
draws at random, the loop draws the same numbers, as anybody can: normal directions, and the first positions of a random
order, both from a generator on the CPU with the seed 0.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from neuralstyle import FeatureExtractor, StateFile, Style, iterate, load_image, plan, samples, stylize
from neuralstyle.recipes import RECIPES

SIZE, EVALUATIONS = 64, 12
PUBLISHED = [name for name in RECIPES if name != "default"]
Maps = Mapping[str, Tensor]
FIVE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
TWELVE = tuple(f"relu{b}_{i}" for b, depth in ((1, 2), (2, 2), (3, 4), (4, 4)) for i in range(1, depth + 1))


@pytest.fixture(scope="module")
def photo() -> Tensor:
    """A photograph, (1, 3, 64, 64)."""
    return load_image(samples.photo(), 96)[..., -SIZE:]


@pytest.fixture(scope="module")
def style() -> Tensor:
    """A painting with as many pixels, so that sorted values can be compared one by one."""
    return load_image(samples.painting("swirl", size=SIZE))


# The network


class Network:
    """VGG-19, from filters."""

    def __init__(self, encoder: FeatureExtractor) -> None:
        exact = encoder.double()  # also makes numbers of quantised filters
        self.mean, self.std = exact.mean.float(), exact.std.float()
        self.filters = {name: (c.weight.float(), c.bias.float()) for name, c in exact.convolutions.items()}
        self.pooling = encoder.pooling
        self.padding = {"zeros": "constant"}.get(encoder.padding, encoder.padding)

    def __call__(self, image: Tensor, deepest: str) -> Maps:
        found, x = {"image": image}, (image - self.mean) / self.std
        for block, depth in enumerate((2, 2, 4, 4, 4), start=1):
            for index in range(1, depth + 1):
                weight, bias = self.filters[f"conv{block}_{index}"]
                mode = self.padding if (block, index) == (1, 1) else "constant"
                x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode=mode), weight, bias).relu()
                found[f"relu{block}_{index}"] = x
                if f"relu{block}_{index}" == deepest:
                    return found
            if self.pooling == "max":
                x = F.max_pool2d(x, 2)
            else:
                power = 1 if self.pooling == "average" else 2
                x = {1: 2, 2: 0.78}[power] * (F.lp_pool2d(x + 1e-9, power, 2) / (4 if power == 1 else 1))
        return found


# The losses: features (1, C, h, w) of the result and of its target, at one layer


def flat(x: Tensor) -> Tensor:
    return x.flatten(2)[0]


def content(x: Tensor, p: Tensor) -> Tensor:
    return 0.5 * (x - p).square().mean()


def gram(x: Tensor, s: Tensor) -> Tensor:
    """The paper's E."""
    one, other = (flat(each) @ flat(each).T / flat(each).shape[1] for each in (x, s))
    return (one - other).square().sum() / (4 * len(one) ** 2)


def gram_relative(x: Tensor, s: Tensor) -> Tensor:
    return gram(x, s) / gram(0 * s, s)


def histogram(x: Tensor, s: Tensor) -> Tensor:
    """Every value against the style's value of the same rank, as in a match of histograms."""
    ranks = flat(x).argsort(1).argsort(1)
    return (flat(x) - flat(s).sort(1).values.gather(1, ranks)).square().sum() / s.square().sum()


def sliced(x: Tensor, s: Tensor) -> Tensor:
    drawn = torch.randn(x.shape[1], x.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    directions = (drawn / drawn.norm(dim=1, keepdim=True)).float()
    one, other = ((directions @ flat(each)).sort(1).values for each in (x, s))
    return (one - other).square().mean() / other.square().mean()


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    mean = flat(x).mean(1, keepdim=True)
    return mean, (flat(x) - mean) @ (flat(x) - mean).T / flat(x).shape[1]


def gaussian_transport(x: Tensor, s: Tensor) -> Tensor:
    """The squared distance between Gaussians, divided by the channels."""
    (mean, cov), (mean_s, cov_s) = moments(x.double()), moments(s.double())
    ridge = 1e-5 * s.double().square().mean() * torch.eye(len(cov), dtype=torch.float64)
    values, vectors = torch.linalg.eigh(cov_s + ridge)
    root = vectors @ torch.diag(values.sqrt()) @ vectors.T
    overlap = torch.linalg.eigvalsh(root @ (cov + ridge) @ root).clamp(min=1e-30).sqrt().sum()
    trace = (cov + cov_s + 2 * ridge).trace()
    return (((mean - mean_s).square().sum() + trace - 2 * overlap) / len(cov)).float()


def covariance(x: Tensor, s: Tensor) -> Tensor:
    (mean, cov), (mean_s, cov_s) = moments(x), moments(s)
    level = mean_s.square().sum()
    spread = (cov - cov_s).square().sum() / (cov_s.square().sum() + 1e-4 * level.square())
    return 0.5 * (spread + (mean - mean_s).square().sum() / level)


def cosines(x: Tensor, y: Tensor) -> Tensor:
    """The cosine distance of every column of x from every one of y."""
    return 1 - F.normalize(x, dim=0).T @ F.normalize(y, dim=0)


def patches(x: Tensor, s: Tensor) -> Tensor:
    one, other = (F.unfold(F.pad(each, (1, 1, 1, 1), mode="replicate"), 3)[0] for each in (x, s))
    found = other[:, cosines(one, other).argmin(1)]
    return (one - found).square().sum(0).mean() / other.square().sum(0).mean()


def relaxed(distances: Tensor) -> Tensor:
    return torch.maximum(distances.amin(1).mean(), distances.amin(0).mean())


def self_similarity(x: Tensor, p: Tensor) -> Tensor:
    one, other = (cosines(flat(each), flat(each)) for each in (x, p))
    return (one / one.sum(0, keepdim=True) - other / other.sum(0, keepdim=True)).abs().sum(0).mean()


def neighbor(x: Tensor, s: Tensor, limit: int = 4096) -> Tensor:
    """The centred cosine distance to the nearest of at most ``limit`` positions of the style, drawn by the seed 0."""
    mean, searched = flat(s).mean(1, keepdim=True), flat(s)
    if searched.shape[1] > limit:
        order = torch.randperm(searched.shape[1], generator=torch.Generator().manual_seed(0))
        searched = searched[:, order[:limit]]
    return cosines(flat(x) - mean, searched - mean).amin(1).mean()


def variation(x: Tensor) -> Tensor:
    """The sum of squared differences of neighbours."""
    return (x[..., 1:] - x[..., :-1]).square().sum() + (x[..., 1:, :] - x[..., :-1, :]).square().sum()


def columns(maps: Maps, layers: Mapping[str, float]) -> Tensor:
    """Hypercolumns at a quarter of the size."""
    size = maps["relu3_1"].shape[2:]
    joined = []
    for layer, weight in layers.items():
        x, ratio = maps[layer], maps[layer].shape[2] / size[0]
        x = F.avg_pool2d(x, int(ratio)) if ratio >= 1 else F.interpolate(x, scale_factor=1 / ratio, mode="bilinear")
        joined.append(weight * x)
    return torch.cat(joined, 1)


def points(maps: Maps, layers: Iterable[str], limit: int) -> Tensor:
    """Hypercolumns at single pixels."""
    height, width = maps["image"].shape[2:]
    chosen = torch.arange(height * width)
    if len(chosen) > limit:
        chosen = torch.randperm(height * width, generator=torch.Generator().manual_seed(0))[:limit].sort().values
    places = torch.stack([(chosen % width + 0.5) / width, (chosen // width + 0.5) / height], 1).float() * 2 - 1
    read = partial(F.grid_sample, grid=places[None, None], padding_mode="border", align_corners=False)
    return torch.cat([read(maps[layer]) for layer in layers], 1)


# The methods: the loss at each size, from the maps of the result, the content and the style

STROTSS = ("image", *TWELVE[:7], "relu4_3", "relu5_3")
NNST = {layer: 1 / {1: 64, 2: 128, 3: 256, 4: 512}[int(layer[4])] for layer in (*TWELVE[:7], *TWELVE[8:11])}


def gatys(x: Maps, p: Maps, s: Maps, stage: int) -> Tensor:
    squares = 0.5 * (x["relu4_2"] - p["relu4_2"]).square().sum()
    return squares + 1e5 * sum(0.2 * gram(x[layer], s[layer]) for layer in FIVE)


def li_wand(x: Maps, p: Maps, s: Maps, stage: int) -> Tensor:
    matched = 0.5 * (patches(x["relu3_1"], s["relu3_1"]) + patches(x["relu4_1"], s["relu4_1"]))
    smooth = variation(x["image"]) / x["image"].numel()
    return content(x["relu4_2"], p["relu4_2"]) + 3 * matched + 2 * smooth


def johnson(x: Maps, p: Maps, s: Maps, stage: int) -> Tensor:
    total = (x["relu3_3"] - p["relu3_3"]).square().mean() + 0.5e-6 * variation(255 * x["image"])
    for layer in ("relu1_2", "relu2_2", "relu3_3", "relu4_3"):
        one, other = (flat(each[layer]) @ flat(each[layer]).T / each[layer].numel() for each in (x, s))
        total = total + 5 * (one - other).square().mean()
    return total


def risser(x: Maps, p: Maps, s: Maps, stage: int) -> Tensor:
    grams = sum(gram_relative(x[layer], s[layer]) for layer in FIVE[:4]) / 4
    histograms = (histogram(x["relu1_1"], s["relu1_1"]) + histogram(x["relu4_1"], s["relu4_1"])) / 2
    smooth = variation(x["image"]) / x["image"].numel()
    return content(x["relu4_1"], p["relu4_1"]) + 10 * grams + 10 * histograms + 2 * smooth


def strotss(x: Maps, p: Maps, s: Maps, stage: int) -> Tensor:
    alpha = 16 / 2**stage
    h, h_s = (points(maps, STROTSS, 2048) for maps in (x, s))
    palette = relaxed(torch.cdist(flat(x["image"]).T, flat(s["image"]).T) / math.sqrt(3))
    matched = relaxed(cosines(flat(h), flat(h_s))) + covariance(h, h_s)
    kept = self_similarity(points(x, STROTSS, 1024), points(p, STROTSS, 1024))
    return alpha * kept + matched + palette / max(alpha, 1)


def crowson(x: Maps, p: Maps, s: Maps, stage: int) -> Tensor:
    weights = zip(FIVE, (256, 64, 16, 4, 1), strict=True)
    transport = sum(weight / 341 * gaussian_transport(x[layer], s[layer]) for layer, weight in weights)
    smooth = variation(x["image"]) / x["image"].numel()
    return 0.015 * (x["relu4_2"] - p["relu4_2"]).square().mean() + transport + 2 * smooth


def heitz(x: Maps, p: Maps, s: Maps, stage: int) -> Tensor:
    return 0.2 * content(x["relu4_2"], p["relu4_2"]) + sum(sliced(x[layer], s[layer]) for layer in TWELVE)


def nnst(x: Maps, p: Maps, s: Maps, stage: int) -> Tensor:
    rest = 0.5 * content(x["relu4_1"], p["relu4_1"]) + 0.1 * covariance(x["image"], s["image"])
    if stage == 1:
        return sum(neighbor(x[layer], s[layer], 1024) for layer in NNST) + rest
    return neighbor(columns(x, NNST), columns(s, NNST)) + rest


def lbfgs(x: Tensor, loss: Callable[[Tensor], Tensor], evaluations: int) -> Iterator[tuple[float, Tensor]]:
    """The pictures that torch's L-BFGS evaluates, clipped, with their losses before that."""
    x, seen = x.clone().requires_grad_(), []

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(x)
        value.backward()  # type: ignore[no-untyped-call]
        seen.append((float(value.detach()), x.detach().clamp(0, 1)))
        return value

    optimizer = torch.optim.LBFGS(
        [x], max_iter=evaluations, max_eval=evaluations, history_size=20, tolerance_grad=0, tolerance_change=0,
        line_search_fn="strong_wolfe",
    )  # fmt: skip
    optimizer.step(closure)  # type: ignore[no-untyped-call]
    yield from seen[:evaluations]


def adam(x: Tensor, loss: Callable[[Tensor], Tensor], evaluations: int) -> Iterator[tuple[float, Tensor]]:
    """The pictures that Adam evaluates, clipped after each step, with their losses; at last, the one after the last."""
    x = x.clone().requires_grad_()
    optimizer = torch.optim.Adam([x], lr=0.02, betas=(0.9, 0.99))
    for _ in range(evaluations):
        optimizer.zero_grad()
        value = loss(x)
        value.backward()  # type: ignore[no-untyped-call]
        yield float(value.detach()), x.detach().clone()
        optimizer.step()
        with torch.no_grad():
            x.clamp_(0, 1)
    yield math.inf, x.detach()


def minimised(x: Tensor, loss: Callable[[Tensor], Tensor], evaluations: int) -> Tensor:
    """The best picture that L-BFGS or Adam evaluates."""
    found = [*lbfgs(x, loss, evaluations), *adam(x, loss, evaluations)]
    return min(found, key=lambda pair: pair[0])[1]


def averaged(x: Tensor, loss: Callable[[Tensor], Tensor], evaluations: int) -> Tensor:
    """The average of the pictures after Adam's steps, with a decay of 0.99, free of the bias of its start."""
    _, *pictures = (picture for _, picture in adam(x, loss, evaluations))
    weights = [0.99 ** (evaluations - step) for step in range(1, evaluations + 1)]
    total = sum(weight * picture for weight, picture in zip(weights, pictures, strict=True))
    return torch.as_tensor(total / sum(weights))


# A quarter, half and the whole of 64 pixels, where there are several sizes.
SIZES = {"li-wand": (16, 32, 64), "risser": (16, 32, 64), "nnst": (64, 64)}
LOSSES = {
    "gatys": gatys,
    "li-wand": li_wand,
    "johnson": johnson,
    "risser": risser,
    "strotss": strotss,
    "crowson": crowson,
    "heitz": heitz,
    "nnst": nnst,
}
DEEPEST = {"risser": "relu4_1", "li-wand": "relu4_2", "johnson": "relu4_3", "nnst": "relu4_3", "heitz": "relu4_4"}


def resized(image: Tensor, longest: int) -> Tensor:
    if image.shape[3] == longest:
        return image
    return F.interpolate(image, (longest, longest), mode="bicubic", antialias=True).clamp(0, 1)


def options(name: str, **other: Any) -> dict[str, Any]:
    return {"size": SIZE, "iterations": EVALUATIONS, "progress": False, **RECIPES[name](), **other}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_recipe_minimises_its_loss_as_far_as_a_loop_of_its_own(name: str, photo: Tensor, style: Tensor) -> None:
    made = plan(photo, style, **options(name))
    network, sizes = Network(RECIPES[name]()["encoder"]), SIZES.get(name, (SIZE,))
    deepest = DEEPEST.get(name, "relu5_3")
    assert [(stage.size, stage.iterations) for stage in made.stages] == [(size, EVALUATIONS) for size in sizes]
    x = made.start
    for number, stage in enumerate(made.stages):
        with torch.no_grad():
            p, s = (network(resized(image, stage.size), deepest) for image in (photo, style))

        def loss(image: Tensor, number: int = number, p: Maps = p, s: Maps = s) -> Tensor:
            return LOSSES[name](network(image, deepest), p, s, number)

        x = resized(x, stage.size)
        evaluation = stage.objective(made.content, made.styles, None).evaluate(x)
        assert evaluation.loss == pytest.approx(float(loss(x)), rel=2e-3)
        x = (averaged if name == "crowson" else minimised)(x, loss, EVALUATIONS)
    *_, last = iterate(stylize, photo, style, **options(name))
    ours, theirs, first = (float(loss(picture)) for picture in (last.tensor(), x, resized(made.start, SIZE)))
    assert theirs < first
    assert ours <= 1.02 * theirs


# What else the parts can do


@pytest.mark.parametrize("name", PUBLISHED)
def test_recipes_paint_in_tiles(name: str, photo: Tensor, style: Tensor) -> None:
    made = plan(photo, style, **options(name))
    objective, picture = made.stages[-1].objective(made.content, made.styles, None), resized(made.start, SIZE)
    whole, tiled = (objective.evaluate(picture, tile) for tile in (None, 32))
    assert tiled.loss == pytest.approx(whole.loss, rel=1e-4)


@pytest.mark.parametrize("name", PUBLISHED)
def test_recipes_paint_pictures_of_any_size(name: str, photo: Tensor, style: Tensor) -> None:
    image = stylize(photo[..., :53, :], style[..., :40], **options(name, size=71, iterations=1))
    assert image.size == (71, 59)


REGIONS = {"gatys", "li-wand", "johnson", "crowson"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_masks_and_regions_work_or_are_refused_by_the_name_of_the_loss(name: str, photo: Tensor, style: Tensor) -> None:
    half = torch.zeros(SIZE, SIZE)
    half[:, :32] = 1
    for guide, works in (("region", name in REGIONS), ("mask", name in REGIONS - {"li-wand"})):
        guided = Style(style, **{guide: half})
        if works:
            stylize(photo, guided, **options(name, iterations=1))
        else:
            with pytest.raises(ValueError, match=rf"\w+Loss.*{guide}"):
                plan(photo, guided, **options(name))


@pytest.mark.parametrize("name", ["strotss", "crowson", "nnst"])
def test_a_stopped_recipe_continues_to_the_same_bytes(
    name: str, photo: Tensor, style: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda file: None)
    shared = options(name, iterations=4)
    whole = stylize(photo, style, **shared)
    state = StateFile(tmp_path / "run.state", every=0)
    stylize(photo, style, **shared, state=state, callback=lambda progress: progress.iteration < 3)
    seen: list[int] = []
    again = stylize(photo, style, **shared, state=state, callback=lambda progress: seen.append(progress.iteration))
    assert seen[0] > 1
    assert again.tobytes() == whole.tobytes()
