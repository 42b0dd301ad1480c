"""A loss as a description: what it shows of itself, and whether a copy is the same loss."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import re
import sys

from neuralstyle.losses import Loss
from neuralstyle.testing.tools import one_line


class _Another:
    """A value that no attribute has."""

    def __repr__(self) -> str:
        return "<another value>"


def check_description(loss: Loss) -> None:
    """Check how a loss reads.

    Raises:
        ValueError: an attribute that ``repr`` hides, one that reads as an address in memory, or a copy that differs.
    """
    name, text = type(loss).__name__, repr(loss)
    for attribute in _settings(loss):
        other = copy.copy(loss)
        object.__setattr__(other, attribute, _Another())
        try:
            hidden = repr(other) == text
        except Exception:  # a repr that fails for such a value looks at it
            hidden = False
        if hidden:
            raise ValueError(
                f"{name} does not show its attribute {attribute!r} in repr, {text}, so that two settings read alike "
                "and a state file cannot tell them apart; leave __repr__ to Loss or to dataclass"
            )
    if re.search(r" at 0x[0-9a-f]+", text):
        raise ValueError(
            f"{name} reads {text}, with an address that changes from run to run, so that a state file cannot tell "
            "settings apart; give that attribute a repr, or make it a method"
        )
    _check_copies(loss, text)


def _settings(loss: Loss) -> list[str]:
    """The attributes that make the difference between two losses of a class."""
    if dataclasses.is_dataclass(loss):
        return [field.name for field in dataclasses.fields(loss) if field.init]
    return list(vars(loss))


def _check_copies(loss: Loss, text: str) -> None:
    name, kind = type(loss).__name__, type(loss)
    found: object = sys.modules.get(kind.__module__)
    for part in kind.__qualname__.split("."):
        found = getattr(found, part, None)
    # pickle finds classes by their name, so those of a function or of a snippet are copied only.
    how = "pickled" if found is kind else "copied"
    try:
        copied = pickle.loads(pickle.dumps(loss)) if found is kind else copy.deepcopy(loss)
    except Exception as error:
        raise ValueError(
            f"{name} cannot be {how}, and so not handed to another process: {one_line(error)}; keep functions, files "
            "and the like out of its attributes"
        ) from error
    if repr(copied) != text:
        raise ValueError(f"{name} differs when it is {how}: {text} becomes {copied!r}")
