"""What optimisation leaves behind where it fails: grain, dots on a grid, patches without any paint."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from neuralstyle.images import Picture, load_image
from neuralstyle.metrics.pixels import MIN_SIDE, ROUNDING, spectrum
from neuralstyle.metrics.references import lightness, with_content, with_style

PERIODS = (2, 4, 8)  # pixels between the dots that pooling leaves
PATCH = 64  # pixels, a multiple of all periods
SHARE = 0.05  # of the style that counts as its flattest


def high_frequency_excess(picture: Picture, style: Picture, content: Picture | None = None) -> float:
    r"""How much more fine grain the picture has than style and content, in decibels. Best near 0 or below.

    With P the power of lightness at frequencies of 1/4 cycle a pixel and more,

    $$ E = 10 \log_{10} \frac{P}{\max(P^S, P^C)} $$

    Positive: grain that neither has; 3 dB is twice the power. Strongly negative: blurred. Power below that of rounding
    to 8 bits counts as that much.

    Args:
        picture: the result, at least 64 pixels on each side.
        style: the painting, at the longest side of the picture.
        content: the photograph, at the picture's size; None: the style alone is compared with.

    Raises:
        ValueError: a picture that is too small, or a content of another aspect.

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
    return float(10 * (_fine_power(lightness(image)) / reference).log10())


def grid_energy(picture: Picture) -> float:
    r"""How far dots or lines on a grid of 2, 4 or 8 pixels stand out of the spectrum, in decibels. Lower is better.

    With P(u, v) the power of lightness (Welch's mean over patches of 64 pixels) and $N(u, v)$ its geometric mean around
    this frequency,

    $$ E = \max_{p \in \{2, 4, 8\}} \operatorname{mean}_{(u, v) \in G_p} 10 \log_{10} \frac{P(u, v)}{N(u, v)} $$

    where $G_p$ are the multiples of 1/p cycles a pixel, of which those of 2/p belong to the coarser grid. On an axis of
    the spectrum, only neighbours on that axis count, so that upright and level edges are no grid. About 0 (-1 to 1)
    without a grid, above 3 where one can be seen. No reference is needed.

    Args:
        picture: the result, as it was painted: resizing moves the grid. At least 64 pixels on each side.

    Raises:
        ValueError: a picture that is too small.

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
    light = lightness(load_image(picture))
    if min(light.shape) < PATCH:
        raise ValueError(
            f"the picture is {light.shape[1]} x {light.shape[0]} pixels; a grid is looked for in patches of {PATCH}"
        )
    level = 10 * _patch_power(light).log10()
    return max(_stand_out(level, period) for period in PERIODS)


def flat_area(picture: Picture, style: Picture) -> float:
    r"""The share of the picture that is flatter than nearly all of the style: bare patches. Lower is better.

    With c the standard deviation of lightness in a window of 1/32 of the longest side around each pixel, $c_0$ the
    contrast that 5 % of the style fall below, and $s, s^S$ the shares of picture and style with $c < c_0$,

    $$ A = \max\left(0,\; \frac{s - s^S}{1 - s^S}\right) $$

    0: no more flat area than in the style. 1: flat all over, beside a style that is not. Contrast below that of
    rounding to 8 bits is none.

    Args:
        picture: the result, at least 64 pixels on each side.
        style: the painting, at the longest side of the picture.

    Raises:
        ValueError: a picture that is too small.

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
    if min(image.shape[2:]) < MIN_SIDE:
        raise ValueError(
            f"the picture is {image.shape[3]} x {image.shape[2]} pixels; flat area is measured from {MIN_SIDE} up"
        )
    window = max(5, max(image.shape[2:]) // 32 | 1)
    contrast, its = (_contrast(lightness(each), window).flatten() for each in (image, target))
    least = max(float(its.kthvalue(max(1, round(SHARE * its.numel()))).values), ROUNDING**0.5)
    share, expected = (float((each < least).double().mean()) for each in (contrast, its))
    return max(0.0, (share - expected) / (1 - expected)) if expected < 1 else 0.0


def _fine_power(light: Tensor) -> Tensor:
    power, frequency = spectrum(light)
    return power[frequency >= 0.25].mean()


def _patch_power(light: Tensor) -> Tensor:
    """The mean power spectrum of overlapping patches under a Hann window, with rounding's: (H, W) -> (64, 64)."""
    rows, columns = (_starts(n) for n in light.shape)
    patches = torch.stack([light[y : y + PATCH, x : x + PATCH] for y in rows for x in columns])
    window = torch.hann_window(PATCH, dtype=light.dtype).to(light.device)
    window = window[:, None] * window
    mean = (window * patches).sum((1, 2), keepdim=True) / window.sum()
    power = torch.fft.fft2(window * (patches - mean)).abs().square()
    mean_power: Tensor = power.mean(0) / window.square().sum()
    return mean_power + ROUNDING


def _starts(length: int) -> list[int]:
    """Where patches begin: half of one overlaps the next, and the last ends at the border."""
    return sorted({*range(0, length - PATCH + 1, PATCH // 2), length - PATCH})


def _stand_out(level: Tensor, period: int) -> float:
    """How far the frequencies of one grid are above those around them, in the mean, in decibels."""
    step = PATCH // period
    multiples = range(0, PATCH // 2 + 1, step)
    found = []
    for row in multiples:
        for column in (*multiples, *(-m for m in multiples if 0 < m < PATCH // 2)):
            finest = (row // step) % 2 or (column // step) % 2 or period == min(PERIODS)
            if (row, column) != (0, 0) and finest:
                around = [level[place] for place in _around(row, column)]
                found.append(level[row, column] - torch.stack(around).mean())
    return float(torch.stack(found).mean())


def _around(row: int, column: int) -> list[tuple[int, int]]:
    """The neighbours, two or three steps away, of a frequency; on an axis those on the axis."""
    near = (-3, -2, 2, 3)
    if row == 0:
        return [(0, (column + step) % PATCH) for step in near]
    if column == 0:
        return [((row + step) % PATCH, 0) for step in near]
    ring = [(y, x) for y in range(-3, 4) for x in range(-3, 4) if max(abs(y), abs(x)) >= 2]
    return [((row + y) % PATCH, (column + x) % PATCH) for y, x in ring]


def _contrast(light: Tensor, window: int) -> Tensor:
    """The standard deviation in each window that fits into the picture."""
    # About the mean, so that little is lost when squares are subtracted.
    centred = (light - light.mean())[None, None]
    mean, square = (avg_pool2d(each, window, stride=1) for each in (centred, centred.square()))
    return (square - mean.square()).clamp(min=0).sqrt()
