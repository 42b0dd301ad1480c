"""Every method of the contest, with its own settings, on any device: schedules, published recipes, pastiche."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from methods import PASTICHE, longest

if TYPE_CHECKING:
    from PIL import Image

    from neuralstyle import Stage

OURS = ("preview", "draft", "standard")
PASTICHE_STEPS = 500  # at the final size; its command line takes 1000
WARM_UP_SIZE = 128


@dataclass(frozen=True)
class Work:
    """One picture to paint: by which method, from which two files, how strong."""

    method: str
    content: Path
    style: Path
    size: int
    strength: float
    options: Mapping[str, Any]  # of ``stylize``, for the methods that are painted by it


@dataclass(frozen=True)
class Painted:
    """A picture, and what it took."""

    picture: Image.Image
    evaluations: int
    seconds: float


def known() -> list[str]:
    """All methods, those of most interest first; ":" and a number behind one sets the evaluations at the final size."""
    from neuralstyle.recipes import RECIPES

    first = [*OURS, "crowson", PASTICHE]
    return [*first, *(name for name in RECIPES if name not in ("default", *first))]


def split(method: str) -> tuple[str, int | None]:
    """A name and its number of evaluations: "crowson:100" has 100.

    Raises:
        ValueError: the number is none.
    """
    name, _, count = method.partition(":")
    if count and not (count.isdecimal() and int(count)):
        raise ValueError(f"behind ':' stands a number of evaluations, received {method!r}")
    return name, int(count) if count else None


class Painter:
    """Paints one picture after the other, and keeps networks on their device between them."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._kept: dict[str, Any] = {}

    def paint(self, work: Work) -> Painted:
        """Paint; the seconds are those of a process that has loaded everything and painted before."""
        name, _ = split(work.method)
        paint = self._by_pastiche if name == PASTICHE else self._by_stylize
        self._keep(f"warm {work.method}", lambda: self._warm_up(work, paint))
        return paint(work)

    def _warm_up(self, work: Work, paint: Callable[[Work], Painted]) -> bool:
        """On a GPU the first pictures load kernels, which would count for the methods that come first."""
        if self.device != "cpu":
            paint(replace(work, method=f"{split(work.method)[0]}:2", size=min(work.size, WARM_UP_SIZE)))
        return True

    def _keep(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def _network(self, name: str) -> Any:
        from neuralstyle import default_encoder

        return self._keep(f"network {name}", lambda: default_encoder(name).to(self.device))

    def _recipe(self, name: str) -> dict[str, Any]:
        """The arguments of a recipe, its network on the device."""
        from neuralstyle.recipes import RECIPES

        def make() -> dict[str, Any]:
            recipe: dict[str, Any] = dict(RECIPES[name]())
            return recipe | {"encoder": recipe["encoder"].to(self.device)} if "encoder" in recipe else recipe

        return dict(self._keep(f"recipe {name}", make))

    def _by_stylize(self, work: Work) -> Painted:
        from neuralstyle import load_image, stylize

        name, iterations = split(work.method)
        recipe: dict[str, Any] = {} if name in OURS else self._recipe(name)
        options = recipe | dict(work.options)
        schedule = options.pop("schedule", name if name in OURS else "standard")
        stages = self._stages(schedule, work.size, iterations, options.get("losses"), options.get("encoder"))
        content, style = load_image(work.content, work.size), load_image(work.style)
        seen = 0

        def count(_: Any) -> None:
            nonlocal seen
            seen += 1

        started = time.perf_counter()
        picture = stylize(
            content,
            style,
            size=work.size,
            schedule=stages,
            strength=work.strength,
            device=self.device,
            callback=count,
            progress=False,
            **options,
        )
        return Painted(picture, seen, time.perf_counter() - started)

    def _stages(self, schedule: Any, size: int, iterations: int | None, losses: Any, encoder: Any) -> list[Stage]:
        """The stages that ``stylize`` would paint, their networks those that are kept."""
        from neuralstyle.painting.stages import list_stages
        from neuralstyle.recipes import DEFAULT_LOSSES, DEFAULT_NETWORK

        stages, _ = list_stages(schedule, size, iterations, DEFAULT_LOSSES if losses is None else losses, encoder)
        otherwise = DEFAULT_NETWORK if encoder is None else encoder
        named = [otherwise if stage.encoder is None else stage.encoder for stage in stages]
        networks = [self._network(each) if isinstance(each, str) else each for each in named]
        return [replace(stage, encoder=network) for stage, network in zip(stages, networks, strict=True)]

    def _by_pastiche(self, work: Work) -> Painted:
        from pastiche.pastiche import PasticheArtist, save_image
        from PIL import Image

        from neuralstyle.recipes import strength_factors

        content_factor, style_factor = strength_factors(work.strength)
        # All is as its class has it by default; the style is of the size in which the others see it.
        artist = PasticheArtist(
            str(work.content),
            [str(work.style)],
            size=work.size,
            style_size=longest(work.style, work.size),
            content_weight=content_factor / style_factor,
            device=self.device,
        )
        steps = split(work.method)[1] or PASTICHE_STEPS
        started = time.perf_counter()  # after it has loaded its network, which it does for every picture
        for _ in range(steps):
            artist.draw()
        with tempfile.TemporaryDirectory() as folder:
            file = str(Path(folder) / "picture.png")
            save_image(artist.pastiche, file)
            seconds = time.perf_counter() - started
            with Image.open(file) as picture:
                return Painted(picture.convert("RGB"), steps, seconds)
