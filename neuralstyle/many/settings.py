"""Settings that travel in a picture: what made it, as words that can be given again, and digests of what went in."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from neuralstyle._errors import brief
from neuralstyle._version import full_version
from neuralstyle.checkpoint import describe
from neuralstyle.images import Pixels, Width
from neuralstyle.images.notes import MAX_NOTE, read_note
from neuralstyle.machine.keeping import keep
from neuralstyle.painting.initial import INITS
from neuralstyle.painting.options import DEFAULTS
from neuralstyle.styles import Style

ALWAYS = ("size", "schedule", "strength", "color", "init", "seed")
"""Options that are written down even if they have their defaults, which may be others one day."""

_NOT_SEEN = ("device", "callback", "progress", "state")  # options that the picture does not show
_WORDS = {"encoder": "network"}  # options of ``stylize`` that have another name on the command line
_STYLE_WORDS = {"weight": "style_blend_weights", "scale": "style_scales"}
_OTHER = {"content": "is of another photograph", "styles": "is in another style"}
_DIGITS = 16  # of a digest: 64 bits


@dataclass(frozen=True)
class Settings:
    """What made a picture.

    Attributes:
        command: the command, such as "stylize".
        options: options by their names on the command line, as JSON has them.
        others: what cannot be given as a word, such as losses from Python, by name, described.
        files: digests of the files that options name, such as masks.
        content: a digest of the photograph's file, or None.
        styles: digests of the paintings' files.
        unfinished: why it is not the picture that these settings ask for, or None.

    """

    command: str
    options: Mapping[str, Any]
    others: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    content: str | None = None
    styles: Sequence[str | None] = ()
    unfinished: str | None = None

    def note(self) -> str | None:
        """The settings as the text that travels in a file, with the versions; None if it is too long for that."""
        versions = {"neuralstyle": full_version(), "torch": version("torch")}
        text = json.dumps({**versions, **{k: v for k, v in self._facts().items() if v}}, sort_keys=True)
        return text if len(text) <= MAX_NOTE else None

    def difference(self, found: Mapping[str, Any] | None) -> str | None:
        """Say in a few words how what was read from a picture differs; None if that picture need not be painted again.

        Versions do not count: another one changes the last bits at most.
        """
        if found is None:
            return "holds no settings"
        wanted = json.loads(json.dumps(self._facts()))
        for name, value in wanted.items():
            there = found.get(name) or type(value)() if value is not None else found.get(name)
            if there == value:
                continue
            if name == "unfinished":
                return "is not finished"
            if isinstance(value, dict) and isinstance(there, dict):
                key = next(key for key in sorted({*value, *there}) if value.get(key) != there.get(key))
                if name == "options":
                    return f"has {key} {brief(there.get(key), 30)} and not {brief(value.get(key), 30)}"
                return f"has other {key}"
            return _OTHER.get(name, f"has another {name}")
        return None

    def _facts(self) -> dict[str, Any]:
        return {
            "command": self.command,
            "options": dict(self.options),
            "others": dict(self.others),
            "files": {name: list(digests) for name, digests in self.files.items()},
            "content": self.content,
            "styles": list(self.styles),
            "unfinished": self.unfinished,
        }


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Return the settings that travel in a picture, or None if there are none.

    Args:
        path: a picture that this package has saved.

    Returns:
        A dictionary with the versions of "neuralstyle" and "torch", the "command", its "options" by their names on the
        command line, and digests of the files that went in.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no picture that can be opened.

    Example:
        ```python
        import tempfile
        from neuralstyle import samples
        from neuralstyle.many import read_settings

        with tempfile.TemporaryDirectory() as folder:
            samples.photo().save(f"{folder}/photo.png")
            assert read_settings(f"{folder}/photo.png") is None
        ```

    """
    note = read_note(Path(path))
    try:
        found = json.loads(note or "")
    except (ValueError, RecursionError):
        return None
    is_ours = isinstance(found, dict) and "neuralstyle" in found and isinstance(found.get("options"), dict)
    return found if is_ours else None


def settings_of(options: Mapping[str, Any], styles: Sequence[Style]) -> Settings:
    """Return the settings of a call of ``stylize``, without the digests of its content and styles.

    Raises:
        ValueError: an option that cannot be described.

    """
    words: dict[str, Any] = {}
    others: dict[str, str] = {}
    files: dict[str, Sequence[str | None]] = {}
    for name, value in {**DEFAULTS, **options}.items():
        if value is None or value is False or name in _NOT_SEEN:
            continue
        if isinstance(value, (Width, Pixels)):
            words[type(value).__name__.lower()] = value.pixels
        elif name == "init" and isinstance(value, (str, os.PathLike)) and value not in INITS:
            files[name] = [digest(value)]
        elif isinstance(value, (bool, int, float, str)):
            words[_WORDS.get(name, name)] = value
        else:
            others[name] = describe(value)
    style_words, style_files = _of_styles(styles)
    return Settings("stylize", {**words, **style_words}, others, {**files, **style_files})


def _of_styles(styles: Sequence[Style]) -> tuple[dict[str, Any], dict[str, Sequence[str | None]]]:
    """What styles say beside their pictures, where it is not the default."""
    words: dict[str, Any] = {}
    for name, word in _STYLE_WORDS.items():
        values = [getattr(style, name) for style in styles]
        if any(value != 1 for value in values):
            words[word] = values
    if any(style.softness for style in styles):
        words["softness"] = styles[0].softness
    if any(style.edges != "blended" for style in styles):
        words["edges"] = styles[0].edges
    if any(style.enlarge for style in styles):
        words["enlarge_styles"] = True
    files: dict[str, Sequence[str | None]] = {}
    for name, pictures in (("masks", [s.mask for s in styles]), ("regions", [s.region for s in styles])):
        if any(picture is not None for picture in pictures):
            files[name] = [part_digest(picture) for picture in pictures]
    return words, files


def part_digest(picture: Any) -> str | None:
    """A digest of a mask or region, also the inverse "~FILE" or one colour "FILE#red" of a file."""
    if not isinstance(picture, (str, os.PathLike)):
        return None if picture is None else describe(picture)
    name = os.fspath(picture)
    if Path(name).exists():
        return digest(name)
    file, mark, part = name.removeprefix("~").rpartition("#")
    inverse = "~" if name.startswith("~") else ""
    return f"{inverse}{digest(file if mark else part)}{mark}{part if mark else ''}"


def digest(picture: Any) -> str | None:
    """A digest of the bytes of a picture's file; None for what is no regular file."""
    if not isinstance(picture, (str, os.PathLike)):
        return None if picture is None else describe(picture)
    path = Path(picture)
    if not path.is_file():
        return None

    def key() -> tuple[str, int, int]:
        return str(path), path.stat().st_mtime_ns, path.stat().st_size

    return keep("digest", key, lambda: _digest(path))


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            found.update(block)
    return found.hexdigest()[:_DIGITS]
