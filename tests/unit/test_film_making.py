"""Making a film: finished frames are kept, scenes are apart, executors and callbacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from films import picture
from PIL import Image
from torch import Tensor

from neuralstyle import load_image
from neuralstyle.parameters import Smoothed
from neuralstyle.video import FilmProgress, PyramidFlow, apply_video
from neuralstyle.video import scenes as scenes_module
from neuralstyle.video.folder import Folder
from neuralstyle.video.optimised import Around
from neuralstyle.video.references import WarpedFrame
from neuralstyle.video.scan import Part, scan
from neuralstyle.video.scenes import SceneTask, paint_scene
from neuralstyle.video.work import Work


class Counting:
    """A network that paints negatives, and fails at one of its frames."""

    def __init__(self, fails_at: int = -1) -> None:
        self.seen, self.fails_at = 0, fails_at

    def __call__(self, image: Tensor) -> Tensor:
        self.seen += 1
        if self.seen == self.fails_at:
            raise RuntimeError("killed")
        return 1 - image


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Six frames: a scene of three, and one of three that is much lighter."""
    folder = tmp_path / "clip"
    folder.mkdir()
    for number in range(6):
        light = 0 if number < 3 else 55
        Image.fromarray(picture(number) // 2 + light * (number >= 3) * 2).save(folder / f"{number}.png")
    return folder


def make(clip: Path, output: Path, network: Any = None, **options: Any) -> list[Tensor]:
    options = {"steadiness": 0.5, "size": 96, "progress": False, **options}
    apply_video(network or Counting(), clip, output, **options)
    return [load_image(path) for path in sorted(output.glob("*.png"))]


def test_a_film_that_failed_goes_on_and_ends_with_the_same_bytes(clip: Path, tmp_path: Path) -> None:
    whole = make(clip, tmp_path / "whole")
    out = tmp_path / "out"
    for fails_at in (3, 6):  # the network is looked at once before the work
        with pytest.raises(RuntimeError, match="killed"):
            make(clip, out, Counting(fails_at))
        assert not out.exists()
    kept = sorted((tmp_path / "out.frames").glob("*.png"))
    times = {path: path.stat().st_mtime_ns for path in kept}
    assert 1 < len(kept) < 6
    network = Counting()
    resumed = make(clip, out, network)
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))
    assert network.seen == 1 + 6 - len(times)
    assert not (tmp_path / "out.frames").exists()


def test_a_folder_of_finished_frames_stays_and_belongs_to_one_film(clip: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    make(clip, tmp_path / "one", state=state)
    network = Counting()
    make(clip, tmp_path / "two", network, state=state)
    assert network.seen == 1
    with pytest.raises(ValueError, match="state belongs to a run with another steadiness"):
        make(clip, tmp_path / "three", state=state, steadiness=0.7)
    with pytest.raises(ValueError, match="state belongs to a run with another clip"):
        make(clip, tmp_path / "three", state=state, every=2)
    with pytest.raises(ValueError, match="is a folder of something else"):
        make(clip, tmp_path / "three", state=clip)
    (state / "settings.json").write_text("{")
    with pytest.raises(ValueError, match=r"settings.json is damaged"):
        make(clip, tmp_path / "three", state=state)


@pytest.mark.parametrize("passes", [2, 3])
def test_a_film_that_failed_in_a_later_pass_goes_on_and_ends_with_the_same_bytes(
    passes: int, clip: Path, tmp_path: Path
) -> None:
    whole = make(clip, tmp_path / "whole", passes=passes)
    out = tmp_path / "out"
    for fails_at in (4, 5, 10):  # twice in the second pass of the first scene, once in that of the second

        def fail(progress: FilmProgress, at: int = fails_at) -> None:
            if progress.frame == at:
                raise RuntimeError("killed")

        with pytest.raises(RuntimeError, match="killed"):
            make(clip, out, passes=passes, callback=fail)
        assert not out.exists()
    network = Counting()
    resumed = make(clip, out, network, passes=passes)
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))
    assert not (tmp_path / "out.frames").exists()


def test_a_second_pass_goes_backwards_over_what_the_first_has_kept(clip: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    once = make(clip, tmp_path / "once", state=state)
    kept = {path.name: path.read_bytes() for path in state.glob("*.png")}
    network, saved = Counting(), list[str]()

    def look(progress: FilmProgress) -> None:
        new = {path.name for path in (state / "pass-2").iterdir()} - set(saved)
        saved.extend(sorted(new))
        assert (progress.frame, progress.frames) == (6 + len(saved), 12)

    twice = make(clip, tmp_path / "twice", network, state=state, passes=2, callback=look)
    assert network.seen == 1  # before the work
    assert saved == [f"frame-{number:06d}.png" for number in (3, 2, 1, 6, 5, 4)]
    assert {path.name: path.read_bytes() for path in state.glob("*.png")} == kept
    changed = [not torch.equal(a, b) for a, b in zip(once, twice, strict=True)]
    assert changed == [True, True, False, True, True, False]  # a network leaves the last frame of a scene
    again = make(clip, tmp_path / "again", state=state)
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))


def test_a_pass_backwards_reads_the_clip_in_parts(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make(clip, tmp_path / "whole", passes=2)
    for frames in (1, 2):
        monkeypatch.setattr(scenes_module, "HELD_BYTES", frames * 12 * 96 * 64)
        parts = make(clip, tmp_path / f"{frames}", passes=2)
        assert all(torch.equal(a, b) for a, b in zip(whole, parts, strict=True))


class Spying:
    """Paints a scene darker in each pass, and notes what it is given."""

    holds = True

    def __init__(self) -> None:
        self.begun, self.painted, self.earlier = list[Tensor](), list[Tensor](), list[list[WarpedFrame]]()

    def __call__(self, content: Tensor) -> Spying:
        self.begun.append(content)
        return self

    def first(self, content: Tensor) -> Tensor:
        return self.next(content, ())

    def next(self, content: Tensor, earlier: Sequence[WarpedFrame]) -> Tensor:
        return self.again(content, 0.9 * content, earlier)

    def again(self, content: Tensor, painted: Tensor, earlier: Sequence[WarpedFrame]) -> Tensor:
        self.painted.append(painted)
        self.earlier.append(list(earlier))
        return 0.9 * painted


def test_a_later_pass_gets_the_first_frame_the_pass_before_and_ripe_neighbours(clip: Path, tmp_path: Path) -> None:
    opened = Folder(clip, Fraction(25))
    moments = scan(opened, Part()).scenes[1]
    work = Work(tmp_path / "work")
    work.begin({})
    for passes in (1, 2, 3):
        spy = Spying()
        task = SceneTask(opened, moments, (64, 96), spy, PyramidFlow(), (1,), passes, work.folder)
        assert paint_scene(task) == 3
        assert len(spy.begun) == 1
        assert torch.allclose(spy.begun[0], load_image(clip / "3.png"), atol=1e-6)
        assert [len(earlier) for earlier in spy.earlier] == [0, 1, 1]
        ripeness = spy.earlier[2][0].ripeness.min()
        if passes == 1:
            assert ripeness < 0.5  # where the square was
            continue
        assert ripeness > 0.999
        order = (5, 4, 3) if passes == 2 else (3, 4, 5)
        for number, painted in zip(order, spy.painted, strict=True):
            assert torch.equal(painted, load_image(work.load(number, passes - 1)))


def test_passes_that_are_painted_at_once_are_those_painted_one_by_one(clip: Path, tmp_path: Path) -> None:
    whole = make(clip, tmp_path / "whole", passes=3)
    for passes in (1, 2, 3):
        by_one = make(clip, tmp_path / f"{passes}", passes=passes, state=tmp_path / "state")
    assert all(torch.equal(a, b) for a, b in zip(whole, by_one, strict=True))


def test_a_film_that_is_stopped_in_its_second_pass_has_all_frames_of_that_scene(clip: Path, tmp_path: Path) -> None:
    assert len(make(clip, tmp_path / "some", passes=2, callback=lambda progress: progress.frame < 4)) == 3


def test_a_cut_leaves_no_ghost(clip: Path, tmp_path: Path) -> None:
    steady, free = make(clip, tmp_path / "steady", steadiness=1), make(clip, tmp_path / "free", steadiness=0)
    assert torch.equal(steady[3], free[3])  # the first of the second scene
    assert not torch.equal(steady[4], free[4])


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("executor", [ThreadPoolExecutor(2), None])
def test_scenes_over_an_executor_give_the_same_film(executor: Any, passes: int, clip: Path, tmp_path: Path) -> None:
    here = make(clip, tmp_path / "here", passes=passes)

    class SubmitOnly:
        def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
            found: Future[Any] = Future()
            found.set_result(function(*arguments))
            return found

    seen: list[tuple[int, Image.Image]] = []

    def look(progress: FilmProgress) -> None:
        seen.append((progress.frame, progress.image()))

    there = make(clip, tmp_path / "there", executor=executor or SubmitOnly(), passes=passes, callback=look)
    assert [frame for frame, _ in seen] == [3 * passes, 6 * passes]
    assert torch.equal(load_image(seen[-1][1]), here[-1])
    assert all(torch.equal(a, b) for a, b in zip(here, there, strict=True))


def test_a_scene_whose_worker_dies_is_painted_once_more(clip: Path, tmp_path: Path) -> None:
    class Dying:
        def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
            found: Future[Any] = Future()
            found.set_exception(OSError("the worker is gone"))
            return found

    assert len(make(clip, tmp_path / "out", executor=Dying())) == 6


def test_a_callback_sees_each_frame_and_may_stop(clip: Path, tmp_path: Path) -> None:
    seen: list[FilmProgress] = []
    make(clip, tmp_path / "whole", callback=seen.append)
    assert [progress.frame for progress in seen] == [1, 2, 3, 4, 5, 6]
    assert (seen[0].frames, seen[0].scenes, seen[-1].left) == (6, 2, 0)
    assert all(progress.seconds_per_frame is not None for progress in seen)
    assert len(make(clip, tmp_path / "some", callback=lambda progress: progress.frame < 4)) == 4


def test_a_callback_gets_the_frame_just_painted(clip: Path, tmp_path: Path) -> None:
    images: list[Image.Image] = []
    found = make(clip, tmp_path / "out", callback=lambda progress: images.append(progress.image()))
    assert all(torch.equal(load_image(image), frame) for image, frame in zip(images, found, strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steadiness": 1.5}, "steadiness is a finite number from 0 to 1, received 1.5"),
        ({"references": ()}, "references are frames before a frame, the nearest first"),
        ({"references": (8, 1)}, "references are frames before a frame, the nearest first"),
        ({"passes": 0}, "passes is a whole number of at least 1, received 0"),
        ({"passes": 2, "steadiness": 0}, "passes is 1 where every frame is painted on its own, received 2"),
        ({"quality": 0}, "quality is a whole number from 1 to 100, received 0"),
        ({"rate": 0}, "rate is a finite number above 0, received 0"),
        ({"size": 8}, "size is a whole number of at least 16 pixels"),
    ],
)
def test_bad_options_are_refused_before_any_work(
    options: dict[str, Any], message: str, clip: Path, tmp_path: Path
) -> None:
    network = Counting()
    with pytest.raises(ValueError, match=message):
        make(clip, tmp_path / "out", network, **options)
    assert network.seen == 0
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]


def test_a_steady_network_is_between_its_picture_and_the_frame_before(tmp_path: Path) -> None:
    folder = tmp_path / "grey"
    folder.mkdir()
    for number, level in enumerate((100, 110)):
        Image.fromarray(np.full((32, 48, 3), level, np.uint8)).save(folder / f"{number}.png")
    levels = [[float(frame.mean() * 255) for frame in make(folder, tmp_path / f"{s}", steadiness=s)] for s in (0, 1)]
    assert levels[0] == pytest.approx([155, 145])
    assert levels[1] == pytest.approx([155, 154], abs=0.6)  # a tenth of the way
    both = [float(frame.mean() * 255) for frame in make(folder, tmp_path / "both", steadiness=1, passes=2)]
    assert both == pytest.approx([154.1, 154], abs=0.6)


def test_frames_are_complete_or_missing(tmp_path: Path) -> None:
    work = Work(tmp_path / "work")
    work.begin({"a": "b"})
    work.save(4, Image.fromarray(picture(0)))
    assert (work.has(4), work.has(5)) == (True, False)
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["frame-000005.png", "settings.json"]


def test_a_start_stays_sharp_and_only_the_change_is_smooth() -> None:
    start = torch.rand(1, 3, 16, 16) * 0.5 + 0.25
    around = Around(start, Smoothed())
    assert torch.allclose(around.picture(start), start)
    change = torch.zeros_like(start)
    change[..., 8, 8] = 0.2
    assert torch.allclose(around.picture(start + change) - start, Smoothed().picture(change), atol=1e-6)
    x, z = torch.rand(2, 1, 3, 16, 16)  # the gradient is that of the smoothing, transposed
    assert torch.isclose((x * Smoothed().picture(z)).sum(), (around.gradient(x) * z).sum(), rtol=1e-4)
