"""Command lines: commands, options and values drawn from the parser itself, most of them wrong; and full disks."""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from formats import picture
from reading import whole_model
from trial import OPENED, REFUSED, Case, FaultError, Kind, unclear_because

FREQUENCIES = {"stylize": 8, "train": 5, "apply": 6, "demo": 0.3, "layers": 0.3, "losses": 0.1}  # others: 2
INTS = ("0", "1", "2", "3", "15", "16", "17", "32", "48", "-1", "1000000000", "99999999999999999999", "1e3", "1.5", "x")
FLOATS = ("0", "0.5", "1", "2", "-1", "nan", "inf", "-inf", "1e308", "1e-308", "1e999", "x", "")
INPUTS = ("photo.png", "painting.png", "grey.jpg", "album", "model.safetensors", "model.onnx", "losses.csv")
POOR = (
    "tiny.png",
    "broken.png",
    "empty.png",
    "notes.txt",
    "missing.png",
    "",
    ".",
    "-",
    "nowhere/photo.png",
    "new\nline",
)
OUTPUTS = ("out.png", "out.jpg", "out.tif", "out.webp", "out.safetensors", "out.onnx", "out", "out.json", "out.csv")
POOR_OUTPUTS = ("photo.png", "album", "out.xyz", "nowhere/out.png", "exists.png", "exists.safetensors", "exists.json")
PATTERNS = ("step-{}.png", "step-%03d.png", "step.png", "{}{}.png", "step-{:9999d}.png", "nowhere/{}.png")
OUTPUT_OPTIONS = ("-o", "--output", "--json", "--plot", "--log")
REPLACEABLE = ("exists.png", "exists.safetensors", "exists.json")
SMALL = 3 * 48 * 48  # pixels times evaluations that are painted; larger works are left out
NOT_OURS = re.compile(r"Traceback|  File \"|.*\.py:\d+: \w*Warning")  # a raw traceback or warning


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: Any
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if re.match(r"neuralstyle: (error|failed):", line)]


def prepare(folder: Path) -> None:
    """Files that commands are given."""
    dice = Random(0)
    for name in ("photo.png", "painting.png", "exists.png"):
        picture(dice).resize((48, 36)).save(folder / name)
    picture(dice, "L").save(folder / "grey.jpg")
    picture(dice).resize((8, 8)).save(folder / "tiny.png")
    whole = (folder / "photo.png").read_bytes()
    (folder / "broken.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").touch()
    (folder / "notes.txt").write_text("precious\n", encoding="utf-8")
    (folder / "exists.json").write_text("{}\n", encoding="utf-8")
    (folder / "losses.csv").write_text("iteration,loss\n1,2.0\n2,1.0\n", encoding="utf-8")
    for name in ("model.safetensors", "model.onnx", "exists.safetensors"):
        (folder / name).write_bytes(whole_model(Path(name).suffix))
    (folder / "album" / "deeper").mkdir(parents=True)
    picture(dice).save(folder / "album" / "a.jpg")
    picture(dice).save(folder / "album" / "deeper" / "b.png")
    (folder / "album" / "c.png").write_bytes(whole[:99])


@cache
def parsers() -> dict[str, argparse.ArgumentParser]:
    from neuralstyle import cli

    parser = cli._parser(show_all=True)
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(commands.choices)


def make_command(dice: Random, folder: Path) -> Case:
    prepare(folder)
    names = list(parsers())
    (name,) = dice.choices(names, [FREQUENCIES.get(name, 2) for name in names])
    actions = [action for action in parsers()[name]._actions if "help" not in action.dest]
    places = [action for action in actions if not action.option_strings]
    options = [action for action in actions if action.option_strings and action.dest != "compile"]  # takes minutes
    words = [name]
    for action in places:
        count = dice.choice((1, 1, 2)) if action.nargs == "+" else 1
        words += [dice.choice(_right(name, action) if dice.random() < 0.85 else POOR) for _ in range(count)]
    chosen = [action for action in options if action.required and dice.random() < 0.95]
    chosen += dice.sample(options, min(len(options), dice.choice((0, 1, 1, 2, 3, 6))))
    if name in ("stylize", "texture", "reconstruct", "demo"):
        words += ["--iterations", "1", "--size", "32", "--schedule", dice.choice(("draft", "single"))]
    if name == "train":
        words += ["--steps", "1", "--size", "16", "--workers", "0", "--width", "4"]
    for action in chosen:
        words += [dice.choice(action.option_strings), *_values(dice, name, action)]
    if dice.random() < 0.03:
        words.insert(dice.randint(0, len(words)), dice.choice(("--", "--nonsense", "-x", "@notes.txt", "")))
    return Case(words, " ".join(map(repr, words)))


def _right(name: str, action: argparse.Action) -> tuple[str, ...]:
    if action.dest == "model":
        return ("model.safetensors", "model.onnx")
    if action.dest == "log":
        return ("losses.csv",)
    if action.dest == "data":
        return ("album",)
    return ("photo.png", "painting.png", "grey.jpg", *(("album",) if name == "apply" else ()))


def _values(dice: Random, name: str, action: argparse.Action) -> list[str]:
    """Values for an option: as many as it takes, most of the time."""
    if action.nargs == 0:
        return []
    count = action.nargs if isinstance(action.nargs, int) else dice.choice((1, 1, 2)) if action.nargs == "+" else 1
    if dice.random() < 0.03:
        count = dice.choice((0, 3))
    return [_value(dice, name, action) for _ in range(count)]


def _value(dice: Random, name: str, action: argparse.Action) -> str:
    if action.choices is not None and dice.random() < 0.8:
        return str(dice.choice(list(action.choices)))
    if action.type is int or getattr(action.type, "__name__", "") == "tile_side":
        return dice.choice((*INTS, "auto"))
    if action.type is float:
        return dice.choice(FLOATS)
    if action.dest == "output":
        right = {"train": ("out.safetensors",), "export": ("out.onnx",), "apply": ("out", "out.png")}
        return dice.choice(right.get(name, ("out.png", "out.jpg")) if dice.random() < 0.6 else OUTPUTS + POOR_OUTPUTS)
    if action.dest == "device":
        return dice.choice(("cpu", "cpu", "cuda", "cuda:99", "mps", "meta", "x"))
    if action.dest == "snapshots":
        return dice.choice(PATTERNS)
    if "layer" in action.dest:
        return dice.choice(("relu1_1", "relu2_1", "relu4_1", "relu9_9", "image", ""))
    return dice.choice((*INPUTS, *POOR, *OUTPUTS, *POOR_OUTPUTS, "gram", "noise", "content"))


@contextlib.contextmanager
def small_works() -> Iterator[None]:
    """Leave out works that take more than milliseconds."""
    from neuralstyle.cli import feedforward, saving

    paint, train = saving.paint, feedforward.train

    def small_paint(plan: Any, *places: Any, **named: Any) -> Any:
        if sum(stage.size**2 * stage.iterations for stage in plan.stages) > SMALL:
            raise FloatingPointError("left out")
        return paint(plan, *places, **named)

    def small_train(style: Any, data: Any, *places: Any, **named: Any) -> Any:
        if data.size**2 * (data.steps or data.epochs * 10) * data.batch_size > SMALL:
            raise FloatingPointError("left out")
        return train(style, data, *places, **named)

    with mock.patch.object(saving, "paint", small_paint), mock.patch.object(feedforward, "train", small_train):
        yield


def call(words: list[str]) -> Ended:
    """Run a command in this process."""
    from neuralstyle.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("default")
        try:
            code: Any = main(words)
        except SystemExit as ended:
            code = ended.code
    return Ended(code, out.getvalue(), err.getvalue())


def check(ended: Ended) -> None:
    """Check what holds for every command: its exit code, and lines of errors that can be understood."""
    if ended.code not in (0, 2):
        raise FaultError("wrong", f"exit {ended.code}: {ended.err[-300:]}")
    if ended.code == 2 and not ended.errors:
        raise FaultError("unclear", f"exit 2 and no error: {ended.err[-300:]}")
    if ended.code == 0 and ended.errors:
        raise FaultError("wrong", f"exit 0 and an error: {ended.errors[0]}")
    if len([line for line in ended.errors if "error:" in line.partition(" ")[2][:7]]) > 1:
        raise FaultError("unclear", f"several errors: {ended.errors}")
    for line in ended.err.replace("\r", "\n").splitlines():
        if NOT_OURS.match(line):
            raise FaultError("unclear", f"a line of another's: {line[:300]}")
        unclear = unclear_because(line) if line.startswith("neuralstyle:") else None
        if unclear is not None:
            raise FaultError("unclear", f"{unclear}: {line}")


def run_command(case: Case) -> str:
    with small_works():
        ended = call(case.value)
    check(ended)
    return OPENED if ended.code == 0 else REFUSED


def may_change(case: Case) -> tuple[str, ...]:
    """The names of files that ``--overwrite`` lets the command replace: outputs that are not inputs too."""
    words = case.value
    if "--overwrite" not in words:
        return ()
    named = [word for option, word in itertools.pairwise(words) if option in OUTPUT_OPTIONS]
    return (*REPLACEABLE, *(word for word in named if words.count(word) == named.count(word)))


# Full disks


SHORT_TRAINING = (
    "--steps",
    "1",
    "--size",
    "16",
    "--workers",
    "0",
    "--width",
    "4",
    "--blocks",
    "1",
    "--batch-size",
    "1",
)
LIMITS = (0, 1, 100, 999, 3000, 8000, 20_000, 50_000, 200_000)


def make_full_disk(dice: Random, folder: Path) -> Case:
    """A command that writes, and the bytes that a file may have."""
    prepare(folder)
    out = dice.choice(("out", "exists"))
    paint = ["photo.png", "painting.png", "-o", f"{out}.png", "--overwrite", "--iterations", "1", "--size", "48"]
    words = dice.choice(
        (
            ["stylize", *paint, "--schedule", "single", "--network", "compact19", "--log", "new.csv"],
            ["stylize", *paint, "--schedule", "single", "--network", "compact19", "--state", "new.state"],
            ["recolor", "photo.png", "painting.png", "-o", f"{out}.png", "--overwrite"],
            ["recolor", "photo.png", "painting.png", "-o", dice.choice(("out.jpg", "out.webp", "out.tif", "out.avif"))],
            ["recolor", "photo.png", "painting.png", "-o", "out.tif", "--depth", "16"],
            ["apply", "model.safetensors", "photo.png", "grey.jpg", "-o", "results"],
            ["export", "model.safetensors", "-o", "out.onnx"],
            ["train", "painting.png", "album", "-o", f"{out}.safetensors", "--overwrite", *SHORT_TRAINING],
        )
    )
    limit = dice.choice(LIMITS)
    return Case((words, limit), f"at most {limit} bytes a file: {' '.join(words)}")


def run_on_full_disk(case: Case) -> str:
    import resource

    words, limit = case.value
    before = {path: path.read_bytes() for path in Path().glob("exists.*")}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        ended = call(words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    check(ended)
    for path, data in before.items():
        if ended.code and path.read_bytes() != data:
            raise FaultError("changed", f"{path} after exit {ended.code}")
    for path in [*Path().glob("out*"), *Path().glob("results/*"), *Path().glob("exists.*")]:
        check_whole(path)
    left = [path.name for path in Path().rglob("*") if path.name.endswith(".tmp")]
    if left:
        raise FaultError("wrong", f"left over: {left}")
    written = [word for word in words if word.startswith(("out", "exists", "new", "results"))]
    if ended.code and not any(name in line for line in ended.errors for name in written):
        raise FaultError("unclear", f"names none of {written}: {ended.errors}")
    return OPENED if ended.code == 0 else REFUSED


def check_whole(path: Path) -> None:
    """Check that an output is a whole file of its kind."""
    from PIL import Image
    from safetensors import safe_open

    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                list(file.keys())
        elif path.suffix == ".onnx":
            import onnx

            onnx.checker.check_model(onnx.load(str(path)))
        elif path.suffix in (".png", ".jpg", ".tif", ".webp", ".avif"):
            with Image.open(path) as image:
                image.load()
    except Exception as error:
        raise FaultError("wrong", f"{path} is not whole: {error}") from error


KINDS: dict[str, Kind] = {
    "command.line": Kind(make_command, run_command, 5000, 12, documented=(), may_change=may_change),
    "disk.limit": Kind(make_full_disk, run_on_full_disk, 300, 3, documented=(), may_change=lambda case: REPLACEABLE),
}
