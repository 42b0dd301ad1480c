"""Descriptions: the same in every process, different for different options, and refused where that cannot be."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial, update_wrapper
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from doubles import Cells, Descent, Power, WeightedContent, filters, sgd_of
from torch import Tensor, nn

from neuralstyle import (
    Adam,
    FeatureExtractor,
    ModuleExtractor,
    samples,
    stylize,
)
from neuralstyle.checkpoint import describe
from neuralstyle.optimizers.base import FromFactory
from neuralstyle.schedule import single_scale


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


class Terse:
    """Its __repr__ shows nothing."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __repr__(self) -> str:
        return "Terse()"


class Hidden:
    """Its option is in a private slot."""

    __slots__ = ("__rate",)

    def __init__(self, rate: float) -> None:
        self.__rate = rate


@dataclass(frozen=True)
class OwnStart:
    """A dataclass with a constructor of its own, whose option is no field."""

    layers = ("relu1_1",)

    def __init__(self, rate: float) -> None:
        object.__setattr__(self, "rate", rate)


class Marked(tuple[int, ...]):
    """A container with an option of its own."""

    rate: float


class Wrapper:
    """An object with the names of the function that it wraps."""

    def __init__(self, rate: float) -> None:
        update_wrapper(self, sgd_of)
        self.rate = rate

    def __call__(self) -> float:
        return self.rate


class Cached:
    def __init__(self, rate: float) -> None:
        self.rate = rate

    @cached_property
    def square(self) -> float:
        return self.rate**2


def marked(rate: float) -> Marked:
    found = Marked((1, 2))
    found.rate = rate
    return found


def with_class_option(rate: float) -> object:
    class Made:
        _rate = rate

    return Made()


class Private(nn.Module):
    """A network whose only difference to another is a private number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self._factor = factor


@dataclass(frozen=True)
class Options:
    numbers: Any
    cache: dict[str, int] = field(default_factory=dict, repr=False)


class Pair(NamedTuple):
    left: Any
    right: Any


def vgg(**options: Any) -> FeatureExtractor:
    return FeatureExtractor(layers=["relu2_1"], **options)


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
        pytest.param(lambda: FromFactory(sgd_of(0.1)), lambda: FromFactory(sgd_of(0.2)), id="closure"),
        pytest.param(lambda: lambda x, lr=1: lr, lambda: lambda x, lr=2: lr, id="default value"),
        pytest.param(lambda: lambda x, *, lr=1: lr, lambda: lambda x, *, lr=2: lr, id="keyword default"),
        pytest.param(lambda: lambda x: [lambda y: 1], lambda: lambda x: [lambda y: 2], id="inner function"),
        pytest.param(lambda: lambda x: x.sin(), lambda: lambda x: x.cos(), id="name of a method"),
        pytest.param(lambda: partial(Adam, lr=0.1), lambda: partial(Adam, lr=0.2), id="partial"),
        pytest.param(lambda: Adam(lr=0.1).walk, lambda: Adam(lr=0.2).walk, id="method"),
        pytest.param(lambda: Slotted(1), lambda: Slotted(2), id="slots"),
        pytest.param(lambda: Shown(1), lambda: Shown(2), id="written __repr__"),
        pytest.param(lambda: Terse(1), lambda: Terse(2), id="terse __repr__"),
        pytest.param(lambda: Hidden(1), lambda: Hidden(2), id="private slot"),
        pytest.param(lambda: OwnStart(1), lambda: OwnStart(2), id="dataclass with a constructor of its own"),
        pytest.param(lambda: marked(1), lambda: marked(2), id="container with an attribute"),
        pytest.param(lambda: Wrapper(1), lambda: Wrapper(2), id="wrapper of a function"),
        pytest.param(lambda: with_class_option(1), lambda: with_class_option(2), id="private attribute of a class"),
        pytest.param(lambda: Private(1), lambda: Private(2), id="private attribute of a module"),
        pytest.param(lambda: Options(LARGE), lambda: Options(OTHER), id="tensor in a dataclass"),
        pytest.param(lambda: Options(LARGE.numpy()), lambda: Options(OTHER.numpy()), id="array in a dataclass"),
        pytest.param(lambda: [{"a": {1}}, (2,)], lambda: [{"a": {3}}, (2,)], id="containers"),
        pytest.param(lambda: Pair(1, Slotted(1)), lambda: Pair(1, Slotted(2)), id="named tuple"),
        pytest.param(lambda: SimpleNamespace(a=Slotted(1)), lambda: SimpleNamespace(a=Slotted(2)), id="namespace"),
        pytest.param(lambda: torch.zeros(2, 3), lambda: torch.zeros(3, 2), id="shape"),
        pytest.param(lambda: torch.zeros(2), lambda: torch.zeros(2).double(), id="dtype"),
        pytest.param(lambda: filters(0), lambda: filters(1), id="weights"),
        pytest.param(lambda: filters(0), lambda: nn.Sequential(*filters(0), nn.ReLU()), id="structure"),
        pytest.param(lambda: Scaled(1), lambda: Scaled(2), id="attribute of a module"),
        pytest.param(lambda: ModuleExtractor(filters(0)), lambda: ModuleExtractor(filters(1)), id="module extractor"),
        pytest.param(lambda: Cells(0), lambda: Cells(1), id="encoder that is no module"),
        pytest.param(lambda: vgg(), lambda: vgg(pooling="average"), id="options of VGG"),
    ],
)
def test_equal_options_read_alike_and_others_do_not(make: Callable[[], object], other: Callable[[], object]) -> None:
    assert describe(make()) == describe(make())
    assert describe(make()) != describe(other())
    assert not any(" at 0x" in describe(each()) for each in (make, other))


def test_a_cached_property_does_not_change_a_description() -> None:
    thing = Cached(3)
    before = describe(thing)
    assert thing.square == 9
    assert describe(thing) == before == "Cached(rate=3)"


def test_descriptions_are_readable() -> None:
    assert describe(Power(4)) == "Power(layers=('relu1_1',), reference='style', power=4)"
    assert describe(Adam(lr=0.5)) == repr(Adam(lr=0.5))
    assert describe(Options([1, None])) == "Options(numbers=[1, None])"
    assert describe(Pair(True, b"x")) == "Pair(left=True, right=b'x')"
    assert describe({"b": {2, 1}, "a": ()}) == "{'b': {1, 2}, 'a': ()}"
    assert describe(Path("a") / "b") == describe(str(Path("a") / "b"))
    assert describe(np.float64(0.5)) == "0.5"
    assert describe(filters).endswith("doubles.filters")
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
    assert describe(ring) == "[Shown(1) with rate=1, ...]"


def test_using_an_encoder_does_not_change_its_description() -> None:
    encoder = vgg()
    before = describe(encoder)
    image = torch.rand(1, 3, 32, 32).requires_grad_()
    encoder(image, ["relu2_1"])["relu2_1"].sum().backward()
    assert describe(encoder) == before


def test_globals_that_a_function_uses_belong_to_it() -> None:
    texts = []
    for rate in (0.1, 0.2):
        space: dict[str, Any] = {"__name__": "__main__"}
        exec(f"RATE = {rate}\ndef helper(x): return RATE * x\ndef schedule(x): return helper(x)", space)
        texts.append(describe(space["schedule"]))
    assert texts[0] != texts[1]


def test_a_state_for_what_cannot_be_described_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"rate cannot be described: .*give object a __repr__"):
        stylize(
            samples.photo(), samples.painting("embers", 64), optimizer=Descent(object()), size=32, iterations=1,  # type: ignore[arg-type]
            state=tmp_path / "run.state", callback=pytest.fail, progress=False, schedule=single_scale,
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []
