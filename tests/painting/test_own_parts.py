"""Runs with parts of a user's own go on with equal options and with no others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from doubles import Cells, Descent, Power, WeightedContent, filters, painting, sgd_of
from PIL import Image

from neuralstyle import FeatureExtractor, GramStyleLoss, ModuleExtractor, StateFile, samples, stylize
from neuralstyle.schedule import single_scale


@pytest.mark.parametrize(
    ("options", "changed", "named"),
    [
        ({"losses": Power(2)}, {"losses": Power(4)}, "losses"),
        ({"losses": Power() + WeightedContent(torch.ones(1, 64, 1, 1))},
         {"losses": Power() + WeightedContent(torch.zeros(1, 64, 1, 1))}, "losses"),
        ({"optimizer": Descent(0.1)}, {"optimizer": Descent(0.2)}, "optimizer"),
        ({"optimizer": sgd_of(0.1)}, {"optimizer": sgd_of(0.2)}, "optimizer"),
        ({"encoder": ModuleExtractor(filters(0))}, {"encoder": ModuleExtractor(filters(1))}, "encoder"),
        ({"encoder": Cells(0)}, {"encoder": Cells(1)}, "encoder"),
    ],
)  # fmt: skip
def test_a_run_with_another_option_of_an_own_part_is_not_continued(
    options: dict[str, Any], changed: dict[str, Any], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda file: None)
    layer = "0" if isinstance(options.get("encoder"), ModuleExtractor) else "relu1_1"
    state = tmp_path / "run.state"

    def paint(callback: Callable[[Any], bool], **own: Any) -> Image.Image:
        given = {"losses": GramStyleLoss((layer,)), "encoder": FeatureExtractor(layers=["relu2_1"]), **own}
        return stylize(
            samples.photo().resize((48, 32)), painting("embers"), size=48, iterations=4, progress=False,
            schedule=single_scale, state=StateFile(state, every=0), callback=callback, **given,
        )  # fmt: skip

    paint(lambda progress: progress.iteration < 2, **options)
    with pytest.raises(ValueError, match=rf"run\.state belongs to a run with another {named} \("):
        paint(pytest.fail, **changed)
    iterations: list[int] = []
    paint(lambda progress: iterations.append(progress.iteration) or True, **options)
    assert iterations[0] > 1  # it was continued
