"""The tile that fits, from end to end: measured memory, a chosen tile, and what evaluating it then takes."""

from __future__ import annotations

import pytest
import torch
from doubles import Noise

from neuralstyle import ContentLoss, FeatureExtractor, GramStyleLoss, Objective, TotalVariationLoss
from neuralstyle.machine.peak_memory import peak_memory
from neuralstyle.objective import auto_tile


def test_automatic_tile_takes_half_of_the_free_memory(
    encoder64: FeatureExtractor, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, content, style = noise(3, 1, 3, 64, 96, dtype=torch.float64)
    losses = ContentLoss("relu2_2") + 3 * GramStyleLoss(("relu1_1", "relu2_1")) + 0.5 * TotalVariationLoss()
    whole = Objective(encoder64, losses, content=content, styles=[style])
    half = peak_memory(torch.device("cpu"), lambda: whole.evaluate(image, 32))
    monkeypatch.setattr(auto_tile, "free_memory", lambda device: 2 * half)
    objective = Objective(encoder64, losses, content=content, styles=[style])
    chosen: list[int] = []
    automatic = objective.evaluate(image, "auto", on_tile=lambda done, total: chosen.append(total))
    exact = whole.evaluate(image)
    assert automatic.loss == pytest.approx(exact.loss, rel=1e-12)
    torch.testing.assert_close(automatic.gradient, exact.gradient, rtol=1e-9, atol=1e-15)
    assert chosen[0] > 1
    assert 0.4 * half < peak_memory(torch.device("cpu"), lambda: objective.evaluate(image, "auto")) < 1.25 * half
