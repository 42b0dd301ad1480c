"""Inputs with names, each through the command line in a process of its own: the exit code, and whether it is right."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from reading import published, whole_model
from trial import unclear_because

LONGEST = 40.0  # seconds of a command, its start included
SMALL = ("--size", "32", "--iterations", "1", "--schedule", "draft", "--quiet")
PAINT = ("stylize", "photo.png", "paint.png")


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, what it printed, and the most memory that it had, in MiB."""

    code: int | None
    out: str
    err: str
    memory: float


Check = Callable[[Ended], str]
"""From how a command ended to what is not right about it, or nothing."""


@dataclass(frozen=True)
class Named:
    """An input.

    Args:
        name: of the file, or a few words.
        words: the command.
        codes: the right exit codes.
        right: what must happen, in words.
        names: a text that has to be in the lines of errors and warnings.
        check: what else has to hold.
        environment: variables of the environment.
        stdout: where its standard output goes.

    """

    name: str
    words: tuple[str, ...]
    codes: tuple[int, ...]
    right: str
    names: str = ""
    check: Check = lambda ended: ""
    environment: dict[str, str] = field(default_factory=dict)
    stdout: str = ""


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def make_pictures() -> None:
    from neuralstyle import samples

    photo = samples.photo().resize((64, 48))
    photo.save("photo.png")
    samples.painting("swirl", size=64).save("paint.png")
    photo.convert("L").save("grey-photo.png")
    Image.open("paint.png").convert("L").save("grey-paint.png")
    Path("program.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{ } loop\n")
    signature, end = b"\x89PNG\r\n\x1a\n", chunk(b"IEND", b"")
    indexed = chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 40, 8, 3, 0, 0, 0))
    Path("no-palette.png").write_bytes(signature + indexed + chunk(b"IDAT", zlib.compress(bytes(41 * 40))) + end)
    Image.new("RGB", (7000, 7000), (10, 90, 200)).save("49-megapixels.png", compress_level=1)
    fields = [(256, 10_100), (257, 10_000), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 10_000), (279, 64)]
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
    header = b"II*\0" + struct.pack("<I", 72) + bytes(64) + struct.pack("<H", len(fields))
    Path("says-101-megapixels.tif").write_bytes(header + table + bytes(4))
    os.mkfifo("pipe.png")
    photo.save("moving.gif", save_all=True, append_images=[photo.rotate(180)], duration=90)
    halves = Image.new("RGB", photo.size, "red")
    halves.paste("lime", (0, 0, 64, 24))
    halves.save("map.png")
    Image.new("L", photo.size, 0).save("black.png")
    clear = Image.new("RGBA", photo.size, (0, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 32, 48))
    clear.save("black-on-clear.png")
    Path("link.png").symlink_to("photo.png")
    for number in range(6):
        photo.rotate(number).save(f"many-{number}.png")
    album = Path("album")
    album.mkdir()
    for name, form in (("a.jfif", "JPEG"), ("b.jp2", "JPEG2000"), ("c.avif", "AVIF"), ("d.mpo", "MPO"), ("E", "JPEG")):
        photo.save(album / name, form)
    photo.save("x.avif")
    (album / "broken.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500))


def make_models() -> None:
    Path("model.safetensors").write_bytes(whole_model(".safetensors"))
    for name, value in (("width", 1500), ("blocks", 10**9), ("blocks", 500)):
        Path(f"says-{name}-{value}.safetensors").write_bytes(claim(name, value))
    for name, key in (("int", 5), ("tuple", ("a",)), ("none", None)):
        torch.save({key: torch.zeros(1)}, f"key-{name}.pth")
    torch.save({f"module.{name}": tensor for name, tensor in published().items()}, "parallel.pth")
    torch.save({"epoch": 3, "state_dict": published()}, "nested.pth")
    torch.save({**published(), "conv1.conv2d.weight": torch.zeros(1).expand(10**6, 3, 9, 9)}, "expanded.pth")
    Path("uneven.jsonl").write_text('{"iteration": 1, "loss": 2.0}\n{"iteration": 2}\n', encoding="utf-8")
    Path("accounts.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    Path("folder.safetensors").mkdir()
    make_onnx()


def claim(name: str, value: int) -> bytes:
    """A network whose file says another architecture than that of its tensors."""
    data = whole_model(".safetensors")
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    structure = json.loads(header["__metadata__"]["structure"])

    def visit(tree: Any) -> None:
        if isinstance(tree, list) and len(tree) == 2 and tree[0] == name:
            tree[1] = value
        for inner in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
            visit(inner)

    visit(structure)
    header["__metadata__"]["structure"] = json.dumps(structure)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


def make_onnx() -> None:
    from onnx import TensorProto, helper

    def save(name: str, operation: str, shape: tuple[Any, ...], properties: dict[str, str], **options: Any) -> None:
        shapes = {"x": image, "y": shape}
        one, other = (helper.make_tensor_value_info(end, TensorProto.FLOAT, shapes[end]) for end in "xy")
        node = helper.make_node(operation, ["x"], ["y"], **options)
        graph = helper.make_graph([node], "graph", [one], [other])
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(made, properties)
        Path(name).write_bytes(made.SerializeToString())

    image = ("b", 3, "h", "w")
    save("one-pixel.onnx", "ReduceMean", ("b", 3, 1, 1), {}, axes=[2, 3], keepdims=1)
    save("turned.onnx", "Transpose", ("b", 3, "w", "h"), {}, perm=[0, 1, 3, 2])
    save("scalar.onnx", "ReduceMean", (), {}, keepdims=0)
    for value in ("-1", "0", "nan", "x"):
        save(f"range-{value}.onnx", "Identity", image, {"neuralstyle.range": value})


# What else has to hold


def exists(*names: str) -> Check:
    return lambda ended: "".join(f"there is no {name}; " for name in names if not Path(name).is_file())


def absent(*names: str) -> Check:
    return lambda ended: "".join(f"there is {name}; " for name in names if os.path.lexists(name))


def is_grey(ended: Ended) -> str:
    channels = torch.tensor(list(Image.open("out.png").convert("RGB").tobytes())).view(-1, 3)
    most = int((channels.max(1).values - channels.min(1).values).max())
    return f"its channels differ by {most} levels" if most > 3 else ""


def at_most_over(bare: float, more: float) -> Check:
    return lambda ended: f"{ended.memory - bare:.0f} MiB over a small one" if ended.memory - bare > more else ""


def drawn_part_painted(ended: Ended) -> str:
    """Whether the left half, which is drawn in the region, changed more than the right one."""
    from neuralstyle import load_image

    change = (load_image("out.png") - load_image("photo.png", 32)).abs()
    return "" if change[..., :14].mean() > change[..., 18:].mean() else "the clear part was painted"


def says_which(ended: Ended) -> str:
    return "" if ended.code or "warning" in ended.err else "neither an error nor a warning"


def unchanged(name: str) -> Check:
    before = Path(name).read_bytes()
    return lambda ended: "" if Path(name).read_bytes() == before else f"{name} changed"


def album_painted(ended: Ended) -> str:
    found = {path.stem for path in Path("painted").rglob("*") if path.is_file()}
    missing = {"a", "b", "c", "d", "E"} - found
    return f"not painted: {sorted(missing)}" if missing else ""


def inputs() -> Iterator[Named]:
    """All of them, in the order in which they are tried."""
    model, out = "model.safetensors", ("-o", "out.png", "--overwrite")
    refused = "one line that names the file"
    for name in ("program.jpg", "no-palette.png", "pipe.png", "says-101-megapixels.tif"):
        yield Named(name, ("apply", model, name, *out), (2,), f"{refused}; nothing is run, nothing waits", name)
    bare = run(Named("", (*PAINT, *out, *SMALL), (0,), "")).memory
    yield Named(
        "49-megapixels.png",
        ("stylize", "49-megapixels.png", "paint.png", *out, *SMALL),
        (0,),
        "at most 500 MiB more than a small one",
        check=at_most_over(bare, 500),
    )
    yield Named(
        "grey", ("stylize", "grey-photo.png", "grey-paint.png", *out, *SMALL), (0,), "stays grey", check=is_grey
    )
    drawn = (*PAINT, *out, *SMALL, "--iterations", "10", "--regions", "black-on-clear.png")
    yield Named("black-on-clear.png", drawn, (0,), "what is drawn is the region", "", drawn_part_painted)
    for name in ("map.png", "black.png"):
        words = (*PAINT, *out, *SMALL, "--regions", name)
        yield Named(name, words, (0, 2), "an error or a warning says what was taken", "", says_which)
    yield Named(
        "album", ("apply", model, "album", "-o", "painted"), (2,), "all that can be opened", "heic", album_painted
    )
    again = ("apply", model, "album", "-o", "album/out")
    yield Named("album/out", again, (2,), "a first time", "heic")
    yield Named("album/out again", (*again, "--overwrite"), (2,), "not its own results", "", absent("album/out/out"))
    yield Named("moving.gif", ("apply", model, "moving.gif", *out), (0,), "a warning names the frames", "frame")
    for name in ("says-width-1500", "says-blocks-1000000000", "says-blocks-500"):
        yield Named(name, ("apply", f"{name}.safetensors", "photo.png", *out), (2,), f"{refused}, in seconds", name)
    for name in ("key-int.pth", "key-tuple.pth", "key-none.pth", "expanded.pth"):
        yield Named(name, ("apply", name, "photo.png", *out), (2,), refused, name)
    for name in ("parallel.pth", "nested.pth"):
        yield Named(
            name, ("apply", name, "photo.png", *out), (0, 2), "the network is found in it, or one line that names it"
        )
    for name in ("one-pixel", "turned", "scalar", "range--1", "range-0", "range-nan", "range-x"):
        yield Named(f"{name}.onnx", ("apply", f"{name}.onnx", "photo.png", *out), (2,), refused, f"{name}.onnx")
    yield Named("uneven.jsonl", ("plot", "uneven.jsonl", *out), (2,), refused, "uneven.jsonl")
    for name in ("photo.png", "link.png"):
        words = (*PAINT, "-o", name, "--overwrite", *SMALL)
        yield Named(f"-o {name}", words, (2,), "an input is never an output", name, unchanged("photo.png"))
    yield Named(
        "--plot on the output",
        (*PAINT, "-o", "p.png", "--log", "p.csv", "--plot", "p.png", *SMALL),
        (2,),
        "refused before the work",
        "p.png",
        absent("p.png", "p.csv"),
    )
    train = ("train", "paint.png", "album", "--steps", "1", "--size", "16", "--workers", "0", "--width", "4", "--quiet")
    yield Named(
        "train --log accounts.csv",
        (*train, "-o", "new.safetensors", "--log", "accounts.csv"),
        (2,),
        "refused before the work",
        "accounts.csv",
        unchanged("accounts.csv"),
    )
    words = (*train, "-o", "folder.safetensors", "--overwrite")
    yield Named("train -o FOLDER", words, (2,), "refused before the work", "folder.safetensors")
    yield Named("-o r.avif", ("apply", model, "photo.png", "-o", "r.avif"), (0,), "an AVIF file", "", exists("r.avif"))
    yield Named("-o r.jp2", ("apply", model, "photo.png", "-o", "r.jp2"), (2,), refused, "r.jp2", absent("r.jp2"))
    yield Named("x.avif", ("apply", model, "x.avif", "-o", "folder"), (0,), "painted into the folder")
    for option, value in (("--size", "9" * 20), ("--size", "99999999999"), ("--style-scales", "1e308")):
        codes = (0, 2) if option == "--style-scales" else (2,)  # scales may be bounded by the style's own pixels
        words = (*PAINT, *out, *SMALL, option, value)
        yield Named(f"{option} {value}", words, codes, "one line, in seconds")
    many = tuple(f"many-{number}.png" for number in range(6))
    words = ("stylize", *many, "paint.png", *out, *SMALL)
    yield Named("many photographs", words, (0,), "a warning says that they are taken as styles", "warning")
    star = ("apply", model, "photo.png", "-o", "stern-★.png")
    yield Named(
        "-o stern-★.png",
        star,
        (0,),
        "also where stdout is ASCII",
        "",
        exists("stern-★.png"),
        {"PYTHONIOENCODING": "ascii"},
    )
    words = ("apply", model, "photo.png", "-o", "full.png")
    yield Named("> /dev/full", words, (0,), "printing never decides", "", exists("full.png"), stdout="/dev/full")


def run(named: Named) -> Ended:
    command = [sys.executable, "-m", "neuralstyle", *named.words]
    environment = {**os.environ, **named.environment, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        full = Path(named.stdout).open("wb") if named.stdout else out  # noqa: SIM115 - closed with the process
        process = subprocess.Popen(command, stdout=full, stderr=err, stdin=subprocess.DEVNULL, env=environment)
        deadline = time.monotonic() + LONGEST
        while True:
            done, status, usage = os.wait4(process.pid, os.WNOHANG)
            if done or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        if not done:
            process.kill()
            os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status) if done else -9
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
        return Ended(process.returncode if done else None, *texts, usage.ru_maxrss / 1024)


def verdict(named: Named, ended: Ended) -> str:
    """What is not right, or nothing."""
    if ended.code is None:
        return f"did not end in {LONGEST:.0f} s"
    if ended.code not in named.codes:
        return f"exit {ended.code}: {ended.err.strip()[-200:]}"
    if "Traceback" in ended.err:
        return "a traceback"
    if ended.code and "neuralstyle: " not in ended.err:
        return "no error"
    lines = [line for line in ended.err.splitlines() if line.startswith("neuralstyle: ")]
    for line in lines:
        if (unclear := unclear_because(line)) is not None:
            return unclear
    if not any(named.names in line for line in lines or [""]):
        return f"no line names {named.names}: {ended.err.strip()[-200:]}"
    return named.check(ended)


def main() -> int:
    home, wrong = Path.cwd(), 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            make_pictures()
            make_models()
            print("| input | command | exit | right | |\n| --- | --- | ---: | --- | --- |")
            for named in inputs():
                ended = run(named)
                found = verdict(named, ended)
                wrong += bool(found)
                shown = " ".join(named.words)[:60]
                code = "-" if ended.code is None else ended.code
                mark = f"WRONG: {' '.join(found.split())}" if found else "holds"
                right = f"{' or '.join(map(str, named.codes))}: {named.right}"
                print(f"| {named.name} | `{shown}` | {code} | {right} | {mark} |", flush=True)
        finally:
            os.chdir(home)
    print(f"\n{wrong} are not right.")
    return int(wrong > 0)
