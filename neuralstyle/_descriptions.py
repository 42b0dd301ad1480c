"""Descriptions: an object as text that is the same in every process, and different for different options.

A run continues only if the descriptions of its settings equal those stored with its state.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import inspect
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor

_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
_DIGITS = 12  # of a digest: 48 bits
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))


def fingerprint(picture: Tensor | None) -> str:
    """Return a picture's size and a digest of its values; two are equal only for equal pictures of one dtype."""
    if picture is None:
        return "none"
    return f"{picture.shape[-1]} x {picture.shape[-2]} pixels {_digest(_bytes_of(picture))}"


def describe(thing: object) -> str:
    """Describe an object by its class and options, in the same way in every process.

    - Numbers, strings, ``None``, and lists, tuples, sets and dicts of these and the following: as Python writes them.
    - Tensors and arrays: shape, dtype and a digest of the values.
    - An ``nn.Module``: its class, its ``extra_repr`` and a digest of its structure, parameters and buffers. For a
      submodule without an ``extra_repr``, its public attributes, or their classes if they cannot be described, and its
      private ones that are numbers or strings.
    - Classes, and functions that can be imported: their names. Other functions (lambdas, local functions, those of the
      main program): name and a digest of their code, defaults, closure and the plain global values that they use.
    - A dataclass: its class and fields, except those with ``repr=False``, and its other attributes.
    - An object whose class defines ``__repr__``: its result, if it shows no address, and its public attributes that can
      be described. An inherited ``__repr__`` does not count, since it cannot know the attributes of a derived class.
    - Any other object: its class, the public attributes of its class that hold data, and its own attributes, also those
      in ``__slots__``. Results of ``functools.cached_property`` do not count.

    The code of classes is not compared.

    Args:
        thing: the object.

    Returns:
        The description, in one line unless a ``__repr__`` has several.

    Raises:
        ValueError: the object, or one inside it, shows nothing but its address, which differs in every process. The
            message names its class and says what to do.

    """
    return _text(thing, type(thing).__name__, ())


def _text(thing: Any, path: str, seen: tuple[int, ...]) -> str:
    """Describe an object at ``path`` inside the objects ``seen``."""
    if id(thing) in seen:
        return "..."
    inside = (*seen, id(thing))
    kind = type(thing)
    if isinstance(thing, Enum):
        return f"{kind.__qualname__}.{thing.name}"
    if isinstance(thing, np.generic):
        thing, kind = thing.item(), type(thing.item())
    if isinstance(thing, _PLAIN):
        return repr(thing) + ("" if kind in _PLAIN else _more(thing, path, inside))
    if isinstance(thing, (Tensor, np.ndarray)):
        return f"{kind.__name__}({tuple(thing.shape)}, {thing.dtype}, {_digest(_bytes_of(thing))})"
    if isinstance(thing, torch.nn.Module):
        return _module(thing, path, inside)
    if isinstance(thing, os.PathLike):
        return repr(os.fspath(thing))
    if isinstance(thing, (list, tuple, set, frozenset, Mapping)):
        return _container(thing, path, inside) + _more(thing, path, inside)
    if callable(thing) and not _is_object(thing):
        return _callable(thing, path, inside)
    if "__dataclass_fields__" in vars(kind):
        fields = dataclasses.fields(thing)
        others = {n: v for n, v in _attributes(thing) if n not in {f.name for f in fields}}
        shown = {f.name: getattr(thing, f.name) for f in fields if f.repr and hasattr(thing, f.name)}
        return _call(kind, {**shown, **others}, path, inside)
    written = repr(thing)
    if "__repr__" in vars(kind) and not _ADDRESS.search(written):
        return written + _more(thing, path, inside)
    if hasattr(thing, "__dict__") or any("__slots__" in vars(base) for base in kind.__mro__):
        return _call(kind, dict(_attributes(thing)), path, inside)
    raise ValueError(
        f"{path} cannot be described: repr() shows {_ADDRESS.sub(' at an address', written)}, and addresses differ in "
        f"every process; give {kind.__name__} a __repr__ that shows its options, or make it a dataclass"
    )


def _container(thing: Any, path: str, seen: tuple[int, ...]) -> str:
    if isinstance(thing, Mapping):
        return "{" + ", ".join(f"{_text(k, path, seen)}: {_text(v, path, seen)}" for k, v in thing.items()) + "}"
    if hasattr(thing, "_fields"):  # a named tuple
        return _call(type(thing), thing._asdict(), path, seen)
    items = [_text(item, path, seen) for item in thing]
    if isinstance(thing, list):
        return f"[{', '.join(items)}]"
    if isinstance(thing, tuple):
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    return f"{{{', '.join(sorted(items))}}}" if items else "set()"


def _call(kind: type, options: Mapping[str, Any], path: str, seen: tuple[int, ...]) -> str:
    """Write an object as the call that makes it: ``ClassName(option=value, ...)``."""
    written = (f"{name}={_text(value, f'{path}.{name}', seen)}" for name, value in options.items())
    return f"{kind.__qualname__.rpartition('.<locals>.')[2]}({', '.join(written)})"


def _more(thing: object, path: str, seen: tuple[int, ...]) -> str:
    """Describe the public attributes of an object that is written otherwise; "" if it has none.

    What cannot be described is left out: the object's own text speaks for it.
    """
    found: list[str] = []
    for name, value in _attributes(thing):
        if not name.startswith("_") and name not in getattr(type(thing), "_fields", ()):
            with contextlib.suppress(ValueError):
                found.append(f"{name}={_text(value, f'{path}.{name}', seen)}")
    return f" with {', '.join(found)}" if found else ""


def _attributes(thing: object) -> Iterator[tuple[str, Any]]:
    """Iterate over the data that an object's class and the object itself hold, by name."""
    for base in reversed(type(thing).__mro__):
        slots = vars(base).get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            is_private = slot.startswith("__") and not slot.endswith("__")
            name = f"_{base.__name__.lstrip('_')}{slot}" if is_private else slot  # as Python calls it
            if hasattr(thing, name) and name not in ("__dict__", "__weakref__"):
                yield name, getattr(thing, name)
        if base.__module__.partition(".")[0] not in ("neuralstyle", "abc", "builtins", "typing", "torch"):
            for name, value in vars(base).items():
                # One with __get__ is a method, a property or a slot; a private one may be Python's own.
                is_data = not (callable(value) or hasattr(value, "__get__"))
                if is_data and (not name.startswith("_") or _is_private_option(name, value)):
                    yield name, getattr(thing, name)
    for name, value in getattr(thing, "__dict__", {}).items():
        if not isinstance(inspect.getattr_static(type(thing), name, None), functools.cached_property):
            yield name, value


def _is_private_option(name: str, value: object) -> bool:
    """Tell whether a private attribute of a class may be an option of its objects, and is not Python's own."""
    is_pythons = name.startswith("__") or name in ("_is_protocol", "_is_runtime_protocol", "_fields", "_field_defaults")
    return not is_pythons and isinstance(value, (*_PLAIN, list, tuple, dict))


def _is_object(thing: Any) -> bool:
    """Tell whether a callable is an object with options, and not a function, method or class."""
    if isinstance(thing, functools.partial):
        return False
    # An object may have got the names of a function that it wraps.
    return not hasattr(thing, "__qualname__") or "__qualname__" in getattr(thing, "__dict__", {})


def _callable(thing: Any, path: str, seen: tuple[int, ...]) -> str:
    if isinstance(thing, functools.partial):
        options = {"func": thing.func, "args": thing.args, "keywords": thing.keywords}
        return _call(functools.partial, options, path, seen)
    if isinstance(thing, MethodType):
        return f"{_text(thing.__self__, path, seen)}.{thing.__name__}"
    name = f"{thing.__module__}.{thing.__qualname__}"
    if not isinstance(thing, FunctionType) or _can_be_imported(thing):
        return name
    return f"{name} (code {_digest([_code(thing, path, seen).encode()])})"


def _can_be_imported(function: FunctionType) -> bool:
    found: Any = sys.modules.get(function.__module__)
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is function and function.__module__ != "__main__"


def _code(function: FunctionType, path: str, seen: tuple[int, ...]) -> str:
    """Describe all that a function's results depend on: code, defaults, closure and plain globals."""
    cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    instructions, names = _instructions(function.__code__)
    used = {name: function.__globals__[name] for name in sorted(names) if name in function.__globals__}
    used = {name: value for name, value in used.items() if isinstance(value, (*_PLAIN, FunctionType))}
    parts = [function.__defaults__, function.__kwdefaults__, cells, used]
    return instructions + "".join(_text(part, path, seen) for part in parts)


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - reading it is the test
    except ValueError:
        return False
    return True


def _instructions(code: CodeType) -> tuple[str, set[str]]:
    """Return a function's instructions and constants as text, without line numbers, and the names that it uses."""
    names = set(code.co_names)
    text = [code.co_code.hex(), repr((code.co_names, code.co_varnames, code.co_freevars))]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner, used = _instructions(constant)
            names |= used
            text.append(inner)
        else:
            text.append(_text(constant, "constant", ()))
    return "\n".join(text), names


def _module(module: torch.nn.Module, path: str, seen: tuple[int, ...]) -> str:
    digest = _digest(_module_parts(module, path, seen))
    options = module.extra_repr()
    return f"{type(module).__name__}({options}{', ' if options else ''}digest={digest})"


def _module_parts(module: torch.nn.Module, path: str, seen: tuple[int, ...]) -> Iterator[bytes | memoryview]:
    """Iterate over a network's structure and numbers."""
    bookkeeping = vars(torch.nn.Module())
    for name, part in module.named_modules():
        options = part.extra_repr()
        if type(part).extra_repr is torch.nn.Module.extra_repr:
            own = {k: v for k, v in vars(part).items() if k not in bookkeeping}
            shown = {k: v for k, v in own.items() if not k.startswith("_") or isinstance(v, _PLAIN)}
            options = ", ".join(f"{k}={_text_or_class(v, f'{path}.{k}', seen)}" for k, v in shown.items())
        yield f"{name}: {type(part).__module__}.{type(part).__qualname__}({options})\n".encode()
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        yield f"{name}: {tuple(tensor.shape)} {tensor.dtype}\n".encode()
        yield from _bytes_of(tensor)


def _text_or_class(thing: object, path: str, seen: tuple[int, ...]) -> str:
    # Networks of other libraries hold locks, hooks and other objects that cannot be described.
    try:
        return _text(thing, path, seen)
    except ValueError:
        return type(thing).__qualname__


def _bytes_of(values: Tensor | np.ndarray[Any, Any]) -> Iterator[bytes | memoryview]:
    """Iterate over the bytes of the values of a tensor or array, without a copy if it is contiguous."""
    if isinstance(values, np.ndarray):
        if values.dtype.hasobject:
            yield repr(values.tolist()).encode()
            return
        yield np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
        return
    if values.is_meta or values.layout is not torch.strided or values.is_quantized:
        raise ValueError(f"a tensor of layout {values.layout} on {values.device} cannot be described; make it dense")
    plain = values.detach().cpu().resolve_conj().resolve_neg().contiguous()
    yield plain.reshape(-1).view(torch.uint8).numpy().data


def _digest(parts: Iterable[bytes | memoryview]) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()[:_DIGITS]
