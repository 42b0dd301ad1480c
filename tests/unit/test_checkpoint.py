from __future__ import annotations

import json
import math
import pickle
import stat
import time

import pytest
import safetensors.torch
import torch
from doubles import MOST_SECONDS

from neuralstyle import checkpoint
from neuralstyle.checkpoint import compare_settings, load_state, peek_state, save_state
from neuralstyle.files.schema import Floats, Record, Text, Whole


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


def bits(tensor):
    return tensor.flatten().view(torch.uint8)


def same(a, b):
    """Equal in kind, structure and bits."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and torch.equal(bits(a), bits(b))
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return a.hex() == b.hex()
    return a == b


VALUES = [
    None,
    True,
    -(2**80),
    0.1,
    math.pi * 1e-300,
    5e-324,
    -0.0,
    math.inf,
    -math.inf,
    math.nan,
    "",
    'quotes " and \\ and \0 and \ud800 and grüße 画',
    [],
    (),
    {},
    {"tensor": "0"},
    {"dict": [["a", 1]], "list": 2},
    [1, (2.0, [None, (False,)]), {"a": {"b": ()}}],
    {1: "whole", "1": "string", -3: {0: [True]}},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_plain_values_come_back_as_they_were(value, path):
    assert same(load_state(save_state(path, value)), value)


DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.uint8,
    torch.bool,
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_come_back_to_the_last_bit(dtype, path):
    tensor = (100 * torch.randn(2, 3, 5)).to(dtype)
    state = [tensor, tensor[:, 1], tensor.transpose(0, 2), torch.empty(0, 3, dtype=dtype), tensor[0, 0, 0]]
    assert same(load_state(save_state(path, state)), [t.contiguous() for t in state])


def test_not_a_number_and_infinity_survive_in_tensors(path):
    tensor = torch.tensor([math.nan, math.inf, -math.inf, -0.0, 1e-45])
    assert same(load_state(save_state(path, tensor)), tensor)


def test_tensors_that_share_memory_come_back_apart(path):
    tensor = torch.arange(12.0)
    state = {"a": tensor, "b": tensor, "view": tensor[3:], "expanded": tensor[:1].expand(4)}
    loaded = load_state(save_state(path, state))
    assert same(loaded, {name: t.contiguous() for name, t in state.items()})
    loaded["a"].zero_()
    assert torch.equal(loaded["b"], tensor)


def test_loaded_tensors_lie_where_torch_puts_its_own(path):
    # Vector instructions add up differently from an odd address, and a continued run would end elsewhere.
    state = [torch.rand(size) for size in (3, 7, 1, 64, 5)]
    assert [t.data_ptr() % 64 for t in load_state(save_state(path, state))] == [0] * 5


def test_the_state_itself_is_left_alone_and_may_require_a_gradient(path):
    tensor = torch.rand(3, requires_grad=True)
    state = {"x": [tensor]}
    assert not load_state(save_state(path, state))["x"][0].requires_grad
    assert state["x"][0] is tensor


@pytest.mark.parametrize(
    "state",
    [
        {1.5: 0},
        {True: 0},
        {(1, 2): 0},
        {"a": {1, 2}},
        object(),
        b"bytes",
        1j,
        torch.zeros(2, 2).to_sparse(),
        torch.zeros(2, dtype=torch.complex128),
    ],
    ids=lambda state: type(state).__name__,
)
def test_what_has_no_place_in_a_state_is_refused(state, path):
    with pytest.raises(TypeError, match="state"):
        save_state(path, [state])
    assert not path.exists()


@pytest.mark.parametrize("where", ["neuralstyle.files.tensors.save_file", "os.fsync", "pathlib.Path.replace"])
def test_an_error_midway_leaves_the_old_file_and_nothing_else(where, path, monkeypatch):
    save_state(path, "old")

    def fail(*arguments, **options):
        raise OSError("the disk is full")

    monkeypatch.setattr(where, fail)
    with pytest.raises(OSError, match="full"):
        save_state(path, torch.zeros(100))
    monkeypatch.undo()
    assert load_state(path) == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_named_with_the_bytes_that_were_needed(path, monkeypatch):
    def fail(*arguments, **options):
        raise safetensors.SafetensorError("No space left on device (os error 28)")

    monkeypatch.setattr("neuralstyle.files.tensors.save_file", fail)
    words = r"run\.safetensors cannot be written \(4,000 bytes of tensors: No space .*\); the disk may be full"
    with pytest.raises(OSError, match=words):
        save_state(path, torch.zeros(1000))
    assert list(path.parent.iterdir()) == []


def test_nothing_appears_under_the_files_name_before_it_is_whole(path, monkeypatch):
    real, seen = checkpoint.write_tensors, []

    def watched(*arguments, **options):
        real(*arguments, **options)
        seen.append(path.exists())

    monkeypatch.setattr(checkpoint, "write_tensors", watched)
    save_state(path, torch.zeros(3))
    assert seen == [False]
    assert path.exists()


def test_the_file_has_the_permissions_of_any_other(path):
    other = path.with_name("other")
    other.touch()
    assert stat.S_IMODE(save_state(path, 1).stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_no_other_file_beside_it_is_touched(path):
    others = [path.with_name(name) for name in (f".{path.name}-notes.tmp", f".{path.name}-1a2b3c4d.tmp", ".run.tmp")]
    for other in others:
        other.mkdir()
        (other / "mine").write_text("mine")
    save_state(path, "whole")
    assert sorted(path.parent.iterdir()) == sorted([path, *others])
    assert all((other / "mine").read_text() == "mine" for other in others)


def test_equal_states_give_equal_bytes_and_any_reader_of_safetensors_reads_them(path):
    state = {"b": torch.arange(3), "a": [torch.rand(2, 3), torch.tensor(True), torch.rand(4).half()], "c": {"d": 1.5}}
    first = save_state(path, state).read_bytes()
    for _ in range(20):  # several texts in the header would have another order each time
        assert save_state(path, {**state}).read_bytes() == first
    theirs = safetensors.torch.load_file(path)
    assert {tuple(t.shape) for t in theirs.values()} == {(3,), (2, 3), (), (4,)}
    assert torch.equal(theirs["1"], state["a"][0])


# --- damage


def flipped(whole, generator, bits=1):
    """A file with some bits flipped."""
    damaged = bytearray(whole)
    for place in torch.randint(8 * len(whole), (bits,), generator=generator).tolist():
        damaged[place // 8] ^= 1 << place % 8
    return bytes(damaged)


def test_bits_that_are_flipped_in_the_tensors_alone_are_found(path):
    save_state(path, {"picture": torch.rand(3, 16, 16), "step": 3})
    whole, generator = path.read_bytes(), torch.Generator().manual_seed(0)
    start = 8 + int.from_bytes(whole[:8], "little")
    for bits in (1, 200):
        path.write_bytes(whole[:start] + flipped(whole[start:], generator, bits))
        refused(path, r"run\.safetensors is damaged .*checksum")


@pytest.mark.parametrize("bits", [1, 3])
def test_a_bit_that_is_flipped_anywhere_is_found(bits, path):
    state = {"picture": torch.rand(3, 4), "step": 3, "settings": {"a": "b", "c": "d"}, "list": [1, (2.5, None)]}
    whole, generator = save_state(path, state).read_bytes(), torch.Generator().manual_seed(bits)
    for _ in range(150):
        path.write_bytes(flipped(whole, generator, bits))
        if path.read_bytes() != whole:
            refused(path)


def test_a_state_without_a_checksum_is_refused_unless_it_may_lack_one(path):
    safetensors.torch.save_file({"0": torch.ones(2)}, path, {"kind": "state", "structure": '{"tensor": ["0", true]}'})
    refused(path, "no checksum, so an earlier version wrote it")
    assert torch.equal(load_state(path, checksum=False), torch.ones(2))


def test_a_checksum_that_is_there_is_compared_even_if_it_may_be_missing(path):
    save_state(path, torch.ones(2))
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(ValueError, match=r"checksum is that of other contents"):
        load_state(path, checksum=False)


def written(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"0": {**ENTRY, "shape": [2**40, 2**40], "data_offsets": [0, 2**82]}}, "deserializing header"),
        ({"0": {**ENTRY, "shape": [2**40], "data_offsets": [0, 2**42]}}, "file not fully covered"),
        ({"0": ENTRY, "1": {**ENTRY, "shape": [0, 2**52, 2**52], "data_offsets": [8, 8]}}, "longer sides"),
        ({"0": ENTRY, "1": {**ENTRY, "shape": [0, 2**63], "data_offsets": [8, 8]}}, "longer sides"),
        ({"0": {**ENTRY, "shape": [2] + [1] * 10**5}}, "something else, not a state"),
        ({"0": ENTRY} | {f"e{n}": {**ENTRY, "shape": [0], "data_offsets": [8, 8]} for n in range(25_000)}, "something"),
        ({"0": {**ENTRY, "shape": [3]}}, "invalid shape"),
        ({"0": {**ENTRY, "shape": [-2]}}, "deserializing header"),
        ({"0": {**ENTRY, "shape": [True, 2]}}, "deserializing header"),
        ({"0": {**ENTRY, "shape": "2"}}, "deserializing header"),
        ({"0": {**ENTRY, "data_offsets": [0]}}, "deserializing header"),
        ({"0": {**ENTRY, "dtype": "F8_E5M2", "shape": [8]}}, "of the dtype 'F8_E5M2', which is not read"),
        ({"0": {**ENTRY, "dtype": "x" * 10**6}}, "unknown variant `xxxx"),
        ({"0": ENTRY, "1": ENTRY}, "invalid offset"),
        ({"0": {**ENTRY, "data_offsets": [8, 16]}}, "invalid offset"),
        ({"0": {"dtype": "F32", "shape": [2]}}, "missing field `data_offsets`"),
        ({"y" * 10**6: {}}, "missing field `dtype`"),
        ({"0": [1]}, "deserializing header"),
        ({"__metadata__": {"kind": 1}}, "deserializing header"),
        ({"__metadata__": []}, "deserializing header"),
        ([1], "deserializing header"),
        (b"[" * 10**6, "deserializing header"),
        (b"9" * 10**5, "deserializing header"),
        (b'{"a":' * 10**5, "recursion limit"),
        (b"\xff\xfe", "UTF-8"),
        (b" " * (2**21 + 1), "at most 2,097,152 are read"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_a_header_says_is_compared_with_the_file_before_memory_is_taken(path, entries, words):
    written(path, entries, bytes(8))
    started = time.process_time()
    with pytest.raises(ValueError, match=words) as caught:
        load_state(path)
    assert time.process_time() - started < MOST_SECONDS
    assert len(str(caught.value)) < 300 + len(str(path))


def test_the_library_reads_no_header_that_is_too_long(path, monkeypatch):
    monkeypatch.setattr("neuralstyle.files.tensors.safe_open", lambda *_: pytest.fail("it is opened"))
    for length in (2**21 + 1, 2**40):
        path.write_bytes(length.to_bytes(8, "little") + b" " * (2**21 + 1))
        refused(path)


def test_the_schema_is_checked_before_the_tensors_are_read(path, monkeypatch):
    save_state(path, {"image": torch.zeros(1, 3, 4, 4), "step": "three"})
    monkeypatch.setattr(checkpoint, "read_all", lambda *_: pytest.fail("tensors are read"))
    with pytest.raises(ValueError, match=r"damaged .*step is 'three', not a whole number from 0"):
        load_state(path, schema=Record({"image": Floats(), "step": Whole()}))
    found = peek_state(path, schema=Record({"image": Floats((1, 3, None, None)), "step": Text()}))
    assert found["step"] == "three"
    assert (found["image"].device.type, found["image"].shape) == ("meta", (1, 3, 4, 4))


def test_more_plain_data_than_is_read_is_not_written(path):
    with pytest.raises(ValueError, match="at most 2,097,152 can be read again"):
        save_state(path, "x" * 3 * 10**6)
    assert list(path.parent.iterdir()) == []


def test_a_missing_file_and_a_folder_are_named(path):
    with pytest.raises(FileNotFoundError, match=r"run\.safetensors"):
        load_state(path)
    with pytest.raises(FileNotFoundError, match="no file"):
        load_state(path.parent)


class Trap:
    """Runs code of its own where it is unpickled."""

    def __reduce__(self):
        return exec, ("raise SystemExit('code of the file was run')",)


def refused(path, message="run.safetensors"):
    with pytest.raises(ValueError, match=message) as caught:
        load_state(path)
    assert type(caught.value) is ValueError


@pytest.mark.parametrize("name", ["pickle", "torch", "empty", "text", "png"])
def test_foreign_files_are_refused_and_nothing_of_them_is_run(name, path):
    if name == "torch":
        torch.save({"state": Trap()}, path)
    else:
        path.write_bytes({"pickle": pickle.dumps(Trap()), "empty": b"", "text": b"hello" * 9, "png": b"\x89PNG"}[name])
    refused(path)


def test_safetensors_of_others_are_refused(path):
    safetensors.torch.save_file({"weight": torch.zeros(3)}, path)
    refused(path, "something else")
    safetensors.torch.save_file({"weight": torch.zeros(3)}, path, {"format": "pt", "kind": "model"})
    refused(path, "a model")
    for text in ("3", "[]", "{}", '{"kind": 3}', '{"kind": null}'):
        safetensors.torch.save_file({"weight": torch.zeros(3)}, path, {"neuralstyle": text})
        refused(path, "something else")


def test_a_state_of_another_kind_is_refused(path):
    save_state(path, 1, kind="training")
    with pytest.raises(ValueError, match="holds a training, not a run"):
        load_state(path, kind="run")
    assert load_state(path, kind="training") == 1


def test_a_file_cut_short_anywhere_is_refused(path):
    save_state(path, {"x": torch.rand(4), "y": [1, 2]})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refused(path)


@pytest.mark.parametrize(
    "structure",
    [
        None,
        "",
        "{",
        '{"tensor": ["7", true]}',
        '{"tensor": "0"}',
        '{"dict": [["a"]]}',
        '{"dict": [[[1], 2]]}',
        '{"list": 3}',
        '{"set": [1]}',
        '{"list": [], "tuple": []}',
        '[{"tensor": ["0", true]}]',
        '{"list": [{"tensor": ["0", true]}, {"tensor": ["0", true]}]}',
        '{"dict": [[1.5, {"tensor": ["0", true]}]]}',
        "1",
        "{}",
        "[" * 100_000,
        "9" * 10_000,
    ],
    ids=lambda structure: str(structure)[:30],
)
def test_a_damaged_structure_is_refused(structure, path):
    earlier = {"kind": "state"} | ({} if structure is None else {"structure": structure})
    sealed = '{"kind": "state", "sha256": ""' + (f', "structure": {structure}' * (structure is not None)) + "}"
    for header in (earlier, {"neuralstyle": sealed}):
        safetensors.torch.save_file({"0": torch.zeros(2)}, path, header)
        with pytest.raises(ValueError, match=r"run\.safetensors is damaged") as caught:
            load_state(path, checksum=False)
        assert len(str(caught.value)) < 300 + len(str(path))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tensors_go_back_to_their_kind_of_device(path):
    save_state(path, [torch.ones(2), torch.ones(2, device="cuda")])
    assert [t.device.type for t in load_state(path)] == ["cpu", "cpu"]
    assert [t.device.type for t in load_state(path, device="cuda")] == ["cpu", "cuda"]


def test_settings_that_differ_far_inside_are_shown_around_the_difference() -> None:
    before, now = "a" * 500 + "content 1.0" + "b" * 500, "a" * 500 + "content 0.6" + "b" * 500
    with pytest.raises(
        ValueError, match=r"another losses \(\.\.\. a+content 1\.0b+ \.\.\., now \.\.\. a+content 0\.6"
    ) as caught:
        compare_settings({"losses": before}, {"losses": now}, "run.state")
    assert len(str(caught.value)) < 450
