"""The commands sheet and compare --sweep: what they write, refuse and leave behind."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from neuralstyle import cli, metrics, samples

Run = Callable[[str], tuple[int, str, str]]
QUICK = "--size 32 --schedule single --iterations 1 --quiet"
SHEET = "sheet photo.jpg turned.jpg --style swirl.png embers.png"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    photo = samples.photo().resize((96, 64))
    photo.save("photo.jpg")
    photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save("turned.jpg")
    for name in ("swirl", "embers"):
        samples.painting(name, size=96).save(f"{name}.png")
    Image.blend(photo, Image.open("swirl.png").resize(photo.size), 0.5).save("blend.png")
    Path("old.png").write_text("precious")
    return tmp_path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(command: str) -> tuple[int, str, str]:
        try:
            code = cli.main(command.split())
        except SystemExit as error:
            code = int(error.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def size_of(path: str) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_a_sheet_and_its_cells_are_written(run: Run) -> None:
    code, out, err = run(f"{SHEET} -o sheet.png --cells cells {QUICK}")
    assert (code, err) == (0, "")
    assert out.startswith("sheet.png: 4 pictures, ")
    names = ["1-photo-swirl", "2-photo-embers", "3-turned-swirl", "4-turned-embers"]
    assert sorted(path.stem for path in Path("cells").iterdir()) == names
    assert run(f"stylize turned.jpg embers.png -o one.png {QUICK}")[0] == 0
    with Image.open("one.png") as alone, Image.open("cells/4-turned-embers.png") as cell:
        assert alone.tobytes() == cell.tobytes()
    assert size_of("sheet.png")[0] > 3 * 32
    assert size_of("sheet.png")[1] > 3 * 21


def test_one_pair_varies_in_what_the_options_say(run: Run) -> None:
    words = "--losses gram mean-std --strengths 0.2 0.8 --scales 0.5 --seeds 1"
    code, out, err = run(f"sheet photo.jpg --style swirl.png -o sheet.pdf --json {words} --color match {QUICK}")
    assert (code, Path("sheet.pdf").read_bytes()[:5]) == (0, b"%PDF-"), err
    facts = json.loads(out)
    assert (facts["reason"], facts["output"], facts["pictures"]) == ("finished", "sheet.pdf", 4)
    code, _, err = run(f"sheet photo.jpg --style swirl.png -o two.png --strength 0.2 --cells cells {QUICK}")
    assert code == 0, err  # one value may be said as in stylize
    assert [path.name for path in Path("cells").iterdir()] == ["1-photo-swirl.png"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (f"{SHEET} -o old.png", "old.png exists"),
        (f"{SHEET} -o photo.jpg --overwrite", "-o photo.jpg is read too, as PHOTO"),
        (f"{SHEET} -o swirl.png --overwrite", "-o swirl.png is read too, as --style"),
        (f"{SHEET} -o sheet.gif", "unknown suffix '.gif'"),
        (f"{SHEET} -o sheet.png --cells old.png", "old.png is a file"),
        (f"{SHEET} missing.jpg -o sheet.png", "missing.jpg"),
        ("sheet photo.jpg -o sheet.png", "the following arguments are required: --style"),
        ("sheet photo.jpg --style swirl.png -o s.png --losses grma", "did you mean 'gram'"),
        ("sheet photo.jpg --style swirl.png -o s.png --strengths 0.5 2", "received 2.0"),
        ("sheet photo.jpg --style swirl.png -o s.png --recipe gatys --losses mmd", "give one of them"),
        ("compare photo.jpg swirl.png", "there are no pictures to compare"),
        ("compare photo.jpg swirl.png blend.png --plot p.png", "--plot needs --sweep"),
        ("compare photo.jpg swirl.png blend.png --schedule draft", "--schedule needs --sweep"),
        ("compare photo.jpg swirl.png --sweep 0.5", "--sweep takes two strengths at least"),
        ("compare photo.jpg swirl.png --sweep 0.5 1.5", "received 1.5"),
        ("compare photo.jpg swirl.png --sweep --csv old.png", "old.png: unknown suffix '.png'; use one of .csv"),
        ("compare photo.jpg swirl.png --sweep --plot old.png", "old.png exists"),
        ("compare photo.jpg swirl.png --sweep --sheet s.txt", "unknown suffix '.txt'"),
    ],
)
def test_what_is_wrong_is_one_line_before_the_work(run: Run, folder: Path, command: str, message: str) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    code, out, err = run(command)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_an_error_midway_leaves_the_sheet_so_far(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from neuralstyle.painting.stylize import stylize

    module, count = sys.modules["neuralstyle.many.sheet"], []

    def fail(*arguments: object, **options: object) -> Image.Image:
        count.append(1)
        if len(count) == 3:
            raise RuntimeError("out of memory")
        return stylize(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "stylize", fail)
    code, out, err = run(f"{SHEET} -o sheet.png --cells cells {QUICK}")
    assert code == 2
    assert "out of memory" in err
    assert "the sheet so far, with 2 pictures, is in sheet.png" in err
    assert out.startswith("sheet.png: 2 pictures")
    assert len(list(Path("cells").iterdir())) == 2


@pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX systems")
def test_ctrl_c_leaves_the_sheet_so_far(folder: Path) -> None:
    command = f"{SHEET} -o sheet.png --cells cells --size 96 --schedule single --iterations 40"
    process = subprocess.Popen(
        [sys.executable, "-m", "neuralstyle", *command.split()], stderr=subprocess.PIPE, text=True, cwd=folder
    )
    deadline = time.monotonic() + 120
    while not list(folder.glob("cells/1-*.png")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "neuralstyle: stopped; the sheet so far, with " in err
    assert "Traceback" not in err
    assert size_of("sheet.png")[0] > 3 * 96


# --- compare


def test_a_sweep_is_a_curve_beside_which_results_are_read(run: Run) -> None:
    files = "--csv c.csv --json c.json --plot curve.png --sheet sheet.pdf"
    command = "compare photo.jpg swirl.png blend.png --sweep 0.0 0.9 --schedule preview --quiet"
    code, out, err = run(f"{command} {files}")
    assert (code, err) == (0, "")
    found = json.loads(Path("c.json").read_text())
    assert list(found) == ["photo.jpg", "blend.png", "strength 0", "strength 0.9"]
    low, high = found["strength 0"], found["strength 0.9"]
    assert (low["strength"], high["strength"]) == (0, 0.9)
    assert low["structure"] > high["structure"]
    scores = metrics.compare("photo.jpg", "swirl.png", {"blend.png": "blend.png"})["blend.png"]
    curve = metrics.Curve.of([low, high])
    assert found["blend.png"]["style_of_curve"] == curve.style_at(scores.structure)
    assert f"blend.png: style {scores.style:.3f} at structure {scores.structure:.3f}, where the curve has" in out
    with Path("c.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["picture"] for row in rows] == list(found)
    for row in rows:
        assert {name: float(value) for name, value in row.items() if name != "picture" and value} == {
            name: value for name, value in found[row["picture"]].items() if value is not None
        }
    assert size_of("curve.png")[0] > 300
    assert Path("sheet.pdf").read_bytes().startswith(b"%PDF")


def test_a_sweep_needs_no_results(run: Run) -> None:
    code, out, err = run("compare photo.jpg swirl.png --sweep 0.2 0.8 --size 64 --schedule preview --quiet")
    assert (code, err) == (2, "") or "64" in err  # 64 x 43 is too small for a spectrum
    code, out, err = run("compare photo.jpg swirl.png --sweep 0.2 0.8 --size 96 --schedule preview --quiet")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["best", "photo.jpg", "strength", "strength"]


def test_the_published_measures_are_printed_on_request(run: Run) -> None:
    code, out, err = run("compare photo.jpg swirl.png blend.png --published")
    assert (code, err) == (0, "")
    assert out.split("\n")[0].split() == ["style", "structure", *metrics.PUBLISHED]
    scores = metrics.compare("photo.jpg", "swirl.png", {"blend.png": "blend.png"})["blend.png"]
    assert out.splitlines()[-1].split()[-1] == f"{scores.cosine:.3f}"
