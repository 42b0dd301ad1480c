"""Distances between features: how near a result is to the style, and what it keeps of the content."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal, get_args

import torch
from torch import Tensor

from neuralstyle._errors import unknown
from neuralstyle.encoders.base import Encoder, check_is_encoder, check_names, encoder_name, on_encoder
from neuralstyle.images import Picture
from neuralstyle.losses import GramStyleLoss, SlicedWassersteinLoss
from neuralstyle.losses.tools.nearest import direction
from neuralstyle.losses.tools.sampling import sample
from neuralstyle.metrics.random_filters import RandomFilters, texture_layers
from neuralstyle.metrics.references import with_content, with_style

Method = Literal["gram", "sliced-wasserstein"]
METHODS: tuple[Method, ...] = get_args(Method)
STRUCTURE_LAYERS = ("filters22", "filters44", "filters88")
POSITIONS = 1024  # whose distances are compared
DIRECTIONS = 16  # of each layer, along which distributions are compared


def style_distance(
    picture: Picture,
    style: Picture,
    *,
    method: Method = "gram",
    encoder: Encoder | None = None,
    layers: Sequence[str] | None = None,
) -> float:
    r"""How far the features of a picture are from those of the style, whatever is where. Lower is better.

    With $E_l$ the value of ``GramStyleLoss(normalization="relative")`` or of ``SlicedWassersteinLoss`` at layer l,

    $$ D = \frac{1}{L} \sum_l \sqrt{E_l} $$

    0 for the style itself; about 1 for a picture without features; above 1 for one with more of them than the style.

    Args:
        picture: the result: a path, PIL image, array or tensor.
        style: the painting; it is compared at the longest side of the picture, and never enlarged.
        method: "gram", which features occur together; "sliced-wasserstein", their whole distribution,
            along 16 directions.
        encoder: what to look through; None: ``RandomFilters()``, with all its layers.
        layers: of another encoder, which has to be told.

    Raises:
        ValueError: an unknown method or layer, an encoder without layers, a picture that cannot be used.

    Example:
        ```python
        from neuralstyle import samples
        from neuralstyle.metrics import style_distance

        painting = samples.painting("swirl", size=128)
        assert style_distance(painting, painting) == 0
        assert style_distance(samples.photo(), painting) > 0.2
        ```

    Papers: Gatys, Ecker and Bethge, arXiv 1508.06576; Heitz et al., arXiv 2006.07229; as a judge, on random filters,
    after Ustyuzhaninov et al., arXiv 1606.00021.

    """
    if method not in METHODS:
        raise unknown("method of style_distance", method, METHODS)
    network, names = _network(encoder, layers, None)
    image, target = with_style(picture, style)
    gram = method == "gram"
    loss = GramStyleLoss(names, normalization="relative") if gram else SlicedWassersteinLoss(names, DIRECTIONS)
    values = []
    for x, y in _features(network, names, image, target):
        values.append(loss.forward(x, y))
    return float(torch.stack(values).clamp(min=0).sqrt().mean())


def content_distance(
    picture: Picture,
    content: Picture,
    *,
    encoder: Encoder | None = None,
    layers: Sequence[str] | None = None,
) -> float:
    r"""How far the features of a picture are from those of the content, position by position. Lower is closer.

    $$ D = \frac{1}{L} \sum_l \frac{\lVert F^l - P^l \rVert}{\lVert P^l \rVert} $$

    0 for the content itself, 1 for a picture without features. It counts every change, of colours too; what a painting
    should keep is measured better by ``structure``.

    Args:
        picture: the result.
        content: the photograph; it is resized to the picture.
        encoder: what to look through; None: ``RandomFilters()``, with all its layers.
        layers: of another encoder, which has to be told.

    Raises:
        ValueError: an unknown layer, an encoder without layers, pictures of different aspects.

    Example:
        ```python
        from neuralstyle import FeatureExtractor, samples
        from neuralstyle.metrics import content_distance

        photo = samples.photo().resize((96, 64))
        assert content_distance(photo, photo) == 0
        encoder = FeatureExtractor(layers=["relu4_2"])
        assert content_distance(photo.rotate(180), photo, encoder=encoder, layers=["relu4_2"]) > 0.5
        ```

    Paper: Gatys, Ecker and Bethge, arXiv 1508.06576, equation 1, as a share.

    """
    network, names = _network(encoder, layers, None)
    image, target = with_content(picture, content)
    values = []
    for x, y in _features(network, names, image, target):
        values.append((x - y).norm() / y.norm().clamp(min=1e-12))
    return float(torch.stack(values).mean())


def structure(
    picture: Picture,
    content: Picture,
    *,
    encoder: Encoder | None = None,
    layers: Sequence[str] | None = None,
) -> float:
    r"""How much of what is alike within the content is alike within the picture. Higher is better.

    With $D_{pq}$ the cosine distance between the features at positions p and q,

    $$ S = \frac{1}{L} \sum_l \operatorname{corr}_{p<q}\left(D^l_{pq}, D^{C,l}_{pq}\right) $$

    over at most 1024 positions, the same in both. 1 for the content itself, around 0 for an unrelated picture, at
    least -1. Colours may change altogether: only what is like what within each picture counts.

    Args:
        picture: the result.
        content: the photograph; it is resized to the picture.
        encoder: what to look through; None: ``RandomFilters()``, with its filters of 22, 44 and 88 pixels.
        layers: of another encoder, which has to be told.

    Raises:
        ValueError: an unknown layer, an encoder without layers, pictures of different aspects.

    Example:
        ```python
        from neuralstyle import samples
        from neuralstyle.metrics import structure

        photo = samples.photo().resize((192, 128))
        assert structure(photo, photo) > 0.999 > structure(photo.rotate(180), photo)
        ```

    Paper: Kolkin, Salavon and Shakhnarovich, STROTSS, arXiv 1904.12785, whose content loss compares the same
    distances; here their correlation.

    """
    network, names = _network(encoder, layers, STRUCTURE_LAYERS)
    image, target = with_content(picture, content)
    return sum(_likeness(x, y) for x, y in _features(network, names, image, target)) / len(names)


@cache
def _held_out() -> RandomFilters:
    return RandomFilters()


def _network(
    encoder: Encoder | None, layers: Sequence[str] | None, default: Sequence[str] | None
) -> tuple[Encoder, tuple[str, ...]]:
    """The encoder and the names of the layers to look at."""
    if encoder is None:
        held_out = _held_out()
        return held_out, check_names(layers or default or texture_layers(held_out), held_out.layers, held_out.name)
    if not layers:
        raise ValueError(f"which layers of {type(encoder).__name__} count has to be said; give layers=[...]")
    check_is_encoder(encoder)
    return encoder, check_names(layers, encoder.layers, encoder_name(encoder))


@torch.no_grad()
def _features(encoder: Encoder, layers: Sequence[str], *images: Tensor) -> list[tuple[Tensor, ...]]:
    """The features of each image, layer by layer."""
    found = [encoder(on_encoder(encoder, image), layers) for image in images]
    return [tuple(features[name] for features in found) for name in layers]


def _likeness(x: Tensor, y: Tensor) -> float:
    """The correlation of the cosine distances within one map and within another."""
    count = min(POSITIONS, x.shape[2] * x.shape[3])
    rows, columns = torch.triu_indices(count, count, offset=1)
    distances = []
    for maps in (x, y):
        unit = direction(sample(maps.flatten(2), POSITIONS, 0))[0]
        distances.append((1 - unit.T @ unit)[rows, columns].double())
    centred = [distance - distance.mean() for distance in distances]
    lengths = [distance.norm().clamp(min=1e-12) for distance in centred]
    return float(centred[0] @ centred[1] / (lengths[0] * lengths[1]))
