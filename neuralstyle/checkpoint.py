"""State files of unfinished work: plain data in one safetensors file, without pickle, replaced atomically."""

from __future__ import annotations

import glob
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from neuralstyle._descriptions import describe as describe
from neuralstyle._descriptions import fingerprint as fingerprint

State: TypeAlias = Any
"""Nested dicts (with strings or whole numbers as keys), lists, tuples, tensors, strings, numbers, booleans and None."""

MAX_SETTING_LENGTH = 120
"""Characters of a setting that an error shows."""

_STRUCTURE, _KIND = "structure", "kind"


def save_state(path: str | os.PathLike[str], state: State, *, kind: str = "state") -> Path:
    """Write a state to a file, completely or not at all.

    Tensors are stored by safetensors and everything else as JSON in its header, so reading the file runs no code. The
    file is written under a temporary name beside ``path``, flushed to the disk, and renamed.

    Args:
        path: the file; it is replaced if it exists.
        state: nested dicts (with strings or whole numbers as keys), lists, tuples, tensors, strings, numbers, booleans
            and None. Floats keep every bit.
        kind: the kind of state, such as "training"; ``load_state`` refuses a file of another kind.

    Returns:
        The path of the file.

    Raises:
        TypeError: the state contains another type.
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
    header = {_KIND: kind, _STRUCTURE: json.dumps(_to_json(state, tensors))}
    # A folder, since safetensors first writes to a file whose name it chooses.
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}-", suffix=".tmp", dir=path.parent))
    try:
        temporary = folder / "state"
        temporary.touch()
        permissions = temporary.stat().st_mode  # of an ordinary file; safetensors makes a private one
        try:
            save_file(tensors, temporary, header)
        except KeyError as error:
            raise TypeError(f"a state cannot hold a tensor of {error}; convert it to another dtype") from error
        except SafetensorError as error:
            raise OSError(f"{path} cannot be written ({error}); the disk may be full") from error
        temporary.chmod(permissions)
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return path


def check_savable(state: State) -> None:
    """Check that ``save_state`` takes a state, and write nothing.

    Raises:
        TypeError: it holds something else than plain data and dense tensors.

    """
    _to_json(state, {})


def load_state(path: str | os.PathLike[str], *, kind: str = "state", device: torch.device | str = "cpu") -> State:
    """Read a state that ``save_state`` wrote.

    Args:
        path: the file.
        kind: the expected kind of state.
        device: device for tensors that were on an accelerator; all others stay on the CPU.

    Returns:
        The state.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, was not written by ``save_state``, or holds another kind of state.

    Example:
        ```python
        import tempfile
        from neuralstyle.checkpoint import load_state, save_state

        with tempfile.TemporaryDirectory() as folder:
            path = save_state(f"{folder}/run.safetensors", {"loss": 0.1}, kind="training")
            assert load_state(path, kind="training") == {"loss": 0.1}
        ```

    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; check the name and the folder")
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            # Copied: mapped tensors start at unaligned addresses, where sums are rounded differently.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - file is no dict
        received = header.get(_KIND)
        state = _from_json(json.loads(header[_STRUCTURE]), tensors, torch.device(device)) if received == kind else None
    except (SafetensorError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged or not a file of neuralstyle ({error}); give a complete one, or another name"
        ) from error
    if received != kind:
        raise ValueError(f"{path} holds {f'a {received}' if received else 'something else'}, not a {kind}")
    return state


def clear_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove the temporary folders of a killed ``save_state`` beside a file."""
    path = Path(path)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}-*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


def _to_json(state: State, tensors: dict[str, Tensor]) -> Any:
    """Convert a state to JSON and collect its tensors in ``tensors``, named by number."""
    if isinstance(state, Tensor):
        if state.layout is not torch.strided or state.is_quantized:
            raise TypeError(f"a state holds dense tensors, received one of layout {state.layout} and {state.dtype}")
        name = str(len(tensors))
        tensor = state.detach().cpu().contiguous()
        # safetensors refuses tensors that share memory.
        shared = any(tensor.untyped_storage().data_ptr() == t.untyped_storage().data_ptr() for t in tensors.values())
        tensors[name] = tensor.clone() if shared else tensor
        return {"tensor": [name, state.device.type == "cpu"]}
    if isinstance(state, dict):
        if not all(type(key) in (str, int) for key in state):
            raise TypeError(f"the keys of a state are strings or whole numbers, received {list(state)!r}")
        return {"dict": [[key, _to_json(value, tensors)] for key, value in state.items()]}
    if isinstance(state, (list, tuple)):
        return {"tuple" if isinstance(state, tuple) else "list": [_to_json(value, tensors) for value in state]}
    if state is None or isinstance(state, (bool, int, float, str)):
        return state
    raise TypeError(f"a state holds plain data and tensors, received {type(state).__name__}")


def _from_json(description: Any, tensors: dict[str, Tensor], device: torch.device) -> State:
    """Convert a state back from JSON and its tensors."""
    if not isinstance(description, dict):
        return description
    ((kind, content),) = description.items()
    if kind == "tensor":
        name, on_cpu = content
        return tensors[name] if on_cpu else tensors[name].to(device)
    if kind == "dict":
        return {key: _from_json(value, tensors, device) for key, value in content}
    values = [_from_json(value, tensors, device) for value in content]
    return {"list": list, "tuple": tuple}[kind](values)


def compare_settings(
    found: Mapping[str, str],
    settings: Mapping[str, str],
    where: str | os.PathLike[str],
    advice: str = "give the settings and pictures of that run, or another file",
) -> None:
    """Check that a stored state belongs to a run with these settings.

    Args:
        found: the stored settings.
        settings: settings of the run that continues.
        where: the file or folder of the state, for the message.
        advice: advice in the message.

    Raises:
        ValueError: a setting differs; the message names the first, with both values.

    """
    for name, value in settings.items():
        if found.get(name) != value:
            before, now = _around_difference(str(found.get(name)), value)
            raise ValueError(f"{where} belongs to a run with another {name} ({before}, now {now}); {advice}")


def _around_difference(before: str, now: str) -> tuple[str, str]:
    """Two texts, or if they are long the piece of each around the first difference."""
    if max(len(before), len(now)) <= MAX_SETTING_LENGTH:
        return before, now
    same = next((i for i, pair in enumerate(zip(before, now, strict=False)) if pair[0] != pair[1]), 0)
    piece = slice(max(0, same - MAX_SETTING_LENGTH // 2), same + MAX_SETTING_LENGTH // 2)
    return f"... {before[piece]} ...", f"... {now[piece]} ..."
