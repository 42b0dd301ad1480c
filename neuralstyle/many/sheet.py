"""Contact sheets: photographs by paintings, or one pair by losses, weights, strengths, stroke sizes and seeds."""

from __future__ import annotations

import itertools
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from typing_extensions import Unpack

from neuralstyle import distributed
from neuralstyle._errors import brief, number, whole_number
from neuralstyle._stopping import interruptible
from neuralstyle._words import Color
from neuralstyle.files import Read, Write, check_paths, check_target, writing
from neuralstyle.images import Picture, Size, check_output, save_image
from neuralstyle.images.formats import WRITTEN
from neuralstyle.images.grid import thumbnail
from neuralstyle.losses import Loss, LossSum
from neuralstyle.many.axes import Axis, arguments, axes_of, picture_of
from neuralstyle.many.layout import lay_out
from neuralstyle.painting.forecast import Pace, show_left
from neuralstyle.painting.options import Options
from neuralstyle.painting.plan import as_callbacks, plan
from neuralstyle.painting.progress import Progress
from neuralstyle.painting.stylize import stylize
from neuralstyle.schedule import Schedule, Stage
from neuralstyle.styles import Style

PDF_RESOLUTION = 150
"""Pixels of a sheet to an inch of its PDF page."""

SHEET_SUFFIXES = (*WRITTEN, ".pdf")
"""Suffixes of the files that a sheet can be saved as."""

_VARIED = {"strength": "strengths", "seed": "seeds"}


class SheetOptions(Options, total=False):
    """Options of ``stylize`` that all cells of a sheet share."""

    iterations: int | None
    schedule: Schedule | Sequence[Stage] | str
    size: Size
    strength: float
    color: Color


Measure = Callable[[Image.Image, Picture, Picture], "Mapping[str, float]"]
"""(result, photograph, painting) -> values by name."""


@dataclass(frozen=True, eq=False)
class Cell:
    """A picture of a sheet, and how it was painted.

    Attributes:
        name: a name for a file, without suffix; it begins with the number of the cell.
        settings: what is particular to the cell, by the name of the axis: "photograph", "painting", "losses",
            "style weight", "strength", "scale", "seed".
        image: the picture.
        loss: the objective at the last evaluation, or None without one.
        terms: the weighted value of each loss at the last evaluation, by name.
        seconds: seconds of work.
        measures: what was measured, by name.

    """

    name: str
    settings: dict[str, float | str]
    image: Image.Image = field(repr=False)
    loss: float | None
    terms: dict[str, float]
    seconds: float
    measures: dict[str, float]

    @property
    def row(self) -> dict[str, float | str | None]:
        """All that is known of it but the picture: a row of a table."""
        return {**self.settings, "loss": self.loss, **self.terms, "seconds": round(self.seconds, 3), **self.measures}


@dataclass(frozen=True, eq=False, repr=False)
class Sheet:
    """A contact sheet: pictures in rows and columns, what varies among them, and a table of them.

    A notebook shows the picture of the sheet.

    Attributes:
        axes: what varies, such as photographs and strengths.
        cells: the cells, row by row; fewer than there are places if the work was stopped.
        side: longest side of the cells' pictures in pixels.

    Example:
        ```python
        from neuralstyle import samples
        from neuralstyle.many import Sheet, contact_sheet

        found = contact_sheet(samples.photo(), samples.painting("swirl"), strengths=[0.3, 0.7], size=64, iterations=1)
        assert isinstance(found, Sheet)
        assert [row["strength"] for row in found.rows] == [0.3, 0.7]
        found.save("sheet.pdf")
        ```

    """

    axes: tuple[Axis, ...]
    cells: tuple[Cell, ...]
    side: int

    @property
    def rows(self) -> list[dict[str, float | str | None]]:
        """A row for each cell: its settings, the loss and its terms, seconds, measures."""
        names = dict.fromkeys(name for cell in self.cells for name in (*cell.settings, "loss"))
        names |= dict.fromkeys(name for cell in self.cells for name in cell.terms)
        names |= dict.fromkeys(name for cell in self.cells for name in ("seconds", *cell.measures))
        return [{name: cell.row.get(name) for name in names} for cell in self.cells]

    def frame(self) -> Any:
        """The rows as a DataFrame of pandas.

        Raises:
            ImportError: pandas is not installed.

        """
        from neuralstyle._records import data_frame

        return data_frame(self.rows)

    def image(self) -> Image.Image:
        """Draw the sheet as one picture: the cells with labels, photographs and paintings beside them."""
        return lay_out(self.axes, [cell.image for cell in self.cells], self.side)

    def save(
        self, path: str | os.PathLike[str], overwrite: bool = False, quality: int = 95, *, dpi: float | None = None
    ) -> Path:
        """Save the sheet as a picture or as a PDF of one page.

        Args:
            path: the file; its suffix is one that ``save_image`` takes, or .pdf.
            overwrite: replace an existing file.
            quality: 1 to 100, for formats with losses; also of the picture in a PDF.
            dpi: pixels of the sheet to an inch on paper; None: 150 in a PDF, and nothing in other files.

        Raises:
            ValueError: another suffix, or a quality or resolution that is not in its range.
            OSError: the file exists or cannot be written.

        """
        path = check_sheet(path, overwrite, dpi)
        if path.suffix.lower() != ".pdf":
            return save_image(self.image(), path, overwrite, quality, dpi=dpi)
        quality = whole_number("quality", quality, 1, 100)
        with writing(path, overwrite=overwrite) as temporary, temporary.open("r+b") as file:
            self.image().save(file, "PDF", resolution=dpi or PDF_RESOLUTION, quality=quality, title=path.stem)
        return path

    def save_cells(self, folder: str | os.PathLike[str], overwrite: bool = False) -> list[Path]:
        """Save the picture of each cell as a PNG in a folder, which is made if it is missing.

        Raises:
            OSError: a file exists or cannot be written.

        """
        Path(folder).mkdir(parents=True, exist_ok=True)
        return [save_image(cell.image, Path(folder) / f"{cell.name}.png", overwrite) for cell in self.cells]

    def __repr__(self) -> str:
        varied = " x ".join(f"{len(axis)} {axis.name}" for axis in self.axes if len(axis) > 1)
        return f"<Sheet of {len(self.cells)} pictures{': ' if varied else ''}{varied}>"

    def _repr_png_(self) -> Any:
        return self.image()._repr_png_()


def check_sheet(path: str | os.PathLike[str], overwrite: bool = False, dpi: float | None = None) -> Path:
    """Check before the work that a sheet can be saved, and return the path; see ``Sheet.save``."""
    if Path(path).suffix.lower() in WRITTEN:
        return check_output(path, overwrite, dpi=dpi)
    if dpi is not None:
        number("dpi", dpi, least=1, hint=" pixels per inch")
    return check_target(path, overwrite, suffixes=SHEET_SUFFIXES)


@interruptible
def contact_sheet(
    contents: Picture | Sequence[Picture] | Mapping[str, Picture],
    styles: Picture | Style | Sequence[Picture | Style] | Mapping[str, Any],
    *,
    losses: Loss | LossSum | Sequence[str] | Mapping[str, Loss | LossSum] | None = None,
    style_weights: Iterable[float] | None = None,
    strengths: Iterable[float] | None = None,
    scales: Iterable[float] | None = None,
    seeds: Iterable[int] | None = None,
    cells: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    measure: Measure | None = None,
    **options: Unpack[SheetOptions],
) -> Sheet:
    """Paint a contact sheet: every photograph with every painting, and with all that else varies.

    The last thing that varies runs across, all others down. Photographs and paintings stand beside their row or above
    their column.

    Args:
        contents: a photograph, several, or a mapping from names to photographs.
        styles: a painting, several, or a mapping from names to paintings; a list in a mapping is a blend.
        losses: names of ``STYLE_LOSSES``, each in the place of the default's style loss; a mapping from names of yours
            to losses; or losses for all.
        style_weights: factors of the style losses, at least 0.
        strengths: values of ``strength``, from 0 to 1.
        scales: sizes of the strokes, values of ``Style.scale``.
        seeds: seeds of the noise; they matter with ``init="noise"`` and the like.
        cells: a folder in which each cell is saved as a PNG as soon as it is painted; None: none.
        overwrite: replace files of cells that exist.
        measure: from a result, its photograph and its painting to values by name, for the table. Before the work it is
            called once with the photograph as the result, so that what it refuses is known.
        **options: as in ``stylize``, the same for all; ``size`` is that of each cell.

    Returns:
        A ``Sheet``, with the picture, the cells and the table.

    Raises:
        ValueError: bad input, before any painting.
        OSError: a picture that cannot be read, or a folder that cannot be written.
        Exception: any exception during the work, KeyboardInterrupt too, has the sheet so far as its attribute
            ``sheet``.

    Example:
        ```python
        from neuralstyle import samples
        from neuralstyle.many import contact_sheet

        photo, paintings = samples.photo(), {name: samples.painting(name) for name in ("swirl", "embers")}
        found = contact_sheet({"meadow": photo}, paintings, strengths=[0.3, 0.7], size=64, iterations=1)
        found.image()  # a PIL image of 2 x 2 pictures
        ```

    """
    _check(options, strengths=strengths, seeds=seeds)
    axes = axes_of(contents, styles, losses, style_weights, strengths, scales, seeds)
    shown = bool(options.pop("progress", True)) and distributed.is_writer()
    callbacks = as_callbacks(options.pop("callback", None))
    places = list(itertools.product(*(range(len(axis)) for axis in axes)))
    files = [_file(axes, place, index, len(places), cells) for index, place in enumerate(places)]
    _check_files(files, cells, overwrite, [picture_of(value) for axis in axes[:2] for value in axis.values])
    side = _rehearse(axes, places[0], options, measure)
    found: list[Cell] = []
    pace, started = Pace(), time.monotonic()
    with _bar(len(places), shown) as bar:
        for index, (place, file) in enumerate(zip(places, files, strict=True)):
            ticking = {**options, "callback": [*callbacks, _ticker(bar, index, pace)]}
            try:
                found.append(_paint(axes, place, file.stem, ticking, measure))
                if cells is not None and distributed.is_writer():
                    file.parent.mkdir(parents=True, exist_ok=True)
                    save_image(found[-1].image, file, overwrite)
            except BaseException as error:
                error.sheet = Sheet(axes, tuple(found), side)  # type: ignore[attr-defined]
                raise
            pace.add(time.monotonic() - started)
            started = time.monotonic()
    return Sheet(axes, tuple(found), side)


def _check(options: Mapping[str, Any], **varied: object) -> None:
    """Check that what varies is not also given once, and that no file is meant for all cells."""
    for option, axis in _VARIED.items():
        if option in options and varied[axis] is not None:
            raise ValueError(f"{option} and {axis} are two ways to say one thing; give one of them")
    if options.get("state") is not None:
        raise ValueError(
            f"a sheet keeps no state, received state={brief(options['state'])}; with cells= every finished picture is "
            "in a folder"
        )


def _rehearse(axes: Sequence[Axis], place: Sequence[int], options: Mapping[str, Any], measure: Measure | None) -> int:
    """Refuse before the work what can be refused, and return the longest side of the cells in pixels."""
    values, sides = _values(axes, place), set()
    for losses in next(axis.values for axis in axes if axis.name == "losses"):
        planned = plan(**arguments({**values, "losses": losses}, options), progress=False)
        sides.add(planned.stages[-1].size)
    side = max(sides)
    lay_out(axes, [], side)  # reads every picture, and refuses a sheet that is too large
    if measure is not None:
        measure(thumbnail(values["photograph"], side), values["photograph"], picture_of(values["painting"]))
    return side


def _values(axes: Sequence[Axis], place: Sequence[int]) -> dict[str, Any]:
    return {axis.name: axis.values[index] for axis, index in zip(axes, place, strict=True)}


def _paint(
    axes: Sequence[Axis], place: Sequence[int], name: str, options: Mapping[str, Any], measure: Measure | None
) -> Cell:
    """Paint a cell."""
    values, latest, started = _values(axes, place), list[Progress](), time.monotonic()
    painted = arguments(values, options)
    painted["callback"] = [*painted["callback"], lambda progress: latest.__setitem__(slice(None), [progress])]
    image = stylize(**painted, progress=False)
    seconds = time.monotonic() - started
    measured = {} if measure is None else measure(image, values["photograph"], picture_of(values["painting"]))
    return Cell(
        name=name,
        settings={axis.name: axis.shown[k] for axis, k in zip(axes, place, strict=True) if axis.shown[k] != ""},
        image=image,
        loss=latest[0].loss if latest else None,
        terms=dict(latest[0].terms) if latest else {},
        seconds=seconds,
        measures=dict(measured),
    )


def _file(
    axes: Sequence[Axis], place: Sequence[int], index: int, count: int, folder: str | os.PathLike[str] | None
) -> Path:
    """The file of a cell: its number, and what is particular to it."""
    labels = [axis.labels[k] for axis, k in zip(axes, place, strict=True) if len(axis) > 1 or axis.is_pictures]
    words = re.sub(r"[^\w.]+", "-", "-".join(labels), flags=re.ASCII)[:120].strip("-.")
    return Path("" if folder is None else folder) / f"{index + 1:0{len(str(count))}d}-{words}.png"


def _check_files(
    files: Sequence[Path], folder: str | os.PathLike[str] | None, overwrite: bool, pictures: Sequence[Picture]
) -> None:
    """Check that the cells can be saved in their folder."""
    if folder is None or not distributed.is_writer():
        return
    reads = [Read(Path(picture), "a picture") for picture in pictures if isinstance(picture, (str, os.PathLike))]
    writes = [Write(file, "the cell", may_exist=overwrite) for file in files]
    check_paths([], [Write(Path(folder), "cells", "folder")])
    for write in writes if Path(folder).is_dir() and any(Path(folder).iterdir()) else ():
        check_paths(reads, [write])


_FORMAT = "{desc} {percentage:3.0f}% |{bar}| {elapsed} < {remaining}"


def _bar(count: int, shown: bool) -> Any:
    from tqdm.auto import tqdm

    form = _FORMAT.replace("{remaining}", "?")
    return tqdm(total=count, disable=not shown, bar_format=form, desc=f"picture 1 of {count}", file=sys.stderr)


def _ticker(bar: Any, index: int, pace: Pace) -> Callable[[Progress], None]:
    """A callback that moves the bar within a cell, as the time does."""

    def tick(progress: Progress) -> None:
        left = progress.left
        if left is None:
            return
        whole = progress.elapsed + left
        show_left(bar, left + (bar.total - index - 1) * (pace.later or whole), _FORMAT)
        bar.set_description(f"picture {index + 1} of {bar.total}", refresh=False)
        bar.update(index + progress.elapsed / whole - bar.n)

    return tick
