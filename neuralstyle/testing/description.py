"""Checks of a loss as a description: its repr, and its copies."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import re
import sys

from neuralstyle.losses import Loss
from neuralstyle.testing.tools import one_line


class _Another:
    """A value that differs from that of every attribute."""

    def __repr__(self) -> str:
        return "<another value>"


def check_description(loss: Loss) -> None:
    """Check the repr and the copies of a loss.

    Raises:
        ValueError: ``repr`` hides an attribute or shows an address in memory, or a copy differs.
    """
    name, text = type(loss).__name__, repr(loss)
    for attribute in _settings(loss):
        other = copy.copy(loss)
        object.__setattr__(other, attribute, _Another())
        try:
            hidden = repr(other) == text
        except Exception:  # a repr that fails for this value uses it
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
    """The attributes that distinguish two losses of a class."""
    if dataclasses.is_dataclass(loss):
        return [field.name for field in dataclasses.fields(loss) if field.init]
    return list(vars(loss))


def _check_copies(loss: Loss, text: str) -> None:
    name, kind = type(loss).__name__, type(loss)
    found: object = sys.modules.get(kind.__module__)
    for part in kind.__qualname__.split("."):
        found = getattr(found, part, None)
    # pickle finds classes by name, so losses of classes inside functions or snippets are only copied.
    how = "pickled" if found is kind else "copied"
    try:
        copied = pickle.loads(pickle.dumps(loss)) if found is kind else copy.deepcopy(loss)
    except Exception as error:
        raise ValueError(
            f"{name} cannot be {how}, and so not sent to another process: {one_line(error)}; do not store functions or "
            "open files in its attributes"
        ) from error
    if repr(copied) != text:
        raise ValueError(f"{name} differs when it is {how}: {text} becomes {copied!r}")
