"""The public surface: what it holds, how it is called, and that all of it is documented."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import neuralstyle
from neuralstyle import callbacks, checkpoint, metrics, optimizers, samples
from neuralstyle.encoders import base as encoder_base

ROOT = Path(__file__).parents[2]
API = ROOT / "docs" / "api"
PUBLIC = {name: getattr(neuralstyle, name, None) for name in neuralstyle.__all__}
MEASURES = {name: getattr(metrics, name) for name in metrics.__all__}
CALLABLE = {name: value for name, value in (PUBLIC | MEASURES).items() if callable(value)}
ALSO_DOCUMENTED = {
    "neuralstyle.samples.photo": samples.photo,
    "neuralstyle.samples.painting": samples.painting,
    "neuralstyle.optimizers.minimize.minimize": optimizers.minimize,
    "neuralstyle.optimizers.base.Strategy": optimizers.Strategy,
    "neuralstyle.encoders.base.Encoder": encoder_base.Encoder,
    "neuralstyle.callbacks.read_losses": callbacks.read_losses,
    "neuralstyle.checkpoint.save_state": checkpoint.save_state,
    "neuralstyle.checkpoint.load_state": checkpoint.load_state,
}
# Records that the library hands out: their example is in a snippet of the documentation, which test_docs runs.
IN_SNIPPETS = {
    "Evaluation": ("README.md", "evaluation.loss, evaluation.terms, evaluation.gradient"),
    "Layer": ("docs/extending.md", 'Layer("patch", '),
    "Progress": ("docs/getting-started.md", "progress.iteration"),
}


def test_all_is_sorted_constants_then_classes_then_functions() -> None:
    def place(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2), name

    assert neuralstyle.__all__ == sorted(set(neuralstyle.__all__), key=place)


def test_all_names_exist_and_nothing_else_is_reexported() -> None:
    assert [name for name in neuralstyle.__all__ if not hasattr(neuralstyle, name)] == []
    reexported = {
        name
        for name, value in vars(neuralstyle).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert reexported - set(neuralstyle.__all__) == set()


def test_version_is_a_release_number() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", neuralstyle.__version__)


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
    for method, function in vars(value).items():
        if method == "__init__" or not method.startswith("_"):
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
