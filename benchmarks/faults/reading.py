"""Kinds of files that are read: pictures, models, states and logs, each damaged."""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

from damage import damage
from formats import FORMATS, picture, with_damaged_profile
from trial import OPENED, Case, FaultError, Kind

SHARE_WHOLE = 0.04  # of the pictures: not damaged, so that they have to be opened
SIZES = (None, None, 32, 64)


def make_picture(dice: Random, folder: Path, form: str) -> Case:
    suffix, whole = FORMATS[form]
    data, note = whole(dice), "whole"
    is_whole = dice.random() < SHARE_WHOLE
    if not is_whole:
        data, note = damage(dice, data, form)
    path = folder / f"picture{suffix}"
    path.write_bytes(data)
    return Case((path, None if is_whole else dice.choice(SIZES)), note, path.name, is_whole)


def make_profile(dice: Random, folder: Path) -> Case:
    suffix, data = with_damaged_profile(dice)
    path = folder / f"picture{suffix}"
    path.write_bytes(data)
    return Case((path, None), f"damaged profile in a {suffix}", path.name)


def make_disguise(dice: Random, folder: Path) -> Case:
    """A picture under the name of another format, or a file that is no picture under the name of one."""
    suffix = dice.choice([suffix for suffix, _ in FORMATS.values()])
    form = dice.choice([*FORMATS, "noise", "postscript", "text", "empty"])
    if form in FORMATS:
        data = FORMATS[form][1](dice)
    else:
        program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n{ } loop\nshowpage\n"
        data = {"noise": dice.randbytes(999), "postscript": program, "text": b"a text\n" * 9, "empty": b""}[form]
    path = folder / f"picture{suffix}"
    path.write_bytes(data)
    return Case((path, None), f"{form} named {suffix}", path.name)


def open_picture(case: Case) -> str:
    from neuralstyle import load_image

    path, size = case.value
    image = load_image(path, size)
    if image.ndim != 4 or image.shape[:2] != (1, 3) or not (image.min() >= 0 and image.max() <= 1):  # NaN too
        raise FaultError("wrong", f"{tuple(image.shape)}, values from {image.min():g} to {image.max():g}")
    if size is not None and max(image.shape) != size:
        raise FaultError("wrong", f"a longest side of {max(image.shape)} instead of {size}")
    return OPENED


# Models and states. Whole ones are made once in a process.


@cache
def network() -> Any:
    from neuralstyle.feedforward import TransformerNet

    return TransformerNet(width=4, blocks=1, seed=0).eval()


def _bytes(write: Callable[[Path], object], name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


@cache
def whole_model(suffix: str) -> bytes:
    import torch

    from neuralstyle.feedforward import export_onnx, save_model

    if suffix == ".safetensors":
        return _bytes(lambda path: save_model(network(), path), "model.safetensors")
    if suffix == ".onnx":
        return _bytes(lambda path: export_onnx(network(), path), "model.onnx")
    return _bytes(lambda path: torch.save(published(), path), "model.pth")


def published() -> dict[str, Any]:
    """A state dict with the names of fast_neural_style."""
    import torch

    def conv(name: str, into: int, out: int, side: int) -> dict[str, Any]:
        return {f"{name}.conv2d.weight": torch.zeros(out, into, side, side), f"{name}.conv2d.bias": torch.zeros(out)}

    def norm(name: str, out: int) -> dict[str, Any]:
        return {f"{name}.weight": torch.ones(out), f"{name}.bias": torch.zeros(out)}

    found: dict[str, Any] = {}
    down = [("conv1", 3, 4, 9, "in1"), ("conv2", 4, 8, 3, "in2"), ("conv3", 8, 16, 3, "in3")]
    inner = [(f"res1.conv{i}", 16, 16, 3, f"res1.in{i}") for i in (1, 2)]
    up = [("deconv1", 16, 8, 3, "in4"), ("deconv2", 8, 4, 3, "in5"), ("deconv3", 4, 3, 9, "")]
    for name, into, out, side, normal in down + inner + up:
        found |= conv(name, into, out, side) | (norm(normal, out) if normal else {})
    return found


def change_header(dice: Random, data: bytes) -> bytes:
    """Change values in the header of a safetensors file, and leave its lengths right."""
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    structure = header["__metadata__"].get("structure")
    if structure is not None and dice.random() < 0.7:
        header["__metadata__"]["structure"] = json.dumps(_other_value(dice, json.loads(structure)))
    else:
        header = _other_value(dice, header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


STRANGE = (None, True, -1, 0, 5, 1500, 10**9, 10**30, 1e308, float("nan"), "", "x" * 5000, [], {}, [[]], {"dict": 3})


def _other_value(dice: Random, tree: Any) -> Any:
    """The tree with the value at one place replaced by another, of the same type or not."""
    if dice.random() < 0.15 or not isinstance(tree, (dict, list)) or not tree:
        return dice.choice(STRANGE)
    places = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    place = dice.choice(places)
    if dice.random() < 0.1:
        del tree[place]
    else:
        tree[place] = _other_value(dice, tree[place])
    return tree


def change_keys(dice: Random) -> bytes:
    """A .pth file whose state dict has other keys, values or shapes."""
    import torch

    state: dict[Any, Any] = published()
    for _ in range(dice.choice((1, 1, 3))):
        key = dice.choice(list(state))
        value = state.pop(key)
        other = dice.choice(
            (
                lambda value: value.repeat(2, *[1] * (value.ndim - 1)),
                lambda value: value.to(dice.choice((torch.int64, torch.complex64, torch.float64, torch.bool))),
                lambda value: torch.zeros(1).expand(10**6, 10**6) if dice.random() < 0.5 else torch.zeros(()),
                lambda value: value * float("nan"),
                lambda value: dice.choice((None, 5, "text", [], [value])),
                lambda value: value.to_sparse(),
            )
        )
        name = dice.choice((key, 5, ("a",), None, f"module.{key}", "res9999.conv1.conv2d.weight", b"bytes"))
        is_plain = isinstance(value, torch.Tensor) and value.layout is torch.strided and value.numel() < 10**6
        state[name] = other(value) if is_plain else value
    whole = dice.choice((state, {"epoch": 3, "state_dict": state}, list(state.values())))
    return _bytes(lambda path: torch.save(whole, path), "model.pth")


def make_model(dice: Random, folder: Path, suffix: str) -> Case:
    path = folder / f"model{suffix}"
    data, note, is_whole = whole_model(suffix), "whole", dice.random() < SHARE_WHOLE
    if not is_whole:
        special = {".safetensors": partial(change_header, data=data), ".pth": change_keys}.get(suffix)
        if special is not None and dice.random() < 0.4:
            data, note = special(dice), special.__name__ if suffix == ".pth" else "change_header"
        else:
            data, note = damage(dice, data)
    path.write_bytes(data)
    return Case(path, note, path.name, is_whole)


def open_model(case: Case) -> str:
    """Load a model and paint with it. A .safetensors file has a checksum, so that it is the right one or none."""
    import torch

    from neuralstyle.feedforward import load_model

    image = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = load_model(case.value)(image)
        if found.shape != image.shape:
            raise FaultError("wrong", f"the result has shape {tuple(found.shape)}")
        if case.value.suffix == ".safetensors" and not torch.equal(found, network()(image)):
            raise FaultError("wrong", "the network was damaged and paints another picture")
    return OPENED


PAINTING = {"size": 32, "iterations": 3, "schedule": "single", "encoder": "compact19", "progress": False}


def paint(state: Path) -> bytes:
    from neuralstyle import StateFile, stylize

    content, style = (picture(Random(seed)) for seed in (0, 1))
    return stylize(content, style, state=StateFile(state, every=0), **PAINTING).tobytes()  # type: ignore[arg-type]


@cache
def whole_painting() -> tuple[bytes, bytes]:
    """The state of a run that was stopped, and the picture that the run ends with."""
    from neuralstyle import StateFile, stylize

    content, style = (picture(Random(seed)) for seed in (0, 1))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        stylize(
            content,
            style,
            state=StateFile(path, every=0),
            callback=lambda progress: progress.iteration < 2,
            **PAINTING,  # type: ignore[arg-type]
        )
        state = path.read_bytes()
        return state, paint(path)


def make_painting_state(dice: Random, folder: Path) -> Case:
    return _make_state(dice, folder / "run.state", whole_painting()[0])


def _make_state(dice: Random, path: Path, data: bytes) -> Case:
    note, is_whole = "whole", dice.random() < SHARE_WHOLE
    if not is_whole:
        if dice.random() < 0.3:
            data, note = change_header(dice, data), "change_header"
        else:
            data, note = damage(dice, data)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return Case(path, note, path.name, is_whole)


def continue_painting(case: Case) -> str:
    data = case.value.read_bytes()
    result = paint(case.value)
    case.value.write_bytes(data)  # a run that goes on may write its state
    if result != whole_painting()[1]:
        raise FaultError("wrong", "the run went on from a damaged state to another picture")
    return OPENED


def training(folder: Path, stop: int | None = None) -> dict[str, Any]:
    from neuralstyle import GramStyleLoss
    from neuralstyle.feedforward import StateFolder, TrainingData, train

    data = folder / "data"
    data.mkdir(exist_ok=True)
    for seed in range(3):
        picture(Random(seed)).save(data / f"{seed}.png")
    trained = train(
        picture(Random(9)),
        TrainingData(data, size=16, batch_size=1, steps=3, workers=0),
        losses=1 * GramStyleLoss("relu1_1"),
        network=network(),
        encoder="compact19",
        state=StateFolder(folder / "state", every=1),
        callback=None if stop is None else lambda progress: progress.step < stop,
        progress=False,
    )
    return trained.state_dict()


@cache
def whole_training() -> tuple[bytes, dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        training(Path(folder), 2)
        state = (Path(folder) / "state" / "state.safetensors").read_bytes()
        return state, training(Path(folder))


def make_training_state(dice: Random, folder: Path) -> Case:
    return _make_state(dice, folder / "state" / "state.safetensors", whole_training()[0])


def continue_training(case: Case) -> str:
    import torch

    data = case.value.read_bytes()
    found = training(case.value.parent.parent)
    case.value.write_bytes(data)
    if not all(torch.equal(found[name], tensor) for name, tensor in whole_training()[1].items()):
        raise FaultError("wrong", "the training went on from a damaged state to another network")
    return OPENED


# Logs of losses


def make_log(dice: Random, folder: Path, suffix: str) -> Case:
    counter = dice.choice(("iteration", "step"))
    rows = [{counter: i, "stage": 1, "size": 32, "loss": 1 / i, "seconds": i * 0.1} for i in range(1, 9)]
    if suffix == ".csv":
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    else:
        lines = [json.dumps(row) for row in rows]
    note, is_whole = "whole", dice.random() < SHARE_WHOLE
    if not is_whole and dice.random() < 0.5:
        note = _change_line(dice, lines, suffix)
    data = ("\n".join(lines) + "\n").encode()
    if not is_whole and note == "whole":
        data, note = damage(dice, data)
    path = folder / f"losses{suffix}"
    path.write_bytes(data)
    return Case((path, dice.random() < 0.05), note, path.name, is_whole)


def _change_line(dice: Random, lines: list[str], suffix: str) -> str:
    place = dice.randrange(len(lines))
    cells = ("", "nan", "inf", "-1", "x", "1e999", "null", "true", '"a"', "[]", "{}", "1" * 5000)
    if dice.random() < 0.3:
        lines[place] = dice.choice(("", "null", "[]", "3", "{}", '{"iteration": 2}', ",,,,", '"', "\0", "a,b\n" * 99))
        return f"line {place} is {lines[place][:20]!r}"
    parts = lines[place].split(",")
    chosen = dice.randrange(len(parts))
    value = dice.choice(cells)
    key = parts[chosen].partition(":")[0]
    parts[chosen] = value if suffix == ".csv" else f"{key}: {value or 0}"
    if chosen == len(parts) - 1 and suffix == ".jsonl":
        parts[chosen] += "}"
    lines[place] = ",".join(parts)
    return f"line {place} has {value[:20]!r}"


def open_log(case: Case) -> str:
    from neuralstyle.callbacks import plot_losses, read_losses

    path, with_plot = case.value
    rows = read_losses(path)
    if not all(isinstance(value, (int, float)) for row in rows for value in row.values()):
        raise FaultError("wrong", "a row holds something else than numbers")
    if with_plot:
        plot_losses(path, path.parent / "plot.png")
    return OPENED


KINDS: dict[str, Kind] = {
    **{f"picture.{form}": Kind(partial(make_picture, form=form), open_picture, 2000, 12) for form in FORMATS},
    "picture.profile": Kind(make_profile, open_picture, 1000, 12),
    "picture.disguise": Kind(make_disguise, open_picture, 1000, 12),
    "model.safetensors": Kind(partial(make_model, suffix=".safetensors"), open_model, 2000, 12),
    "model.pth": Kind(partial(make_model, suffix=".pth"), open_model, 2000, 12),
    "model.onnx": Kind(partial(make_model, suffix=".onnx"), open_model, 1000, 8),
    "state.painting": Kind(make_painting_state, continue_painting, 1000, 6),
    "state.training": Kind(make_training_state, continue_training, 1000, 6),
    "log.csv": Kind(partial(make_log, suffix=".csv"), open_log, 1000, 12),
    "log.jsonl": Kind(partial(make_log, suffix=".jsonl"), open_log, 1000, 12),
}
