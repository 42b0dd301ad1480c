from __future__ import annotations

import csv
import dataclasses
import json
import math
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import two_stages
from PIL import Image
from torch import Tensor

from neuralstyle import (
    LBFGS,
    Adam,
    ContentLoss,
    FeatureExtractor,
    GramStyleLoss,
    LivePreview,
    LossLog,
    Progress,
    SavePictures,
    Stage,
    iterate,
    load_image,
    reconstruct_content,
    samples,
    stylize,
    synthesize_texture,
)
from neuralstyle.callbacks import plot_losses, read_losses

Painter = tuple[Callable[..., Image.Image], list[Any], dict[str, Any]]
LOSSES = ContentLoss("relu1_1") + 10 * GramStyleLoss(("relu1_1",))


def progress(iteration: int = 1, total: int = 10, loss: float = 0.1, stage: int = 1, **terms: Any) -> Progress:
    """A Progress whose picture is grey, and the darker the later."""
    kept = torch.full((1, 3, 16, 24), 1 / iteration)
    terms = terms or {"ContentLoss": 0.25 * loss, "GramStyleLoss": 0.75 * loss}
    seconds = 0.1234567 * iteration
    return Progress(iteration, total, stage, 2, 24, loss, terms, seconds, lambda levels: kept)


@pytest.fixture(scope="module")
def style() -> Image.Image:
    return samples.painting("embers", size=64)


@pytest.fixture
def run(photo: Tensor, style: Image.Image, encoder: FeatureExtractor) -> Callable[..., Image.Image]:
    """A short run at two stages, of 3 and 5 evaluations."""

    def paint(**options):
        quick = {"losses": LOSSES, "encoder": encoder, "size": 48, "iterations": 5, "schedule": two_stages}
        return stylize(photo, style, progress=False, **{**quick, **options})

    return paint


# --- several callbacks, and how one stops the work


@pytest.mark.parametrize("stop", ["False", "numpy", "StopIteration"])
@pytest.mark.parametrize("place", [0, 1])
def test_all_callbacks_are_called_also_when_one_stops(run: Callable[..., Any], stop: Any, place: int) -> None:
    counts = []

    def stopping(progress):
        if progress.iteration < 4:
            return None
        if stop == "StopIteration":
            raise StopIteration
        return np.float64(progress.iteration) < 4 if stop == "numpy" else False

    def counting(progress):
        counts.append(progress.iteration)

    run(callback=[stopping, counting] if place else [counting, stopping])
    assert counts == [1, 2, 3, 4]


@pytest.mark.parametrize("answer", [None, True, 0, "", [], np.True_], ids=repr)
def test_what_is_not_false_goes_on(run: Callable[..., Any], answer: Any) -> None:
    counts = []
    run(callback=lambda progress: counts.append(progress.iteration) or answer)
    assert len(counts) == 8


@pytest.mark.parametrize("result", ["best", "last", "average"])
@pytest.mark.parametrize("optimizer", [LBFGS(), Adam()], ids=["LBFGS", "Adam"])
def test_the_last_progress_holds_the_result_in_full_precision(
    run: Callable[..., Any], result: Any, optimizer: Any
) -> None:
    seen = []
    image = run(callback=seen.append, result=result, optimizer=optimizer)
    assert np.array_equal(np.asarray(seen[-1].image()), np.asarray(image))
    exact = seen[-1].tensor()
    assert exact.shape == (1, 3, 32, 48)
    assert (exact - load_image(image)).abs().max() <= 0.5 / 255 + 1e-6
    assert not torch.equal(exact, load_image(image))


def test_progress_in_the_contents_colours_shows_them(run: Callable[..., Any]) -> None:
    seen = []
    image = run(callback=seen.append, color="luminance")
    assert np.array_equal(np.asarray(seen[-1].image()), np.asarray(image))


def test_an_earlier_progress_does_not_change_later(run: Callable[..., Any]) -> None:
    seen = []
    run(callback=lambda progress: seen.append((progress, progress.tensor().clone())), optimizer=Adam(), result="last")
    assert all(torch.equal(progress.tensor(), copy) for progress, copy in seen)
    assert not torch.equal(seen[-1][1], seen[-2][1])


# --- SavePictures


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("step-{}.png", ["step-4.png", "step-8.png", "step-10.png"]),
        ("{:04d}.png", ["0004.png", "0008.png", "0010.png"]),
        ("{:03}.jpg", ["004.jpg", "008.jpg", "010.jpg"]),
        ("%d.webp", ["4.webp", "8.webp", "10.webp"]),
        ("a%03d.tif", ["a004.tif", "a008.tif", "a010.tif"]),
        ("100% {name} {{{:d}}}.png", [f"100% {{name}} {{{{{n}}}}}.png" for n in (4, 8, 10)]),
    ],
)
def test_pictures_are_saved_every_so_often_and_at_the_last(tmp_path: Path, pattern: str, names: list[str]) -> None:
    save = SavePictures(tmp_path / pattern, every=4)
    for iteration in range(1, 11):
        save(progress(iteration))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    for name, iteration in zip(names, (4, 8, 10), strict=True):
        with Image.open(tmp_path / name) as image:
            assert image.size == (24, 16)
            assert abs(np.asarray(image).astype(float) - 255 / iteration).max() <= 2


def test_pictures_go_where_the_pattern_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub%d").mkdir()
    SavePictures("{}.png", every=1)(progress(3))
    SavePictures("sub%d/{}.png", every=1)(progress(3))
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")) == ["3.png", "sub%d/3.png"]


@pytest.mark.parametrize(
    "pattern",
    ["step.png", "{}-{}.png", "%d-%d.png", "{}-%d.png", "{name}.png", "{0}.png", "%s.png", "%3.2f.png", "{:>4}.png"],
)
def test_a_pattern_without_its_one_field_is_named(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ValueError, match="needs one field for the number") as caught:
        SavePictures(tmp_path / pattern)
    assert pattern in str(caught.value)


def test_a_field_in_the_folders_name_is_none(tmp_path: Path) -> None:
    (tmp_path / "{}").mkdir()
    with pytest.raises(ValueError, match="needs one field"):
        SavePictures(tmp_path / "{}" / "step.png")


@pytest.mark.parametrize("every", [0, -1, 2.0, True, "5"], ids=repr)
def test_a_bad_interval_is_named(tmp_path: Path, every: Any) -> None:
    with pytest.raises(ValueError, match="every is a whole number of at least 1"):
        SavePictures(tmp_path / "{}.png", every=every)
    with pytest.raises(ValueError, match="every is a whole number of at least 1"):
        LivePreview(every=every)


def test_files_of_another_run_are_not_mixed_with_those_of_this(tmp_path: Path) -> None:
    for name in ("step-07.png", "step-.png", "step-1.png.txt", "xstep-1.png"):
        (tmp_path / name).touch()
    with pytest.raises(FileExistsError, match=r"step-07\.png exists"):
        SavePictures(tmp_path / "step-{}.png", every=5)
    SavePictures(tmp_path / "step-{}.png", every=1, overwrite=True)(progress(7))
    (tmp_path / "step-07.png").unlink()
    (tmp_path / "step-7.png").unlink()
    SavePictures(tmp_path / "step-{}.png", every=5)


def test_a_place_where_no_picture_can_be_saved_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        SavePictures(tmp_path / "missing" / "{}.png")
    with pytest.raises(ValueError, match=r"\.gif"):
        SavePictures(tmp_path / "{}.gif")


def test_the_pictures_of_a_run_are_those_of_its_progress(run: Callable[..., Any], tmp_path: Path) -> None:
    seen = []
    image = run(callback=[SavePictures(tmp_path / "{}.png", every=3), seen.append])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3.png", "6.png", "8.png"]
    for number in (3, 6, 8):
        with Image.open(tmp_path / f"{number}.png") as saved:
            assert np.array_equal(np.asarray(saved), np.asarray(seen[number - 1].image()))
    with Image.open(tmp_path / "8.png") as last:
        assert np.array_equal(np.asarray(last), np.asarray(image))


# --- LossLog


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_the_log_says_what_progress_says(run: Callable[..., Any], tmp_path: Path, suffix: str) -> None:
    seen, log = [], LossLog(tmp_path / f"log{suffix}")
    run(callback=[seen.append, log])
    rows = read_losses(log.path)
    assert [row["iteration"] for row in rows] == list(range(1, 9))
    for row, progress in zip(rows, seen, strict=True):
        assert list(row) == ["iteration", "stage", "size", "loss", "ContentLoss", "GramStyleLoss", "seconds"]
        assert (row["stage"], row["size"]) == (progress.stage, progress.size)
        assert (row["loss"], row["ContentLoss"]) == (progress.loss, progress.terms["ContentLoss"])  # to the last bit
        assert row["seconds"] == pytest.approx(progress.elapsed, abs=0.00051)


def test_others_can_read_the_log(tmp_path: Path) -> None:
    logs = [LossLog(tmp_path / "log.csv"), LossLog(tmp_path / "log.jsonl")]
    for log in logs:
        log(progress(1, loss=0.1, a=0.1))
        log(progress(2, loss=1e-30, a=1e-30))
    assert logs[0].path.read_text().splitlines() == [
        "iteration,stage,size,loss,a,seconds",
        "1,1,24,0.1,0.1,0.123",
        "2,1,24,1e-30,1e-30,0.247",
    ]
    with logs[0].path.open(newline="") as file:
        assert [float(row["loss"]) for row in csv.DictReader(file)] == [0.1, 1e-30]
    assert [json.loads(line)["a"] for line in logs[1].path.read_text().splitlines()] == [0.1, 1e-30]


def test_each_line_is_written_at_once(tmp_path: Path) -> None:
    log = LossLog(tmp_path / "log.csv")
    for iteration in range(1, 5):
        log(progress(iteration))
        assert len(log.path.read_text().splitlines()) == 1 + iteration


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_continued_log_drops_what_lies_after_the_point_of_return(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"log{suffix}"
    whole = LossLog(path)
    for iteration in range(1, 9):
        whole(progress(iteration, loss=iteration))
    with path.open("a") as file:
        file.write('{"iteration": 9' if suffix == ".jsonl" else "9,1")  # killed while it was writing
    assert [row["iteration"] for row in read_losses(path)] == list(range(1, 9))
    continued = LossLog(path, resume=True)
    assert len(read_losses(path)) == 8  # until it goes on
    for iteration in range(5, 8):
        continued(progress(iteration, loss=100 * iteration))
    assert [(row["iteration"], row["loss"]) for row in read_losses(path)] == [
        (1, 1), (2, 2), (3, 3), (4, 4), (5, 500), (6, 600), (7, 700),
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == [path]


def test_a_log_that_watches_a_run_again_goes_back_with_it(tmp_path: Path) -> None:
    log = LossLog(tmp_path / "log.csv")
    for iteration in (1, 2, 3, 2, 3, 4):
        log(progress(iteration))
    assert [row["iteration"] for row in read_losses(log.path)] == [1, 2, 3, 4]


def test_a_log_that_is_not_continued_starts_anew(tmp_path: Path) -> None:
    first, second = LossLog(tmp_path / "log.csv"), LossLog(tmp_path / "log.csv", overwrite=True)
    first(progress(1))
    second(progress(2))
    assert [row["iteration"] for row in read_losses(second.path)] == [2]


def test_a_log_that_exists_is_not_replaced_unasked(tmp_path: Path) -> None:
    log = LossLog(tmp_path / "log.csv")
    LossLog(log.path)  # of a run that was killed before there was anything to lose
    log(progress(1))
    with pytest.raises(FileExistsError, match="overwrite=True"):
        LossLog(log.path)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@pytest.mark.parametrize("text", ["name,age\nAnna,7\n", "name\n", "[1, 2]\n", '{"a": 1}\n', "1,2\n3\n", "\0\n", "é\n"])
def test_what_is_no_log_is_not_gone_on_with(tmp_path: Path, suffix: str, text: str) -> None:
    path = tmp_path / f"log{suffix}"
    path.write_bytes(text.encode("latin-1"))
    for read in (read_losses, lambda path: LossLog(path, resume=True), lambda path: plot_losses(path, "plot.png")):
        with pytest.raises(ValueError, match="is not a log of losses"):
            read(path)
    assert path.read_bytes() == text.encode("latin-1")


def test_the_log_of_a_training_can_be_plotted_and_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,epoch,seconds,loss,ContentLoss\n10,1,2.5,3.5,1.5\n20,1,5.0,2.5,1.0\n")
    assert [row["step"] for row in read_losses(path)] == [10, 20]
    plot_losses(path, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").exists()
    with pytest.raises(ValueError, match="the log of a training"):
        LossLog(path, resume=True)


def test_the_log_of_other_losses_is_not_gone_on_with(tmp_path: Path) -> None:
    first = LossLog(tmp_path / "log.csv")
    first(progress(1))
    text = first.path.read_text()
    with pytest.raises(ValueError, match="other losses"):
        LossLog(first.path, resume=True)(progress(2, Another=1.0))
    assert first.path.read_text() == text


def test_a_bad_place_for_a_log_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.csv or \.jsonl, received '\.txt'"):
        LossLog(tmp_path / "log.txt")
    with pytest.raises(OSError, match="missing"):
        LossLog(tmp_path / "missing" / "log.csv")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_losses(tmp_path / "log.csv")


# --- a log in memory, and the terms that a stage adds


def test_a_log_needs_no_file(run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seen, log, written = [], LossLog(), LossLog("log.jsonl")
    run(callback=[seen.append, log, written])
    assert log.path is None
    assert log.rows == written.rows == read_losses("log.jsonl")
    assert [row["loss"] for row in log.rows] == [each.loss for each in seen]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl"]


def test_a_log_in_memory_goes_back_with_its_run_and_forgets_an_earlier_one(tmp_path: Path) -> None:
    log = LossLog()
    for iteration in (1, 2, 3, 2, 3, 4):
        log(progress(iteration))
    assert [row["iteration"] for row in log.rows] == [1, 2, 3, 4]
    log(progress(1))
    assert [row["iteration"] for row in log.rows] == [1]
    whole = LossLog(tmp_path / "log.csv")
    for iteration in (1, 2, 3):
        whole(progress(iteration))
    continued = LossLog(tmp_path / "log.csv", resume=True)
    continued(progress(3))
    continued(progress(4))
    assert [row["iteration"] for row in continued.rows] == [1, 2, 3, 4]


def test_what_a_stage_adds_is_marked(photo: Tensor, style: Image.Image) -> None:
    log = LossLog()
    schedule = [Stage(32, 2, "compact19"), Stage(48, 2)]
    stylize(photo, style, losses=LOSSES, size=48, schedule=schedule, progress=False, callback=log)
    names = ["ContentLoss", "GramStyleLoss", "CovarianceLoss (added)", "MMDLoss (added)"]
    assert list(log.rows[0]) == ["iteration", "stage", "size", "loss", *names, "seconds"]
    assert log.rows[0]["MMDLoss (added)"] > 0 == log.rows[-1]["MMDLoss (added)"]


def test_what_the_call_has_is_not_marked_at_any_weight(run: Callable[..., Any]) -> None:
    seen, more = [], GramStyleLoss(("relu2_1",))
    stages = [Stage(24, 1, losses=lambda losses: 5 * losses), Stage(48, 1, losses=lambda losses: losses + more)]
    run(callback=seen.append, schedule=stages, iterations=None)
    assert {each.added for each in seen} == {frozenset({"GramStyleLoss#2"})}
    assert list(seen[0].terms) == ["ContentLoss", "GramStyleLoss", "GramStyleLoss#2"]
    assert {each.full_size for each in seen} == {48}


def test_rows_become_a_frame_of_pandas_or_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    log = LossLog()
    log(progress(1))
    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=lambda rows: ("frame", rows)))
    assert log.frame() == ("frame", log.rows)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"neuralstyle-torch\[pandas\]"):
        log.frame()


# --- plot_losses


def curves_of(figure: Any) -> dict[str, list[float]]:
    return {line.get_label(): list(line.get_ydata()) for line in figure.axes[0].lines}


def test_a_file_a_log_its_rows_and_a_run_give_one_figure(run: Callable[..., Any], tmp_path: Path) -> None:
    seen, log = [], LossLog(tmp_path / "log.csv")
    run(callback=[seen.append, log])
    figures = [plot_losses(each) for each in (log, log.path, log.rows, seen, iter(seen))]
    found = [curves_of(figure) for figure in figures]
    assert all(each == found[0] for each in found)
    assert found[0]["loss"] == [each.loss for each in seen]
    assert figures[0]._repr_png_().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [tmp_path / "log.csv"]


def test_a_plot_is_drawn_in_axes_of_yours() -> None:
    from matplotlib.figure import Figure

    log = LossLog()
    log(progress(1))
    figure = Figure()
    _, right = figure.subplots(1, 2)
    assert plot_losses(log, axes=right) is figure
    assert len(right.lines) == 3


@pytest.mark.parametrize("log", [3, {"iteration": 1}, [1, 2], [{"loss": 1.0}], b"log.csv", None], ids=repr)
def test_what_is_no_log_is_not_plotted(log: Any) -> None:
    with pytest.raises(TypeError, match="a log to plot is a file"):
        plot_losses(log)


def test_an_empty_log_in_memory_is_named() -> None:
    with pytest.raises(ValueError, match="the log has no line to plot"):
        plot_losses(LossLog())


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_plot_is_a_picture_with_a_curve_for_each_loss(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.axes import Axes

    curves, lines, draw, rule = {}, [], Axes.semilogy, Axes.axvline
    monkeypatch.setattr(
        Axes, "semilogy", lambda self, x, y, label: curves.update({label: (x, y)}) or draw(self, x, y, label=label)
    )
    monkeypatch.setattr(Axes, "axvline", lambda self, x, **options: lines.append(x) or rule(self, x, **options))
    log = LossLog(tmp_path / f"log{suffix}")
    for iteration in range(1, 9):
        log(progress(iteration, stage=1 + iteration // 5, loss=1 / iteration, content=0.4 / iteration, style=0.0))
    plot_losses(log.path, tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as image:
        assert min(image.size) > 300
        assert np.asarray(image.convert("L")).std() > 5
    assert list(curves) == ["loss", "content", "style"]
    assert curves["content"] == (list(range(1, 9)), [0.4 / iteration for iteration in range(1, 9)])
    assert lines == [5]  # where a new stage begins


def test_a_plot_of_one_evaluation_is_a_picture(tmp_path: Path) -> None:
    log = LossLog(tmp_path / "log.csv")
    log(progress(1))
    plot_losses(log.path, tmp_path / "plot.jpg")
    with pytest.raises(FileExistsError):
        plot_losses(log.path, tmp_path / "plot.jpg")
    plot_losses(log.path, tmp_path / "plot.jpg", overwrite=True)


def test_a_log_begins_with_its_first_line(tmp_path: Path) -> None:
    LossLog(tmp_path / "log.csv")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        LossLog(tmp_path / "missing" / "log.csv")


def test_an_empty_log_cannot_be_plotted(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.touch()
    with pytest.raises(ValueError, match="no line to plot"):
        plot_losses(log, tmp_path / "plot.png")


def test_a_log_without_losses_cannot_be_plotted(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    for text in ('{"iteration": 1}\n', '{"iteration": 1, "loss": 0}\n', '{"iteration": 1, "loss": -1}\n'):
        log.write_text(text)
        with pytest.raises(ValueError, match="no losses above 0"):
            plot_losses(log, tmp_path / "plot.png")


def test_losses_of_any_name_can_be_plotted(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps({"iteration": 1, "_Own": 1, r"$\frac": 2, "größer": 3}) + "\n")
    plot_losses(log, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").exists()


def test_a_plot_leaves_the_users_own_figures_and_windows_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # which looks for a window system
    log = LossLog(tmp_path / "log.csv")
    log(progress(1))
    assert plot_losses(log.path, tmp_path / "plot.png")._repr_png_().startswith(b"\x89PNG")


def test_a_missing_matplotlib_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"neuralstyle-torch\[plot\]"):
        plot_losses(tmp_path / "log.csv", tmp_path / "plot.png")


# --- LivePreview


class Display:
    """Stands for IPython's display() in a notebook."""

    def __init__(self) -> None:
        self.shown = []

    def __call__(self, image: Image.Image, display_id: Any) -> Any:
        assert display_id
        self.shown.append([image])
        return types.SimpleNamespace(update=self.shown[-1].append)


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Display:
    shown = Display()
    monkeypatch.setattr("IPython.display.display", shown)
    monkeypatch.setattr("IPython.get_ipython", object)  # a shell
    return shown


def greys(images: Iterable[Image.Image]) -> list[int]:
    return [np.asarray(image)[0, 0, 0].item() for image in images]


def test_the_preview_is_drawn_in_one_place_at_first_every_so_often_and_at_last(display: Display) -> None:
    preview = LivePreview(every=4)
    for iteration in range(1, 11):
        preview(progress(iteration))
    (place,) = display.shown
    assert greys(place) == [round(255 / iteration) for iteration in (1, 4, 8, 10)]


def test_another_run_is_drawn_in_another_place(display: Display) -> None:
    preview = LivePreview(every=2)
    for iteration in (1, 2, 3, 4, 3, 4, 5, 6):  # the second continues the first a step back
        preview(progress(iteration))
    assert [len(place) for place in display.shown] == [3, 3]


def test_a_shell_that_cannot_update_is_shown_no_picture_more_often(
    display: Display, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr("IPython.display.display", lambda image, display_id: calls.append(image))
    preview = LivePreview(every=5)
    for iteration in range(1, 13):
        preview(progress(iteration, total=12))
    assert len(calls) == 4


@pytest.mark.parametrize("shell", ["none", "terminal", "no IPython"])
def test_outside_a_notebook_nothing_is_drawn_and_the_picture_is_kept(
    display: Display, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    kind = type("TerminalInteractiveShell", (), {})
    monkeypatch.setattr("IPython.get_ipython", kind if shell == "terminal" else lambda: None)
    if shell == "no IPython":
        monkeypatch.delitem(sys.modules, "IPython")
        monkeypatch.setitem(sys.modules, "IPython.display", None)
    preview = LivePreview(every=4)
    assert preview.image is None
    for iteration in (1, 2, 3):
        preview(progress(iteration))
    assert display.shown == []
    assert preview.image is not None
    assert greys([preview.image]) == [85]  # of the last evaluation, also where none was due


@pytest.mark.parametrize(("side", "size"), [(None, (48, 32)), (96, (96, 64)), (24, (24, 16))])
def test_the_preview_keeps_its_size_over_the_stages(display: Display, side: int | None, size: tuple[int, int]) -> None:
    preview = LivePreview(every=1, side=side)
    for iteration in (1, 2, 3):
        preview(dataclasses.replace(progress(iteration), full_size=48))  # at a stage of 24 pixels
    (place,) = display.shown
    assert {picture.size for picture in place} == {size}
    assert preview.image is not None
    assert preview.image.size == (24, 16)


def test_a_large_result_is_not_sent_whole_for_every_preview(display: Display) -> None:
    LivePreview(every=1)(dataclasses.replace(progress(1), full_size=4096))
    assert max(display.shown[0][0].size) == 1024


def test_a_real_notebook_shell_shows_png_pictures(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)  # another one than the interpreter's makes IPython warn
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    try:
        publisher = shell.display_pub = CapturingDisplayPublisher()
        shell.display_formatter.active_types = ["text/plain", "image/png"]
        run(callback=LivePreview(every=4))
    finally:
        InteractiveShell.clear_instance()
    assert len(publisher.outputs) == 3
    assert all(output["data"]["image/png"] for output in publisher.outputs)
    assert [output.get("update", False) for output in publisher.outputs] == [False, True, True]
    assert len({output["transient"]["display_id"] for output in publisher.outputs}) == 1


# --- iterate


PAINTERS = {
    "stylize": lambda photo, style: ((stylize, photo, style), {"losses": LOSSES}),
    "texture": lambda photo, style: ((synthesize_texture, style), {"losses": GramStyleLoss(("relu1_1",))}),
    "reconstruct": lambda photo, style: ((reconstruct_content, photo, "relu1_1"), {}),
}


@pytest.fixture(params=PAINTERS)
def painter(request: pytest.FixtureRequest, photo: Tensor, style: Image.Image, encoder: FeatureExtractor) -> Painter:
    """A painting function, its arguments and its options."""
    (function, *arguments), options = PAINTERS[request.param](photo, style)
    quick = {"encoder": encoder, "size": 48, "iterations": 4, "progress": False}
    return function, arguments, {**quick, **options, "schedule": two_stages}


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "neuralstyle"]


def test_step_by_step_comes_to_the_same_bytes(painter: Painter) -> None:
    function, arguments, options = painter
    seen = list(iterate(function, *arguments, **options))
    assert [progress.iteration for progress in seen] == list(range(1, 8))
    assert seen[-1].image().tobytes() == function(*arguments, **options).tobytes()
    assert workers() == []


def test_nothing_is_done_before_the_first_step_and_between_two(painter: Painter) -> None:
    function, arguments, options = painter
    counts = []
    steps = iterate(function, *arguments, **options, callback=lambda progress: counts.append(progress.iteration))
    assert workers() == []
    next(steps)
    first = counts.copy()
    threading.Event().wait(0.1)
    assert counts == first == [1]
    next(steps)
    assert counts == [1, 2]
    steps.close()


@pytest.mark.parametrize("callback", ["one", "several", "none"])
def test_callbacks_are_called_as_well(painter: Painter, callback: Any) -> None:
    function, arguments, options = painter
    counts = []

    def count(progress):
        counts.append(progress.iteration)

    given = {"one": count, "several": [count, count], "none": None}[callback]
    assert len(list(iterate(function, *arguments, **options, callback=given))) == 7
    assert sorted(counts) == sorted(list(range(1, 8)) * {"one": 1, "several": 2, "none": 0}[callback])


def test_a_callback_that_stops_ends_the_loop(painter: Painter) -> None:
    function, arguments, options = painter
    steps = iterate(function, *arguments, **options, callback=lambda progress: progress.iteration < 3)
    assert [progress.iteration for progress in steps] == [1, 2, 3]
    assert workers() == []


def test_leaving_the_loop_stops_the_work(painter: Painter) -> None:
    function, arguments, options = painter
    counts = []
    for progress in iterate(function, *arguments, **options, callback=lambda p: counts.append(p.iteration)):
        if progress.iteration == 3:
            break
    assert counts == [1, 2, 3]
    assert workers() == []
    assert progress.image().size[0] == 24


@pytest.mark.parametrize("kind", [KeyboardInterrupt, ZeroDivisionError])
def test_an_error_in_the_loop_stops_the_work(painter: Painter, kind: Any) -> None:
    function, arguments, options = painter

    def loop():
        for progress in iterate(function, *arguments, **options):
            if progress.iteration == 2:
                raise kind

    with pytest.raises(kind):
        loop()
    assert workers() == []


def test_an_interrupt_while_it_waits_stops_the_work(painter: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    function, arguments, options = painter
    module = sys.modules["neuralstyle.painting.iterate"]  # the package's attribute of that name is the function

    class Interrupted(module.SimpleQueue):
        """Ctrl-C comes while the loop waits for the third step."""

        waits = 0

        def get(self):
            if threading.current_thread() is threading.main_thread():
                self.waits += 1
                if self.waits == 3:
                    raise KeyboardInterrupt
            return super().get()

    monkeypatch.setattr(module, "SimpleQueue", Interrupted)
    counts = []
    with pytest.raises(KeyboardInterrupt):
        list(iterate(function, *arguments, **options, callback=lambda progress: counts.append(1)))
    assert len(counts) <= 3
    assert workers() == []


def test_errors_of_the_work_come_through_with_the_picture(painter: Painter) -> None:
    function, arguments, options = painter

    def fail(progress):
        if progress.iteration == 2:
            raise ZeroDivisionError("mine")

    steps = iterate(function, *arguments, **options, callback=fail)
    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        list(steps)
    assert isinstance(caught.value.image, Image.Image)
    assert workers() == []


@pytest.mark.parametrize("bad", [{"size": -1}, {"callback": 7}, {"init": "contents"}], ids=str)
def test_bad_input_is_an_error_at_the_first_step(painter: Painter, bad: dict[str, Any]) -> None:
    function, arguments, options = painter
    steps = iterate(function, *arguments, **{**options, **bad})
    with pytest.raises((ValueError, TypeError)):
        next(steps)
    assert workers() == []


def test_several_can_be_stepped_by_turns(painter: Painter) -> None:
    function, arguments, options = painter
    pairs = list(zip(iterate(function, *arguments, **options), iterate(function, *arguments, **options), strict=True))
    assert len(pairs) == 7
    assert all(math.isclose(a.loss, b.loss, rel_tol=0) for a, b in pairs)


def test_a_program_may_end_in_the_middle_of_a_loop() -> None:
    code = (
        "from neuralstyle import *\n"
        "picture = samples.photo().resize((32, 32))\n"
        "steps = iterate(synthesize_texture, picture, size=32, iterations=9, progress=False,\n"
        "                losses=GramStyleLoss(('relu1_1',)))\n"
        "next(steps)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
