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

Color: TypeAlias = Literal["style", "luminance", "match", "histogram"]
"""Whose colours a result has; `prepare_style` and `finish` see to it."""

Method: TypeAlias = Literal["symmetric", "pca", "cholesky"]
"""The affine maps that `match_color` knows."""

COLORS: tuple[Color, ...] = get_args(Color)
METHODS: tuple[Method, ...] = get_args(Method)

_FLOOR = 1 / (12 * 255**2)  # the variance of rounding to 8 bits: less of it is not a colour
_KNEE = 0.04045  # where the straight foot of the sRGB curve ends
_STEPS = 16  # bisections for the chroma that fits: to 2e-5 of it, far below 8 bits
_SLACK = 1e-14  # of the gamut, in linear light; more of it would show in black, where OkLab's cube root is steep
_EXACT = ("cpu", "cuda")  # devices that have float64; MPS and some XPUs do not


def _matrix(*rows: tuple[float, float, float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64, device="cpu")


# Ottosson's matrices: linear sRGB -> cones; (L, a, b) -> cube roots of cones. His inverses are rounded, so they are
# computed, and the sums of the first one's rows, 1 to ten digits, made 1: then grey has no chroma to the last digit.
_CONES = _matrix(
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_ROOTS = _matrix(
    (1, 0.3963377774, 0.2158037573),
    (1, -0.1055613458, -0.0638541728),
    (1, -0.0894841775, -1.2914855480),
)
_CONES /= _CONES.sum(1, keepdim=True)
_FROM_CONES, _FROM_ROOTS = torch.linalg.inv(_CONES), torch.linalg.inv(_ROOTS)


def prepare_style(style: Tensor, content: Tensor, color: Color) -> Tensor:
    """Recolour a style before painting, as the colour mode asks.

    - "style": the result takes the style's colours; nothing to do.
    - "luminance": the same, until `finish` puts the content's in their place.
    - "match": the style gets the mean and covariance of the content's colours, see `match_color`.
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
    if color == "match":
        return match_color(style, content)
    return match_histogram(style, content) if color == "histogram" else style


def finish(result: Tensor, content: Tensor, color: Color) -> Tensor:
    """Recolour a result after painting, as the colour mode asks: "luminance" does, by `keep_chroma`.

    Args:
        result: (B,3,H,W) in [0,1].
        content: (B,3,H,W) or (1,3,H,W) in [0,1]; not looked at in other modes.
        color: One of `COLORS`.

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
    return keep_chroma(result, content) if color == "luminance" else result


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

    Args:
        image: (B,3,H,W) in [0,1].
        reference: (B,3,H',W') or (1,3,H',W') in [0,1].
        method: "symmetric", "pca" or "cholesky".
        clip: Clamp to [0,1], which moves mean and covariance by what was outside; without, they are exact.

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
    (pixels, mean, covariance), (_, target_mean, target) = map(_moments, _exact(image=image, reference=reference))
    if method == "cholesky":
        factor, target_factor = torch.linalg.cholesky(covariance), torch.linalg.cholesky(target)
        transport = torch.linalg.solve_triangular(factor, target_factor, upper=False, left=False)
    elif method == "pca":
        transport = _power(target, 0.5) @ _power(covariance, -0.5)
    else:
        root, inverse = _power(covariance, 0.5), _power(covariance, -0.5)
        transport = inverse @ _power(root @ target @ root, 0.5) @ inverse
    matched: Tensor = (transport @ (pixels - mean) + target_mean).view(image.shape)
    return (matched.clamp(0, 1) if clip else matched).to(image)


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
    pixels, target = (picture.flatten(2) for picture in _exact(image=image, reference=reference))
    target = target.expand(len(pixels), -1, -1)
    (ordered, order), quantiles = pixels.sort(), target.sort().values
    below, upto = (torch.searchsorted(ordered, ordered, right=right) for right in (False, True))
    last = target.shape[2] - 1
    position = ((below + upto).double() / 2 * (target.shape[2] / pixels.shape[2]) - 0.5).clamp(0, last)
    index = position.long()
    low, high = quantiles.gather(2, index), quantiles.gather(2, (index + 1).clamp(max=last))
    matched = torch.empty_like(pixels).scatter_(2, order, torch.lerp(low, high, position - index))
    return matched.view(image.shape).to(image)


def keep_chroma(result: Tensor, content: Tensor) -> Tensor:
    r"""Give a result the content's colours, but for light and dark: its own lightness, the content's chroma.

    In OkLab, with r the result and c the content,

    $$ (L_r, a_r, b_r) \mapsto (L_r, t a_c, t b_c) $$

    OkLab is perceptual: one chroma looks equally strong, and of one hue, at any lightness. Near black and white a
    display has little chroma: there $t < 1$ is the greatest that it can show, found by bisection. Clipping the channels
    instead would change lightness and hue. Elsewhere $t = 1$.

    Departures from the papers: they use YIQ, whose luma is not lightness to the eye, and paint the luminance alone;
    here the result was painted in colour.

    Args:
        result: (B,3,H,W) in [0,1].
        content: (B,3,H,W) or (1,3,H,W) in [0,1].

    Returns:
        (B,3,H,W) in [0,1].

    Raises:
        ValueError: The pictures differ in size, or cannot be used.

    Examples:
        >>> painted = keep_chroma(torch.rand(1, 3, 30, 40), torch.full((1, 3, 30, 40), 0.5))
        >>> bool(rgb_to_oklab(painted)[:, 1:].abs().max() < 1e-4)  # a grey content has no chroma
        True

    Papers: Gatys et al., arXiv 1606.05897 and 1611.07865, luminance-only transfer; Ottosson, see `rgb_to_oklab`.

    """
    exact, other = _exact(result=result, content=content)
    if exact.shape[2:] != other.shape[2:]:
        sizes = f"{tuple(exact.shape[2:])} and {tuple(other.shape[2:])}"
        raise ValueError(f"result and content must have one (height, width), got {sizes}; resize the content")
    lightness, chroma = _to_lab(exact)[..., :1], _to_lab(other)[..., 1:]
    lab = torch.cat((lightness, chroma.expand(*lightness.shape[:-1], 2)), dim=-1)
    outside = ~_shown(_to_linear(lab))
    lightness, chroma = lab[outside][:, :1], lab[outside][:, 1:]
    low, high = torch.zeros_like(lightness), torch.ones_like(lightness)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        fits = _shown(_to_linear(torch.cat((lightness, middle * chroma), dim=-1)))[:, None]
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    lab[outside] = torch.cat((lightness, low * chroma), dim=-1)
    return _encode(_to_linear(lab)).clamp(0, 1).movedim(-1, 1).contiguous().to(result)


def rgb_to_oklab(image: Tensor) -> Tensor:
    r"""Convert sRGB to OkLab: lightness $L$, green to red $a$, blue to yellow $b$.

    With $M_1, M_2$ Ottosson's matrices and $f$ the sRGB transfer function, which makes light linear,

    $$ (L, a, b) = M_2 \sqrt[3]{M_1 f(R, G, B)} $$

    Args:
        image: (B,3,H,W) in [0,1]; values outside follow the continued curves.

    Returns:
        (B,3,H,W): $L$ in [0,1]; $a$ and $b$ within 0.33, both 0 for grey; chroma is $\sqrt{a^2 + b^2}$.

    Raises:
        ValueError: The picture cannot be used.

    Examples:
        >>> rgb_to_oklab(torch.ones(1, 3, 16, 16))[0, :, 0, 0].round(decimals=4).abs()
        tensor([1., 0., 0.])

    Paper: Björn Ottosson, "A perceptual color space for image processing", 2020, bottosson.github.io/posts/oklab.

    """
    (exact,) = _exact(image=image)
    return _to_lab(exact).movedim(-1, 1).contiguous().to(image)


def oklab_to_rgb(lab: Tensor) -> Tensor:
    """Convert OkLab to sRGB: the inverse of `rgb_to_oklab`, to 1e-5 in float32.

    Args:
        lab: (B,3,H,W), see `rgb_to_oklab`.

    Returns:
        (B,3,H,W), outside [0,1] for colours that sRGB lacks.

    Raises:
        ValueError: The tensor cannot be used.

    Examples:
        >>> image = torch.rand(1, 3, 16, 16)
        >>> torch.allclose(oklab_to_rgb(rgb_to_oklab(image)), image, atol=1e-5)
        True

    """
    (exact,) = _exact(lab=lab)
    return _encode(_to_linear(exact.movedim(1, -1))).movedim(-1, 1).contiguous().to(lab)


def _exact(**pictures: Tensor) -> list[Tensor]:
    """The pictures checked, in float64 and without gradient, on the first one's device or one that has float64."""
    first = next(iter(pictures.values()))
    device = first.device if first.device.type in _EXACT else "cpu"
    for name, picture in pictures.items():
        if picture.ndim != 4 or picture.shape[1] != 3 or not picture.is_floating_point() or not picture.numel():
            received = f"{tuple(picture.shape)} of {picture.dtype}"
            raise ValueError(f"{name} must be a floating (B,3,H,W) tensor with pixels, got {received}")
        if not picture.isfinite().all():
            raise ValueError(f"{name} holds NaN or infinite values; replace them")
        if picture.shape[0] not in (1, first.shape[0]):
            raise ValueError(f"{name} must have batch size 1 or {first.shape[0]}, got {picture.shape[0]}")
    # A device without float64 cannot even convert on the way, hence two steps.
    return [picture.detach().to(device).double().contiguous() for picture in pictures.values()]


def _moments(picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The pixels (B,3,N), their mean (B,3,1) and covariance (B,3,3), no variance of which is below the floor."""
    pixels = picture.flatten(2)
    mean = pixels.mean(2, keepdim=True)
    centred = pixels - mean
    values, vectors = torch.linalg.eigh(centred @ centred.mT / pixels.shape[2])
    return pixels, mean, vectors * values.clamp(min=_FLOOR)[:, None] @ vectors.mT


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """A power of symmetric positive matrices (B,3,3)."""
    values, vectors = torch.linalg.eigh(matrix)
    power: Tensor = vectors * values.clamp(min=_FLOOR**2).pow(exponent)[:, None] @ vectors.mT
    return power


def _to_lab(picture: Tensor) -> Tensor:
    """SRGB (B,3,H,W) -> OkLab (B,H,W,3)."""
    rgb = picture.movedim(1, -1)
    linear = torch.where(rgb <= _KNEE, rgb / 12.92, ((rgb.clamp(min=0) + 0.055) / 1.055).pow(2.4))
    cones = linear @ _CONES.to(rgb.device).T
    lab: Tensor = cones.sign() * cones.abs().pow(1 / 3) @ _FROM_ROOTS.to(rgb.device).T
    return lab


def _to_linear(lab: Tensor) -> Tensor:
    """OkLab (...,3) -> linear sRGB (...,3)."""
    linear: Tensor = (lab @ _ROOTS.to(lab.device).T).pow(3) @ _FROM_CONES.to(lab.device).T
    return linear


def _encode(linear: Tensor) -> Tensor:
    """Linear light -> sRGB."""
    return torch.where(linear <= _KNEE / 12.92, linear * 12.92, 1.055 * linear.clamp(min=0).pow(1 / 2.4) - 0.055)


def _shown(linear: Tensor) -> Tensor:
    """Whether a display can show the colours: (...,3) -> (...)."""
    return ((linear >= -_SLACK) & (linear <= 1 + _SLACK)).all(-1)
