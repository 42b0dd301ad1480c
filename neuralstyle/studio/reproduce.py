"""A version as a command, as Python, and as a folder with everything that these need."""

from __future__ import annotations

import io
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neuralstyle.many.settings import ALWAYS, Settings, digest, part_digest
from neuralstyle.painting.options import DEFAULTS
from neuralstyle.recipes import DEFAULT_STYLE_LOSS
from neuralstyle.studio.painted import Painted
from neuralstyle.studio.scene import Painting, Source

RESULT = "painted.png"

Names = Callable[[Source], str]


def as_command(painted: Painted, names: Names | None = None) -> str:
    """Return the command that paints a version.

    Args:
        painted: what the version was painted by.
        names: what each file is called; None: as its owner calls it.

    """
    names = names or names_of(painted)
    photo, paintings, dials = _parts(painted)
    words = ["neuralstyle", "stylize", names(photo), *(names(each.source) for each in paintings), "-o", RESULT]
    words += ["--size", str(painted.size)]
    words += _unless("--strength", dials.strength, 0.5) + _unless("--color", dials.color, "style")
    words += _unless("--style-loss", dials.style_loss, DEFAULT_STYLE_LOSS) + _unless("--style-scales", dials.scale, 1.0)
    words += ["--enlarge-styles"] if dials.scale > 1 else []
    if len(paintings) > 1:
        words += ["--style-blend-weights", *(_text(each.weight) for each in paintings)]
    if any(each.region for each in paintings):
        words += ["--regions", *("-" if each.region is None else names(each.region) for each in paintings)]
    words += _unless("--schedule", painted.schedule, "standard") + _unless("--tile", painted.tile, None)
    words += _unless("--stop-after", painted.iterations, None)
    return " ".join(shlex.quote(word) for word in words)


def as_python(painted: Painted, names: Names | None = None) -> str:
    """Return the script that paints a version; see ``as_command``."""
    names = names or names_of(painted)
    photo, paintings, dials = _parts(painted)
    imports = {"save_image", "stylize"}
    styles = [_style(each, dials.scale, names) for each in paintings]
    if any(style.startswith("Style(") for style in styles):
        imports.add("Style")
    listed = "".join(f"        {style},\n" for style in styles)
    arguments = [repr(names(photo)), styles[0] if len(styles) == 1 else f"[\n{listed}    ]"]
    arguments.append(f"size={painted.size}")
    given: list[tuple[str, Any, Any]] = [("strength", dials.strength, 0.5), ("color", dials.color, "style")]
    given += [("schedule", painted.schedule, "standard"), ("tile", painted.tile, None)]
    arguments += [f"{name}={value!r}" for name, value, usual in given if value != usual]
    if dials.style_loss != DEFAULT_STYLE_LOSS:
        imports |= {"DEFAULT_LOSSES", "with_style_loss"}
        arguments.append(f"losses=with_style_loss(DEFAULT_LOSSES, {dials.style_loss!r})")
    if painted.iterations is not None:
        arguments.append(f"callback=lambda progress: progress.iteration < {painted.iterations}")
    lines = "".join(f"    {argument},\n" for argument in arguments)
    return (
        f"from neuralstyle import {', '.join(sorted(imports))}\n\n"
        f"image = stylize(\n{lines})\nsave_image(image, {RESULT!r})\n"
    )


def note(painted: Painted) -> str | None:
    """Return the settings that travel in a picture that the command writes; None where it paints another one."""
    if not painted.is_exact:
        return None
    photo, paintings, dials = _parts(painted)
    given: dict[str, Any] = {name: DEFAULTS[name] for name in ALWAYS}  # type: ignore[literal-required]
    given |= {"size": painted.size, "strength": dials.strength, "color": dials.color, "schedule": painted.schedule}
    more: list[tuple[str, Any, Any]] = [
        ("style_loss", dials.style_loss, DEFAULT_STYLE_LOSS),
        ("style_scales", [dials.scale], [1.0]),
    ]
    more += [("tile", painted.tile, None), ("stop_after", painted.iterations, None)]
    given |= {name: value for name, value, usual in more if value != usual}
    if dials.scale > 1:
        given["enlarge_styles"] = True
    if len(paintings) > 1:
        given["style_blend_weights"] = [each.weight for each in paintings]
    regions = [None if each.region is None else part_digest(str(each.region.path)) for each in paintings]
    files = {"regions": regions} if any(regions) else {}
    styles = [digest(str(each.source.path)) for each in paintings]
    return Settings("stylize", given, {}, files, digest(str(photo.path)), styles).note()


def kit(painted: Painted, picture: Path) -> bytes:
    """Return a ZIP file with the file of a picture, all that it was painted from, the command and the script."""
    photo, paintings, _ = _parts(painted)
    names = names_of(painted, plain=True)
    sources = [photo, *(each.source for each in paintings), *(each.region for each in paintings if each.region)]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, source in {names(source): source for source in sources}.items():
            file.write(source.path, name)
        file.write(picture, f"studio-{RESULT}")
        file.writestr("paint.sh", f"{as_command(painted, names)}\n")
        file.writestr("paint.py", as_python(painted, names))
    return buffer.getvalue()


def names_of(painted: Painted, plain: bool = False) -> Names:
    """Return what each file is called: as its owner calls it, but no two alike.

    Args:
        painted: what a version was painted by.
        plain: without folders, for a folder that has them all.

    """
    photo, paintings, _ = _parts(painted)
    found: dict[int, str] = {}
    for source in [photo, *(each.source for each in paintings)]:
        if source.key not in found:
            found[source.key] = _free(Path(source.name).name if plain else source.name, set(found.values()))
    for number, each in enumerate(paintings, start=1):
        if each.region is not None:
            found[each.region.key] = _free(f"region-{number}.png", set(found.values()))
    return lambda source: found[source.key]


def _free(name: str, taken: set[str]) -> str:
    path, number = Path(name), 1
    while name in taken or name in (RESULT, f"studio-{RESULT}", "paint.sh", "paint.py"):
        number += 1
        name = str(path.with_name(f"{path.stem}-{number}{path.suffix}"))
    return name


def _parts(painted: Painted) -> tuple[Source, list[Painting], Any]:
    scene = painted.scene
    assert scene.photo is not None
    return scene.photo, [each for each in scene.paintings if each.weight > 0], scene.dials


def _style(painting: Painting, scale: float, names: Names) -> str:
    name = repr(names(painting.source))
    given = [f"weight={_text(painting.weight)}"] if painting.weight != 1 else []
    given += [f"scale={_text(scale)}"] if scale != 1 else []
    given += [f"region={names(painting.region)!r}"] if painting.region else []
    given += ["enlarge=True"] if scale > 1 else []
    return f"Style({', '.join([name, *given])})" if given else name


def _unless(option: str, value: Any, usual: Any) -> list[str]:
    return [] if value == usual else [option, _text(value)]


def _text(value: Any) -> str:
    """A value without loss: numbers of the dials have four decimals."""
    return f"{value:.10g}" if isinstance(value, float) else str(value)
