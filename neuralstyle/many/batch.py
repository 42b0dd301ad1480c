"""Painting many files: the pictures and their results are found and checked, and each becomes a task."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuralstyle._errors import brief, unknown, whole_number
from neuralstyle.many.executors import Executor, check_executor

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from neuralstyle.feedforward.options import Paths
    from neuralstyle.images import Picture
    from neuralstyle.many.settings import Settings
    from neuralstyle.many.tasks import Results, Task
    from neuralstyle.painting.options import StylizeOptions
    from neuralstyle.styles import Style


@dataclass(frozen=True)
class Form:
    """How the results of many pictures are found, named and saved.

    Args:
        recursive: search folders with their subfolders, which results then lie in as well.
        suffix: the suffix of the results; None: that of each picture, or .png where it cannot be written.
        overwrite: replace results that exist.
        depth: bits a channel, as for ``save_image``.
        quality: as for ``save_image``.
        dpi: as for ``save_image``.
        keep_profile: give a result the colour profile of its photograph.
        shard: (K, N) paints the K-th of N shares of the pictures, K from 1.

    """

    recursive: bool = False
    suffix: str | None = None
    overwrite: bool = False
    depth: int = 8
    quality: int = 95
    dpi: float | None = None
    keep_profile: bool = False
    shard: tuple[int, int] = (1, 1)


def stylize_files(
    pictures: Paths,
    style: Picture | Style | Sequence[Picture | Style | Sequence[Picture | Style]],
    output: str | os.PathLike[str],
    *,
    executor: Executor | None = None,
    skip_existing: bool = False,
    form: Form | None = None,
    **options: Unpack[StylizeOptions],
) -> Results:
    """Paint many files in a style, or in several, one file for each.

    A result has the name of its photograph. Of several styles each has a folder with the name of its painting. What one
    picture needed and the next one needs again is kept: encoders, paintings and their targets. A picture that fails
    stops no other. The settings travel in each result, see ``read_settings``.

    Args:
        pictures: a file, a folder with the pictures in it, or a list of these.
        style: the painting, a file or a ``Style`` of a file; or a list, whose styles are each painted into a folder of
            their own. A list in that list is a blend.
        output: the folder of the results; it is created.
        executor: where the pictures are painted: ``Processes(2)``, or anything with ``submit`` whose answer has
            ``result``, such as ``concurrent.futures.ProcessPoolExecutor(2)``. It reads and writes the same files. A
            task whose worker dies is tried once more. None: here, one after the other.
        skip_existing: leave results that were painted with these settings; one with others is a failure, or with
            ``Form(overwrite=True)`` is painted again.
        form: how the results are found, named and saved; None: ``Form()``.
        **options: as in ``stylize``, but for ``state``. For an executor they have to be small and to be pickled.

    Returns:
        An iterator of a ``Result`` for each picture and style, as they come. The work is done while it is used.

    Raises:
        TypeError: an executor without ``submit``, or an option of another type.
        ValueError: no picture, a bad option, or two results of one name, before anything is painted.
        OSError: a picture that does not exist, or a folder that cannot be written.

    Example:
        ```python
        import tempfile
        from neuralstyle import samples
        from neuralstyle.many import stylize_files

        with tempfile.TemporaryDirectory() as folder:
            samples.photo().save(f"{folder}/cat.jpg")
            samples.painting("swirl").save(f"{folder}/swirl.png")
            results = stylize_files(f"{folder}/cat.jpg", f"{folder}/swirl.png", f"{folder}/out", size=32, iterations=2)
            assert [result.status for result in results] == ["painted"]
        ```

    """
    from neuralstyle.many.settings import settings_of

    _check_options(options)
    return paint_files(
        pictures,
        style,
        output,
        partial(dict, **options),
        lambda styles: settings_of(options, styles),
        executor=executor,
        skip_existing=skip_existing,
        form=form or Form(),
    )


def paint_files(
    pictures: Paths,
    style: Any,
    output: str | os.PathLike[str],
    make: Callable[[], Mapping[str, Any]],
    describe: Callable[[Sequence[Style]], Settings],
    *,
    executor: Executor | None,
    skip_existing: bool,
    form: Form,
) -> Results:
    """As ``stylize_files``, with the options that ``make`` returns in the worker, and the settings of styles."""
    from neuralstyle.many.tasks import Results, paint_task

    check_executor(executor)
    tasks = list_tasks(pictures, style, output, make, describe, skip_existing=skip_existing, form=form)
    rehearse(tasks, is_here=executor is None)
    return Results(paint_task, tasks, executor)


def list_tasks(
    pictures: Paths,
    style: Any,
    output: str | os.PathLike[str],
    make: Callable[[], Mapping[str, Any]],
    describe: Callable[[Sequence[Style]], Settings],
    *,
    skip_existing: bool,
    form: Form,
) -> list[Task]:
    """Find the pictures and check everything that can be refused before the work; return the tasks.

    Raises:
        ValueError: as ``stylize_files``.
        OSError: as ``stylize_files``.

    """
    from neuralstyle.files import Write, check_paths
    from neuralstyle.images.formats import WRITTEN
    from neuralstyle.images.opening import most_pixels
    from neuralstyle.many.naming import name_results
    from neuralstyle.many.shards import share
    from neuralstyle.many.tasks import Task

    if form.suffix is not None and form.suffix.lower() not in WRITTEN:
        raise ValueError(f"unknown suffix {form.suffix!r}; use one of {' '.join(WRITTEN)}")
    groups = style_groups(style)
    check_paths([], [Write(Path(output), "the folder of the results", "folder")])
    others = [str(each.image) for styles in groups.values() for each in styles]
    results = name_results(pictures, Path(output), list(groups), others, recursive=form.recursive, suffix=form.suffix)
    saving = {"depth": form.depth, "quality": form.quality, "dpi": form.dpi, "overwrite": form.overwrite}
    tasks: list[Task] = []
    for name, styles in groups.items():
        settings = _with_form(describe(styles), form)
        tasks += [
            Task(file, styles, result, make, settings, saving, form.keep_profile, skip_existing, most_pixels())
            for file, result in results[name].items()
        ]
    return share(tasks, form.shard)


def style_groups(style: Any) -> dict[str, tuple[Style, ...]]:
    """The styles that are painted, each by the name of its folder; "" where there is but one.

    Raises:
        TypeError: a painting that is no file.
        ValueError: no painting, or two of one name.

    """
    from neuralstyle.styles import as_styles

    entries = list(style) if isinstance(style, (list, tuple)) else [style]
    found: dict[str, tuple[Style, ...]] = {}
    for entry in entries:
        styles = tuple(as_styles(entry))
        for each in styles:
            if not isinstance(each.image, (str, os.PathLike)):
                raise TypeError(f"paintings of many pictures are files, received {brief(each.image)}; save it first")
            if not Path(each.image).is_file():
                raise FileNotFoundError(f"there is no file {each.image}; check the name and the folder")
        name = "+".join(Path(str(each.image)).stem for each in styles)
        if name in found:
            raise ValueError(f"two styles are called {name}, and each has a folder of its name; rename a painting")
        found[name] = styles
    if not found or not all(found.values()):
        raise ValueError("no painting was given; give one or more")
    return found if len(found) > 1 else {"": next(iter(found.values()))}


def _with_form(settings: Settings, form: Form) -> Settings:
    """Add how the result is saved, where it is not the default."""
    said = {"depth": form.depth, "quality": form.quality, "dpi": form.dpi, "keep_profile": form.keep_profile}
    other = {name: value for name, value in said.items() if value != getattr(Form, name)}
    return replace(settings, options={**settings.options, **other})


def _check_options(options: Mapping[str, Any]) -> None:
    """Check what ``plan`` cannot know.

    Raises:
        TypeError: an unknown option, or a state for many pictures.

    """
    from neuralstyle.painting.options import DEFAULTS

    if options.get("state") is not None:
        raise TypeError("a state is of one picture; for many, call again with skip_existing=True, which goes on")
    known = [name for name in DEFAULTS if name != "state"]
    for name in options:
        if name not in DEFAULTS:
            raise TypeError(str(unknown("option", name, [*known, "executor", "skip_existing", "form"])))


def rehearse(tasks: Sequence[Task], *, is_here: bool) -> None:
    """Plan a picture that is known to be good, so that what is wrong is an option or a painting, and is said once.

    Args:
        tasks: the tasks.
        is_here: whether they run in this process; elsewhere there may be another device, and nothing is kept here.

    """
    from neuralstyle import samples
    from neuralstyle.machine.keeping import Kept, keeping
    from neuralstyle.many.tasks import KEPT
    from neuralstyle.painting.plan import plan

    for suffix in {task.output.suffix for task in tasks}:
        _check_format(suffix, tasks[0].form["depth"], tasks[0].form["dpi"])
    whole_number("quality", tasks[0].form["quality"], 1, 100)
    groups = {task.styles: task for task in tasks}
    with keeping(KEPT if is_here else Kept()):
        for styles, task in groups.items():
            elsewhere = {} if is_here else {"device": "cpu"}
            plan(samples.photo(), list(styles), **{**task.make(), **elsewhere, "progress": False})


def _check_format(suffix: str, depth: int, dpi: float | None) -> None:
    """Check that results can be saved with this suffix, depth and resolution."""
    from neuralstyle.images import check_output

    with tempfile.TemporaryDirectory() as folder:
        try:
            check_output(Path(folder) / f"picture{suffix}", depth=depth, dpi=dpi)
        except ValueError as error:
            raise ValueError(str(error).replace(f"{folder}{os.sep}picture", "a result ")) from None
