"""State of unfinished work in a file: plain data in one safetensors file, no pickle, replaced whole or not at all."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

State: TypeAlias = Any
"""Nested dicts (keys are strings or whole numbers), lists and tuples of tensors, strings, numbers, booleans, None."""

_STRUCTURE, _KIND = "structure", "kind"


def save_state(path: str | os.PathLike[str], state: State, *, kind: str = "state") -> Path:
    """Write a state to a file that holds the whole of it, or is left as it was.

    The tensors are stored by safetensors and everything else as JSON in its header, so the file can be read without
    running any code of its own. It is written beside its place, flushed to the disk, and renamed.

    Args:
        path: the file, replaced if it exists.
        state: nested dicts (keys are strings or whole numbers), lists, tuples, tensors, strings, numbers, booleans and
            None. Floats are kept to the last bit.
        kind: what the state is of; ``load_state`` asks for it again.

    Raises:
        TypeError: something else lies in the state.
        OSError: the file cannot be written.

    Example:
        ```python
        import tempfile
        import torch
        from neuralstyle.checkpoint import load_state, save_state

        with tempfile.TemporaryDirectory() as folder:
            save_state(f"{folder}/run.safetensors", {"step": 3, "picture": torch.zeros(1, 3, 16, 16)})
            assert load_state(f"{folder}/run.safetensors")["step"] == 3
        ```
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path = Path(path)
    tensors: dict[str, Tensor] = {}
    header = {_KIND: kind, _STRUCTURE: json.dumps(_describe(state, tensors))}
    # A folder, since safetensors itself writes to a file of another name first.
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}-", suffix=".tmp", dir=path.parent))
    try:
        temporary = folder / "state"
        temporary.touch()
        permissions = temporary.stat().st_mode  # of an ordinary file; safetensors makes one for its owner alone
        try:
            save_file(tensors, temporary, header)
        except KeyError as error:
            raise TypeError(f"a tensor of {error} has no place in a state; give one of another kind") from error
        except SafetensorError as error:
            raise OSError(f"{path} cannot be written ({error}); the disk may be full") from error
        temporary.chmod(permissions)
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return path


def load_state(path: str | os.PathLike[str], *, kind: str = "state", device: torch.device | str = "cpu") -> State:
    """Read a state that ``save_state`` wrote; tensors that lay on an accelerator go to ``device``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, foreign, or of another kind.

    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; check the name and the folder")
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            # Copied, as what is mapped from the file lies at odd addresses, where sums are rounded differently.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - it is no dict
        received = header.get(_KIND)
        state = _restore(json.loads(header[_STRUCTURE]), tensors, torch.device(device)) if received == kind else None
    except (SafetensorError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged or not a file of neuralstyle ({error}); give a whole one, or another name"
        ) from error
    if received != kind:
        raise ValueError(f"{path} holds {f'a {received}' if received else 'something else'}, not a {kind}")
    return state


def clear_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove what ``save_state`` has left beside a file when it was killed."""
    path = Path(path)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}-*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


def _describe(state: State, tensors: dict[str, Tensor]) -> Any:
    """The state as JSON, its tensors moved to ``tensors`` and named by number."""
    if isinstance(state, Tensor):
        if state.layout is not torch.strided or state.is_quantized:
            raise TypeError(f"a state is made of plain, dense tensors, received a {state.layout} of {state.dtype}")
        name = str(len(tensors))
        tensor = state.detach().cpu().contiguous()
        # safetensors refuses tensors that share memory.
        shared = any(tensor.untyped_storage().data_ptr() == t.untyped_storage().data_ptr() for t in tensors.values())
        tensors[name] = tensor.clone() if shared else tensor
        return {"tensor": [name, state.device.type == "cpu"]}
    if isinstance(state, dict):
        if not all(type(key) in (str, int) for key in state):
            raise TypeError(f"the keys of a state are strings or whole numbers, received {list(state)!r}")
        return {"dict": [[key, _describe(value, tensors)] for key, value in state.items()]}
    if isinstance(state, (list, tuple)):
        return {"tuple" if isinstance(state, tuple) else "list": [_describe(value, tensors) for value in state]}
    if state is None or isinstance(state, (bool, int, float, str)):
        return state
    raise TypeError(f"a state is made of plain data and tensors, received {type(state).__name__}")


def _restore(description: Any, tensors: dict[str, Tensor], device: torch.device) -> State:
    if not isinstance(description, dict):
        return description
    ((kind, content),) = description.items()
    if kind == "tensor":
        name, on_cpu = content
        return tensors[name] if on_cpu else tensors[name].to(device)
    if kind == "dict":
        return {key: _restore(value, tensors, device) for key, value in content}
    values = [_restore(value, tensors, device) for value in content]
    return {"list": list, "tuple": tuple}[kind](values)


def fingerprint(picture: Tensor | None) -> str:
    """A short name for a picture that another picture does not have."""
    if picture is None:
        return "none"
    pixels = picture.detach().cpu().float() if picture.dtype == torch.bfloat16 else picture.detach().cpu()
    digest = hashlib.sha256(pixels.contiguous().numpy().tobytes())
    return f"{picture.shape[-1]} x {picture.shape[-2]} pixels {digest.hexdigest()[:12]}"


def describe(thing: object) -> str:
    """What an optimiser or network is, the same in every process."""
    if isinstance(thing, torch.nn.Module):
        return f"{type(thing).__name__}({thing.extra_repr()})"
    if callable(thing) and hasattr(thing, "__qualname__"):
        return f"{thing.__module__}.{thing.__qualname__}"
    return repr(thing)


def compare_settings(
    found: Mapping[str, str],
    settings: Mapping[str, str],
    where: str | os.PathLike[str],
    advice: str = "give the settings and pictures of that run, or another file",
) -> None:
    """Check that a stored state belongs to a run with these settings.

    Args:
        found: the stored settings.
        settings: those of the run that wants to continue.
        where: the file or folder of the state, for the message.
        advice: what the message says to do.

    Raises:
        ValueError: a setting differs; the message names the first that does, and both values.

    """
    for name, value in settings.items():
        if found.get(name) != value:
            raise ValueError(f"{where} belongs to a run with another {name} ({found.get(name)}, now {value}); {advice}")
