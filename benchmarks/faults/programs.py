"""Programs that are stopped by signals, and disks that run full under them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

import commands
from formats import picture
from reading import whole_model
from trial import OPENED, REFUSED, Case, FaultError, Kind, unclear_because

LONGEST = 90.0  # seconds of a program that nobody stops
AT_WORK = 0.7  # share of the signals that come after the first evaluation or picture; the others come at any time
SIGNALS = {"KILL": (signal.SIGKILL,), "TERM": (signal.SIGTERM,), "INT": (signal.SIGINT,)}
SIGNALS["INT INT"] = (signal.SIGINT, signal.SIGINT)
CODES = {"KILL": (-9,), "TERM": (143, -15), "INT": (130, -2), "INT INT": (130, -2)}  # -15, -2: before Python was ready


@dataclass(frozen=True)
class Work:
    """A command that takes a while.

    Args:
        words: its arguments.
        again: more arguments when it is started again.
        begun: tells whether an evaluation, a step or a picture was done.
        kept: what there is after SIGTERM or SIGINT once it was begun; one of these, or a file that stderr names.
        results: the files that it ends with.

    """

    words: tuple[str, ...]
    again: tuple[str, ...]
    begun: Callable[[], bool]
    kept: tuple[str, ...]
    results: tuple[str, ...]


def _rows(name: str) -> bool:
    path = Path(name)
    return path.exists() and len(path.read_bytes().splitlines()) > 1


WORKS = {
    "stylize": Work(
        (
            *("stylize", "photo.png", "painting.png", "-o", "out.png", "--size", "64", "--schedule", "draft"),
            *("--iterations", "120", "--state", "run.state", "--state-every", "0", "--log", "losses.csv", "--quiet"),
        ),
        (),
        partial(_rows, "losses.csv"),
        ("out.png",),
        ("out.png",),
    ),
    "train": Work(
        (
            *("train", "painting.png", "album", "-o", "net.safetensors", "--steps", "40", "--size", "32"),
            *("--batch-size", "1", "--width", "4", "--blocks", "1", "--workers", "0", "--state", "run"),
            *("--state-every", "5", "--log", "losses.csv", "--log-every", "1", "--quiet"),
        ),
        ("--overwrite",),
        partial(_rows, "losses.csv"),
        ("net.safetensors", "run/state.safetensors"),
        ("net.safetensors",),
    ),
    "apply": Work(
        ("apply", "model.safetensors", "album", "-o", "results", "--quiet"),
        ("--overwrite",),
        lambda: any(Path("results").glob("*.png")),
        ("results",),
        tuple(f"results/{number:02}.png" for number in range(24)),
    ),
}


def prepare(folder: Path) -> None:
    """The files of the work, and others that it must leave alone."""
    dice = Random(1)
    for name in ("photo.png", "painting.png", "precious.png"):
        picture(dice).resize((64, 48)).save(folder / name)
    (folder / "model.safetensors").write_bytes(whole_model(".safetensors"))
    (folder / "album").mkdir()
    for number in range(24):
        picture(dice).resize((64, 48)).save(folder / "album" / f"{number:02}.png")
    (folder / ".run.state-notes.tmp").mkdir()
    for name in (".run.state-notes.tmp/notes.txt", ".out.png.tmp", "run.state.txt", "notes.txt"):
        (folder / name).write_text("precious\n", encoding="utf-8")


def start(words: tuple[str, ...]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "neuralstyle", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    try:
        _, err = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise FaultError("hang", f"did not end in {LONGEST:.0f} s") from None
    return process.returncode, err.decode(errors="replace")


@cache
def undisturbed(name: str) -> tuple[dict[str, bytes], float]:
    """The results of a work that nobody stops, and its seconds."""
    home, work = Path.cwd(), WORKS[name]
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        os.chdir(folder)
        try:
            begin = time.monotonic()
            code, err = finish(start(work.words))
            if code:
                raise RuntimeError(f"{' '.join(work.words)} ends with {code}: {err}")
            return {file: Path(file).read_bytes() for file in work.results}, time.monotonic() - begin
        finally:
            os.chdir(home)


def make_signal(dice: Random, folder: Path, name: str) -> Case:
    prepare(folder)
    kind = dice.choice(list(SIGNALS))
    at_work, moment, pause = dice.random() < AT_WORK, dice.random(), dice.choice((0.0, 0.003, 0.03, 0.2))
    when = f"{moment:.3f} of the time {'after the first evaluation' if at_work else 'from the start'}"
    return Case((name, kind, at_work, moment, pause), f"{name}: {kind} ({1000 * pause:.0f} ms) at {when}")


def stop(case: Case) -> str:
    """Start a work, send the signal, check what is left; start it again, and compare the ends."""
    name, kind, at_work, moment, pause = case.value
    work, (results, seconds) = WORKS[name], undisturbed(name)
    process = start(work.words)
    begin = time.monotonic()
    if at_work:
        while process.poll() is None and not work.begun() and time.monotonic() - begin < LONGEST:
            time.sleep(0.005)
        time.sleep(0.3 * moment * max(0.0, seconds - 1))
    else:
        time.sleep(moment * seconds)
    is_begun = work.begun()  # before the signal
    for number, sent in enumerate(SIGNALS[kind]):
        time.sleep(pause if number else 0)
        if process.poll() is None:
            process.send_signal(sent)
    code, err = finish(process)
    _check_words(code, (0, *CODES[kind]), err)
    _check_files(work, err, is_begun and kind != "KILL", f"exit {code}")
    is_finished = all(Path(file).exists() and Path(file).read_bytes() == data for file, data in results.items())
    if code and not is_finished:  # a signal may come when all is done
        _check_again(work)
    for file, data in results.items():
        if Path(file).read_bytes() != data:
            raise FaultError("wrong", f"{file} is not what an undisturbed run ends with")
    left = [path for path in _leftovers() if path not in (".run.state-notes.tmp", ".out.png.tmp")]
    if left:
        raise FaultError("wrong", f"left over: {left}")
    return OPENED


def _check_words(code: int, right: tuple[int, ...], err: str) -> None:
    if code not in right:
        raise FaultError("wrong", f"exit {code}: {err[-300:]}")
    is_ours = "/neuralstyle/" in err  # before its first line, Ctrl-C is Python's own, with a traceback
    if is_ours and ("Traceback" in err or '  File "' in err):
        raise FaultError("traceback", err[-300:])
    for line in filter(str.strip, err.splitlines() if is_ours or "Traceback" not in err else ()):
        if (unclear := unclear_because(line)) is not None:
            raise FaultError("unclear", f"{unclear}: {line}")


def _check_files(work: Work, err: str, has_to_keep: bool, how: str) -> None:
    for file in map(Path, work.results):
        if file.exists():
            commands.check_whole(file)
    if has_to_keep and not any(map(os.path.exists, (*work.kept, *_named(err)))):
        raise FaultError("wrong", f"{how}, and nothing was kept: {err[-300:]}")


def _check_again(work: Work) -> None:
    code, err = finish(start((*work.words, *work.again)))
    if code:
        raise FaultError("wrong", f"started again it ends with {code}: {err[-300:]}")


def _named(err: str) -> list[str]:
    """Words of a message that may be paths."""
    return [word.strip(".,;:()'\"") for word in err.split() if re.search(r"[/.]", word)]


def _leftovers() -> list[str]:
    return [path.as_posix() for path in Path().rglob("*") if re.search(r"\.tmp$|^\.", path.name)]


# A disk of a few kilobytes


@contextlib.contextmanager
def small_disk(size: int) -> Iterator[Path | None]:
    """A file system of so many bytes, or None where none can be mounted."""
    folder = Path("disk")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=True)


def make_small_disk(dice: Random, folder: Path) -> Case:
    commands.prepare(folder)
    size = dice.choice((4096, 8192, 16384, 65536, 262144))
    paint = ["photo.png", "painting.png", "--iterations", "2", "--size", "48", "--schedule", "single"]
    words = dice.choice(
        (
            ["stylize", *paint, "-o", "disk/out.png", "--network", "compact19"],
            ["stylize", *paint, "-o", "disk/out.png", "--network", "compact19", "--log", "disk/log.csv"],
            ["stylize", *paint, "-o", "disk/out.tif", "--network", "compact19", "--state", "disk/run.state"],
            ["train", "painting.png", "album", "-o", "disk/net.safetensors", *commands.SHORT_TRAINING],
            ["apply", "model.safetensors", "photo.png", "grey.jpg", "-o", "disk/results"],
            ["recolor", "photo.png", "painting.png", "-o", "disk/out.png"],
        )
    )
    used = dice.choice((0.0, 0.9, 1.0))
    return Case((words, size, used), f"a disk of {size} bytes, {used:.0%} full: {' '.join(words)}")


def fill_disk(case: Case) -> str:
    words, size, used = case.value
    with small_disk(size) as disk:
        if disk is None:
            return REFUSED
        (disk / "precious").write_bytes(b"p" * int(used * size))
        before = (disk / "precious").read_bytes()
        ended: Any = commands.call(words)
        commands.check(ended)
        if (disk / "precious").read_bytes() != before:
            raise FaultError("changed", "disk/precious")
        for path in disk.rglob("*"):
            commands.check_whole(path)
        left = [path.name for path in disk.rglob("*") if path.name.endswith(".tmp")]
        if left:
            raise FaultError("wrong", f"left over: {left}")
        if ended.code and "disk" not in ended.err:
            raise FaultError("unclear", f"does not name the file: {ended.err[-300:]}")
        return OPENED if ended.code == 0 else REFUSED


KINDS: dict[str, Kind] = {
    **{f"signal.{name}": Kind(partial(make_signal, name=name), stop, 100, limit=60, documented=()) for name in WORKS},
    "disk.small": Kind(make_small_disk, fill_disk, 200, 2, documented=()),
}
