"""State dicts in files of ``torch.save``: only tensors are read, within the size of the file, and no code is run."""

from __future__ import annotations

import pickletools
import warnings
import zipfile
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neuralstyle.files.schema import clip, shown

MAX_PICKLE_BYTES = 2 * 2**20
"""Length of the part of a file that describes its tensors: unpickling takes a second per megabyte at worst."""

_WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training programs store the state dict beside other things."""

_PICKLES_BEFORE_1_6 = 4
"""Pickles at the start of a file of torch before 1.6: a number, the version, the system, and what was saved."""

_PREFIX = "module."  # that DataParallel puts before each name
_ADVICE = "save the weights alone, with torch.save(network.state_dict(), path)"


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a state dict, also one inside the dict of a training program, or of a network in ``DataParallel``.

    Raises:
        ValueError: the file is damaged, says more than it holds, or has other things than tensors by name.
        OSError: the file cannot be read.

    """
    if _is_archive(path):
        _check_archive(path)
    else:
        _check_pickles(path)
    try:
        with warnings.catch_warnings():  # about the format of damaged files
            warnings.simplefilter("ignore")
            stored: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of nearly any class, depending on the wrong bytes
        reason = clip(str(error), 100) or type(error).__name__
        raise ValueError(
            f"{path} is damaged, or holds more than tensors, which could run code and is not read ({reason}); {_ADVICE}"
        ) from error
    if isinstance(stored, dict):
        stored = next((stored[key] for key in _WRAPPERS if isinstance(stored.get(key), dict)), stored)
    if not isinstance(stored, dict) or not stored:
        raise ValueError(f"{path} holds {shown(stored)} and not tensors by name; {_ADVICE}")
    for name, value in stored.items():
        if type(name) is not str:
            raise ValueError(f"{path} has {shown(name)} as a key, and keys are names of tensors; {_ADVICE}")
        if not isinstance(value, Tensor):
            raise ValueError(f"{path} holds more than tensors: {shown(name)} is {shown(value)}; {_ADVICE}")
        if value.layout is not torch.strided or value.is_quantized or value.device.type != "cpu":
            raise ValueError(f"{path}: {shown(name)} is {shown(value)}, not a dense tensor; {_ADVICE}")
    # A tensor may be a view that repeats the same numbers without end.
    if sum(value.numel() * value.element_size() for value in stored.values()) > 2 * path.stat().st_size:
        raise ValueError(f"{path} says that its tensors are larger than the file; {_ADVICE}")
    if all(name.startswith(_PREFIX) for name in stored):
        stored = {name.removeprefix(_PREFIX): value for name, value in stored.items()}
    return {name: value.detach() for name, value in stored.items()}


def _is_archive(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # of one that says it has several parts
        return True


def _check_archive(path: Path) -> None:
    """Check what an archive says about its members, before any is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise ValueError(f"{path} is damaged ({clip(str(error), 100)}); give a complete one") from error
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise ValueError(f"{path} says that it holds more than its own size; {_ADVICE}")
    if any(member.file_size > MAX_PICKLE_BYTES for member in members if member.filename.endswith(".pkl")):
        raise _too_long(path)


def _check_pickles(path: Path) -> None:
    """Check how long the pickles in a file of an old version of torch are; nothing is unpickled."""
    with path.open("rb") as file:
        operations = chain.from_iterable(pickletools.genops(file) for _ in range(_PICKLES_BEFORE_1_6))
        try:
            is_short = all(file.tell() <= MAX_PICKLE_BYTES for _ in operations)
        except Exception as error:  # of several classes, depending on the wrong bytes
            raise ValueError(f"{path} is damaged, or not of torch ({clip(str(error), 100)}); {_ADVICE}") from error
    if not is_short:
        raise _too_long(path)


def _too_long(path: Path) -> ValueError:
    return ValueError(f"{path} describes its tensors in more than {MAX_PICKLE_BYTES:,} bytes; {_ADVICE}")
