"""Shared checks and error messages: unknown names, whole numbers, finite numbers."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Container, Iterable
from numbers import Integral, Real

MOST_LISTED = 340
"""Most characters of the list of known names in a message."""


def unknown(kind: str, received: object, known: Iterable[str]) -> ValueError:
    """Return the error for a name that is not in a list, with the closest match and all known names."""
    names = list(known)
    near = difflib.get_close_matches(brief(received).strip("'"), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return ValueError(
        f"unknown {kind} {brief(received, 60 if isinstance(received, str) else 12)}: {hint}known are {_listed(names)}"
    )


def _listed(names: list[str]) -> str:
    text = ", ".join(names)
    if len(text) <= MOST_LISTED:
        return text
    whole = text[:MOST_LISTED].rpartition(", ")[0]
    return f"{whole} and {len(names) - whole.count(', ') - 1} more"


def brief(value: object, most: int = 100) -> str:
    """Return the ``repr`` of a value in one line of at most ``most`` characters."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a whole number of thousands of digits, or somebody else's class
        return f"a value of {type(value).__name__}"
    return text if len(text) <= most else f"{text[: most - 3]}... ({type(value).__name__})"


def is_word(value: object, words: Container[str]) -> bool:
    """Tell whether a value is one of some words; an array, whose comparison has no single answer, is none."""
    return isinstance(value, str) and value in words


def is_whole(value: object) -> bool:
    """Tell whether a value is a whole number: Python's or NumPy's, and not a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_ours(thing: object) -> bool:
    """Tell whether an object is of a class of this package, which need not be checked while it works."""
    return type(thing).__module__.partition(".")[0] == __name__.partition(".")[0]


def takes(function: Callable[..., object], *arguments: object) -> bool:
    """Tell whether a function can be called with so many arguments; yes, where its signature cannot be read."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True


def whole_number(name: str, value: object, least: int, most: int | None = None, *, hint: str = "") -> int:
    """Check a whole number and return it as an ``int``.

    Args:
        name: name of the value in the error, such as "batch_size".
        value: the value received.
        least: smallest allowed value.
        most: largest allowed value; None: no limit.
        hint: text after the limits, such as " pixels" or ", or None".

    Raises:
        ValueError: ``value`` is not a whole number (a bool is none), or is outside the limits.

    """
    if is_whole(value):
        whole = int(value)  # type: ignore[call-overload]
        if whole >= least and (most is None or whole <= most):
            return int(whole)
    limits = f"of at least {least}" if most is None else f"from {least} to {most}"
    raise ValueError(f"{name} is a whole number {limits}{hint}, received {brief(value)}")


def number(
    name: str,
    value: object,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    hint: str = "",
) -> float:
    """Check a finite number and return it as a ``float``.

    Args:
        name: name of the value in the error, such as "strength".
        value: the value received.
        least: smallest allowed value, or None.
        above: limit that the value has to exceed, or None.
        most: largest allowed value, or None.
        hint: text after the limits, such as " seconds".

    Raises:
        ValueError: ``value`` is not a finite real number (a bool is none), or is outside the limits.

    """
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            received = float(value)
        except OverflowError:  # an int beyond 1e308
            received = math.inf
        low = -math.inf if least is None else least
        high = math.inf if most is None else most
        if math.isfinite(received) and low <= received <= high and (above is None or received > above):
            return received
    if least is not None and most is not None:
        limits = f" from {least:g} to {most:g}"
    else:
        words = [f" of at least {least:g}"] if least is not None else []
        words += [f" above {above:g}"] if above is not None else []
        words += [f" of at most {most:g}"] if most is not None else []
        limits = " and".join(words)
    raise ValueError(f"{name} is a finite number{limits}{hint}, received {brief(value)}")
