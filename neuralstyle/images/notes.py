"""Notes: a short text that travels in the file of a picture, such as the settings that made it.

PNG: a text chunk "neuralstyle". JPEG, WebP and AVIF: the EXIF field UserComment. TIFF: the tag ImageDescription.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

from neuralstyle._errors import brief
from neuralstyle.images.opening import decoding, open_picture, short_name

KEYWORD = "neuralstyle"
MAX_NOTE = 60_000
"""Most characters of a note: the EXIF block of a JPEG has room for 65,535 bytes."""

IMAGE_DESCRIPTION = 270
_EXIF, _USER_COMMENT, _ASCII = 0x8769, 0x9286, b"ASCII\0\0\0"


def check_note(note: object) -> None:
    """Check a text that is to travel in a picture.

    Raises:
        TypeError: it is no text.
        ValueError: it has other letters than those of ASCII, or too many.

    """
    if note is None:
        return
    if not isinstance(note, str):
        raise TypeError(f"a note is a text, received {brief(note)}")
    if not note.isascii() or "\0" in note or len(note) > MAX_NOTE:
        raise ValueError(f"a note has up to {MAX_NOTE} letters, all of them ASCII, received {brief(note, 60)}")


def png_chunks(note: str) -> PngImagePlugin.PngInfo:
    """The chunks of a PNG with a note."""
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text(KEYWORD, note)
    return chunks


def add_to_exif(exif: Image.Exif, note: str) -> None:
    """Add a note to an EXIF block, for JPEG, WebP and AVIF."""
    details: Any = exif.get_ifd(_EXIF)
    details[_USER_COMMENT] = _ASCII + note.encode("ascii")


def read_note(path: Path) -> str | None:
    """Return the note of a picture's file, or None if there is none.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no picture that can be opened.

    """
    with open_picture(path) as opened, decoding(short_name(path)):
        image: Any = opened.image
        if image.format == "PNG":
            found = image.info.get(KEYWORD)
        elif image.format == "TIFF":
            found = image.tag_v2.get(IMAGE_DESCRIPTION)
        else:
            details: Any = Image.Image.getexif(image).get_ifd(_EXIF)
            written = details.get(_USER_COMMENT)
            is_ours = isinstance(written, bytes) and written.startswith(_ASCII)
            found = written[len(_ASCII) :].decode("ascii", "replace") if is_ours else None
    return found if isinstance(found, str) and found else None
