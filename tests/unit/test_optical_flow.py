"""Optical flow, warping, consistency, and what earlier frames give to the next."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torch import Tensor

from neuralstyle.images import resize_image
from neuralstyle.video import DISFlow, Flow, PyramidFlow, consistency, default_flow, warp
from neuralstyle.video.references import composed, coverage, held, painted_from, warped_frames
from neuralstyle.video.warping import is_still

FLOWS: list[Flow] = [PyramidFlow()]
if importlib.util.find_spec("cv2"):
    FLOWS.append(DISFlow())


@pytest.fixture
def frame() -> Tensor:
    coarse = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    return resize_image(coarse, (64, 96))


def flow_of(x: float, y: float) -> Tensor:
    return torch.tensor([float(x), float(y)]).view(1, 2, 1, 1).expand(1, 2, 64, 96).clone()


@pytest.mark.parametrize("find", FLOWS, ids=repr)
@pytest.mark.parametrize(("x", "y"), [(3, 0), (0, -2), (-5, 4)])
def test_a_shift_is_found(find: Flow, frame: Tensor, x: int, y: int) -> None:
    found = find(frame, frame.roll((y, x), (2, 3)))
    inside = found[..., 10:-10, 10:-10]
    assert found.shape == (1, 2, 64, 96)
    assert inside[:, 0].mean() == pytest.approx(x, abs=0.3)
    assert inside[:, 1].mean() == pytest.approx(y, abs=0.3)


def test_without_opencv_there_is_a_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "cv2" else real(name))
    assert default_flow() == PyramidFlow()


def test_warping_by_whole_pixels_is_exact(frame: Tensor) -> None:
    moved = warp(frame, flow_of(3, -2))
    assert torch.allclose(moved[..., 2:, :-3], frame[..., :-2, 3:], atol=1e-6)
    assert torch.allclose(warp(frame, flow_of(0, 0), "bicubic"), frame, atol=1e-6)


def test_flow_there_and_back_is_consistent_but_for_what_comes_in(frame: Tensor) -> None:
    other = warp(frame, flow_of(-4, 0))  # all moves 4 pixels to the right
    mask = consistency(flow_of(4, 0), flow_of(-4, 0), frame, other)
    assert mask[..., :-4].all()
    assert not mask[..., -3:].any()


def test_flow_that_does_not_come_back_is_not_consistent(frame: Tensor) -> None:
    back = flow_of(0, 0)
    back[..., 40:60] = 6
    mask = consistency(flow_of(0, 0), back, frame, frame)
    assert not mask[..., 40:60].any()
    assert mask[..., :40].all()


def test_the_edge_of_a_motion_and_another_colour_are_not_consistent(frame: Tensor) -> None:
    flow = flow_of(0, 0)
    flow[..., 48:] = 3
    assert not consistency(flow, flow_of(0, 0), frame, frame)[..., 47].any()
    other = frame.clone()
    other[..., :10, :] = 1 - other[..., :10, :].round()
    assert consistency(flow_of(0, 0), flow_of(0, 0), frame, other)[..., :10, :].mean() < 0.2


def test_noise_of_a_level_is_still_and_motion_is_not(frame: Tensor) -> None:
    noise = torch.randint(-1, 2, frame.shape) / 255
    assert is_still(flow_of(0.2, 0.1), frame, frame + noise).all()
    assert not is_still(flow_of(0.2, 0.1), frame, frame.roll(2, 3)).any()


def test_a_plain_thing_that_moves_is_not_still() -> None:
    plain = torch.full((1, 3, 64, 96), 0.7)
    assert not is_still(flow_of(3, 0), plain, plain).any()


def test_what_is_hidden_now_comes_back_from_an_earlier_frame(frame: Tensor) -> None:
    hiding = frame.clone()
    hiding[..., 20:44, 30:60] = 0.5
    first = painted_from([], frame, 1 - frame, holds=True)
    second = painted_from([], hiding, torch.zeros_like(frame), holds=True)
    frames = warped_frames(frame, [second, first], PyramidFlow())
    assert frames[0].weight[..., 26:38, 36:54].max() == 0
    assert frames[1].weight[..., 26:38, 36:54].min() == 1
    assert float((frames[0].weight + frames[1].weight).max()) <= 1
    assert coverage(frames[:1]) < coverage(frames) <= 1
    there = composed(frames, torch.full_like(frame, 0.25))
    assert torch.allclose(there[..., 26:38, 36:54], (1 - frame)[..., 26:38, 36:54], atol=1e-5)


def test_paint_is_held_for_the_content_beneath_it_and_not_through_a_slow_fade(frame: Tensor) -> None:
    painted = painted_from([], frame, frame, holds=True)
    for step in range(1, 5):
        content = frame * (1 - 0.009 * step)  # about a level each time
        frames = warped_frames(content, [painted], PyramidFlow())
        if step == 1:
            assert held(frames).all()
        painted = painted_from(frames, content, frame, holds=True)
    assert held(frames).mean() < 0.5


def test_a_place_that_appears_ripens_frame_by_frame(frame: Tensor) -> None:
    hiding = frame.clone()
    hiding[..., 20:44, 30:60] = 0.5
    painted = painted_from([], hiding, hiding, holds=True)
    middle = []
    for _ in range(9):
        frames = warped_frames(frame, [painted], PyramidFlow())
        painted = painted_from(frames, frame, frame, holds=True)
        middle.append(float(painted.ripeness[0, 0, 32, 45]))
        assert float(held(frames)[0, 0, 32, 45]) == (len(middle) > 8)
    assert middle[:2] == pytest.approx([1 / 8, 2 / 8])
    assert middle[-1] == 1
