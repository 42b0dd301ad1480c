"""Evaluations recorded as CUDA graphs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from neuralstyle import ContentLoss, FeatureExtractor, GramStyleLoss, Objective
from neuralstyle.encoders.precision import InPrecision
from neuralstyle.objective.recorded import RECORDED_AFTER, Recorder, can_be_recorded
from neuralstyle.recipes import STYLE_LOSSES


class Counting(ContentLoss):
    """A loss of somebody's own."""


class Own(FeatureExtractor):
    """An encoder of somebody's own."""


@pytest.fixture(scope="module")
def encoder() -> FeatureExtractor:
    return FeatureExtractor("compact19")


def test_on_the_cpu_all_is_computed() -> None:
    computed: list[Tensor] = []

    def compute(image: Tensor) -> tuple[Tensor, Tensor]:
        computed.append(image)
        return image.sum()[None], torch.ones_like(image)

    recorder, image = Recorder(), torch.rand(1, 3, 8, 8)
    for _ in range(RECORDED_AFTER + 3):
        values, _ = recorder(compute, image)
        assert values == image.sum()
    assert len(computed) == RECORDED_AFTER + 3


def test_only_what_depends_on_the_picture_alone_is_recorded(encoder: FeatureExtractor) -> None:
    losses = ContentLoss("relu2_1") + GramStyleLoss("relu1_1")
    assert can_be_recorded(encoder, losses)
    assert can_be_recorded(InPrecision(encoder, "bfloat16"), losses)
    assert not can_be_recorded(encoder, losses + Counting("relu2_1"))
    assert not can_be_recorded(Own("compact19"), losses)
    assert not can_be_recorded(InPrecision(Own("compact19")), losses)
    assert not can_be_recorded(InPrecision(encoder, compile=True), losses)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_cuda_repeats_what_it_would_compute(name: str) -> None:
    there, losses = FeatureExtractor("compact19").cuda(), ContentLoss("relu2_1") + STYLE_LOSSES[name]
    content, style = torch.rand(2, 1, 3, 96, 64, device="cuda")
    recorded, computed = (Objective(there, losses, content=content, styles=[style]) for _ in range(2))
    computed._recorder = None
    for _ in range(RECORDED_AFTER + 3):
        image = torch.rand(1, 3, 96, 64, device="cuda")
        found, right = recorded.evaluate(image), computed.evaluate(image)
        assert found.loss == pytest.approx(right.loss, rel=1e-4)
        assert (found.gradient - right.gradient).norm() < 1e-3 * right.gradient.norm()
    assert recorded._recorder is not None
    assert recorded._recorder._record is not None
