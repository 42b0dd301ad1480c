"""Following the content's colours: give a painted picture the colours of the content where they belong.

Everything is computed in float64 without gradient; the result has the dtype and device of the first argument.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neuralstyle._errors import is_word, unknown
from neuralstyle._words import MATCHINGS, Matching
from neuralstyle.color.grey import is_grey, to_grey
from neuralstyle.color.matching import match_color, match_histogram
from neuralstyle.color.oklab import exact_pictures, oklab_to_rgb, rgb_to_oklab
from neuralstyle.images import ROUNDING_VARIANCE
from neuralstyle.machine.surroundings import plain_torch

CHROMA_BLUR = 1.5
"""Standard deviation, in pixels, of the blur on chroma that does not follow the content's."""

_LEAST_WEIGHT = 1e-3  # of the blur, where hardly anything is seen; a pixel that is seen has 0.07 of its own


@plain_torch()
def follow_color(
    result: Tensor,
    content: Tensor,
    method: Matching = "match",
    *,
    seen: Tensor | None = None,
    wraps: bool = False,
) -> Tensor:
    r"""Give a painted picture the content's colours, at their places and in their amounts.

    A dark or grey painting has few colours to give, however it was recoloured, and painting adds fringes of colour a
    pixel or two wide. With $x$ and $y$ the chroma $(a, b)$ of content and result in OkLab, at each pixel, and $G$ a
    Gaussian blur of 1.5 pixels,

    $$ y \mapsto x + G * (y - \bar y - M (x - \bar x)), \qquad M = \operatorname{cov}(y, x) \operatorname{cov}(x)^{-1}
    $$

    $M (x - \bar x)$ is the part of the result's chroma that follows the content's, weakly where the painting is grey:
    the content's own takes its place. The rest is what the painting adds; it stays, without fringes. Lightness does not
    change. Then the picture gets the content's mean and covariance (``match_color``) or also the histogram of each
    channel (``match_histogram``), and this may change lightness a little.

    Args:
        result: (B, 3, H, W) in [0, 1].
        content: (B, 3, H, W) or (1, 3, H, W) in [0, 1].
        method: one of ``MATCHINGS``. All affine maps end with "match", which moves the colours least.
        seen: (H, W), true at the pixels whose colours count and change in the matching; None: all.
        wraps: whether the picture repeats, so that the blur sees the other end at a border.

    Returns:
        (B, 3, H, W) in [0, 1]: with the content's mean and covariance to 1e-4, or its histograms. Grey if the content
        is grey.

    Raises:
        ValueError: an unknown method, pictures of different sizes, a picture that cannot be used, or nothing seen.

    Example:
        ```python
        import torch
        from neuralstyle.color import follow_color

        result, content = torch.rand(1, 3, 30, 40), torch.rand(1, 3, 30, 40) ** 2
        followed = follow_color(result, content)
        assert torch.allclose(followed.mean((2, 3)), content.mean((2, 3)), atol=2e-4)
        ```

    Papers: none for the chroma, which is linear regression; for the matching see ``match_color``.

    """
    if not is_word(method, MATCHINGS):
        raise unknown("method", method, MATCHINGS)
    exact, other = exact_pictures(result=result, content=content)
    if exact.shape[2:] != other.shape[2:]:
        sizes = f"{tuple(exact.shape[2:])} and {tuple(other.shape[2:])}"
        raise ValueError(f"result and content have the same (height, width), received {sizes}; resize the content")
    if seen is not None and (seen.shape != exact.shape[2:] or seen.dtype != torch.bool or not seen.any()):
        received = f"{tuple(seen.shape)} of {seen.dtype}, {int(seen.sum())} of them true"
        raise ValueError(f"seen is a bool tensor (H, W), true somewhere, received {received}")
    seen = seen if seen is None else seen.to(exact.device)
    given = _pixels(other, seen)
    grey = is_grey(given)
    exact = to_grey(exact) if grey else _with_chroma(exact, other.expand_as(exact), seen, wraps)
    matched = match_color(_pixels(exact, seen)[:, :, None], given[:, :, None])
    if method == "histogram":
        matched = match_histogram(matched, given[:, :, None])
    if seen is None:
        exact = matched.view(exact.shape)
    else:
        exact[..., seen] = matched[:, :, 0]
    return (to_grey(exact) if grey else exact).to(result)


def _with_chroma(result: Tensor, content: Tensor, seen: Tensor | None, wraps: bool) -> Tensor:
    """Exchange the chroma that follows the content's for the content's own, and blur the rest."""
    painted, given = rgb_to_oklab(result), rgb_to_oklab(content)
    y, x = (lab[:, 1:] - _pixels(lab[:, 1:], seen).mean(2)[..., None, None] for lab in (painted, given))
    over, out = _pixels(x, seen), _pixels(y, seen)
    # With the floor, nothing follows a content of one colour.
    floor = ROUNDING_VARIANCE * torch.eye(2, dtype=x.dtype, device=x.device)
    follows = torch.linalg.solve(over @ over.mT / over.shape[2] + floor, over @ out.mT / over.shape[2]).mT
    rest = _blurred(y - (follows @ x.flatten(2)).view_as(x), seen, wraps)
    return oklab_to_rgb(torch.cat((painted[:, :1], given[:, 1:] + rest), 1)).clamp(0, 1)


def _pixels(maps: Tensor, seen: Tensor | None) -> Tensor:
    """Return the pixels of maps (B, C, H, W) that are seen: (B, C, N)."""
    return maps.flatten(2) if seen is None else maps[..., seen]


def _blurred(maps: Tensor, seen: Tensor | None, wraps: bool) -> Tensor:
    """Blur maps (B, C, H, W) over the pixels that are seen; borders are repeated, or wrap."""
    if seen is None:
        return _gaussian(maps, wraps)
    weight = seen.to(maps).expand(1, 1, *seen.shape)
    return _gaussian(maps * weight, wraps) / _gaussian(weight, wraps).clamp(min=_LEAST_WEIGHT)


def _gaussian(maps: Tensor, wraps: bool) -> Tensor:
    """Convolve maps (B, C, H, W) with a Gaussian of ``CHROMA_BLUR``."""
    radius = math.ceil(3 * CHROMA_BLUR)
    steps = torch.arange(-radius, radius + 1, dtype=maps.dtype, device=maps.device)
    weights = torch.softmax(-steps.square() / (2 * CHROMA_BLUR**2), 0)
    for dim in (2, 3):
        size = maps.shape[dim]
        places = torch.arange(size, dtype=torch.int64, device=maps.device)
        blurred = torch.zeros_like(maps)
        for step, weight in zip(range(-radius, radius + 1), weights.tolist(), strict=True):
            near = (places + step) % size if wraps else (places + step).clamp(0, size - 1)
            blurred += weight * maps.index_select(dim, near)
        maps = blurred
    return maps
