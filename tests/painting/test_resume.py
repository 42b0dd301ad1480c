from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import Descent, painting, two_stages
from PIL import Image
from torch import Tensor

import neuralstyle
from neuralstyle import (
    LBFGS,
    Adam,
    ContentLoss,
    FeatureExtractor,
    GramStyleLoss,
    LossLog,
    Noise,
    PointwiseLoss,
    SavePictures,
    Stage,
    StateFile,
    Style,
    iterate,
    plan,
    reconstruct_content,
    samples,
    stylize,
    synthesize_texture,
)
from neuralstyle.callbacks import read_losses
from neuralstyle.checkpoint import describe, fingerprint, load_state, save_state
from neuralstyle.cli import main
from neuralstyle.files import holding
from neuralstyle.images import to_pil
from neuralstyle.painting.forecast import OVERHEAD
from neuralstyle.painting.progress import Run
from neuralstyle.painting.resume import RunState
from neuralstyle.painting.stages import PlannedStage

LOSSES = ContentLoss("relu1_1") + 10 * GramStyleLoss(("relu1_1",))
TOTAL = 8  # evaluations of the run below, over its two stages


@pytest.fixture(autouse=True)
def _careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are not flushed to the disk, which takes its time."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.fixture(scope="module")
def style() -> Image.Image:
    return samples.painting("embers", size=64)


@pytest.fixture(scope="module")
def run(photo: Tensor, style: Image.Image, encoder: FeatureExtractor) -> Callable[..., Image.Image]:
    """A short run at two stages, of 3 and 5 evaluations, that writes its state after each step."""

    def paint(state=None, every=0, **options):
        quick = {"style": style, "losses": LOSSES, "encoder": encoder, "size": 48, "iterations": 5}
        options = {**quick, "schedule": two_stages, **options}
        state = None if state is None else StateFile(state, every=every)
        return stylize(options.pop("content", photo), options.pop("style"), progress=False, state=state, **options)

    return paint


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "run.state"


@pytest.fixture(scope="module")
def stopped(run: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The state of that run, stopped in its second stage."""
    path = tmp_path_factory.mktemp("stopped") / "run.state"
    run(path, callback=stop_at(5))
    return path.read_bytes()


def stop_at(number: int) -> Callable[[Any], bool]:
    return lambda progress: progress.iteration < number


def torch_lbfgs(x: Tensor) -> torch.optim.Optimizer:
    return torch.optim.LBFGS([x], max_iter=2)


OPTIMIZERS = {
    "LBFGS in a folder": lambda folder: LBFGS(history=2, store=folder),
    "Adam": lambda folder: Adam(),
    "torch LBFGS": lambda folder: torch_lbfgs,  # takes a step every other evaluation
}


def torch_sgd(x: Tensor, **options: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD([x], lr=1, **options)


# --- the same bytes


@pytest.mark.parametrize(
    ("name", "stops"), [("LBFGS in a folder", (1, 3, 6)), ("Adam", (5,)), ("torch LBFGS", (5,))], ids=str
)
def test_a_run_stopped_at_any_evaluation_goes_on_to_the_same_bytes(
    run: Callable[..., Any], state: Path, name: str, stops: tuple[int, ...], tmp_path: Path
) -> None:
    optimizer = OPTIMIZERS[name](tmp_path)
    whole = run(optimizer=optimizer).tobytes()
    for number in stops:  # the first, the last of a stage and one between
        state.unlink(missing_ok=True)
        counts = []
        run(state, optimizer=optimizer, callback=stop_at(number))
        image = run(state, optimizer=optimizer, callback=lambda progress, c=counts: c.append(progress.iteration))
        assert image.tobytes() == whole
        assert max(1, number - 3) <= counts[0] <= number  # a step, and at the end of a stage the last one, again
        assert counts == list(range(counts[0], TOTAL + 1))


@pytest.mark.parametrize(
    ("optimizer", "result"),
    [(LBFGS(), "best"), (LBFGS(), "last"), (Adam(), "average")],
    ids=["best", "last", "average"],
)
def test_a_run_that_breaks_again_and_again_ends_with_the_same_bytes(
    run: Callable[..., Any], state: Path, result: Any, optimizer: Any
) -> None:
    options = {"result": result, "optimizer": optimizer, "init": "noise", "color": "luminance"}
    whole, starts = run(**options), []

    def breaks(progress):
        starts.append(progress.iteration)
        if starts.count(progress.iteration) == 1:  # at each evaluation, the first time that it is reached
            raise ZeroDivisionError

    for _ in range(TOTAL):
        with pytest.raises(ZeroDivisionError) as caught:
            run(state, callback=breaks, **options)
        assert caught.value.image.size == (48, 32)
    image = run(state, callback=breaks, **options)
    assert set(starts) == set(range(1, TOTAL + 1))
    assert image.tobytes() == whole.tobytes()


def test_a_run_that_is_killed_goes_on_to_the_same_bytes(
    run: Callable[..., Any], state: Path, tmp_path: Path, photo: Tensor, style: Image.Image
) -> None:
    to_pil(photo).save(tmp_path / "photo.png")
    style.save(tmp_path / "style.png")
    code = f"""
        import os, signal, torch
        from neuralstyle import *
        torch.set_num_threads({torch.get_num_threads()})

        def kill(progress):
            if progress.iteration == 7:
                os.kill(os.getpid(), signal.SIGKILL)

        stylize(
            "photo.png", "style.png", size=48, iterations=5, state=StateFile("run.state", every=0), progress=False,
            losses=ContentLoss("relu1_1") + 10 * GramStyleLoss(("relu1_1",)), encoder=FeatureExtractor(),
            schedule=lambda size, iterations: [Stage(size // 2, 3), Stage(size, iterations)],
            callback=[LossLog("log.csv"), SavePictures("{{}}.png", every=2), kill],
        )
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, check=False)
    assert killed.returncode == -signal.SIGKILL
    files = {"content": tmp_path / "photo.png", "style": tmp_path / "style.png"}
    counts = []
    image = run(state, **files, callback=[
        LossLog(tmp_path / "log.csv", resume=True), lambda progress: counts.append(progress.iteration),
    ])  # fmt: skip
    assert counts[0] in (6, 7)
    assert image.tobytes() == run(**files).tobytes()
    assert [row["iteration"] for row in read_losses(tmp_path / "log.csv")] == list(range(1, TOTAL + 1))
    names = ["2.png", "4.png", "6.png", "log.csv", "photo.png", "run.state", "style.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


SETTINGS = {
    "noise": lambda: {"init": Noise("style"), "seed": 3},
    "a blend": lambda: {"init": Noise("gaussian", blend=0.4)},
    "a function as start": lambda: {"init": lambda content: 1 - content},
    "tiles": lambda: {"tile": 32},
    "colours matched": lambda: {"color": "match"},
    "histogram": lambda: {"color": "histogram"},
    "one scale": lambda: {"schedule": [Stage(48, 6)]},
    "another encoder at first": lambda: {"schedule": [Stage(48, 3, FeatureExtractor(pooling="average")), Stage(48, 3)]},
    "equal scales": lambda: {"schedule": lambda size, iterations: [Stage(size, 3), Stage(size, 3)]},
    "a region": lambda: {
        "style": [
            Style(painting("mosaic"), region=Image.new("L", (16, 16), 128), scale=0.5),
            Style(painting("swirl"), mask=np.eye(32, dtype=np.float32), weight=2),
        ],
        "losses": GramStyleLoss(("relu1_1",)),
    },
    "a loss of one's own": lambda: {"losses": LOSSES + 3 * Lightness(lambda value: 2 * value)},
    "a strategy of one's own": lambda: {"optimizer": Descent()},
    "a partial": lambda: {"optimizer": partial(torch_sgd, momentum=0.5)},
    "an unnamed function": lambda: {"optimizer": lambda x: torch.optim.RMSprop([x], lr=0.01)},
}


@dataclass(frozen=True)
class Lightness(PointwiseLoss):
    """Its text holds the address of a function."""

    scale: object
    layers: tuple[str, ...] = ("image",)
    reference: str = "content"

    def error(self, x: Tensor, target: Any) -> Tensor:
        return self.scale((x - target).mean(1, keepdim=True).square())


@pytest.mark.parametrize("name", SETTINGS)
def test_whatever_the_settings_equal_ones_go_on_to_the_same_bytes(
    run: Callable[..., Any], state: Path, name: str
) -> None:
    # They are made anew each time, as another process would make them.
    whole = run(**SETTINGS[name]())
    run(state, callback=stop_at(5), **SETTINGS[name]())
    counts = []
    image = run(state, callback=lambda progress: counts.append(progress.iteration), **SETTINGS[name]())
    assert counts[0] > 2
    assert image.tobytes() == whole.tobytes()


def test_double_precision_goes_on_to_the_same_bytes(
    run: Callable[..., Any], state: Path, encoder64: FeatureExtractor
) -> None:
    whole = run(encoder=encoder64)
    run(state, callback=stop_at(6), encoder=encoder64)
    assert load_state(state, kind="neuralstyle run")["minimum"]["kept"].dtype == torch.float64
    assert run(state, encoder=encoder64).tobytes() == whole.tobytes()


@pytest.mark.parametrize("paint", ["texture", "reconstruct"])
def test_textures_and_reconstructions_go_on_too(
    paint: str, photo: Tensor, style: Image.Image, encoder: FeatureExtractor, state: Path
) -> None:
    def run(**options):
        quick = {"encoder": encoder, "size": 48, "iterations": 5, "schedule": two_stages, "progress": False}
        if paint == "texture":
            return synthesize_texture(style, losses=GramStyleLoss(("relu1_1",)), **quick, **options)
        return reconstruct_content(photo, "relu1_1", **quick, **options)

    whole = run()
    run(state=StateFile(state, every=0), callback=stop_at(6))
    assert run(state=StateFile(state, every=0)).tobytes() == whole.tobytes()


def test_a_loop_that_was_left_goes_on_in_another(run: Callable[..., Any], state: Path) -> None:
    whole = run()
    for progress in iterate(run, state):
        if progress.iteration == 6:
            break
    steps = list(iterate(run, state))
    assert steps[0].iteration in (6, 7)
    assert steps[-1].image().tobytes() == whole.tobytes()


def test_a_finished_run_gives_its_picture_again(run: Callable[..., Any], state: Path) -> None:
    whole = run(state)
    counts = []
    assert run(state, callback=lambda progress: counts.append(progress.iteration)).tobytes() == whole.tobytes()
    assert counts[-1] == TOTAL  # the last step is done again, so that there is a Progress to show


def test_a_scale_that_converges_early_goes_on_too(run: Callable[..., Any], state: Path) -> None:
    # The losses of the start, compared with itself, are 0: there is nothing to do at any scale.
    options = {"losses": ContentLoss("relu1_1"), "style": painting("swirl")}
    whole = run(**options)
    run(state, callback=stop_at(1), **options)
    assert run(state, **options).tobytes() == whole.tobytes()


# --- what comes with a continued run


def test_the_log_and_the_pictures_are_those_of_the_uninterrupted_run(
    run: Callable[..., Any], state: Path, tmp_path: Path
) -> None:
    def watching(folder, **options):
        folder.mkdir(exist_ok=True)
        return [
            LossLog(folder / "log.csv", **options),
            LossLog(folder / "log.jsonl", **options),
            SavePictures(folder / "{:02d}.png", every=2, overwrite=bool(options)),
        ]

    run(callback=watching(tmp_path / "whole"))
    run(state, callback=[*watching(tmp_path / "parts"), stop_at(3)])
    run(state, callback=[*watching(tmp_path / "parts", resume=True), stop_at(7)])
    run(state, callback=watching(tmp_path / "parts", resume=True))
    whole, parts = ({path.name: path for path in (tmp_path / name).iterdir()} for name in ("whole", "parts"))
    assert sorted(whole) == sorted(parts) == ["02.png", "04.png", "06.png", "08.png", "log.csv", "log.jsonl"]
    for name, path in whole.items():
        if path.suffix == ".png":
            assert path.read_bytes() == parts[name].read_bytes()
        else:
            rows = [[{**row, "seconds": 0} for row in read_losses(file)] for file in (path, parts[name])]
            assert rows[0] == rows[1]
            seconds = [row["seconds"] for row in read_losses(parts[name])]
            assert seconds == sorted(seconds)  # the clock goes on


def test_progress_counts_on(run: Callable[..., Any], state: Path) -> None:
    whole, parts = [], []
    run(callback=whole.append)
    run(state, callback=lambda progress: parts.append(progress) or progress.iteration < 6)
    before = load_state(state, kind="neuralstyle run")
    run(state, callback=parts.append)
    parts = {progress.iteration: progress for progress in parts}.values()
    for a, b in zip(whole, parts, strict=True):
        assert (a.iteration, a.total, a.stage, a.size, a.loss, a.terms) == (
            b.iteration, b.total, b.stage, b.size, b.loss, b.terms,
        )  # fmt: skip
        assert a.image().tobytes() == b.image().tobytes()
    assert all(progress.elapsed > before["elapsed"] for progress in list(parts)[before["iteration"] :])


def test_the_bar_goes_on_where_it_was(capsys: pytest.CaptureFixture[str], encoder: FeatureExtractor) -> None:
    def planned(size, iterations, cost=1.0):
        return PlannedStage(size, size, size, iterations, encoder, LOSSES, cost)

    bar = Run([planned(16, 4), planned(20, 5, cost=0.5)], [], True, lambda found, levels: found)
    bar.enter(1, 2)
    work = 4 * (16**2 + OVERHEAD) + 2 * (20**2 // 2 + OVERHEAD)
    total = 4 * (16**2 + OVERHEAD) + 5 * (20**2 // 2 + OVERHEAD)
    assert (bar.bar.initial, bar.bar.n, bar.bar.total) == (work, work, total)
    bar.close()
    assert "20 px vgg19" in capsys.readouterr().err


def test_an_error_before_a_continued_run_goes_on_carries_the_picture_so_far(
    run: Callable[..., Any], state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []
    run(state, callback=lambda progress: shown.append(progress) or progress.iteration < 7)
    kept = load_state(state, kind="neuralstyle run")["minimum"]["kept"]

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(neuralstyle.painting.stages, "Objective", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        run(state)
    assert caught.value.image.tobytes() == to_pil(kept).tobytes()


# --- the file


def test_nothing_but_the_state_is_left_beside_it(run: Callable[..., Any], state: Path, stopped: bytes) -> None:
    state.write_bytes(stopped)
    notes = state.with_name(f".{state.name}-notes.tmp")  # somebody's, whatever it is called
    notes.mkdir()
    run(state)
    assert sorted(path.name for path in state.parent.iterdir()) == [notes.name, state.name]


def test_a_state_is_used_by_one_run_at_a_time(run: Callable[..., Any], state: Path, stopped: bytes) -> None:
    state.write_bytes(stopped)
    with holding(state), pytest.raises(BlockingIOError, match="is being written by another run"):
        run(state)
    assert state.read_bytes() == stopped
    run(state)


def test_without_a_state_nothing_is_written(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run()
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_rewritten_at_its_interval(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, written = [100.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    file = RunState(StateFile(state, every=10), {})
    monkeypatch.setattr(
        neuralstyle.painting.resume, "save_state", lambda path, state, kind: written.append(state["number"])
    )
    for number in range(100, 140):
        now[0] = float(number)
        file.save_if_due({"number": number})
    assert written == [110, 120, 130]


def test_the_time_that_writing_takes_does_not_count(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, written = [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def slow(path, state, kind):
        written.append(state["number"])
        now[0] += 30  # longer than the interval

    file = RunState(StateFile(state, every=10), {})
    monkeypatch.setattr(neuralstyle.painting.resume, "save_state", slow)
    for number in range(30):
        now[0] += 1
        file.save_if_due({"number": number})
    assert written == [9, 19, 29]


def test_a_run_stopped_before_its_first_state_starts_again_with_these_settings_or_others(
    run: Callable[..., Any], state: Path
) -> None:
    whole = run(seed=1, init="noise")
    run(state, callback=stop_at(6), every=1000)
    assert list(load_state(state, kind="neuralstyle run")) == ["settings"]
    counts = []
    image = run(state, seed=1, init="noise", callback=lambda progress: counts.append(progress.iteration))
    assert counts == list(range(1, TOTAL + 1))
    assert image.tobytes() == whole.tobytes()


def test_the_file_is_there_before_the_first_evaluation(run: Callable[..., Any], state: Path) -> None:
    # So whoever finds what callbacks have written finds the file as well, and knows that a run is to be continued.
    there = []
    run(state, callback=lambda progress: there.append(state.exists()) or False, every=1000)
    assert there == [True]


@pytest.mark.parametrize("interval", [-1, float("nan"), float("inf"), True], ids=str)
def test_a_bad_interval_is_named(state: Path, interval: float) -> None:
    with pytest.raises(ValueError, match=r"every is a finite number of at least 0 seconds, received"):
        StateFile(state, every=interval)


def test_a_bad_place_is_named_before_any_work(run: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*missing"):
        run(tmp_path / "missing" / "run.state", callback=pytest.fail)
    with pytest.raises(IsADirectoryError, match="is a folder"):
        run(tmp_path, callback=pytest.fail)


def test_a_place_that_cannot_be_written_is_named_before_any_work(
    run: Callable[..., Any], state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(PermissionError, match=r"cannot write in folder .*Read-only"):
        run(state, callback=pytest.fail)


def test_a_disk_that_fails_midway_hands_over_the_picture(
    run: Callable[..., Any], state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path, state, kind):
        if state.get("iteration", 0) >= 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(neuralstyle.painting.resume, "save_state", full)
    with pytest.raises(OSError, match="No space") as caught:
        run(state)
    assert isinstance(caught.value.image, Image.Image)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "of another kind"])
def test_a_damaged_state_is_named_and_left_as_it_is(
    run: Callable[..., Any], state: Path, stopped: bytes, damage: str
) -> None:
    if damage == "of another kind":
        save_state(state, {"settings": {}})
    else:
        state.write_bytes({"cut": stopped[:-100], "empty": b"", "text": b"some text of mine"}[damage])
    before = state.read_bytes()
    with pytest.raises(ValueError, match=r"run\.state (is damaged|holds a state, not a neuralstyle run)"):
        run(state, callback=pytest.fail)
    assert state.read_bytes() == before


class Custom(torch.nn.Module):
    """A network of one's own."""

    layers = FeatureExtractor().layers

    def __init__(self, encoder: FeatureExtractor) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        return self.encoder(image, layers)


CHANGES = {
    "content": (lambda: {"content": samples.photo().resize((96, 64)).rotate(180)}, "start"),
    "content, same start": (lambda: {"content": samples.photo().rotate(180), "init": "noise"}, "content"),
    "style": (lambda: {"style": painting("mosaic")}, "style"),
    "colour": (lambda: {"color": "match"}, "style"),
    "colour afterwards": (lambda: {"color": "luminance"}, "color"),
    "style's weight": (lambda: {"style": [Style(painting("embers"), weight=0.5)]}, "style"),
    "style's scale": (lambda: {"style": Style(painting("embers"), scale=0.5)}, "style"),
    "style's mask": (lambda: {"style": Style(painting("embers"), mask=np.eye(20))}, "style"),
    "style's region": (lambda: {"style": Style(painting("embers"), region=np.eye(20))}, "style"),
    "losses' weights": (lambda: {"losses": 2 * LOSSES}, "losses"),
    "losses' layers": (lambda: {"losses": ContentLoss("relu1_2") + 10 * GramStyleLoss(("relu1_1",))}, "losses"),
    "strength": (lambda: {"strength": 0.6}, "losses"),
    "losses of a stage": (
        lambda: {"schedule": [Stage(24, 3, losses=lambda losses: 2 * losses), Stage(48, 5)]},
        "losses",
    ),
    "size": (lambda: {"size": 50}, "sizes and iterations"),
    "iterations": (lambda: {"iterations": 6}, "sizes and iterations"),
    "schedule": (lambda: {"schedule": neuralstyle.schedule.single_scale}, "sizes and iterations"),
    "optimizer": (lambda: {"optimizer": Adam()}, "optimizer"),
    "optimizer's options": (lambda: {"optimizer": LBFGS(history=5)}, "optimizer"),
    "encoder's options": (lambda: {"encoder": FeatureExtractor(pooling="l2")}, "encoder"),
    "encoder": (lambda: {"encoder": Custom(FeatureExtractor())}, "encoder"),
    "precision": (lambda: {"encoder": FeatureExtractor().double()}, "precision"),
    "tile": (lambda: {"tile": 16}, "tile"),
    "result": (lambda: {"result": "average"}, "result"),
    "init": (lambda: {"init": "style"}, "start"),
    "seed": (lambda: {"seed": 1, "init": Noise(blend=0.5)}, "start"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_other_settings_are_named_and_the_state_is_left_as_it_is(
    run: Callable[..., Any], state: Path, stopped: bytes, name: str
) -> None:
    make, named = CHANGES[name]
    changed = make()
    same = {"seed": {"init": Noise(blend=0.5)}, "content, same start": {"init": "noise"}}.get(name)
    if same is None:
        state.write_bytes(stopped)
    else:
        run(state, callback=stop_at(2), **same)
    before = state.read_bytes()
    with pytest.raises(ValueError, match=rf"run\.state belongs to a run with another {named} \("):
        run(state, callback=pytest.fail, **changed)
    assert state.read_bytes() == before


def test_another_mask_of_the_same_kind_is_another_setting(run: Callable[..., Any], state: Path) -> None:
    def masked(value):
        return Style(painting("embers"), mask=Image.linear_gradient("L").point(lambda v: v * value))

    losses = GramStyleLoss(("relu1_1",))
    run(state, callback=stop_at(2), style=masked(1), losses=losses)
    with pytest.raises(ValueError, match="another style"):
        run(state, style=masked(0.5), losses=losses)


def test_another_version_is_another_setting(
    run: Callable[..., Any], state: Path, stopped: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.write_bytes(stopped)
    monkeypatch.setattr(neuralstyle.painting.resume, "full_version", lambda: "9.9")
    with pytest.raises(ValueError, match=r"another version of neuralstyle \(.*, now 9\.9\)"):
        run(state)


def test_what_changes_no_byte_may_change(run: Callable[..., Any], state: Path, stopped: bytes) -> None:
    whole = run()
    state.write_bytes(stopped)
    assert run(state, callback=[lambda progress: None], every=100).tobytes() == whole.tobytes()


# --- the command line


@pytest.mark.parametrize("depth", ["8", "16"])
def test_the_same_command_goes_on_after_an_interrupt_and_ends_with_the_same_files(
    photo: Tensor, style: Image.Image, tmp_path: Path, depth: str
) -> None:
    def command(folder):
        out, log, steps, state = (str(folder / name) for name in ("out.png", "log.csv", "{:02d}.png", "run.state"))
        files = ["-o", out, "--log", log, "--snapshots", steps, "--snapshots-every", "2", "--state", state]
        layers = ["--content-layers", "relu1_1", "--style-layers", "relu1_1"]
        numbers = ["--size", "48", "--iterations", "2", "--state-every", "0", "--depth", depth]
        return main(["stylize", str(tmp_path / "photo.png"), str(tmp_path / "style.png"), "--quiet",
                     *files, *layers, *numbers])  # fmt: skip

    def left(folder):
        return {path.name: path.read_bytes() for path in folder.glob("*.png")}

    to_pil(photo).save(tmp_path / "photo.png")
    style.save(tmp_path / "style.png")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    assert command(whole) == 0
    for number in (1, 4, 2):  # the evaluation at which it is stopped, counted from where it goes on
        calls, evaluate = [], neuralstyle.Objective.evaluate

        def interrupted(*arguments, calls=calls, number=number, evaluate=evaluate, **options):
            calls.append(1)
            if len(calls) == number:
                raise KeyboardInterrupt
            return evaluate(*arguments, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(neuralstyle.Objective, "evaluate", interrupted)
            assert command(parts) == 130
        assert (parts / "run.state").exists()
    assert command(parts) == 0
    assert left(parts) == left(whole)
    assert sorted(path.name for path in parts.iterdir()) == ["02.png", "04.png", "06.png", "log.csv", "out.png"]
    rows = [[{**row, "seconds": 0} for row in read_losses(folder / "log.csv")] for folder in (whole, parts)]
    assert rows[0] == rows[1]


def test_the_state_of_another_run_excuses_no_file_that_exists(
    photo: Tensor, style: Image.Image, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    to_pil(photo).save("photo.png")
    style.save("style.png")
    command = ["stylize", "photo.png", "style.png", "-o", "holiday.png", "--state", "run.state", "--quiet"]
    layers = ["--content-layers", "relu1_1", "--style-layers", "relu1_1", "--size", "32"]
    made = plan(photo, style, size=32, iterations=1, encoder=FeatureExtractor(), progress=False)
    save_state("run.state", {"settings": {**made.settings(), "sizes and iterations": "others"}}, kind="neuralstyle run")
    Path("holiday.png").write_bytes(b"holiday")
    before = Path("run.state").read_bytes()
    assert main([*command, *layers, "--iterations", "1"]) == 2
    assert "holiday.png exists; pass" in capsys.readouterr().err
    assert (Path("holiday.png").read_bytes(), Path("run.state").read_bytes()) == (b"holiday", before)
    # With --overwrite the run is started anew.
    assert main([*command, *layers, "--iterations", "1", "--overwrite"]) == 0
    assert Path("holiday.png").read_bytes() != b"holiday"


# --- the parts


def test_a_fingerprint_tells_pictures_apart(noise: Noise) -> None:
    picture = noise(1, 3, 20, 30)
    assert fingerprint(picture) == fingerprint(picture.clone()) == fingerprint(
        picture.contiguous(memory_format=torch.channels_last)
    )  # fmt: skip
    assert fingerprint(picture).startswith("30 x 20 pixels ")
    other = picture.clone()
    other[0, 2, 19, 29] += 1e-6
    turned = picture.reshape(1, 3, 30, 20)
    assert len({fingerprint(p) for p in (picture, other, turned, picture.double(), None)}) == 5
    assert fingerprint(picture.bfloat16()) == fingerprint(picture.bfloat16())


def test_a_description_holds_the_options_of_what_it_describes() -> None:
    assert "pooling='l2'" in describe(FeatureExtractor(pooling="l2"))
    assert describe(torch_lbfgs).endswith("test_resume.torch_lbfgs")
    assert describe(Adam(lr=0.5)) == repr(Adam(lr=0.5))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("store", ["device", "cpu"])
def test_a_run_on_a_gpu_goes_on_there_with_its_pairs_where_they_were(
    run: Callable[..., Any], state: Path, store: str, photo: Tensor
) -> None:
    encoder = FeatureExtractor()  # the shared one is to stay where it is
    options = {"device": "cuda", "encoder": encoder, "optimizer": LBFGS(history=3, store=store)}
    whole = run(**options)
    run(state, callback=stop_at(7), **options)
    saved = load_state(state, kind="neuralstyle run", device="cuda")["minimum"]
    assert saved["kept"].device.type == "cuda"
    pair = saved["walk"]["pairs"][0]
    assert {pair[0].device.type, pair[1].device.type} == {"cuda" if store == "device" else "cpu"}
    image = run(state, **options)
    difference = np.abs(np.asarray(image).astype(int) - np.asarray(whole))
    assert difference.mean() < 1  # operations there add up in an order that may change
    with pytest.raises(ValueError, match="another device"):
        run(state, **{**options, "device": "cpu"})
