"""Measures that papers report, on any encoder: CFSD, LPIPS, single-image FID, cosine of style embeddings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from neuralstyle._errors import brief, is_word, number, unknown, whole_number
from neuralstyle.encoders.base import Encoder
from neuralstyle.images import Picture
from neuralstyle.losses.tools.sampling import sample
from neuralstyle.metrics.features import MAX_POSITIONS, STRUCTURE_LAYERS, features_of, network_of
from neuralstyle.metrics.measure import Measured, measure, root
from neuralstyle.metrics.references import with_content, with_style

Similarity = Literal["cosine", "product"]
SIMILARITIES: tuple[Similarity, ...] = get_args(Similarity)
TEMPERATURE = 0.1  # of cosines, before their softmax
_TINY = 1e-10  # added to lengths of feature vectors, as LPIPS does
_LEAST_EIGENVALUE = 1e-14  # as a share of the trace, below which an eigenvalue is rounding

Embedding = Callable[[Tensor], Tensor]
"""From pictures (1, 3, H, W) in [0, 1] to vectors (1, D) or (D,)."""


@measure
def cfsd(
    picture: Picture,
    content: Picture,
    *,
    encoder: Encoder | None = None,
    layers: Sequence[str] | None = None,
    similarity: Similarity = "cosine",
    positions: int | None = MAX_POSITIONS,
) -> Measured:
    r"""Measure how similarities within a picture differ from the content's (CFSD). Lower is closer.

    The content feature structural distance: with $S_{pq}$ the softmax over q of the similarity between the features at
    positions p and q,

    $$ D = \frac{1}{L} \sum_l \operatorname{mean}_p \operatorname{KL}\left(S^{C,l}_p \,\Vert\, S^l_p\right) $$

    0 for the content itself. All colours may change, as in ``structure``, which compares the same distances by their
    correlation.

    Args:
        picture: the result; a tensor may require gradients.
        content: the photograph; it is resized to the picture.
        encoder: the network that gives the features; None: ``RandomFilters()``.
        layers: names of layers; required with an encoder of yours, None: the filters of 22, 44 and 88 pixels of
            ``RandomFilters()``.
        similarity: "cosine", over a temperature of 0.1, so that encoders compare alike; or "product", the scalar
            product over the squared number of channels, as in the paper's program.
        positions: largest number of positions to use, the same in both pictures; None: all. Memory and time grow with
            its square.

    Raises:
        ValueError: an unknown similarity or layer, an encoder without ``layers``, or pictures of different aspects.

    Example:
        ```python
        from neuralstyle import samples
        from neuralstyle.metrics import cfsd

        photo = samples.photo().resize((192, 128))
        assert cfsd(photo, photo) == 0 < cfsd(photo.rotate(180), photo)
        ```

    Paper: Chung, Hyun and Heo, Style Injection in Diffusion (StyleID), arXiv 2312.09008, with relu3_1 of VGG-19.
    Departures: the cosine, unless "product" is asked for; at most 1024 positions; the mean over positions instead of
    the sum, by which their program's value is larger.

    """
    if not is_word(similarity, SIMILARITIES):
        raise unknown("similarity of cfsd", similarity, SIMILARITIES)
    if positions is not None:
        positions = whole_number("positions of cfsd", positions, 2, hint=", or None")
    network, names = network_of(encoder, layers, STRUCTURE_LAYERS)
    image, target = with_content(picture, content)
    found = []
    for maps in features_of(network, names, image, target):
        logs, target_logs = (_log_similarities(x, similarity, positions) for x in maps)
        found.append((target_logs.exp() * (target_logs - logs)).sum(1).mean())
    return torch.stack(found).mean().clamp(min=0)


def _log_similarities(x: Tensor, similarity: Similarity, positions: int | None) -> Tensor:
    """The logarithm of the softmax of similarities between positions: (1, C, h, w) -> (n, n)."""
    chosen = sample(x.flatten(2), positions, 0)[0]
    chosen = chosen.double() if _has_double(chosen) else chosen
    scaled = _unit(chosen) / TEMPERATURE**0.5 if similarity == "cosine" else chosen / chosen.shape[0]
    return (scaled.T @ scaled).log_softmax(1)


@measure
def lpips(
    picture: Picture,
    content: Picture,
    *,
    encoder: Encoder | None = None,
    layers: Sequence[str] | None = None,
    weights: Mapping[str, Sequence[float] | Tensor] | None = None,
) -> Measured:
    r"""Measure the perceptual distance of LPIPS between a picture and the content, on any encoder. Lower is closer.

    With $\hat F, \hat P$ the features at each position divided by their length,

    $$ D = \sum_l \operatorname{mean}_p \sum_c w_{lc} \left(\hat F^l_{cp} - \hat P^l_{cp}\right)^2 $$

    0 for the content itself; at most 2 for each layer with weights of 1 and features that are not negative. The
    published measure has weights that were fitted to people's judgement. With the features and the weights of a
    published file this is that measure; without weights it is the same formula with $w = 1$.

    Args:
        picture: the result; a tensor may require gradients.
        content: the photograph; it is resized to the picture.
        encoder: the network that gives the features; None: ``RandomFilters()``.
        layers: names of layers; required with an encoder of yours, None: all layers of ``RandomFilters()``.
        weights: for each layer a weight of each channel, at least 0; None: 1 for all.

    Raises:
        ValueError: an unknown layer, an encoder without ``layers``, weights of other layers or channels, or pictures of
            different aspects.

    Example:
        ```python
        from neuralstyle import FeatureExtractor, samples
        from neuralstyle.metrics import lpips

        photo = samples.photo().resize((96, 64))
        vgg = FeatureExtractor(layers=["relu1_2", "relu2_2"])
        assert lpips(photo, photo) == 0 < lpips(photo.rotate(180), photo, encoder=vgg, layers=["relu1_2", "relu2_2"])
        ```

    Paper: Zhang, Isola, Efros, Shechtman and Wang, arXiv 1801.03924. Departures: the encoder and the weights are
    yours to choose.

    """
    network, names = network_of(encoder, layers, None)
    factors = _weights(weights, names)
    image, target = with_content(picture, content)
    found = []
    for name, (x, y) in zip(names, features_of(network, names, image, target), strict=True):
        error = (_unit(x[0].flatten(1)) - _unit(y[0].flatten(1))).square()
        if factors is not None:
            if factors[name].numel() != len(error):
                raise ValueError(f"weights of {name} are {len(error)}, one a channel, received {factors[name].numel()}")
            error = error * factors[name].to(error)[:, None]
        found.append(error.sum(0).mean())
    return torch.stack(found).sum()


def _weights(weights: Any, names: Sequence[str]) -> dict[str, Tensor] | None:
    """The weights of the channels of each layer."""
    if weights is None:
        return None
    if not isinstance(weights, Mapping) or set(weights) != set(names):
        raise ValueError(f"weights of lpips are a dict with the layers {', '.join(names)}, received {brief(weights)}")
    found: dict[str, Tensor] = {}
    for name, row in weights.items():
        values = row.flatten().tolist() if isinstance(row, Tensor) else list(row)
        checked = [number(f"a weight of {name}", value, least=0) for value in values]
        found[name] = torch.tensor(checked, dtype=torch.float32, device="cpu")
    return found


@measure
def sifid(
    picture: Picture,
    style: Picture,
    *,
    encoder: Encoder | None = None,
    layers: Sequence[str] | None = None,
) -> Measured:
    r"""Measure the single-image Fréchet distance (SIFID) to the style: features as Gaussians. Lower is closer.

    With mean $\mu$ and covariance $\Sigma$ of the features over the positions of one picture,

    $$ D = \frac{1}{L} \sum_l |\mu - \mu_S|^2
    + \operatorname{tr}\left(\Sigma + \Sigma_S - 2 (\Sigma_S^{1/2} \Sigma \Sigma_S^{1/2})^{1/2}\right) $$

    0 for the style itself. Its unit is that of squared features, so values of different encoders do not compare.

    Args:
        picture: the result; a tensor may require gradients.
        style: the painting, reduced to the longest side of the picture, and never enlarged.
        encoder: the network that gives the features; None: ``RandomFilters()``.
        layers: names of layers; required with an encoder of yours, None: all layers of ``RandomFilters()``.

    Raises:
        ValueError: an unknown layer, an encoder without ``layers``, or a picture that cannot be used.

    Example:
        ```python
        from neuralstyle import samples
        from neuralstyle.metrics import sifid

        painting = samples.painting("swirl", size=128)
        assert sifid(painting, painting) < 1e-6 < sifid(samples.photo(), painting)
        ```

    Paper: Shaham, Dekel and Michaeli, SinGAN, arXiv 1905.01164, on 64 features of the Inception network; the distance
    is that of Heusel et al., arXiv 1706.08500. Departure: the encoder is yours to choose.

    """
    network, names = network_of(encoder, layers, None)
    image, target = with_style(picture, style)
    found = []
    for x, y in features_of(network, names, image, target):
        (mean, covariance), (target_mean, target_covariance) = (_moments(maps) for maps in (x, y))
        values, vectors = torch.linalg.eigh(target_covariance)
        half = vectors * values.clamp(min=0).sqrt() @ vectors.T
        inner = torch.linalg.eigvalsh(half @ covariance @ half)
        least = _LEAST_EIGENVALUE * inner.detach().abs().sum()
        overlap = root(torch.where(inner > least, inner, torch.zeros_like(inner))).sum()
        spread = covariance.trace() + target_covariance.trace() - 2 * overlap
        found.append(((mean - target_mean).square().sum() + spread).clamp(min=0))
    return torch.stack(found).mean()


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (C,) and covariance (C, C) of features over positions, in float64 where the device has it."""
    rows = x[0].flatten(1)
    rows = rows.double() if _has_double(rows) else rows.cpu().double()
    mean = rows.mean(1)
    centred = rows - mean[:, None]
    return mean, centred @ centred.T / max(1, rows.shape[1] - 1)


@measure
def style_cosine(
    picture: Picture,
    style: Picture,
    *,
    embedding: Embedding | None = None,
    encoder: Encoder | None = None,
    layers: Sequence[str] | None = None,
) -> Measured:
    r"""Measure the cosine between the style embeddings of a picture and of the style. Higher is closer.

    $$ S = \frac{e \cdot e_S}{|e|\,|e_S|} $$

    1 for the style itself. The embedding may be a network of yours that was trained to tell styles apart, such as CSD.
    Without one, the Gram matrix of each layer is the vector, and S the mean over layers.

    Args:
        picture: the result; a tensor may require gradients.
        style: the painting, reduced to the longest side of the picture, and never enlarged.
        embedding: a function from pictures (1, 3, H, W) in [0, 1] to vectors (1, D) or (D,). None: Gram matrices.
        encoder: the network for the Gram matrices; None: ``RandomFilters()``.
        layers: names of layers; required with an encoder of yours, None: all layers of ``RandomFilters()``.

    Raises:
        ValueError: an unknown layer, an encoder without ``layers``, an encoder beside an embedding, or an embedding
            that gives no vector.
        TypeError: an embedding that is not a function.

    Example:
        ```python
        from neuralstyle import samples
        from neuralstyle.metrics import style_cosine

        painting = samples.painting("swirl", size=128)
        mean_color = lambda image: image.mean((2, 3))  # a poor embedding
        assert style_cosine(painting, painting, embedding=mean_color) > 0.999 > style_cosine(samples.photo(), painting)
        ```

    Paper: Somepalli et al., Measuring Style Similarity in Diffusion Models (CSD), arXiv 2404.01292, whose embedding is
    a trained network. Departure: without one, Gram matrices (Gatys, Ecker and Bethge, arXiv 1508.06576).

    """
    image, target = with_style(picture, style)
    if embedding is not None:
        if not callable(embedding):
            raise TypeError(f"an embedding is a function from pictures to vectors, received {brief(embedding)}")
        if encoder is not None or layers is not None:
            raise ValueError("an embedding needs no encoder and no layers; give one or the other")
        vectors = [(_vector(embedding(image)), _vector(embedding(target)))]
    else:
        network, names = network_of(encoder, layers, None)
        vectors = [(_gram(x), _gram(y)) for x, y in features_of(network, names, image, target)]
    cosines = [x @ y / (root(x.square().sum() * y.square().sum())).clamp(min=1e-30) for x, y in vectors]
    return torch.stack(cosines).mean()


def _vector(found: object) -> Tensor:
    if not isinstance(found, Tensor) or not found.is_floating_point() or found.numel() != max(found.shape, default=0):
        what = tuple(found.shape) if isinstance(found, Tensor) else brief(found)
        raise ValueError(f"an embedding gives a vector (1, D) or (D,) of floating numbers, received {what}")
    return found.flatten()


def _gram(x: Tensor) -> Tensor:
    rows = x[0].flatten(1)
    return (rows @ rows.T / rows.shape[1]).flatten()


def _unit(x: Tensor) -> Tensor:
    """Scale the features at each position to length 1: (C, N) -> (C, N)."""
    return x / (root(x.square().sum(0)) + _TINY)


def _has_double(x: Tensor) -> bool:
    return x.device.type in ("cpu", "cuda")
