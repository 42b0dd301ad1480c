"""The private folder of a session: pictures that were brought, regions, and the versions that are kept."""

from __future__ import annotations

import io
import itertools
import shutil
import tempfile
import threading
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from PIL import Image
from torch import Tensor

from neuralstyle import samples
from neuralstyle._errors import brief, unknown
from neuralstyle._words import PAINTINGS
from neuralstyle.images import load_image, pixel_limit, region_of_color, resize_image, save_image, to_pil
from neuralstyle.images.masks import load_mask
from neuralstyle.images.reading import load_spare
from neuralstyle.studio.scene import Source

MAX_MEGAPIXELS = 100
"""Most megapixels of a picture that is brought, unless another limit is given."""

MAX_BYTES = 2**30
"""Most bytes of all pictures that are brought in a session."""

PAGE_SIDE, THUMB_SIDE = 1600, 320
"""Longest sides in pixels of the pictures that the page shows."""

SAMPLE_SIZE, SAMPLE_THUMB_SIDE = 512, 192
_LONGEST_NAME = 80

T = TypeVar("T")


class Shelf:
    """Files of a session, in a folder that only this user can enter and that ``close`` removes.

    Args:
        megapixels: most megapixels of a picture that is read.

    """

    def __init__(self, megapixels: int = MAX_MEGAPIXELS) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="neuralstyle-studio-"))
        self.most_pixels = megapixels * 10**6
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._reading = threading.Semaphore(2)  # decoding takes memory: few at a time, however many ask
        self._sources: dict[int, Source] = {}
        self._pages: dict[tuple[int, int], bytes] = {}
        self._samples: dict[str, bytes] = {}
        self._bytes = 0

    def close(self) -> None:
        """Remove all files."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_path(self, suffix: str = "") -> Path:
        """Return a path in the folder for a new file."""
        return self.folder / f"{next(self._numbers)}{suffix}"

    def take(self, file: Path, name: str) -> Source:
        """Take a file that was brought, if it is a picture.

        Args:
            file: the file, in the folder; removed if it is refused.
            name: what its owner calls it.

        Raises:
            ValueError: it is no picture, broken, too small or too large; or the session holds too much already.

        """
        size = file.stat().st_size
        try:
            if self._bytes + size > MAX_BYTES:
                raise ValueError("the session holds 1 GiB of pictures already; start the studio anew")
            source = self._source(file, tidy(name), shown=tidy(name))
        except BaseException:
            file.unlink(missing_ok=True)
            raise
        self._bytes += size
        return source

    def typed(self, path: str) -> Source:
        """Take a picture of the disk that the program was started with; its path stays as it was typed."""
        return self._source(Path(path), path, shown=path)

    def sample(self, name: str) -> Source:
        """Take the sample photograph, by the name "photo", or a sample painting."""
        if name != "photo" and name not in PAINTINGS:
            raise unknown("sample", name, ("photo", *PAINTINGS))
        with self._lock:
            file = self.folder / f"sample-{name}.png"
            known = next((source for source in self._sources.values() if source.path == file), None)
            if known is not None:
                return known
            save_image(samples.photo() if name == "photo" else samples.painting(name, SAMPLE_SIZE), file)
        return self._source(file, file.name, shown=file.name)

    def region(self, file: Path) -> Source:
        """Take a region that was painted or brought, as a grey picture of its own size.

        Raises:
            ValueError: it is no picture, or a picture in colour.

        """
        try:
            weights = self._read(lambda: load_mask(file, "region"), file, "the region")
        finally:
            file.unlink(missing_ok=True)
        assert weights is not None
        return self._grey(weights)

    def region_of(self, source: Source, color: str) -> Source:
        """Return the part of a map that has one colour, as a region."""
        return self._grey(self._read(lambda: region_of_color(source.path, color), source.path, source.name))

    def find(self, key: int) -> Source:
        """Return a picture by its number.

        Raises:
            KeyError: there is none.

        """
        if key not in self._sources:
            raise KeyError(f"there is no picture {key}")
        return self._sources[key]

    def find_region(self, key: object) -> Source:
        """Return a region by its number.

        Raises:
            KeyError: there is none.

        """
        source = self._sources.get(key) if isinstance(key, int) else None
        if source is None or not source.is_region:
            raise KeyError(f"there is no region {brief(key)}")
        return source

    def sample_thumb(self, name: str) -> bytes:
        """Return a sample painting as a small JPEG."""
        if name not in PAINTINGS:
            raise unknown("sample", name, PAINTINGS)
        with self._lock:
            if name not in self._samples:
                self._samples[name] = jpeg(samples.painting(name, SAMPLE_THUMB_SIDE))
            return self._samples[name]

    def page(self, key: int, side: int = PAGE_SIDE) -> bytes:
        """Return a picture as a JPEG whose longest side has at most so many pixels."""
        source = self.find(key)
        if (key, side) not in self._pages:
            if len(self._pages) > 64:
                self._pages.clear()
            self._pages[key, side] = jpeg(self.load(source, side))
        return self._pages[key, side]

    def load(self, source: Source, side: int) -> Image.Image:
        """Return a picture whose longest side has at most so many pixels."""
        size = min(side, max(source.width, source.height))
        return to_pil(self._read(lambda: load_image(source.path, size), source.path, source.name))

    def _grey(self, weights: Tensor) -> Source:
        path = self.new_path(".png")
        save_image(weights.expand(1, 3, -1, -1), path)
        with Image.open(path) as picture:
            grey = picture.convert("L")
        grey.save(path)
        return self._add(
            replace(_BLANK, name=path.name, path=path, width=grey.width, height=grey.height, is_region=True)
        )

    def _source(self, path: Path, name: str, shown: str) -> Source:
        # No more pixels are decoded than a look needs, and a picture that cannot be read is refused here.
        _, (height, width) = self._read(lambda: load_spare(path, lambda *_: THUMB_SIDE), path, shown)
        return self._add(replace(_BLANK, name=name, path=path, width=width, height=height))

    def _add(self, source: Source) -> Source:
        with self._lock:
            source = replace(source, key=next(self._numbers))
            self._sources[source.key] = source
        return source

    def _read(self, read: Callable[[], T], path: Path, shown: str) -> T:
        """Read a picture; an error has the name that its owner knows, and no path of the disk."""
        with self._reading, pixel_limit(self.most_pixels):
            try:
                return read()
            except (ValueError, OSError) as error:
                raise ValueError(str(error).replace(str(path), shown)) from error


_BLANK = Source("", Path(), 0, 0, 0)


def jpeg(picture: Image.Image, quality: int = 90) -> bytes:
    """Return a picture as the bytes of a JPEG."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def thumb(picture: Tensor) -> bytes:
    """Return a painted picture as a small JPEG."""
    longest = max(picture.shape[-2:])
    small = resize_image(picture, THUMB_SIDE) if longest > THUMB_SIDE else picture
    return jpeg(to_pil(small), 85)


def tidy(name: str) -> str:
    """Return the name of a file that somebody brought as one that no shell and no folder takes for anything else."""
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    kept = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in last).strip("-. ")
    return kept[-_LONGEST_NAME:].lstrip("-.") or "picture"
