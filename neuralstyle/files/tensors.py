"""Tensors in safetensors files: the header is checked before a tensor is made.

The library safetensors reads and writes the format. It compares all that a header says with the length of the file. How
long the header may be is checked here, before the library reads it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from neuralstyle.files.schema import shown

MAX_HEADER_BYTES = 2 * 2**20
"""Length of a header that is read: reading JSON takes up to 20 times its bytes."""

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
NAMES = {dtype: name for name, dtype in _DTYPES.items()}
"""The dtypes that are read and written, and their names in a file."""

_LENGTH_BYTES = 8


@dataclass(frozen=True)
class Header:
    """The header of a file: texts by name, and the tensors by name, on the meta device."""

    metadata: Mapping[str, str]
    tensors: Mapping[str, Tensor]


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write contiguous tensors of dtypes in ``NAMES``, and texts, to an existing file, which keeps its permissions.

    Equal tensors and one equal text give equal bytes; of several texts the order differs.

    Raises:
        ValueError: the header is longer than is read.
        OSError: the file cannot be written.

    """
    storages: set[int] = set()
    apart: dict[str, Tensor] = {}
    for name, tensor in tensors.items():  # the library refuses tensors that share memory
        storage = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if storage in storages else tensor
        storages.add(storage)
    permissions = path.stat().st_mode
    try:
        save_file(apart, path, dict(metadata))
    except SafetensorError as error:
        needed = sum(tensor.nbytes for tensor in tensors.values())
        raise OSError(f"{needed:,} bytes of tensors: {error}") from error
    path.chmod(permissions)  # the library may have made a private file in its place
    length = _header_length(path)
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"the plain data takes {length:,} bytes, at most {MAX_HEADER_BYTES:,} can be read again")


def read_header(path: Path) -> Header:
    """Read the header of a safetensors file, and check it against the length of the file.

    Raises:
        ValueError: the file is none, or is damaged; the message does not name the file.
        OSError: the file cannot be read.

    """
    with _opened(path) as file:
        return Header(file.metadata() or {}, _meta(file))


def read_all(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file by name.

    Raises:
        ValueError: as ``read_header``.
        OSError: the file cannot be read.

    """
    with _opened(path) as file:
        # Copied: mapped tensors start at unaligned addresses, where sums are rounded differently.
        return {name: file.get_tensor(name).clone() for name in _meta(file)}


def digest(texts: Iterable[str], tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of some texts and of tensors: their names, dtypes, shapes and bytes, ordered by name."""
    found = hashlib.sha256(json.dumps([*texts]).encode())
    for name, tensor in sorted(tensors.items()):
        found.update(json.dumps([name, NAMES[tensor.dtype], list(tensor.shape)]).encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file in the library, if its header is not too long."""
    length = _header_length(path)
    if length > path.stat().st_size - _LENGTH_BYTES:
        raise ValueError("it is cut short, or is not a safetensors file")
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"its header says {length:,} bytes, and at most {MAX_HEADER_BYTES:,} are read")
    try:
        with safe_open(path, "pt") as file:
            yield file
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _header_length(path: Path) -> int:
    with path.open("rb") as file:
        return int.from_bytes(file.read(_LENGTH_BYTES), "little")


def _meta(file: Any) -> dict[str, Tensor]:
    """Return the tensors of a file by name, without memory."""
    found: dict[str, Tensor] = {}
    for name in file.keys():  # noqa: SIM118 - file is no dict
        entry = file.get_slice(name)
        dtype = _DTYPES.get(entry.get_dtype())
        if dtype is None:
            raise ValueError(f"{shown(name)} is of the dtype {shown(entry.get_dtype())}, which is not read")
        try:
            found[name] = torch.empty(entry.get_shape(), dtype=dtype, device="meta")
        except (RuntimeError, TypeError) as error:  # an empty tensor may have sides beyond what torch can count
            raise ValueError(f"{shown(name)} has longer sides than a tensor can have") from error
    return found
