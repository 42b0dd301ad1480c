"""The package computes in modes of its own, and every new tensor states its dtype."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from types import FunctionType

import pytest
import torch
from ladder import PACKAGE

from neuralstyle.machine.surroundings import plain_tensor, plain_torch

# Those that take the default dtype: for numbers that are not whole, or always.
FACTORIES = {
    *("tensor", "zeros", "ones", "empty", "full", "rand", "randn", "linspace", "logspace", "arange", "eye"),
    *("hann_window", "hamming_window", "blackman_window", "kaiser_window", "fftfreq", "rfftfreq", "scalar_tensor"),
    *("Conv2d", "InstanceNorm2d", "BatchNorm2d", "Linear"),
}
LIBRARIES = {"torch", "nn", "fft"}
ROOMS = (
    "images",
    "color",
    "encoders",
    "feedforward",
    "metrics",
    "optimizers",
    "testing",
    "painting.plan",
    "painting.paint",
)
WITHOUT = {
    "check_output": "looks at a path",
    "check_size": "no tensors",
    "fit_size": "no tensors",
    "longest_side": "no tensors",
    "resize_image": "part of a caller's graph, with the gradient and the mode of the caller",
    "as_strategy": "no tensors",
    "default_encoder": "FeatureExtractor is decorated",
    "shipped_models": "lists files",
    "table": "text",
    "as_callbacks": "no tensors",
    "last_image": "Plan.picture is decorated",
    "last_network": "returns what there is",
    "show": "grid is decorated",
}


def factory_calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in FACTORIES:
            parent = node.func.value
            name = parent.attr if isinstance(parent, ast.Attribute) else getattr(parent, "id", "")
            if name in LIBRARIES:
                yield node


def states_dtype(call: ast.Call) -> bool:
    return any(keyword.arg == "dtype" for keyword in call.keywords)


@pytest.mark.parametrize(("code", "found"), [("torch.zeros(3)", False), ("torch.fft.fftfreq(3, dtype=d)", True)])
def test_calls_without_a_dtype_are_found(code: str, found: bool) -> None:
    assert [states_dtype(call) for call in factory_calls(ast.parse(code))] == [found]


def test_every_new_tensor_states_its_dtype() -> None:
    missing = [
        f"{path.relative_to(PACKAGE)}:{call.lineno}: {ast.unparse(call)}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for call in factory_calls(ast.parse(path.read_text(encoding="utf-8")))
        if not states_dtype(call) and ast.unparse(call) not in REPLACED
    ]
    assert missing == []


REPLACED = {"nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, device='meta')"}
"""Modules whose tensors are replaced at once."""


def test_every_public_function_that_computes_has_modes_of_its_own() -> None:
    bare = set()
    for room in ROOMS:
        module = importlib.import_module(f"neuralstyle.{room}")
        names = getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")])
        functions = {name: getattr(module, name) for name in names}
        bare |= {
            name
            for name, function in functions.items()
            if isinstance(function, FunctionType)
            and ("." not in room or function.__module__ == module.__name__)
            and not hasattr(function, "__wrapped__")
        }
    assert bare == set(WITHOUT)


def test_the_modes_are_those_of_a_fresh_thread_and_the_callers_come_back() -> None:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), torch.device("meta"):
        with plain_torch():
            product = torch.ones(2, 2, requires_grad=True) @ torch.ones(2, 2)
            assert (product.device.type, product.dtype) == ("cpu", torch.float32)
            assert product.requires_grad
            assert not product.is_inference()
        assert torch.is_inference_mode_enabled()
        assert torch.is_autocast_enabled("cpu")
        assert torch.ones(1).is_meta


def test_a_tensor_is_copied_only_where_it_has_to_be() -> None:
    ordinary = torch.ones(2)
    assert plain_tensor(ordinary) is ordinary
    with torch.inference_mode():
        other = torch.ones(2)
    assert not plain_tensor(other).is_inference()
