"""Warping: a frame moved along the optical flow, and where that can be trusted."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

RELATIVE_ERROR, ERROR = 0.01, 0.5
"""Forward and backward flow differ where the square of their sum exceeds 0.01 of their squares, plus 0.5 pixels^2."""

BOUNDARY_RELATIVE, BOUNDARY = 0.01, 0.002
"""A motion boundary: the square of the flow's gradient exceeds 0.01 of its square, plus 0.002."""

COLOUR_ERROR = 0.12
"""Largest difference of the frames along the flow, as the mean over channels of values in [0, 1]."""

STILL = 2 / 255
"""Mean difference of two frames around a pixel up to which nothing has moved there: noise of a level or two."""

STILL_WINDOW = 15
"""Side in pixels of what is around a pixel."""

STILL_FLOW = 0.5
"""Length in pixels up to which a flow may come from noise."""


def warp(image: Tensor, flow: Tensor, mode: str = "bilinear") -> Tensor:
    """Return a picture whose pixel p is that of ``image`` at p + flow(p), from the border where that lies outside.

    Args:
        image: (1, C, H, W).
        flow: (1, 2, H, W), offsets in pixels, x then y.
        mode: "bilinear", or "bicubic", which keeps pictures sharper and may leave their range.

    Example:
        ```python
        import torch
        from neuralstyle.video import warp

        image, flow = torch.rand(1, 3, 8, 8), torch.zeros(1, 2, 8, 8)
        flow[:, 0] = 1
        assert torch.allclose(warp(image, flow)[..., :-1], image[..., 1:], atol=1e-6)
        ```

    """
    height, width = image.shape[2:]
    x, y = _places(flow)
    grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], -1)
    return F.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=True)


def consistency(flow: Tensor, back: Tensor, frame: Tensor, other: Tensor) -> Tensor:
    """Return where a flow can be trusted: 1, or 0 where a pixel is hidden in the other frame or a motion ends.

    Args:
        flow: from ``frame`` to ``other``, (1, 2, H, W).
        back: from ``other`` to ``frame``.
        frame: (1, 3, H, W) in [0, 1].
        other: (1, 3, H, W) in [0, 1].

    Returns:
        (1, 1, H, W), 0 or 1.

    Paper: Sundaram, Brox and Keutzer 2010, as in Ruder et al. 2016, arXiv 1604.08610, equations 5 and 6. Here pixels
    that change their colour by more than ``COLOUR_ERROR`` along the flow, or come from outside the frame, are no more
    consistent.

    """
    height, width = frame.shape[2:]
    returned = warp(back, flow)
    error = (flow + returned).square().sum(1, keepdim=True)
    length = flow.square().sum(1, keepdim=True) + returned.square().sum(1, keepdim=True)
    meets = error <= RELATIVE_ERROR * length + ERROR
    steep = _steepness(flow)
    smooth = steep <= BOUNDARY_RELATIVE * flow.square().sum(1, keepdim=True) + BOUNDARY
    x, y = _places(flow)
    inside = ((x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5))[:, None]
    alike = (warp(other, flow) - frame).abs().mean(1, keepdim=True) <= COLOUR_ERROR
    return (meets & smooth & inside & alike).to(frame)


def is_still(flow: Tensor, frame: Tensor, other: Tensor) -> Tensor:
    """Return where nothing moves: bool, (1, 1, H, W).

    There the frames are alike but for noise, and the flow is so short that it comes from the noise. A plain thing that
    moves looks alike in both frames as well; its flow, found at its edges, is longer.
    """
    change = (frame - other).abs().mean(1, keepdim=True)
    around = F.avg_pool2d(change, STILL_WINDOW, 1, STILL_WINDOW // 2, count_include_pad=False)
    return (around <= STILL) & (flow.square().sum(1, keepdim=True) <= STILL_FLOW**2)


def _places(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Where the pixels are found: x and y, (1, H, W) each."""
    height, width = flow.shape[2:]
    rows = torch.arange(height, device=flow.device, dtype=flow.dtype)[None, :, None]
    columns = torch.arange(width, device=flow.device, dtype=flow.dtype)[None, None, :]
    return flow[:, 0] + columns, flow[:, 1] + rows


def _steepness(flow: Tensor) -> Tensor:
    """The sum of the squares of the flow's slopes."""
    across = F.pad(flow[..., :, 1:] - flow[..., :, :-1], (0, 1, 0, 0))
    down = F.pad(flow[..., 1:, :] - flow[..., :-1, :], (0, 0, 0, 1))
    return (across.square() + down.square()).sum(1, keepdim=True)
