"""Trained networks over many files, through any executor."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from neuralstyle._errors import number
from neuralstyle.feedforward.inference import DEFAULT_TILE_SIDE
from neuralstyle.many.executors import Executor, check_executor

if TYPE_CHECKING:
    from neuralstyle.feedforward.finishing import Finish
    from neuralstyle.feedforward.options import Paths
    from neuralstyle.many.tasks import Result, Results


@dataclass(frozen=True)
class ApplyTask:
    """A picture to be painted by a trained network.

    Args:
        model: the file of the network, or the name of one that comes with the package.
        picture: the file of the photograph.
        output: the file of the result; its folder is created.
        content_scale: as in ``apply_model``.
        tile: as in ``apply_model``.
        device: as in ``apply_model``.
        finish: the result's colours and its file.
        skip_existing: leave a result that was painted with these settings.
        most_pixels: the limit of the pictures that are read.

    """

    model: str
    picture: Path
    output: Path
    content_scale: float
    tile: int | None
    device: str | None
    finish: Finish
    skip_existing: bool
    most_pixels: int

    def __str__(self) -> str:
        return str(self.picture)


def apply_task(task: ApplyTask) -> Result:
    """Paint the picture of a task and save it.

    Raises:
        ValueError: a picture or a network that cannot be used.
        OSError: a file that exists and was not painted with these settings, or cannot be read or written.

    """
    from neuralstyle.files import holding
    from neuralstyle.images import pixel_limit
    from neuralstyle.machine.keeping import keeping
    from neuralstyle.many.settings import Settings, digest
    from neuralstyle.many.tasks import KEPT, Result, why_skipped

    started = time.monotonic()
    with keeping(KEPT), pixel_limit(task.most_pixels):
        finish = {name: value for name, value in asdict(task.finish).items() if name != "overwrite"}
        options = {"content_scale": task.content_scale, "tile": task.tile, **finish}
        model = digest(task.model) or task.model
        settings = Settings("apply", options, {}, {"model": [model]}, digest(task.picture))
        try:
            with holding(task.output):
                skipped = why_skipped(task.output, settings, task.finish.overwrite, task.skip_existing)
                if skipped is None:
                    task.finish.check(task.picture, task.output)
                    _apply(task, settings.note())
        except BlockingIOError as error:
            if not task.skip_existing:
                raise
            skipped = str(error)
    status: Literal["painted", "skipped"] = "painted" if skipped is None else "skipped"
    return Result(task.picture, task.output, status, skipped, seconds=time.monotonic() - started)


def _apply(task: ApplyTask, note: str | None) -> None:
    from neuralstyle._stopping import stopping
    from neuralstyle.feedforward.files import load_divided, load_on_device
    from neuralstyle.feedforward.tiled import run_model
    from neuralstyle.machine.keeping import keep

    def key() -> tuple[Any, ...]:
        file = Path(task.model)
        return task.model, task.device, file.stat().st_mtime_ns if file.is_file() else None

    network = keep("network", key, lambda: load_on_device(task.model, task.device))
    content = load_divided(task.picture, task.content_scale)
    painted = task.finish.picture(run_model(network, content.colors, task.tile), content)
    with stopping.shield():
        task.finish.save(painted, task.picture, task.output, note)


def apply_to_files(
    model: str | os.PathLike[str],
    pictures: Paths,
    output: str | os.PathLike[str],
    *,
    executor: Executor | None = None,
    skip_existing: bool = False,
    shard: tuple[int, int] = (1, 1),
    content_scale: float = 1.0,
    tile: int | None = DEFAULT_TILE_SIDE,
    device: str | None = None,
    **finish: Any,
) -> Results:
    """Paint many files with a trained network, here or through an executor.

    The same as ``feedforward.apply_files``, for several processes or machines; and the settings travel in the results.

    Args:
        model: a file, or the name of a network that comes with the package.
        pictures: a file, a folder with all pictures below it, or a list of these.
        output: the folder of the results; it is created.
        executor: as in ``stylize_files``.
        skip_existing: leave results that were painted with these settings.
        shard: (K, N) paints the K-th of N shares of the pictures, K from 1.
        content_scale: as in ``apply_model``.
        tile: as in ``apply_model``.
        device: as in ``apply_model``.
        **finish: "color", "strength", "depth", "quality", "keep_profile", "dpi" and "overwrite", as in ``apply_files``.

    Returns:
        An iterator of a ``Result`` for each picture, as they come. The work is done while it is used.

    Raises:
        TypeError: an executor without ``submit``.
        ValueError: no picture, a bad network or option, or two results of one name, before anything is painted.
        OSError: a picture or network that does not exist, or a folder that cannot be written.

    Example:
        ```python
        import tempfile
        from neuralstyle import samples
        from neuralstyle.feedforward import shipped_models
        from neuralstyle.many import apply_to_files

        with tempfile.TemporaryDirectory() as folder:
            samples.photo().resize((48, 32)).save(f"{folder}/cat.jpg")
            results = apply_to_files(next(iter(shipped_models())), f"{folder}/cat.jpg", f"{folder}/out")
            assert [result.status for result in results] == ["painted"]
        ```

    """
    from neuralstyle.feedforward.files import load_on_device
    from neuralstyle.feedforward.finishing import Finish
    from neuralstyle.files import Write, check_paths
    from neuralstyle.images.opening import most_pixels
    from neuralstyle.many.naming import name_results
    from neuralstyle.many.shards import share
    from neuralstyle.many.tasks import Results

    check_executor(executor)
    finishing = Finish(**finish)
    number("content_scale", content_scale, above=0)
    check_paths([], [Write(Path(output), "the folder of the results", "folder")])
    results = name_results(pictures, Path(output), [""], [model], recursive=True)[""]
    load_on_device(model, "cpu" if executor is not None else device)  # so that a bad one is refused before the work
    limit = most_pixels()
    tasks = [
        ApplyTask(os.fspath(model), file, result, content_scale, tile, device, finishing, skip_existing, limit)
        for file, result in results.items()
    ]
    return Results(apply_task, share(tasks, shard), executor)
