"""Descriptions: the same in every process, different for different options, and refused where that cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from neuralstyle import (
    Adam,
    ContentLoss,
    FeatureExtractor,
    GramStyleLoss,
    Layer,
    ModuleExtractor,
    StateFile,
    StatisticLoss,
    samples,
    stylize,
)
from neuralstyle.checkpoint import describe
from neuralstyle.optimizers.base import FromFactory
from neuralstyle.schedule import single_scale


class Power(StatisticLoss):
    """A loss written as a plain class, with an option and without a __repr__ of its own."""

    layers = ("relu1_1",)
    reference = "style"

    def __init__(self, power: float = 2) -> None:
        self.power = power

    def statistic(self, x: Tensor, weight: Tensor) -> Tensor:
        return (x**self.power * weight).sum(2)

    def distance(self, actual: Tensor, target: Tensor) -> Tensor:
        return (actual - target).square().mean()


class WeightedContent(ContentLoss):
    """A plain class that inherits the generated __repr__ of a dataclass."""

    def __init__(self, channels: Tensor) -> None:
        super().__init__("relu1_1")
        object.__setattr__(self, "channels", channels)

    def error(self, x: Tensor, target: Any) -> Tensor:
        return super().error(x * self.channels, target * self.channels)  # type: ignore[attr-defined]


class Descent:
    """A strategy written as a plain class."""

    def __init__(self, step: float, decay: Callable[[int], float] = lambda count: 1.0) -> None:
        self.step = step
        self.decay = decay

    def walk(self, image: Tensor, evaluate: Any, state: Any = None) -> Iterator[dict[str, Any]]:
        x, count = (image, 0) if state is None else (state["image"], state["count"])
        while True:
            gradient = evaluate(x)[1]
            x = (x - self.step * self.decay(count) * gradient / gradient.abs().max()).clamp(0, 1)
            count += 1
            yield {"image": x, "count": count}


class Patches:
    """An encoder that is no module: random filters of 4 x 4 pixels."""

    layers: Mapping[str, Layer] = {"relu1_1": Layer("relu1_1", "module", 8, 4, 0)}

    def __init__(self, seed: int) -> None:
        self.kernel = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(seed))

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        return {name: torch.nn.functional.conv2d(image, self.kernel.to(image), stride=4).relu() for name in layers}


class Scaled(nn.Module):
    """A network whose only difference to another is a plain attribute."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.lock = threading.Lock()  # nobody can describe it, and nobody has to

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class Slotted:
    __slots__ = ("rate",)

    def __init__(self, rate: float) -> None:
        self.rate = rate


class Shown:
    def __init__(self, rate: float) -> None:
        self.rate, self.cache = rate, object()

    def __repr__(self) -> str:
        return f"Shown({self.rate})"


@dataclass(frozen=True)
class Options:
    numbers: Any
    cache: dict[str, int] = field(default_factory=dict, repr=False)


class Pair(NamedTuple):
    left: Any
    right: Any


def network(seed: int = 0, width: int = 4) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU())


def vgg(**options: Any) -> FeatureExtractor:
    return FeatureExtractor(layers=["relu2_1"], **options)


def local(rate: float) -> Callable[[Tensor], torch.optim.Optimizer]:
    return lambda x: torch.optim.SGD([x], lr=rate)


LARGE = torch.arange(5000.0)
OTHER = LARGE.clone()
OTHER[2500] += 0.5  # repr() does not show it


@pytest.mark.parametrize(
    ("make", "other"),
    [
        pytest.param(lambda: Power(2), lambda: Power(4), id="plain loss"),
        pytest.param(lambda: 3 * Power(2), lambda: 3 * Power(4), id="sum of plain losses"),
        pytest.param(lambda: 3 * Power(2), lambda: 4 * Power(2), id="weight in a sum"),
        pytest.param(lambda: WeightedContent(LARGE), lambda: WeightedContent(OTHER), id="derived from a dataclass"),
        pytest.param(lambda: Descent(0.1), lambda: Descent(0.2), id="plain strategy"),
        pytest.param(lambda: Descent(1, lambda c: 1 / (c + 1)), lambda: Descent(1, lambda c: 1 / (c + 2)), id="lambda"),
        pytest.param(lambda: FromFactory(local(0.1)), lambda: FromFactory(local(0.2)), id="closure"),
        pytest.param(lambda: lambda x, lr=1: lr, lambda: lambda x, lr=2: lr, id="default value"),
        pytest.param(lambda: lambda x, *, lr=1: lr, lambda: lambda x, *, lr=2: lr, id="keyword default"),
        pytest.param(lambda: lambda x: [lambda y: 1], lambda: lambda x: [lambda y: 2], id="inner function"),
        pytest.param(lambda: lambda x: x.sin(), lambda: lambda x: x.cos(), id="name of a method"),
        pytest.param(lambda: partial(Adam, lr=0.1), lambda: partial(Adam, lr=0.2), id="partial"),
        pytest.param(lambda: Adam(lr=0.1).walk, lambda: Adam(lr=0.2).walk, id="method"),
        pytest.param(lambda: Slotted(1), lambda: Slotted(2), id="slots"),
        pytest.param(lambda: Shown(1), lambda: Shown(2), id="written __repr__"),
        pytest.param(lambda: Options(LARGE), lambda: Options(OTHER), id="tensor in a dataclass"),
        pytest.param(lambda: Options(LARGE.numpy()), lambda: Options(OTHER.numpy()), id="array in a dataclass"),
        pytest.param(lambda: [{"a": {1}}, (2,)], lambda: [{"a": {3}}, (2,)], id="containers"),
        pytest.param(lambda: Pair(1, Slotted(1)), lambda: Pair(1, Slotted(2)), id="named tuple"),
        pytest.param(lambda: SimpleNamespace(a=Slotted(1)), lambda: SimpleNamespace(a=Slotted(2)), id="namespace"),
        pytest.param(lambda: torch.zeros(2, 3), lambda: torch.zeros(3, 2), id="shape"),
        pytest.param(lambda: torch.zeros(2), lambda: torch.zeros(2).double(), id="dtype"),
        pytest.param(lambda: network(0), lambda: network(1), id="weights"),
        pytest.param(lambda: network(0), lambda: nn.Sequential(*network(0), nn.ReLU()), id="structure"),
        pytest.param(lambda: Scaled(1), lambda: Scaled(2), id="attribute of a module"),
        pytest.param(lambda: ModuleExtractor(network(0)), lambda: ModuleExtractor(network(1)), id="module extractor"),
        pytest.param(lambda: Patches(0), lambda: Patches(1), id="encoder that is no module"),
        pytest.param(lambda: vgg(), lambda: vgg(pooling="average"), id="options of VGG"),
    ],
)
def test_equal_options_read_alike_and_others_do_not(make: Callable[[], object], other: Callable[[], object]) -> None:
    assert describe(make()) == describe(make())
    assert describe(make()) != describe(other())
    assert not any(" at 0x" in describe(each()) for each in (make, other))


def test_descriptions_are_readable() -> None:
    assert describe(Power(4)) == "Power(layers=('relu1_1',), reference='style', power=4)"
    assert describe(Adam(lr=0.5)) == repr(Adam(lr=0.5))
    assert describe(Options([1, None])) == "Options(numbers=[1, None])"
    assert describe(Pair(True, b"x")) == "Pair(left=True, right=b'x')"
    assert describe({"b": {2, 1}, "a": ()}) == "{'b': {1, 2}, 'a': ()}"
    assert describe(Path("a") / "b") == describe(str(Path("a") / "b"))
    assert describe(np.float64(0.5)) == "0.5"
    assert describe(network).endswith("test_descriptions.network")
    assert describe(nn.Conv2d(3, 4, 1)).startswith("Conv2d(3, 4, kernel_size=(1, 1), stride=(1, 1), digest=")


@pytest.mark.parametrize(
    ("thing", "named"),
    [
        (object(), "object"),
        (Options(object()), r"Options\.numbers"),
        (Power(threading.Lock()), r"Power\.power"),  # type: ignore[arg-type]
        ([Slotted(iter([]))], r"list\.rate"),  # type: ignore[arg-type]
        ((number for number in range(3)), "generator"),
        (Options({"a": (object(),)}), r"Options\.numbers"),
    ],
)
def test_what_has_only_an_address_is_refused(thing: object, named: str) -> None:
    with pytest.raises(ValueError, match=rf"^{named} cannot be described: .*give \w+ a __repr__ .*a dataclass"):
        describe(thing)


def test_meta_and_sparse_tensors_are_refused() -> None:
    for tensor in (torch.zeros(2, device="meta"), torch.eye(2).to_sparse()):
        with pytest.raises(ValueError, match="cannot be described; make it dense"):
            describe(tensor)


def test_an_object_that_holds_itself_is_described() -> None:
    thing = Shown.__new__(Shown)
    ring: list[object] = [thing]
    thing.rate = 1
    ring.append(ring)
    assert describe(ring) == "[Shown(1), ...]"


def test_using_an_encoder_does_not_change_its_description() -> None:
    encoder = vgg()
    before = describe(encoder)
    image = torch.rand(1, 3, 32, 32).requires_grad_()
    encoder(image, ["relu2_1"])["relu2_1"].sum().backward()
    assert describe(encoder) == before


def test_descriptions_are_the_same_in_every_process() -> None:
    program = """
        import torch
        from neuralstyle import FeatureExtractor, GramStyleLoss
        from neuralstyle.checkpoint import describe

        RATE = {"a", "b", "c"}
        class Mine:
            rule = frozenset("abc")
            def __init__(self): self.f = lambda x: x in {"a", "b", "c"} and RATE

        print(describe([Mine(), 2 * GramStyleLoss(), FeatureExtractor("compact19"), torch.arange(3.0)]))
    """
    texts = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", textwrap.dedent(program)]
        texts.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    (text,) = texts
    assert "<lambda> (code " in text


def test_globals_that_a_function_uses_belong_to_it() -> None:
    texts = []
    for rate in (0.1, 0.2):
        space: dict[str, Any] = {"__name__": "__main__"}
        exec(f"RATE = {rate}\ndef helper(x): return RATE * x\ndef schedule(x): return helper(x)", space)
        texts.append(describe(space["schedule"]))
    assert texts[0] != texts[1]


@pytest.mark.parametrize(
    ("options", "changed", "named"),
    [
        ({"losses": Power(2)}, {"losses": Power(4)}, "losses"),
        ({"losses": Power() + WeightedContent(torch.ones(1, 64, 1, 1))},
         {"losses": Power() + WeightedContent(torch.zeros(1, 64, 1, 1))}, "losses"),
        ({"optimizer": Descent(0.1)}, {"optimizer": Descent(0.2)}, "optimizer"),
        ({"optimizer": local(0.1)}, {"optimizer": local(0.2)}, "optimizer"),
        ({"encoder": ModuleExtractor(network(0))}, {"encoder": ModuleExtractor(network(1))}, "encoder"),
        ({"encoder": Patches(0)}, {"encoder": Patches(1)}, "encoder"),
    ],
)  # fmt: skip
def test_a_run_with_another_option_of_an_own_part_is_not_continued(
    options: dict[str, Any], changed: dict[str, Any], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda file: None)
    layer = "0" if isinstance(options.get("encoder"), ModuleExtractor) else "relu1_1"
    state = tmp_path / "run.state"

    def paint(callback: Callable[[Any], bool], **own: Any) -> Image.Image:
        given = {"losses": GramStyleLoss((layer,)), "encoder": vgg(), **own}
        return stylize(
            samples.photo().resize((48, 32)), samples.painting("embers", 64), size=48, iterations=4, progress=False,
            schedule=single_scale, state=StateFile(state, every=0), callback=callback, **given,
        )  # fmt: skip

    paint(lambda progress: progress.iteration < 2, **options)
    with pytest.raises(ValueError, match=rf"run\.state belongs to a run with another {named} \("):
        paint(pytest.fail, **changed)
    iterations: list[int] = []
    paint(lambda progress: iterations.append(progress.iteration) or True, **options)
    assert iterations[0] > 1  # it was continued


def test_a_state_for_what_cannot_be_described_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"step cannot be described: .*give object a __repr__"):
        stylize(
            samples.photo(), samples.painting("embers", 64), optimizer=Descent(object()), size=32, iterations=1,  # type: ignore[arg-type]
            state=tmp_path / "run.state", callback=pytest.fail, progress=False, schedule=single_scale,
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []
