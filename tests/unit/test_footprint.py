from __future__ import annotations

import torch

from neuralstyle import FeatureExtractor
from neuralstyle.machine.peak_memory import peak_memory

CPU = torch.device("cpu")


def test_peak_is_what_lives_at_once() -> None:
    def work() -> None:
        first = torch.zeros(1000)
        second = torch.zeros(500)
        del first
        torch.zeros(300).add_(1).view(10, 30)
        second.add_(1)

    assert peak_memory(CPU, work) == 6000


def test_what_was_there_before_does_not_count() -> None:
    before = torch.zeros(1000)
    assert peak_memory(CPU, lambda: before.add_(1).view(10, 100)[0]) == 0


def test_what_the_backward_pass_needs_counts() -> None:
    leaf = torch.ones(1000, requires_grad=True)
    values: list[torch.Tensor] = []

    def forward(depth: int) -> None:
        x = leaf
        for _ in range(depth):
            x = x.exp()  # saves its result
        values.append(x)

    assert peak_memory(CPU, lambda: forward(5)) == 5 * 4000
    with torch.no_grad():
        assert peak_memory(CPU, lambda: forward(5)) == 2 * 4000


def test_tensors_in_the_format_of_onednn_count() -> None:
    dense = torch.zeros(1000)
    assert peak_memory(CPU, lambda: dense.to_mkldnn()) == 4000


def test_a_network_takes_as_much_for_each_pixel_of_any_size(encoder64: FeatureExtractor) -> None:
    def each(side: int) -> float:
        image = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
        work = lambda: torch.autograd.grad(encoder64(image, ["relu2_1"])["relu2_1"].sum(), image)  # noqa: E731
        work()  # the first use may prepare the weights
        return peak_memory(CPU, work) / side**2

    assert each(32) == each(32)
    assert abs(each(32) / each(64) - 1) < 0.02
