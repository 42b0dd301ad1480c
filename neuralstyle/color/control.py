"""Colour control: recolour the style before painting, or the result after it.

Papers: Gatys et al., "Preserving Color in Neural Artistic Style Transfer", arXiv 1606.05897, and "Controlling
Perceptual Factors in Neural Style Transfer", arXiv 1611.07865.
"""

from __future__ import annotations

from torch import Tensor
from typing_extensions import TypeIs

from neuralstyle._errors import is_word, unknown
from neuralstyle._words import AFFINE_MAPS, COLORS, MATCHINGS, AffineMap, Color, Matching
from neuralstyle.color.following import follow_color
from neuralstyle.color.grey import is_grey, to_grey
from neuralstyle.color.matching import match_color, match_histogram
from neuralstyle.color.oklab import check_pictures, keep_chroma
from neuralstyle.images import Picture, load_image
from neuralstyle.machine.surroundings import plain_torch


@plain_torch()
def recolor(content: Picture, style: Picture, method: Matching = "match") -> Tensor:
    """Give a photograph the colours of a painting, and keep its shapes and textures.

    This is the reverse of ``stylize(color=method)``, which gives the painting the colours of the photograph by the same
    map. No network is used.

    Args:
        content: the picture to recolour: a path, PIL image, array or tensor.
        style: the picture with the new colours.
        method: "match", "match-pca" or "match-cholesky" (mean and covariance, see ``match_color``), or "histogram" (the
            histogram of each channel after "match", see ``recolor_style``).

    Returns:
        (1, 3, H, W) in [0, 1], of the content's size.

    Raises:
        ValueError: an unknown method, or a picture that cannot be used.
        FileNotFoundError: a picture does not exist.

    Example:
        ```python
        from neuralstyle import recolor, samples

        picture = recolor(samples.photo(), samples.painting("swirl", size=64))
        assert picture.shape == (1, 3, 300, 451)
        ```

    """
    if not is_word(method, MATCHINGS):
        raise unknown("method", method, MATCHINGS)
    return recolor_style(load_image(content), load_image(style), method)


@plain_torch()
def recolor_style(style: Tensor, content: Tensor, color: Color) -> Tensor:
    """Recolour a style before painting, as ``stylize(color=...)`` does.

    - "style", "luminance": the style does not change.
    - "match", "match-pca", "match-cholesky": the style gets the mean and covariance of the content's colours, see
      ``match_color``.
    - "histogram": after "match", each channel of the style gets the histogram of the content's, see
      ``match_histogram``. Matching the channels alone makes colours that neither picture has, blue from a yellow
      painting for instance.

    A content without colours leaves the style none: the mean of its channels is matched.

    Args:
        style: (B, 3, H, W) in [0, 1].
        content: (B, 3, H', W') or (1, 3, H', W') in [0, 1].
        color: one of ``COLORS``.

    Returns:
        (B, 3, H, W) in [0, 1]; ``style`` itself for "style" and "luminance".

    Raises:
        ValueError: an unknown color, or a picture that cannot be used.

    Example:
        ```python
        import torch
        from neuralstyle.color import recolor_style

        recolored = recolor_style(torch.rand(1, 3, 40, 40), torch.rand(1, 3, 30, 50), "match")
        assert recolored.shape == (1, 3, 40, 40)
        ```

    """
    if not is_word(color, COLORS):
        raise unknown("color", color, COLORS)
    if color in MATCHINGS:
        check_pictures(style=style, content=content)
        style = to_grey(style) if is_grey(content) else style
    if color == "histogram":
        return match_histogram(match_color(style, content), content)
    return match_color(style, content, color) if _is_affine(color) else style


@plain_torch()
def recolor_result(
    result: Tensor,
    content: Tensor,
    color: Color,
    levels: int | None = 256,
    *,
    seen: Tensor | None = None,
    wraps: bool = False,
) -> Tensor:
    """Recolour a result after painting, as ``stylize(color=...)`` does.

    - "style": the result does not change.
    - "luminance": the result gets the content's chroma. Other programs transfer the luma instead
      (``--preserve-colors``, ``-original_colors``); this function works in OkLab, see ``keep_chroma``.
    - "match", "match-pca", "match-cholesky", "histogram": colours of the content that the recoloured painting could not
      give return, fringes of colour go, and the distribution of colours is the content's again, see ``follow_color``.

    Args:
        result: (B, 3, H, W) in [0, 1].
        content: (B, 3, H, W) or (1, 3, H, W) in [0, 1]; not used for "style".
        color: one of ``COLORS``.
        levels: for "luminance", number of values of each channel in the saved picture: 256 for 8 bits; None does not
            round.
        seen: (H, W), true at the pixels whose colours are matched; None: all.
        wraps: whether the picture repeats.

    Returns:
        (B, 3, H, W) in [0, 1]; ``result`` itself for "style".

    Raises:
        ValueError: an unknown color, or a picture that cannot be used.

    Example:
        ```python
        import torch
        from neuralstyle.color import recolor_result

        recolored = recolor_result(torch.rand(1, 3, 30, 50), torch.rand(1, 3, 30, 50), "luminance")
        assert recolored.shape == (1, 3, 30, 50)
        ```

    """
    if not is_word(color, COLORS):
        raise unknown("color", color, COLORS)
    if color == "luminance":
        return keep_chroma(result, content, levels)
    return follow_color(result, content, color, seen=seen, wraps=wraps) if _is_matching(color) else result


def _is_affine(color: Color) -> TypeIs[AffineMap]:
    return color in AFFINE_MAPS


def _is_matching(color: Color) -> TypeIs[Matching]:
    return color in MATCHINGS
