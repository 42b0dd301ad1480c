"""Axes: what varies over a sheet, value by value, with a label for each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from neuralstyle._errors import brief, number, whole_number
from neuralstyle.images import Picture
from neuralstyle.losses import Loss, LossSum
from neuralstyle.losses.base import as_sum
from neuralstyle.recipes import DEFAULT_LOSSES, strength_factors, with_style_loss
from neuralstyle.styles import Style, as_styles

MOST_CELLS = 10_000
"""Pictures that a sheet may have."""


@dataclass(frozen=True)
class Axis:
    """What varies over a sheet.

    Attributes:
        name: what varies, such as "strength", which is the column of a table.
        labels: the values as a sheet shows them.
        values: the values.
        shown: the values as a table has them: numbers, or names.

    """

    name: str
    labels: tuple[str, ...]
    values: tuple[Any, ...]
    shown: tuple[float | str, ...]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def is_pictures(self) -> bool:
        """Whether the values are pictures: photographs or paintings."""
        return self.name in ("photograph", "painting")


def picture_axis(name: str, pictures: Any) -> Axis:
    """The axis of photographs or of paintings.

    Args:
        name: "photograph" or "painting".
        pictures: a picture, a sequence of them, or a mapping from names to pictures. Paintings may be ``Style``.

    Raises:
        ValueError: there are none.
        TypeError: something else.

    """
    if isinstance(pictures, Mapping):
        named = {str(key): value for key, value in pictures.items()}
    else:
        several = list(pictures) if isinstance(pictures, (list, tuple)) else [pictures]
        named = dict(zip(_names(several, name), several, strict=True))
    if not named:
        raise ValueError(f"there is no {name}; give one at least")
    labels = tuple(named)
    return Axis(name, labels, tuple(named.values()), labels)


def loss_axis(losses: Any) -> Axis:
    """The axis of losses.

    Args:
        losses: None or losses, for one value; names of ``STYLE_LOSSES``; or a mapping from names of yours to losses.

    Raises:
        ValueError: an unknown name, or none.
        TypeError: something else.

    """
    if losses is None or isinstance(losses, (Loss, LossSum)):
        return Axis("losses", ("",), (None if losses is None else as_sum(losses),), ("",))
    if isinstance(losses, Mapping):
        named = {str(name): as_sum(loss, f"the losses {name!r}") for name, loss in losses.items()}
    elif isinstance(losses, Sequence) and all(isinstance(name, str) for name in losses):
        names = [losses] if isinstance(losses, str) else losses
        named = {name: with_style_loss(DEFAULT_LOSSES, name) for name in names}
    else:
        raise TypeError(
            "the losses of a sheet are losses, a list of names such as ['gram', 'mmd'], or a dict from names to "
            f"losses, received {brief(losses)}"
        )
    if not named:
        raise ValueError("there are no losses; give a name at least, or leave them out")
    return Axis("losses", tuple(named), tuple(named.values()), tuple(named))


def number_axis(name: str, values: Iterable[float] | float | None, label: str, check: Any) -> Axis:
    """An axis of numbers.

    Args:
        name: what varies, such as "strength".
        values: the numbers; one alone is a list of one; None: one value, None, which says nothing.
        label: the label with a field for the number.
        check: from a value to the number; raises ValueError.

    Raises:
        ValueError: no numbers, or one that is not in its range.

    """
    if values is None:
        return Axis(name, ("",), (None,), ("",))
    found = tuple(dict.fromkeys(check(value) for value in _several(values)))
    if not found:
        raise ValueError(f"there is no {name}; give a number at least, or leave it out")
    return Axis(name, tuple(label.format(value) for value in found), found, found)


def _several(values: Any) -> list[Any]:
    """Values one by one; one alone, or what is none at all, is a list of one."""
    if isinstance(values, (str, bytes, Mapping)):
        return [values]
    try:
        return list(values)
    except TypeError:  # a number, and a tensor of one
        return [values]


def axes_of(
    contents: Any,
    styles: Any,
    losses: Any,
    style_weights: Any,
    strengths: Any,
    scales: Any,
    seeds: Any,
) -> tuple[Axis, ...]:
    """The axes of a sheet in their order, the rows first.

    Raises:
        ValueError: a value that is not in its range, or more than ``MOST_CELLS`` pictures.
        TypeError: a value of another type.

    """

    def strength(value: Any) -> float:
        strength_factors(value)
        return float(value)

    axes = (
        picture_axis("photograph", contents),
        picture_axis("painting", styles),
        loss_axis(losses),
        number_axis("style weight", style_weights, "style x {:g}", lambda x: number("a style weight", x, least=0)),
        number_axis("strength", strengths, "strength {:g}", strength),
        number_axis("scale", scales, "strokes x {:g}", lambda x: number("a scale", x, above=0)),
        number_axis("seed", seeds, "seed {}", lambda x: whole_number("a seed", x, 0)),
    )
    count = 1
    for axis in axes:
        count *= len(axis)
    if count > MOST_CELLS:
        raise ValueError(f"the sheet would have {count} pictures, and {MOST_CELLS} are the most; give fewer values")
    return axes


def arguments(values: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``stylize`` for a cell, from the values of the axes and the options of the sheet."""
    painted = dict(options)
    styles = as_styles(values["painting"])
    if values["scale"] is not None:
        styles = [replace(style, scale=values["scale"]) for style in styles]
    losses = values["losses"]
    if values["style weight"] is not None:
        losses = (DEFAULT_LOSSES if losses is None else losses).scaled("style", values["style weight"])
    if losses is not None:
        painted["losses"] = losses
    painted |= {name: values[name] for name in ("strength", "seed") if values[name] is not None}
    return {"content": values["photograph"], "style": styles, **painted}


def picture_of(value: Any) -> Picture:
    """The picture of a photograph, or of the first painting of a blend."""
    while isinstance(value, (list, tuple)):
        value = value[0]
    return value.image if isinstance(value, Style) else value  # type: ignore[no-any-return]


def _names(pictures: Sequence[Any], kind: str) -> list[str]:
    """A name for each picture: that of its file, with the folder where two are alike, or a number."""
    found = [_name(picture, Path.stem.fget) for picture in pictures]  # type: ignore[attr-defined]
    if max(Counter(found).values(), default=0) > 1:
        found = [_name(picture, str) for picture in pictures]
    named = [name or (kind if len(pictures) == 1 else f"{kind} {place}") for place, name in enumerate(found, start=1)]
    twice = {name for name, times in Counter(named).items() if times > 1}
    return [f"{name} ({place})" if name in twice else name for place, name in enumerate(named, start=1)]


def _name(picture: Any, of_path: Any) -> str | None:
    picture = picture_of(picture)
    if isinstance(picture, Image.Image):
        picture = getattr(picture, "filename", None) or None
    return str(of_path(Path(picture))) if isinstance(picture, (str, os.PathLike)) else None
