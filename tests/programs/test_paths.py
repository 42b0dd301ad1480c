"""The command line's paths: an input is never an output, and nothing that existed is lost."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from neuralstyle import cli, samples
from neuralstyle.cli import saving
from neuralstyle.files import holding

Run = Callable[[str], tuple[int, str, str]]
QUICK = "--size 48 --schedule single --iterations 1 --quiet"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    samples.photo().resize((48, 32)).save("photo.jpg")
    samples.painting("swirl", size=64).save("painting.png")
    (tmp_path / "album").mkdir()
    samples.photo().resize((48, 32)).save("album/one.jpg")
    os.link("photo.jpg", "hard.jpg")
    Path("link.jpg").symlink_to("photo.jpg")
    for name in ("old.png", "old-7.png", "old.csv"):
        Path(name).write_text("precious")
    Path("log.csv").write_text("iteration,loss\n1,2.0\n")
    Path("model.safetensors").write_text("a model")
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


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


STYLIZE = "stylize photo.jpg painting.png"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (f"{STYLIZE} -o photo.jpg --overwrite", "-o photo.jpg is read too, as CONTENT, and an input is never replaced"),
        (f"{STYLIZE} -o link.jpg --overwrite", "-o link.jpg is read too, as CONTENT"),
        (f"{STYLIZE} -o hard.jpg --overwrite", "-o hard.jpg is read too, as CONTENT"),
        (f"{STYLIZE} -o album/../photo.jpg --overwrite", "is read too, as CONTENT"),
        (f"{STYLIZE} -o painting.png --overwrite", "-o painting.png is read too, as STYLE"),
        (f"{STYLIZE} -o old.png --masks old.png --overwrite", "-o old.png is read too, as --masks"),
        (f"{STYLIZE} -o old.png --regions ~old.png --overwrite", "-o old.png is read too, as --regions"),
        (f"{STYLIZE} -o old.png --init old.png --overwrite", "-o old.png is read too, as --init"),
        (f"{STYLIZE} -o o.png --log photo.jpg --overwrite", "--log photo.jpg is read too, as CONTENT"),
        (f"{STYLIZE} -o o.png --state photo.jpg", "--state photo.jpg is read too, as CONTENT"),
        (f"{STYLIZE} -o p.png --log p.csv --plot p.png", "-o and --plot both write p.png"),
        (f"{STYLIZE} -o o.png --state o.png", "-o and --state both write o.png"),
        (f"{STYLIZE} -o o-2.png --snapshots o-%d.png --snapshots-every 1", "-o and --snapshots both write o-2.png"),
        (f"{STYLIZE} -o o.png --log r.csv --state r.csv", "--log and --state both write r.csv"),
        (f"{STYLIZE} -o old.png", "old.png exists; pass overwrite=True (--overwrite)"),
        (f"{STYLIZE} -o o.png --log old.csv", "old.csv exists"),
        (f"{STYLIZE} -o o.png --log l.csv --plot old.png", "old.png exists"),
        (f"{STYLIZE} -o o.png --snapshots old-%d.png", "old-7.png exists"),
        (f"{STYLIZE} -o o.png --log notes.txt", "notes.txt: unknown suffix '.txt'; use one of .csv .jsonl"),
        (f"{STYLIZE} -o album", "album is a folder"),
        (f"{STYLIZE} -o nowhere/o.png", "there is no folder nowhere"),
        (f"{STYLIZE} -o -", "-o - : nothing is written to the standard output; give the name of a file"),
        ("stylize - painting.png -o o.png", "CONTENT - : the standard input is not read"),
        ("texture painting.png -o painting.png --overwrite", "-o painting.png is read too, as STYLE"),
        ("reconstruct photo.jpg -o photo.jpg --overwrite", "-o photo.jpg is read too, as CONTENT"),
        ("recolor photo.jpg painting.png -o photo.jpg --overwrite", "-o photo.jpg is read too, as CONTENT"),
        ("compare photo.jpg painting.png old.png --json old.csv", "old.csv: unknown suffix '.csv'; use one of .json"),
        ("plot log.csv -o log.csv --overwrite", "-o log.csv is read too, as LOG"),
        ("plot log.csv -o old.png", "old.png exists"),
        ("export model.safetensors -o model.safetensors --overwrite", "-o model.safetensors is read too, as MODEL"),
        ("apply swirl album -o album --overwrite", "-o album is read too, as PICTURE, and an input is never replaced"),
        ("apply swirl photo.jpg -o . --overwrite", "would replace photo.jpg, and an input is never replaced"),
        ("apply swirl photo.jpg -o r.jp2", "r.jp2: unknown suffix '.jp2'"),
    ],
)
def test_a_wrong_path_is_one_line_before_the_work_and_nothing_changes(
    run: Run, folder: Path, command: str, message: str
) -> None:
    before = contents(folder)
    code, out, err = run(command)
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("neuralstyle: error: ")
    assert err.count("\n") == 1
    assert contents(folder) == before
    assert not (folder / "r.jp2").exists()


def test_a_picture_in_a_folder_that_is_read_is_no_output_of_a_training(run: Run, folder: Path) -> None:
    before = contents(folder)
    code, _, err = run("train painting.png album -o net.safetensors --snapshots album/%d.png --overwrite --steps 0")
    assert code == 2  # --steps; the snapshots are new
    samples.photo().resize((48, 32)).save("album/3.png")
    before = contents(folder)
    code, _, err = run("train painting.png album -o net.safetensors --snapshots album/%d.png --overwrite")
    assert (code, contents(folder)) == (2, before)
    assert "--snapshots album/3.png is read too, as DATA" in err


def test_a_state_killed_at_its_start_excuses_nothing_of_another_run(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*arguments: object, **options: object) -> None:
        raise SystemExit(9)

    with monkeypatch.context() as patched:
        patched.setattr("neuralstyle.painting.paint._paint_stage", kill)
        assert run(f"{STYLIZE} -o o.png --state it {QUICK}")[0] == 9
    assert Path("it").stat().st_size < 10_000  # the settings alone
    before = contents(folder)
    code, _, err = run(f"{STYLIZE} -o old.png --state it {QUICK} --strength 0.8")
    assert (code, contents(folder)) == (2, before)
    assert "old.png exists" in err
    assert run(f"{STYLIZE} -o new.png --state it {QUICK} --strength 0.8")[::2] == (0, "")  # it begins anew
    assert not Path("it").exists()


def test_a_result_that_cannot_be_saved_is_saved_elsewhere(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = saving.save_image

    def full(image: object, path: str | Path, **form: object) -> Path:
        if str(path) == "o.png":
            raise OSError("o.png cannot be written: no more space")
        return save(image, path, **form)  # type: ignore[arg-type]

    monkeypatch.setattr(saving, "save_image", full)
    code, out, err = run(f"{STYLIZE} -o o.png {QUICK}")
    assert code == 2
    assert err.startswith("neuralstyle: error: o.png cannot be written: no more space; the picture is in /")
    place = Path(out.partition(": ")[0])
    with Image.open(place) as image:
        assert image.size == (48, 32)
    assert place.name == "o.png"
    assert not (folder / "o.png").exists()


def test_a_result_that_can_be_saved_nowhere_names_both_places(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(image: object, path: str | Path, **form: object) -> Path:
        raise OSError(f"{path} cannot be written: no more space")

    (folder / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder / "temporary"))
    monkeypatch.setattr(saving, "save_image", full)
    code, _, err = run(f"{STYLIZE} -o o.png {QUICK}")
    assert code == 2
    assert "o.png cannot be written: no more space; nor can the picture be saved in" in err
    assert not list((folder / "temporary").glob("neuralstyle-*/*.png"))


def test_a_second_run_for_one_output_is_told_at_its_start(run: Run, folder: Path) -> None:
    with holding(folder / "o.png"):
        code, _, err = run(f"{STYLIZE} -o o.png {QUICK}")
    assert code == 2
    assert err.startswith("neuralstyle: error: o.png is being written by another run; wait until that one has ended")


def test_wildcards_that_the_shell_left_are_expanded(run: Run, folder: Path) -> None:
    samples.photo().resize((48, 32)).save("album/two.jpg")
    assert run("apply swirl album/*.jpg -o painted --quiet")[0] == 0
    assert sorted(path.name for path in (folder / "painted").iterdir()) == ["one.jpg", "two.jpg"]


@pytest.mark.parametrize("options", ["", "--style-blend-weights 1"])
def test_many_pictures_are_noticed_unless_they_are_blended_on_purpose(run: Run, folder: Path, options: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        code, _, err = run(f"stylize photo.jpg {'painting.png ' * 3} -o o.png --dry-run {QUICK} {options}")
    said = err + "".join(str(warning.message) for warning in caught)
    assert code == 0
    assert ("photo.jpg is the photograph, and the 3 others are blended as paintings" in said) == (not options)
