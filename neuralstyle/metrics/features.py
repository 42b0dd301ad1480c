"""Distances between features: how close a result is to the style, and how much of the content it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal, get_args

import torch
from torch import Tensor

from neuralstyle._errors import is_word, unknown
from neuralstyle.encoders.base import Encoder, check_is_encoder, check_names, encoder_name, on_encoder
from neuralstyle.images import Picture
from neuralstyle.losses import GramStyleLoss, SlicedWassersteinLoss
from neuralstyle.losses.tools.nearest import direction
from neuralstyle.losses.tools.sampling import sample
from neuralstyle.metrics.measure import Measured, measure, root
from neuralstyle.metrics.random_filters import RandomFilters, texture_layers
from neuralstyle.metrics.references import with_content, with_style

StyleMethod = Literal["gram", "sliced-wasserstein"]
STYLE_METHODS: tuple[StyleMethod, ...] = get_args(StyleMethod)
STRUCTURE_LAYERS = ("filters22", "filters44", "filters88")
MAX_POSITIONS = 1024  # of a feature map, whose pairwise distances are compared
FEATURE_DIRECTIONS = 16  # for each layer, along which distributions are compared


@measure
def style_distance(
    picture: Picture,
    style: Picture,
    *,
    method: StyleMethod = "gram",
    encoder: Encoder | None = None,
    layers: Sequence[str] | None = None,
) -> Measured:
    r"""Measure how far the features of a picture are from those of the style, at any position. Lower is better.

    With $E_l$ the value of ``GramStyleLoss(normalization="relative")`` or of ``SlicedWassersteinLoss`` at layer l,

    $$ D = \frac{1}{L} \sum_l \sqrt{E_l} $$

    0 for the style itself; about 1 for a picture without features; above 1 for one with stronger features than the
    style.

    Args:
        picture: the result: a path, PIL image, array or tensor.
        style: the painting, reduced to the longest side of the picture, and never enlarged.
        method: "gram" (which features occur together) or "sliced-wasserstein" (their whole distribution, along 16
            directions).
        encoder: the encoder of the features; None: ``RandomFilters()``.
        layers: names of layers; required with an encoder of yours, None: all layers of ``RandomFilters()``.

    Raises:
        ValueError: an unknown method or layer, an encoder without ``layers``, or a picture that cannot be used.

    Example:
        ```python
        from neuralstyle import samples
        from neuralstyle.metrics import style_distance

        painting = samples.painting("swirl", size=128)
        assert style_distance(painting, painting) == 0
        assert style_distance(samples.photo(), painting) > 0.2
        ```

    Papers: Gatys, Ecker and Bethge, arXiv 1508.06576; Heitz et al., arXiv 2006.07229; random filters after
    Ustyuzhaninov et al., arXiv 1606.00021.

    """
    if not is_word(method, STYLE_METHODS):
        raise unknown("method of style_distance", method, STYLE_METHODS)
    network, names = network_of(encoder, layers, None)
    image, target = with_style(picture, style)
    gram = method == "gram"
    loss = GramStyleLoss(names, normalization="relative") if gram else SlicedWassersteinLoss(names, FEATURE_DIRECTIONS)
    values = [loss.forward(x, y) for x, y in features_of(network, names, image, target)]
    return root(torch.stack(values).clamp(min=0)).mean()


@measure
def content_distance(
    picture: Picture,
    content: Picture,
    *,
    encoder: Encoder | None = None,
    layers: Sequence[str] | None = None,
) -> Measured:
    r"""Measure how far the features of a picture are from the content's, position by position. Lower is closer.

    $$ D = \frac{1}{L} \sum_l \frac{\lVert F^l - P^l \rVert}{\lVert P^l \rVert} $$

    0 for the content itself, 1 for a picture without features. Every change counts, those of colours too; ``structure``
    is the better measure of what a painting should keep.

    Args:
        picture: the result.
        content: the photograph; it is resized to the picture.
        encoder: the network that gives the features; None: ``RandomFilters()``.
        layers: names of layers; required with an encoder of yours, None: all layers of ``RandomFilters()``.

    Raises:
        ValueError: an unknown layer, an encoder without ``layers``, or pictures of different aspects.

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
    network, names = network_of(encoder, layers, None)
    image, target = with_content(picture, content)
    values = [(x - y).norm() / y.norm().clamp(min=1e-12) for x, y in features_of(network, names, image, target)]
    return torch.stack(values).mean()


@measure
def structure(
    picture: Picture,
    content: Picture,
    *,
    encoder: Encoder | None = None,
    layers: Sequence[str] | None = None,
) -> Measured:
    r"""Measure how well the similarities within the content are kept within the picture. Higher is better.

    With $D_{pq}$ the cosine distance between the features at positions p and q,

    $$ S = \frac{1}{L} \sum_l \operatorname{corr}_{p<q}\left(D^l_{pq}, D^{C,l}_{pq}\right) $$

    over at most 1024 positions, the same in both. 1 for the content itself, around 0 for an unrelated picture, at
    least -1. All colours may change: only which parts of a picture are similar to each other counts.

    Args:
        picture: the result.
        content: the photograph; it is resized to the picture.
        encoder: the network that gives the features; None: ``RandomFilters()``.
        layers: names of layers; required with an encoder of yours, None: the filters of 22, 44 and 88 pixels of
            ``RandomFilters()``.

    Raises:
        ValueError: an unknown layer, an encoder without ``layers``, or pictures of different aspects.

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
    network, names = network_of(encoder, layers, STRUCTURE_LAYERS)
    image, target = with_content(picture, content)
    found = [_correlation_of_distances(x, y) for x, y in features_of(network, names, image, target)]
    return torch.stack(found).mean()


@cache
def _random_filters() -> RandomFilters:
    return RandomFilters()


def network_of(
    encoder: Encoder | None, layers: Sequence[str] | None, default: Sequence[str] | None
) -> tuple[Encoder, tuple[str, ...]]:
    """Return the encoder and the names of the layers to compare."""
    if encoder is None:
        filters = _random_filters()
        wanted = default or texture_layers(filters) if layers is None else layers
        return filters, _some(check_names(wanted, filters.layers, filters.name), filters)
    if layers is None:
        raise ValueError(f"the layers of {encoder_name(encoder)} to compare are not given; give layers=[...]")
    check_is_encoder(encoder)
    return encoder, _some(check_names(layers, encoder.layers, encoder_name(encoder)), encoder)


def _some(names: tuple[str, ...], encoder: Encoder) -> tuple[str, ...]:
    if not names:
        raise ValueError(f"the layers of {encoder_name(encoder)} to compare are none; give one at least")
    return names


def features_of(encoder: Encoder, layers: Sequence[str], *images: Tensor) -> list[tuple[Tensor, ...]]:
    """Return the features of all images, layer by layer."""
    found = [encoder(_beside(encoder, image), layers) for image in images]
    return [tuple(features[name] for features in found) for name in layers]


def _beside(encoder: Encoder, image: Tensor) -> Tensor:
    """Return a picture on the encoder's device and in its dtype, also for one of buffers alone as random filters."""
    buffers = (
        encoder.buffers() if isinstance(encoder, torch.nn.Module) and next(encoder.parameters(), None) is None else ()
    )
    like = next((buffer for buffer in buffers if buffer.is_floating_point()), None)
    return on_encoder(encoder, image) if like is None else image.to(like)


def _correlation_of_distances(x: Tensor, y: Tensor) -> Tensor:
    """Correlate the cosine distances within one feature map with those within another."""
    count = min(MAX_POSITIONS, x.shape[2] * x.shape[3])
    rows, columns = torch.triu_indices(count, count, offset=1)
    distances = []
    for maps in (x, y):
        unit = direction(sample(maps.flatten(2), MAX_POSITIONS, 0))[0]
        distances.append((1 - unit.T @ unit)[rows, columns].double())
    centred = [distance - distance.mean() for distance in distances]
    lengths = [distance.norm().clamp(min=1e-12) for distance in centred]
    correlation: Tensor = centred[0] @ centred[1] / (lengths[0] * lengths[1])
    return correlation
