"""How often an evaluation and a step read numbers off the device, for which an accelerator has to be waited for."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from neuralstyle import (
    LBFGS,
    Adam,
    ContentLoss,
    FeatureExtractor,
    GramStyleLoss,
    Objective,
    Style,
    TotalVariationLoss,
)
from neuralstyle.losses.tools import roots
from neuralstyle.objective.recorded import can_be_recorded
from neuralstyle.optimizers.minimize import minimize
from neuralstyle.recipes import DEFAULT_LOSSES, STYLE_LOSSES

READING = {"_local_scalar_dense", "item", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "unique_dim"}
SHALLOW = ContentLoss("relu2_1") + 15 * GramStyleLoss(("relu1_1", "relu2_1")) + 10 * TotalVariationLoss()


class _Reading(TorchDispatchMode):
    """Counts the operations after which the processor knows a number of the device's."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        masks = [x for x in args[1] if x is not None and x.dtype == torch.bool] if name == "index" else []
        if name in READING or masks:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


@contextmanager
def reading() -> Iterator[Counter[str]]:
    mode = _Reading()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("tolist", "numpy", "cpu"):  # these leave torch without an operation
            kept = getattr(Tensor, name)

            def count(self: Tensor, *arguments: Any, name: str = name, kept: Callable[..., Any] = kept) -> Any:
                mode.counts[name] += 1
                return kept(self, *arguments)

            patch.setattr(Tensor, name, count)
        with mode:
            yield mode.counts


def test_what_is_counted() -> None:
    x = torch.arange(3.0)
    for read in (float, bool, lambda t: t.item(), lambda t: t.tolist(), lambda t: t == t and None, lambda t: x[x > t]):
        with reading() as counts:
            read(torch.ones(()))
        assert sum(counts.values()) == 1
    with reading() as counts:
        (x + 1).sum()[None].clamp(0, 1)
    assert not counts


@pytest.mark.usefixtures("as_on_cuda")
@pytest.mark.parametrize("with_gradient", [True, False])
def test_an_evaluation_reads_once(with_gradient: bool, encoder: FeatureExtractor, photo: Tensor) -> None:
    objective = Objective(encoder, DEFAULT_LOSSES, content=photo, styles=[photo.flip(1)])
    with reading() as counts:
        objective.evaluate(photo, with_gradient=with_gradient)
    assert counts == {"tolist": 1}


def test_an_evaluation_with_regions_in_tiles_reads_once(encoder: FeatureExtractor, photo: Tensor) -> None:
    half = (torch.arange(64) < 32).float().expand(1, 64, 64)
    styles = [Style(photo.flip(1), region=half), Style(photo.flip(2), region=1 - half)]
    objective = Objective(encoder, SHALLOW, content=photo, styles=styles)
    objective.evaluate(photo, 32)  # the regions at this size are made ready
    with reading() as counts:
        objective.evaluate(photo, 32)
    assert counts == {"tolist": 1}


@pytest.fixture
def as_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Roots of matrices as they are computed on CUDA; those of the processor ask whether they have succeeded."""
    monkeypatch.setattr(roots, "by_eigenvalues", roots.by_iteration)


@pytest.mark.usefixtures("as_on_cuda")
@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_style_losses_read_nothing(name: str, encoder: FeatureExtractor, photo: Tensor) -> None:
    objective = Objective(encoder, STYLE_LOSSES[name], styles=[photo[..., 12:44, 16:]])
    objective.evaluate(photo[..., 8:40, 8:56])
    with reading() as counts:
        objective.evaluate(photo[..., 8:40, 8:56])
    assert counts == {"tolist": 1}


@pytest.mark.usefixtures("as_on_cuda")
@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_what_is_recorded_reads_nothing(name: str, encoder: FeatureExtractor, photo: Tensor) -> None:
    """A CUDA graph cannot hold a reading, and a recording that fails leaves CUDA's random numbers unusable."""
    losses = ContentLoss("relu2_1") + STYLE_LOSSES[name] + TotalVariationLoss()
    objective = Objective(encoder, losses, content=photo, styles=[photo.flip(1)])
    objective.evaluate(photo)  # random numbers are drawn once
    with reading() as counts:
        objective.evaluate(photo)
    assert counts == {"tolist": 1} or not can_be_recorded(encoder, losses)


def test_a_step_of_lbfgs_reads_at_most_twice_beside_the_evaluation(encoder: FeatureExtractor, photo: Tensor) -> None:
    objective = Objective(encoder, SHALLOW, content=photo, styles=[photo.flip(1)])
    found: list[dict[str, int]] = []

    def evaluate(x: Tensor) -> tuple[float, Tensor]:
        evaluation = objective.evaluate(x)
        return evaluation.loss, evaluation.gradient

    with reading() as counts:
        minimize(LBFGS(history=4), photo, evaluate, 15, lambda *_: bool(found.append(dict(counts))) or True)
    evaluations = [after["tolist"] - before["tolist"] for before, after in pairwise(found)]
    # The predicted decrease, the evaluation and, where it ends a step, the curvature. After 4 and 8 the range as well.
    assert set(evaluations[8:]) <= {2, 3}
    assert max(evaluations[2:]) <= 5
    assert set(found[-1]) == {"tolist"}


def test_adam_reads_the_evaluation_alone(photo: Tensor) -> None:
    with reading() as counts:
        minimize(Adam(), photo, lambda x: (1.0, x - 0.5), 5)
    # torch counts the steps in a tensor that lies with the processor; minimize looks at the range after 1, 2 and 4.
    assert counts.keys() <= {"_local_scalar_dense", "tolist"}
    assert counts["_local_scalar_dense"] <= 5
    assert counts["tolist"] <= 6


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_waits_no_more_often(photo: Tensor) -> None:
    encoder, there = FeatureExtractor().cuda(), photo.cuda()
    objective = Objective(encoder, DEFAULT_LOSSES, content=photo, styles=[photo.flip(1)])

    def evaluate(x: Tensor) -> tuple[float, Tensor]:
        evaluation = objective.evaluate(x)
        return evaluation.loss, evaluation.gradient

    minimize(LBFGS(history=4), there, evaluate, 6)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            minimize(LBFGS(history=4), there, evaluate, 6)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    waits = [str(warning.message) for warning in caught if "synchroniz" in str(warning.message)]
    # The predicted decrease, the evaluation, the curvature, the pairs' dot products; the range, too, after 1, 2 and 4.
    assert len(waits) <= 4 * 6 + 6
