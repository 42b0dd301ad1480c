"""What the optimiser changes: smoothed pixels, and strategies that work on them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from neuralstyle import LBFGS, Adam, Stage
from neuralstyle.optimizers import InParameters, minimize
from neuralstyle.parameters import Smoothed
from neuralstyle.testing import check_strategy

CHECKER = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(8, 8).expand(1, 3, 16, 16)


@pytest.mark.parametrize("smoothed", [Smoothed(), Smoothed(2), Smoothed(sharp=True), Smoothed(wraps=True)], ids=repr)
@pytest.mark.parametrize("shape", [(16, 16), (17, 23)])
def test_the_gradient_is_the_transposed_map(smoothed: Smoothed, shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    z, x = (torch.rand(1, 3, *shape, generator=generator, dtype=torch.float64) for _ in range(2))
    z = 0.3 + 0.4 * z  # nothing is clipped
    assert float((smoothed.picture(z) * x).sum()) == pytest.approx(float((z * smoothed.gradient(x)).sum()), rel=1e-12)


@pytest.mark.parametrize("sharp", [False, True])
def test_checkers_go_and_flat_colours_stay(sharp: bool) -> None:
    assert (Smoothed(sharp=sharp).picture(CHECKER)[..., 2:-2, 2:-2] - 0.5).abs().max() < 1e-6
    flat = torch.full((1, 3, 16, 20), 0.3)
    assert torch.allclose(Smoothed(3, sharp=sharp).picture(flat), flat)
    edges = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)).round()
    assert Smoothed(sharp=sharp).picture(edges).min() >= 0
    assert Smoothed(sharp=sharp).picture(edges).max() <= 1


def test_the_sharp_filter_keeps_more_of_the_detail() -> None:
    stripes = torch.tensor([0.25, 0.25, 0.75, 0.75]).repeat(6).expand(1, 3, 24, 24)
    contrasts = [float(Smoothed(sharp=sharp).picture(stripes)[..., 4:-4].std()) for sharp in (False, True)]
    assert contrasts[0] / float(stripes.std()) == pytest.approx(0.5, rel=0.01)
    assert contrasts[1] / float(stripes.std()) == pytest.approx(0.75, rel=0.01)


@pytest.mark.parametrize("strategy", [LBFGS(history=5), Adam()], ids=["lbfgs", "adam"])
def test_a_strategy_in_parameters_is_a_strategy(strategy: Any) -> None:
    check_strategy(InParameters(strategy, Smoothed()))


def test_a_strategy_cannot_paint_what_the_filter_removes() -> None:
    def evaluate(x: torch.Tensor) -> tuple[float, torch.Tensor]:
        return float((x - CHECKER).square().sum()), 2 * (x - CHECKER)

    start = torch.full((1, 3, 16, 16), 0.5)
    plain = minimize(LBFGS(), start, evaluate, 20).image
    smooth = minimize(InParameters(LBFGS(), Smoothed()), start, evaluate, 20).image
    assert (plain - CHECKER).abs().max() < 0.01
    assert (smooth[..., 2:-2, 2:-2] - 0.5).abs().max() < 0.05


@pytest.mark.parametrize("passes", [0, -1, 1.5, True, None])
def test_passes_are_counted(passes: Any) -> None:
    with pytest.raises(ValueError, match="passes is a whole number of at least 1"):
        Smoothed(passes)


@pytest.mark.parametrize("parameters", [3, "smoothed", lambda z: z])
def test_a_stage_takes_a_parameterization(parameters: Any) -> None:
    assert Stage(64, 3, parameters=Smoothed()).parameters == Smoothed()
    with pytest.raises(TypeError, match=r"an object such as Smoothed\(\), with methods picture and gradient"):
        Stage(64, 3, parameters=parameters)
