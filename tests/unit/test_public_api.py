"""The public surface: what it holds, how it is called, and that all of it is documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

import neuralstyle
from neuralstyle import callbacks, checkpoint, metrics, optimizers, samples

ROOT = Path(__file__).parents[2]
API = ROOT / "docs" / "api"
STUB = ast.parse((ROOT / "neuralstyle" / "__init__.pyi").read_text(encoding="utf-8"))
ALL = {name: getattr(neuralstyle, name) for name in neuralstyle.__all__}  # imports what is imported at first use
PACKAGES = {name: value for name, value in ALL.items() if isinstance(value, ModuleType)}
PUBLIC = {name: value for name, value in ALL.items() if name not in PACKAGES}
MEASURES = {name: getattr(metrics, name) for name in metrics.__all__}
CALLABLE = {name: value for name, value in (PUBLIC | MEASURES).items() if isinstance(value, (type, FunctionType))}
ALSO_DOCUMENTED = {
    "neuralstyle.samples.photo": samples.photo,
    "neuralstyle.samples.painting": samples.painting,
    "neuralstyle.optimizers.minimize.minimize": optimizers.minimize,
    "neuralstyle.callbacks.read_losses": callbacks.read_losses,
    "neuralstyle.checkpoint.save_state": checkpoint.save_state,
    "neuralstyle.checkpoint.load_state": checkpoint.load_state,
}
# Records that the library hands out, and protocols: their example is in a snippet of the documentation, which test_docs
# runs.
IN_SNIPPETS = {
    "Encoder": ("docs/extending.md", "check_encoder("),
    "Evaluation": ("README.md", "evaluation.loss, evaluation.terms, evaluation.gradient"),
    "Layer": ("docs/extending.md", 'Layer("patch", '),
    "Progress": ("docs/getting-started.md", "progress.iteration"),
    "Strategy": ("docs/extending.md", "check_strategy("),
}


def test_the_stub_lists_each_name_once_and_by_itself() -> None:
    found = [alias for node in STUB.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert [alias.name for alias in found if alias.asname != alias.name] == []  # else it is private to type checkers
    assert sorted(alias.name for alias in found) == neuralstyle.__all__ == dir(neuralstyle)


def test_the_top_is_short_and_says_what_is_a_sub_package() -> None:
    assert len(PUBLIC) <= 45
    assert all(module.__name__ == f"neuralstyle.{name}" for name, module in PACKAGES.items())


def test_a_name_that_left_the_top_is_no_longer_there() -> None:
    assert not hasattr(neuralstyle, "MMDLoss")


def test_a_star_import_gives_all_names_and_nothing_else() -> None:
    names: dict[str, Any] = {}
    exec("from neuralstyle import *", names)
    assert {name: value for name, value in names.items() if name != "__builtins__"} == ALL


def test_nothing_else_is_reexported() -> None:
    reexported = {
        name
        for name, value in vars(neuralstyle).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert reexported - set(neuralstyle.__all__) == set()


@pytest.mark.parametrize("name", CALLABLE)
def test_public_name_has_a_docstring_with_an_example(name: str) -> None:
    documentation = CALLABLE[name].__doc__ or "none"
    assert len(documentation.splitlines()[0]) > 10
    if name in IN_SNIPPETS:
        page, text = IN_SNIPPETS[name]
        assert text in (ROOT / page).read_text(encoding="utf-8")
    else:
        assert re.search(r"^ *Examples?:$", documentation, flags=re.M)
        assert "```python\n" in documentation or ">>> " in documentation


def _functions(name: str, value: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """A public function, or the constructor and the public methods of a public class."""
    if not inspect.isclass(value):
        yield name, value
        return
    is_protocol = getattr(value, "_is_protocol", False)  # whose constructor is Python's
    for method, function in vars(value).items():
        if (method == "__init__" and not is_protocol) or not method.startswith("_"):
            function = function.fget if isinstance(function, property) else function
            if inspect.isfunction(function):
                yield f"{name}.{method}", function


@pytest.mark.parametrize(
    "function",
    [pytest.param(f, id=path) for name, value in CALLABLE.items() for path, f in _functions(name, value)],
)
def test_signature_is_typed_and_documented(function: Callable[..., Any]) -> None:
    signature = inspect.signature(function)
    untyped = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.annotation is parameter.empty and parameter.name != "self"
    ]
    assert untyped == []
    assert signature.return_annotation is not signature.empty
    assert function.__doc__ or function.__name__ == "__init__"


@pytest.mark.parametrize("name", CALLABLE)
def test_arguments_are_described(name: str) -> None:
    documentation = CALLABLE[name].__doc__ or ""
    if inspect.isclass(CALLABLE[name]) or "Args:" not in documentation:
        return
    for parameter in inspect.signature(CALLABLE[name]).parameters:
        assert re.search(rf"^ *\*{{0,2}}{parameter}: ", documentation, flags=re.M), parameter


def _directives() -> dict[str, Any]:
    """What the reference pages show, by the path given there, members included."""
    found: dict[str, Any] = {}
    for page in sorted(API.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for path, options in re.findall(r"^::: (\S+)\n((?:    .*\n|\n)*)", text, flags=re.M):
            module, _, name = path.rpartition(".")
            found[path] = getattr(importlib.import_module(module), name)
            members = re.search(r"members: \[(.*)\]", options)
            for member in members[1].split(", ") if members else ():
                found[f"{path}.{member}"] = getattr(found[path], member)
    return found


@pytest.mark.parametrize("name", PUBLIC | MEASURES)
def test_public_name_is_in_the_reference(name: str) -> None:
    shown = [value for path, value in _directives().items() if path.endswith(f".{name}")]
    assert any(value is (PUBLIC | MEASURES)[name] for value in shown)


@pytest.mark.parametrize("name", PACKAGES)
def test_sub_package_is_in_the_reference(name: str) -> None:
    assert any(f"{path}.".startswith(f"neuralstyle.{name}.") for path in _directives())


@pytest.mark.parametrize("path", ALSO_DOCUMENTED)
def test_part_for_extensions_is_in_the_reference(path: str) -> None:
    assert _directives()[path] is ALSO_DOCUMENTED[path]


REQUIRED = inspect.Parameter.empty
CONTRACT: dict[str, tuple[Callable[..., Any], list[tuple[str, Any]], list[tuple[str, Any]]]] = {
    "stylize": (
        neuralstyle.stylize,
        [("content", REQUIRED), ("style", REQUIRED)],
        [
            ("losses", None),
            ("size", 512),
            ("iterations", None),
            ("optimizer", None),
            ("init", "content"),
            ("encoder", None),
            ("tile", None),
            ("seed", 0),
            ("device", None),
            ("callback", None),
            ("progress", True),
        ],
    ),
    "Style": (
        neuralstyle.Style,
        [("image", REQUIRED), ("weight", 1.0), ("scale", 1.0), ("mask", None), ("region", None)],
        [],
    ),
    "load_image": (neuralstyle.load_image, [("picture", REQUIRED), ("size", None)], []),
    "save_image": (neuralstyle.save_image, [("image", REQUIRED), ("path", REQUIRED), ("overwrite", False)], []),
    "FeatureExtractor": (neuralstyle.FeatureExtractor, [("network", "vgg19")], []),
    "Objective": (neuralstyle.Objective, [("encoder", REQUIRED), ("losses", REQUIRED)], [("content", None)]),
    "Objective.evaluate": (
        neuralstyle.Objective.evaluate,
        [("self", REQUIRED), ("image", REQUIRED), ("tile", None)],
        [],
    ),
}


@pytest.mark.parametrize("name", CONTRACT)
def test_signature_starts_as_promised(name: str) -> None:
    function, positional, keywords = CONTRACT[name]
    parameters = list(inspect.signature(function).parameters.values())
    free = [(p.name, p.default) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    named = [(p.name, p.default) for p in parameters if p.kind is p.KEYWORD_ONLY]
    assert free[: len(positional)] == positional
    assert named[: len(keywords)] == keywords
    more = free[len(positional) :] + named[len(keywords) :]
    assert all(default is not REQUIRED for _, default in more)  # whatever is added is optional


def test_stylize_returns_a_picture_and_takes_the_rest_by_name() -> None:
    signature = inspect.signature(neuralstyle.stylize)
    assert signature.return_annotation == "Image.Image"
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    assert set(kinds[2:]) == {inspect.Parameter.KEYWORD_ONLY}
