"""The settings of a loss as text that differs for different settings."""

from __future__ import annotations

import hashlib
from types import MemberDescriptorType
from typing import Any

import numpy as np
import torch
from torch import Tensor

_MISSING = object()


def own_attributes(thing: object, kind: type) -> dict[str, Any]:
    """Return the attributes of an object, by name, that differ from those of its base class ``kind``.

    Class attributes come first, base classes before derived ones, then those of the object. Methods and properties
    are left out.
    """
    found: dict[str, Any] = {}
    for base in reversed(type(thing).__mro__):
        if not issubclass(kind, base):
            names = [name for name, value in vars(base).items() if _is_setting(thing, name, value)]
            found |= {name: getattr(thing, name) for name in names}
    found |= vars(thing)
    return {name: value for name, value in found.items() if not _same(value, getattr(kind, name, _MISSING))}


def shown(value: Any) -> str:
    """Return ``repr``, but with a digest of the values of tensors and arrays, which ``repr`` rounds and shortens."""
    if isinstance(value, Tensor | np.ndarray):
        tensor = torch.as_tensor(value).detach().cpu().contiguous()
        digest = hashlib.sha256(tensor.flatten().view(torch.uint8).numpy().tobytes()).hexdigest()[:12]
        return f"{type(value).__name__}({tuple(tensor.shape)}, {tensor.dtype}, {digest})"
    if type(value) is list:
        return f"[{', '.join(map(shown, value))}]"
    if type(value) is tuple:
        return f"({', '.join(map(shown, value))}{',' if len(value) == 1 else ''})"
    if type(value) is dict:
        return "{" + ", ".join(f"{key!r}: {shown(item)}" for key, item in value.items()) + "}"
    return repr(value)


def _is_setting(thing: object, name: str, value: object) -> bool:
    if isinstance(value, MemberDescriptorType):  # of __slots__
        return hasattr(thing, name)
    return not (name.startswith("__") or name == "_abc_impl" or callable(value) or hasattr(value, "__get__"))


def _same(value: object, default: object) -> bool:
    return value is default or (type(value) is type(default) and isinstance(value, int | str) and value == default)
