"""Artefacts of optimisation: grain, dots on a grid, bare patches."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from neuralstyle.images import ROUNDING_VARIANCE, Picture
from neuralstyle.machine.surroundings import plain_torch
from neuralstyle.metrics.measure import Measured, measure
from neuralstyle.metrics.pixels import MIN_SPECTRUM_SIDE, spectrum
from neuralstyle.metrics.references import given, lightness, with_content, with_style

GRID_PERIODS = (2, 4, 8)  # pixels between the dots that pooling leaves
PATCH_SIDE = 64  # pixels, a multiple of all periods
FLATTEST_STYLE_SHARE = 0.05  # a picture is flat where its contrast is below that of this share of the style


@measure
def high_frequency_excess(picture: Picture, style: Picture, content: Picture | None = None) -> Measured:
    r"""Measure how much more fine grain the picture has than style and content, in decibels. Best near 0 or below.

    With P the power of lightness at frequencies of 1/4 cycle per pixel and above,

    $$ E = 10 \log_{10} \frac{P}{\max(P^S, P^C)} $$

    Positive: grain that neither of them has; 3 dB is twice the power. Strongly negative: blurred. P is at least the
    power of rounding to 8 bits.

    Args:
        picture: the result, at least 64 pixels on each side.
        style: the painting, reduced to the longest side of the picture, and never enlarged.
        content: the photograph, resized to the picture. None compares with the style alone.

    Raises:
        ValueError: a picture is too small, or the content has another aspect.

    Example:
        ```python
        import torch
        from neuralstyle import load_image, samples
        from neuralstyle.metrics import high_frequency_excess

        painting = load_image(samples.painting("swirl", size=128))
        grainy = (painting + 0.2 * torch.randn(painting.shape)).clamp(0, 1)
        assert high_frequency_excess(grainy, painting) > 3
        ```

    Source: the grain of optimisation is known from feature visualisation (Olah, Mordvintsev and Schubert, Distill
    2017); the measure is this library's.

    """
    image, target = with_style(picture, style)
    reference = _fine_power(lightness(target))
    if content is not None:
        reference = torch.maximum(reference, _fine_power(lightness(with_content(image, content)[1])))
    return 10 * (_fine_power(lightness(image)) / reference).log10()


@measure
def grid_energy(picture: Picture) -> Measured:
    r"""Measure the power of a grid of 2, 4 or 8 pixels above the spectrum around it, in decibels. Lower is better.

    With P(u, v) the power of lightness (Welch's mean over patches of 64 pixels) and $N(u, v)$ its geometric mean around
    that frequency,

    $$ E = \max_{p \in \{2, 4, 8\}} \operatorname{mean}_{(u, v) \in G_p} 10 \log_{10} \frac{P(u, v)}{N(u, v)} $$

    where $G_p$ are the multiples of 1/p cycles per pixel, without those of 2/p unless p is 2: these belong to the grid
    of half the period. On an axis of the spectrum only neighbours on that axis count, so that vertical and horizontal
    edges are no grid. About 0 (-1 to 1) without a grid, above 3 for a visible one. No reference is needed.

    Args:
        picture: the result at the size at which it was painted, since resizing moves the grid; at least 64 pixels on
            each side.

    Raises:
        ValueError: the picture is too small.

    Example:
        ```python
        import torch
        from neuralstyle.metrics import grid_energy

        noise = torch.rand(3, 128, 128) * 0.5
        dotted = noise.clone()
        dotted[:, ::8, ::8] += 0.4
        assert grid_energy(noise) < 1.5 < 5 < grid_energy(dotted)
        ```

    Sources: the checkerboard of strides (Odena, Dumoulin and Olah, Distill 2016) and the dots that the gradient of
    maximum pooling leaves (Henaff and Simoncelli, arXiv 1511.06394); the measure is this library's.

    """
    light = lightness(given(picture))
    if min(light.shape) < PATCH_SIDE:
        raise ValueError(
            f"the picture is {light.shape[1]} x {light.shape[0]} pixels; a grid is measured in patches of {PATCH_SIDE}"
        )
    level = 10 * _patch_power(light).log10()
    return torch.stack([_stand_out(level, period) for period in GRID_PERIODS]).max()


@plain_torch()
def flat_area(picture: Picture, style: Picture) -> float:
    r"""Measure the share of the picture that is flatter than nearly all of the style. Lower is better.

    With c the standard deviation of lightness in a window of 1/32 of the longest side around each pixel, $c_0$ the
    value of c below which 5 % of the style lie, and $s, s^S$ the shares of picture and style with $c < c_0$,

    $$ A = \max\left(0,\; \frac{s - s^S}{1 - s^S}\right) $$

    0: no more flat area than in the style. 1: flat everywhere, with a style that is not. $c_0$ is at least the standard
    deviation of rounding to 8 bits.

    Args:
        picture: the result, at least 64 pixels on each side.
        style: the painting, reduced to the longest side of the picture, and never enlarged.

    Raises:
        ValueError: the picture is too small.

    Example:
        ```python
        import torch
        from neuralstyle import load_image, samples
        from neuralstyle.metrics import flat_area

        painting = load_image(samples.painting("mosaic", size=128))
        assert flat_area(painting, painting) == 0
        bare = painting.clone()
        bare[:, :, : bare.shape[2] // 2] = 0.5
        assert 0.3 < flat_area(bare, painting) < 0.55
        ```

    Source: grey unstyled patches in flat areas are a known failure of optimisation by Adam; the measure is this
    library's.

    """
    image, target = with_style(picture, style)
    if min(image.shape[2:]) < MIN_SPECTRUM_SIDE:
        raise ValueError(
            f"the picture is {image.shape[3]} x {image.shape[2]} pixels; flat area needs at least "
            f"{MIN_SPECTRUM_SIDE} on each side"
        )
    window = max(5, max(image.shape[2:]) // 32 | 1)
    contrast, target_contrast = (_contrast(lightness(x), window).flatten() for x in (image, target))
    rank = max(1, round(FLATTEST_STYLE_SHARE * target_contrast.numel()))
    least = max(float(target_contrast.kthvalue(rank).values), ROUNDING_VARIANCE**0.5)
    share, expected = (float((x < least).double().mean()) for x in (contrast, target_contrast))
    return max(0.0, (share - expected) / (1 - expected)) if expected < 1 else 0.0


def _fine_power(light: Tensor) -> Tensor:
    """Return the mean power at 1/4 cycle per pixel and above: (H, W) -> ()."""
    power, frequency = spectrum(light)
    return power[frequency >= 0.25].mean()


def _patch_power(light: Tensor) -> Tensor:
    """Return the mean power spectrum of overlapping patches under a Hann window: (H, W) -> (64, 64)."""
    rows, columns = (_starts(n) for n in light.shape)
    patches = torch.stack([light[y : y + PATCH_SIDE, x : x + PATCH_SIDE] for y in rows for x in columns])
    window = torch.hann_window(PATCH_SIDE, dtype=light.dtype).to(light.device)
    window = window[:, None] * window
    mean = (window * patches).sum((1, 2), keepdim=True) / window.sum()
    power = torch.fft.fft2(window * (patches - mean)).abs().square()
    mean_power: Tensor = power.mean(0) / window.square().sum()
    return mean_power + ROUNDING_VARIANCE


def _starts(length: int) -> list[int]:
    """Return where patches begin: each overlaps half of the next, and the last ends at the border."""
    return sorted({*range(0, length - PATCH_SIDE + 1, PATCH_SIDE // 2), length - PATCH_SIDE})


def _stand_out(level: Tensor, period: int) -> Tensor:
    """Return how far the frequencies of one grid are above those around them, on average, in decibels."""
    step = PATCH_SIDE // period
    multiples = range(0, PATCH_SIDE // 2 + 1, step)
    found = []
    for row in multiples:
        for column in (*multiples, *(-m for m in multiples if 0 < m < PATCH_SIDE // 2)):
            finest = (row // step) % 2 or (column // step) % 2 or period == min(GRID_PERIODS)
            if (row, column) != (0, 0) and finest:
                around = [level[neighbour] for neighbour in _around(row, column)]
                found.append(level[row, column] - torch.stack(around).mean())
    return torch.stack(found).mean()


def _around(row: int, column: int) -> list[tuple[int, int]]:
    """Return the neighbours of a frequency, two or three steps away; on an axis only those on that axis."""
    near = (-3, -2, 2, 3)
    if row == 0:
        return [(0, (column + step) % PATCH_SIDE) for step in near]
    if column == 0:
        return [((row + step) % PATCH_SIDE, 0) for step in near]
    ring = [(y, x) for y in range(-3, 4) for x in range(-3, 4) if max(abs(y), abs(x)) >= 2]
    return [((row + y) % PATCH_SIDE, (column + x) % PATCH_SIDE) for y, x in ring]


def _contrast(light: Tensor, window: int) -> Tensor:
    """Return the standard deviation in each window that fits into the picture: (H, W) -> (1, 1, h, w)."""
    # Centred, since the difference of squares then loses little precision.
    centred = (light - light.mean())[None, None]
    mean, square = (avg_pool2d(x, window, stride=1) for x in (centred, centred.square()))
    return (square - mean.square()).clamp(min=0).sqrt()
