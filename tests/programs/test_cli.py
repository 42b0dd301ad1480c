"""The command line: what it paints, plans, refuses and leaves behind."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image

from neuralstyle import LBFGS, Adam, Objective, Plan, cli, metrics, samples
from neuralstyle import plan as make_plan
from neuralstyle.cli import painting, saving
from neuralstyle.recipes import RECIPES, STYLE_LOSSES, standard

Run = Callable[[str], tuple[int, str, str]]
Planned = Callable[[str], Plan]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    samples.photo().resize((96, 64)).save(folder / "photo.jpg")
    samples.painting("swirl", size=96).save(folder / "swirl.png")
    samples.painting("embers", size=96).save(folder / "embers.png")
    photo, swirl = Image.open(folder / "photo.jpg"), Image.open(folder / "swirl.png").resize((96, 64))
    Image.blend(photo, swirl, 0.5).save(folder / "blend.png")
    photo.resize((144, 96)).save(folder / "large.png")
    Image.linear_gradient("L").save(folder / "mask.png")
    (folder / "text.png").write_text("no picture")
    (folder / "empty.png").touch()
    return folder


@pytest.fixture
def run(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in the folder of pictures: (exit code, stdout, stderr)."""

    def run(command: str) -> tuple[int, str, str]:
        monkeypatch.chdir(files)
        words = command.replace("OUT", str(tmp_path / "out.png")).split()
        try:
            code = cli.main(words)
        except SystemExit as error:
            code = int(error.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def planned(run: Run, monkeypatch: pytest.MonkeyPatch) -> Planned:
    """Run a command without its painting: the plan."""

    def planned(command: str) -> Plan:
        plans: list[Plan] = []

        def paint(plan: Plan, **_: object) -> Image.Image:
            plans.append(plan)
            return Image.new("RGB", (48, 32))

        monkeypatch.setattr(saving, "paint", paint)
        code, _, err = run(f"{command} --overwrite")
        assert code == 0, err
        return plans[-1]

    return planned


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def left_in(*folders: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for folder in folders for path in folder.iterdir()}


QUICK = "-o OUT --size 48 --iterations 2 --quiet"


@pytest.mark.parametrize(
    ("command", "size"),
    [
        (f"stylize photo.jpg swirl.png embers.png {QUICK} --content-weight 2 --style-weight 0.5 --tile 16", (48, 32)),
        (f"texture swirl.png {QUICK} --style-loss sliced-wasserstein --layers relu1_1", (48, 48)),
        (f"reconstruct photo.jpg {QUICK} --layer relu2_2", (48, 32)),
        (f"demo {QUICK} --painting embers", (48, 32)),
    ],
)
def test_every_command_paints_a_picture(run: Run, tmp_path: Path, command: str, size: tuple[int, int]) -> None:
    code, out, err = run(command)
    assert code == 0, err
    assert str(tmp_path / "out.png") in out
    assert size_of(tmp_path / "out.png") == size


EFFECTS = [  # each with what it is compared with, if not with no option
    ("--size 40", ""),
    ("--width 40", ""),
    ("--pixels 1000", ""),
    ("--schedule single", ""),
    ("--iterations 5", ""),
    ("--precision bfloat16", ""),
    ("--compile", ""),
    ("--content-weight 50", ""),
    ("--style-weight 50", ""),
    ("--tv-weight 50", ""),
    ("--ghost-weight 50", ""),
    ("--strength 0.9", ""),
    ("--content-layers relu1_1", ""),
    ("--content-layer-weights 2 1", ""),
    ("--detail 0.5", ""),
    ("--style-layers relu1_1", ""),
    ("--style-layer-weights 1 1 1", ""),
    ("--style-layer-ratio 2", ""),
    ("--style-loss mean-std", ""),
    ("--style-loss nearest-neighbor", ""),
    ("--recipe gatys", ""),
    ("--recipe strotss", ""),
    ("--recipe crowson --lr 0.05", "--recipe crowson"),
    ("--style-blend-weights 2", ""),
    ("--style-scales 0.5", ""),
    ("--enlarge-styles", ""),
    ("--masks mask.png", ""),
    ("--regions mask.png", ""),
    ("--softness 0.1", ""),
    ("--edges strict", ""),
    ("--color luminance", ""),
    ("--color match", "--color histogram"),
    ("--init noise", ""),
    ("--noise gaussian --init noise", "--init noise"),
    ("--noise-blend 0.5", ""),
    ("--seed 1 --init noise", "--init noise"),
    ("--optimizer adam", ""),
    ("--history 5", ""),
    ("--history-store cpu", ""),
    ("--lr 0.1 --optimizer adam", "--optimizer adam"),
    ("--betas 0.5 0.9 --optimizer adam", "--optimizer adam"),
    ("--eps 1 --optimizer adam", "--optimizer adam"),
    ("--result last", ""),
    ("--network compact19", ""),
    ("--pooling max", ""),
    ("--padding zeros", ""),
    ("--no-normalize", ""),
    ("--tile 16", ""),
    ("--seamless", ""),
]
ELSEWHERE = {  # what these do is tested by their own tests, here and in test_coming_from.py
    *("--output", "--overwrite", "--depth", "--quality", "--keep-profile", "--device", "--dry-run", "--quiet"),
    *("--print-every", "--snapshots", "--snapshots-every", "--log", "--plot", "--state", "--state-every"),
    *("--weights", "--preprocessing", "--json", "--max-megapixels", "--like", "--config", "--dpi", "--stop-after"),
}


@pytest.mark.parametrize(("options", "plain"), EFFECTS)
def test_every_option_changes_what_is_painted(planned: Planned, options: str, plain: str) -> None:
    command = "stylize photo.jpg swirl.png -o OUT --quiet"
    assert planned(f"{command} {options}").settings() != planned(f"{command} {plain}").settings()


def test_no_option_of_stylize_is_forgotten() -> None:
    groups = painting.STYLIZE.options or {}
    tested = {options.split()[0] for options, _ in EFFECTS} | ELSEWHERE
    assert {option.name for group in groups.values() for option in group} == tested


def test_a_dry_run_shows_the_plan_and_writes_nothing(run: Run, files: Path, tmp_path: Path) -> None:
    watching = "--log OUT.csv --plot OUT.png --snapshots OUT-{}.png --state OUT.state"
    before = left_in(files, tmp_path)
    for command, stages in (
        ("stylize photo.jpg swirl.png --size 48", ["48 x 32", "48 x 32", "48 x 32"]),
        ("texture swirl.png --size 48 --schedule draft", ["48 x 48", "48 x 48"]),
        ("reconstruct photo.jpg --size 48 --layer relu2_2", ["48 x 32"]),
        ("demo --size 64 --schedule single", ["64 x 43"]),
    ):
        code, out, err = run(f"{command} -o OUT {watching} --dry-run")
        assert (code, err) == (0, "")
        header, *rows, forecast = out.splitlines()
        assert header.split() == ["stage", "pixels", "iterations", "through", "by", "minimises"]
        assert len(rows) == len(stages)
        assert all(stage in row for stage, row in zip(stages, rows, strict=True))
        assert "of memory" in forecast
    assert left_in(files, tmp_path) == before


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("stylize photo.jpg swirl.png -o photo.jpg", "an input is never replaced"),
        ("stylize photo.jpg swirl.png -o OUT --log text.csv", "text.csv exists"),
        ("stylize photo.jpg swirl.png -o OUT --style-loss mdm", "did you mean 'mmd'"),
        ("reconstruct photo.jpg -o OUT --layer relu6_1", "relu5_1"),
    ],
)
def test_a_dry_run_refuses_what_is_wrong(run: Run, files: Path, command: str, message: str) -> None:
    (files / "text.csv").write_text("precious")
    code, out, err = run(f"{command} --dry-run --size 48")
    assert (code, out) == (2, "")
    assert message in err
    (files / "text.csv").unlink()


@pytest.mark.parametrize("schedule", ["preview", "draft", "standard", "fine", "single"])
def test_a_precision_leaves_the_stages_as_they_are(planned: Planned, schedule: str) -> None:
    command = f"stylize photo.jpg swirl.png -o OUT --quiet --size 192 --schedule {schedule}"
    plain, exact = planned(command), planned(f"{command} --precision float32")
    assert exact.notes == plain.notes == ()
    for stage, other in zip(plain.stages, exact.stages, strict=True):
        assert (stage.shape, stage.iterations, stage.through, stage.cost) == (
            (other.shape, other.iterations, other.through, other.cost)
        )
        assert stage.losses == other.losses
        assert getattr(other.encoder, "precision", None) == "float32"
        assert not hasattr(stage.encoder, "precision")


def test_a_precision_says_why_the_compact_encoder_is_left_out(planned: Planned) -> None:
    command = "stylize photo.jpg swirl.png -o OUT --quiet --size 48 --content-layers relu3_3"
    plain, exact = planned(command), planned(f"{command} --precision float32")
    assert plain.notes == exact.notes
    assert "compact19 has no layer 'relu3_3'" in exact.notes[0]
    assert [stage.through for stage in plain.stages] == [stage.through for stage in exact.stages] == ["vgg19"]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_by_name_is_that_of_python(planned: Planned, name: str) -> None:
    by_option = planned(f"stylize photo.jpg swirl.png -o OUT --quiet --size 48 --recipe {name}")
    in_python = make_plan("photo.jpg", "swirl.png", size=48, **RECIPES[name]())
    assert by_option.settings() == in_python.settings()


def test_options_change_the_parts_of_a_recipe(planned: Planned) -> None:
    command = "stylize photo.jpg swirl.png -o OUT --quiet --size 48 --recipe"
    for stage in planned(f"{command} crowson --lr 0.05").stages:
        assert (stage.optimizer, stage.result) == (Adam(lr=0.05), "average")
    for stage in planned(f"{command} crowson --optimizer lbfgs --result best").stages:
        assert (stage.optimizer, stage.result) == (LBFGS(), "best")
    (stage,) = planned(f"{command} johnson --pooling average").stages
    assert stage.encoder.pooling == "average"  # type: ignore[attr-defined]
    assert stage.encoder.normalize is False  # type: ignore[attr-defined]
    (stage,) = planned(f"{command} strotss --content-weight 2 --style-weight 3 --style-layers relu1_1 relu2_1").stages
    content, matched, moments, palette = stage.losses
    assert content.loss.layers[-1] == "relu5_3"
    assert matched.loss.layers == moments.loss.layers == ("relu1_1", "relu2_1")
    assert palette.loss.layers == ("image",)
    assert (content.weight, matched.weight, palette.weight) == (2 * 16, 3, 3 / 16)


def test_a_precision_holds_for_the_papers_own_encoder(planned: Planned) -> None:
    plan = planned("stylize photo.jpg swirl.png -o OUT --quiet --size 48 --recipe gatys --precision float32")
    (stage,) = plan.stages
    assert stage.encoder.precision == "float32"  # type: ignore[attr-defined]
    assert stage.encoder.encoder.pooling == "average"  # type: ignore[attr-defined]


def test_compare_prints_a_table_and_writes_json(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    code, out, err = run(f"compare photo.jpg swirl.png photo.jpg blend.png --json {file}")
    assert (code, err) == (0, "")
    scores = metrics.compare("photo.jpg", "swirl.png", {"blend.png": "blend.png"})
    found = json.loads(file.read_text())
    assert list(found) == ["photo.jpg", "blend.png"]
    assert found["blend.png"] == asdict(scores["blend.png"])
    assert out.splitlines()[-1].split() == metrics.table(scores).splitlines()[-1].split()
    code, out, err = run(f"compare photo.jpg swirl.png blend.png --json {file}")
    assert (code, out) == (2, "")
    assert "--overwrite" in err
    code, _, err = run(f"compare photo.jpg swirl.png blend.png large.png --size 96 --json {file} --overwrite")
    assert (code, err) == (0, "")
    assert json.loads(file.read_text())["large.png"]["structure"] > found["blend.png"]["structure"]


def test_compare_warns_of_different_sizes(run: Run) -> None:
    code, _, err = run("compare photo.jpg swirl.png blend.png large.png")
    assert code == 0
    assert "--size" in err


def test_layers_are_listed(run: Run) -> None:
    code, out, _ = run("layers")
    assert code == 0
    assert [line.split()[:5] for line in out.splitlines() if line.startswith("relu5_1")] == [
        ["relu5_1", "512", "16", "70", "156"]
    ]


def test_style_losses_are_listed_with_a_line_each(run: Run) -> None:
    code, out, _ = run("losses")
    assert code == 0
    rows = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert list(rows) == list(STYLE_LOSSES)
    assert rows["gram"] == "Squared difference between Gram matrices"
    assert rows["mrf"].endswith("with MeanStdLoss")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (f"stylize missing.jpg swirl.png {QUICK}", "missing.jpg"),
        (f"stylize photo.jpg text.png {QUICK}", "text.png"),
        (f"stylize photo.jpg empty.png {QUICK}", "empty.png"),
        (f"stylize . swirl.png {QUICK}", "folder"),
        (f"stylize photo.jpg swirl.png {QUICK} --size -3", "size"),
        (f"stylize photo.jpg swirl.png {QUICK} --width 48", "--size and --width are ways to say one thing"),
        (f"stylize photo.jpg swirl.png {QUICK} --style-loss mmd --recipe gatys", "give one of them"),
        (f"stylize photo.jpg swirl.png {QUICK} --style-loss mdm", "did you mean 'mmd'"),
        (f"stylize photo.jpg swirl.png {QUICK} --style-loss mrf --masks mask.png", "cannot use a mask"),
        (f"stylize photo.jpg swirl.png {QUICK} --iterations 0", "iterations"),
        (f"stylize photo.jpg swirl.png {QUICK} --content-weight nan", "finite"),
        (f"stylize photo.jpg swirl.png {QUICK} --strength 5", "from 0 (nearly the content) to 1"),
        (f"stylize photo.jpg swirl.png {QUICK} --content-layers relu4_3x", "did you mean 'relu4_3'"),
        (f"stylize photo.jpg swirl.png {QUICK} --init contnet", "did you mean 'content'"),
        (f"stylize photo.jpg swirl.png {QUICK} --tile 3", "tile"),
        (f"stylize photo.jpg swirl.png {QUICK} --device tpu9", "tpu9"),
        (f"stylize photo.jpg swirl.png {QUICK} --print-every 0", "--print-every is a whole number of at least 1"),
        (f"stylize photo.jpg swirl.png {QUICK} --masks - - -", "--masks takes one value, or one for each of the 1"),
        ("stylize photo.jpg swirl.png -o nowhere/out.png", "nowhere"),
        ("stylize photo.jpg swirl.png -o out.gif", ".png"),
        ("stylize photo.jpg swirl.png -o photo.jpg", "an input is never replaced"),
        (f"reconstruct photo.jpg {QUICK} --layer relu6_1", "relu5_1"),
        (f"texture missing.png {QUICK}", "missing.png"),
        ("compare photo.jpg swirl.png missing.png", "missing.png"),
        ("compare photo.jpg swirl.png swirl.png", "swirl.png: the picture is 96 x 96 pixels and the content 96 x 64"),
        ("compare photo.jpg swirl.png blend.png --size 80", "at least 64"),
        ("compare photo.jpg swirl.png blend.png blend.png", "once"),
        ("compare photo.jpg swirl.png blend.png --json out.txt", ".json"),
        ("compare photo.jpg swirl.png blend.png --json nowhere/out.json", "nowhere"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_exit_code_2(run: Run, tmp_path: Path, command: str, message: str) -> None:
    code, out, err = run(command)
    assert code == 2
    assert out == ""
    assert message in err
    assert err.startswith("neuralstyle: error: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("stylize photo.jpg swirl.png", "-o"),
        (f"stylize photo.jpg swirl.png {QUICK} --pooling mean", "average"),
        (f"stylize photo.jpg swirl.png {QUICK} --network vgg18", "vgg19"),
        (f"stylize photo.jpg swirl.png {QUICK} --tile many", "'auto'"),
        ("paint photo.jpg", "stylize"),
        ("", "COMMAND"),
    ],
)
def test_bad_usage_lists_what_is_known_and_exits_with_2(run: Run, command: str, message: str) -> None:
    code, _, err = run(command)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_an_existing_output_is_kept_without_overwrite_and_replaced_with_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out.png").write_bytes(b"precious")
    assert run(f"stylize photo.jpg swirl.png {QUICK}")[0] == 2
    assert (tmp_path / "out.png").read_bytes() == b"precious"
    assert run(f"stylize photo.jpg swirl.png {QUICK} --overwrite")[0] == 0
    assert size_of(tmp_path / "out.png") == (48, 32)


def test_an_error_midway_saves_the_best_so_far_and_says_where(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate, calls = Objective.evaluate, []

    def failing(*arguments, **options):  # type: ignore[no-untyped-def]
        calls.append(arguments)
        if len(calls) == 3:
            raise FloatingPointError("the loss term X is nan")
        return evaluate(*arguments, **options)

    monkeypatch.setattr(Objective, "evaluate", failing)
    code, _, err = run(f"stylize photo.jpg swirl.png {QUICK} --iterations 9")
    assert code == 2
    assert "the loss term X is nan" in err
    assert str(tmp_path / "out.png") in err
    assert size_of(tmp_path / "out.png") == (48, 32)


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory.\nTried to"), MemoryError()], ids=repr)
def test_too_little_memory_says_what_to_do(run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(Objective, "evaluate", fail)
    code, _, err = run(f"stylize photo.jpg swirl.png {QUICK}")
    assert code == 2
    assert "--tile" in err
    assert err.count("\n") == 1


def test_ctrl_c_saves_the_best_so_far_and_says_where(files: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "neuralstyle", "stylize", "photo.jpg", "swirl.png"]
    process = subprocess.Popen(
        [*command, "-o", tmp_path / "out.png", "--size", "96", "--iterations", "100000"],
        cwd=files,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TQDM_MININTERVAL": "0", "COLUMNS": "80"},
        # A shell that puts the tests in the background has its processes ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    try:
        seen = ""
        deadline = time.monotonic() + 60
        while "loss" not in seen and time.monotonic() < deadline:
            seen += process.stderr.read(1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert f"stopped; the best picture so far is in {tmp_path / 'out.png'}" in err
    assert "Traceback" not in err
    assert size_of(tmp_path / "out.png") == (96, 64)


def test_ctrl_c_before_there_is_a_picture_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(saving, "paint", stop)
    assert run(f"stylize photo.jpg swirl.png {QUICK}") == (
        130,
        "",
        "neuralstyle: stopped before there was anything to save\n",
    )


def test_json_is_one_line_on_stdout_and_all_else_goes_to_stderr(run: Run, tmp_path: Path) -> None:
    code, out, err = run(f"stylize photo.jpg swirl.png {QUICK} --schedule single --json --print-every 1")
    found = json.loads(out)
    assert out.count("\n") == 1
    assert (code, found["exit_code"], found["reason"]) == (0, 0, "finished")
    assert found["output"] == str(tmp_path / "out.png")
    assert (found["width"], found["height"], found["iterations"]) == (48, 32, 2)
    assert found["loss"] == pytest.approx(sum(found["terms"].values()))
    assert found["seconds"] > 0
    assert len(err.splitlines()) == 3  # two evaluations and the result
    code, out, err = run("stylize missing.jpg swirl.png -o OUT --json")
    found = json.loads(out)
    assert (code, found["exit_code"], found["reason"]) == (2, 2, "error")
    assert err == f"neuralstyle: {found['message']}\n"
    code, out, _ = run("stylize photo.jpg swirl.png -o OUT --overwrite --size 64 --dry-run --json")
    found = json.loads(out)
    assert (code, found["reason"], found["width"]) == (0, "planned", 64)
    assert found["seconds"] > 0


def test_json_says_that_a_run_was_stopped(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate, calls = Objective.evaluate, []

    def interrupted(*arguments, **options):  # type: ignore[no-untyped-def]
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return evaluate(*arguments, **options)

    monkeypatch.setattr(Objective, "evaluate", interrupted)
    code, out, err = run(f"stylize photo.jpg swirl.png {QUICK} --iterations 9 --json")
    found = json.loads(out)
    assert (code, found["exit_code"], found["reason"], found["iterations"]) == (130, 130, "stopped", 2)
    assert err.startswith(f"neuralstyle: stopped; the best picture so far is in {found['output']}")


def test_the_traceback_is_there_for_who_asks(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURALSTYLE_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError):
        run(f"stylize missing.jpg swirl.png {QUICK}")


def test_detail_is_a_share_of_the_evaluations_at_the_final_size(run: Run, planned: Planned) -> None:
    command = "stylize photo.jpg swirl.png -o OUT --overwrite --size 256 --quiet"
    counts = [[stage.iterations for stage in planned(f"{command} --detail {detail}").stages] for detail in ("1", "0.2")]
    stages = standard(256)
    fifth = [stage.iterations if stage.size < 256 else math.ceil(stage.iterations / 5) for stage in stages]
    assert counts == [[stage.iterations for stage in stages], fifth]
    code, _, err = run(f"{command} --detail 2")
    assert code == 2
    assert "detail is a finite number above 0 and of at most 1, received 2.0" in err
