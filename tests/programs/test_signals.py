"""Signals: what there is gets saved, the program says where, and exits with 130 or 143."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import pytest
from PIL import Image

from neuralstyle import cli, last_image, samples, stylize
from neuralstyle.callbacks import read_losses
from neuralstyle.feedforward import TransformerNet, load_model, save_model
from neuralstyle.images import to_pil
from neuralstyle.painting import paint as painting

FOREVER = 100_000


@contextmanager
def started(folder: Path, *words: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "neuralstyle", *map(str, words)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that puts the tests in the background has its processes ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def end(process: subprocess.Popen[str], *signals: int) -> str:
    """Send signals one after the other, and return what the process says on stderr."""
    for number in signals:
        process.send_signal(number)
        time.sleep(0.01)
    err = process.communicate(timeout=120)[1]
    assert "Traceback" not in err
    assert process.returncode == 128 + signals[0]
    return err


def wait_for(is_there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not is_there():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def listens(process: subprocess.Popen[str]) -> bool:
    """Whether a process catches SIGTERM, which Python by itself does not."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():  # not on Linux
        time.sleep(0.2)
        return True
    (caught,) = re.findall(r"^SigCgt:\s*(\w+)$", status.read_text(), re.MULTILINE)
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT] * 2], ids=["SIGTERM", "Ctrl-C twice"])
def test_a_signal_while_painting_saves_the_best_picture_so_far(tmp_path: Path, signals: list[int]) -> None:
    words = ["--size", 96, "--iterations", FOREVER, "--schedule", "single", "--print-every", 1, "--quiet"]
    with started(tmp_path, "demo", "-o", "out.png", *words, "--state", "run.state") as process:
        assert process.stdout is not None
        for _ in range(3):
            assert "loss" in process.stdout.readline()
        err = end(process, *signals)
    assert "stopped; the best picture so far is in out.png; the same command goes on from run.state" in err
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (96, 64)
        image.load()
    assert (tmp_path / "run.state").exists()


@pytest.mark.parametrize("delay", [0.1, 0.6])
def test_a_signal_at_the_start_is_one_line_and_no_traceback(tmp_path: Path, delay: float) -> None:
    with started(tmp_path, "demo", "--size", 96, "--iterations", FOREVER) as process:
        wait_for(lambda: listens(process))  # a busy machine takes long to start Python itself
        time.sleep(delay)  # while torch is imported
        err = end(process, signal.SIGINT, signal.SIGINT)
    assert err == "neuralstyle: stopped before there was anything to save\n"
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def album(tmp_path: Path) -> Path:
    (tmp_path / "album").mkdir()
    for name in "abc":
        samples.photo().resize((96, 64)).save(tmp_path / f"album/{name}.png")
    samples.painting("swirl", size=64).save(tmp_path / "swirl.png")
    return tmp_path


TRAIN = "train swirl.png album --size 32 --width 2 --blocks 1 --batch-size 1 --device cpu --quiet -o out.safetensors"


@pytest.mark.parametrize("workers", [0, 1])
def test_a_signal_while_training_saves_the_network_so_far(album: Path, workers: int) -> None:
    words = f"{TRAIN} --steps {FOREVER} --log log.jsonl --log-every 1 --workers {workers}"
    with started(album, *words.split()) as process:
        wait_for(lambda: (album / "log.jsonl").exists() and len(read_losses(album / "log.jsonl")) > 1)
        err = end(process, signal.SIGTERM, signal.SIGINT)
    assert err == "neuralstyle: stopped; the network so far is in out.safetensors\n"
    assert isinstance(load_model(album / "out.safetensors"), TransformerNet)


def test_a_stopped_training_with_a_state_continues_to_the_same_network(album: Path) -> None:
    words = f"{TRAIN} --workers 0 --seed 1 --log log.jsonl --log-every 1"
    with started(album, *words.split(), "--state", "run", "--steps", str(FOREVER)) as process:
        wait_for(lambda: (album / "log.jsonl").exists() and len(read_losses(album / "log.jsonl")) > 1)
        err = end(process, signal.SIGINT)
    found = re.search(r"is in (run/step-(\d+).safetensors), and the same command goes on from run", err)
    assert found is not None
    steps = int(found[2])
    assert read_losses(album / "log.jsonl")[-1]["step"] == steps
    assert not (album / "out.safetensors").exists()
    arguments = [word.replace("album", str(album / "album")) for word in words.split()]
    arguments = [str(album / word) if "." in word else word for word in arguments]
    assert cli.main([*arguments, "--state", str(album / "run"), "--steps", str(steps + 2)]) == 0
    continued = (album / "out.safetensors").read_bytes()
    assert cli.main([*arguments, "--steps", str(steps + 2), "--overwrite"]) == 0
    whole = load_model(album / "out.safetensors")
    (album / "out.safetensors").write_bytes(continued)
    again = load_model(album / "out.safetensors")
    assert isinstance(whole, TransformerNet)
    assert isinstance(again, TransformerNet)
    assert all(bool((a == b).all()) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_a_signal_while_applying_a_folder_says_how_many_are_done(
    album: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(TransformerNet(2, 1), album / "model.safetensors")
    calls: list[object] = []

    class Stopped(TransformerNet):
        def forward(self, image):  # type: ignore[no-untyped-def]
            calls.append(image)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return super().forward(image)

    monkeypatch.setattr("neuralstyle.feedforward.files.load_model", lambda path: Stopped(2, 1).eval())
    code = cli.main(["apply", "x", str(album / "album"), "-o", str(album / "done"), "--quiet", "--device", "cpu"])
    assert code == 130
    assert capsys.readouterr().err == (
        "neuralstyle: stopped; 2 of 3 pictures are done, and the same command with --skip-existing goes on\n"
    )
    assert len(list((album / "done").iterdir())) == 2


def test_the_command_line_runs_in_any_thread_and_leaves_signals_alone() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(cli.main(["losses"])))
    thread.start()
    thread.join()
    assert codes == [0]
    assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def stop_at(count: int) -> Callable[[object], None]:
    def callback(progress: object) -> None:
        if progress.iteration == count:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    return callback


QUICK = {"size": 48, "iterations": 9, "schedule": "single", "progress": False}


def test_the_exception_has_the_picture_and_says_where_it_is() -> None:
    with pytest.raises(KeyboardInterrupt, match=r"stopped after 3 evaluations; neuralstyle.last_image\(\)") as caught:
        stylize(samples.photo(), samples.painting("swirl"), callback=stop_at(3), **QUICK)  # type: ignore[arg-type]
    assert last_image() is caught.value.image  # type: ignore[attr-defined]
    assert max(last_image().size) == 48


def test_a_second_ctrl_c_does_not_take_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []

    def interrupted(image: object, *arguments: object) -> Image.Image:
        calls.append(image)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return to_pil(image)  # type: ignore[arg-type]

    monkeypatch.setattr("neuralstyle.painting.plan.to_pil", interrupted)
    monkeypatch.setattr(painting, "_last_image", None)
    with pytest.raises(KeyboardInterrupt):
        stylize(samples.photo(), samples.painting("swirl"), callback=stop_at(3), **QUICK)  # type: ignore[arg-type]
    assert max(last_image().size) == 48


def test_in_a_notebook_the_next_cell_has_the_picture_and_the_traceback_is_short() -> None:
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell()
    cell = (
        "from neuralstyle import samples, stylize\n"
        "\n"
        "def stop(progress):\n"
        "    if progress.iteration == 3:\n"
        "        raise KeyboardInterrupt\n"
        "\n"
        "photo, painting = samples.photo(), samples.painting('swirl')\n"
        f"options = {QUICK!r}\n"
        "image = stylize(photo, painting, callback=stop, **options)\n"
    )
    printed = io.StringIO()
    with redirect_stdout(printed):
        shell.run_cell(cell)
    lines = printed.getvalue().strip().splitlines()
    assert "last_image()" in lines[-1]
    assert len(lines) <= 15, printed.getvalue()
    shell.run_cell("import neuralstyle; found = neuralstyle.last_image()")
    assert max(shell.user_ns["found"].size) == 48


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a file that is always full")  # noqa: PTH110
@pytest.mark.parametrize(
    "redirection", [">&-", "2>&-", ">&- 2>&- <&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>/dev/full", "| true"]
)
def test_no_stream_decides_how_a_painting_ends(tmp_path: Path, redirection: str) -> None:
    command = (
        f"{sys.executable} -m neuralstyle demo -o я.png --size 32 --iterations 1 --schedule single --print-every 1"
    )
    bash = ["bash", "-c", f"set -o pipefail; {command} {redirection}"]
    done = subprocess.run(bash, cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "cp1252"}, check=False)
    assert done.returncode == 0
    with Image.open(tmp_path / "я.png") as image:
        assert image.size == (32, 21)
