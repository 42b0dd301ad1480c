"""Pictures that repeat: the part of a picture whose opposite borders fit together."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def periodic_part(image: Tensor) -> Tensor:
    r"""Return a picture without the jumps between its opposite borders, by a smooth correction of the rest.

    $$
    p = u - s, \qquad \Delta s = \text{the jumps of } u \text{ across the borders of its repetition}
    $$

    s is the smoothest picture, of mean 0, that has these jumps. So details stay as they are, and only what is
    brighter or of another colour on one side than on the other is evened out.

    Args:
        image: (1, 3, H, W) in [0, 1].

    Returns:
        (1, 3, H, W), clamped to [0, 1].

    Paper: Moisan 2011, "Periodic plus smooth image decomposition".

    """
    exact = image.double()
    jumps = torch.zeros_like(exact)
    across, down = exact[..., :, -1] - exact[..., :, 0], exact[..., -1, :] - exact[..., 0, :]
    jumps[..., :, 0] += across
    jumps[..., :, -1] -= across
    jumps[..., 0, :] += down
    jumps[..., -1, :] -= down
    height, width = image.shape[2:]
    rows, columns = (
        torch.cos(2 * math.pi * frequencies.to(exact))
        for frequencies in (
            torch.fft.fftfreq(height, dtype=torch.float64),
            torch.fft.rfftfreq(width, dtype=torch.float64),
        )
    )
    laplacian = 2 * rows[:, None] + 2 * columns - 4
    laplacian[0, 0] = 1  # the mean, of which the jumps have none
    smooth = torch.fft.irfft2(torch.fft.rfft2(jumps) / laplacian, s=(height, width))
    part: Tensor = (exact - smooth).clamp_(0, 1).to(image.dtype)
    return part
