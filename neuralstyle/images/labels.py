"""Labels in pictures: text in Pillow's own font, wrapped and shortened to a width."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from PIL import ImageDraw, ImageFont

MOST_LINES = 3
"""Lines of a label; of a longer one the middle is left out."""

ELLIPSIS = "…"
_SPELLED = {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "×": "x"}
_SPELLED |= dict.fromkeys("–—−‐", "-") | dict.fromkeys("‘’", "'") | dict.fromkeys("“”„", '"')


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font at a size in pixels."""
    return ImageFont.load_default(size)


def width_of(text: str, size: int) -> int:
    """The width of a line of text in pixels."""
    return round(font(size).getlength(text))


def line_height(size: int) -> int:
    """The distance between two lines of text in pixels."""
    return round(1.3 * size)


def spelled(text: str) -> str:
    """Spell a text in one line and in letters that the font has: accents are left out, other letters become "?".

    Example:
        ```python
        from neuralstyle.images.labels import spelled

        assert spelled("Łódź, café") == "Lodz, cafe"
        ```

    """
    plain = unicodedata.normalize("NFKD", "".join(_SPELLED.get(letter, letter) for letter in " ".join(text.split())))
    kept = (letter for letter in plain if not unicodedata.combining(letter))
    return "".join(letter if letter.isascii() else "?" for letter in kept)


def wrap(text: str, size: int, width: int, most: int = MOST_LINES) -> list[str]:
    """Break a text into lines that fit a width; after ``most`` lines the middle of the text is left out.

    Lines break at spaces, and after the signs of file names; a word that is too long is broken anywhere.

    Args:
        text: any text.
        size: of the font in pixels.
        width: of a line in pixels.
        most: number of lines.

    """
    plain = spelled(text)
    lines, left = _lines(plain, size, width), len(plain)
    while len(lines) > most and left > 2:
        left -= 1
        start = (left + 1) // 2
        lines = _lines(plain[:start] + ELLIPSIS + plain[len(plain) - left // 2 :], size, width)
    return lines


def _lines(text: str, size: int, width: int) -> list[str]:
    lines, line = [], ""
    for word in re.findall(r"[^\s_/.,-]*[\s_/.,-]?", text):
        for part in _pieces(word, size, width):
            if line and width_of((line + part).rstrip(), size) > width:
                lines.append(line.rstrip())
                line = ""
            line += part
    return [*lines, line.rstrip()] if line.strip() else lines


def _pieces(word: str, size: int, width: int) -> list[str]:
    """A word in pieces that each fit a width; a letter at least."""
    pieces = [""]
    for letter in word:
        if pieces[-1] and width_of((pieces[-1] + letter).rstrip(), size) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces


def write(
    draw: ImageDraw.ImageDraw, lines: list[str], middle: float, top: float, size: int, color: tuple[int, int, int]
) -> None:
    """Draw lines of text, each centred at ``middle``, from ``top`` down."""
    for number, line in enumerate(lines):
        place = (middle - width_of(line, size) / 2, top + number * line_height(size))
        draw.text(place, line, font=font(size), fill=color)
