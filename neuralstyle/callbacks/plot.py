"""Plots of the losses of a run, with matplotlib."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, TypeAlias

from neuralstyle._errors import brief
from neuralstyle._records import COUNTERS
from neuralstyle.callbacks.losses import LossLog, read_losses, row_of
from neuralstyle.images import check_output, save_image
from neuralstyle.painting.progress import Progress

Log: TypeAlias = "str | os.PathLike[str] | LossLog | Iterable[Progress] | Iterable[Mapping[str, float]]"
"""The losses of a run: a file, a log in memory, the ``Progress`` of each evaluation, or rows."""


def plot_losses(
    log: Log, path: str | os.PathLike[str] | None = None, overwrite: bool = False, *, axes: Any = None
) -> Any:
    """Plot the losses of a run: a curve for each loss over the evaluations, on a logarithmic scale.

    Needs matplotlib (``pip install "neuralstyle-torch[plot]"``).

    Args:
        log: a file of ``LossLog`` or ``train`` (.csv or .jsonl); a ``LossLog``; the run itself, as ``iterate`` gives
            it; or rows, dicts with "iteration" or "step".
        path: a .png, .jpg, .webp or .tif file to save the plot in; None: none.
        overwrite: replace a file that exists.
        axes: axes of matplotlib to draw in; None: a figure of its own.

    Returns:
        The figure of matplotlib. A notebook shows it.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the log has no line or no loss above 0, or is not a log.
        TypeError: something else than a log.
        OSError: there is no such log, or the picture cannot be saved; see ``save_image``.

    Example:
        ```python
        from neuralstyle import LossLog, samples, stylize
        from neuralstyle.callbacks import plot_losses

        log = LossLog()
        stylize(samples.photo(), samples.painting("swirl"), size=64, iterations=4, callback=log)
        figure = plot_losses(log, "losses.png")
        ```

    """
    check_plot()
    if path is not None:
        check_output(path, overwrite)
    rows, name = _rows(log)
    if not rows:
        raise ValueError(f"{name} has no line to plot; let the run make an evaluation first")
    figure = _figure()(figsize=(8, 5), layout="constrained") if axes is None else axes.figure
    _draw(figure.subplots() if axes is None else axes, rows, name)
    if path is not None:
        save_figure(figure, path, overwrite)
    return figure


def save_figure(figure: Any, path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Save a figure of matplotlib as a picture; see ``save_image``."""
    from PIL import Image

    with Image.open(io.BytesIO(_png(figure))) as picture:
        save_image(picture, path, overwrite=overwrite)


def check_plot() -> None:
    """Check that losses can be plotted.

    Raises:
        ImportError: matplotlib is not installed.

    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"a plot of the losses needs matplotlib ({error}); install it with "
            "'pip install \"neuralstyle-torch[plot]\"'"
        ) from error


def _rows(log: Any) -> tuple[list[Mapping[str, float]], str]:
    """The rows of a log, and what a message calls it."""
    if isinstance(log, (str, os.PathLike)):
        return [*read_losses(log)], os.fspath(log)
    if isinstance(log, LossLog):
        return [*log.rows], "the log"
    if isinstance(log, Iterable) and not isinstance(log, (Mapping, bytes)):
        rows = [row_of(row) if isinstance(row, Progress) else row for row in log]
        if all(isinstance(row, Mapping) and set(row) & set(COUNTERS) for row in rows):
            return rows, "the log"
    raise TypeError(
        "a log to plot is a file, a LossLog, the Progress of each evaluation as iterate gives them, or rows with "
        f"'iteration', received {brief(log)}"
    )


def _draw(axes: Any, rows: Sequence[Mapping[str, float]], name: str) -> None:
    """Draw a curve for each loss, and a line where a stage begins."""
    losses = [key for key in rows[0] if key not in (*COUNTERS, "epoch", "stage", "size", "seconds")]
    if not any(row[key] > 0 for row in rows for key in losses):
        raise ValueError(f"{name} has no losses above 0 to plot")
    counter, unit = ("iteration", "evaluations") if "iteration" in rows[0] else ("step", "steps")
    for key in losses:
        axes.semilogy([row[counter] for row in rows], [row[key] for row in rows], label=_label(key))
    for before, after in pairwise(rows):
        if after.get("stage") != before.get("stage"):
            axes.axvline(after[counter], color="0.8", zorder=0)
    axes.set_xlabel(unit)
    axes.legend()


def _label(name: str) -> str:
    """Return a name as matplotlib shows it: "_" at the start would hide it, and "$" would begin a formula."""
    return name.lstrip("_").replace("$", r"\$")


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


@cache
def _figure() -> Any:
    """The class of figures that a notebook shows; it leaves the user's own figures and windows alone."""
    from matplotlib.figure import Figure

    class LossFigure(Figure):  # type: ignore[misc,unused-ignore]
        """A figure that a notebook shows."""

        def _repr_png_(self) -> bytes:
            return _png(self)

    return LossFigure
