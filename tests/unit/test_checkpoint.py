from __future__ import annotations

import math
import pickle
import stat

import pytest
import safetensors.torch
import torch

from neuralstyle.checkpoint import clear_leftovers, compare_settings, load_state, save_state


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


@pytest.mark.parametrize("where", ["safetensors.torch.save_file", "os.fsync", "pathlib.Path.replace"])
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


def test_an_error_of_the_writer_is_an_error_of_the_system(path, monkeypatch):
    def fail(*arguments, **options):
        raise safetensors.SafetensorError("no space left")

    monkeypatch.setattr("safetensors.torch.save_file", fail)
    with pytest.raises(OSError, match=r"run\.safetensors.*no space left"):
        save_state(path, torch.zeros(100))


def test_nothing_appears_under_the_files_name_before_it_is_whole(path, monkeypatch):
    real, seen = safetensors.torch.save_file, []

    def watched(*arguments, **options):
        real(*arguments, **options)
        seen.append(path.exists())

    monkeypatch.setattr("safetensors.torch.save_file", watched)
    save_state(path, torch.zeros(3))
    assert seen == [False]
    assert path.exists()


def test_the_file_has_the_permissions_of_any_other(path):
    other = path.with_name("other")
    other.touch()
    assert stat.S_IMODE(save_state(path, 1).stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_leftovers_of_a_killed_writer_are_cleared_and_no_other_file(path, monkeypatch):
    save_state(path, "whole")
    others = [path.with_name(name) for name in (".other.safetensors-1.tmp", "run.safetensors-1.tmp", ".run.tmp")]
    for other in others:
        other.touch()
    monkeypatch.setattr("shutil.rmtree", lambda *arguments, **options: None)  # as if killed before it
    save_state(path, "newer")
    monkeypatch.undo()
    assert len(list(path.parent.iterdir())) == 5
    clear_leftovers(path)
    assert sorted(path.parent.iterdir()) == sorted([path, *others])
    assert load_state(path) == "newer"


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
        "{}",
        "[" * 100_000,
        "9" * 10_000,
    ],
    ids=lambda structure: str(structure)[:30],
)
def test_a_damaged_structure_is_refused(structure, path):
    header = {"kind": "state"} | ({} if structure is None else {"structure": structure})
    safetensors.torch.save_file({"0": torch.zeros(2)}, path, header)
    refused(path)


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
