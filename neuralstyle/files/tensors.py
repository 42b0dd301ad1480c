"""Tensors in safetensors files: the header is checked against the file before a tensor is made.

The format is a length, a header in JSON, and the bytes of the tensors. It is read and written here, so that the same
tensors always give the same bytes, and what a header says is known before memory is taken for it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from neuralstyle.files.schema import WHOLE_FILE, Items, Record, Table, Text, Whole, shown

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

_MOST_NUMBERS = 2**53
_LENGTH_BYTES, _METADATA = 8, "__metadata__"
_ENTRY = Record({"dtype": Text(), "shape": Items(Whole(), 16), "data_offsets": Items(Whole(), 2)})


@dataclass(frozen=True)
class Entry:
    """A tensor in a file: its dtype and shape, and the position of its bytes."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int

    @property
    def bytes(self) -> int:
        """The number of its bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def meta(self) -> Tensor:
        """Return a tensor of this dtype and shape without memory."""
        return torch.empty(self.shape, dtype=self.dtype, device="meta")


@dataclass(frozen=True)
class Header:
    """The header of a file: texts by name, and the tensors by name."""

    metadata: Mapping[str, str]
    entries: Mapping[str, Entry]


def write_tensors(file: BinaryIO, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors of dtypes in ``NAMES`` and texts as a safetensors file; equal ones give equal bytes.

    Raises:
        ValueError: the header would be longer than is read.
        OSError: the file cannot be written.

    """
    header: dict[str, Any] = {_METADATA: dict(metadata)}
    # Wide numbers first, so that each tensor starts at a multiple of its numbers' size.
    order = sorted(tensors, key=lambda name: -tensors[name].dtype.itemsize)
    position = 0
    for name in order:
        tensor = tensors[name]
        end = position + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _LENGTH_BYTES)
    if len(text) > MAX_HEADER_BYTES:
        raise ValueError(f"the plain data takes {len(text):,} bytes, at most {MAX_HEADER_BYTES:,} can be read again")
    file.write(len(text).to_bytes(_LENGTH_BYTES, "little") + text)
    for name in order:
        file.write(_bytes(tensors[name]))


def read_header(path: Path) -> Header:
    """Read the header of a safetensors file, and check it against the length of the file.

    Raises:
        ValueError: the file is none, or is damaged; the message is one short line without the name of the file.
        OSError: the file cannot be read.

    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if size < _LENGTH_BYTES or length > size - _LENGTH_BYTES:
            raise ValueError("it is cut short, or is not a safetensors file")
        if length > MAX_HEADER_BYTES:
            raise ValueError(f"its header says {length:,} bytes, and at most {MAX_HEADER_BYTES:,} are read")
        text = file.read(length)
    try:
        header = json.loads(text.decode())
    except (ValueError, RecursionError):
        raise ValueError("its header is not JSON") from None
    if not isinstance(header, dict):
        raise ValueError("its header is not JSON of a dict")
    metadata = header.pop(_METADATA, {})
    Table(Text()).check(metadata, "the header's metadata")
    begin = _LENGTH_BYTES + length
    entries = {name: _entry(name, entry, begin) for name, entry in header.items()}
    position = begin
    for entry in sorted(entries.values(), key=lambda entry: (entry.start, entry.bytes)):
        if entry.start != position:
            raise ValueError("its tensors overlap or leave gaps")
        position += entry.bytes
    if position != size:
        raise ValueError(f"its header says {position:,} bytes, and the file has {size:,}")
    return Header(metadata, entries)


def read_entries(path: Path, entries: Mapping[str, Entry]) -> dict[str, Tensor]:
    """Read the tensors of a header, in its order.

    Raises:
        ValueError: the file is shorter than its header says.
        OSError: the file cannot be read.

    """
    found: dict[str, Tensor] = {}
    with path.open("rb") as file:
        for name, entry in entries.items():
            found[name] = torch.empty(entry.shape, dtype=entry.dtype, device="cpu")
            file.seek(entry.start)
            if entry.bytes and file.readinto(_bytes(found[name])) != entry.bytes:
                raise ValueError("it is cut short")
    return found


def digest(texts: Iterable[str], tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of some texts and of tensors: their names, dtypes, shapes and bytes, ordered by name."""
    found = hashlib.sha256(json.dumps([*texts]).encode())
    for name, tensor in sorted(tensors.items()):
        found.update(json.dumps([name, NAMES[tensor.dtype], list(tensor.shape)]).encode())
        found.update(_bytes(tensor))
    return found.hexdigest()


def _entry(name: str, value: Any, begin: int) -> Entry:
    _ENTRY.check(value, shown(name) if name else WHOLE_FILE)
    dtype, offsets = _DTYPES.get(value["dtype"]), value["data_offsets"]
    if dtype is None:
        raise ValueError(f"{shown(name)} is of the dtype {shown(value['dtype'])}, which is not read")
    entry = Entry(dtype, tuple(value["shape"]), begin + offsets[0] if len(offsets) == 2 else -1)
    # An empty tensor may have sides beyond what torch can count.
    is_countable = math.prod(side for side in entry.shape if side) < _MOST_NUMBERS
    if len(offsets) != 2 or entry.bytes != offsets[1] - offsets[0] or not is_countable:
        raise ValueError(f"{shown(name)} has other bytes than its shape needs")
    return entry


def _bytes(tensor: Tensor) -> memoryview:
    """The bytes of a contiguous tensor on the CPU, without a copy."""
    return tensor.reshape(-1).view(torch.uint8).numpy().data
