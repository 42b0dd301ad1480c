"""Training: data, the objective of a batch, options, resuming, several processes."""

from __future__ import annotations

import csv
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from neuralstyle import ContentLoss, FeatureExtractor, GramStyleLoss, Loss, Objective, TotalVariationLoss, samples
from neuralstyle.callbacks import read_losses
from neuralstyle.encoders import Layer
from neuralstyle.feedforward import (
    Records,
    StateFolder,
    TrainingData,
    TransformerNet,
    last_network,
    load_model,
    run_model,
    save_model,
    train,
)
from neuralstyle.feedforward.criterion import Criterion
from neuralstyle.feedforward.data import Batches, Pictures, find_pictures, load_batches, steps_per_epoch
from neuralstyle.feedforward.loop import _whole
from neuralstyle.images import load_image, save_image
from neuralstyle.styles import Style


class Edges(nn.Module):
    """An encoder that costs nothing: the picture, and one random convolution of it."""

    layers = {"image": Layer("image", "image", 3, 1, 0), "edges": Layer("edges", "relu", 8, 1, 1)}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(0)))

    def forward(self, image: Tensor, layers: Any) -> Any:
        edges = nn.functional.conv2d(image, self.kernel.to(image), padding=1).relu()
        return {layer: image if layer == "image" else edges for layer in layers}


LOSSES = ContentLoss("edges") + 2 * GramStyleLoss("edges", normalization="relative") + 0.1 * TotalVariationLoss()
DATA = {"size": 16, "batch_size": 2, "steps": 4, "workers": 0}
QUICK = {"losses": LOSSES, "progress": False, "device": "cpu"}


def train_quickly(style: Tensor, pictures: Any, **options: Any) -> TransformerNet:
    """``train`` for a few steps of a small network, with the options of all its groups given flat."""

    def taken(group):
        return {field.name: options.pop(field.name) for field in fields(group) if field.name in options}

    options = {"encoder": Edges(), **QUICK, **DATA, **options}
    data = TrainingData(pictures, **taken(TrainingData))
    options.setdefault("network", TransformerNet(2, 1, seed=data.seed))
    return train(style, data, records=Records(**taken(Records)), **options)


@pytest.fixture(scope="session")
def style() -> Tensor:
    return load_image(samples.painting("mosaic", size=64), 48)


@pytest.fixture
def folder(tmp_path: Path, noise: Callable[..., Tensor]) -> Path:
    data = tmp_path / "data"
    (data / "nested/deep").mkdir(parents=True)
    for index in range(7):
        place = data if index < 4 else data / "nested" if index < 6 else data / "nested/deep"
        save_image(noise(1, 3, 20 + index, 30 - index, seed=index), place / f"{index}.png")
    return data


@pytest.fixture
def quick(style: Tensor, folder: Path) -> Callable[..., TransformerNet]:
    def run(**options):
        return train_quickly(style, folder, **options)

    return run


def weights(network: Any) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# Data


def test_folders_are_searched_to_the_bottom_in_order(folder: Path) -> None:
    (folder / ".hidden.png").touch()
    (folder / "notes.txt").touch()
    with pytest.warns(UserWarning, match=r"^1 file in .* left out: notes\.txt \(an empty file\)"):
        assert [path.stem for path in find_pictures(folder)] == list("0123456")
    (folder / "notes.txt").unlink()
    assert find_pictures([folder / "nested", folder / "0.png"])[-1] == folder / "0.png"
    with pytest.raises(ValueError, match="no picture in"):
        find_pictures([])
    with pytest.raises(FileNotFoundError, match="gone"):
        find_pictures(folder / "gone")


def test_center_crop_is_the_middle_of_the_shorter_side(tmp_path: Path) -> None:
    ramp = torch.linspace(0, 1, 96).expand(1, 3, 32, 96)
    save_image(ramp, tmp_path / "ramp.png")
    image, _ = Pictures([tmp_path / "ramp.png"], 32, "center", 0)[0, 0]
    torch.testing.assert_close(image, ramp[0, :, :, 32:64], atol=1 / 255, rtol=0)
    image, _ = Pictures([tmp_path / "ramp.png"], 16, "center", 0)[0, 0]
    assert image.shape == (3, 16, 16)
    assert image.mean() == pytest.approx(0.5, abs=0.01)


def test_random_crops_differ_by_pass_and_seed_and_come_again(folder: Path) -> None:
    def crop(seed, epoch):
        return Pictures(find_pictures(folder), 16, "random", seed)[epoch, 0][0]

    assert torch.equal(crop(1, 0), crop(1, 0))
    assert any(not torch.equal(crop(1, 0), crop(1, epoch)) for epoch in range(1, 4))
    assert any(not torch.equal(crop(1, 0), crop(seed, 0)) for seed in range(2, 5))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_pass_visits_every_picture_once_over_all_processes(count: int) -> None:
    steps = steps_per_epoch(13, 2, count)
    keys = [list(Batches(13, 2, range(3 * steps), 5, rank=rank, processes=count)) for rank in range(count)]
    orders = []
    for epoch in range(3):
        seen = [key for batch in range(epoch * steps, (epoch + 1) * steps) for rank in keys for key in rank[batch]]
        assert {e for e, _ in seen} == {epoch}
        orders.append([index for _, index in seen])
        assert sorted(orders[-1][:13]) == list(range(13))
        assert len(orders[-1]) == steps * 2 * count
    assert orders[0] != orders[1]


def test_batches_go_on_where_they_are_told_to() -> None:
    whole = list(Batches(13, 2, range(20), 5))
    assert list(Batches(13, 2, range(9, 20), 5)) == whole[9:]
    assert list(Batches(13, 2, range(20), 6)) != whole


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_workers_give_the_same_batches(folder: Path) -> None:
    pictures = Pictures(find_pictures(folder), 16, "random", 3)
    keys = Batches(7, 3, range(4), 3)
    more = 1 + (os.cpu_count() or 1)  # torch warns of it, which would be an error here
    load_batches(pictures, keys, more, pin=False)
    alone, helped = (list(load_batches(pictures, keys, workers, pin=False)) for workers in (0, 1))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(alone, helped, strict=True))


def test_batches_that_do_not_come_end_the_training_in_one_line() -> None:
    def batches() -> Iterator[Any]:
        yield "batch"
        raise RuntimeError("DataLoader timed out after 300 seconds")

    whole = _whole(batches())
    assert next(whole) == "batch"
    with pytest.raises(OSError, match=r"gave no batch in 300 seconds; .* or use workers=0 \(--workers 0\)"):
        next(whole)


def test_unreadable_files_are_replaced_and_named_once(quick: Callable[..., Any], folder: Path) -> None:
    (folder / "1.png").write_text("no picture")
    (folder / "nested/4.png").write_bytes((folder / "nested/4.png").read_bytes()[:60])
    with pytest.warns(UserWarning, match="skipped: ") as warned:
        quick(steps=8)
    said = [str(warning.message).split() for warning in warned]
    assert [words[0] for words in said] == ["skipped:"] * 2
    assert {Path(words[1]).name for words in said} == {"1.png", "4.png"}


def test_nothing_readable_is_an_error(quick: Callable[..., Any], folder: Path) -> None:
    for path in folder.rglob("*.png"):
        path.write_text("no picture")
    with pytest.raises(ValueError, match="none of the 7 pictures can be read"):
        quick()


# Objective


class Palette(Loss):
    """A loss of the general kind, whose value for a batch would not be the mean over its pictures."""

    layers = ("image",)
    reference = "style"

    def forward(self, x: Tensor, target: Any) -> Any:
        return (x.mean((0, 2, 3)) - target.mean((0, 2, 3))).abs().sum() ** 3


class Pair(Loss):
    layers = ("relu1_1", "relu2_1")
    reference = "content"
    joint = True

    def forward(self, x: Tensor, target: Any) -> Any:
        return sum((x[layer] - target[layer]).abs().mean() for layer in self.layers)


@pytest.mark.parametrize(
    "losses",
    [
        ContentLoss("relu2_1") + 3 * GramStyleLoss(("relu1_1", "relu2_1"), normalization="relative"),
        ContentLoss(("relu1_1", "relu2_1"), layer_weights=(0.2, 3), reduction="sum") + GramStyleLoss("relu2_1"),
        GramStyleLoss("relu1_1", reference="content") + 2 * TotalVariationLoss(),
        0.5 * Palette() + Pair(),
    ],
    ids=repr,
)
def test_batch_is_the_mean_of_what_the_objective_gives_each_picture(
    encoder: FeatureExtractor, noise: Callable[..., Tensor], losses: Any
) -> None:
    contents, pictures = noise(3, 3, 16, 24, seed=1), noise(3, 3, 16, 24, seed=2)
    styles = [Style(noise(1, 3, 20, 16, seed=3), weight=3.0), Style(noise(1, 3, 16, 16, seed=4))]
    pictures.requires_grad_()
    terms = Criterion(encoder, losses, styles)(pictures, contents)
    torch.stack(list(terms.values())).sum().backward()
    single = [
        Objective(encoder, losses, content=contents[b : b + 1], styles=styles).evaluate(pictures[b : b + 1].detach())
        for b in range(3)
    ]
    assert terms.keys() == single[0].terms.keys()
    for name, value in terms.items():
        assert value.item() == pytest.approx(sum(e.terms[name] for e in single) / 3, rel=1e-4)
    torch.testing.assert_close(pictures.grad, torch.cat([e.gradient for e in single]) / 3, rtol=1e-3, atol=1e-7)


def test_masks_regions_and_missing_references_are_refused(noise: Callable[..., Tensor]) -> None:
    image = noise(1, 3, 16, 16)
    with pytest.raises(ValueError, match="cut the painting"):
        Criterion(Edges(), GramStyleLoss("edges"), [Style(image, mask=image)])
    with pytest.raises(ValueError, match="compares with the previous"):
        Criterion(Edges(), ContentLoss("edges", reference="previous"), [Style(image)])


# Training


def test_training_lowers_the_objective(quick: Callable[..., Any], folder: Path, style: Tensor) -> None:
    images = torch.stack([Pictures(find_pictures(folder), 16, "center", 0)[0, i][0] for i in range(7)])
    criterion = Criterion(Edges(), LOSSES, [Style(style)])

    def objective(pictures):
        return sum(criterion(pictures, images).values()).item()

    trained = quick(steps=80, batch_size=4, lr=1e-2, decay=True, network=TransformerNet(4, 1, seed=42))
    assert objective(run_model(trained, images)) < 0.6 * objective(images)
    assert not trained.training


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 7},
        {"batch_size": 3},
        {"size": 20},
        {"crop": "random"},
        {"lr": 1e-2},
        {"decay": True},
        {"hold_out": 3},
        {"network": TransformerNet(2, 1, seed=99)},
        {"losses": LOSSES + Palette()},
        {"precision": "bfloat16"},
        {"steps": 5},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_option_changes_the_result_and_nothing_else_does(
    quick: Callable[..., Any], change: dict[str, Any]
) -> None:
    reference = weights(quick())
    assert torch.equal(reference, weights(quick()))
    assert not torch.allclose(reference, weights(quick(**change)), atol=1e-6, rtol=0)


def test_network_of_the_caller_is_the_start_and_is_not_changed(quick: Callable[..., Any]) -> None:
    start = TransformerNet(width=3, blocks=2)
    before = weights(start).clone()
    trained = quick(network=start, steps=1)
    assert (trained.width, trained.blocks) == (3, 2)
    assert torch.equal(weights(start), before)
    assert not torch.equal(weights(trained), before)


def test_first_weights_follow_from_the_seed_of_the_data(quick: Callable[..., Any]) -> None:
    first, again, other = (weights(quick(network=None, steps=1, lr=1e-30, seed=seed)) for seed in (42, 42, 43))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    torch.testing.assert_close(first, weights(TransformerNet(seed=42)))


def test_seeded_weights_leave_the_generators_of_torch_alone(tmp_path: Path) -> None:
    state = torch.get_rng_state()
    load_model(save_model(TransformerNet(2, 1, seed=3), tmp_path / "m.safetensors"))
    assert torch.equal(state, torch.get_rng_state())
    assert not torch.equal(weights(TransformerNet(2, 1)), weights(TransformerNet(2, 1)))


def test_folder_alone_is_enough(style: Tensor, folder: Path) -> None:
    network = TransformerNet(2, 1, seed=42)
    alone = train(style, folder, encoder=Edges(), network=network, callback=lambda _: False, **QUICK)
    spelled = train(style, TrainingData(folder, steps=1), encoder=Edges(), network=network, **QUICK)
    assert torch.equal(weights(alone), weights(spelled))


def test_epochs_are_passes_over_the_data(quick: Callable[..., Any]) -> None:
    seen = []
    quick(steps=None, epochs=3, callback=lambda p: seen.append((p.step, p.steps, p.epoch)))
    assert seen == [(step, 12, -(-step // 4)) for step in range(1, 13)]


def test_generators_of_torch_are_left_alone(quick: Callable[..., Any]) -> None:
    state = torch.get_rng_state()
    quick(steps=1)
    assert torch.equal(state, torch.get_rng_state())


def test_callback_sees_and_stops(quick: Callable[..., Any], tmp_path: Path) -> None:
    seen = []

    def watch(progress):
        seen.append(progress)
        assert progress.network.training
        assert progress.image(samples.photo()).size == (451, 300)
        return progress.step < 2

    quick(callback=watch, output=tmp_path / "m.safetensors")
    assert [p.step for p in seen] == [1, 2]
    assert set(seen[0].terms) == {"ContentLoss", "GramStyleLoss", "TotalVariationLoss"}
    assert seen[0].loss == pytest.approx(sum(seen[0].terms.values()))
    assert load_model(tmp_path / "m.safetensors").width == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "epochs is a whole number"),
        ({"batch_size": 1.5}, "batch_size is a whole number"),
        ({"size": 8}, "at least 16"),
        ({"crop": "left"}, "unknown crop"),
        ({"lr": 0.0}, "lr is a finite number above 0"),
        ({"lr": float("nan")}, "lr is a finite number above 0"),
        ({"precision": "float16"}, "unknown precision 'float16': did you mean 'bfloat16'"),
        ({"steps": 0}, "steps is a whole number of at least 1, or None"),
        ({"seed": -1}, "seed is a whole number"),
        ({"log_every": 0}, "log_every is a whole number"),
        ({"log": "losses.txt"}, r"ends in .csv or .jsonl, received '.txt'"),
        ({"snapshots_every": True}, "snapshots_every is a whole number"),
        ({"snapshots": "step.png"}, "one field for the number"),
        ({"hold_out": 7}, "leaves nothing of 7"),
        ({"workers": -1}, "workers is a whole number"),
        ({"workers": 10**20}, "workers is a whole number from 0 to 256"),
        ({"output": "m.pth"}, "ends in .safetensors"),
        ({"device": "abacus"}, "not available"),
    ],
)
def test_bad_options_are_named(quick: Callable[..., Any], options: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        quick(**options)


class Own(Loss):
    """A loss written as a plain class, with an option."""

    layers = ("edges",)
    reference = "content"

    def __init__(self, option: Any) -> None:
        self.option = option

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return (x - target).square().mean()


class Terse(Own):
    def __repr__(self) -> str:
        return "Terse()"


def test_a_run_of_another_option_of_an_own_loss_is_not_continued(style: Tensor, folder: Path, tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state", every=2)
    train_quickly(style, folder, losses=Terse(2), state=state)
    with pytest.raises(ValueError, match="another losses"):
        train_quickly(style, folder, losses=Terse(4), state=state)


def test_what_cannot_be_described_is_trained_and_has_no_state(style: Tensor, folder: Path, tmp_path: Path) -> None:
    train_quickly(style, folder, losses=Own(object()), steps=1)
    with pytest.raises(ValueError, match=r"option cannot be described.*give object a __repr__"):
        train_quickly(style, folder, losses=Own(object()), steps=1, state=StateFolder(tmp_path / "state"))


def test_state_folder_is_checked_when_it_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="give a folder"):
        StateFolder(tmp_path / "file")
    with pytest.raises(ValueError, match="every is a whole number"):
        StateFolder(tmp_path, every=0)


# Stopped, and what cannot be written


def at_step(step: int, error: BaseException) -> Callable[..., None]:
    def callback(progress: Any) -> None:
        if progress.step == step:
            raise error

    return callback


def test_ctrl_c_keeps_the_network_and_the_state_of_the_last_step(
    quick: Callable[..., TransformerNet], tmp_path: Path
) -> None:
    whole = weights(quick())
    options = {"state": StateFolder(tmp_path / "run", every=100), "log": tmp_path / "log.csv", "log_every": 100}
    with pytest.raises(
        KeyboardInterrupt, match=r"stopped after 3 steps; neuralstyle.feedforward.last_network"
    ) as caught:
        quick(callback=at_step(3, KeyboardInterrupt()), **options)
    network = caught.value.network  # type: ignore[attr-defined]
    assert network is last_network()
    assert not network.training
    assert torch.equal(weights(load_model(tmp_path / "run/step-00000003.safetensors")), weights(network))
    assert [row["step"] for row in rows(tmp_path / "log.csv")] == ["3"]
    assert torch.equal(weights(quick(**options)), whole)
    assert [row["step"] for row in rows(tmp_path / "log.csv")] == ["3", "4"]


def test_ctrl_c_within_a_step_leaves_the_state_of_an_earlier_one(
    quick: Callable[..., TransformerNet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, step, calls = weights(quick()), torch.optim.Adam.step, []

    def interrupted(self: Any, *arguments: Any) -> Any:
        calls.append(self)
        if len(calls) == 3:
            next(iter(self.param_groups[0]["params"])).data.add_(1)  # half of the step
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.Adam, "step", interrupted)
    state = StateFolder(tmp_path / "run", every=1)
    with pytest.raises(KeyboardInterrupt) as caught:
        quick(state=state)
    assert caught.value.network is last_network()  # type: ignore[attr-defined]
    assert [path.name for path in sorted((tmp_path / "run").glob("step-*"))][-1] == "step-00000002.safetensors"
    assert torch.equal(weights(quick(state=state)), whole)


def test_ctrl_c_before_the_first_step_says_that_nothing_was_trained(
    quick: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Pictures, "__getitem__", interrupted)
    with pytest.raises(KeyboardInterrupt, match="stopped before the first step; nothing was trained") as caught:
        quick()
    assert not hasattr(caught.value, "network")


def test_an_error_midway_carries_the_network_and_leaves_the_state(
    quick: Callable[..., TransformerNet], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="mine") as caught:
        quick(callback=at_step(3, ValueError("mine")), state=StateFolder(tmp_path / "run", every=2))
    assert isinstance(caught.value.network, TransformerNet)  # type: ignore[attr-defined]
    assert [path.name for path in (tmp_path / "run").glob("step-*")] == ["step-00000002.safetensors"]


def test_a_network_that_cannot_be_saved_at_the_end_is_saved_elsewhere(
    quick: Callable[..., TransformerNet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, save = tmp_path / "out.safetensors", save_model

    def full(network: Any, path: Any, **options: Any) -> Path:
        if Path(path) == output:
            raise OSError(28, "no space left", str(path))
        return save(network, path, **options)

    monkeypatch.setattr("neuralstyle.feedforward.models.save_model", full)
    with pytest.raises(OSError, match=r"no space left.*; the network is in ") as caught:
        quick(output=output)
    place = Path(str(caught.value).rpartition(" is in ")[2])
    assert place.name == output.name
    assert torch.equal(weights(load_model(place)), weights(last_network()))
    place.unlink()
    place.parent.rmdir()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"output": "taken.safetensors"}, IsADirectoryError, "taken.safetensors is a folder"),
        ({"output": "gone/out.safetensors"}, FileNotFoundError, "no folder"),
        ({"state": "file"}, NotADirectoryError, "is a file"),
        ({"state": "file/run"}, NotADirectoryError, "is a file"),
        ({"state": "other"}, FileExistsError, "step-00000100.safetensors exists, and no state to continue from"),
        ({"snapshots": "file/{}.png"}, FileNotFoundError, "no folder"),
    ],
)
def test_what_cannot_be_written_is_found_before_the_first_step(
    quick: Callable[..., Any], tmp_path: Path, options: dict[str, str], error: type[OSError], message: str
) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "taken.safetensors").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/step-00000100.safetensors").write_text("precious")
    with pytest.raises(error, match=message):
        quick(
            callback=lambda progress: pytest.fail("a step was taken"),
            **{name: tmp_path / value for name, value in options.items()},
        )
    assert (tmp_path / "file").read_text() == "precious"
    assert (tmp_path / "other/step-00000100.safetensors").read_text() == "precious"


def test_what_long_work_has_come_to_is_logged_for_programs(
    quick: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "neuralstyle"):
        quick()
    assert any(message.startswith("step 4 of 4: loss ") for message in caplog.messages)
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("neuralstyle").handlers)


def test_missing_folder_for_snapshots_is_found_before_the_work(quick: Callable[..., Any], tmp_path: Path) -> None:
    steps = []
    with pytest.raises(FileNotFoundError, match="gone"):
        quick(snapshots=tmp_path / "gone" / "{}.png", callback=steps.append)
    assert steps == []


def test_loss_that_is_not_finite_is_named(quick: Callable[..., Any]) -> None:
    with pytest.raises(FloatingPointError, match="ContentLoss is inf at step 1"):
        quick(losses=LOSSES.scaled("content", 1e300))


# What is written


def test_losses_states_and_snapshots_are_written(
    quick: Callable[..., Any], tmp_path: Path, noise: Callable[..., Tensor]
) -> None:
    values = []
    network = quick(
        steps=5,
        log=tmp_path / "losses.csv",
        log_every=2,
        state=StateFolder(tmp_path / "run", every=2),
        snapshots_of=noise(1, 3, 300, 16),
        snapshots=tmp_path / "step-{:03d}.png",
        snapshots_every=3,
        callback=lambda p: values.append(p.loss),
    )
    table = rows(tmp_path / "losses.csv")
    assert list(table[0]) == ["step", "epoch", "seconds", "loss", "ContentLoss", "GramStyleLoss", "TotalVariationLoss"]
    assert [(row["step"], row["epoch"]) for row in table] == [("2", "1"), ("4", "1"), ("5", "2")]
    means = [sum(values[:2]) / 2, sum(values[2:4]) / 2, values[4]]
    assert [float(row["loss"]) for row in table] == pytest.approx(means)
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == ["state.safetensors", *(f"step-{n:08}.safetensors" for n in (2, 4, 5))]
    assert torch.equal(weights(load_model(tmp_path / "run/step-00000005.safetensors")), weights(network))
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["step-003.png", "step-005.png"]
    with Image.open(tmp_path / "step-005.png") as snapshot:
        assert snapshot.size == (16, 300)


def test_log_can_be_lines_of_json(quick: Callable[..., Any], tmp_path: Path) -> None:
    for suffix in (".csv", ".jsonl"):
        quick(log=tmp_path / f"losses{suffix}", log_every=2)
    table, lines = ([{**row, "seconds": 0} for row in read_losses(tmp_path / f"losses{s}")] for s in (".csv", ".jsonl"))
    assert table == lines
    assert [row["step"] for row in lines] == [2, 4]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("killed_at", [3, 5])
def test_killed_run_ends_as_one_that_was_not(quick: Callable[..., Any], tmp_path: Path, killed_at: int) -> None:
    """Random crops, a loss that draws random numbers, decay: all go on as if nothing had been."""

    class Noisy(Loss):
        layers = ("image",)
        reference = "style"

        def __repr__(self):
            return "Noisy()"

        def forward(self, x, target):
            return (x.mean((0, 2, 3)) @ torch.randn(3) - target.mean((0, 2, 3)) @ torch.randn(3)).square()

    options = {"losses": LOSSES + Noisy(), "crop": "random", "steps": 9, "decay": True, "log_every": 2}
    whole = quick(**options, state=StateFolder(tmp_path / "whole", 2), log=tmp_path / "whole.csv")

    def kill(progress):
        if progress.step == killed_at:
            raise Killed

    again = {**options, "state": StateFolder(tmp_path / "run", 2), "log": tmp_path / "run.csv"}
    with pytest.raises(Killed):
        quick(**again, callback=kill)
    steps = []
    resumed = quick(**again, callback=lambda p: steps.append(p.step))
    assert steps[0] == killed_at // 2 * 2 + 1
    assert torch.equal(weights(whole), weights(resumed))
    for one, other in zip(rows(tmp_path / "whole.csv"), rows(tmp_path / "run.csv"), strict=True):
        assert one | {"seconds": ""} == other | {"seconds": ""}
    assert torch.equal(weights(quick(**again)), weights(whole))  # and a finished run is not trained further


def test_other_settings_do_not_continue_a_run_unless_told_to_begin_again(
    quick: Callable[..., Any], tmp_path: Path
) -> None:
    quick(steps=2, state=tmp_path)
    with pytest.raises(ValueError, match=r"another seed \(42, now 1\).*resume=False \(--restart\)"):
        quick(steps=2, state=tmp_path, seed=1)
    with pytest.raises(ValueError, match=r"another network \(TransformerNet"):
        quick(steps=2, state=tmp_path, network=TransformerNet(2, 1, seed=1))
    again = quick(steps=2, state=StateFolder(tmp_path, resume=False), seed=1)
    assert torch.equal(weights(again), weights(quick(steps=2, seed=1)))


def test_run_can_be_made_longer(quick: Callable[..., Any], tmp_path: Path) -> None:
    quick(steps=3, state=tmp_path)
    assert torch.equal(weights(quick(steps=6, state=tmp_path)), weights(quick(steps=6)))


# Several processes

SCRIPT = """
import sys, warnings
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[1])
import test_feedforward_training as t
from neuralstyle import distributed
from neuralstyle.images import load_image
out = Path(sys.argv[3])
with distributed.session():
    losses = []
    network = t.train_quickly(
        load_image(out / "style.png"), sys.argv[2], steps=3,
        output=out / "model.safetensors", log=out / "losses.csv", log_every=1, state=out / "run",
    )
    torch.save(t.weights(network), out / f"{distributed.rank()}.pt")
"""


def test_two_processes_train_one_network(folder: Path, tmp_path: Path, style: Tensor) -> None:
    out = tmp_path / "out"
    out.mkdir()
    save_image(style, out / "style.png")
    (tmp_path / "script.py").write_text(SCRIPT)
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    # What torchrun starts, without torchrun's own time to start.
    shared = {"OMP_NUM_THREADS": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    command = [sys.executable, str(tmp_path / "script.py"), str(Path(__file__).parent), str(folder), str(out)]
    ranks = [
        subprocess.Popen(command, env={**os.environ, **shared, "RANK": str(rank)}, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    for process in ranks:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    first, second = (torch.load(out / f"{rank}.pt") for rank in range(2))
    assert torch.equal(first, second)
    network = load_model(out / "model.safetensors")
    assert torch.equal(weights(network), first)
    assert [row["step"] for row in rows(out / "losses.csv")] == ["1", "2", "3"]
    # Two processes with batches of 2 take the steps of one with batches of 4, up to the order of the pictures' sums.
    options = {"batch_size": 4, "steps": 3, "log": out / "alone.csv", "log_every": 1}
    alone = train_quickly(load_image(out / "style.png"), folder, **options)
    logged, expected = ([float(row["loss"]) for row in rows(out / name)] for name in ("losses.csv", "alone.csv"))
    assert logged == pytest.approx(expected, rel=1e-3)
    image = load_image(samples.photo(), 64)
    shared, single, untrained = (
        run_model(net.eval(), image) for net in (network, alone, TransformerNet(2, 1, seed=42))
    )
    assert (shared - single).abs().max() < 1e-4
    assert (shared - untrained).abs().max() > 1e-3


def test_default_losses_train_on_the_default_network(folder: Path, style: Tensor) -> None:
    """As the command line does: what the package recommends runs, from its own defaults."""
    options = {"losses": None, "steps": 1, "batch_size": 1, "size": 32}
    assert isinstance(train_quickly(style, folder, encoder=FeatureExtractor(), **options), TransformerNet)


def test_options_can_be_shown_without_torch() -> None:
    """What the command line reads for --help; the package's own ``__init__`` is left out."""
    code = (
        "import sys, types\n"
        "package = types.ModuleType('neuralstyle')\n"
        "package.__path__ = [sys.argv[1]]\n"
        "sys.modules['neuralstyle'] = package\n"
        "from neuralstyle.feedforward import Records, StateFolder, TrainingData, apply_files, train\n"
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules), 'heavy'\n"
        "from neuralstyle.feedforward import TransformerNet\n"
        "assert 'torch' in sys.modules\n"
    )
    package = Path(__file__).parents[2] / "neuralstyle"
    subprocess.run([sys.executable, "-c", code, str(package)], check=True)
