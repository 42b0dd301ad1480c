"""The one gate through which files of pictures come in: which are opened, how large they may be, and their errors."""

from __future__ import annotations

import io
import os
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from PIL import Image, UnidentifiedImageError

from neuralstyle._errors import whole_number
from neuralstyle.images.formats import HEAD_BYTES, HEIF, Kind, recognize, refusal

MAX_PIXELS = 200_000_000
"""Most pixels of a picture that is read without asking."""

MAX_PIPE_BYTES = 2**28
"""Most bytes that are read from a pipe, which is kept in memory."""

_limit: ContextVar[int] = ContextVar("pixel_limit", default=MAX_PIXELS)
_open_lock = threading.Lock()  # warnings.catch_warnings and Pillow's limit are not thread-safe
_DESCRIPTORS = re.compile(r"/dev/fd|/proc/\d+/fd")
_MOST_REASON = 120  # characters of a decoder's error
_MANY_FRAMES = ("GIF", "PNG", "WEBP", "TIFF", "AVIF")  # the second frame of an MPO is a preview or a gain map
_SUBFILE, _SUB_DIRECTORIES, _DNG = 254, 330, 50706  # TIFF tags


@contextmanager
def pixel_limit(pixels: int) -> Iterator[None]:
    """Within a ``with`` block, let the files of pictures have up to so many pixels, instead of 200 million.

    The limit protects from small files that declare a huge picture, which takes 4 to 12 bytes of memory for each pixel.
    It holds for the thread, or the asyncio task, of the block, and changes nothing of Pillow's settings.

    Args:
        pixels: the most pixels of a picture, at least 1.

    Raises:
        ValueError: ``pixels`` is not a whole number of at least 1.

    Example:
        ```python
        from neuralstyle import pixel_limit, samples, stylize

        with pixel_limit(600_000_000):
            image = stylize(samples.photo(), samples.painting("swirl"), size=64, iterations=2)
        ```

    """
    before = _limit.set(whole_number("pixel_limit", pixels, 1))
    try:
        yield
    finally:
        _limit.reset(before)


def most_pixels() -> int:
    """Return the limit in force here."""
    return _limit.get()


@dataclass(frozen=True)
class Opened:
    """A picture that is open and not decoded.

    Attributes:
        image: the picture, by Pillow.
        file: its bytes.
        source: where another decoder reads them: the path, or all the bytes of a pipe.

    """

    image: Image.Image
    file: IO[bytes]
    source: Path | bytes


@contextmanager
def open_picture(path: Path, *, several: bool = False) -> Iterator[Opened]:
    """Open the file of a picture, whatever its name is, if its first bytes are those of a format that is read.

    Args:
        path: the file.
        several: whether all of its frames are wanted; else there is a warning where it has several.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: the path is a folder.
        ValueError: the file is empty, a device or a named pipe, in no known format, broken or too large.

    """
    name = short_name(path)
    with _open_bytes(path, name) as file:
        kind = recognize(file.read(HEAD_BYTES))
        file.seek(0)
        if kind is None or not kind.is_readable:
            raise ValueError(f"{name} {refusal(kind)}")
        with decoding(name):
            image = _open(file, kind)
            is_animated = image.format in _MANY_FRAMES and getattr(image, "is_animated", False)
            is_raw = _is_raw(image)
        if is_raw:
            raise ValueError(
                f"{name} is a camera's RAW file and would give its small preview; develop it to TIFF or JPEG"
            )
        if image.width * image.height > most_pixels():
            raise _too_large(name, image.width * image.height)
        if is_animated and not several:
            warnings.warn(f"{name} has several frames or pages; the first is read", stacklevel=4)
        yield Opened(image, file, file.getvalue() if isinstance(file, io.BytesIO) else path)


def look_at(path: Path) -> Kind | None:
    """Return what a regular file is, from its first bytes alone.

    Raises:
        OSError: the file cannot be read.

    """
    with path.open("rb") as file:
        return recognize(file.read(HEAD_BYTES))


def load_pixels(image: Image.Image, name: str) -> None:
    """Decode a picture that is open, if it has not been decoded yet.

    Raises:
        ValueError: it is broken.

    """
    with decoding(name):
        if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > Image.MAX_IMAGE_PIXELS:
            with _pillows_limit(None):
                image.load()
        else:
            image.load()


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Convert any error of a decoder into a ``ValueError`` of one short line that names the picture."""
    try:
        yield
    except Image.DecompressionBombError as error:
        found = re.search(r"\d+", str(error))
        raise _too_large(name, int(found[0]) if found else 0) from error
    except UnidentifiedImageError as error:
        variety = "broken, or of a variety that is not read, such as floating colours"
        raise ValueError(f"{name} begins as a picture and is {variety}; save it anew, as PNG or JPEG") from error
    except MemoryError as error:
        raise ValueError(f"{name} is too large to be decoded in the memory that is left; reduce it first") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, AssertionError and others
        words = " ".join(str(error).split())
        words = words if len(words) <= _MOST_REASON else f"{words[: _MOST_REASON - 3]}..."
        reason = f"{type(error).__name__}: {words}" if words else type(error).__name__
        raise ValueError(f"{name} is broken, decoding it failed ({reason}); get a whole copy") from error


def short_name(path: Path, most: int = 100) -> str:
    """Return a path as text for errors: all of it, or the end of one of more than ``most`` characters."""
    text = str(path)
    return text if len(text) <= most else f"...{text[3 - most :]}"


def _open_bytes(path: Path, name: str) -> IO[bytes]:
    """Open a file for reading, or read a pipe that the shell has made for this process: ``<(command)``.

    Opening a named pipe would wait for somebody who writes into it, perhaps for ever.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}; check the name and the folder") from None
    except (NotADirectoryError, ValueError) as error:  # ValueError: a null byte in the name
        raise FileNotFoundError(f"there is no file {path!s:.200} ({error}); check the name and the folder") from error
    except OSError as error:
        raise OSError(f"{name} cannot be opened ({error.strerror}); check the name and the folder") from error
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{path} is a folder; give the name of a picture in it")
    if stat.S_ISFIFO(mode) and _is_inherited(path):
        with path.open("rb") as pipe:
            data = pipe.read(MAX_PIPE_BYTES + 1)
        if len(data) > MAX_PIPE_BYTES:
            raise ValueError(f"{name} is a pipe with more than {MAX_PIPE_BYTES >> 20} MiB; save it to a file first")
        if not data:
            raise ValueError(f"{name} is a pipe with nothing in it, or nothing more; save the picture to a file first")
        return io.BytesIO(data)
    if not stat.S_ISREG(mode):
        what = "a named pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
        raise ValueError(f"{name} is {what}, not a file; give a picture")
    file = path.open("rb")
    if not file.peek(1):
        file.close()
        raise ValueError(f"{name} is an empty file; give a picture")
    return file


def _is_inherited(path: Path) -> bool:
    """Tell whether a path is one of the process's own open files, such as /dev/fd/63 or /dev/stdin."""
    for _ in range(8):  # links, of which a circle has been refused before
        if _DESCRIPTORS.fullmatch(os.path.realpath(path.parent)):
            return True
        if not path.is_symlink():
            return False
        path = path.parent / path.readlink()
    return False


def _open(file: IO[bytes], kind: Kind) -> Image.Image:
    """Open a picture by the reader of its own format, so that no other is ever tried."""
    if kind.plugin == HEIF:
        import pillow_heif

        reader: Any = pillow_heif.HeifImageFile  # not registered, which would change Pillow for the whole process
        heic: Image.Image = reader(file)
        return heic
    with _pillows_limit(most_pixels()), warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(file, formats=[kind.plugin])


@contextmanager
def _pillows_limit(pixels: int | None) -> Iterator[None]:
    """Replace Pillow's own limit, which only a global setting can change, by another or none; it comes back after."""
    with _open_lock:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None if pixels is None else -(-pixels // 2)  # Pillow refuses from twice this
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _is_raw(image: Image.Image) -> bool:
    """Tell whether a TIFF is a camera's: its first picture is a preview of one below it."""
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    return _DNG in tags or (tags.get(_SUBFILE) == 1 and _SUB_DIRECTORIES in tags)


def _too_large(name: str, pixels: int) -> ValueError:
    return ValueError(
        f"{name} is too large: {pixels / 1e6:.4g} megapixels, and the limit is {most_pixels() / 1e6:.4g}; raise it "
        "with --max-megapixels, in Python with neuralstyle.pixel_limit, if you trust the file"
    )
