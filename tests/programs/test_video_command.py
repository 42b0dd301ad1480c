"""The command video: exit codes, one line on stderr, and films that are killed and go on."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from films import make_animation, make_film, picture
from PIL import Image

from neuralstyle import cli, samples

MOMENTS = 3
"""Moments at which a film is killed, spread over its making."""

SMALL = ("--size", "96", "--iterations", "3", "--frame-iterations", "2", "--quiet")


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    samples.painting("swirl", size=96).save(tmp_path / "painting.png")
    return tmp_path / "painting.png"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_animation(tmp_path / "clip.gif", [100] * 6)


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "neuralstyle", "video", *map(str, words)]


def test_a_film_is_painted_and_refused_a_second_time(
    clip: Path, painting: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["video", str(clip), str(painting), "-o", str(clip.with_name("out.webp")), "--to", "0.3", *SMALL]
    assert cli.main(words) == 0
    assert capsys.readouterr().out.startswith(f"{clip.with_name('out.webp')}: ")
    with Image.open(clip.with_name("out.webp")) as image:
        assert (image.n_frames, image.size) == (3, (96, 64))
    assert cli.main(words) == 2
    assert "exists; pass overwrite=True (--overwrite)" in capsys.readouterr().err
    assert cli.main([*words, "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give one of the two"),
        (("{painting}", "--model", "swirl"), "give one of the two"),
        (("{painting}", "--steadiness", "2"), "steadiness is a finite number from 0 to 1"),
        (("{painting}", "--steadiness", "0", "--passes", "2"), "passes is 1 where every frame is painted on its own"),
        (("{painting}", "--from", "2", "--to", "1"), "the end is a finite number above 2 seconds"),
        (("{painting}", "--from", "9"), "has no frame from 9.0 to its end seconds"),
        (("{painting}", "--state", "{painting}"), "an input is never replaced"),
    ],
)
def test_bad_calls_are_one_line(
    words: tuple[str, ...], message: str, clip: Path, painting: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = [word.format(painting=painting) for word in words]
    assert cli.main(["video", str(clip), *written, "-o", str(clip.with_name("out.gif")), *SMALL]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(path.name for path in clip.parent.iterdir()) == ["clip.gif", "painting.png"]


def test_an_input_is_never_replaced(clip: Path, painting: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = clip.read_bytes()
    assert cli.main(["video", str(clip), str(painting), "-o", str(clip), "--overwrite", *SMALL]) == 2
    assert "an input is never replaced" in capsys.readouterr().err
    assert clip.read_bytes() == before


def test_a_trained_network_on_a_folder_of_frames(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(picture(number)).save(folder / f"{number}.png")
    words = ["video", str(folder), "--model", "swirl", "-o", str(tmp_path / "out"), "--size", "96", "--quiet"]
    assert cli.main(words) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png", "2.png"]


@pytest.mark.parametrize(("suffix", "passes"), [(".mp4", 2), (".webp", 1)])
def test_a_film_killed_at_any_moment_ends_with_the_same_bytes(
    suffix: str, passes: int, tmp_path: Path, painting: Path
) -> None:
    clip = tmp_path / "clip.gif"
    if suffix == ".mp4":
        pytest.importorskip("av")
        make_film(clip := tmp_path / "clip.mp4", range(0, 240, 40), sound="aac")
    else:
        make_animation(clip, [100] * 6)
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    words = (clip, painting, "--passes", passes, *SMALL, "-o")
    started = time.monotonic()
    subprocess.run(command(*words, whole), check=True)
    seconds, chance = time.monotonic() - started, random.Random(suffix)
    for moment in range(MOMENTS):
        out.unlink(missing_ok=True)
        for share in ((moment + chance.random()) / MOMENTS, chance.uniform(0.3, 0.9)):  # killed, and again going on
            process = subprocess.Popen(command(*words, out), stderr=subprocess.DEVNULL)
            time.sleep(share * seconds)
            process.kill()
            process.wait()
        if not out.exists() or (tmp_path / f"{out.name}.frames").exists():  # the last may have finished
            subprocess.run(command(*words, out), check=True)
        assert out.read_bytes() == whole.read_bytes()
        assert {path.name for path in tmp_path.iterdir()} == {clip.name, painting.name, whole.name, out.name}


def test_a_film_killed_in_its_second_pass_keeps_the_first(clip: Path, painting: Path) -> None:
    whole, out = clip.with_name("whole.webp"), clip.with_name("out.webp")
    words = (clip, painting, "--passes", 2, *SMALL, "-o")
    subprocess.run(command(*words, whole), check=True)
    frames = clip.with_name("out.webp.frames")
    process = subprocess.Popen(command(*words, out), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(frames.glob("pass-2/frame-*.png")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    times = {path: path.stat().st_mtime_ns for path in frames.glob("frame-*.png")}
    assert len(times) == 6
    assert len(list(frames.glob("pass-2/frame-*.png"))) < 6
    subprocess.run(command(*words, out, "--state", frames), check=True)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.skipif(not hasattr(signal, "SIGTERM"), reason="there are no signals here")
def test_a_signal_says_how_many_frames_there_are(clip: Path, painting: Path) -> None:
    out = clip.with_name("out.webp")
    words = (clip, painting, "-o", out, "--size", "96", "--iterations", "4", "--frame-iterations", "2000")
    process = subprocess.Popen(command(*words, "--steadiness", "0.2"), stderr=subprocess.PIPE, text=True)
    frames = out.with_name("out.webp.frames")
    deadline = time.monotonic() + 120
    while not list(frames.glob("*.png")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert f"stopped; 1 of 6 frames are in {frames}, and the same call goes on from there" in error
    assert list(frames.iterdir())
