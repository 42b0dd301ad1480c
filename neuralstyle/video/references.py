"""References: results of earlier frames, warped to the frame that is painted, each where it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neuralstyle.video.flow import Flow
from neuralstyle.video.warping import consistency, is_still, warp


@dataclass(frozen=True, eq=False)
class Painted:
    """A frame that is finished: its content and its result, both (1, 3, H, W) in [0, 1]."""

    content: Tensor
    result: Tensor


@dataclass(frozen=True, eq=False)
class WarpedFrame:
    """An earlier result, warped to the frame that is painted.

    Attributes:
        picture: (1, 3, H, W) in [0, 1].
        weight: where it counts, (1, 1, H, W) in [0, 1].

    """

    picture: Tensor
    weight: Tensor


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
        trusted = torch.where(still, 1.0, trusted)
        weight = (trusted - taken).clamp_min(0)
        taken = taken + weight
        found.append(WarpedFrame(warp(painted.result, forth, "bicubic").clamp(0, 1), weight))
    return found


def coverage(frames: Sequence[WarpedFrame]) -> float:
    """Return the share of the picture in which some earlier frame counts."""
    return float(sum(frame.weight.mean() for frame in frames))


def composed(frames: Sequence[WarpedFrame], otherwise: Tensor) -> Tensor:
    """Return the earlier frames where they count, and another picture in the rest."""
    taken = sum((frame.weight for frame in frames), torch.zeros_like(otherwise[:, :1]))
    return sum((frame.picture * frame.weight for frame in frames), otherwise * (1 - taken))
