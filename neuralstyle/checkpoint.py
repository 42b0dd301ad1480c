"""State files of unfinished work: plain data in one safetensors file with a checksum, without pickle, never in part."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from neuralstyle import distributed
from neuralstyle._descriptions import describe as describe
from neuralstyle._descriptions import fingerprint as fingerprint
from neuralstyle._errors import brief
from neuralstyle._version import full_version
from neuralstyle.files import holding, writing
from neuralstyle.files.schema import WHOLE_FILE, Anything, Record, Schema, Text, clip
from neuralstyle.files.tensors import NAMES, digest, read_all, read_header, write_tensors

State: TypeAlias = Any
"""Nested dicts (with strings or whole numbers as keys), lists, tuples, tensors, strings, numbers, booleans and None."""

MAX_SETTING_LENGTH = 64
"""Characters of a setting that an error shows."""

_KEY = "neuralstyle"
"""The one text in the header: JSON, since the order of several differs from file to file."""

_KIND, _STRUCTURE, _VERSION, _CHECKSUM = "kind", "structure", "version", "sha256"
_RECORD = Record({_KIND: Text(), _STRUCTURE: Anything(), _CHECKSUM: Text()}, together={_VERSION: Text()})
_EARLIER = Record({_KIND: Text(), _STRUCTURE: Text()})
"""The texts in the header of an earlier version's file."""


def save_state(path: str | os.PathLike[str], state: State, *, kind: str = "state") -> Path:
    """Write a state to a file, completely or not at all.

    Tensors are stored as safetensors and everything else as JSON in its header, so reading the file runs no code. The
    header has the SHA-256 of both, and the version of neuralstyle. Equal states give equal bytes, if each dict has the
    same order and the version is the same.

    Args:
        path: the file; it is replaced if it exists.
        state: nested dicts (with strings or whole numbers as keys), lists, tuples, tensors, strings, numbers, booleans
            and None. Floats keep every bit.
        kind: the kind of state, such as "training"; ``load_state`` refuses a file of another kind.

    Returns:
        The path of the file.

    Raises:
        TypeError: the state contains another type.
        ValueError: the state holds more plain data than ``load_state`` reads.
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
    path = Path(path)
    if not isinstance(kind, str):
        raise TypeError(f"the kind of a state is a word, received {brief(kind)}")
    tensors: dict[str, Tensor] = {}
    structure = _to_json(state, tensors)
    with writing(path) as temporary:
        write_tensors(temporary, tensors, {_KEY: _sealed(kind, structure, tensors, full_version())})
    return path


def check_savable(state: State) -> None:
    """Check that ``save_state`` takes a state, and write nothing.

    Raises:
        TypeError: it holds something else than plain data and dense tensors.

    """
    _to_json(state, {})


def load_state(
    path: str | os.PathLike[str],
    *,
    kind: str = "state",
    device: torch.device | str = "cpu",
    schema: Schema | None = None,
    checksum: bool = True,
) -> State:
    """Read a state that ``save_state`` wrote.

    What the file says is compared with its length and with ``schema`` before its tensors are read.

    Args:
        path: the file.
        kind: the expected kind of state.
        device: device for tensors that were on an accelerator; all others stay on the CPU.
        schema: what the state has to hold, from ``neuralstyle.files.schema``; None: anything.
        checksum: whether the file needs a checksum. One that is there is always compared.

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
    path = Path(path)
    structure, sealed, _ = _open(path, kind, schema)
    if sealed is None and checksum:
        raise ValueError(f"{path} has no checksum, so an earlier version wrote it; remove it and start again")
    try:
        tensors = read_all(path)
        if sealed is not None and sealed != _sealed(kind, structure, tensors, json.loads(sealed).get(_VERSION)):
            raise ValueError("its checksum is that of other contents")
    except ValueError as error:
        raise _damaged(path, error) from error
    return _from_json(structure, tensors, torch.device(device))


def peek_state(path: str | os.PathLike[str], *, kind: str = "state", schema: Schema | None = None) -> State:
    """Read the plain data of a state; its tensors are on the meta device, and its checksum is not compared.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: as ``load_state``.

    """
    return _open(Path(path), kind, schema)[2]


def _open(path: Path, kind: str, schema: Schema | None) -> tuple[Any, str | None, State]:
    """Check the header of a state file.

    Returns:
        The description of the state, the text in the header (None in a file of an earlier version), and the state with
        tensors on the meta device.

    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; check the name and the folder")
    try:
        header = read_header(path)
        sealed = header.metadata.get(_KEY)
        record = dict(header.metadata) if sealed is None else json.loads(sealed)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, error) from error
    received = record.get(_KIND) if isinstance(record, dict) else None
    if received != kind:
        what = f"a {clip(received, 60)}" if received and isinstance(received, str) else "something else"
        raise ValueError(f"{path} holds {what}, not a {kind}")
    try:
        (_EARLIER if sealed is None else _RECORD).check(record, "its header")
        structure = json.loads(record[_STRUCTURE]) if sealed is None else record[_STRUCTURE]
        tensors = dict(header.tensors)
        found = _from_json(structure, tensors, torch.device("meta"))
        if tensors:
            raise ValueError("it holds a tensor that has no place in it")
        (schema or Anything()).check(found, WHOLE_FILE)
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise _damaged(path, error) from error
    return structure, sealed, found


def _sealed(kind: str, structure: Any, tensors: Mapping[str, Tensor], writer: str | None) -> str:
    """Return the text for the header: kind, description and version of a state, and the SHA-256 of all and the tensors.

    The same four give the same text, so a comparison shows whatever is damaged in one of them. Early versions did not
    write theirs.
    """
    record = {_KIND: kind, _STRUCTURE: structure} | ({} if writer is None else {_VERSION: writer})
    checksum = digest((json.dumps(record),), tensors)
    return json.dumps({**record, _CHECKSUM: checksum}, separators=(",", ":"))


def _damaged(path: Path, reason: object) -> ValueError:
    return ValueError(
        f"{path} is damaged or not a file of neuralstyle ({clip(str(reason))}); give a complete one, or another name"
    )


def _to_json(state: State, tensors: dict[str, Tensor]) -> Any:
    """Convert a state to JSON and collect its tensors in ``tensors``, named by number."""
    if isinstance(state, Tensor):
        if state.layout is not torch.strided or state.is_quantized or state.is_meta:
            raise TypeError(
                f"a state holds dense tensors with values, received one of layout {state.layout} and {state.dtype} on "
                f"{state.device}"
            )
        if state.dtype not in NAMES:
            raise TypeError(f"a state cannot hold a tensor of {state.dtype}; convert it to another dtype")
        name = str(len(tensors))
        tensor = state.detach().cpu().contiguous()
        tensors[name] = tensor.resolve_conj().resolve_neg()
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
    """Convert a state back from JSON and its tensors, which are taken out of ``tensors``."""
    if isinstance(description, list):
        raise ValueError("a list without its kind")
    if not isinstance(description, dict):
        return description
    ((kind, content),) = description.items()
    if kind == "tensor":
        name, on_cpu = content
        tensor = tensors.pop(name)
        return tensor if on_cpu else tensor.to(device)
    if kind == "dict":
        if not all(type(key) in (str, int) for key, _ in content):
            raise ValueError("a key that is neither a text nor a whole number")
        return {key: _from_json(value, tensors, device) for key, value in content}
    values = [_from_json(value, tensors, device) for value in content]
    return {"list": list, "tuple": tuple}[kind](values)


def held(path: str | os.PathLike[str] | None) -> AbstractContextManager[None]:
    """Hold the file or folder of a state against other runs while one uses it; the process that writes it holds it.

    Args:
        path: the file or folder; None holds nothing.

    Raises:
        BlockingIOError: another run uses it.

    """
    return nullcontext() if path is None or not distributed.is_writer() else holding(path)


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
    """Two texts, or if they are long the piece of each around the first difference; each in one line."""
    if max(len(before), len(now)) > MAX_SETTING_LENGTH:
        same = next((i for i, pair in enumerate(zip(before, now, strict=False)) if pair[0] != pair[1]), 0)
        piece = slice(max(0, same - MAX_SETTING_LENGTH // 2), same + MAX_SETTING_LENGTH // 2)
        before, now = f"... {before[piece]} ...", f"... {now[piece]} ..."
    return " ".join(before.split()), " ".join(now.split())
