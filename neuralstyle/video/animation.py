"""Animations: GIF, WebP and APNG, through Pillow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image, ImageSequence

from neuralstyle.files import check_target, writing
from neuralstyle.images.formats import is_installed, missing
from neuralstyle.images.opening import decoding, open_picture, short_name
from neuralstyle.video.clips import Clip, Finished, Frame, Target

KINDS = {".gif": "GIF", ".webp": "WEBP", ".apng": "PNG"}
"""The suffixes of animations that are written, with Pillow's names of the formats."""

UNTIMED = 100
"""Milliseconds of a frame for which a file says 10 or less, as browsers show it."""

TICK = {"GIF": 10, "WEBP": 1, "PNG": 1}
"""The unit of time of a format in milliseconds."""

PALETTE_FRAMES = 12
"""Frames of which the palette of a GIF is made."""


@dataclass(frozen=True)
class Animation(Clip):
    """An animated GIF, WebP or PNG."""

    path: Path

    def frames(self) -> Iterator[Frame]:
        """The frames, each composed with those before it."""
        name = short_name(self.path)
        with open_picture(self.path, several=True) as opened:
            time = Fraction(0)
            frames = iter(ImageSequence.Iterator(opened.image))
            while True:
                with decoding(name):
                    image = next(frames, None)
                    if image is None:
                        return
                    picture = image.copy()
                milliseconds = image.info.get("duration") or 0
                duration = Fraction(UNTIMED if milliseconds <= 10 else milliseconds) / 1000
                yield Frame(time, duration, partial(_same, picture))
                time += duration

    @property
    def loop(self) -> int:
        """How often it is shown; 0: for ever."""
        with open_picture(self.path, several=True) as opened:
            found: Any = opened.image.info.get("loop", 1 if opened.image.format == "GIF" else 0)
            return int(found)


@dataclass(frozen=True)
class AnimationFile(Target):
    """An animation that is written. A GIF has one palette for all frames and no dither, which would flicker.

    Args:
        path: the file.
        quality: 1 to 100, of WebP.

    """

    path: Path
    quality: int = 95

    def check(self, clip: Clip, overwrite: bool) -> None:
        """Check that the file can be written."""
        check_target(self.path, overwrite, suffixes=tuple(KINDS))
        kind = KINDS[self.path.suffix.lower()]
        if not is_installed(kind):
            raise ImportError(f"{self.path} needs {missing(kind)}, or give another suffix")

    def write(self, frames: Iterator[Finished], clip: Clip, start: Fraction, end: Fraction | None) -> None:
        """Encode the frames."""
        kind = KINDS[self.path.suffix.lower()]
        durations: list[int] = []

        def pictures() -> Iterator[Image.Image]:
            shown = 0
            for finished in frames:
                until = round((finished.time + finished.duration) * 1000 / TICK[kind]) * TICK[kind]
                durations.append(max(until - shown, TICK[kind]))
                shown += durations[-1]
                yield finished.image

        images = list(pictures())  # Pillow wants all durations with the first picture
        if kind == "GIF":
            palette = _palette(images)
            images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
        options: dict[str, Any] = {
            "GIF": {"optimize": False, "disposal": 1},
            "WEBP": {"quality": self.quality, "method": 4},
            "PNG": {"disposal": 0, "blend": 0},
        }[kind]
        loop = clip.loop if isinstance(clip, Animation) else 0
        with writing(self.path) as temporary:
            first, rest = images[0], images[1:]
            first.save(
                temporary,
                kind,
                save_all=True,
                append_images=rest,
                duration=durations if len(images) > 1 else durations[0],
                loop=loop,
                **options,
            )


def _same(picture: Image.Image) -> Image.Image:
    return picture


def _palette(images: list[Image.Image]) -> Image.Image:
    """A palette of 256 colours for all pictures."""
    some = images[:: -(-len(images) // PALETTE_FRAMES)]
    width, height = some[0].size
    sheet = Image.new("RGB", (width, height * len(some)))
    for number, image in enumerate(some):
        sheet.paste(image, (0, number * height))
    return sheet.quantize(256, method=Image.Quantize.MEDIANCUT)


def is_animation(path: Path) -> bool:
    """Tell whether a file is a picture of several frames, or of one."""
    with open_picture(path, several=True) as opened:
        return opened.image.format in KINDS.values()
