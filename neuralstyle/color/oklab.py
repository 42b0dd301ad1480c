"""OkLab: a perceptual colour space, in which lightness can change while chroma stays.

Everything is computed in float64 without gradient; the result has the dtype and device of the first argument.
"""

from __future__ import annotations

import itertools
from functools import cache

import torch
from torch import Tensor

from neuralstyle._errors import whole_number
from neuralstyle.images.tensors import check_floating
from neuralstyle.machine.surroundings import plain_torch

_LINEAR_END = 0.04045  # encoded value at which the linear part of the sRGB curve ends
_BISECTIONS = 20  # for the lightness that fits: to 1e-6
_GAMUT_TOLERANCE = 1e-14  # in linear light; a larger one would be visible in black, where OkLab's cube root is steep
_LIGHTNESS_WEIGHT = 0.05  # relative to chroma, when a picture is rounded to levels
_STEEPEST = 1e-12  # in linear light: below it the cube root is a line
_FLOAT64_DEVICES = ("cpu", "cuda")  # MPS and some XPUs have no float64


def _matrix(*rows: tuple[float, ...]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64, device="cpu")


def _summing_to_one(*row: float) -> tuple[float, ...]:
    # Without tensors: torch's arithmetic takes megabytes at its first use.
    return tuple(part / sum(row) for part in row)


# Ottosson's matrices: linear sRGB -> cones; (L, a, b) -> cube roots of cones. His inverses are rounded, so they are
# computed here. The rows of the first sum to 1 to ten digits; here they sum to 1 exactly, so that grey has exactly no
# chroma.
_CONES = _matrix(
    _summing_to_one(0.4122214708, 0.5363325363, 0.0514459929),
    _summing_to_one(0.2119034982, 0.6806995451, 0.1073969566),
    _summing_to_one(0.0883024619, 0.2817188376, 0.6299787005),
)
_ROOTS = _matrix(
    (1, 0.3963377774, 0.2158037573),
    (1, -0.1055613458, -0.0638541728),
    (1, -0.0894841775, -1.2914855480),
)


@cache
def _inverses() -> tuple[Tensor, Tensor]:
    # Not on import: torch's linear algebra takes megabytes at its first use.
    return torch.linalg.inv(_CONES), torch.linalg.inv(_ROOTS)


@plain_torch()
def keep_chroma(result: Tensor, content: Tensor, levels: int | None = None) -> Tensor:
    r"""Give a result the content's chroma and keep its own lightness.

    In OkLab, with r the result and c the content,

    $$ (L_r, a_r, b_r) \mapsto (L, a_c, b_c), \qquad L = L_r + t (L_c - L_r) $$

    Where sRGB has the content's chroma at the result's lightness, $t = 0$. Near black and white sRGB has little chroma;
    there t is the smallest value at which the colour exists, found by bisection, so a black line on a red wall becomes
    dark red. Such a t always exists, since the content's colour does. Clipping the channels instead would change the
    hue, and reducing the chroma would grey the content's colours.

    Rounding to 8 bits afterwards changes hues a little. With ``levels``, each pixel becomes the one of its eight
    neighbours on that grid with the smallest distance in OkLab, in which lightness weighs 0.05 of chroma.

    OkLab is perceptual: equal chroma looks equally strong, and equal hue looks alike, at any lightness. The luma of
    Rec. 601, by which other programs keep colours (``--preserve-colors``, ``-original_colors``), is a weighted sum of
    the encoded channels and not perceived lightness: with it, saturated blues and reds change their brightness.

    Departure from the papers: they paint the luminance alone, in YIQ; here the result is painted in colour.

    Args:
        result: (B, 3, H, W) in [0, 1].
        content: (B, 3, H, W) or (1, 3, H, W) in [0, 1].
        levels: number of values of each channel in the saved picture, at least 2: 256 for 8 bits. None does not round.

    Returns:
        (B, 3, H, W) in [0, 1].

    Raises:
        ValueError: the pictures differ in size or cannot be used, or ``levels`` is below 2.

    Example:
        ```python
        import torch
        from neuralstyle.color import keep_chroma, rgb_to_oklab

        painted = keep_chroma(torch.rand(1, 3, 30, 40), torch.full((1, 3, 30, 40), 0.5))
        assert rgb_to_oklab(painted)[:, 1:].abs().max() < 1e-4  # a grey content has no chroma
        ```

    Papers: Gatys et al., arXiv 1606.05897 and 1611.07865, luminance-only transfer; Ottosson, see ``rgb_to_oklab``.

    """
    exact, other = exact_pictures(result=result, content=content)
    if exact.shape[2:] != other.shape[2:]:
        sizes = f"{tuple(exact.shape[2:])} and {tuple(other.shape[2:])}"
        raise ValueError(f"result and content have the same (height, width), received {sizes}; resize the content")
    if levels is not None:
        whole_number("levels", levels, 2, hint=", or None")
    wanted = _to_lab(other).expand(len(exact), -1, -1, -1)
    lab = torch.cat((_to_lab(exact)[..., :1], wanted[..., 1:]), dim=-1)
    outside = ~_shown(_to_linear(lab))
    lab[outside] = _fit(lab[outside], wanted[outside])
    kept = _encode(_to_linear(lab)).clamp(0, 1)
    if levels is not None:
        kept = _snap(kept, lab, levels - 1)
    return kept.movedim(-1, 1).contiguous().to(result)


@plain_torch()
def rgb_to_oklab(image: Tensor) -> Tensor:
    r"""Convert sRGB to OkLab: lightness $L$, green to red $a$, blue to yellow $b$.

    With $M_1, M_2$ Ottosson's matrices and $f$ the sRGB transfer function, which makes light linear,

    $$ (L, a, b) = M_2 \sqrt[3]{M_1 f(R, G, B)} $$

    Args:
        image: (B, 3, H, W) in [0, 1]; the curves are continued for values outside.

    Returns:
        (B, 3, H, W): $L$ in [0, 1]; $a$ and $b$ within 0.33, both 0 for grey; chroma is $\sqrt{a^2 + b^2}$.

    Raises:
        ValueError: the picture cannot be used.

    Example:
        ```python
        import torch
        from neuralstyle.color import rgb_to_oklab

        white = rgb_to_oklab(torch.ones(1, 3, 16, 16))[0, :, 0, 0]
        assert torch.allclose(white, torch.tensor([1.0, 0.0, 0.0]), atol=1e-4)
        ```

    Paper: Björn Ottosson, "A perceptual color space for image processing", 2020, bottosson.github.io/posts/oklab.

    """
    (exact,) = exact_pictures(image=image)
    return _to_lab(exact).movedim(-1, 1).contiguous().to(image)


@plain_torch()
def oklab_to_rgb(lab: Tensor) -> Tensor:
    """Convert OkLab to sRGB: the inverse of ``rgb_to_oklab``, to 1e-5 in float32.

    Args:
        lab: (B, 3, H, W), see ``rgb_to_oklab``.

    Returns:
        (B, 3, H, W), outside [0, 1] for colours that sRGB lacks.

    Raises:
        ValueError: the tensor cannot be used.

    Example:
        ```python
        import torch
        from neuralstyle.color import oklab_to_rgb, rgb_to_oklab

        image = torch.rand(1, 3, 16, 16)
        assert torch.allclose(oklab_to_rgb(rgb_to_oklab(image)), image, atol=1e-5)
        ```

    """
    (exact,) = exact_pictures(lab=lab)
    return _encode(_to_linear(exact.movedim(1, -1))).movedim(-1, 1).contiguous().to(lab)


def oklab_with_gradient(image: Tensor) -> Tensor:
    """Convert sRGB to OkLab as ``rgb_to_oklab`` does, in float64 and with its gradient, which is finite in black too.

    Args:
        image: (B, 3, H, W) in [0, 1]; it is not checked.

    Returns:
        (B, 3, H, W) in float64, on the CPU where the device has none.

    """
    device = image.device if image.device.type in _FLOAT64_DEVICES else "cpu"
    return _to_lab(image.to(device).double()).movedim(-1, 1)


def check_pictures(**pictures: Tensor) -> None:
    """Check pictures that belong together.

    Raises:
        TypeError: a picture is not a dense floating tensor.
        ValueError: a picture has another shape than (B, 3, H, W), another batch size, or a value that is not finite.

    """
    for name, picture in pictures.items():
        check_floating(picture, name)
    first = next(iter(pictures.values()))
    for name, picture in pictures.items():
        if picture.ndim != 4 or picture.shape[1] != 3 or not picture.numel():
            raise ValueError(f"{name} has shape (B, 3, H, W), with pixels, received {tuple(picture.shape)}")
        if not picture.isfinite().all():
            raise ValueError(f"{name} holds NaN or infinite values; replace them")
        if picture.shape[0] not in (1, first.shape[0]):
            sizes = "1" if first.shape[0] == 1 else f"1 or {first.shape[0]}"
            raise ValueError(f"{name} has batch size {sizes}, received {picture.shape[0]}")


def exact_pictures(**pictures: Tensor) -> list[Tensor]:
    """Check pictures and return them in float64 without gradient, on the first one's device or one that has float64.

    Raises:
        TypeError: as ``check_pictures``.
        ValueError: as ``check_pictures``.

    """
    check_pictures(**pictures)
    first = next(iter(pictures.values()))
    device = first.device if first.device.type in _FLOAT64_DEVICES else "cpu"
    # In two steps, since a device without float64 cannot convert to it.
    return [picture.detach().to(device).double().contiguous() for picture in pictures.values()]


def _to_lab(picture: Tensor) -> Tensor:
    """Convert sRGB (B, 3, H, W) to OkLab (B, H, W, 3)."""
    rgb = picture.movedim(1, -1)
    linear = torch.where(rgb <= _LINEAR_END, rgb / 12.92, ((rgb.clamp(min=0) + 0.055) / 1.055).pow(2.4))
    cones = linear @ _CONES.to(rgb.device).T
    lab: Tensor = _cube_root(cones) @ _inverses()[1].to(rgb.device).T
    return lab


def _cube_root(x: Tensor) -> Tensor:
    """The cube root; next to 0, far below the levels of a picture, a line with the root's end, so without a pole."""
    size = x.abs()
    root = x.sign() * size.clamp(min=_STEEPEST).pow(1 / 3)
    return torch.where(size < _STEEPEST, x * _STEEPEST ** (-2 / 3), root)


def _to_linear(lab: Tensor) -> Tensor:
    """Convert OkLab (..., 3) to linear sRGB (..., 3)."""
    linear: Tensor = (lab @ _ROOTS.to(lab.device).T).pow(3) @ _inverses()[0].to(lab.device).T
    return linear


def _encode(linear: Tensor) -> Tensor:
    """Convert linear light to sRGB."""
    return torch.where(linear <= _LINEAR_END / 12.92, linear * 12.92, 1.055 * linear.clamp(min=0).pow(1 / 2.4) - 0.055)


def _shown(linear: Tensor) -> Tensor:
    """Tell whether sRGB has the colours: (..., 3) -> (...)."""
    return ((linear >= -_GAMUT_TOLERANCE) & (linear <= 1 + _GAMUT_TOLERANCE)).all(-1)


def _fit(lab: Tensor, shown: Tensor) -> Tensor:
    """Move the lightness of colours (N, 3) toward that of ``shown``, which has their chroma, until sRGB has them."""
    no, yes = torch.zeros_like(lab[:, :1]), torch.ones_like(lab[:, :1])
    for _ in range(_BISECTIONS):
        middle = (no + yes) / 2
        fits = _shown(_to_linear(torch.lerp(lab, shown, middle)))[:, None]
        no, yes = torch.where(fits, no, middle), torch.where(fits, middle, yes)
    return torch.lerp(lab, shown, yes)


def _snap(rgb: Tensor, lab: Tensor, top: int) -> Tensor:
    """Return the neighbours of sRGB (B, H, W, 3), on a grid of 0 to ``top``, that are nearest to OkLab colours."""
    floor = (rgb * top).floor()
    nearest, least = floor, torch.full_like(rgb[..., :1], torch.inf)
    for corner in itertools.product((0, 1), repeat=3):
        candidate = (floor + floor.new_tensor(corner)).clamp(max=top)
        away = (_to_lab((candidate / top).movedim(-1, 1)) - lab).square()
        distance = away[..., 1:].sum(-1, keepdim=True) + _LIGHTNESS_WEIGHT * away[..., :1]
        nearest = torch.where(distance < least, candidate, nearest)
        least = torch.minimum(distance, least)
    return nearest / top
