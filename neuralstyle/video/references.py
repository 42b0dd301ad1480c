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

RIPE = 0.99
"""Ripeness from which on nothing is left to paint."""

COVERED = 0.995
"""Share of a frame from which on no other reference is looked for."""

SPECKLE = 5
"""Side in pixels of the window in which most of a mask has to agree, so that it has no speckles and a soft edge."""


@dataclass(frozen=True, eq=False)
class Painted:
    """A frame that is finished.

    Attributes:
        content: (1, 3, H, W) in [0, 1].
        result: (1, 3, H, W) in [0, 1].
        ripeness: how far each place is painted, (1, 1, H, W) in [0, 1]: 1 / ``RIPE_AFTER`` where it was hidden before.
        beneath: the content that each place was painted for: that of an earlier frame where the paint is held since.

    """

    content: Tensor
    result: Tensor
    ripeness: Tensor
    beneath: Tensor


@dataclass(frozen=True, eq=False)
class WarpedFrame:
    """An earlier result, warped to the frame that is painted.

    Attributes:
        picture: (1, 3, H, W) in [0, 1].
        weight: where it shows what is in the frame, (1, 1, H, W) in [0, 1].
        ripeness: how far it is painted there, (1, 1, H, W) in [0, 1].
        still: where it counts, is ripe, and the content is still the one beneath it, but for noise: 0 or 1.
        beneath: the content that it was painted for, where it is still.

    """

    picture: Tensor
    weight: Tensor
    ripeness: Tensor
    still: Tensor
    beneath: Tensor


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
        if found and coverage(found) > COVERED:
            break
        forth = flow(content, painted.content)
        trusted = consistency(forth, flow(painted.content, content), content, painted.content)
        still = is_still(forth, content, painted.beneath)
        forth = torch.where(still, 0.0, forth)
        trusted = _without_speckles(torch.where(still, 1.0, trusted))
        weight = (trusted - taken).clamp_min(0)
        taken = taken + weight
        picture = warp(painted.result, forth, "bicubic").clamp(0, 1)
        ripeness = warp(painted.ripeness, forth)
        done = still & (ripeness > RIPE) & (weight > RIPE)
        found.append(WarpedFrame(picture, weight, ripeness, done.to(picture), painted.beneath))
    return found


def held(frames: Sequence[WarpedFrame]) -> Tensor:
    """Return where some earlier frame is still, 0 or 1: there nothing is left to paint."""
    return sum((frame.still for frame in frames[1:]), frames[0].still)


def painted_from(
    frames: Sequence[WarpedFrame],
    content: Tensor,
    result: Tensor,
    *,
    holds: bool,
    ripening: float = 1 / RIPE_AFTER,
) -> Painted:
    """Return a finished frame as the next ones see it.

    Args:
        frames: the earlier frames that it was painted from; without any it was painted in full.
        content: the frame, (1, 3, H, W) in [0, 1].
        result: the painted frame.
        holds: whether the paint is held where an earlier frame is still.
        ripening: what its own painting adds to the ripeness: 1 where a pass before has painted the frame too.

    """
    if not frames:
        return Painted(content, result, torch.ones_like(content[:, :1]), content)
    before = ripeness(frames)
    beneath = content
    for frame in frames if holds else ():
        beneath = torch.where(frame.still > 0, frame.beneath, beneath)
    return Painted(content, result, (before + ripening).clamp_max(1), beneath)


def ripeness(frames: Sequence[WarpedFrame]) -> Tensor:
    """Return how far each place is painted in the frames that count there, (1, 1, H, W) in [0, 1]."""
    return sum((frame.weight * frame.ripeness for frame in frames[1:]), frames[0].weight * frames[0].ripeness)


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
