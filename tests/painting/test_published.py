"""The published methods against loops of their own, written here from the formulas in plain torch.

Each loop has its own forward pass through VGG-19, of which it takes nothing but the filters, its own losses, sizes and
optimiser. Both begin at the same picture and make the same number of evaluations at each size; the recipe's result then
has at most 1.02 times the loss of the loop's. Where a method draws at random, the loop draws the same numbers by the
rule that the loss documents: directions from a generator with seed 0. Samples of positions are larger than the maps
here, so that both use all positions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from neuralstyle import FeatureExtractor, Objective, StateFile, Style, iterate, load_image, plan, samples, stylize
from neuralstyle.painting.plan import Plan
from neuralstyle.recipes import RECIPES

SIZE, EVALUATIONS = 96, 4
PUBLISHED = [name for name in RECIPES if name != "default"]
Maps = Mapping[str, Tensor]
FIVE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
TWELVE = tuple(f"relu{b}_{i}" for b, depth in ((1, 2), (2, 2), (3, 4), (4, 4)) for i in range(1, depth + 1))


@pytest.fixture(scope="module")
def style() -> Tensor:
    """A painting with as many pixels as the photograph, (1, 3, 64, 96)."""
    return load_image(samples.painting("swirl", size=SIZE))[..., :64, :]


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


def neighbor(x: Tensor, s: Tensor) -> Tensor:
    mean = flat(s).mean(1, keepdim=True)
    return cosines(flat(x) - mean, flat(s) - mean).amin(1).mean()


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


# The methods: the loss at each size, from the maps of the result, the content and the style

STROTSS = dict.fromkeys(("image", *TWELVE[:7], "relu4_3", "relu5_3"), 1.0)
NNST = {layer: 1 / {1: 64, 2: 128, 3: 256, 4: 512}[int(layer[4])] for layer in (*TWELVE[:7], *TWELVE[8:11])}


def gatys(x: Maps, p: Maps, s: Maps, stage: int) -> Tensor:
    squares = 0.5 * (x["relu4_2"] - p["relu4_2"]).square().sum()
    return squares + 1e5 * sum(0.2 * gram(x[layer], s[layer]) for layer in FIVE)


def li_wand(x: Maps, p: Maps, s: Maps, stage: int) -> Tensor:
    matched = 0.5 * (patches(x["relu3_1"], s["relu3_1"]) + patches(x["relu4_1"], s["relu4_1"]))
    smooth = variation(x["image"]) / x["image"].numel()
    return content(x["relu4_2"], p["relu4_2"]) + 50 * matched + 2 * smooth


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
    h, h_p, h_s = (columns(maps, STROTSS) for maps in (x, p, s))
    palette = relaxed(torch.cdist(flat(x["image"]).T, flat(s["image"]).T) / math.sqrt(3))
    matched = relaxed(cosines(flat(h), flat(h_s))) + covariance(h, h_s)
    return alpha * self_similarity(h, h_p) + matched + palette / max(alpha, 1)


def crowson(x: Maps, p: Maps, s: Maps, stage: int) -> Tensor:
    weights = zip(FIVE, (256, 64, 16, 4, 1), strict=True)
    transport = sum(weight / 341 * gaussian_transport(x[layer], s[layer]) for layer, weight in weights)
    smooth = variation(x["image"]) / x["image"].numel()
    return 0.015 * (x["relu4_2"] - p["relu4_2"]).square().mean() + transport + 2 * smooth


def heitz(x: Maps, p: Maps, s: Maps, stage: int) -> Tensor:
    return content(x["relu4_2"], p["relu4_2"]) + sum(sliced(x[layer], s[layer]) for layer in TWELVE)


def nnst(x: Maps, p: Maps, s: Maps, stage: int) -> Tensor:
    palette = 0.1 * covariance(x["image"], s["image"])
    if stage == 1:
        return sum(neighbor(x[layer], s[layer]) for layer in NNST) + palette
    return neighbor(columns(x, NNST), columns(s, NNST)) + palette


def by_lbfgs(x: Tensor, loss: Callable[[Tensor], Tensor], evaluations: int) -> Tensor:
    """torch's L-BFGS from a picture; the best picture that it has evaluated."""
    x, seen = x.clone().requires_grad_(), []

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(x)
        value.backward()  # type: ignore[no-untyped-call]
        seen.append((float(value.detach()), x.detach().clone()))
        return value

    optimizer = torch.optim.LBFGS(
        [x], max_iter=evaluations, max_eval=evaluations, history_size=20, tolerance_grad=0, tolerance_change=0,
        line_search_fn="strong_wolfe",
    )  # fmt: skip
    optimizer.step(closure)
    return min(seen[:evaluations], key=lambda pair: pair[0])[1].clamp(0, 1)


def by_adam(x: Tensor, loss: Callable[[Tensor], Tensor], evaluations: int) -> Tensor:
    """Adam with clipping; the bias-corrected average of its pictures."""
    x, average = x.clone().requires_grad_(), torch.zeros_like(x)
    optimizer = torch.optim.Adam([x], lr=0.02, betas=(0.9, 0.99))
    for _ in range(evaluations):
        optimizer.zero_grad()
        loss(x).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            x.clamp_(0, 1)
            average = 0.99 * average + 0.01 * x
    return average / (1 - 0.99**evaluations)


# Sizes at 96 x 64 pixels: those of a quarter, half and the whole, where there are several.
SIZES = {"li-wand": (24, 48, 96), "risser": (24, 48, 96), "nnst": (96, 96)}
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


def at_size(image: Tensor, longest: int) -> Tensor:
    if longest == SIZE:
        return image
    shape = (longest * 64 // 96, longest)
    return F.interpolate(image, shape, mode="bicubic", antialias=True).clamp(0, 1)


def planned(name: str, photo: Tensor, style: Tensor, **options: Any) -> Plan:
    return plan(photo, style, **{"size": SIZE, "iterations": EVALUATIONS, **RECIPES[name](), **options})


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_recipe_minimises_its_loss_as_far_as_a_loop_of_its_own(name: str, photo: Tensor, style: Tensor) -> None:
    made = planned(name, photo, style)
    network, sizes = Network(RECIPES[name]()["encoder"]), SIZES.get(name, (SIZE,))
    assert [(stage.size, stage.iterations) for stage in made.stages] == [(size, EVALUATIONS) for size in sizes]
    x = start = made.start
    for stage, size in enumerate(sizes):
        with torch.no_grad():
            p, s = (network(at_size(image, size), DEEPEST.get(name, "relu5_3")) for image in (photo, style))

        def loss(image: Tensor, stage: int = stage, p: Maps = p, s: Maps = s) -> Tensor:
            return LOSSES[name](network(image, DEEPEST.get(name, "relu5_3")), p, s, stage)

        x = x if x.shape[3] == size else F.interpolate(x, p["image"].shape[2:], mode="bicubic", antialias=True)
        x = x.clamp(0, 1)
        if stage == 0:
            objective = made.stages[0].objective(made.content, made.styles, None)
            assert objective.evaluate(start).loss == pytest.approx(float(loss(start)), rel=2e-3)
        x = (by_adam if name == "crowson" else by_lbfgs)(x, loss, EVALUATIONS)
    *_, last = iterate(stylize, photo, style, **{"size": SIZE, "iterations": EVALUATIONS, **RECIPES[name]()})
    ours, theirs, before = (float(loss(picture)) for picture in (last.tensor(), x, at_size(start, SIZE)))
    print(name, ours, theirs, before)
    assert ours < before
    assert ours <= 1.02 * theirs
