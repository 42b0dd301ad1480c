"""The wording that errors share, so that every unknown name is answered in the same way."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown(kind: str, received: object, known: Iterable[str]) -> ValueError:
    """The error for a name that is not in a list: what was received, the nearest known one, and all of them."""
    names = list(known)
    near = difflib.get_close_matches(str(received), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return ValueError(f"unknown {kind} {received!r}: {hint}known are {', '.join(names)}")
