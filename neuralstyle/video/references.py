"""References: results of earlier frames, warped to the frame that is painted, each where it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralstyle.video.flow import Flow
from neuralstyle.video.warping import consistency, is_still, warp

RIPE_AFTER = 8
"""Frames after which a place is fully painted: until then the temporal loss holds it less, and painting goes on."""

SPECKLE = 5
"""Side in pixels of the window in which most of a mask has to agree, so that it has no speckles and a soft edge."""


@dataclass(frozen=True, eq=False)
class Painted:
    """A frame that is finished.

    Attributes:
        content: (1, 3, H, W) in [0, 1].
        result: (1, 3, H, W) in [0, 1].
        ripeness: how far each place is painted, (1, 1, H, W) in [0, 1]: 1 / ``RIPE_AFTER`` where it was hidden before.

    """

    content: Tensor
    result: Tensor
    ripeness: Tensor


@dataclass(frozen=True, eq=False)
class WarpedFrame:
    """An earlier result, warped to the frame that is painted.

    Attributes:
        picture: (1, 3, H, W) in [0, 1].
        weight: where it shows what is in the frame, (1, 1, H, W) in [0, 1].
        ripeness: how far it is painted there, (1, 1, H, W) in [0, 1].

    """

    picture: Tensor
    weight: Tensor
    ripeness: Tensor


def warped_frames(content: Tensor, earlier: Sequence[Painted], flow: Flow) -> list[WarpedFrame]:
    """Warp earlier results to a frame.

    Each counts where its flow is consistent and no later frame counts already: the earlier ones are the long-term
    references, which bring back what was hidden for a while.

    Args:
        content: the frame, (1, 3, H, W) in [0, 1].
        earlier: frames before it, the last one first.
        flow: the optical flow.

    Paper: Ruder et al. 2016, arXiv 1604.08610, section 4.3.

    """
    found: list[WarpedFrame] = []
    taken = torch.zeros_like(content[:, :1])
    for painted in earlier:
        forth = flow(content, painted.content)
        trusted = consistency(forth, flow(painted.content, content), content, painted.content)
        still = is_still(content, painted.content)
        forth = torch.where(still, 0.0, forth)
        trusted = _without_speckles(torch.where(still, 1.0, trusted))
        weight = (trusted - taken).clamp_min(0)
        taken = taken + weight
        picture = warp(painted.result, forth, "bicubic").clamp(0, 1)
        found.append(WarpedFrame(picture, weight, warp(painted.ripeness, forth)))
    return found


def ripened(frames: Sequence[WarpedFrame], content: Tensor) -> Tensor:
    """Return the ripeness of a frame that is painted from earlier ones; without any it is painted in full."""
    if not frames:
        return torch.ones_like(content[:, :1])
    before = sum((frame.weight * frame.ripeness for frame in frames), torch.zeros_like(content[:, :1]))
    return (before + 1 / RIPE_AFTER).clamp_max(1)


def coverage(frames: Sequence[WarpedFrame]) -> float:
    """Return the share of the picture in which some earlier frame counts."""
    return float(sum(frame.weight.mean() for frame in frames))


def composed(frames: Sequence[WarpedFrame], otherwise: Tensor) -> Tensor:
    """Return the earlier frames where they count, and another picture in the rest."""
    taken = sum((frame.weight for frame in frames), torch.zeros_like(otherwise[:, :1]))
    return sum((frame.picture * frame.weight for frame in frames), otherwise * (1 - taken))


def _without_speckles(mask: Tensor) -> Tensor:
    """Return a mask that is 1 where nearly all around it is, and 0 where half is not."""
    around = F.avg_pool2d(mask, SPECKLE, 1, SPECKLE // 2, count_include_pad=False)
    return (2 * around - 1).clamp(0, 1)
