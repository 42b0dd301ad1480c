"""Comparison of several results of one content and style by every measure, as numbers and as a table."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from torch import Tensor

from neuralstyle._errors import brief, unknown
from neuralstyle.images import Picture, Size, load_image
from neuralstyle.machine.surroundings import plain_torch
from neuralstyle.metrics.artefacts import flat_area, grid_energy, high_frequency_excess
from neuralstyle.metrics.features import content_distance, structure, style_distance
from neuralstyle.metrics.ghosts import ghost_contrast
from neuralstyle.metrics.pixels import MIN_SPECTRUM_SIDE, color_distance, spectrum_distance
from neuralstyle.metrics.published import cfsd, lpips, sifid, style_cosine
from neuralstyle.metrics.references import with_style

BEST = {
    "style": "low",
    "sliced": "low",
    "content": "low",
    "structure": "high",
    "color": "low",
    "spectrum": "low",
    "grain": "near 0",
    "grid": "low",
    "flat": "low",
    "ghosts": "low",
    "cfsd": "low",
    "sifid": "low",
    "lpips": "low",
    "cosine": "high",
}
"""Which values of each measure are good."""

PUBLISHED = ("cfsd", "sifid", "lpips", "cosine")
"""The measures that papers report, which ``table`` shows on request."""


@dataclass(frozen=True)
class Scores:
    """The value of every measure for one picture; features are those of random filters.

    ``style`` and ``sliced`` are ``style_distance`` by Gram matrices and by sliced Wasserstein, ``content`` is
    ``content_distance``, ``structure`` is ``structure``, ``color`` is ``color_distance`` from the style, ``spectrum``
    is ``spectrum_distance``, ``grain`` is ``high_frequency_excess`` over style and content, ``grid`` is
    ``grid_energy``, ``flat`` is ``flat_area`` and ``ghosts`` is ``ghost_contrast``. ``cfsd``, ``sifid`` and ``lpips``
    are the measures of these names, and ``cosine`` is ``style_cosine``; they are NaN where they were not measured.

    Example:
        ```python
        from dataclasses import asdict
        from neuralstyle import samples
        from neuralstyle.metrics import Scores, compare

        photo, painting = samples.photo().resize((96, 64)), samples.painting("swirl", size=96)
        scores = compare(photo, painting, {"the photograph": photo})["the photograph"]
        assert isinstance(scores, Scores)
        assert asdict(scores)["content"] == 0
        ```

    """

    style: float
    sliced: float
    content: float
    structure: float
    color: float
    spectrum: float
    grain: float
    grid: float
    flat: float
    ghosts: float
    cfsd: float = math.nan
    sifid: float = math.nan
    lpips: float = math.nan
    cosine: float = math.nan


class Comparison(dict[str, Scores]):
    """Scores by the names of the pictures. A notebook shows them as a table; ``print`` writes one as plain text.

    Example:
        ```python
        from neuralstyle import samples
        from neuralstyle.metrics import compare

        photo, painting = samples.photo().resize((96, 64)), samples.painting("swirl", size=96)
        print(compare(photo, painting, {"photo": photo}))  # photo
        ```

    """

    def __str__(self) -> str:
        return table(self)

    def _repr_html_(self) -> str:
        names = [field.name for field in fields(Scores)]
        head = "".join(f"<th title='best: {BEST[name]}'>{name}</th>" for name in names)
        rows = [
            f"<tr><th>{html.escape(picture)}</th>{''.join(f'<td>{_shown(asdict(found)[name])}</td>' for name in names)}"
            for picture, found in self.items()
        ]
        best = "".join(f"<td><i>{BEST[name]}</i></td>" for name in names)
        return f"<table><tr><th></th>{head}</tr><tr><td><i>best</i></td>{best}</tr>{'</tr>'.join(rows)}</tr></table>"


@plain_torch()
def compare(
    content: Picture, style: Picture, pictures: Mapping[str, Picture], *, size: Size | None = None
) -> Comparison:
    """Measure results of one content and one style.

    Measures depend on the size of the pictures: compare results of one size, or give ``size``. The grid is always
    measured in each picture at its own size, since resizing moves it.

    Args:
        content: the photograph: a path, PIL image, array or tensor.
        style: the painting.
        pictures: results by name, each at least 64 pixels on each side.
        size: the size for all measures, such as the longest side in pixels; None: each picture's own size.

    Returns:
        The scores by name, a dict that notebooks show as a table.

    Raises:
        ValueError: no pictures, a style that is too small, or a picture that is too small or has another aspect than
            the content; the message names it.
        FileNotFoundError: a picture does not exist.

    Example:
        ```python
        from neuralstyle import samples
        from neuralstyle.metrics import compare, table

        photo, painting = samples.photo().resize((96, 64)), samples.painting("swirl", size=96)
        scores = compare(photo, painting, {"photo": photo, "turned": photo.rotate(180)})
        assert scores["photo"].structure > scores["turned"].structure
        text = table(scores)
        ```

    """
    if not isinstance(pictures, Mapping):
        raise TypeError(f"pictures to compare are a mapping from names to pictures, received {brief(pictures)}")
    if not pictures:
        raise ValueError("there are no pictures to compare; give at least one")
    photograph, painting = load_image(content), load_image(style)
    found = Comparison()
    for name, picture in pictures.items():
        whole = load_image(picture)
        image = whole if size is None else load_image(whole, size)
        _check_style(image, painting)
        try:
            found[name] = Scores(
                style=style_distance(image, painting),
                sliced=style_distance(image, painting, method="sliced-wasserstein"),
                content=content_distance(image, photograph),
                structure=structure(image, photograph),
                color=color_distance(image, painting),
                spectrum=spectrum_distance(image, painting),
                grain=high_frequency_excess(image, painting, photograph),
                grid=grid_energy(whole),
                flat=flat_area(image, painting),
                ghosts=ghost_contrast(image, painting, photograph),
                cfsd=cfsd(image, photograph),
                sifid=sifid(image, painting),
                lpips=lpips(image, photograph),
                cosine=style_cosine(image, painting),
            )
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return found


def _check_style(image: Tensor, painting: Tensor) -> None:
    """Check that the style beside a result is large enough, or the message about its size would name the result."""
    height, width = with_style(image, painting)[1].shape[2:]
    if min(height, width) < MIN_SPECTRUM_SIDE <= min(image.shape[2:]):
        raise ValueError(
            f"the style is {painting.shape[3]} x {painting.shape[2]} pixels, {width} x {height} at the size of the "
            f"results; measures need {MIN_SPECTRUM_SIDE} on each side, so give a larger or less narrow one"
        )


def table(scores: Mapping[str, Scores], columns: Sequence[str] | None = None) -> str:
    """Format scores as a table of plain text: a line for each picture, and one that says which values are good.

    Args:
        scores: scores by name, as ``compare`` returns them.
        columns: names of measures; None: all but those of ``PUBLISHED``.

    Raises:
        ValueError: an unknown measure.

    Example:
        ```python
        from neuralstyle.metrics import Scores, table

        print(table({"a.png": Scores(0.41, 0.2, 0.6, 0.72, 0.03, 2.1, -0.4, 0.2, 0, 0)}))  # a.png  0.410
        ```

    """
    if not isinstance(scores, Mapping):
        raise TypeError(f"scores are a mapping from names to Scores, as compare returns, received {brief(scores)}")
    names = [field.name for field in fields(Scores)]
    for name in columns or ():
        if name not in names:
            raise unknown("measure", name, names)
    names = [name for name in names if name not in PUBLISHED] if columns is None else list(columns)
    lines = [["", *names], ["best", *(BEST[name] for name in names)]]
    lines += [[name, *(_shown(getattr(found, key)) for key in names)] for name, found in scores.items()]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )


def _shown(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"
