"""The formats of pictures: which are read and which are written, and what any other file is, by its first bytes."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from functools import cache

HEAD_BYTES = 512
"""First bytes of a file from which ``recognize`` tells what it is."""


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: what messages call it, after "is", such as "a JPEG picture".
        plugin: Pillow's name of the format; "" for what is not read as a picture.
        suffixes: its usual suffixes; "" without.
        pattern: what a file of this kind begins with; compared from the first byte on.
        written: whether results are saved in it.

    """

    name: str
    plugin: str
    suffixes: tuple[str, ...]
    pattern: re.Pattern[bytes]
    written: bool = False

    @property
    def is_readable(self) -> bool:
        """Whether files of this kind are opened here: it is a picture, and what it needs is installed."""
        return bool(self.plugin) and is_installed(self.plugin)


HEIF = "HEIF"
"""The plugin of HEIC pictures, which comes with the package pillow-heif."""

_OPTIONAL = {"WEBP": "webp", "AVIF": "avif", "JPEG2000": "jpg_2000"}  # what Pillow may have been built without


def is_installed(plugin: str) -> bool:
    """Tell whether the installed packages can decode, and encode, a format of ``KINDS``."""
    if plugin == HEIF:
        return importlib.util.find_spec("pillow_heif") is not None
    return plugin not in _OPTIONAL or _OPTIONAL[plugin] in _built_in()


@cache
def _built_in() -> list[str]:
    from PIL import features

    found: list[str] = features.get_supported()
    return found


def missing(plugin: str) -> str:
    """Return what to install for a format that ``is_installed`` denies, and how."""
    return f"{_needed(plugin)}; run 'pip install {'neuralstyle-torch[heic]' if plugin == HEIF else '-U pillow'}'"


def _needed(plugin: str) -> str:
    return "pillow-heif" if plugin == HEIF else f"a Pillow with {plugin}"


def _picture(name: str, plugin: str, suffixes: str, pattern: bytes, written: bool = False) -> Kind:
    article = "an" if name[0] in "AI" else "a"
    return Kind(f"{article} {name} picture", plugin, tuple(suffixes.split()), re.compile(pattern, re.DOTALL), written)


def _other(name: str, pattern: bytes) -> Kind:
    return Kind(name, "", (), re.compile(pattern, re.DOTALL | re.IGNORECASE))


_RAW = "a camera's RAW file"

KINDS = (
    _picture("PNG", "PNG", ".png .apng", rb"\x89PNG\r\n\x1a\n", written=True),
    _picture("JPEG", "JPEG", ".jpg .jpeg .jpe .jfif .mpo", rb"\xff\xd8\xff", written=True),
    _picture("WebP", "WEBP", ".webp", rb"RIFF.{4}WEBP", written=True),
    _other(_RAW, rb"II\*\x00.{4}CR|IIU\x00|II(RO|RS)|MMOR|FUJIFILMCCD-RAW|FOVb|\x00MRM|.{4}ftypcrx "),
    _picture("TIFF", "TIFF", ".tif .tiff", rb"II\*\x00|MM\x00\*|II\+\x00|MM\x00\+", written=True),
    _picture("AVIF", "AVIF", ".avif", rb".{4}ftyp(avi[fs]|(mif1|msf1|miaf).{4,40}?avi[fs])", written=True),
    _picture("HEIC", HEIF, ".heic .heif", rb".{4}ftyp(hei[cxms]|hev[cxms]|mif1|msf1)"),
    _picture("GIF", "GIF", ".gif", rb"GIF8[79]a"),
    _picture("BMP", "BMP", ".bmp .dib", rb"BM.{12}[\x0c-\x7c]\x00\x00\x00"),
    _picture("JPEG 2000", "JPEG2000", ".jp2 .j2k .jpx .j2c", rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),
    _picture("QOI", "QOI", ".qoi", rb"qoif"),
    _picture("PNM", "PPM", ".ppm .pgm .pbm .pnm .pfm", rb"P[1-6f]\s"),
    _picture("ICO", "ICO", ".ico", rb"\x00\x00\x01\x00[^\x00]"),
    _other("an empty file", rb"\Z"),
    _other("a PDF document", rb".{0,8}%PDF-"),
    _other("a PostScript program", rb"\x04?%!|\xc5\xd0\xd3\xc6"),
    _other("an SVG drawing", rb"(\xef\xbb\xbf)?\s*<(svg|(\?xml|!--|!DOCTYPE).*?<svg)\b"),
    _other("a web page (HTML)", rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head)\b"),
    _other("an XML document", rb"(\xef\xbb\xbf)?\s*<\?xml"),
    _other("a Photoshop document (PSD)", rb"8BPS"),
    _other("a GIMP document (XCF)", rb"gimp xcf"),
    _other("a JPEG XL picture", rb"\xff\x0a|\x00\x00\x00\x0cJXL \r\n\x87\n"),
    _other("an OpenEXR picture", rb"v/1\x01"),
    _other("a Radiance HDR picture", rb"#\?R(ADIANCE|GBE)"),
    _other("an Apple icon (ICNS)", rb"icns"),
    _other("a Windows metafile", rb"\xd7\xcd\xc6\x9a|\x01\x00\x00\x00.{36} EMF"),
    _other("a video", rb".{4}(ftyp|moov|mdat)|\x1aE\xdf\xa3|RIFF.{4}AVI |\x00\x00\x01[\xba\xb3]"),
    _other("a sound", rb"ID3|RIFF.{4}WAVE|OggS|fLaC"),
    _other("a ZIP archive", rb"PK(\x03\x04|\x05\x06)"),
    _other("an archive", rb"\x1f\x8b|7z\xbc\xaf|Rar!|BZh|\xfd7zXZ"),
    _other("a NumPy array", rb"\x93NUMPY"),
    _other("a file of weights (safetensors)", rb".{8}\{\""),
    _other("a program", rb"MZ.{58}|\x7fELF|#!"),
    # The last one of the pictures, since its header has no signature: kinds, depths and sides that make sense.
    _picture(
        "TGA",
        "TGA",
        ".tga",
        rb".(\x01[\x01\x09]|\x00[\x02\x03\x0a\x0b]).{9}(?!\x00\x00)..(?!\x00\x00)..[\x01\x08\x0f\x10\x18\x20]",
    ),
    _other("text", rb"[\t\n\r\x20-\x7e\x80-\xff]{16,}\Z|[\t\n\r\x20-\x7e]+\Z"),
)
"""Every kind of file that is told from others. The first whose pattern matches counts."""

READ_SUFFIXES = tuple(suffix for kind in KINDS if kind.plugin for suffix in kind.suffixes)
"""The usual suffixes of the pictures that are read; the suffix does not matter to the reading."""

WRITTEN = {
    suffix: kind.plugin
    for kind in KINDS
    if kind.written
    for suffix in kind.suffixes
    if suffix not in (".apng", ".jpe", ".mpo")
}
"""The suffixes in which pictures are saved, with Pillow's names of the formats."""

READ_NAMES = ", ".join(kind.name.split(maxsplit=1)[1].removesuffix(" picture") for kind in KINDS if kind.plugin)
"""The formats that are read, in words."""


def recognize(head: bytes) -> Kind | None:
    """Return what a file is by its first ``HEAD_BYTES``, or None if that is unknown.

    Example:
        ```python
        from neuralstyle.images.formats import recognize

        assert recognize(b"GIF89a").name == "a GIF picture"
        assert not recognize(b"%!PS-Adobe-3.0").is_readable
        ```

    """
    return next((kind for kind in KINDS if kind.pattern.match(head)), None)


def what_it_is(kind: Kind | None) -> str:
    """Return in a few words what a file is that cannot be opened."""
    if kind is None:
        return "unknown"
    return f"{kind.name}, needs {_needed(kind.plugin)}" if kind.plugin else kind.name


def refusal(kind: Kind | None) -> str:
    """Return why a file of this kind is not opened and what to do, to follow the file's name."""
    if kind is not None and kind.plugin:
        return f"is {kind.name}, which needs {missing(kind.plugin)}"
    known = "not a picture in a known format; convert it to PNG or JPEG"
    return f"is {known}" if kind is None else f"is {kind.name}, {known}"
