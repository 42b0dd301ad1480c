"""Ghosts: things of the painting where the photograph is empty."""

from __future__ import annotations

import torch
from torch import Tensor

from neuralstyle.color.oklab import oklab_with_gradient
from neuralstyle.images import Picture, resize_image
from neuralstyle.losses.ghosts import MARGIN, things_of
from neuralstyle.losses.tools.blurring import blur
from neuralstyle.metrics.measure import Measured, measure, root
from neuralstyle.metrics.pixels import MIN_SPECTRUM_SIDE
from neuralstyle.metrics.references import with_content, with_style

MEASURED_SIDE = 192  # pixels of the longest side, to which pictures are reduced, since ghosts are no fine detail

_WINDOW = 12 / 384  # over which contrast is averaged, as a share of the longest side of the result

QUIET_SHARE = 0.1  # of the painting: its quietest places
EMPTY_CONTRAST, BUSY_CONTRAST = 0.01, 0.03  # of a photograph, between which a place is empty in part
MIN_EMPTY_SHARE = 0.01  # of a photograph, below which nothing is measured


@measure
def ghost_contrast(picture: Picture, style: Picture, content: Picture) -> Measured:
    r"""Measure the contrast of things where the photograph is empty, beyond that of the painting's quiet places.

    With c, $c^C$ and $c^S$ the contrast of picture, content and style at each place, q the value of $c^S$ below which
    10 % of the style lie, and w the emptiness of the photograph, which falls from 1 where $c^C$ is 0.01 to 0 where it
    is 0.03,

    $$ G = \sqrt{\frac{\sum w \max(0, c - \max(q, c^C))^2}{\sum w}} $$

    Contrast is the root mean square, over a window, of the difference in OkLab between two blurred copies of a picture.
    It sees what is 1/24 to 1/6 of the longest side wide, 16 to 64 pixels at 384, and neither fine strokes nor slow
    gradients. Lower is better: 0 without ghosts, from about 0.02 on they can be seen. The square makes one strong ghost
    count for more than faint ones everywhere.

    What it does not tell: it is 0, too, for the photograph itself, and where less than 1 % of the photograph is empty;
    ``flat_area`` tells whether an empty place was painted at all. Things of a painting that is busy all over count
    less, since there are no quiet places to compare with. Broad strokes of its ground count where they have more
    contrast than its quietest tenth, and thin lines, such as contours, count little.

    Args:
        picture: the result, at least 64 pixels on each side.
        style: the painting, reduced to the longest side of the picture, and never enlarged.
        content: the photograph; it is resized to the picture.

    Raises:
        ValueError: a picture is too small, or the content has another aspect.

    Example:
        ```python
        import torch
        from neuralstyle.metrics import ghost_contrast

        sky, painting = torch.full((3, 96, 96), 0.6), torch.full((3, 96, 96), 0.5)
        painting[:, :32] = 0.2
        ghost = sky.clone()
        ghost[:, 40:56, 40:56] = 0.3
        assert ghost_contrast(sky, painting, sky) == 0
        assert ghost_contrast(ghost, painting, sky) > 0.02
        ```

    Source: global statistics of a style need a place somewhere, so empty parts of a photograph get things of the
    painting (Gatys et al. 2017, arXiv 1611.07865, section 4); the measure is this library's.

    """
    image, target = with_style(picture, style)
    photograph = with_content(image, content)[1]
    longest = max(image.shape[2:])
    if min(image.shape[2:]) < MIN_SPECTRUM_SIDE:
        raise ValueError(
            f"the picture is {image.shape[3]} x {image.shape[2]} pixels; ghosts need at least {MIN_SPECTRUM_SIDE} on "
            "each side"
        )
    found = _contrast(image, longest, _WINDOW)
    seen = _contrast(photograph, longest, MARGIN)
    empty = ((BUSY_CONTRAST - seen) / (BUSY_CONTRAST - EMPTY_CONTRAST)).clamp(0, 1)
    if float(empty.mean()) < MIN_EMPTY_SHARE:
        return 0 * found.sum()
    quiet = torch.quantile(_contrast(target, longest, _WINDOW).flatten(), QUIET_SHARE)
    excess = (found - torch.maximum(quiet, _contrast(photograph, longest, _WINDOW))).clamp(min=0)
    return root((empty * excess.square()).sum() / empty.sum())


def _contrast(image: Tensor, longest: int, window: float) -> Tensor:
    """Return the contrast of what is as large as a thing, beside a result of this longest side: (h, w)."""
    factor = min(1.0, MEASURED_SIDE / longest)
    height, width = (max(1, round(factor * side)) for side in image.shape[2:])
    small = oklab_with_gradient(resize_image(_exact(image), (height, width)))
    side = factor * longest
    return root(blur(things_of(small, side).square().sum(1, keepdim=True), window * side).clamp(min=0))[0, 0]


def _exact(image: Tensor) -> Tensor:
    """Return a picture in float64 if its device has it."""
    return image.double() if image.device.type in ("cpu", "cuda") else image
