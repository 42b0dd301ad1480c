"""Distances between pixels, without any encoder: colours, and how strong each size of detail is."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neuralstyle.color.oklab import rgb_to_oklab
from neuralstyle.images import Picture
from neuralstyle.metrics.references import lightness, with_style

DIRECTIONS = 32
QUANTILES = 1024
ROUNDING = 1 / (12 * 255**2)  # the variance of rounding to 8 bits; less power than its own is none
LOWEST = -6  # the power of two of the lowest frequency in cycles a pixel
MIN_SIDE = 64  # so that a picture has a frequency in each band


def color_distance(picture: Picture, style: Picture) -> float:
    r"""How far colours have to be moved, on the average, to become those of the style. Lower is closer.

    The sliced Wasserstein-1 distance in OkLab: with $Q_\theta$ the quantiles of the colours along a direction,

    $$ D = 2 \operatorname{mean}_\theta \int_0^1 \left|Q_\theta(t) - Q^S_\theta(t)\right| dt $$

    over 32 directions. The factor makes it the length of the shift where all colours are shifted alike: black is about
    1 from white. 0 for equal palettes.

    Args:
        picture: the result: a path, PIL image, array or tensor.
        style: whose colours are wanted, or the content, where they should be kept.

    Raises:
        ValueError: a picture that cannot be used.

    Example:
        ```python
        import torch
        from neuralstyle.metrics import color_distance

        black, white = torch.zeros(3, 64, 64), torch.ones(3, 64, 64)
        assert abs(color_distance(black, white) - 1) < 0.01
        ```

    Sources: Ottosson, OkLab, 2020; Bonneel, Rabin, Peyre and Pfister, Sliced and Radon Wasserstein barycenters of
    measures, 2015.

    """
    image, target = with_style(picture, style)
    along, its = (_quantiles(rgb_to_oklab(each)[0].flatten(1).double()) for each in (image, target))
    return float(2 * (along - its).abs().mean())


def spectrum_distance(picture: Picture, style: Picture) -> float:
    r"""How much stronger or weaker details of each size are than the style's, in decibels. Lower is closer.

    With $P_b$ the power of lightness in band b of frequencies, ten bands of half an octave from 1/64 to 1/2
    cycles a pixel,

    $$ D = \sqrt{\frac{1}{10} \sum_b \left(10 \log_{10} \frac{P_b}{P^S_b}\right)^2} $$

    0 for the style itself. Power below that of rounding to 8 bits counts as that much.

    Args:
        picture: the result, at least 64 pixels on each side.
        style: the painting; it is compared at the longest side of the picture, and never enlarged.

    Raises:
        ValueError: a picture that is too small.

    Example:
        ```python
        from neuralstyle import samples
        from neuralstyle.metrics import spectrum_distance

        painting = samples.painting("mosaic", size=128)
        assert spectrum_distance(painting, painting) == 0
        assert spectrum_distance(painting.resize((32, 32)).resize((128, 128)), painting) > 3
        ```

    Source: pictures have spectra that fall with the frequency, each kind in its own way: Torralba and Oliva, Statistics
    of natural image categories, 2003.

    """
    image, target = with_style(picture, style)
    power, its = (10 * bands(lightness(each)).log10() for each in (image, target))
    return float((power - its).square().mean().sqrt())


def bands(light: Tensor) -> Tensor:
    """Mean power in each half octave of frequency, lowest first: (H, W) -> (10,)."""
    power, frequency = spectrum(light)
    band = (2 * (frequency.clamp(min=1e-9).log2() - LOWEST)).floor().long()
    inside = (band >= 0) & (band < -2 * (LOWEST + 1))
    total = torch.zeros(-2 * (LOWEST + 1), dtype=power.dtype, device=power.device)
    count = total.index_add(0, band[inside], torch.ones_like(power[inside]))
    return total.index_add(0, band[inside], power[inside]) / count


def spectrum(light: Tensor) -> tuple[Tensor, Tensor]:
    """Power at each frequency under a Hann window, with rounding's, and that frequency in cycles a pixel: (H, W)."""
    height, width = light.shape
    if min(height, width) < MIN_SIDE:
        raise ValueError(
            f"the picture is {width} x {height} pixels; its spectrum needs at least {MIN_SIDE} on each side"
        )
    rows, columns = (torch.hann_window(n, periodic=False, dtype=light.dtype).to(light.device) for n in light.shape)
    window = rows[:, None] * columns
    mean = (window * light).sum() / window.sum()
    power = torch.fft.fft2(window * (light - mean)).abs().square() / window.square().sum() + ROUNDING
    y, x = (torch.fft.fftfreq(n, dtype=light.dtype).to(light.device) for n in light.shape)
    return power, (y[:, None].square() + x.square()).sqrt()


def _quantiles(colours: Tensor) -> Tensor:
    """Quantiles of colours (3, N) along each direction: (directions, quantiles)."""
    # Points spread evenly on half a sphere by the golden angle.
    height = (torch.arange(DIRECTIONS, dtype=torch.float64) + 0.5) / DIRECTIONS
    angle = torch.arange(DIRECTIONS, dtype=torch.float64) * math.pi * (3 - math.sqrt(5))
    around = (1 - height.square()).sqrt()
    directions = torch.stack([height, around * angle.cos(), around * angle.sin()], 1).to(colours)
    order = (directions @ colours).sort(1).values
    at = (torch.arange(QUANTILES, dtype=torch.float64) + 0.5) / QUANTILES * colours.shape[1]
    return order[:, at.long().to(order.device)]
