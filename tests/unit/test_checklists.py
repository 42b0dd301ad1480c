"""The checklists of CONTRIBUTING.md, done: what is in a file of the package is in every place that a user looks at."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

from ladder import ROOT

from neuralstyle import losses, optimizers
from neuralstyle.losses import Loss, LossSum, StatisticLoss
from neuralstyle.recipes import STYLE_LOSSES


def kinds(package: ModuleType) -> Iterator[type]:
    """The public classes that the files of a package define, but for those to derive from."""
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if not module.ispkg and not module.name.endswith(".base"):
            for name, kind in vars(importlib.import_module(module.name)).items():
                if isinstance(kind, type) and kind.__module__ == module.name and not name.startswith("_"):
                    yield kind


def page(name: str) -> str:
    return (ROOT / "docs" / "api" / name).read_text(encoding="utf-8")


def documented(kind: type, reference: str) -> bool:
    return f"::: {kind.__module__}.{kind.__qualname__}\n" in page(reference)


def forgotten_places(kind: type[Loss]) -> list[str]:
    """The places of "Add a loss" in which a loss is missing."""
    name, is_style = kind.__name__, getattr(kind, "reference", None) == "style"
    sums = (value if isinstance(value, LossSum) else 1 * value for value in STYLE_LOSSES.values())
    by_name = any(type(term.loss) is kind for each in sums for term in each)
    places = {
        "neuralstyle/losses/__init__.py: __all__": name in losses.__all__,
        "docs/api/losses.md: directive": documented(kind, "losses.md"),
        "docs/api/losses.md: table": not is_style or f"\n| `{name}` |" in page("losses.md"),
        "neuralstyle/recipes/default.py: STYLE_LOSSES": by_name or not is_style,
    }
    return [f"{name}: {place}" for place, there in places.items() if not there]


def test_no_place_of_a_loss_is_forgotten() -> None:
    found = [kind for kind in kinds(losses) if issubclass(kind, Loss)]
    assert {"GramStyleLoss", "ContentLoss", "TotalVariationLoss"} <= {kind.__name__ for kind in found}
    assert [place for kind in found for place in forgotten_places(kind)] == []


def test_a_forgotten_loss_is_named_with_its_places() -> None:
    class ForgottenLoss(StatisticLoss):
        layers, reference = ("relu1_1",), "style"

    assert forgotten_places(ForgottenLoss) == [
        "ForgottenLoss: neuralstyle/losses/__init__.py: __all__",
        "ForgottenLoss: docs/api/losses.md: directive",
        "ForgottenLoss: docs/api/losses.md: table",
        "ForgottenLoss: neuralstyle/recipes/default.py: STYLE_LOSSES",
    ]


def test_no_place_of_an_optimiser_is_forgotten() -> None:
    found = [kind for kind in kinds(optimizers) if hasattr(kind, "walk")]
    assert {"LBFGS", "Adam"} <= {kind.__name__ for kind in found}
    assert [kind.__name__ for kind in found if kind.__name__ not in optimizers.__all__] == []
    assert [kind.__name__ for kind in found if not documented(kind, "optimizers.md")] == []
