"""Matching colours: give one picture the mean and covariance, or the histograms, of another's colours.

Everything is computed in float64 without gradient; the result has the dtype and device of the first argument.
"""

from __future__ import annotations

import torch
from torch import Tensor

from neuralstyle._errors import unknown
from neuralstyle._words import AFFINE_MAPS, AffineMap
from neuralstyle.color.oklab import exact_pictures
from neuralstyle.images import ROUNDING_VARIANCE
from neuralstyle.machine.surroundings import plain_torch

_MAX_CLAMP_ROUNDS = 80  # rounds of clamping and matching again
_MOMENT_TOLERANCE = 5e-5  # error of mean and covariance at which the rounds end: half of the 1e-4 that is promised


@plain_torch()
def match_color(
    image: Tensor,
    reference: Tensor,
    method: AffineMap = "match",
    clip: bool = True,
) -> Tensor:
    r"""Give a picture the mean and covariance of another's colours, by an affine map of its RGB pixels.

    With $\mu_S, \Sigma_S$ the mean and covariance of the image's pixels $x$ and $\mu_C, \Sigma_C$ the reference's,

    $$ x \mapsto A (x - \mu_S) + \mu_C, \qquad A \Sigma_S A^\top = \Sigma_C $$

    This fixes $A$ up to a rotation. With $\Sigma = L L^\top$ by Cholesky, the three maps are

    $$
    A_\text{match} = \Sigma_S^{-1/2} (\Sigma_S^{1/2} \Sigma_C \Sigma_S^{1/2})^{1/2} \Sigma_S^{-1/2}, \quad
    A_\text{match-pca} = \Sigma_C^{1/2} \Sigma_S^{-1/2}, \quad A_\text{match-cholesky} = L_C L_S^{-1}
    $$

    "match" is symmetric and positive: of all such maps it moves the colours least (the Monge map of optimal transport).
    The other two are the papers'; "match-cholesky" depends on the order of the channels.

    Departure: in any direction of colour space, the variance is at least that of rounding to 8 bits,
    $1/(12 \cdot 255^2)$. So grey and one-coloured pictures work, though no map can add the variance that they lack.

    Departure: the map may leave [0, 1], and clamping changes mean and covariance (by up to 0.04 among 168 pairs of
    pictures, most for a photograph with a white background). The clamped picture is therefore matched and clamped again
    until mean and covariance are right.

    Args:
        image: (B, 3, H, W) in [0, 1].
        reference: (B, 3, H', W') or (1, 3, H', W') in [0, 1].
        method: "match", "match-pca" or "match-cholesky".
        clip: clamp to [0, 1] and correct for it: mean and covariance are right to 1e-4. False: the map is affine, and
            they are exact.

    Returns:
        (B, 3, H, W), in [0, 1] with ``clip``.

    Raises:
        ValueError: an unknown method, or a picture that cannot be used.

    Example:
        ```python
        import torch
        from neuralstyle.color import match_color

        image, reference = torch.rand(1, 3, 40, 40), torch.rand(1, 3, 30, 50) ** 2
        matched = match_color(image, reference, clip=False)
        assert torch.allclose(matched.mean((2, 3)), reference.mean((2, 3)), atol=1e-6)
        ```

    Papers: Gatys et al., arXiv 1606.05897 and 1611.07865, color histogram matching; Pitié and Kokaram, "The Linear
    Monge-Kantorovitch Linear Colour Mapping for Example-Based Colour Transfer", CVMP 2007.

    """
    if method not in AFFINE_MAPS:
        raise unknown("method", method, AFFINE_MAPS)
    pixels, others = (picture.flatten(2) for picture in exact_pictures(image=image, reference=reference))
    (mean, source), (goal, target) = _moments(pixels), _moments(others)
    matched = _transport(_floored(source), _floored(target), method) @ (pixels - mean) + goal
    if clip:
        matched = _clamped(matched)
    return matched.view(image.shape).to(image)


@plain_torch()
def match_histogram(image: Tensor, reference: Tensor) -> Tensor:
    r"""Give each channel of a picture the histogram of another picture's channel, by an increasing curve.

    With $F_S$ the distribution function of the image's channel and $F_C^{-1}$ the quantiles of the reference's,

    $$ x \mapsto F_C^{-1}(F_S(x)) $$

    Of M values in the reference, the j-th from 0 is the quantile at $(j + 1/2) / M$; quantiles between two values are
    interpolated linearly. Equal values get the quantile at the middle of their ranks, so flat areas stay flat, and the
    histogram is exact only where all values differ. A picture matched with itself does not change. Each channel is
    matched separately, so unlike ``match_color`` this can give colours that neither picture has.

    Args:
        image: (B, 3, H, W) in [0, 1].
        reference: (B, 3, H', W') or (1, 3, H', W') in [0, 1].

    Returns:
        (B, 3, H, W), within the range of the reference's values.

    Raises:
        ValueError: a picture that cannot be used.

    Example:
        ```python
        import torch
        from neuralstyle.color import match_histogram

        image, reference = torch.rand(1, 3, 40, 40), torch.rand(1, 3, 20, 80) ** 2
        matched = match_histogram(image, reference)
        assert torch.allclose(matched.flatten(2).sort().values, reference.flatten(2).sort().values, atol=0.01)
        ```

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
    """Clamp pixels (B, 3, N) to [0, 1] and restore the mean and covariance that they had before."""
    mean, covariance = _moments(free)
    floor = ROUNDING_VARIANCE * torch.eye(3, dtype=free.dtype, device=free.device)
    pixels = free.clamp(0, 1)
    for _ in range(_MAX_CLAMP_ROUNDS):
        found_mean, found = _moments(pixels)
        missing = torch.cat((mean - found_mean, covariance - found), 2).abs().amax((1, 2), keepdim=True)
        if missing.amax() < _MOMENT_TOLERANCE:
            break
        transport = _transport(found + floor, covariance + floor, "match")
        nearer = (transport @ (pixels - found_mean) + mean).clamp(0, 1)
        pixels = torch.where(missing < _MOMENT_TOLERANCE, pixels, nearer)
    return pixels


def _transport(source: Tensor, target: Tensor, method: AffineMap) -> Tensor:
    """Return the matrix that turns one covariance (B, 3, 3) into another."""
    if method == "match-cholesky":
        factor, target_factor = torch.linalg.cholesky(source), torch.linalg.cholesky(target)
        transport: Tensor = torch.linalg.solve_triangular(factor, target_factor, upper=False, left=False)
        return transport
    root, inverse = _power(source, 0.5), _power(source, -0.5)
    if method == "match-pca":
        return _power(target, 0.5) @ inverse
    return inverse @ _power(root @ target @ root, 0.5) @ inverse


def _moments(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean (B, 3, 1) and covariance (B, 3, 3) of pixels (B, 3, N)."""
    mean = pixels.mean(2, keepdim=True)
    centred = pixels - mean
    return mean, centred @ centred.mT / pixels.shape[2]


def _floored(covariance: Tensor) -> Tensor:
    """Raise the variances of a covariance (B, 3, 3) to at least that of rounding to 8 bits."""
    values, vectors = torch.linalg.eigh(covariance)
    floored: Tensor = vectors * values.clamp(min=ROUNDING_VARIANCE)[:, None] @ vectors.mT
    return floored


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """Return a power of symmetric positive matrices (B, 3, 3)."""
    values, vectors = torch.linalg.eigh(matrix)
    power: Tensor = vectors * values.clamp(min=ROUNDING_VARIANCE**2).pow(exponent)[:, None] @ vectors.mT
    return power
