"""Pictures and results in a few files of a bounded size, to bring them from the machine that painted them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

QUALITY = 95
PART_MIB = 15


def pack(results: Path, pictures: Path, target: Path, part_mib: float = PART_MIB) -> list[Path]:
    """Write results and pictures, these as JPEG of quality 95, into TARGET-1.tar, TARGET-2.tar and so on.

    No part is larger than ``part_mib`` MiB, unless a single file is. Unpacked in one folder they are a file of results
    with its pictures beside it. The parts of an earlier call are replaced.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for old in target.parent.glob(f"{target.stem}-*{target.suffix}"):
        old.unlink()
    parts: list[Path] = []
    part, size = None, 0
    limit = part_mib * 2**20 - 2 * tarfile.RECORDSIZE
    for name, data in _files(results, pictures):
        blocks = tarfile.BLOCKSIZE * (2 + len(data) // tarfile.BLOCKSIZE)
        if part is None or size + blocks > limit:
            if part is not None:
                part.close()
            parts.append(target.with_name(f"{target.stem}-{len(parts) + 1}{target.suffix}"))
            part, size = tarfile.open(parts[-1], "w"), 0  # noqa: SIM115 - closed where the next begins
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        part.addfile(entry, io.BytesIO(data))
        size += blocks
    if part is not None:
        part.close()
    return parts


def _files(results: Path, pictures: Path) -> Iterator[tuple[str, bytes]]:
    if results.exists():
        yield results.name, results.read_bytes()
    for file in sorted(pictures.rglob("*.png")):
        data = io.BytesIO()
        with Image.open(file) as picture:
            picture.convert("RGB").save(data, "JPEG", quality=QUALITY, subsampling=0)
        yield f"{pictures.name}/{file.relative_to(pictures).with_suffix('.jpg').as_posix()}", data.getvalue()
