"""Colour control: give the style the content's colours before painting, or the result the content's afterwards.

Computed in float64 without gradient; handed back in the dtype and on the device of the first argument.
Papers: Gatys et al., "Preserving Color in Neural Artistic Style Transfer", arXiv 1606.05897, and "Controlling
Perceptual Factors in Neural Style Transfer", arXiv 1611.07865.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from neuralstyle._errors import unknown
from neuralstyle.color.oklab import exact_pictures, keep_chroma
from neuralstyle.images import Picture, load_image

Palette: TypeAlias = Literal["match", "match-pca", "match-cholesky", "histogram"]
"""The ways to give one picture the colours of another; `recolor` does."""

Color: TypeAlias = Literal["style", "luminance", Palette]
"""Whose colours a result has; `prepare_style` and `finish` see to it."""

Method: TypeAlias = Literal["symmetric", "pca", "cholesky"]
"""The affine maps that `match_color` knows."""

PALETTES: tuple[Palette, ...] = get_args(Palette)
COLORS: tuple[Color, ...] = get_args(Color)
METHODS: tuple[Method, ...] = get_args(Method)

_METHOD_OF: dict[str, Method] = {"match": "symmetric", "match-pca": "pca", "match-cholesky": "cholesky"}
_FLOOR = 1 / (12 * 255**2)  # the variance of rounding to 8 bits: less of it is not a colour
_ROUNDS = 80  # of making up for what clamping takes away
_CLOSE = 5e-5  # when that is enough: half of the 1e-4 that is promised


def recolor(content: Picture, style: Picture, method: Palette = "match") -> Tensor:
    """Give a photograph the palette of a painting and nothing else of it: no strokes, no painting, no network.

    The reverse of keeping the content's colours: those of the content give way to the style's, by the map that
    ``stylize(color=...)`` of the same name uses the other way round.

    Args:
        content: The picture that keeps its shapes: a path, PIL image, array or tensor.
        style: The picture whose colours it gets.
        method: "match", "match-pca" and "match-cholesky" give it the mean and covariance of the style's colours, see
            `match_color`; "histogram" those of each channel, see `match_histogram`.

    Returns:
        (1,3,H,W) in [0,1], of the content's size.

    Raises:
        ValueError: An unknown method, or pictures that cannot be used.
        FileNotFoundError: A picture that does not exist.

    Examples:
        >>> from neuralstyle import samples
        >>> recolor(samples.photo(), samples.painting("swirl", size=64)).shape[1]
        3

    """
    if method not in PALETTES:
        raise unknown("method", method, PALETTES)
    return prepare_style(load_image(content), load_image(style), method)


def prepare_style(style: Tensor, content: Tensor, color: Color) -> Tensor:
    """Recolour a style before painting, as the colour mode asks.

    - "style": the result takes the style's colours; nothing to do.
    - "luminance": the same, until `finish` puts the content's in their place.
    - "match", "match-pca", "match-cholesky": the style gets the mean and covariance of the content's colours, by the
      symmetric, "pca" or "cholesky" map of `match_color`.
    - "histogram": the style gets the histogram of each of the content's channels, see `match_histogram`.

    Args:
        style: (B,3,H,W) in [0,1].
        content: (B,3,H',W') or (1,3,H',W') in [0,1].
        color: One of `COLORS`.

    Returns:
        (B,3,H,W) in [0,1]: `style` itself where there is nothing to do.

    Raises:
        ValueError: An unknown mode, or pictures that cannot be used.

    Examples:
        >>> prepare_style(torch.rand(1, 3, 40, 40), torch.rand(1, 3, 30, 50), "match").shape
        torch.Size([1, 3, 40, 40])

    """
    if color not in COLORS:
        raise unknown("color", color, COLORS)
    if color in _METHOD_OF:
        return match_color(style, content, _METHOD_OF[color])
    return match_histogram(style, content) if color == "histogram" else style


def finish(result: Tensor, content: Tensor, color: Color, levels: int | None = 256) -> Tensor:
    """Recolour a result after painting, as the colour mode asks: "luminance" does, by `keep_chroma`.

    It is what the luma transfer of other programs (``--preserve-colors``, ``-original_colors``) is for, in OkLab.

    Args:
        result: (B,3,H,W) in [0,1].
        content: (B,3,H,W) or (1,3,H,W) in [0,1]; not looked at in other modes.
        color: One of `COLORS`.
        levels: Of each channel in the picture that is to be saved, see `keep_chroma`: 256 for 8 bits, None for more.

    Returns:
        (B,3,H,W) in [0,1]: `result` itself where there is nothing to do.

    Raises:
        ValueError: An unknown mode, or pictures that cannot be used.

    Examples:
        >>> finish(torch.rand(1, 3, 30, 50), torch.rand(1, 3, 30, 50), "luminance").shape
        torch.Size([1, 3, 30, 50])

    """
    if color not in COLORS:
        raise unknown("color", color, COLORS)
    return keep_chroma(result, content, levels) if color == "luminance" else result


def match_color(
    image: Tensor,
    reference: Tensor,
    method: Method = "symmetric",
    clip: bool = True,
) -> Tensor:
    r"""Give a picture the mean and covariance of another's colours, by an affine map of its RGB pixels.

    With $\mu_S, \Sigma_S$ the mean and covariance of the image's pixels $x$ and $\mu_C, \Sigma_C$ the reference's,

    $$ x \mapsto A (x - \mu_S) + \mu_C, \qquad A \Sigma_S A^\top = \Sigma_C $$

    which leaves a rotation to choose. With $\Sigma = L L^\top$ by Cholesky,

    $$
    A_\text{symmetric} = \Sigma_S^{-1/2} (\Sigma_S^{1/2} \Sigma_C \Sigma_S^{1/2})^{1/2} \Sigma_S^{-1/2}, \quad
    A_\text{pca} = \Sigma_C^{1/2} \Sigma_S^{-1/2}, \quad A_\text{cholesky} = L_C L_S^{-1}
    $$

    The first is symmetric positive: of all such maps it moves the colours least (the Monge map of optimal transport).
    The other two are the papers'; "cholesky" depends on the order of the channels.

    Departure: in any direction of colour, a variance below that of rounding to 8 bits, $1/(12 \cdot 255^2)$, counts as
    that much. So grey and one-coloured pictures work, though no map can give them the variance that they lack.

    Departure: the map may leave [0,1], and clamping moves mean and covariance (by up to 0.04 among 168 pairs of
    pictures, most where a photograph has a white background). So the clamped picture is matched and clamped again
    until they are right.

    Args:
        image: (B,3,H,W) in [0,1].
        reference: (B,3,H',W') or (1,3,H',W') in [0,1].
        method: "symmetric", "pca" or "cholesky".
        clip: Clamp to [0,1], and make up for it: mean and covariance are right to 1e-4. Without, the map is affine and
            they are exact.

    Returns:
        (B,3,H,W), in [0,1] with `clip`.

    Raises:
        ValueError: An unknown method, or pictures that cannot be used.

    Examples:
        >>> image, reference = torch.rand(1, 3, 40, 40), torch.rand(1, 3, 30, 50) ** 2
        >>> matched = match_color(image, reference, clip=False)
        >>> torch.allclose(matched.mean((2, 3)), reference.mean((2, 3)), atol=1e-6)
        True

    Papers: Gatys et al., arXiv 1606.05897 and 1611.07865, color histogram matching; Pitié and Kokaram, "The Linear
    Monge-Kantorovitch Linear Colour Mapping for Example-Based Colour Transfer", CVMP 2007.

    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    pixels, others = (picture.flatten(2) for picture in exact_pictures(image=image, reference=reference))
    (mean, source), (goal, target) = _moments(pixels), _moments(others)
    matched = _transport(_floored(source), _floored(target), method) @ (pixels - mean) + goal
    if clip:
        matched = _clamped(matched)
    return matched.view(image.shape).to(image)


def match_histogram(image: Tensor, reference: Tensor) -> Tensor:
    r"""Give each channel of a picture the histogram of another's, by a rising curve for each channel.

    With $F_S$ the distribution function of the image's channel and $F_C^{-1}$ the quantiles of the reference's,

    $$ x \mapsto F_C^{-1}(F_S(x)) $$

    Of M values in the reference, the j-th from 0 is the quantile at $(j + 1/2) / M$; between them it is linear. Equal
    values get the quantile at the middle of their ranks, so flat areas stay flat, and the histogram is exact only where
    all values differ. A picture matched with itself stays. Channels are matched one by one: unlike `match_color` this
    can make colours that neither picture has.

    Args:
        image: (B,3,H,W) in [0,1].
        reference: (B,3,H',W') or (1,3,H',W') in [0,1].

    Returns:
        (B,3,H,W), within the range of the reference's values.

    Raises:
        ValueError: Pictures that cannot be used.

    Examples:
        >>> image, reference = torch.rand(1, 3, 40, 40), torch.rand(1, 3, 20, 80) ** 2
        >>> matched = match_histogram(image, reference)
        >>> torch.allclose(matched.flatten(2).sort().values, reference.flatten(2).sort().values, atol=0.01)
        True

    """
    pixels, target = (picture.flatten(2) for picture in exact_pictures(image=image, reference=reference))
    target = target.expand(len(pixels), -1, -1)
    (ordered, order), quantiles = pixels.sort(), target.sort().values
    below, upto = (torch.searchsorted(ordered, ordered, right=right) for right in (False, True))
    last = target.shape[2] - 1
    position = ((below + upto).double() / 2 * (target.shape[2] / pixels.shape[2]) - 0.5).clamp(0, last)
    index = position.long()
    low, high = quantiles.gather(2, index), quantiles.gather(2, (index + 1).clamp(max=last))
    matched = torch.empty_like(pixels).scatter_(2, order, torch.lerp(low, high, position - index))
    return matched.view(image.shape).to(image)


def _clamped(free: Tensor) -> Tensor:
    """Pixels (B,3,N) brought into [0,1], with the mean and covariance that they had before."""
    mean, covariance = _moments(free)
    floor = _FLOOR * torch.eye(3, dtype=free.dtype, device=free.device)
    pixels = free.clamp(0, 1)
    for _ in range(_ROUNDS):
        found_mean, found = _moments(pixels)
        missing = torch.cat((mean - found_mean, covariance - found), 2).abs().amax((1, 2), keepdim=True)
        if missing.amax() < _CLOSE:
            break
        transport = _transport(found + floor, covariance + floor, "symmetric")
        nearer = (transport @ (pixels - found_mean) + mean).clamp(0, 1)
        pixels = torch.where(missing < _CLOSE, pixels, nearer)
    return pixels


def _transport(source: Tensor, target: Tensor, method: Method) -> Tensor:
    """The matrix that turns one covariance (B,3,3) into another."""
    if method == "cholesky":
        factor, target_factor = torch.linalg.cholesky(source), torch.linalg.cholesky(target)
        transport: Tensor = torch.linalg.solve_triangular(factor, target_factor, upper=False, left=False)
        return transport
    root, inverse = _power(source, 0.5), _power(source, -0.5)
    if method == "pca":
        return _power(target, 0.5) @ inverse
    return inverse @ _power(root @ target @ root, 0.5) @ inverse


def _moments(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (B,3,1) and covariance (B,3,3) of pixels (B,3,N)."""
    mean = pixels.mean(2, keepdim=True)
    centred = pixels - mean
    return mean, centred @ centred.mT / pixels.shape[2]


def _floored(covariance: Tensor) -> Tensor:
    """A covariance (B,3,3) of which no variance is below the floor."""
    values, vectors = torch.linalg.eigh(covariance)
    floored: Tensor = vectors * values.clamp(min=_FLOOR)[:, None] @ vectors.mT
    return floored


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """A power of symmetric positive matrices (B,3,3)."""
    values, vectors = torch.linalg.eigh(matrix)
    power: Tensor = vectors * values.clamp(min=_FLOOR**2).pow(exponent)[:, None] @ vectors.mT
    return power
