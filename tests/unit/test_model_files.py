"""Models, weights and logs from strangers: what they say is checked before anything is built, and errors stay short."""

from __future__ import annotations

import json
import math
import pickle
import random
import re
import signal
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from doubles import MOST_SECONDS
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from neuralstyle import samples
from neuralstyle._records import LossTable
from neuralstyle.checkpoint import load_state, save_state
from neuralstyle.encoders import FeatureExtractor
from neuralstyle.encoders.weights.files import read_tensors
from neuralstyle.feedforward import (
    TransformerNet,
    apply_model,
    export_onnx,
    load_model,
    models,
    run_model,
    save_model,
)
from neuralstyle.feedforward.journal import Checkpoints
from neuralstyle.feedforward.options import StateFolder


@pytest.fixture
def network() -> TransformerNet:
    return TransformerNet(4, 1, seed=0).eval()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "given.safetensors"


def refusal(load: Callable[[Path], object], path: Path) -> str:
    """The message with which a file is refused, quickly and without much memory."""
    started = time.process_time()
    with pytest.raises(ValueError):  # noqa: PT011 - below
        load(path)
    assert time.process_time() - started < MOST_SECONDS
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the tests compare the message
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
    return short(caught.value, path)


def short(error: ValueError, path: Path) -> str:
    """The message of an error, if it is one short line that names the file."""
    message = str(error)
    assert str(path) in message
    assert "\n" not in message
    assert len(message.replace(str(path), path.name)) <= 300
    return message


def claim(network: TransformerNet, path: Path, **architecture: object) -> Path:
    """A file of a network that says another architecture."""
    state = {"architecture": {"width": 4, "blocks": 1, **architecture}, "weights": dict(network.state_dict())}
    return save_state(path, state, kind=models.KIND)


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ({"width": 1500}, r"a width of 1500 and 1 blocks, and down\.0\.convolution\.weight is .*\(4, 3, 9, 9\)"),
        ({"width": 3}, r"expected the shape \(3, 3, 9, 9\)"),
        ({"blocks": 10**9}, "1000000000 blocks, and there are tensors for 3 blocks at most"),
        ({"blocks": 500}, "500 blocks, and there are tensors for 3"),
        ({"blocks": 3}, r"the tensor residuals\.1\.\S+ is missing"),
        ({"blocks": 0}, "not a whole number from 1"),
        ({"width": 4.0}, r"is 4\.0, not a whole number"),
        ({"width": True}, "is True, not a whole number"),
        ({"width": 10**40}, "a whole number of 133 bits"),
        ({"depth": 3}, "'depth', which does not belong there"),
        ({"x" * 10_000: 3}, "xxx'..., which does not belong there"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_a_network_says_is_compared_with_its_tensors(network, path, architecture, words, monkeypatch) -> None:
    monkeypatch.setattr(models, "_network", lambda *_: pytest.fail("a network is made"))
    assert re.search(words, refusal(load_model, claim(network, path, **architecture)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda weights: weights.pop("up.2.convolution.bias"), "up.2.convolution.bias is missing"),
        (lambda weights: weights.update(extra=torch.zeros(1)), "a tensor 'extra' too many"),
        (lambda weights: weights.update({"e" * 10**5: torch.zeros(1)}), "too many"),
        (lambda weights: weights.update({"up.2.convolution.bias": torch.zeros(3, dtype=torch.int32)}), "floating"),
        (lambda weights: weights.update({"up.2.convolution.bias": "three"}), "is 'three', not a tensor"),
        (lambda weights: weights.update({5: torch.zeros(1)}), "has 5 as a key"),
        (lambda weights: weights["up.2.convolution.bias"].fill_(math.nan), "NaN or infinite weights"),
        (lambda weights: weights["down.1.norm.weight"].fill_(math.inf), "NaN or infinite weights"),
    ],
)
def test_tensors_that_do_not_belong_to_a_network_are_named(network, path, change, words) -> None:
    weights: dict[Any, Any] = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    change(weights)
    save_state(path, {"architecture": {"width": 4, "blocks": 1}, "weights": weights}, kind=models.KIND)
    assert words in refusal(load_model, path)


def test_a_network_of_an_earlier_version_has_two_texts_and_no_checksum_and_loads(network, path) -> None:
    whole = save_model(network, path).read_bytes()
    with safe_open(path, "pt") as file:
        structure = json.dumps(json.loads(file.metadata()["neuralstyle"])["structure"])
    save_file(load_file(path), path, {"kind": models.KIND, "structure": structure})
    assert path.read_bytes() != whole
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(load_model(path)(image), network(image))
    assert save_model(load_model(path), path).read_bytes() == whole


@pytest.mark.parametrize("half", [False, True])
def test_two_files_of_one_network_are_the_same_bytes(network, tmp_path, half) -> None:
    files = [save_model(network, tmp_path / f"{number}.safetensors", half=half).read_bytes() for number in range(10)]
    assert len(set(files)) == 1


# --- .pth


def load_vgg(path: Path) -> object:
    return FeatureExtractor("vgg11", weights=path)


def saved(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".model"])
@pytest.mark.parametrize("own", [True, False], ids=["own", "published"])
@pytest.mark.parametrize("form", ["plain", "parallel", "training", "both", "old"])
def test_state_dicts_load_in_the_forms_in_which_people_have_them(network, tmp_path, suffix, own, form) -> None:
    weights = dict(network.state_dict())
    if not own:
        weights = {models._their_name(name): tensor for name, tensor in weights.items()}
    if form in ("parallel", "both"):
        weights = {f"module.{name}": tensor for name, tensor in weights.items()}
    content = {"epoch": 3, "state_dict": weights, "optimizer": {"lr": 0.1}} if form in ("training", "both") else weights
    path = tmp_path / f"given{suffix}"
    torch.save(content, path, _use_new_zipfile_serialization=form != "old")
    loaded = load_model(path)
    assert (loaded.width, loaded.blocks, loaded.training) == (4, 1, False)
    factors = {"down.0.convolution.weight": 255} | {f"up.2.convolution.{part}": 1 / 255 for part in ("weight", "bias")}
    for name, tensor in loaded.state_dict().items():
        expected = network.state_dict()[name] * (1 if own else factors.get(name, 1))
        torch.testing.assert_close(tensor, expected, rtol=1e-6, atol=0)


def test_published_weights_of_half_precision_are_scaled_in_full(network, tmp_path) -> None:
    weights = {models._their_name(name): (100 * tensor).half() for name, tensor in network.state_dict().items()}
    loaded = load_model(saved(weights, tmp_path / "given.pth")).state_dict()
    expected = 255 * weights["conv1.conv2d.weight"].float()
    assert expected.abs().max() > 1000
    assert torch.equal(loaded["down.0.convolution.weight"], expected)


STRANGE: dict[str, Callable[[], object]] = {
    "int key": lambda: {5: torch.zeros(1)},
    "tuple key": lambda: {("a",): torch.zeros(1)},
    "None key": lambda: {None: torch.zeros(1)},
    "long key": lambda: {"k" * 10**6: torch.zeros(1)},
    "deep key": lambda: {((("a" * 100,) * 100,) * 100,): torch.zeros(1)},
    "huge key": lambda: {10**5000: torch.zeros(1)},
    "expanded": lambda: {"conv1.conv2d.weight": torch.zeros(1).expand(10**5, 3, 9, 9)},
    "expanded many times": lambda: {f"res{n}.conv1.conv2d.weight": torch.zeros(1).expand(10**9) for n in range(50)},
    "one storage many times": lambda: dict.fromkeys(map(str, range(1000)), torch.zeros(10**4)),
    "many blocks": lambda: {
        "conv1.conv2d.weight": torch.zeros(4, 3, 9, 9),
        **{f"res{number}.conv1.conv2d.weight": torch.zeros(1) for number in range(1000)},
    },
    "wide": lambda: {"conv1.conv2d.weight": torch.zeros(1500, 1, 1, 1), "res1.conv1.conv2d.weight": torch.zeros(1)},
    "no width": lambda: {
        models._their_name(name): tensor[:0] for name, tensor in TransformerNet(1, 1, seed=0).state_dict().items()
    },
    "empty": dict,
    "a list": lambda: [torch.zeros(1)],
    "a number": lambda: 3,
    "sparse": lambda: {"a": torch.eye(3).to_sparse()},
    "meta": lambda: {"a": torch.empty(10**6, device="meta")},
    "strings": lambda: {"a": "b" * 10**6},
    "a dict of training without weights": lambda: {"state_dict": {}, "epoch": 3},
    "whole numbers": lambda: {
        "conv1.conv2d.weight": torch.zeros(4, 3, 9, 9, dtype=torch.int64),
        "res1.conv1.conv2d.weight": torch.zeros(1, dtype=torch.int64),
    },
}


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize(
    "load", [load_model, lambda path: FeatureExtractor("vgg11", weights=path)], ids=["model", "vgg"]
)
def test_strange_state_dicts_are_one_short_line(tmp_path, name, load) -> None:
    refusal(load, saved(STRANGE[name](), tmp_path / "given.pth"))


def test_an_archive_that_says_more_than_it_holds_is_not_unpacked(tmp_path) -> None:
    whole = saved({"a": torch.zeros(10**6)}, tmp_path / "whole.pth")
    bomb = tmp_path / "bomb.pth"
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        for member in archive.namelist():
            packed.writestr(member, archive.read(member))
    assert bomb.stat().st_size < 20_000
    assert "says that it holds more than its own size" in refusal(load_model, bomb)


def test_an_archive_that_says_it_has_several_parts_is_damaged(tmp_path) -> None:
    path = tmp_path / "model.pth"
    torch.save({"a": torch.zeros(2)}, path)
    data = bytearray(path.read_bytes())
    parts = data.rindex(b"PK\x06\x07") + 16  # the number of parts, in the locator of the last record
    data[parts] = 2
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"model.pth is damaged \(zipfiles that span multiple disks"):
        load_model(path)


@pytest.mark.parametrize("archive", [True, False])
def test_a_long_pickle_is_not_read(tmp_path, archive, monkeypatch) -> None:
    monkeypatch.setattr("neuralstyle.files.pickles.MAX_PICKLE_BYTES", 2**15)
    path, history = tmp_path / "given.pth", list(range(10**5))
    torch.save({"weights": torch.zeros(1), "history": history}, path, _use_new_zipfile_serialization=archive)
    monkeypatch.setattr("torch.load", lambda *_, **__: pytest.fail("it is read"))
    assert "describes its tensors in more than" in refusal(load_model, path)


def test_weights_of_an_encoder_are_finite(tmp_path) -> None:
    tensors = {"features.0.weight": torch.full((2, 3, 3, 3), math.nan)}
    assert "NaN or infinite weights" in refusal(read_tensors, saved(tensors, tmp_path / "vgg19.pth"))


def test_large_finite_weights_whose_sum_is_infinite_are_finite(tmp_path) -> None:
    tensors = {"a": torch.full((4,), 3e38)}
    assert torch.equal(read_tensors(saved(tensors, tmp_path / "a.pth"))["a"], tensors["a"])


# --- training states


def training_state(**changes: object) -> dict[str, Any]:
    entry = {"step": torch.tensor(1.0), "exp_avg": torch.zeros(2), "exp_avg_sq": torch.zeros(2)}
    whole = {"step": 1, "elapsed": 2.5, "network": {"w": torch.zeros(2)}, "optimizer": [entry], "settings": {"a": "b"}}
    return {key: value for key, value in {**whole, **changes}.items() if value is not ...}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"step": ...}, "it has no 'step'"),
        ({"step": -1}, "step is -1, not a whole number"),
        ({"elapsed": math.nan}, "elapsed is nan, not a finite number"),
        ({"network": torch.zeros(2)}, "network is a tensor of shape (2,) and torch.float32, not values by name"),
        ({"network": {"w": 3}}, "network['w'] is 3, not a tensor"),
        ({"optimizer": {"0": 1}}, "optimizer is a dict, not a list"),
        ({"optimizer": [{}]}, "optimizer[0] has no 'step'"),
        ({"settings": {"a": 1}}, "settings['a'] is 1, not a text"),
        ({"more": 1}, "it has 'more', which does not belong there"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_training_state_with_other_entries_is_named(tmp_path, changes, words) -> None:
    file = save_state(tmp_path / "state.safetensors", training_state(**changes), kind="training run")
    message = refusal(lambda _: Checkpoints(StateFolder(tmp_path), {"a": "b"}), file)
    assert words in message


def test_a_whole_training_state_is_taken(tmp_path) -> None:
    save_state(tmp_path / "state.safetensors", training_state(), kind="training run")
    assert Checkpoints(StateFolder(tmp_path), {"a": "b"}).found["step"] == 1


# --- logs


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", '{"iteration": 1, "loss": 2.0}\n{"iteration": 2}\n', "row 2 has no 'loss'"),
        ("a.jsonl", '{"iteration": 1}\n{"iteration": 2, "loss": 1}\n', "row 2 has 'loss', which does not belong"),
        ("a.jsonl", '{"iteration": 1, "loss": "x"}\n', "is 'x', not a finite number"),
        ("a.jsonl", '{"iteration": 1, "loss": NaN}\n', "is nan, not a finite number"),
        ("a.jsonl", '{"iteration": 1, "loss": [[]]}\n', "is a list, not a finite number"),
        ("a.jsonl", '{"iteration": 1, "loss": true}\n', "is True, not a finite number"),
        ("a.jsonl", "[1]\n", "name no iteration"),
        ("a.jsonl", "3\n", "name no iteration"),
        ("a.jsonl", "[" * 100_000 + "\n", "not a log of losses"),
        ("a.jsonl", '{"' + "x" * 10**6 + '": 1}\n', "name no iteration"),
        ("a.csv", "iteration,loss\n1,x" + "y" * 10**5 + "\n", "could not convert"),
        ("a.csv", "iteration,loss\n1\n", "not a log of losses"),
        ("a.csv", "iteration,loss\n1,inf\n", "is inf, not a finite number"),
        ("a.csv", "iteration,loss\n1.5,2\n", "row 1 counts 1.5"),
        ("a.jsonl", '{"iteration": 1e308, "loss": 1}\n', "row 1 counts 1e+308"),
        ("a.csv", "\n1,2\n", "columns are"),
        ("a.csv", "x" * 200_000 + "\n", "not a log of losses"),
        ("a.csv", "iteration,loss\n1,2\n\n", "not a log of losses"),
        ("a.csv", "\0\udc80", "not a log of losses"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_log_with_uneven_or_wrong_rows_is_one_short_line(tmp_path, name, content, words) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode(errors="surrogateescape"))
    assert words in refusal(lambda file: LossTable(file).rows(), path)


# --- ONNX


@pytest.fixture
def onnx_file(tmp_path: Path) -> Callable[..., Path]:
    """Makes a file of a graph of a few nodes from x to y."""
    helper = pytest.importorskip("onnx").helper
    value = helper.make_tensor_value_info

    def make(nodes: list[Any], shape: Any = ("b", 3, "h", "w"), white: str | None = None, constants: Any = ()) -> Path:
        inputs, outputs = [value("x", 1, ("b", 3, "h", "w"))], [value("y", 1, shape)]
        graph = helper.make_graph([*map(_node, nodes)], "g", inputs, outputs, list(constants))
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        if white is not None:
            helper.set_model_props(made, {"neuralstyle.range": white})
        (tmp_path / "given.onnx").write_bytes(made.SerializeToString())
        return tmp_path / "given.onnx"

    def _node(node: Any) -> Any:
        return helper.make_node(node[0], *node[1:-1], **node[-1]) if isinstance(node, tuple) else node

    return make


@pytest.mark.parametrize("white", ["-1", "0", "nan", "inf", "x", "", "1e9", "9" * 10**5])
def test_a_range_that_is_none_is_refused_when_the_model_is_loaded(onnx_file, white) -> None:
    file = onnx_file([("Identity", ["x"], ["y"], {})], white=white)
    assert "white is a number above 0" in refusal(load_model, file)


@pytest.mark.parametrize(
    ("node", "shape", "words"),
    [
        (("ReduceMean", ["x"], ["y"], {"axes": [2, 3], "keepdims": 1}), ("b", 3, 1, 1), "shape (1, 3, 1, 1)"),
        (("Transpose", ["x"], ["y"], {"perm": [0, 1, 3, 2]}), ("b", 3, "w", "h"), "shape (1, 3, 24, 16)"),
        (("ReduceMean", ["x"], ["y"], {"keepdims": 0}), (), "shape ()"),
        (("ReduceMean", ["x"], ["y"], {"axes": [1], "keepdims": 1}), ("b", 1, "h", "w"), "is not a network from"),
        (("Concat", ["x", "x"], ["y"], {"axis": 3}), ("b", 3, "h", "v"), "shape (1, 3, 16, 48)"),
        (("Log", ["x"], ["y"], {}), ("b", 3, "h", "w"), "NaN or infinite values"),
    ],
    ids=["one pixel", "turned", "scalar", "one channel", "twice as wide", "infinite"],
)
def test_what_a_graph_returns_is_a_picture_of_the_same_size(onnx_file, node, shape, words) -> None:
    file = onnx_file([node], shape)
    assert words in refusal(lambda path: load_model(path)(torch.zeros(1, 3, 16, 24)), file)


def test_sides_rounded_up_to_a_multiple_of_four_are_cut(onnx_file) -> None:
    from onnx import numpy_helper

    constants = [numpy_helper.from_array(np.array([0, 0, 0, 0, 0, 0, 1, 3]), "p")]
    image = torch.rand(1, 3, 15, 21)
    model = load_model(onnx_file([("Pad", ["x", "p"], ["y"], {"mode": "edge"})], constants=constants))
    torch.testing.assert_close(model(image), image)
    constants = [numpy_helper.from_array(np.array([0, 0, 0, 0, 0, 0, 1, 4]), "p")]
    file = onnx_file([("Pad", ["x", "p"], ["y"], {"mode": "edge"})], constants=constants)
    assert "shape (1, 3, 16, 25)" in refusal(lambda path: load_model(path)(image), file)


def test_a_damaged_graph_prints_nothing(onnx_file, capfd) -> None:
    file = onnx_file([("Identity", ["x"], ["y"], {})])
    whole = file.read_bytes()
    for place in range(0, len(whole), 3):
        file.write_bytes(whole[:place] + b"\xf9" + whole[place + 1 :])
        error = error_of(load_model, file)
        if error is not None:
            short(error, file)
    assert capfd.readouterr() == ("", "")


def test_an_endless_graph_ends_with_ctrl_c(onnx_file) -> None:
    from onnx import helper

    # A shell that puts the tests in the background has its processes ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"]), helper.make_node("Identity", ["a"], ["a2"])],
        "body",
        [value("i", 7, []), value("c", 9, []), value("a", 1, None)],
        [value("c2", 9, []), value("a2", 1, None)],
    )
    file = onnx_file(
        [helper.make_node("Loop", ["", "true", "x"], ["y"], body=body)],
        constants=[helper.make_tensor("true", 9, [], [True])],
    )
    model = load_model(file)
    threading.Timer(0.3, lambda: __import__("_thread").interrupt_main()).start()
    started = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            model(torch.zeros(1, 3, 16, 16))
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - started < 5


# --- what is painted


def test_a_network_that_paints_no_numbers_is_told_from_a_picture_that_holds_none(network) -> None:
    with torch.no_grad():
        network.parts()[2][-1].convolution.weight.fill_(math.nan)
    with pytest.raises(ValueError, match="the model paints NaN or infinite values"):
        apply_model(network, torch.rand(1, 3, 32, 32), device="cpu")
    with pytest.raises(ValueError, match=r"the model returns a tensor of shape \(1, 3, 16, 32\)"):
        run_model(lambda x: x[:, :, ::2], torch.rand(1, 3, 32, 32))


@pytest.mark.parametrize("kind", ["safetensors", "pth", "onnx", "shipped"])
def test_loading_and_applying_draw_none_of_the_callers_random_numbers(network, tmp_path, kind) -> None:
    def states() -> list[bytes]:
        python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global one is meant
        return [torch.get_rng_state().numpy().tobytes(), pickle.dumps(python), pickle.dumps(numpy)]

    path: Path | str = tmp_path / f"given.{kind}"
    if kind == "safetensors":
        save_model(network, path)
    elif kind == "pth":
        torch.save(network.state_dict(), path)
    elif kind == "onnx":
        pytest.importorskip("onnx")
        export_onnx(network, path)
    else:
        path = "swirl"
    before = states()
    apply_model(path, samples.photo(), content_scale=4, tile=48, device="cpu")
    assert states() == before


# --- damaged at random


def damaged(whole: bytes, number: int) -> bytes:
    """A file with bits flipped, bytes overwritten, a piece left out or doubled, or the end cut off."""
    draw = random.Random(number)
    found = bytearray(whole)
    # Half of the places are in the first kilobyte, where headers are.
    places = [draw.randrange(min(len(whole), 1024) if draw.random() < 0.5 else len(whole)) for _ in range(4)]
    kind = draw.choice(["flip", "overwrite", "leave out", "double", "cut"])
    if kind == "flip":
        for place in places:
            found[place] ^= 1 << draw.randrange(8)
    elif kind == "overwrite":
        for place in places:
            found[place : place + 8] = draw.randbytes(8)
    elif kind == "leave out":
        del found[places[0] : places[0] + draw.randrange(1, 64)]
    elif kind == "double":
        found[places[0] : places[0]] = found[places[1] : places[1] + draw.randrange(1, 64)]
    else:
        del found[places[0] :]
    return bytes(found)


def wholes(folder: Path) -> Iterator[tuple[Path, Callable[[Path], object]]]:
    network = TransformerNet(1, 1, seed=0)
    yield save_model(network, folder / "a.safetensors"), load_model
    yield saved(dict(network.state_dict()), folder / "a.pth"), load_model
    torch.save(dict(network.state_dict()), folder / "old.pth", _use_new_zipfile_serialization=False)
    yield folder / "old.pth", load_model
    yield (
        save_state(folder / "run", training_state(), kind="training run"),
        lambda path: load_state(path, kind="training run"),
    )
    (folder / "a.csv").write_text("iteration,loss\n1,2.5\n2,2.25\n")
    yield folder / "a.csv", lambda path: LossTable(path).rows()
    (folder / "a.jsonl").write_text('{"iteration": 1, "loss": 2.5}\n{"iteration": 2, "loss": 2.25}\n')
    yield folder / "a.jsonl", lambda path: LossTable(path).rows()


def error_of(load: Callable[[Path], object], path: Path) -> ValueError | None:
    """What a function raises, if that is the documented exception."""
    try:
        load(path)
    except ValueError as error:
        return error
    return None


def test_damaged_files_raise_nothing_but_the_documented_exception(tmp_path) -> None:
    refused = dict.fromkeys(["a.safetensors", "a.pth", "old.pth", "run", "a.csv", "a.jsonl"], 0)
    for path, load in wholes(tmp_path):
        whole = path.read_bytes()
        for number in range(100):
            path.write_bytes(damaged(whole, number))
            error = error_of(load, path)
            if error is not None:
                refused[path.name] += 1
                short(error, path)
    assert all(count > 30 for count in refused.values()), refused
    assert refused["run"] == 100  # a checksum finds whatever is damaged
