"""Opening: which kind of clip a path is, read or written."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

from neuralstyle._errors import number, whole_number
from neuralstyle.images.opening import look_at, short_name
from neuralstyle.video.animation import KINDS, Animation, AnimationFile
from neuralstyle.video.clips import Clip, Target
from neuralstyle.video.film import CODECS, Film, FilmFile
from neuralstyle.video.folder import DEFAULT_RATE, Folder, FrameFolder

A_VIDEO = "a video"


def open_clip(path: str | os.PathLike[str], rate: float = DEFAULT_RATE) -> Clip:
    """Open a clip: a film, an animation or a folder of frames.

    Args:
        path: the file or folder.
        rate: frames a second of a folder; the others have times of their own.

    Raises:
        FileNotFoundError: there is nothing of this name.
        ValueError: the file is no clip, or it is HDR.
        ImportError: it is a film, and PyAV is not installed.

    """
    path = Path(path)
    if path.is_dir():
        return Folder(path, Fraction(number("rate", rate, above=0)).limit_denominator(1001))
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}; check the name and the folder")
    kind = look_at(path)
    if kind is not None and kind.plugin in KINDS.values():
        return Animation(path)
    if kind is None or kind.name == A_VIDEO or path.suffix.lower() in CODECS:
        return Film(path)
    raise ValueError(
        f"{short_name(path)} is {kind.name}, not a clip; give a film, an animated GIF, WebP or PNG, or a folder of "
        "frames"
    )


def target_of(path: str | os.PathLike[str], *, quality: int, sound: bool) -> Target:
    """Return what writes a clip at a path: by its suffix, or a folder if it has none.

    Raises:
        ValueError: an unknown suffix, or a bad quality.

    """
    path = Path(path)
    whole_number("quality", quality, 1, 100)
    suffix = path.suffix.lower()
    if suffix in CODECS:
        return FilmFile(path, quality, sound)
    if suffix in KINDS:
        return AnimationFile(path, quality)
    if suffix and not path.is_dir():
        known = " ".join([*CODECS, *KINDS])
        raise ValueError(f"{path}: unknown suffix {path.suffix!r}; use one of {known}, or none for a folder of frames")
    return FrameFolder(path)
