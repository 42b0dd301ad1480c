"""Schemas: what a file from outside has to hold, as data, checked before anything is built from it.

A schema is made of the classes below, such as ``Record({"step": Whole(0), "network": Table(Floats())})``. It checks
plain data and tensors, also those on the meta device, so a file can be checked before its tensors are read.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

LONGEST_REASON = 180  # characters of what is wrong with a file, whatever it holds


class Schema(Protocol):
    """What one value has to be."""

    def check(self, value: Any, at: str) -> None:
        """Check a value.

        Args:
            value: the value.
            at: its place in the file, for the message.

        Raises:
            ValueError: it is something else; the message is one short line.

        """


@dataclass(frozen=True)
class Anything:
    """Any value."""

    def check(self, value: Any, at: str) -> None:
        """Accept a value."""


@dataclass(frozen=True)
class Whole:
    """A whole number within limits."""

    least: int = 0
    most: int = 2**53

    def check(self, value: Any, at: str) -> None:
        """Check a value, see ``Schema``."""
        if type(value) is not int or not self.least <= value <= self.most:
            raise ValueError(f"{at} is {shown(value)}, not a whole number from {self.least} to {self.most}")


@dataclass(frozen=True)
class Number:
    """A finite number of at least ``least``; with ``infinite`` also infinity, but never NaN."""

    least: float = -math.inf
    infinite: bool = False

    def check(self, value: Any, at: str) -> None:
        """Check a value, see ``Schema``."""
        most = math.inf if self.infinite else sys.float_info.max
        if type(value) not in (int, float) or not max(self.least, -most) <= value <= most:
            kind = "number" if self.infinite else "finite number"
            limit = "" if self.least == -math.inf else f" of at least {self.least:g}"
            raise ValueError(f"{at} is {shown(value)}, not a {kind}{limit}")


@dataclass(frozen=True)
class Text:
    """A string."""

    def check(self, value: Any, at: str) -> None:
        """Check a value, see ``Schema``."""
        if type(value) is not str:
            raise ValueError(f"{at} is {shown(value)}, not a text")


@dataclass(frozen=True)
class Floats:
    """A dense tensor of floating numbers; in ``shape`` None is any side, and a ``shape`` of None any shape."""

    shape: Sequence[int | None] | None = None

    def check(self, value: Any, at: str) -> None:
        """Check a value, see ``Schema``."""
        import torch

        if not isinstance(value, torch.Tensor) or value.layout is not torch.strided or value.is_quantized:
            raise ValueError(f"{at} is {shown(value)}, not a tensor")
        if not value.is_floating_point():
            raise ValueError(f"{at} is {shown(value)}, not one of floating numbers")
        if self.shape is not None and not _fits(value.shape, self.shape):
            raise ValueError(f"{at} is {shown(value)}, expected the shape {_sides(self.shape)}")


@dataclass(frozen=True)
class Items:
    """A list of values of one kind."""

    item: Schema
    most: int = 2**20

    def check(self, value: Any, at: str) -> None:
        """Check a value, see ``Schema``."""
        if not isinstance(value, list) or len(value) > self.most:
            raise ValueError(f"{at} is {shown(value)}, not a list of at most {self.most} items")
        for number, item in enumerate(value):
            self.item.check(item, f"{at}[{number}]")


@dataclass(frozen=True)
class Table:
    """A dict from texts to values of one kind."""

    item: Schema

    def check(self, value: Any, at: str) -> None:
        """Check a value, see ``Schema``."""
        for name, item in _dict(value, at).items():
            self.item.check(item, f"{at}[{shown(name)}]")


@dataclass(frozen=True)
class Record:
    """A dict with certain keys, each with a value of its own kind.

    Args:
        required: the keys that have to be there.
        others: what the values of all other keys are; None: there are no others.
        together: keys that are all there or all missing.

    """

    required: Mapping[str, Schema]
    others: Schema | None = None
    together: Mapping[str, Schema] = field(default_factory=dict)

    def check(self, value: Any, at: str) -> None:
        """Check a value, see ``Schema``."""
        found = _dict(value, at)
        required = {**self.required, **(self.together if self.together.keys() & found.keys() else {})}
        for name in required:
            if name not in found:
                raise ValueError(f"{at} has no {name!r}")
        for name, item in found.items():
            schema = required.get(name, self.others)
            if schema is None:
                raise ValueError(f"{at} has {shown(name)}, which does not belong there")
            schema.check(item, name if at == WHOLE_FILE and name in required else f"{at}[{shown(name)}]")


WHOLE_FILE = "it"
"""What a message calls everything in a file: ``check(value, WHOLE_FILE)``."""


def check_shapes(found: Mapping[str, Any], expected: Mapping[str, Sequence[int]]) -> None:
    """Check that tensors by name are floating numbers of certain shapes, and all there.

    Raises:
        ValueError: a tensor is missing, left over, or of another shape or kind; the message names the first.

    """
    for name, shape in expected.items():
        if name not in found:
            raise ValueError(f"the tensor {name} is missing")
        Floats(shape).check(found[name], name)
    for name in found:
        if name not in expected:
            raise ValueError(f"there is a tensor {shown(name)} too many")


def check_finite(weights: Mapping[str, Any]) -> None:
    """Check that weights by name hold neither NaN nor infinite numbers.

    Raises:
        ValueError: one does; the message names the first.

    """
    for name, tensor in weights.items():
        if not (tensor.is_floating_point() or tensor.is_complex()):
            continue
        wide = tensor.float() if tensor.element_size() == 1 else tensor  # torch has no sum of 8-bit numbers
        # The sum of finite numbers may overflow, and a second look is only needed then.
        if not wide.sum().isfinite() and not wide.isfinite().all():
            raise ValueError(f"{shown(name)} holds NaN or infinite weights")


def shown(value: Any, most: int = 40) -> str:
    """Return a value from a file as a few words in one line, however large it is."""
    if value is None or isinstance(value, (bool, float)):
        return repr(value)
    if isinstance(value, int):
        return repr(value) if value.bit_length() <= 64 else f"a whole number of {value.bit_length()} bits"
    if isinstance(value, str):
        return repr(value) if len(value) <= most else f"{value[:most]!r}..."
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return clip(f"a tensor of shape {_sides(value.shape)} and {value.dtype}", 100)
    return f"a {type(value).__name__}"


def clip(text: str, most: int = LONGEST_REASON) -> str:
    """Return a text in one line, with its middle left out if it is longer than ``most`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most // 2]} ... {line[len(line) - most // 2 + 5 :]}"


def _sides(shape: Iterable[int | None]) -> str:
    sides = [*shape]
    text = [("any" if side is None else str(side)) for side in sides[:6]]
    return f"({', '.join(text)}{', ...' if len(sides) > len(text) else ',' if len(sides) == 1 else ''})"


def _fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(
        side is None or side == own for own, side in zip(shape, wanted, strict=True)
    )


def _dict(value: Any, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{at} is {shown(value)}, not values by name")
    for name in value:
        if type(name) is not str:
            raise ValueError(f"{at} has {shown(name)} as a key, which is not a text")
    return value
