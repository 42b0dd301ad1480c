"""What is painted: a photograph, paintings, and the dials. Immutable, so undo and versions are earlier ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from neuralstyle._errors import brief, is_word, number, unknown, whole_number
from neuralstyle._words import COLORS, Color, ScheduleName
from neuralstyle.recipes import DEFAULT_LOSSES, DEFAULT_STYLE_LOSS, STYLE_LOSSES, with_style_loss
from neuralstyle.styles import Style

SCHEDULES: tuple[ScheduleName, ...] = ("preview", "draft", "standard", "fine")
"""How far a painting goes: each schedule begins with the stages of the one before."""

SMALLEST, LARGEST = 128, 2048
"""Longest sides in pixels that are painted live."""

MOST_PAINTINGS = 6
FINEST, COARSEST = 0.25, 3.0
"""Strokes: the scale of the paintings."""


@dataclass(frozen=True)
class Dials:
    """The dials of the page, each an argument of ``stylize``.

    Args:
        strength: the balance, from 0, nearly the photograph, to 1, nearly all style.
        scale: size of the strokes, 0.25 to 3: the paintings' longest side as a multiple of the result's.
        color: whose colours the result has.
        style_loss: how style is compared, a name of ``STYLE_LOSSES``.
        schedule: how far the painting goes: "preview", "draft", "standard" or "fine".
        size: longest side of the result in pixels, 128 to 2048.

    Raises:
        ValueError: a value outside of its range, or an unknown name.

    Example:
        ```python
        from neuralstyle.studio import Dials

        assert Dials(strength=0.7).changed({"color": "luminance"}).strength == 0.7
        ```

    """

    strength: float = 0.5
    scale: float = 1.0
    color: Color = "style"
    style_loss: str = DEFAULT_STYLE_LOSS
    schedule: str = "standard"
    size: int = 512

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", round(number("strength", self.strength, least=0, most=1), 4))
        object.__setattr__(self, "scale", round(number("scale", self.scale, least=FINEST, most=COARSEST), 4))
        object.__setattr__(self, "size", whole_number("size", self.size, SMALLEST, LARGEST, hint=" pixels"))
        for name, word, known in (
            ("color", self.color, COLORS),
            ("style loss", self.style_loss, STYLE_LOSSES),
            ("schedule", self.schedule, SCHEDULES),
        ):
            if not is_word(word, known):
                raise unknown(name, word, known)

    def changed(self, values: Mapping[str, Any]) -> Dials:
        """Return the dials with some of them turned.

        Raises:
            ValueError: an unknown dial, or a value outside of its range.

        """
        known = [field.name for field in fields(self)]
        for name in values:
            if name not in known:
                raise unknown("dial", name, known)
        return replace(self, **values)


@dataclass(frozen=True)
class Source:
    """A picture to paint from.

    Attributes:
        name: what its owner calls it: the name of a file, or the path that was typed.
        path: the file.
        key: its number in the session, which the page asks for.
        width: its own width in pixels.
        height: its own height in pixels.
        is_region: whether it is a grey picture that says where a painting goes.

    """

    name: str
    path: Path
    key: int
    width: int
    height: int
    is_region: bool = False


@dataclass(frozen=True)
class Painting:
    """A painting of the scene: its picture, its share, and where on the result it goes (None: everywhere)."""

    source: Source
    weight: float = 1.0
    region: Source | None = None


@dataclass(frozen=True)
class Scene:
    """What is painted: the photograph, the paintings, the dials."""

    photo: Source | None = None
    paintings: tuple[Painting, ...] = ()
    dials: Dials = Dials()

    @property
    def is_complete(self) -> bool:
        """Whether there is something to paint."""
        return self.photo is not None and any(painting.weight > 0 for painting in self.paintings)

    def turned(self, values: Mapping[str, Any]) -> Scene:
        """Return the scene with some dials turned; "weights" are the shares of the paintings.

        Raises:
            ValueError: an unknown dial, or a value outside of its range.

        """
        rest = dict(values)
        weights = rest.pop("weights", None)
        scene = replace(self, dials=self.dials.changed(rest))
        return scene if weights is None else replace(scene, paintings=_weighed(self.paintings, weights))

    def styles(self) -> list[Style]:
        """The paintings as styles."""
        scale = self.dials.scale
        return [
            Style(
                painting.source.path,
                painting.weight,
                scale,
                region=None if painting.region is None else painting.region.path,
                enlarge=scale > 1,
            )
            for painting in self.paintings
            if painting.weight > 0
        ]

    def options(self) -> dict[str, Any]:
        """The dials as arguments of ``plan``, without size and schedule."""
        dials = self.dials
        losses = None if dials.style_loss == DEFAULT_STYLE_LOSS else with_style_loss(DEFAULT_LOSSES, dials.style_loss)
        return {"strength": dials.strength, "color": dials.color, "losses": losses}

    def needs_new_strokes(self, other: Scene) -> bool:
        """Whether another scene's strokes differ so much that the picture has to be painted from coarse to fine."""
        mine, its = self.dials, other.dials
        places = [(each.source.key, each.region and each.region.key) for each in self.paintings]
        others = [(each.source.key, each.region and each.region.key) for each in other.paintings]
        return (mine.scale, mine.style_loss, places) != (its.scale, its.style_loss, others)

    def looks_like(self, other: Scene) -> bool:
        """Whether another scene differs in nothing but its size and schedule."""
        dials = replace(other.dials, size=self.dials.size, schedule=self.dials.schedule)
        return (self.paintings, self.dials) == (other.paintings, dials)

    def facts(self) -> dict[str, Any]:
        """The scene for the page."""
        dials = {field.name: getattr(self.dials, field.name) for field in fields(self.dials)}
        paintings = [
            {**_facts(each.source), "weight": each.weight, "region": each.region and each.region.key}
            for each in self.paintings
        ]
        return {"dials": dials, "photo": self.photo and _facts(self.photo), "paintings": paintings}


def _facts(source: Source) -> dict[str, Any]:
    return {"key": source.key, "name": Path(source.name).name, "width": source.width, "height": source.height}


def _weighed(paintings: tuple[Painting, ...], weights: object) -> tuple[Painting, ...]:
    if not isinstance(weights, list) or len(weights) != len(paintings):
        raise ValueError(
            f"weights is a list of {len(paintings)} shares, one for each painting, received {brief(weights)}"
        )
    shares = [round(number("the share of a painting", weight, least=0, most=1000), 4) for weight in weights]
    if paintings and not any(shares):
        raise ValueError("the shares of all paintings are 0; give one of them a share")
    return tuple(replace(painting, weight=share) for painting, share in zip(paintings, shares, strict=True))
