"""Which photographs and paintings go together."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

PAIRS = Path(__file__).with_name("pairs.txt")
SIXTEEN = Path(__file__).with_name("sixteen.txt")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class Pair:
    """A photograph and a painting, and words on what kind of pictures they are."""

    content: Path
    style: Path
    kinds: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.content.stem} x {self.style.stem}"


def read_pairs(file: Path, contents: Path, styles: Path) -> list[tuple[Path, Path]]:
    """The pairs that a file lists, as files in the two folders."""
    return [(pair.content, pair.style) for pair in list_pairs(file, contents, styles)]


def list_pairs(file: Path, contents: Path, styles: Path) -> list[Pair]:
    """The pairs that a file lists, with their kinds: whatever words follow the two names."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) < 2:
            sys.exit(f"{file}: a line has the names of a content and of a style, received {line!r}")
        found.append(Pair(find(contents, words[0]), find(styles, words[1]), tuple(words[2:])))
    if not found:
        sys.exit(f"{file} lists no pairs")
    return found


def find(folder: Path, name: str) -> Path:
    for suffix in SUFFIXES:
        if (folder / f"{name}{suffix}").is_file():
            return folder / f"{name}{suffix}"
    sys.exit(f"there is no picture called {name} in {folder}; known endings are {', '.join(SUFFIXES)}")
