import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image

from neuralstyle import Objective, cli, metrics, samples


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    samples.photo().resize((96, 64)).save(folder / "photo.jpg")
    samples.painting("swirl", size=96).save(folder / "swirl.png")
    samples.painting("embers", size=96).save(folder / "embers.png")
    photo, swirl = Image.open(folder / "photo.jpg"), Image.open(folder / "swirl.png").resize((96, 64))
    Image.blend(photo, swirl, 0.5).save(folder / "blend.png")
    photo.resize((144, 96)).save(folder / "large.png")
    (folder / "text.png").write_text("no picture")
    (folder / "empty.png").touch()
    return folder


@pytest.fixture
def run(files, tmp_path, monkeypatch, capsys):
    """Run the command line in the folder of pictures: (exit code, stdout, stderr)."""

    def run(command):
        monkeypatch.chdir(files)
        words = command.replace("OUT", str(tmp_path / "out.png")).split()
        try:
            code = cli.main(words)
        except SystemExit as error:
            code = error.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def size_of(path):
    with Image.open(path) as image:
        return image.size


QUICK = "-o OUT --size 48 --iterations 2 --quiet"


@pytest.mark.parametrize(
    ("command", "size"),
    [
        (f"stylize photo.jpg swirl.png {QUICK}", (48, 32)),
        (f"stylize photo.jpg swirl.png embers.png {QUICK} --content-weight 2 --style-weight 0.5 --tile 16", (48, 32)),
        (
            f"stylize photo.jpg swirl.png {QUICK} --recipe gatys --content-layers relu3_1 --style-layers relu1_1",
            (48, 32),
        ),
        (f"stylize photo.jpg swirl.png {QUICK} --optimizer adam --init noise --seed 3 --schedule single", (48, 32)),
        (f"stylize photo.jpg swirl.png {QUICK} --pooling max --padding reflect --no-normalize --device cpu", (48, 32)),
        (f"stylize photo.jpg swirl.png {QUICK} --init embers.png", (48, 32)),
        (f"texture swirl.png {QUICK} --layers relu1_1 relu2_1", (48, 48)),
        (f"texture swirl.png {QUICK} --style-loss sliced-wasserstein --layers relu1_1", (48, 48)),
        (f"reconstruct photo.jpg {QUICK} --layer relu2_2", (48, 32)),
        (f"demo {QUICK} --painting embers", (48, 32)),
    ],
)
def test_every_command_paints_a_picture(run, tmp_path, command, size):
    code, out, err = run(command)
    assert code == 0, err
    assert str(tmp_path / "out.png") in out
    assert size_of(tmp_path / "out.png") == size


def painted(run, tmp_path, options):
    code, _, err = run(f"stylize photo.jpg swirl.png {QUICK} --overwrite --iterations 4 {options}")
    assert code == 0, err
    with Image.open(tmp_path / "out.png") as image:
        return np.asarray(image)


@pytest.mark.parametrize(
    "options",
    [
        "--content-weight 50",
        "--style-weight 50",
        "--strength 0.9",
        "--content-layers relu1_1",
        "--style-layers relu1_1",
        "--style-loss mean-std --style-layers relu1_1",
        "--style-loss nearest-neighbor",
        "--recipe gatys",
        "--color luminance",
        "--color match",
        "--schedule single --iterations 5",
        "--optimizer adam",
        "--init noise",
        "--init noise --seed 1",
        "--pooling max",
        "--padding zeros",
        "--no-normalize",
        "--precision bfloat16",
    ],
)
def test_every_option_has_an_effect(run, tmp_path, options):
    plain = painted(run, tmp_path, "--init noise" if "--seed" in options else "")
    assert not np.array_equal(plain, painted(run, tmp_path, options))


def test_compare_prints_a_table_and_writes_json(run, tmp_path):
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


def test_compare_warns_of_different_sizes(run):
    code, _, err = run("compare photo.jpg swirl.png blend.png large.png")
    assert code == 0
    assert "--size" in err


def test_layers_are_listed(run):
    code, out, _ = run("layers")
    assert code == 0
    assert [line.split()[:5] for line in out.splitlines() if line.startswith("relu5_1")] == [
        ["relu5_1", "512", "16", "70", "156"]
    ]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (f"stylize missing.jpg swirl.png {QUICK}", "missing.jpg"),
        (f"stylize photo.jpg text.png {QUICK}", "text.png"),
        (f"stylize photo.jpg empty.png {QUICK}", "empty.png"),
        (f"stylize . swirl.png {QUICK}", "folder"),
        (f"stylize photo.jpg swirl.png {QUICK} --size -3", "size"),
        (f"stylize photo.jpg swirl.png {QUICK} --style-loss mmd --recipe gatys", "give one of them"),
        (f"stylize photo.jpg swirl.png {QUICK} --style-loss mrf --masks swirl.png", "cannot use a mask"),
        (f"stylize photo.jpg swirl.png {QUICK} --iterations 0", "iterations"),
        (f"stylize photo.jpg swirl.png {QUICK} --content-weight nan", "finite"),
        (f"stylize photo.jpg swirl.png {QUICK} --strength 5", "from 0 (nearly the content) to 1"),
        (f"stylize photo.jpg swirl.png {QUICK} --content-layers relu4_3x", "did you mean 'relu4_3'"),
        (f"stylize photo.jpg swirl.png {QUICK} --init contnet", "did you mean 'content'"),
        (f"stylize photo.jpg swirl.png {QUICK} --tile 3", "tile"),
        (f"stylize photo.jpg swirl.png {QUICK} --device tpu9", "tpu9"),
        ("stylize photo.jpg swirl.png -o nowhere/out.png", "nowhere"),
        ("stylize photo.jpg swirl.png -o out.gif", ".png"),
        ("stylize photo.jpg swirl.png -o photo.jpg", "--overwrite"),
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
def test_bad_input_is_one_line_on_stderr_and_exit_code_2(run, tmp_path, command, message):
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
        ("paint photo.jpg", "stylize"),
        ("", "COMMAND"),
    ],
)
def test_bad_usage_lists_what_is_known_and_exits_with_2(run, command, message):
    code, _, err = run(command)
    assert code == 2
    assert message in err


def test_an_existing_output_is_kept_without_overwrite_and_replaced_with_it(run, tmp_path):
    (tmp_path / "out.png").write_bytes(b"precious")
    assert run(f"stylize photo.jpg swirl.png {QUICK}")[0] == 2
    assert (tmp_path / "out.png").read_bytes() == b"precious"
    assert run(f"stylize photo.jpg swirl.png {QUICK} --overwrite")[0] == 0
    assert size_of(tmp_path / "out.png") == (48, 32)


def test_an_error_midway_saves_the_best_so_far_and_says_where(run, tmp_path, monkeypatch):
    evaluate, calls = Objective.evaluate, []

    def failing(*arguments, **options):
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
def test_too_little_memory_says_what_to_do(run, monkeypatch, error):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(Objective, "evaluate", fail)
    code, _, err = run(f"stylize photo.jpg swirl.png {QUICK}")
    assert code == 2
    assert "--tile" in err
    assert err.count("\n") == 1


def test_ctrl_c_saves_the_best_so_far_and_says_where(files, tmp_path):
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


def test_the_traceback_is_there_for_who_asks(run, monkeypatch):
    monkeypatch.setenv("NEURALSTYLE_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError):
        run(f"stylize missing.jpg swirl.png {QUICK}")


def test_defaults_shown_in_the_help_are_the_librarys(run):
    _, out, _ = run("stylize --help")
    assert "(default: 512)" in " ".join(out.split())
    assert "(default: lbfgs)" in out
