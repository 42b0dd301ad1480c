"""Distances between pixels, without an encoder: of the colours, and of the power at each size of detail."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neuralstyle.color.oklab import oklab_with_gradient
from neuralstyle.images import ROUNDING_VARIANCE, Picture
from neuralstyle.metrics.measure import Measured, measure, root
from neuralstyle.metrics.references import lightness, with_style

COLOR_DIRECTIONS = 32  # in OkLab, along which colours are compared
COLOR_QUANTILES = 1024  # along each direction
MIN_SPECTRUM_SIDE = 64  # pixels, so that a picture has a frequency in each band
_LOWEST_OCTAVE = -6  # the lowest frequency is 2^-6 cycles per pixel


@measure
def color_distance(picture: Picture, style: Picture) -> Measured:
    r"""Measure the average distance that colours have to move to become those of the style. Lower is closer.

    The sliced Wasserstein-1 distance in OkLab: with $Q_\theta$ the quantiles of the colours along a direction,

    $$ D = 2 \operatorname{mean}_\theta \int_0^1 \left|Q_\theta(t) - Q^S_\theta(t)\right| dt $$

    over 32 directions. With the factor 2, the distance of a common shift of all colours is its length: black is about 1
    from white. 0 for equal palettes.

    Args:
        picture: the result: a path, PIL image, array or tensor.
        style: the painting, or the content if its colours should be kept.

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
    quantiles, target_quantiles = (_quantiles(oklab_with_gradient(x)[0].flatten(1)) for x in (image, target))
    return 2 * (quantiles - target_quantiles).abs().mean()


@measure
def spectrum_distance(picture: Picture, style: Picture) -> Measured:
    r"""Measure how the power of details of each size differs from the style's, in decibels. Lower is closer.

    With $P_b$ the power of lightness in band b of frequencies, ten bands of half an octave from 1/64 to 1/2
    cycles per pixel,

    $$ D = \sqrt{\frac{1}{10} \sum_b \left(10 \log_{10} \frac{P_b}{P^S_b}\right)^2} $$

    0 for the style itself. $P_b$ is at least the power of rounding to 8 bits.

    Args:
        picture: the result, at least 64 pixels on each side.
        style: the painting, reduced to the longest side of the picture, and never enlarged.

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

    Source: the spectra of pictures fall with the frequency, differently for each kind: Torralba and Oliva, Statistics
    of natural image categories, 2003.

    """
    image, target = with_style(picture, style)
    level, target_level = (10 * bands(lightness(x)).log10() for x in (image, target))
    return root((level - target_level).square().mean())


def bands(light: Tensor) -> Tensor:
    """Return the mean power in each half octave of frequency, lowest first: (H, W) -> (10,)."""
    power, frequency = spectrum(light)
    band = (2 * (frequency.clamp(min=1e-9).log2() - _LOWEST_OCTAVE)).floor().long()
    inside = (band >= 0) & (band < -2 * (_LOWEST_OCTAVE + 1))
    total = torch.zeros(-2 * (_LOWEST_OCTAVE + 1), dtype=power.dtype, device=power.device)
    count = total.index_add(0, band[inside], torch.ones_like(power[inside]))
    return total.index_add(0, band[inside], power[inside]) / count


def spectrum(light: Tensor) -> tuple[Tensor, Tensor]:
    """Return the power at each frequency under a Hann window, and the frequencies in cycles per pixel: both (H, W).

    The power of rounding to 8 bits is added.

    Raises:
        ValueError: a side is shorter than 64 pixels.

    """
    height, width = light.shape
    if min(height, width) < MIN_SPECTRUM_SIDE:
        raise ValueError(
            f"the picture is {width} x {height} pixels; a spectrum needs at least {MIN_SPECTRUM_SIDE} on each side"
        )
    rows, columns = (torch.hann_window(n, periodic=False, dtype=light.dtype).to(light.device) for n in light.shape)
    window = rows[:, None] * columns
    mean = (window * light).sum() / window.sum()
    power = torch.fft.fft2(window * (light - mean)).abs().square() / window.square().sum() + ROUNDING_VARIANCE
    y, x = (torch.fft.fftfreq(n, dtype=light.dtype).to(light.device) for n in light.shape)
    return power, (y[:, None].square() + x.square()).sqrt()


def _quantiles(colours: Tensor) -> Tensor:
    """Return the quantiles of colours along each direction: (3, N) -> (directions, quantiles)."""
    # Directions: points spread evenly over half a sphere by the golden angle.
    height = (torch.arange(COLOR_DIRECTIONS, dtype=torch.float64) + 0.5) / COLOR_DIRECTIONS
    angle = torch.arange(COLOR_DIRECTIONS, dtype=torch.float64) * math.pi * (3 - math.sqrt(5))
    around = (1 - height.square()).sqrt()
    directions = torch.stack([height, around * angle.cos(), around * angle.sin()], 1).to(colours)
    order = (directions @ colours).sort(1).values
    at = (torch.arange(COLOR_QUANTILES, dtype=torch.float64) + 0.5) / COLOR_QUANTILES * colours.shape[1]
    return order[:, at.long().to(order.device)]
