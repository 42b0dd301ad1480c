"""Films: the frames of a clip painted in a style, steadily. Importing this file does not import torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuralstyle._errors import number, whole_number
from neuralstyle._stopping import interruptible
from neuralstyle._words import Color, Result

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from neuralstyle.encoders.base import Encoder
    from neuralstyle.feedforward.files import Model
    from neuralstyle.images import Picture, Size
    from neuralstyle.losses import Loss, LossSum
    from neuralstyle.objective.tiling import TileSize
    from neuralstyle.optimizers.base import Optimizer
    from neuralstyle.schedule import Schedule, Stage
    from neuralstyle.styles import Style
    from neuralstyle.video.flow import Flow
    from neuralstyle.video.making import Executor, Job
    from neuralstyle.video.painters import Painter
    from neuralstyle.video.progress import FilmCallback

DEFAULT_FRAME_ITERATIONS = 16
"""Evaluations for each frame but the first of a scene."""

DEFAULT_REFERENCES = (1, 8)
"""How many frames before a frame its references are: the last one, and one that still sees what that one hides."""

_OF_A_PICTURE = (
    *("schedule", "iterations", "losses", "optimizer", "encoder", "strength", "color", "result", "tile", "seed"),
    "device",
)
_OF_A_FILM = (
    *("size", "start", "end", "every", "rate", "sound", "quality", "references", "passes", "flow", "state"),
    *("overwrite", "executor", "callback", "progress"),
)


@interruptible
def stylize_video(
    clip: str | os.PathLike[str],
    style: Picture | Style | Sequence[Picture | Style],
    output: str | os.PathLike[str],
    *,
    steadiness: float = 0.5,
    size: Size = 512,
    start: float | None = None,
    end: float | None = None,
    every: int = 1,
    rate: float = 25.0,
    sound: bool = True,
    quality: int = 95,
    schedule: Schedule | Sequence[Stage] | str = "draft",
    iterations: int | None = None,
    frame_iterations: int = DEFAULT_FRAME_ITERATIONS,
    references: Sequence[int] = DEFAULT_REFERENCES,
    passes: int = 1,
    flow: Flow | None = None,
    losses: Loss | LossSum | None = None,
    optimizer: Optimizer | str | None = None,
    encoder: Encoder | str | None = None,
    strength: float = 0.5,
    color: Color = "style",
    result: Result | None = None,
    tile: TileSize = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    state: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    executor: Executor | None = None,
    callback: FilmCallback | None = None,
    progress: bool = True,
) -> Path:
    r"""Paint a clip in the style, so that what stands still stays still and what moves takes its paint along.

    The first frame of a scene is painted as by ``stylize``. Each frame after it starts from the one before, warped
    along the optical flow, and where that shows nothing of it from the content, in the colours of the paint. Then the
    losses of ``stylize`` and a ``TemporalLoss`` are lowered. A cut begins a new scene.

    Finished frames are kept as files in a folder until the film is written. A call that was killed goes on from there,
    and ends with the same film.

    Args:
        clip: a film (.mp4, .mov, .mkv, .webm and others that PyAV reads), an animated GIF, WebP or PNG, or a folder of
            frames.
        style: the painting or paintings, as in ``stylize``.
        output: the film: .mp4, .mov, .mkv, .webm, .gif, .webp, .apng, or a folder for PNG files. Films need PyAV
            (``pip install 'neuralstyle-torch[video]'``).
        steadiness: from 0, where every frame is painted on its own, to 1, where the paint moves only with the picture.
        size: longest side of the frames in pixels, or as in ``stylize``. Sides of films are even numbers.
        start: seconds of the clip at which to begin.
        end: seconds of the clip at which to end.
        every: paint every nth frame, each shown until the next.
        rate: frames a second, of a folder.
        sound: copy the sound of a film into a film.
        quality: of the pictures in the file, 1 to 100.
        schedule: of the first frame of each scene, as in ``stylize``. Its last stages paint the frames after it.
        iterations: of the first frame of each scene, as in ``stylize``.
        frame_iterations: number of evaluations for each frame after the first.
        references: how many frames before a frame each of its references is, the nearest first. Those after the first
            count where the ones before them show nothing: they bring back what was hidden for a while.
        passes: how often each scene is gone through. 1: forwards. 2: then backwards too, so that its beginning agrees
            with its end, and what something hides for a while with what appears behind it. More: by turns.
        flow: a function (frame, other) -> optical flow. None: OpenCV's, or ``PyramidFlow()`` if it is not installed.
        losses: as in ``stylize``.
        optimizer: as in ``stylize``. None: after the first frame of a scene ``Adam(lr=0.005)``, after ``LBFGS`` for
            what appears.
        encoder: as in ``stylize``.
        strength: as in ``stylize``.
        color: as in ``stylize``; "match" and the like take the colours of each scene's first frame.
        result: as in ``stylize``, for each frame. None: after the first frame of a scene the average of Adam's steps.
        tile: as in ``stylize``.
        seed: as in ``stylize``.
        device: as in ``stylize``.
        state: a folder for the finished frames, which then stay. None: ``OUTPUT.frames``, removed when the film is
            written.
        overwrite: replace an existing film.
        executor: paints scenes side by side: anything with ``submit`` whose answer has ``result()``, such as
            ``concurrent.futures.ProcessPoolExecutor(2)``. Its workers need the same files.
        callback: called with a ``FilmProgress`` after each frame; with an executor, after each scene. Returning False
            stops the work, and the film ends there.
        progress: show a progress bar.

    Returns:
        The path of the film.

    Raises:
        ValueError: bad input, or an HDR film; before any long work.
        ImportError: PyAV is needed and not installed.
        OSError: a file that does not exist, exists already or cannot be written.

    Example:
        ```python
        import tempfile
        from neuralstyle import samples
        from neuralstyle.video import stylize_video

        with tempfile.TemporaryDirectory() as folder:
            photo = samples.photo().resize((48, 32))
            shifted = [photo.transform(photo.size, 0, (1, 0, shift, 0, 1, 0)) for shift in range(2)]
            photo.save(f"{folder}/clip.gif", save_all=True, append_images=shifted[1:], duration=100)
            film = stylize_video(
                f"{folder}/clip.gif", samples.painting("swirl", size=64), f"{folder}/film.webp", size=48, iterations=2
            )
        ```

    Paper: Ruder, Dosovitskiy and Brox 2016, arXiv 1604.08610. Departures: the loss and schedule of ``stylize``; hidden
    places take the colours of the paint; pixels whose surroundings change by no more than noise do not move. Passes are
    optional; each has the temporal loss and, but for the first, starts from the frame painted last alone where that
    can be trusted: there the first passes have no temporal loss, and a start is the mean of both.

    """
    given: dict[str, Any] = dict(locals())
    from neuralstyle.video.making import make_film
    from neuralstyle.video.optimised import Optimised

    steadiness = number("steadiness", steadiness, least=0, most=1)
    frame_iterations = whole_number("frame_iterations", frame_iterations, 1)
    options = {name: given[name] for name in _OF_A_PICTURE} | {"progress": False}

    def begin(first: Tensor, shape: tuple[int, int]) -> tuple[Painter, Mapping[str, Any]]:
        painter = Optimised(style, {**options, "size": max(shape)}, steadiness, frame_iterations)
        own = {"steadiness": steadiness, "evaluations of a frame": frame_iterations}
        return painter, {**painter.plan(first).settings(), **own}

    job = _job(clip, output, steadiness, **{name: given[name] for name in _OF_A_FILM})
    return make_film(job, begin)


@interruptible
def apply_video(
    model: Model,
    clip: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    steadiness: float = 0.5,
    size: Size = 512,
    start: float | None = None,
    end: float | None = None,
    every: int = 1,
    rate: float = 25.0,
    sound: bool = True,
    quality: int = 95,
    references: Sequence[int] = DEFAULT_REFERENCES,
    passes: int = 1,
    flow: Flow | None = None,
    tile: int | None = 1536,
    device: str | torch.device | None = None,
    state: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    executor: Executor | None = None,
    callback: FilmCallback | None = None,
    progress: bool = True,
) -> Path:
    """Paint a clip with a trained network, and steady it along the optical flow.

    Args:
        model: as in ``apply_model``.
        clip: as in ``stylize_video``, and so are all arguments that are not listed here.
        output: as there.
        steadiness: from 0, where every frame is the network's own, to 1.
        size: as there.
        start: as there.
        end: as there.
        every: as there.
        rate: as there.
        sound: as there.
        quality: as there.
        references: as there.
        passes: as there; the network paints in the first one only.
        flow: as there.
        tile: as in ``apply_model``.
        device: as in ``apply_model``.
        state: as in ``stylize_video``.
        overwrite: as there.
        executor: as there.
        callback: as there.
        progress: as there.

    Returns:
        The path of the film.

    Raises:
        ValueError: as in ``stylize_video``, or a bad model.
        ImportError: as there.
        OSError: as there.

    Example:
        ```python
        import tempfile
        from neuralstyle import samples
        from neuralstyle.feedforward import TransformerNet
        from neuralstyle.video import apply_video

        with tempfile.TemporaryDirectory() as folder:
            photo = samples.photo().resize((48, 32))
            photo.save(f"{folder}/clip.gif", save_all=True, append_images=[photo.rotate(2)], duration=100)
            apply_video(TransformerNet(width=8), f"{folder}/clip.gif", f"{folder}/film.webp", size=48)
        ```

    """
    from neuralstyle.checkpoint import fingerprint
    from neuralstyle.video.by_network import ByNetwork
    from neuralstyle.video.making import make_film

    steadiness = number("steadiness", steadiness, least=0, most=1)

    def begin(first: Tensor, shape: tuple[int, int]) -> tuple[Painter, Mapping[str, Any]]:
        painter = ByNetwork(model, tile, device, steadiness)
        # What it paints stands for the network, whatever kind of file that is in.
        return painter, {"steadiness": steadiness, "network": fingerprint(painter(first).first(first))}

    job = _job(
        clip,
        output,
        steadiness,
        size=size,
        start=start,
        end=end,
        every=every,
        rate=rate,
        sound=sound,
        quality=quality,
        references=references,
        passes=passes,
        flow=flow,
        state=state,
        overwrite=overwrite,
        executor=executor,
        callback=callback,
        progress=progress,
    )
    return make_film(job, begin)


def _job(
    clip: str | os.PathLike[str],
    output: str | os.PathLike[str],
    steadiness: float,
    *,
    start: float | None,
    end: float | None,
    every: int,
    rate: float,
    sound: bool,
    quality: int,
    references: Sequence[int],
    passes: int,
    flow: Flow | None,
    state: str | os.PathLike[str] | None,
    **others: Any,
) -> Job:
    """Check what both functions share."""
    from neuralstyle.video.flow import default_flow
    from neuralstyle.video.making import Job
    from neuralstyle.video.opening import open_clip, target_of
    from neuralstyle.video.scan import Part

    part = Part(start, end, every)
    found = tuple(whole_number("a number of references", each, 1) for each in references)
    if not found or list(found) != sorted(set(found)):
        raise ValueError(f"references are frames before a frame, the nearest first, such as (1, 8), received {found}")
    if whole_number("passes", passes, 1) > 1 and not steadiness:
        raise ValueError(
            f"passes is 1 where every frame is painted on its own, received {passes}; give a steadiness above 0"
        )
    target = target_of(output, quality=quality, sound=sound)
    return Job(
        clip=open_clip(clip, rate),
        target=target,
        part=part,
        flow=None if not steadiness else flow or default_flow(),
        references=found,
        passes=passes,
        state=None if state is None else Path(state),
        **others,
    )
