"""Many pictures on the command line and through executors: the same files, whoever paints them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil
import pytest

from neuralstyle import cli, samples
from neuralstyle.files import holding
from neuralstyle.many import Processes, apply_to_files, read_settings, stylize_files

Run = Callable[[str], tuple[int, str, str]]
SMALL: dict[str, Any] = {"size": 48, "schedule": "preview", "iterations": 3}
WORDS = "--size 48 --schedule preview --iterations 3 --quiet"


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("album")
    photo = samples.photo().resize((96, 64))
    for name, turned in (("a", 0), ("b", 90), ("c", 180)):
        (folder / "in").mkdir(exist_ok=True)
        photo.rotate(turned, expand=True).save(folder / f"in/{name}.png")
    samples.painting("swirl", size=96).save(folder / "swirl.png")
    samples.painting("embers", size=96).save(folder / "embers.png")
    return folder


@pytest.fixture
def run(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in the folder of the album; OUT is a new folder: (exit code, stdout, stderr)."""

    def run(command: str) -> tuple[int, str, str]:
        monkeypatch.chdir(album)
        code = cli.main([word.replace("OUT", str(tmp_path)) for word in command.split()])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_batch_has_the_bytes_of_separate_calls(run: Run, tmp_path: Path) -> None:
    assert run(f"batch in --style swirl.png embers.png -o OUT/batch --strength 0.6 {WORDS}")[0] == 0
    for style in ("swirl", "embers"):
        (tmp_path / "one" / style).mkdir(parents=True)
        for name in "abc":
            command = f"stylize in/{name}.png {style}.png -o OUT/one/{style}/{name}.png --strength 0.6 {WORDS}"
            assert run(command)[0] == 0
    assert files(tmp_path / "batch") == files(tmp_path / "one")


class OnlySubmit:
    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        class Later:
            def result(self) -> Any:
                return function(*arguments)

        return Later()


def test_every_executor_writes_the_same_files(album: Path, tmp_path: Path) -> None:
    def paint(name: str, executor: Any) -> dict[str, bytes]:
        results = stylize_files(album / "in", album / "swirl.png", tmp_path / name, executor=executor, **SMALL)
        assert len(results) == 3
        assert [result.status for result in results] == ["painted"] * 3
        return files(tmp_path / name)

    expected = paint("here", None)
    assert sorted(expected) == ["a.png", "b.png", "c.png"]
    assert paint("submit", OnlySubmit()) == expected
    import torch

    threads = torch.get_num_threads()
    with Processes(2, threads=threads) as processes:
        assert paint("processes", processes) == expected
    with ProcessPoolExecutor(2, get_context("spawn"), torch.set_num_threads, (threads,)) as pool:
        assert paint("pool", pool) == expected


def test_a_broken_picture_stops_no_other(run: Run, album: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for file in (album / "in").iterdir():
        (tmp_path / "in" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "in/broken.png").write_bytes((album / "in/a.png").read_bytes()[:500])
    code, out, err = run(f"batch OUT/in --style swirl.png -o OUT/out --json {WORDS}")
    assert code == 2
    facts = json.loads(out)
    assert (facts["painted"], facts["skipped"], list(facts["failed"])) == (3, 0, [f"{tmp_path}/in/broken.png"])
    assert "failed: " in err
    assert "broken.png is broken" in err
    assert sorted(files(tmp_path / "out")) == ["a.png", "b.png", "c.png"]


def test_what_is_there_is_skipped_and_other_settings_are_named(run: Run, tmp_path: Path) -> None:
    command = f"batch in --style swirl.png -o OUT/out {WORDS} --skip-existing"
    code, out, _ = run(f"{command} --shard 1/2")
    assert (code, "2 painted" in out) == (0, True)
    before = files(tmp_path / "out")
    assert sorted(before) == ["a.png", "c.png"]
    code, out, _ = run(command)
    assert (code, "1 painted, 2 skipped" in out) == (0, True)
    code, out, err = run(f"{command} --strength 0.9")
    assert (code, err.count("has strength 0.5 and not 0.9; pass overwrite=True")) == (2, 3)
    code, out, err = run(f"batch in --style swirl.png -o OUT/out {WORDS}")
    assert (code, err.count("exists; pass overwrite=True")) == (2, 3)
    assert {name: data for name, data in files(tmp_path / "out").items() if name in before} == before
    code, out, _ = run(f"{command} --strength 0.9 --overwrite")
    assert (code, "3 painted" in out) == (0, True)
    assert (read_settings(tmp_path / "out/a.png") or {})["options"]["strength"] == 0.9


def test_a_result_says_how_to_paint_it_again(run: Run, tmp_path: Path) -> None:
    options = "--strength 0.7 --seed 3 --noise gaussian --noise-blend 0.2 --style-scales 0.8 --optimizer adam --lr 0.05"
    assert run(f"stylize in/a.png swirl.png -o OUT/a.png {options} --depth 16 {WORDS}")[0] == 0
    assert run("stylize in/a.png swirl.png -o OUT/again.png --quiet --like OUT/a.png")[0] == 0
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    assert run("batch in/a.png --style swirl.png -o OUT/batch --quiet --like OUT/a.png")[0] == 0
    assert (tmp_path / "batch/a.png").read_bytes() == (tmp_path / "a.png").read_bytes()


def test_a_recipe_is_painted_again_with_its_own_settings(run: Run, tmp_path: Path) -> None:
    assert run("stylize in/a.png swirl.png -o OUT/a.png --recipe gatys --size 48 --iterations 2 --quiet")[0] == 0
    assert run("stylize in/a.png swirl.png -o OUT/again.png --quiet --like OUT/a.png")[0] == 0
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "a.png").read_bytes()


def test_a_dry_run_lists_the_files_and_paints_nothing(run: Run, tmp_path: Path) -> None:
    code, out, _ = run(f"batch in --style swirl.png -o OUT/out --dry-run {WORDS}")
    assert code == 0
    assert f"{Path('in/a.png')} -> {tmp_path}/out/a.png" in out
    assert "3 pictures; the first: " in out
    assert not (tmp_path / "out").exists()


def test_a_result_that_another_run_paints_is_left_to_it(album: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from neuralstyle.files import holding\n"
        "with holding(sys.argv[1]):\n    print('held', flush=True); sys.stdin.read()\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "out/b.png")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        call = (album / "in", album / "swirl.png", tmp_path / "out")
        found = {result.output.name: result for result in stylize_files(*call, **SMALL)}
        assert [found[f"{name}.png"].status for name in "abc"] == ["painted", "failed", "painted"]
        assert "is being written by another run" in str(found["b.png"].reason)
        found = {result.output.name: result for result in stylize_files(*call, skip_existing=True, **SMALL)}
        assert [found[f"{name}.png"].status for name in "abc"] == ["skipped"] * 3
        other.communicate()
    with holding(tmp_path / "out/b.png"):
        pass


def test_apply_shares_its_pictures_out(run: Run, album: Path, tmp_path: Path) -> None:
    assert run("apply swirl in -o OUT/here --quiet")[0] == 0
    for shard in ("1/2", "2/2"):
        assert run(f"apply swirl in -o OUT/shards --shard {shard} --quiet")[0] == 0
    assert run("apply swirl in -o OUT/jobs --jobs 2 --quiet")[0] == 0
    expected = files(tmp_path / "here")
    assert sorted(expected) == ["a.png", "b.png", "c.png"]
    assert files(tmp_path / "shards") == expected
    assert sorted(files(tmp_path / "jobs")) == sorted(expected)
    results = apply_to_files("swirl", album / "in", tmp_path / "here", skip_existing=True)
    assert [result.status for result in results] == ["skipped"] * 3
    code, _, err = run("apply swirl in -o OUT/more --batch-size 2 --jobs 2 --quiet")
    assert (code, "--jobs needs a folder as -o, and no --batch-size" in err) == (2, True)


def started(album: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "neuralstyle", "batch", "in", "--style", "swirl.png", "--quiet", *words],
        cwd=album,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    found = psutil.Process(process.pid).children(recursive=True)
    return [child for child in found if "spawn_main" in " ".join(child.cmdline())]


def wait_for(is_there: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 120
    while not (found := is_there()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_ends_all_processes_and_the_same_command_goes_on(album: Path, tmp_path: Path, jobs: str) -> None:
    out = tmp_path / "out"
    words = ("-o", str(out), "--size", "64", "--schedule", "single", "--jobs", jobs)
    process = started(album, *words, "--iterations", "100000")
    children = wait_for(lambda: workers_of(process)) if jobs == "2" else []
    wait_for(out.exists)  # a picture is in work
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert err.splitlines() == [
        "neuralstyle: stopped; 0 of 3 pictures are done, and the same command with --skip-existing goes on"
    ]
    psutil.wait_procs(children, timeout=10)
    assert not any(child.is_running() for child in children)
    assert files(out) == {}


def test_a_worker_that_is_killed_is_named_and_its_picture_painted(album: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = started(
        album, "-o", str(out), "--size", "64", "--iterations", "40", "--schedule", "single", "--jobs", "2"
    )
    wait_for(lambda: len(workers_of(process)) == 2)
    wait_for(lambda: out.exists())  # a picture is in work
    workers_of(process)[0].kill()
    err = process.communicate(timeout=120)[1]
    assert process.returncode == 0
    assert err.count("its worker process was killed (SIGKILL)") == 1
    assert sorted(files(out)) == ["a.png", "b.png", "c.png"]
